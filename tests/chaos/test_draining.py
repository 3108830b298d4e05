"""SIGTERM: what was begun is finished or given back, and the process ends in time."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from app.processes import Child
from tests.chaos import portfolio
from tests.chaos.portfolio import add_portfolio, all_finished, client_id, take_todays_slots
from tests.chaos.service import HOST, Service, ended, polled, service, until
from tests.factories import rows_of

CLIENTS = 40
# What a process may take that has nothing left to wait for. Service managers kill after 10 seconds and more.
STOP_SECONDS = 8.0
BEGUN = "SELECT status, done, lease_until FROM runs WHERE requested_by = 'ann' ORDER BY id"


async def test_a_request_in_flight_is_answered_and_no_new_one_is_taken() -> None:
    async with service() as running:
        await add_portfolio(running.database, 3)
        web = await running.start_web()
        async with locked(running) as lock:
            request = asyncio.create_task(running.ask(portfolio.SUMMARY))
            await until(lambda: waits_for_lock(lock), 60, "the request waits for the database")
            web.process.terminate()
            await until(lambda: refused(running), 30, "new connections are refused")
            assert not await polled(web)
            assert not request.done()
        tiles = {"total": 3, "green": 0, "amber": 0, "red": 0, "unscored": 3}
        assert await request == {"data": {"portfolioSummary": tiles}}
        await ended(web, STOP_SECONDS)


async def test_idle_connections_do_not_keep_the_web_process() -> None:
    async with service() as running:
        web = await running.start_web()
        # One connection that has asked something and may ask more, one that never did, and one that stopped half-way.
        assert "data" in await running.ask(portfolio.SUMMARY)
        with socket.create_connection((HOST, running.port)), socket.create_connection((HOST, running.port)) as half:
            half.sendall(b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
            web.process.terminate()
            await ended(web, STOP_SECONDS)


async def test_a_hung_valkey_does_not_keep_the_processes() -> None:
    async with service() as running:
        clients = await add_portfolio(running.database, CLIENTS)
        await take_todays_slots(running.database)
        web = await running.start_web()
        worker, scheduler = running.start("worker"), running.start("scheduler")
        await running.accept(portfolio.RECALCULATE_ALL)
        await until(lambda: all_finished(running.database), 60, "worker and scheduler are at work")
        running.valkey.process.send_signal(signal.SIGSTOP)
        # Each leaves a message behind that cannot be sent.
        await asyncio.gather(*(running.accept(portfolio.RECALCULATE, id=client_id(number)) for number in clients))
        for child in (web, worker, scheduler):
            child.process.terminate()
        for child in (web, worker, scheduler):
            await ended(child, 2 * STOP_SECONDS)


async def test_a_stopping_worker_gives_back_what_it_was_doing() -> None:
    runs = 3
    async with service(RECALCULATION_BATCH_SIZE="4", RECALCULATION_PAUSE_MS="1000") as running:
        await add_portfolio(running.database, CLIENTS)
        await take_todays_slots(running.database)
        await running.start_web()
        scheduler, worker = running.start("scheduler"), running.start("worker")
        await until(lambda: is_going(running, scheduler), 60, "the scheduler listens to signals")
        await running.accept(portfolio.RECALCULATE_ALL)
        for day in ("2026-01-01", "2026-01-02"):
            await running.accept(portfolio.RECORD_METRICS, date=day)
        await until(lambda: all_begun(running, runs), 60, "the worker is busy with all of them")
        scheduler.process.terminate()
        worker.process.terminate()
        assert await ended(scheduler, STOP_SECONDS) == 0
        await ended(worker, STOP_SECONDS)
        left = await rows_of(running.database, BEGUN)
        assert [(status, 0 < done < CLIENTS, lease) for status, done, lease in left] == [("QUEUED", True, None)] * runs

        running.start("worker")
        await until(lambda: all_finished(running.database), 60, "the next worker has finished them")
        assert await rows_of(running.database, BEGUN) == [("SUCCEEDED", CLIENTS, None)] * runs


async def is_going(running: Service, scheduler: Child) -> bool:
    """Return whether the scheduler has started: a signal that comes before it can listen simply ends it."""
    return "scheduler_started" in running.log_of(scheduler)


async def all_begun(running: Service, runs: int) -> bool:
    """Return whether so many runs have got somewhere."""
    return sum(int(done) > 0 for _, done, _ in await rows_of(running.database, BEGUN)) == runs


@asynccontextmanager
async def locked(running: Service) -> AsyncIterator[asyncpg.Connection]:
    """Keep everybody from the counts of the portfolio until the end of the block."""
    connection = await asyncpg.connect(running.servers.database_url)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE portfolio_counts")
            yield connection
    finally:
        await connection.close()


async def waits_for_lock(connection: asyncpg.Connection) -> bool:
    """Return whether somebody waits for the table."""
    waiting: int = await connection.fetchval(
        "SELECT count(*) FROM pg_locks WHERE relation = 'portfolio_counts'::regclass AND NOT granted"
    )
    return waiting > 0


async def refused(running: Service) -> bool:
    """Return whether the web process takes no new connection."""
    try:
        _, writer = await asyncio.open_connection(HOST, running.port)
    except ConnectionRefusedError:
        return True
    writer.close()
    await writer.wait_closed()
    return False
