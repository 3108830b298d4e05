"""A worker that dies is replaced in time, and one that was only paused has nothing more to say when it goes on."""

import signal
import sys
import time
from typing import Any

import pytest

from app.database import Database
from app.processes import Child
from tests.chaos import portfolio
from tests.chaos.gate import gate, held_up
from tests.chaos.portfolio import add_portfolio, all_finished, take_todays_slots
from tests.chaos.service import Service, ended, service, signal_all, until
from tests.factories import rows_of

# Within these seconds of a worker's death its run goes on, with the settings that the service comes with.
RESCUE_SECONDS = 20.0
CLIENTS = 20
SHORT_LEASE = {"RUN_LEASE_SECONDS": "4", "RECALCULATION_BATCH_SIZE": "5"}

# Every table that a recalculation writes.
WRITTEN = (
    "SELECT client_id, day, calculated_at, xmin::text FROM health_scores ORDER BY 1, 2",
    "SELECT id, scored_day, calculated_at, xmin::text FROM clients ORDER BY 1",
    "SELECT id, status, done, failed, total, attempt, finished_at, xmin::text FROM runs ORDER BY 1",
    "SELECT id, client_id, xmin::text FROM alerts ORDER BY 1",
    "SELECT id, run_id, xmin::text FROM audit_events ORDER BY 1",
    "SELECT run_id, client_id, xmin::text FROM run_errors ORDER BY 1, 2",
)


async def test_a_killed_workers_run_goes_on_within_20_seconds() -> None:
    async with service(RECALCULATION_BATCH_SIZE="1", RECALCULATION_PAUSE_MS="200") as running:
        await add_portfolio(running.database, CLIENTS)
        await take_todays_slots(running.database)
        await running.start_web()
        running.start("scheduler")
        worker = running.start("worker")
        await running.accept(portfolio.RECALCULATE_ALL)
        before = await progress(running.database, beyond=3, seconds=60)
        signal_all(worker, signal.SIGKILL)
        killed = time.monotonic()
        await ended(worker, 30)
        running.start("worker")
        # What was committed between the look and the kill is not the successor's work.
        await until(lambda: attempted(running.database, 2), RESCUE_SECONDS, "the run is claimed again")
        seconds = time.monotonic() - killed
        assert seconds < RESCUE_SECONDS
        await progress(running.database, beyond=before + 1, seconds=60)
        sys.stdout.write(f"The run went on after {seconds:.1f} s.\n")
        await until(lambda: all_finished(running.database), 60, "the run is finished")
        run = await rows_of(running.database, "SELECT done, failed, attempt FROM runs WHERE requested_by = 'ann'")
        assert run == [(CLIENTS, 0, 2)]


@pytest.mark.parametrize("where", ["between two batches", "in the middle of a batch"])
async def test_a_worker_that_was_paused_past_its_lease_writes_nothing(where: str) -> None:
    async with service(**SHORT_LEASE, RECALCULATION_PAUSE_MS="500") as running:
        database = running.database
        await add_portfolio(database, CLIENTS, fallen=CLIENTS // 2)
        await take_todays_slots(database)
        await running.start_web()
        running.start("scheduler")
        paused = running.start("worker")
        if where == "between two batches":
            await running.accept(portfolio.RECALCULATE_ALL)
            await progress(database, beyond=0, seconds=60)
            signal_all(paused, signal.SIGSTOP)
        else:
            await pause_in_batch(running, paused)
        running.start("worker")
        await until(lambda: all_finished(database), 60, "another worker has finished the run")
        assert (await rows_of(database, "SELECT status, total, done FROM runs WHERE requested_by = 'ann'")) == [
            ("SUCCEEDED", CLIENTS, CLIENTS)
        ]
        left = await snapshot(database)
        signal_all(paused, signal.SIGCONT)
        await until(lambda: gave_up(running, paused), 60, "the paused worker notices that it has lost its run")
        # Its end is the last moment at which it could write.
        paused.process.terminate()
        await ended(paused, 60)
        assert await snapshot(database) == left
        alerts = await rows_of(database, "SELECT count(*), count(DISTINCT client_id) FROM alerts")
        assert alerts == [(CLIENTS // 2, CLIENTS // 2)]


async def pause_in_batch(running: Service, worker: Child) -> None:
    """Have the worker begin a run, and pause it while its first batch is written and not committed."""
    async with gate(running) as closed:
        await running.accept(portfolio.RECALCULATE_ALL)
        await until(lambda: held_up(closed), 60, "the worker waits in the middle of its batch")
        signal_all(worker, signal.SIGSTOP)
    # The gate is open now, and the answer to the worker's statement comes while it does not listen.


async def attempted(database: Database, attempt: int) -> bool:
    """Return whether the run was claimed this many times."""
    return await rows_of(database, "SELECT attempt FROM runs WHERE requested_by = 'ann'") == [(attempt,)]


async def progress(database: Database, *, beyond: int, seconds: float) -> int:
    """Return how many clients of the run are done as soon as they are more than `beyond`."""

    async def look() -> int:
        [(done,)] = await rows_of(database, "SELECT done FROM runs WHERE requested_by = 'ann'")
        return int(done) if done > beyond else 0

    return await until(look, seconds, f"more than {beyond} clients are done")


async def gave_up(running: Service, worker: Child) -> bool:
    """Return whether the worker has logged that its run is no longer its own."""
    log = running.log_of(worker)
    return "run_lease_lost" in log or "run_interrupted" in log


async def snapshot(database: Database) -> list[list[tuple[Any, ...]]]:
    """Return all rows that a run can write, with the transaction that wrote each."""
    return [await rows_of(database, statement) for statement in WRITTEN]
