"""Rows that are sent over HTTP while everything fails that takes or imports them, and what that costs in memory."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from sqlalchemy import text

from app.embedded import restart_dead
from app.processes import Child
from tests.chaos.gate import GATE, WAITS
from tests.chaos.service import Service, end, ended, service, signal_all, until
from tests.factories import rows_of

SETTINGS = {"RUN_LEASE_SECONDS": "2", "SWEEP_AFTER_SECONDS": "1"}
CSV = {"Content-Type": "text/csv"}
HEADER = b"client,external_id\n"
SECONDS = 60.0

# Lets two chunks of an import through, and holds up the third.
GATE_ON_MEMBERS = f"""
CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  IF (SELECT max(read) FROM uploads) >= 10000 THEN PERFORM pg_advisory_xact_lock_shared({GATE}); END IF;
  RETURN NULL; END $$;
CREATE TRIGGER wait_at_gate AFTER INSERT ON members FOR EACH STATEMENT EXECUTE FUNCTION wait_at_gate();
"""

Act = Callable[[], Coroutine[Any, Any, None]]


async def send(running: Service, kind: str, content: bytes | AsyncIterator[bytes]) -> httpx2.Response:
    return await running.http.post(f"/v1/import/{kind}", content=content, headers=CSV, timeout=SECONDS)


async def state_of(running: Service, url: str) -> dict[str, Any]:
    """Return what has become of an import."""
    answer = await running.http.get(url)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def finished(running: Service, url: str) -> dict[str, Any]:
    """Return what has become of an import once its run has ended."""

    async def look() -> dict[str, Any] | None:
        state = await state_of(running, url)
        return state if state["finishedAt"] else None

    state = await until(look, SECONDS, "the import has ended")
    assert state is not None
    return state


async def one(running: Service, query: str) -> Any:
    """Return the one value that a query gives."""
    return (await rows_of(running.database, query))[0][0]


async def breaking_off(running: Service, act: Act) -> AsyncIterator[bytes]:
    """Yield rows without an end, and act as soon as some of them are stored."""
    yield HEADER
    line = b"A,m1\n" * 10_000
    before = await one(running, "SELECT count(*) FROM upload_chunks")
    while await one(running, "SELECT count(*) FROM upload_chunks") == before:
        yield line
    await act()
    for _ in range(100):
        yield line


async def test_a_killed_workers_import_is_finished_by_the_next_and_every_row_counted_once() -> None:
    async with service(**SETTINGS) as running:
        await running.start_web()
        assert (await send(running, "clients", b"external_id,name\nA,Acme\n")).status_code == 202
        running.start("scheduler")
        worker = running.start("worker")
        await until(lambda: one(running, "SELECT count(*) FROM clients"), SECONDS, "there is a client")
        # One of a hundred is of a client that nobody knows.
        rows = b"".join(b"%s,m%d\n" % (b"A" if number % 100 else b"nobody", number) for number in range(22_000))
        gate = await asyncpg.connect(running.servers.database_url)
        try:
            await gate.execute(GATE_ON_MEMBERS)
            await gate.execute(f"SELECT pg_advisory_lock({GATE})")
            url = (await send(running, "members", HEADER + rows)).json()["url"]
            # Imports wait for each other as well, for another lock.
            waits = f"SELECT count(*) FROM pg_locks WHERE {WAITS}"
            await until(lambda: one(running, waits), SECONDS, "the worker waits in the middle of the import")
            signal_all(worker, signal.SIGKILL)
            await ended(worker, 30)
            state = await state_of(running, url)
            assert (state["status"], state["read"], state["new"], state["rejected"]) == ("RUNNING", 10_000, 9_900, 100)
        finally:
            await gate.close()
        running.start("worker")
        state = await finished(running, url)
        assert state["status"] == "SUCCEEDED"
        assert [state[name] for name in ("read", "new", "changed", "unchanged", "rejected")] == [
            22_000,
            21_780,
            0,
            0,
            220,
        ]
        assert await one(running, "SELECT count(*) FROM members") == 21_780
        assert await one(running, "SELECT count(*) FROM rejected_rows") == 220
        assert await one(running, "SELECT count(*) FROM upload_chunks") == 0
        [run] = await rows_of(
            running.database,
            "SELECT total, done, failed, attempt FROM runs WHERE kind = 'IMPORT' ORDER BY id DESC LIMIT 1",
        )
        assert run == (22_000, 21_780, 220, 2)


async def test_what_broke_off_is_sent_again_and_what_had_arrived_of_it_removed() -> None:
    async with service(**SETTINGS) as running:
        web = await running.start_web()

        async def kill_web() -> None:
            end(web)

        async def kill_postgres() -> None:
            running.postgres.process.kill()
            await asyncio.to_thread(running.postgres.process.wait, 10)

        with pytest.raises(httpx2.TransportError):
            await send(running, "members", breaking_off(running, kill_web))
        assert await one(running, "SELECT count(*) FROM uploads WHERE run_id IS NULL") == 1
        await running.start_web()
        refused = await send(running, "members", breaking_off(running, kill_postgres))
        assert (refused.status_code, refused.json()["code"]) == (503, "UNAVAILABLE")
        assert refused.headers["retry-after"] in {"1", "2"}
        assert restart_dead(running.servers) == ["postgres"]
        # The test's own connections are lost as well.
        await running.database.engine.dispose()

        async def taken() -> dict[str, Any] | None:
            answer = await send(running, "clients", b"external_id,name\nA,Acme\n")
            assert answer.status_code in {202, 503}, answer.text
            body: dict[str, Any] = answer.json()
            return body if answer.status_code == 202 else None

        accepted = await until(taken, SECONDS, "an import is taken again")
        assert accepted is not None
        running.start("worker")
        broken = "SELECT count(*) FROM uploads WHERE run_id IS NULL"
        # What is killed in the tests, whose PostgreSQL does not wait for its disk, may have lost the other one.
        assert await one(running, broken) in {1, 2}
        async with running.database.begin() as session:
            await session.execute(text("UPDATE uploads SET started_at = started_at - interval '2 hours'"))
        running.start("scheduler")
        assert (await finished(running, accepted["url"]))["new"] == 1
        await until(lambda: none_left(running, broken), SECONDS, "the scheduler has removed what broke off")
        assert await one(running, "SELECT count(*) FROM upload_chunks") == 0
        assert (await state_of(running, accepted["url"]))["new"] == 1


async def test_a_body_of_any_length_takes_little_memory() -> None:
    async with service() as running:
        web = await running.start_web()
        assert (await send(running, "clients", b"external_id,name\nA,Acme\n")).status_code == 202
        before, rows = peak(web), 100_000
        # A column that is not known makes the rows as long as one likes: 120 MB of them.
        row = b"A,m%06d," + b"x" * 1_189 + b"\n"

        async def body() -> AsyncIterator[bytes]:
            yield b"client,external_id,note\n"
            for first in range(0, rows, 100):
                yield b"".join(row % number for number in range(first, first + 100))

        accepted = await send(running, "members", body())
        assert accepted.status_code == 202, accepted.text
        grown = peak(web) - before
        size = await one(running, "SELECT size FROM uploads ORDER BY id DESC LIMIT 1")
        assert size == len(b"client,external_id,note\n") + rows * 1_200
        assert grown < size / 4, (before, grown)


def peak(child: Child) -> int:
    """Return the most bytes of memory that the process has had at a time."""
    lines = Path(f"/proc/{child.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


async def none_left(running: Service, query: str) -> bool:
    return bool(await one(running, query) == 0)
