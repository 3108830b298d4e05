"""The scheduler as operators run it, while the worker, Valkey and PostgreSQL fail it in every way."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import redis
from dramatiq import Message
from sqlalchemy import text

from app.database import Database
from app.health import requests
from app.jobs import EXECUTE_RUN, QUEUES, Job, JobQueue
from app.runs.models import RunKind
from app.runs.service import request
from app.settings import Settings
from tests.factories import add_client, rows_of
from tests.workers.test_actors import finished, until
from workers.scheduler import keep_going

DEADLINE_SECONDS = 40
QUICK = timedelta(milliseconds=50)


@contextmanager
def running(settings: Settings, command: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running process of the service, which is gone after the block."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    env = os.environ | {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url} | variables
    process = subprocess.Popen(  # noqa: S603 - the commands are literals of the tests.
        [sys.executable, "-m", "app.cli", command], env=env, stderr=subprocess.PIPE, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=DEADLINE_SECONDS)


@asynccontextmanager
async def turning(database: Database, settings: Settings, redis_url: str) -> AsyncIterator[asyncio.Task[None]]:
    """Yield a scheduler in this process, with short turns, that sends to the server at `redis_url`."""
    queue = JobQueue(redis_url)
    task = asyncio.create_task(keep_going(database, queue, settings, period=QUICK))
    yield task
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await queue.close()


async def becomes(condition: Callable[[], Awaitable[bool]]) -> bool:
    """Return whether the condition comes true within the deadline."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        if await condition():
            return True
        await asyncio.sleep(0.05)
    return False


async def accept(database: Database, how_many: int) -> list[int]:
    """Accept runs without a message: nothing but the scheduler can start them."""
    runs = []
    for _ in range(how_many):
        client_id = await add_client(database)
        async with database.begin() as session:
            runs.append(await requests.recalculate_one(session, client_id, requested_by="anna", now=datetime.now(UTC)))
    return runs


async def test_the_daily_runs_are_done_and_lost_messages_are_sent_again(database: Database, settings: Settings) -> None:
    assert settings.redis_url is not None
    runs = await accept(database, 20)
    with running(settings, "scheduler", SWEEP_AFTER_SECONDS="1"):

        async def all_sent() -> bool:
            return await rows_of(database, "SELECT id FROM runs WHERE requested_by = 'anna' AND sent_at IS NULL") == []

        assert await becomes(all_sent)
        # Valkey forgets everything, and only then there is a worker.
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushall()
        with running(settings, "worker"):
            assert [await finished(database, run_id) for run_id in runs] == ["SUCCEEDED"] * 20

            async def both_slots() -> bool:
                done = "SELECT s.job FROM slots s JOIN runs r ON r.id = s.run_id WHERE status = 'SUCCEEDED' ORDER BY 1"
                return await rows_of(database, done) == [("RECALCULATE_ALL",), ("RECORD_METRICS",)]

            assert await becomes(both_slots)
    twice = await rows_of(database, "SELECT client_id FROM health_scores GROUP BY client_id, day HAVING count(*) > 1")
    assert twice == []


async def test_a_killed_workers_run_is_rescued_when_its_lease_ends(database: Database, settings: Settings) -> None:
    for _ in range(40):
        await add_client(database)
    slow = {"RECALCULATION_BATCH_SIZE": "5", "RUN_LEASE_SECONDS": "4"}
    async with database.begin() as session:
        run_id = await requests.recalculate_all(session, requested_by="anna", now=datetime.now(UTC))
    with running(settings, "scheduler", SWEEP_AFTER_SECONDS="1", METRICS_TIME="00:00", RECALCULATION_TIME="00:00"):
        with running(settings, "worker", RECALCULATION_PAUSE_MS="500", **slow) as first:
            before = await until(database, run_id, lambda run: run.done > 0)
            os.killpg(first.pid, signal.SIGKILL)
            first.wait(DEADLINE_SECONDS)
        assert before.done < 40
        with running(settings, "worker", RECALCULATION_PAUSE_MS="0", **slow):
            assert await finished(database, run_id) == "SUCCEEDED"
    assert await rows_of(database, "SELECT done, failed, attempt FROM runs WHERE id = :id", id=run_id) == [(40, 0, 2)]


async def test_a_poison_run_is_given_up_and_the_others_are_done(database: Database, settings: Settings) -> None:
    async with database.begin() as session:
        # It does not say the moment that it looks from, which no recalculation can do without.
        poison = await request(session, RunKind.RECALCULATE_ALL, requested_by="mallory", now=datetime.now(UTC))
    good = await accept(database, 3)
    with (
        running(settings, "scheduler", SWEEP_AFTER_SECONDS="1", MAX_ATTEMPTS="3"),
        running(settings, "worker"),
    ):
        assert [await finished(database, run_id) for run_id in good] == ["SUCCEEDED"] * 3
        run = await until(database, poison, lambda run: run.finished_at is not None)
    assert run.status == "FAILED"
    assert run.reason == (
        "The last 3 attempts to carry this out ended without getting any further; the log has the details."
    )


async def test_a_scheduler_stops_at_once_when_asked(database: Database, settings: Settings) -> None:
    with running(settings, "scheduler") as process:
        assert await becomes(lambda: has_slots(database, 1))
        asked = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert time.monotonic() - asked < 10
    assert process.returncode == 0
    assert b"scheduler_stopped" in errors
    assert b"Traceback" not in errors


async def has_slots(database: Database, at_least: int) -> bool:
    return len(await rows_of(database, "SELECT job FROM slots")) >= at_least


async def test_a_silent_valkey_stops_neither_the_slots_nor_the_end(database: Database, settings: Settings) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        hung = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{silent.getsockname()[1]}/0"})
        runs = await accept(database, 1)
        with running(hung, "scheduler", SWEEP_AFTER_SECONDS="1") as process:
            assert await becomes(lambda: has_slots(database, 1))
            async with database.begin() as session:
                await session.execute(text("UPDATE runs SET status = 'SUCCEEDED' WHERE requested_by = 'schedule'"))
            assert await becomes(lambda: has_slots(database, 2))
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=DEADLINE_SECONDS)
        assert time.monotonic() - asked < 10
        assert process.returncode == 0
        assert b"step_failed" in errors
        # What could not be sent does not count as sent.
        assert await rows_of(database, "SELECT sent_at FROM runs WHERE id = :id", id=runs[0]) == [(None,)]


async def test_valkey_is_never_filled_with_messages_that_nobody_reads(database: Database, settings: Settings) -> None:
    assert settings.redis_url is not None
    queue = JobQueue(settings.redis_url)
    queue.send([Job(EXECUTE_RUN, (0,))] * 100)
    assert await becomes(lambda: holds(queue, 100))
    await accept(database, 1)
    async with database.begin() as session:
        await session.execute(text("UPDATE runs SET requested_at = requested_at - interval '1 hour'"))
    sent = "SELECT id FROM runs WHERE sent_at IS NOT NULL"
    async with turning(database, settings, settings.redis_url):
        assert await becomes(lambda: has_slots(database, 1))
        await asyncio.sleep(20 * QUICK.total_seconds())
        assert await rows_of(database, sent) == []
        with redis.Redis.from_url(settings.redis_url) as client:
            client.flushall()

        async def is_sent() -> bool:
            return await rows_of(database, sent) != []

        assert await becomes(is_sent)
    await queue.close()


async def holds(queue: JobQueue, messages: int) -> bool:
    return await queue.size(EXECUTE_RUN) == messages


async def test_the_messages_are_those_that_workers_read(database: Database, settings: Settings) -> None:
    assert settings.redis_url is not None
    queue = JobQueue(settings.redis_url)
    with redis.Redis.from_url(settings.redis_url) as client:
        sending = Database(settings.database_url or "", pool_size=1, send_jobs=queue.send)
        (run_id,) = await accept(database, 1)
        async with sending.begin() as session:
            await session.execute(text("UPDATE runs SET requested_at = requested_at - interval '1 hour'"))
        async with turning(sending, settings, settings.redis_url):
            assert await becomes(lambda: holds(queue, 2))
        messages = [Message.decode(raw) for raw in client.hvals(f"dramatiq:{QUEUES[EXECUTE_RUN]}.msgs")]
        assert {message.actor_name for message in messages} == {EXECUTE_RUN}
        assert (run_id,) in [message.args for message in messages]
        await sending.close()
    await queue.close()


async def test_the_scheduler_recovers_with_the_database(
    database: Database, admin: asyncpg.Connection, settings: Settings, database_url: str
) -> None:
    assert settings.redis_url is not None
    name = database_url.partition("?")[0].rpartition("/")[2]
    own = Database(database_url, pool_size=1)
    async with turning(own, settings, settings.redis_url) as task:
        assert await becomes(lambda: has_slots(database, 1))
        await database.close()
        # Nobody gets in, and whoever was in is thrown out, as at a restart.
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        await admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
        await asyncio.sleep(10 * QUICK.total_seconds())
        assert not task.done()
        await admin.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
        async with database.begin() as session:
            await session.execute(text("UPDATE runs SET status = 'SUCCEEDED'"))
        assert await becomes(lambda: has_slots(database, 2))
        assert not task.done()
    await own.close()


@pytest.mark.parametrize("missing", ["database_url", "redis_url"])
def test_a_scheduler_without_a_server_says_which(settings: Settings, missing: str) -> None:
    env = os.environ | {
        name.upper(): str(getattr(settings, name)) for name in ("database_url", "redis_url") if name != missing
    }
    ended = subprocess.run(
        [sys.executable, "-m", "app.cli", "scheduler"], env=env, capture_output=True, text=True, timeout=20, check=False
    )
    assert (ended.returncode, ended.stderr.strip()) == (2, f"client-health: {missing.upper()} is not set.")
