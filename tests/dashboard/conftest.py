"""The whole application on an empty portfolio."""

from collections.abc import AsyncIterator

import pytest

from app.settings import Settings
from tests.graphql.conftest import Api, running_api


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    """The application."""
    async with running_api(settings) as running:
        yield running
