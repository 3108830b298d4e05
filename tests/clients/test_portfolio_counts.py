"""The counts that a trigger keeps, against counting the clients."""

import asyncio
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database, fetch
from tests.factories import add_client, rows_of

CELL = "size, industry, engagement_model, alerts_enabled, light, trend, risk"
CELL_OF_CLIENT = (
    "coalesce(size, ''), industry, engagement_model, alerts_enabled, coalesce(light, ''), coalesce(trend, ''), "
    "coalesce(risk, '')"
)

# Each statement with the random values that it takes, `n` among them as its own seed.
STATEMENTS = (
    "INSERT INTO clients (external_id, name, name_key, size, industry, status, engagement_model, alerts_enabled, "
    "light) SELECT 'client ' || :n || ' ' || number, 'x', 'x', :size, :industry, :status, :model, :alerts, :light "
    "FROM generate_series(1, :few) AS number",
    # As an import does it: some rows are new, and some replace others.
    "INSERT INTO clients (external_id, name, name_key, size, industry, status, engagement_model, alerts_enabled) "
    "SELECT 'client ' || number, 'x', 'x', :size, :industry, :status, :model, :alerts "
    "FROM generate_series(:few, 2 * :few) AS number ON CONFLICT (external_id) DO UPDATE SET size = excluded.size, "
    "industry = excluded.industry, status = excluded.status, alerts_enabled = excluded.alerts_enabled",
    "UPDATE clients SET light = :light, trend = :trend, risk = :risk WHERE id % :few = 0",
    "UPDATE clients SET status = :status WHERE id % :few = 1",
    "UPDATE clients SET size = :size, industry = :industry WHERE id % :few = 1",
    "UPDATE clients SET engagement_model = :model, alerts_enabled = NOT alerts_enabled WHERE id % :few = 2",
    # Touches rows without moving them, and no row at all.
    "UPDATE clients SET name = 'y', last_activity_at = now()",
    "UPDATE clients SET light = :light WHERE id < 0",
    "DELETE FROM clients WHERE id % (:few + 3) = 0",
)


def random_values(random: Random) -> dict[str, object]:
    """Return a value for every parameter of the statements."""
    return {
        "n": random.randrange(10**9),
        "few": random.randint(1, 9),
        "size": random.choice((None, "ENTERPRISE", "SMB")),
        "industry": random.choice(("FINANCIAL", "OTHER")),
        "status": random.choice(("ACTIVE", "TRIAL", "CHURNED")),
        "model": random.choice(("HIGH_TOUCH", "PLG")),
        "alerts": random.choice((True, False)),
        "light": random.choice((None, "GREEN", "RED")),
        "trend": random.choice((None, "STABLE", "DECLINING")),
        "risk": random.choice((None, "LOW", "HIGH")),
    }


async def change(session: AsyncSession, statement: str, values: dict[str, object]) -> None:
    """Execute one statement with those of the values that it takes."""
    names = text(statement).compile().params
    casts = {name: f"CAST(:{name} AS {'integer' if name in ('n', 'few') else 'text'})" for name in names}
    casts |= {name: f"CAST(:{name} AS boolean)" for name in names if name == "alerts"}
    for name, cast in casts.items():
        statement = statement.replace(f":{name}", cast)
    await session.execute(text(statement), {name: values[name] for name in names})


async def assert_counts_are_right(database: Database) -> int:
    """Compare the kept counts with a count of the listed clients, and return how many cells have any."""
    kept = await rows_of(database, f"SELECT {CELL}, clients FROM portfolio_counts WHERE clients <> 0 ORDER BY {CELL}")
    counted = await rows_of(
        database,
        f"SELECT {CELL_OF_CLIENT}, count(*)::integer FROM clients WHERE status <> 'CHURNED' "
        "GROUP BY 1, 2, 3, 4, 5, 6, 7 ORDER BY 1, 2, 3, 4, 5, 6, 7",
    )
    assert kept == counted
    return len(kept)


@pytest.mark.parametrize("seed", range(4))
async def test_the_counts_follow_any_change(database: Database, seed: int) -> None:
    """Inserts, upserts, updates and deletes of no, one or many clients; several in a transaction, some rolled back."""
    random = Random(seed)  # noqa: S311 - The changes must be repeatable, not unpredictable.
    most = 0
    for _ in range(60):
        keep = random.random() < 0.8
        async with database.begin() as session:
            for statement in random.sample(STATEMENTS, random.randint(1, 3)):
                await change(session, statement, random_values(random))
            if not keep:
                await session.rollback()
        most = max(most, await assert_counts_are_right(database))
    assert most > 10


async def test_a_client_that_leaves_is_counted_no_more_and_one_that_returns_is(database: Database) -> None:
    client = await add_client(database, light="GREEN")
    for status, counted in (("CHURNED", 0), ("TRIAL", 1), ("ACTIVE", 1), ("CHURNED", 0)):
        async with database.begin() as session:
            await session.execute(
                text("UPDATE clients SET status = :status WHERE id = :id"), {"id": client, "status": status}
            )
        assert await rows_of(database, "SELECT sum(clients)::integer FROM portfolio_counts") == [(counted,)]
        await assert_counts_are_right(database)


async def until_blocked(database: Database, pid: int) -> None:
    """Wait until the backend waits for another transaction; the caller bounds the time."""
    blockers = "SELECT cardinality(pg_blocking_pids(:pid))"
    while await rows_of(database, blockers, pid=pid) == [(0,)]:  # noqa: ASYNC110 - PostgreSQL tells nobody of a wait.
        await asyncio.sleep(0.005)


@pytest.mark.parametrize("first_commits", [True, False])
async def test_two_transactions_on_one_cell_wait_for_each_other_and_both_count(
    database: Database, first_commits: bool
) -> None:
    """Each moves its own client from one cell to the other, in opposite directions: they wait, but in no circle."""
    ids = [await add_client(database, light=light) for light in ("GREEN", "RED")]
    move = text("UPDATE clients SET light = :light WHERE id = :id")
    started: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def second() -> None:
        async with database.begin() as session:
            started.set_result((await fetch(session, text("SELECT pg_backend_pid()")))[0][0])
            await session.execute(move, {"id": ids[1], "light": "GREEN"})

    async with asyncio.timeout(20):
        async with database.begin() as session:
            await session.execute(move, {"id": ids[0], "light": "RED"})
            waiting = asyncio.create_task(second())
            await until_blocked(database, await started)
            if not first_commits:
                await session.rollback()
        await waiting
    lights = await rows_of(database, "SELECT light FROM clients ORDER BY id")
    assert lights == [("RED" if first_commits else "GREEN",), ("GREEN",)]
    await assert_counts_are_right(database)


async def test_many_transactions_at_once_lose_no_change_and_do_not_deadlock(database: Database) -> None:
    """Each of four writers owns its clients, as batches under lock do, but all move them through the same cells."""
    ids = [await add_client(database) for _ in range(40)]

    async def write(seed: int) -> None:
        random = Random(seed)  # noqa: S311 - The changes must be repeatable, not unpredictable.
        for _ in range(25):
            some = random.sample(ids[seed::4], random.randint(1, 10))
            async with database.begin() as session:
                # Three lights among the clients of one statement: its cells must be locked in a fixed order.
                await session.execute(
                    text(
                        "UPDATE clients SET light = (ARRAY['GREEN', 'AMBER', 'RED'])[1 + (id + :n) % 3], "
                        "alerts_enabled = NOT alerts_enabled WHERE id = ANY(CAST(:ids AS bigint[]))"
                    ),
                    {"ids": some, "n": random.randrange(3)},
                )

    async with asyncio.timeout(30):
        await asyncio.gather(*(write(seed) for seed in range(4)))
    assert await assert_counts_are_right(database) >= 3
