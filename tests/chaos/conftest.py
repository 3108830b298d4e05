"""The seed of the chaos: fixed, so that a failure can be repeated, unless CHAOS_SEED is set."""

import os
import sys

import pytest

SEED = int(os.environ.get("CHAOS_SEED", "20260401"))


@pytest.fixture(autouse=True)
def on_linux() -> None:
    """Skip where the children of a killed process cannot be found."""
    if sys.platform != "linux":
        pytest.skip("these tests look for the children of killed processes in /proc, which only Linux has")


@pytest.fixture
def seed() -> int:
    """The seed of this run."""
    return SEED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which seed it was, whether the tests passed or not."""
    terminalreporter.write_line(f"The seed of the tests that kill was {SEED}; CHAOS_SEED={SEED} repeats it.")
