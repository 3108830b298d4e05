"""Erasures as they are, but without the pauses that they leave to others."""

import pytest

from app.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The settings of the test's servers, without a pause between two batches."""
    return settings.model_copy(update={"recalculation_pause_ms": 0})
