"""What it costs to list, nudge and give up deliveries when there are very many: what is looked for, and no other."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import Database
from app.delivery import queries
from app.delivery.models import DeliveryStatus
from app.delivery.rules import MAX_ATTEMPTS
from app.delivery.service import TOO_LONG, Filter, page
from app.embedded import Servers
from tests.conftest import own_database
from tests.delivery.helpers import add_channel
from tests.plans import plans

DELIVERIES = 200_000
CHANNELS = ("busy", "dead", "former")
FIRST = 50

# The former channel has the oldest, the dead one what is tried again later, and the busy one what has arrived. What
# waits, failed or was discarded is rare and old.
ADD = """
INSERT INTO deliveries (kind, channel, recipient, digest, status, attempt, created_at, next_attempt_at, finished_at)
SELECT 'HELD', CASE WHEN n <= 500 THEN 'former' WHEN n % 2 = 0 THEN 'dead' ELSE 'busy' END, '', false, status, 1,
       now() - interval '6 days', now() + interval '1 hour',
       CASE WHEN status NOT IN ('PENDING', 'WAITING') THEN now() END
FROM (SELECT n, CASE WHEN n <= 3000 THEN (ARRAY['FAILED', 'DISCARDED', 'WAITING', 'DELIVERED'])[1 + n % 4]
                     WHEN n % 2 = 0 THEN 'PENDING' ELSE 'DELIVERED' END AS status
      FROM generate_series(1, :deliveries) AS n) AS numbers
"""


@pytest.fixture(scope="module")
async def large(servers: Servers, admin: asyncpg.Connection, template: str) -> AsyncIterator[Database]:
    """A database with very many deliveries, shared by the tests of this module: none of them changes one."""
    async with own_database(servers, admin, template) as url:
        database = Database(url, pool_size=2)
        for name in CHANNELS:
            await add_channel(database, name)
        async with database.begin() as session:
            await session.execute(text(ADD), {"deliveries": DELIVERIES})
        async with database.begin() as session:
            await session.execute(text("ANALYZE channels, deliveries"))
        yield database
        await database.close()


@pytest.mark.parametrize("before", [None, DELIVERIES // 2, 1000], ids=("newest", "middle", "old"))
@pytest.mark.parametrize("channel", [None, *CHANNELS, "nobody"])
@pytest.mark.parametrize(
    "statuses",
    [None, *([status] for status in DeliveryStatus), list(DeliveryStatus), []],
    ids=lambda found: "any" if found is None else "+".join(found) or "none",
)
async def test_a_page_reads_no_more_than_a_page_of_each_status_and_channel(
    large: Database, statuses: list[DeliveryStatus] | None, channel: str | None, before: int | None
) -> None:
    wanted = Filter(statuses=statuses, channel=channel)

    async def read(connection: AsyncConnection) -> None:
        found = [row.id for row in await page(connection, wanted, FIRST, before)]
        everything = await connection.execute(
            text(
                "SELECT id FROM deliveries WHERE id < coalesce(CAST(:before AS bigint), 9999999) AND "
                "(CAST(:channel AS text) IS NULL OR channel = :channel) AND "
                "(CAST(:statuses AS text[]) IS NULL OR status = ANY(:statuses)) ORDER BY id DESC LIMIT :limit"
            ),
            {"before": before, "channel": channel, "statuses": statuses, "limit": FIRST + 1},
        )
        assert found == [row.id for row in everything]

    async with large.read() as connection:
        await read(connection)

    async def ask(connection: AsyncConnection) -> None:
        await page(connection, wanted, FIRST, before)

    pairs = len(CHANNELS) * len(DeliveryStatus)
    for plan in await plans(large, ask):
        assert plan.rows_read("deliveries") <= pairs * (FIRST + 1)


async def test_what_is_not_due_is_not_looked_at_to_nudge(large: Database) -> None:
    """A dead channel has a hundred thousand that are due later."""

    async def nudge(connection: AsyncConnection) -> None:
        await connection.execute(queries.NUDGE, {"after": timedelta()})

    for plan in await plans(large, nudge):
        assert plan.rows_read("deliveries") == 0


async def test_what_may_still_be_sent_is_not_looked_at_to_give_up(large: Database) -> None:
    reasons = dict.fromkeys(("used_up", "unknown", "disabled", "untouched"), "why")

    async def late(connection: AsyncConnection) -> None:
        await connection.execute(queries.GIVE_UP_LATE, reasons | {"attempts": MAX_ATTEMPTS, "too_long": TOO_LONG})

    async def used_up(connection: AsyncConnection) -> None:
        await connection.execute(queries.GIVE_UP_USED_UP, reasons | {"attempts": MAX_ATTEMPTS})

    for statement in (late, used_up):
        for plan in await plans(large, statement):
            assert plan.rows_read("deliveries") == 0


async def test_what_is_not_old_is_not_looked_at_to_forget(large: Database) -> None:
    async def forget(connection: AsyncConnection) -> None:
        before = datetime.now(UTC) - timedelta(days=400)
        await connection.execute(queries.FORGET_DELIVERIES, {"before": before, "limit": 1000})

    for plan in await plans(large, forget):
        assert plan.rows_read("deliveries") == 0
        assert plan.rows_read("delivery_attempts") == 0
