"""What storing a batch costs on a day whose scores PostgreSQL has no statistics of yet."""

from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import Database, fetch
from app.health import queries
from app.health.rules import Component, start_of_day
from app.health.service import CURRENT_FACTS
from tests.plans import plans

CLIENTS = 2_000
YESTERDAY = date(2026, 3, 30)

ADD_CLIENTS = """
INSERT INTO clients (external_id, name, name_key, industry, status, engagement_model, alerts_enabled)
SELECT n, n, n, 'OTHER', 'ACTIVE', 'PLG', false FROM generate_series(1, :clients) AS n
"""
ADD_SCORES = """
INSERT INTO health_scores (client_id, day, as_of, calculated_at, policy_version, score, coverage, light, trend, risk,
    members, active_members, cases_closed, cases_on_time, campaigns_completed, campaigns_assigned, features_enabled,
    features_used, tickets_opened, tickets_before, tickets_tracked)
SELECT id, :day, now(), now(), 1, 90, 100, 'GREEN', 'STABLE', 'LOW', 1, 1, 1, 1, '{}', '{}', 1, 1, 0, 0, true
FROM clients
"""


async def test_a_new_days_scores_reach_each_client_once(database: Database) -> None:
    today = YESTERDAY + timedelta(days=1)
    async with database.begin() as session:
        await session.execute(text(ADD_CLIENTS), {"clients": CLIENTS})
        await session.execute(text(ADD_SCORES), {"day": YESTERDAY})
        await session.execute(text("ANALYZE clients, health_scores"))
        await session.execute(text(ADD_SCORES), {"day": today})

    async def store(connection: AsyncConnection) -> None:
        figures: dict[str, list[None]] = {name: [None] * CLIENTS for name in CURRENT_FACTS}
        await connection.execute(queries.UPDATE_CURRENT, {"ids": list(range(1, CLIENTS + 1)), "day": today, **figures})

    for plan in await plans(database, store):
        assert plan.rows_read("health_scores") == CLIENTS
        assert plan.rows_read("clients") == CLIENTS


async def test_what_silent_feeds_keep_is_looked_up_client_by_client(database: Database) -> None:
    """However long the history is, of each client the days of the silence and one score are read for each feed."""
    silent = YESTERDAY - timedelta(days=2)
    async with database.begin() as session:
        await session.execute(text(ADD_CLIENTS), {"clients": CLIENTS})
        for days in range(30):
            await session.execute(text(ADD_SCORES), {"day": silent - timedelta(days=days)})
        await session.execute(text("ANALYZE clients, health_scores"))
        for days in (1, 2):
            await session.execute(text(ADD_SCORES), {"day": silent + timedelta(days=days)})
    values = {
        "ids": list(range(1, CLIENTS + 1)),
        "components": [Component.LOGIN, Component.TICKET_VOLUME],
        "received": [start_of_day(silent)] * 2,
        "silent": [silent] * 2,
        "stale": [silent + timedelta(days=3)] * 2,
    }

    async def look_up(connection: AsyncConnection) -> None:
        found = await fetch(connection, queries.KEPT_SCORES, **values)
        assert {(row.component, row.day) for row in found} == {("LOGIN", silent), ("TICKET_VOLUME", silent)}

    for plan in await plans(database, look_up):
        # The first of the days in between decides, and then that day's score is read.
        assert plan.rows_read("health_scores") <= 2 * CLIENTS * (3 + 1)
