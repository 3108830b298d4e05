"""Imports as runs: their progress, their lease, and what becomes of them when the importer is killed."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Row, text

from app.database import Database
from app.ingest import runs as imports
from app.runs import service
from app.runs.execution import execute
from app.runs.service import Claim, LeaseLostError
from app.settings import Settings
from tests.factories import rows_of, utc
from tests.ingest.helpers import write

NOW = utc("2026-03-31T14:30")
LEASE = timedelta(seconds=0.6)
DEADLINE_SECONDS = 20
CLIENTS = "external_id,name\nA,Acme\nB,Beta\n"
MEMBERS = "client,external_id\nA,m1\nB,m1\nnobody,m1\n"


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A folder with two clients, two members, and a member of a client that nobody knows."""
    return write(tmp_path / "export", clients_csv=CLIENTS, members_csv=MEMBERS)


async def accept(database: Database, path: Path) -> int:
    async with database.begin() as session:
        return await imports.request(session, path, requested_by="anna", now=NOW)


async def claim(database: Database, run_id: int, lease: timedelta = LEASE) -> Claim | None:
    async with database.begin() as session:
        return await service.claim(session, run_id, lease)


async def state(database: Database, run_id: int) -> Row[Any]:
    """Return the run's row, its lease and attempt included."""
    async with database.read() as connection:
        return (await connection.execute(text("SELECT * FROM runs WHERE id = :id"), {"id": run_id})).one()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Return once `holds` is true; fails when that takes too long."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not await holds():
        assert time.monotonic() < deadline, f"it does not hold after {DEADLINE_SECONDS} seconds"
        await asyncio.sleep(0.02)


@asynccontextmanager
async def locked(url: str, table: str, mode: str = "SHARE ROW EXCLUSIVE") -> AsyncIterator[None]:
    """Keep everybody from writing the table within the block, or from whatever else the mode does."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table} IN {mode} MODE")
            yield
    finally:
        await connection.close()


async def someone_waits(database: Database) -> bool:
    """Return whether a statement on this database waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return await rows_of(database, waiting) != [(0,)]


async def members(database: Database) -> list[tuple[Any, ...]]:
    return await rows_of(
        database,
        "SELECT c.external_id, m.external_id FROM members AS m JOIN clients AS c ON c.id = client_id ORDER BY 1, 2",
    )


async def test_an_import_is_a_run_that_counts_its_rows(database: Database, settings: Settings, export: Path) -> None:
    run_id = await accept(database, export)
    seen: list[tuple[int, int, int]] = []
    assert await execute(database, run_id, settings, lambda *progress: seen.append(progress))
    run = await state(database, run_id)
    assert (run.kind, run.status, run.requested_by, run.reason) == ("IMPORT", "SUCCEEDED", "anna", None)
    assert run.parameters == {"path": str(export)}
    assert (run.total, run.done, run.failed) == (5, 4, 1)
    assert (2, 1, 3) in seen
    assert await members(database) == [("A", "m1"), ("B", "m1")]
    # Delivered again, a finished import does nothing.
    assert not await execute(database, run_id, settings)


async def test_a_path_is_imported_by_one_run_at_a_time(database: Database, settings: Settings, export: Path) -> None:
    first = await accept(database, export)
    assert await accept(database, export) == first
    assert await accept(database, export.parent) != first
    assert await execute(database, first, settings)
    assert await accept(database, export) != first


async def test_what_cannot_be_imported_fails_with_the_reason(
    database: Database, settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.zip").write_bytes(b"no archive")
    for path in (tmp_path / "missing", tmp_path / "empty", tmp_path / "file.zip"):
        run_id = await accept(database, path)
        assert await execute(database, run_id, settings)
        run = await state(database, run_id)
        assert (run.status, run.done, run.failed, run.lease_until) == ("FAILED", 0, 0, None), path
        assert isinstance(run.finished_at, datetime)
        assert run.reason.startswith(f"{path} "), run.reason
        assert run.reason.endswith(". Import the files again where they are."), run.reason


async def test_a_file_that_cannot_be_read_fails_the_run_and_keeps_the_others(
    database: Database, settings: Settings, export: Path
) -> None:
    write(export, cases_csv="external_id\nk1\n")
    run_id = await accept(database, export)
    assert await execute(database, run_id, settings)
    run = await state(database, run_id)
    assert (run.status, run.done, run.failed) == ("FAILED", 4, 1)
    assert run.reason.startswith("Not every file could be read: cases.csv: ")
    assert "client" in run.reason
    assert await members(database) == [("A", "m1"), ("B", "m1")]


async def test_the_lease_is_renewed_for_as_long_as_the_import_takes(
    database: Database, database_url: str, export: Path
) -> None:
    run_id = await accept(database, export)
    run = await claim(database, run_id)
    assert run is not None
    first_lease = (await state(database, run_id)).lease_until

    async def outlived() -> bool:
        # Whoever tries meanwhile finds the run taken.
        assert await claim(database, run_id) is None
        row = await state(database, run_id)
        return bool(row.lease_until > first_lease + 2 * LEASE and row.done == 2)

    async with locked(database_url, "members"):
        importing = asyncio.create_task(imports.import_claimed(database, run))
        await until(outlived)
    report = await importing
    assert [(file.file, file.new, file.rejected) for file in report.files] == [
        ("clients.csv", 2, 0),
        ("members.csv", 2, 1),
    ]
    row = await state(database, run_id)
    assert (row.status, row.attempt, row.total, row.done, row.failed) == ("SUCCEEDED", 1, 5, 4, 1)


async def test_an_importer_that_lost_its_lease_stops_and_writes_nothing_more(
    database: Database, database_url: str, export: Path
) -> None:
    run_id = await accept(database, export)
    run = await claim(database, run_id)
    assert run is not None
    async with locked(database_url, "members"):
        importing = asyncio.create_task(imports.import_claimed(database, run))
        await until(lambda: someone_waits(database))
        async with database.begin() as session:
            await session.execute(text("UPDATE runs SET attempt = attempt + 1"))
        with pytest.raises(LeaseLostError):
            await importing
    assert await members(database) == []
    row = await state(database, run_id)
    assert (row.status, row.attempt, row.reason) == ("RUNNING", 2, None)


async def test_a_cancelled_import_gives_its_run_back(
    database: Database, database_url: str, settings: Settings, export: Path
) -> None:
    run_id = await accept(database, export)
    async with locked(database_url, "members"):
        importing = asyncio.create_task(execute(database, run_id, settings))
        await until(lambda: someone_waits(database))
        importing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await importing
    assert (await state(database, run_id)).status == "QUEUED"
    assert await execute(database, run_id, settings)
    row = await state(database, run_id)
    assert (row.status, row.attempt, row.total, row.done, row.failed) == ("SUCCEEDED", 2, 5, 4, 1)


@contextmanager
def command(settings: Settings, path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield `client-health import` with a short lease, which is gone after the block."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    env = os.environ | {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "RUN_LEASE_SECONDS": "2",
    }
    process = subprocess.Popen(  # noqa: S603 - the arguments are the test's own.
        [sys.executable, "-m", "app.cli", "import", str(path)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(DEADLINE_SECONDS)


async def test_what_a_killed_importer_began_another_one_finishes(
    database: Database, database_url: str, settings: Settings, export: Path
) -> None:
    async def counted() -> bool:
        return await someone_waits(database) and await rows_of(database, "SELECT done FROM runs") == [(2,)]

    async with locked(database_url, "members"):
        with command(settings, export) as process:
            await until(counted)
            process.send_signal(signal.SIGKILL)
    ((run_id,),) = await rows_of(database, "SELECT id FROM runs")
    row = await state(database, run_id)
    assert (row.status, row.attempt, row.done, row.requested_by) == ("RUNNING", 1, 2, "command line")
    # Nobody takes the run before the lease of the dead is over, and then the next one does.
    assert not await execute(database, run_id, settings)
    await until(lambda: execute(database, run_id, settings))
    row = await state(database, run_id)
    assert (row.status, row.attempt, row.total, row.done, row.failed) == ("SUCCEEDED", 2, 5, 4, 1)
    assert await members(database) == [("A", "m1"), ("B", "m1")]
    assert await rows_of(database, "SELECT count(*) FROM clients") == [(2,)]
