"""What a page of the portfolio costs at 100,000 clients: in every order, an index scan that stops with the page."""

from collections.abc import AsyncIterator, Sequence

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.clients.models import LIGHT_KEY, LISTED, MISSING_KEYS, SORT_KEYS
from app.clients.queries import LIGHT_KEYS, ORDERS
from app.clients.service import MAX_OWNERS, Filter, Order, Position, SortField, owners, page, position_of
from app.database import Database, fetch
from app.embedded import Servers
from app.health.rules import TrafficLight
from tests.conftest import own_database
from tests.plans import plans

CLIENTS = 100_000
FIRST = 50
# Walks of a page's length that a page against its index takes at most: for the edge, above it, on it, for the clients
# that share the cursor's key, and for those without the value.
WALKS = 5
# An incremental sort takes so many rows more than it needs: those of the groups that it begins.
SLACK = 64
LIGHTS = (None, [TrafficLight.AMBER], [TrafficLight.GREEN, TrafficLight.RED])

# Deterministic, with values missing, values shared by many clients, and each name borne by four of them.
PORTFOLIO = """
INSERT INTO clients (external_id, name, name_key, size, industry, status, engagement_model, alerts_enabled,
                     last_activity_at, renewal_date, score, light, trend, trend_delta, risk, coverage, owner)
SELECT n, 'Client ' || n % 25000, 'client ' || n % 25000,
       (ARRAY['ENTERPRISE', 'MIDMARKET', 'SMB'])[1 + n % 3], 'OTHER',
       CASE WHEN n % 20 = 0 THEN 'CHURNED' ELSE 'ACTIVE' END, 'PLG', n % 2 = 0,
       CASE WHEN n % 11 > 0 THEN timestamptz '2025-01-01 00:00Z' + interval '1 minute' * (n * 7919 % 100003) END,
       CASE WHEN n % 7 > 0 THEN date '2025-01-01' + n * 31 % 365 END,
       score, CASE WHEN score >= 80 THEN 'GREEN' WHEN score >= 60 THEN 'AMBER' WHEN score >= 0 THEN 'RED' END,
       CASE WHEN score >= 0 THEN 'STABLE' END, CASE WHEN score >= 0 THEN n * 17 % 41 - 20 END,
       CASE WHEN score >= 0 THEN 'LOW' END, 100, 'owner-' || n % 600
FROM (SELECT n, CASE WHEN n % 13 > 0 THEN n * 37 % 101 END AS score FROM generate_series(1, :clients) AS n) AS numbers
"""


@pytest.fixture(scope="module")
async def large(servers: Servers, admin: asyncpg.Connection, template: str) -> AsyncIterator[Database]:
    """A database with 100,000 clients, shared by the tests of this module: none of them changes anything."""
    async with own_database(servers, admin, template) as url:
        database = Database(url, pool_size=2)
        async with database.begin() as session:
            await session.execute(text(PORTFOLIO), {"clients": CLIENTS})
        async with database.begin() as session:
            await session.execute(text("ANALYZE clients"))
        yield database
        await database.close()


async def deep_position(database: Database, order: Order, lights: Sequence[str]) -> Position:
    """Return the position in the middle of the list."""
    name, backwards = ORDERS[order.name]
    key = SORT_KEYS[name] if name else "name_key"
    ordering = f"{key} = {MISSING_KEYS[name]}, " if name and backwards else ""
    ordering += f"{key} {'DESC' if backwards else 'ASC'}, name_key, id"
    where = f"{LISTED} AND {LIGHT_KEY} = ANY(CAST(:lights AS text[]))"
    statement = (
        f"SELECT {key if name else 'NULL'} AS key, name_key, id FROM clients WHERE {where} ORDER BY {ordering} "
        f"OFFSET (SELECT count(*) / 2 FROM clients WHERE {where}) LIMIT 1"
    )
    async with database.read() as connection:
        return position_of((await fetch(connection, text(statement), lights=list(lights)))[0])


@pytest.mark.parametrize("lights", LIGHTS, ids=("any light", "one light", "two lights"))
@pytest.mark.parametrize("descending", [False, True], ids=("ascending", "descending"))
@pytest.mark.parametrize("field", SortField)
async def test_a_page_walks_an_index_and_stops(
    large: Database, field: SortField, descending: bool, lights: Sequence[TrafficLight] | None
) -> None:
    """The first page and one deep in the list cost the same: no other scan, and no sort of more than the page."""
    order, wanted = Order(field, descending), Filter(lights=lights)
    branches = len(LIGHT_KEYS if lights is None else lights)
    index = f"ix_clients_portfolio_{ORDERS[order.name][0] or 'name'}"
    for after in (None, await deep_position(large, order, lights or LIGHT_KEYS)):

        async def read(connection: AsyncConnection, after: Position | None = after) -> None:
            assert len(await page(connection, wanted, order, FIRST, after)) == FIRST + 1

        for plan in await plans(large, read):
            scans = {(node["Node Type"], node["Index Name"]) for node in plan.scans("clients")}
            assert scans == {("Index Scan", index)}
            assert FIRST < plan.rows_read("clients") <= WALKS * branches * (FIRST + 1 + SLACK)
            assert plan.rows_sorted() <= WALKS * branches * (FIRST + 1 + SLACK)


async def test_the_owners_are_found_one_by_one(large: Database) -> None:
    """One row is read for each owner, of whom each has more than a hundred clients."""
    async with large.read() as connection:
        found = await owners(connection)
    assert len(found) == MAX_OWNERS
    for plan in await plans(large, owners):
        assert {node["Index Name"] for node in plan.scans("clients")} == {"ix_clients_owner"}
        assert plan.rows_read("clients") <= MAX_OWNERS + 1
        assert plan.rows_sorted() == 0
