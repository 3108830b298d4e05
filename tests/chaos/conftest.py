"""The seed of the chaos: fixed, so that a failure can be repeated, unless CHAOS_SEED is set."""

import os

import pytest

SEED = int(os.environ.get("CHAOS_SEED", "20260401"))


@pytest.fixture
def seed() -> int:
    """The seed of this run."""
    return SEED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which seed it was, whether the tests passed or not."""
    terminalreporter.write_line(f"The seed of the tests that kill was {SEED}; CHAOS_SEED={SEED} repeats it.")
