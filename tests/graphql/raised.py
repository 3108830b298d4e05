"""Alerts of the small portfolio, written by hand so that a test knows each of them."""

from datetime import datetime
from typing import Any

from sqlalchemy import text

from app.database import Database
from app.graphql.pagination import global_id
from tests.factories import add_rows, rows_of, utc

RAISED_AT = utc("2026-05-04T02:00")


async def client_numbered(database: Database, number: int) -> int:
    """Return the database's id of a client by its number in the portfolio."""
    found = await rows_of(database, "SELECT id FROM clients WHERE external_id = :id", id=f"C{number}")
    return int(found[0][0])


async def add_alert(
    database: Database, number: int = 6, *, raised_at: datetime = RAISED_AT, **values: Any
) -> tuple[str, int]:
    """Add an alert of the client with this number and return the alert's global id and its key."""
    row = {
        "client_id": await client_numbered(database, number),
        "day": raised_at.date(),
        "kinds": ["LIGHT_WORSENED", "SCORE_DROP"],
        "kind": "LIGHT_WORSENED",
        "status": "OPEN",
        "message": "It got worse.",
        "score_before": 90,
        "score_after": 70,
        "raised_at": raised_at,
    }
    (key,) = await add_rows(database, "alerts", [row | values])
    return str(global_id("Alert", key)), key


async def forget_alerts(database: Database) -> None:
    """Remove what the portfolio's own scores have raised."""
    async with database.begin() as session:
        await session.execute(text("DELETE FROM alerts"))
