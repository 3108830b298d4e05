"""Scoring in tests: a batch as a recalculation runs it, and the rows that it writes."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import text

from app.database import Database
from app.health import service
from app.health.rules import end_of_day
from tests.factories import utc

DAY = date(2025, 3, 14)
AS_OF = end_of_day(DAY)
# The first of the 30 days that end with DAY, and of the three windows before.
START = utc("2025-02-13")
BEFORE_START = utc("2024-11-15")
INSTANT = timedelta(microseconds=1)
# In the window, where the moment does not matter.
RECENTLY = utc("2025-03-01T09:30")
CALCULATED = utc("2025-03-15T02:00")


async def score(
    database: Database, *client_ids: int, as_of: datetime = AS_OF, calculated_at: datetime = CALCULATED
) -> Mapping[int, str]:
    """Score the clients as a batch of a recalculation does, and return the failures."""
    async with database.begin() as session:
        locked = await service.lock_clients(session, client_ids, as_of)
        policy = await service.current_policy(session)
        return await service.score_clients(session, locked, as_of=as_of, calculated_at=calculated_at, policy=policy)


async def stored(database: Database, client_id: int, day: date = DAY) -> dict[str, Any]:
    """Return the stored score of a day, empty if there is none."""
    async with database.read() as connection:
        statement = text("SELECT * FROM health_scores WHERE client_id = :id AND day = :day")
        row = (await connection.execute(statement, {"id": client_id, "day": day})).one_or_none()
    return {} if row is None else row._asdict()


async def current(database: Database, client_id: int) -> dict[str, Any]:
    """Return the client's current row."""
    async with database.read() as connection:
        row = (await connection.execute(text("SELECT * FROM clients WHERE id = :id"), {"id": client_id})).one()
    return row._asdict()
