"""The engine: what its errors tell, which are logged."""

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.database import Database, fetch


async def test_an_error_does_not_say_what_a_statement_was_called_with(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with database.read() as connection:
            await fetch(connection, text("SELECT 1 / (length(:name) - 3)"), name="ann")
    assert "division by zero" in str(raised.value)
    assert "ann" not in str(raised.value)
