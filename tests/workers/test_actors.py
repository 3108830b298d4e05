"""The worker as operators run it: a process of its own, told what to do through a real broker."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row, text

from app.database import Database
from app.health import requests
from app.jobs import JobQueue
from app.runs import service
from app.settings import Settings
from tests.factories import add_client

DEADLINE_SECONDS = 60


@contextmanager
def worker(settings: Settings, *, pause_ms: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a running worker, which is gone after the block."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    env = os.environ | {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "RECALCULATION_PAUSE_MS": str(pause_ms),
        "RECALCULATION_BATCH_SIZE": "5",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "worker"], env=env, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(DEADLINE_SECONDS)


async def until(database: Database, run_id: int, holds: Callable[[Row[Any]], bool]) -> Row[Any]:
    """Return the run once `holds` is true of it; fails when that takes too long."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < deadline:
        run = await service.by_id(database, run_id)
        if holds(run):
            return run
        await asyncio.sleep(0.02)
    raise AssertionError(f"the run is still {run.status}, {run.done} done, after {DEADLINE_SECONDS} seconds")


async def finished(database: Database, run_id: int) -> str:
    """Return the status that the run ends with."""
    return str((await until(database, run_id, lambda run: run.finished_at is not None)).status)


async def test_a_worker_carries_out_what_was_accepted(database_url: str, settings: Settings) -> None:
    assert settings.redis_url is not None
    queue = JobQueue(settings.redis_url)
    database = Database(database_url, send_jobs=queue.send)
    now = datetime.now(UTC)
    clients = [await add_client(database) for _ in range(23)]
    with worker(settings):
        async with database.begin() as session:
            everybody = await requests.recalculate_all(session, requested_by="anna", now=now)
            one = await requests.recalculate_one(session, clients[3], requested_by="anna", now=now)
        assert await finished(database, everybody) == "SUCCEEDED"
        assert await finished(database, one) == "SUCCEEDED"
    run = await service.by_id(database, everybody)
    assert (run.total, run.done, run.failed) == (23, 23, 0)
    async with database.read() as connection:
        scored = (await connection.execute(text("SELECT count(*), count(DISTINCT client_id) FROM health_scores"))).one()
    assert tuple(scored) == (23, 23)
    await queue.close()
    await database.close()


async def test_a_stopped_worker_gives_its_run_back_and_the_next_one_finishes_it(
    database_url: str, settings: Settings
) -> None:
    assert settings.redis_url is not None
    queue = JobQueue(settings.redis_url)
    database = Database(database_url, send_jobs=queue.send)
    for _ in range(100):
        await add_client(database)
    with worker(settings, pause_ms=500) as first:
        async with database.begin() as session:
            run_id = await requests.recalculate_all(session, requested_by="anna", now=datetime.now(UTC))
        await until(database, run_id, lambda run: run.done > 0)
        first.send_signal(signal.SIGTERM)
        first.wait(DEADLINE_SECONDS)
    run = await service.by_id(database, run_id)
    assert run.status == "QUEUED"
    assert 0 < run.done < 100
    with worker(settings):
        assert await finished(database, run_id) == "SUCCEEDED"
    run = await service.by_id(database, run_id)
    assert (run.total, run.done, run.failed) == (100, 100, 0)
    await queue.close()
    await database.close()
