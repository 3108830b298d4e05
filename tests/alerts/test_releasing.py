"""Very many alerts that are no storm: they leave in batches, whoever ends the run, and no batch is lost or repeated."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.alerts import holding, queries
from app.alerts import service as alerts
from app.database import Database
from app.health import requests
from app.jobs import JobQueue
from app.runs.execution import execute
from app.settings import Settings
from tests.alerts.storms import YESTERDAY, accept, add_portfolio, fates, recalculate, set_scores
from tests.factories import rows_of
from tests.plans import plans
from tests.workers.test_scheduler import QUICK, becomes
from workers.scheduler import keep_going

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
ADD_CLIENTS = """
INSERT INTO clients (external_id, name, name_key, industry, status, engagement_model, alerts_enabled)
SELECT n, n, n, 'OTHER', 'ACTIVE', 'PLG', true FROM generate_series(1, 20000) AS n
"""
ADD_RUN = """
INSERT INTO runs (kind, status, requested_by, requested_at, done, failed, position, attempt)
VALUES ('RECALCULATE_ALL', 'SUCCEEDED', 'anna', now(), 20000, 0, 20000, 1)
"""
ADD_ALERTS = """
INSERT INTO alerts (client_id, day, kinds, kind, status, message, score_before, score_after, raised_at, run_id, held)
SELECT c.id, current_date, '{SCORE_DROP}', 'SCORE_DROP', 'OPEN', 'Acme', 90, 50, now(), r.id, true
FROM clients AS c CROSS JOIN runs AS r
"""


@pytest.fixture
def small(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings for recalculations in batches of seven, of which four alerts are released at once."""
    monkeypatch.setattr(holding, "RELEASED_AT_ONCE", 4)
    return settings.model_copy(update={"recalculation_batch_size": 7, "recalculation_pause_ms": 0})


async def release_next(database: Database) -> int:
    async with database.begin() as session:
        return await holding.release_next(session)


async def release_and_stop(database: Database) -> None:
    async with database.begin() as session:
        assert await holding.release_next(session) == 4
        raise RuntimeError("stopped")


async def releasing(database: Database) -> list[int]:
    return [row[0] for row in await rows_of(database, "SELECT id FROM runs WHERE releasing")]


async def test_the_end_of_a_run_releases_the_first_and_the_others_follow(database: Database, small: Settings) -> None:
    await add_portfolio(database, 60, 11)
    run_id = await recalculate(database, small)
    assert await fates(database) == [(False, "OPEN", "PENDING", 4), (True, "OPEN", "HELD", 7)]
    assert await releasing(database) == [run_id]
    # Whoever is stopped in the middle loses what it has done since, and nothing else.
    with pytest.raises(RuntimeError, match="stopped"):
        await release_and_stop(database)
    assert await fates(database) == [(False, "OPEN", "PENDING", 4), (True, "OPEN", "HELD", 7)]
    assert await release_next(database) == 4
    assert await fates(database) == [(False, "OPEN", "PENDING", 8), (True, "OPEN", "HELD", 3)]
    assert await release_next(database) == 3
    assert await releasing(database) == []
    assert await release_next(database) == 0
    assert await fates(database) == [(False, "OPEN", "PENDING", 11)]


async def test_nothing_is_left_where_the_last_batch_is_a_whole_one(database: Database, small: Settings) -> None:
    await add_portfolio(database, 60, 8)
    await recalculate(database, small)
    assert [await release_next(database) for _ in range(2)] == [4, 0]
    assert await releasing(database) == []
    assert await fates(database) == [(False, "OPEN", "PENDING", 8)]


async def test_what_is_being_released_is_nobodys_to_decide(database: Database, small: Settings) -> None:
    await add_portfolio(database, 60, 11)
    run_id = await recalculate(database, small)
    before = await fates(database)
    for decision in (holding.release_held, holding.discard_held):
        for which in (None, run_id):
            assert await decide(database, decision, which) == 0
    assert await fates(database) == before
    assert await rows_of(database, "SELECT action FROM audit_events WHERE action LIKE 'HELD%'") == []


async def decide(database: Database, decision: Callable[..., Awaitable[int]], run_id: int | None = None) -> int:
    async with database.begin() as session:
        return await decision(session, run_id, actor="root", now=NOW, request_id=None)


async def test_very_many_that_an_administrator_releases_leave_in_batches(database: Database, small: Settings) -> None:
    stormy = small.model_copy(update={"alert_storm_share": 0, "alert_storm_minimum": 1})
    ids = await add_portfolio(database, 60, 11)
    first = await recalculate(database, stormy)
    await set_scores(database, dict.fromkeys(ids[:3], 30))
    second = await recalculate(database, stormy)
    assert await fates(database) == [(True, "OPEN", "HELD", 14)]
    assert await decide(database, holding.release_held) == 14
    audited = await rows_of(database, "SELECT action, run_id, changes FROM audit_events WHERE action LIKE 'HELD%'")
    assert sorted(audited, key=str) == [
        ("HELD_ALERTS_RELEASED", first, {"held": [11, 0]}),
        ("HELD_ALERTS_RELEASED", second, {"held": [3, 0]}),
    ]
    assert await fates(database) == [(False, "OPEN", "PENDING", 4), (True, "OPEN", "HELD", 10)]
    assert await releasing(database) == [first, second]
    # What has been decided about is nobody's to decide any more, and stays released.
    before = await fates(database)
    for decision in (holding.release_held, holding.discard_held):
        for which in (None, first, second):
            assert await decide(database, decision, which) == 0
    assert await fates(database) == before
    assert [await release_next(database) for _ in range(4)] == [4, 3, 3, 0]
    assert await fates(database) == [(False, "OPEN", "PENDING", 14)]
    assert await releasing(database) == []
    statement = "SELECT count(*) FROM audit_events WHERE action LIKE 'HELD%'"
    assert await rows_of(database, statement) == [(2,)]


async def test_very_many_are_released_or_discarded_and_never_both(database: Database, small: Settings) -> None:
    await add_portfolio(database, 60, 11)
    await recalculate(database, small.model_copy(update={"alert_storm_share": 0, "alert_storm_minimum": 1}))
    # Whoever comes second waits for the first, who has marked the run by then.
    made = await asyncio.gather(
        *(decide(database, decision) for decision in (holding.release_held, holding.discard_held) * 2)
    )
    assert sorted(made) == [0, 0, 0, 11]
    if made[1] or made[3]:
        assert await fates(database) == [(False, "RESOLVED", "DISCARDED", 11)]
    else:
        assert await fates(database) == [(False, "OPEN", "PENDING", 4), (True, "OPEN", "HELD", 7)]
        assert [await release_next(database) for _ in range(2)] == [4, 3]
        assert await fates(database) == [(False, "OPEN", "PENDING", 11)]
    assert await releasing(database) == []


async def test_an_alert_that_is_being_released_keeps_its_repetition_away(database: Database, small: Settings) -> None:
    ids = await add_portfolio(database, 60, 11)
    await recalculate(database, small)
    await set_scores(database, {ids[10]: 48})
    async with database.begin() as session:
        run_id = await requests.recalculate_one(session, ids[10], requested_by="anna", now=NOW, day=YESTERDAY)
    assert await execute(database, run_id, small)
    async with database.read() as connection:
        assert await alerts.count(connection, alerts.Filter(client_id=ids[10])) == 1


async def test_the_scheduler_gets_on_with_a_run_that_it_has_given_up(database: Database, small: Settings) -> None:
    await add_portfolio(database, 60, 11)
    run_id = await accept(database)

    def stop(done: int, _failed: int, _total: int) -> None:
        if done >= 56:
            raise RuntimeError("never")

    with pytest.raises(RuntimeError, match="never"):
        await execute(database, run_id, small, stop)
    assert await fates(database) == [(True, "OPEN", "HELD", 11)]
    async with database.begin() as session:
        await session.execute(text("UPDATE runs SET fruitless_attempts = :number"), {"number": small.max_attempts})
    queue = JobQueue(small.redis_url or "")
    scheduler = asyncio.create_task(keep_going(database, queue, small, period=QUICK))

    async def is_over() -> bool:
        return await fates(database) == [(False, "OPEN", "PENDING", 11)] and await releasing(database) == []

    assert await becomes(is_over)
    scheduler.cancel()
    await asyncio.gather(scheduler, return_exceptions=True)
    await queue.close()
    assert await rows_of(database, "SELECT status FROM runs WHERE id = :id", id=run_id) == [("FAILED",)]


async def test_a_batch_reads_no_alert_but_its_own(database: Database) -> None:
    async with database.begin() as session:
        for statement in (ADD_CLIENTS, ADD_RUN, ADD_ALERTS, "ANALYZE alerts, runs"):
            await session.execute(text(statement))
    [(run_id,)] = await rows_of(database, "SELECT id FROM runs")

    async def read(connection: AsyncConnection) -> None:
        values = {"run_id": run_id, "limit": holding.RELEASED_AT_ONCE}
        assert len((await connection.execute(queries.HELD_OF_RUN, values)).all()) == 1000

    for plan in await plans(database, read):
        assert plan.rows_read("alerts") == 1000
        assert plan.rows_sorted() == 0
