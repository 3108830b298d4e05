"""What tests of events begin with."""

import pytest

from app.database import Database
from tests.factories import add_client


@pytest.fixture
async def acme(database: Database) -> Database:
    """A database with the client "acme"."""
    await add_client(database, external_id="acme")
    return database
