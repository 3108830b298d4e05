"""A portfolio whose feed breaks: all clients did well the day before yesterday, and some look bad yesterday."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import text

from app.database import Database
from app.health import requests
from app.health import service as health
from app.health.rules import end_of_day
from app.runs.execution import execute
from app.settings import Settings
from tests.alerts.helpers import add_alerted, weigh_campaigns_alone
from tests.delivery.helpers import add_channel
from tests.factories import add_campaign, rows_of

# People are told of recent days only.
YESTERDAY = datetime.now(UTC).date() - timedelta(days=1)


async def add_portfolio(database: Database, clients: int, falling: int) -> list[int]:
    """Add clients at 90, the first `falling` of which a calculation of yesterday finds at 50; return their ids."""
    await weigh_campaigns_alone(database)
    await add_channel(database)
    ids = [await add_alerted(database, f"Client {number:02}") for number in range(clients)]
    await set_scores(database, dict.fromkeys(ids, 90), YESTERDAY - timedelta(days=1))
    moment = end_of_day(YESTERDAY - timedelta(days=1))
    await health.score_day(database, moment, moment + timedelta(hours=2))
    await set_scores(database, {client: 50 if client in ids[:falling] else 90 for client in ids}, YESTERDAY)
    return ids


async def set_scores(database: Database, scores: dict[int, int], day: date = YESTERDAY) -> None:
    """Have the clients score so much on the day when it is calculated."""
    async with database.begin() as session:
        await session.execute(
            text("DELETE FROM campaigns WHERE client_id = ANY(CAST(:ids AS bigint[]))"), {"ids": list(scores)}
        )
    for client, score in scores.items():
        await add_campaign(database, client, assigned=100, completed=score, closed_at=end_of_day(day))


async def accept(database: Database) -> int:
    """Accept the calculation of yesterday for everybody."""
    async with database.begin() as session:
        return await requests.recalculate_all(session, requested_by="anna", now=datetime.now(UTC), day=YESTERDAY)


async def recalculate(database: Database, settings: Settings) -> int:
    """Calculate yesterday for everybody and return the run's id."""
    run_id = await accept(database)
    assert await execute(database, run_id, settings)
    return run_id


async def fates(database: Database) -> list[tuple[Any, ...]]:
    """Return how many alerts are held or not, of which status, with which status of their delivery."""
    return await rows_of(
        database,
        "SELECT a.held, a.status, d.status, count(*) FROM alerts AS a LEFT JOIN deliveries AS d ON d.alert_id = a.id "
        "GROUP BY 1, 2, 3 ORDER BY 1, 2, 3",
    )


async def told_operators(database: Database) -> list[tuple[Any, ...]]:
    """Return the messages that alerts are held, each with its run and what it is made of."""
    return await rows_of(database, "SELECT run_id, status, details FROM deliveries WHERE kind = 'HELD' ORDER BY id")
