"""Clients whose score a test decides: a policy that weighs campaigns alone, and one campaign of a hundred."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, text

from app.database import Database, fetch
from app.health.rules import end_of_day
from tests.factories import add_campaign, add_client, add_rows
from tests.health.helpers import score

FIRST_DAY = date(2025, 3, 10)


@dataclass(frozen=True)
class Told:
    """What matters of an alert: its reasons, both scores and where it stands."""

    kinds: str
    before: int
    after: int
    status: str


def day_number(number: int) -> date:
    """Return a scoring day; the first one is 0."""
    return FIRST_DAY + timedelta(days=number)


async def weigh_campaigns_alone(database: Database) -> None:
    """Have the newest policy take the score of a client from its campaigns and nothing else."""
    async with database.read() as connection:
        (first,) = await fetch(connection, text("SELECT * FROM health_policies"))
    others = dict.fromkeys(("login_weight", "case_weight", "feature_weight", "ticket_weight"), 0)
    await add_rows(
        database, "health_policies", [dict(first._mapping) | others | {"version": 2, "campaign_weight": 100}]
    )


async def add_alerted(database: Database, name: str = "Acme", **values: Any) -> int:
    """Add a client with alerts on."""
    return await add_client(database, name, **({"alerts_enabled": True} | values))


async def score_as(
    database: Database,
    client_id: int,
    day: date,
    wanted: int | None,
    *,
    as_of: datetime | None = None,
    calculated_at: datetime | None = None,
) -> None:
    """Calculate the day so that the client scores `wanted`, by default two hours after the day's end."""
    moment = as_of or end_of_day(day)
    async with database.begin() as session:
        await session.execute(text("DELETE FROM campaigns WHERE client_id = :id"), {"id": client_id})
    if wanted is not None:
        await add_campaign(database, client_id, assigned=100, completed=wanted, closed_at=moment)
    failures = await score(
        database, client_id, as_of=moment, calculated_at=calculated_at or moment + timedelta(hours=2)
    )
    assert failures == {}


async def alert_rows(database: Database) -> list[Row[Any]]:
    """Return every alert, the oldest first."""
    async with database.read() as connection:
        return list(await fetch(connection, text("SELECT * FROM alerts ORDER BY id")))


async def told(database: Database) -> list[Told]:
    """Return what matters of every alert, the oldest first."""
    return [
        Told(" ".join(row.kinds), row.score_before, row.score_after, row.status) for row in await alert_rows(database)
    ]
