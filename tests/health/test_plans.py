"""What storing a batch costs on a day whose scores PostgreSQL has no statistics of yet."""

from datetime import date, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import Database
from app.health import queries
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
