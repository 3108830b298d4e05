"""The sweeper: what was accepted and stands still is sent again, and what gets nowhere is given up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.database import Database
from app.health import requests
from app.jobs import EXECUTE_RUN, Job
from app.runs import service, sweeping
from app.runs.execution import execute
from app.settings import Settings
from tests.factories import add_client, rows_of

NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
AFTER = timedelta(seconds=3)
LEASE = timedelta(seconds=30)


@pytest.fixture
def sent() -> list[Job]:
    """The jobs that a queue would have got."""
    return []


@pytest.fixture
async def listening(database_url: str, sent: list[Job]) -> AsyncIterator[Database]:
    """A database whose jobs end up in `sent`."""
    opened = Database(database_url, pool_size=6, send_jobs=sent.extend)
    yield opened
    await opened.close()


async def accept(database: Database, *, ago: float = 0) -> int:
    """Accept a run that was requested so many seconds before now, by the database's clock."""
    async with database.begin() as session:
        run_id = await requests.recalculate_one(session, await add_client(database), requested_by="anna", now=NOW)
    await change(database, f"requested_at = clock_timestamp() - interval '{ago} seconds'", run_id)
    return run_id


async def change(database: Database, assignment: str, run_id: int) -> None:
    async with database.begin() as session:
        await session.execute(text(f"UPDATE runs SET {assignment} WHERE id = :id"), {"id": run_id})


async def claim(database: Database, run_id: int, lease: timedelta = LEASE) -> service.Claim:
    async with database.begin() as session:
        claimed = await service.claim(session, run_id, lease)
    assert claimed is not None
    return claimed


async def resend(database: Database, limit: int = 100) -> list[int]:
    async with database.begin() as session:
        return await sweeping.resend(session, after=AFTER, limit=limit)


async def give_up(database: Database, max_attempts: int = 3) -> list[int]:
    async with database.begin() as session:
        return await sweeping.give_up(session, max_attempts=max_attempts)


async def test_what_waits_for_longer_than_allowed_is_sent_again(listening: Database, sent: list[Job]) -> None:
    waiting = await accept(listening, ago=4)
    await accept(listening, ago=2)
    sent.clear()
    assert await resend(listening) == [waiting]
    assert sent == [Job(EXECUTE_RUN, (waiting,))]
    # Now it has been sent, and waits anew.
    assert await resend(listening) == []
    await change(listening, "sent_at = clock_timestamp() - interval '4 seconds'", waiting)
    assert await resend(listening) == [waiting]


async def test_what_a_process_with_a_wrong_clock_has_asked_for_is_sent_again(database: Database) -> None:
    client = await add_client(database)
    async with database.begin() as session:
        ahead = datetime.now(UTC) + timedelta(days=1)
        run_id = await requests.recalculate_one(session, client, requested_by="anna", now=ahead)
    async with database.begin() as session:
        assert await sweeping.resend(session, after=timedelta(0), limit=1) == [run_id]


async def test_what_is_held_or_finished_is_left_alone_until_its_lease_ends(listening: Database) -> None:
    held, expired, done = [await accept(listening, ago=60) for _ in range(3)]
    await claim(listening, held)
    await claim(listening, expired)
    await change(listening, "lease_until = clock_timestamp() - interval '1 millisecond'", expired)
    await change(listening, "status = 'SUCCEEDED'", done)
    assert await resend(listening) == [expired]


async def test_a_sweep_sends_what_has_waited_longest_and_the_next_one_the_rest(listening: Database) -> None:
    runs = [await accept(listening, ago=ago) for ago in (10, 30, 20, 40)]
    assert await resend(listening, limit=2) == [runs[1], runs[3]]
    assert await resend(listening, limit=2) == [runs[0], runs[2]]
    assert await resend(listening, limit=2) == []


async def test_several_sweepers_send_each_run_once(listening: Database, sent: list[Job]) -> None:
    runs = [await accept(listening, ago=10) for _ in range(40)]
    sent.clear()
    swept = await asyncio.gather(*(resend(listening, limit=15) for _ in range(6)))
    assert sorted(run_id for run_ids in swept for run_id in run_ids) == runs
    assert sorted(job.arguments for job in sent) == [(run_id,) for run_id in runs]


async def test_a_run_whose_attempts_get_nowhere_is_given_up_with_a_reason(database: Database) -> None:
    poison, other = await accept(database), await accept(database)
    for attempt in range(1, 4):
        assert await give_up(database) == []
        run = await claim(database, poison)
        assert run.attempt == attempt
        # An attempt in flight is not judged, however many there were.
        assert await give_up(database) == []
        if attempt == 2:
            # Its worker was killed, which can be the run's fault, too.
            await change(database, "lease_until = clock_timestamp() - interval '1 millisecond'", poison)
        else:
            async with database.begin() as session:
                await service.release(session, run)
    assert await give_up(database) == [poison]
    row = await service.by_id(database, poison)
    assert (row.status, row.reason) == (
        "FAILED",
        "The last 3 attempts to carry this out ended without getting any further; the log has the details.",
    )
    assert row.finished_at is not None
    assert (await service.by_id(database, other)).status == "QUEUED"
    assert await resend(database) == []
    async with database.begin() as session:
        assert await service.claim(session, poison, LEASE) is None


async def test_a_killed_last_attempt_is_given_up_when_its_lease_ends(database: Database) -> None:
    run_id = await accept(database)
    await claim(database, run_id)
    assert await give_up(database, max_attempts=1) == []
    await change(database, "lease_until = clock_timestamp() - interval '1 millisecond'", run_id)
    assert await give_up(database, max_attempts=1) == [run_id]
    reason = "The last attempt to carry this out ended without getting any further; the log has the details."
    assert (await service.by_id(database, run_id)).reason == reason


async def test_an_attempt_that_got_further_starts_the_count_anew(database: Database) -> None:
    run_id = await accept(database)
    for _ in range(5):
        run = await claim(database, run_id)
        async with database.begin() as session:
            await service.advance(session, run, done=1, position=1)
            await service.release(session, run)
        assert await give_up(database, max_attempts=1) == []
    assert await rows_of(database, "SELECT attempt, fruitless_attempts FROM runs") == [(5, 0)]


async def test_a_sign_of_life_alone_is_no_progress(database: Database) -> None:
    run_id = await accept(database)
    run = await claim(database, run_id)
    async with database.begin() as session:
        await service.progress(session, run, done=0, failed=0)
        await service.release(session, run)
    assert await give_up(database, max_attempts=1) == [run_id]


async def test_stopping_a_worker_does_not_count(listening: Database, settings: Settings) -> None:
    run_id = await accept(listening, ago=60)
    for attempt in range(1, 4):
        async with listening.begin() as session:
            # Its first batch waits, so that it has got nowhere when it is stopped.
            await session.execute(text("SELECT id FROM clients FOR UPDATE"))
            carrying_out = asyncio.create_task(execute(listening, run_id, settings))
            await counted(listening, attempt)
            carrying_out.cancel()
            with pytest.raises(asyncio.CancelledError):
                await carrying_out
        found = await rows_of(listening, "SELECT status, attempt, fruitless_attempts FROM runs")
        assert found == [("QUEUED", attempt, 0)]
        assert await give_up(listening, max_attempts=1) == []
        # The worker's own retry comes before the sweeper.
        assert await resend(listening) == []
    assert await execute(listening, run_id, settings)


async def counted(database: Database, attempt: int) -> None:
    """Wait until the attempt has begun its work, within ten seconds."""
    for _ in range(500):
        if await rows_of(
            database,
            "SELECT r.id FROM runs r JOIN pg_stat_activity ON wait_event_type = 'Lock' "
            "WHERE datname = current_database() AND attempt = :attempt AND status = 'RUNNING'",
            attempt=attempt,
        ):
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"attempt {attempt} has not begun")


async def test_an_error_of_the_run_counts(database: Database, settings: Settings) -> None:
    run_id = await accept(database)
    await change(database, "as_of = NULL", run_id)
    for fruitless in (1, 2):
        with pytest.raises(ValueError, match="needs the moment that it looks from"):
            await execute(database, run_id, settings)
        found = await rows_of(database, "SELECT status, fruitless_attempts FROM runs")
        assert found == [("QUEUED", fruitless)]
    assert await give_up(database, max_attempts=2) == [run_id]
