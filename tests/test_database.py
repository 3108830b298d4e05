"""The engine: what its errors tell, which are logged."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.database import Database, column_parameter, fetch


async def test_an_error_does_not_say_what_a_statement_was_called_with(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with database.read() as connection:
            await fetch(connection, text("SELECT 1 / (length(:name) - 3)"), name="ann")
    assert "division by zero" in str(raised.value)
    assert "ann" not in str(raised.value)


def test_a_column_is_written_as_what_the_database_reads_and_nothing_else_is_guessed_at() -> None:
    column = ["a", None, 1, True, Decimal("1.50"), date(2026, 3, 15), datetime(2026, 3, 15, 12, tzinfo=UTC)]
    assert column_parameter(column) == '["a",null,1,true,"1.50","2026-03-15","2026-03-15T12:00:00+00:00"]'
    for value in (object(), {"a"}, b"a", 1j):
        with pytest.raises(TypeError):
            column_parameter([value])
