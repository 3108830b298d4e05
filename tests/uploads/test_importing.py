"""Importing an upload: in pieces, by one attempt after the other, and never twice."""

import asyncio
from datetime import timedelta
from typing import IO, Any, cast

import asyncpg
import pytest
from sqlalchemy import Connection, Row, text

from app.database import Database
from app.errors import Unavailable
from app.ingest.formats import FILE_KINDS
from app.ingest.reading import Reader
from app.ingest.service import CHUNK_ROWS
from app.ingest.sources import Source
from app.runs import service as runs
from app.runs.batches import Pace
from app.runs.execution import execute
from app.runs.service import Claim, LeaseLostError
from app.settings import Settings
from app.uploads import service
from app.uploads.importing import StoredBytes, carry_import
from app.uploads.models import UploadFormat
from tests.factories import add_client, rows_of, utc
from tests.runs.test_imports import locked, someone_waits, until

NOW = utc("2026-03-31T14:30")
LEASE = timedelta(seconds=60)
PACE = Pace(1, timedelta(0))


async def upload(
    database: Database, kind: str, content: bytes, *, form: UploadFormat = UploadFormat.CSV, piece: int = 1_000_000
) -> int:
    """Store an upload in pieces of so many bytes, accept its import, and return the run's id."""
    async with database.begin() as session:
        upload_id = await service.begin(session, kind, form, None)
    for number, start in enumerate(range(0, len(content), piece)):
        async with database.begin() as session:
            await service.add(session, upload_id, number, service.packed(content[start : start + piece]))
    async with database.begin() as session:
        return await service.accept(session, upload_id, len(content), requested_by="anna", now=NOW, request_id=None)


async def claim(database: Database, run_id: int) -> Claim:
    async with database.begin() as session:
        run = await runs.claim(session, run_id, LEASE)
    assert run is not None
    return run


async def state(database: Database, run_id: int) -> Row[Any]:
    async with database.read() as connection:
        return await service.state(connection, run_id, None)


def counts(row: Row[Any]) -> tuple[int, ...]:
    return row.read, row.new, row.changed, row.unchanged, row.rejected


async def run_row(database: Database, run_id: int) -> tuple[Any, ...]:
    return (await rows_of(database, f"SELECT status, attempt, total, done, failed FROM runs WHERE id = {run_id}"))[0]


def members(number: int) -> bytes:
    """Return the rows of so many members, of which every hundredth belongs to nobody."""
    lines = [f"{'A' if n % 100 else 'nobody'},m{n}" for n in range(number)]
    return "\n".join(["client,external_id", *lines, ""]).encode()


@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
@pytest.mark.parametrize("form", UploadFormat)
async def test_it_does_not_matter_where_the_pieces_end(
    database: Database, settings: Settings, piece: int, form: UploadFormat
) -> None:
    csv = 'external_id,name\r\nA,"Ünïcode\nand 東京"\r\nB,Beta'
    lines = '{"external_id": "A", "name": "Ünïcode\\nand 東京"}\n{"external_id": "B", "name": "Beta"}'
    content = (csv if form is UploadFormat.CSV else lines).encode()
    run_id = await upload(database, "clients", content, form=form, piece=piece)
    assert await execute(database, run_id, settings)
    assert counts(await state(database, run_id)) == (2, 2, 0, 0, 0)
    names = await rows_of(database, "SELECT external_id, name FROM clients ORDER BY 1")
    assert names == [("A", "Ünïcode\nand 東京"), ("B", "Beta")]


async def test_progress_is_told_chunk_by_chunk(database: Database) -> None:
    await add_client(database, external_id="A")
    run_id = await upload(database, "members", members(CHUNK_ROWS + 200))
    told: list[tuple[int, int, int]] = []
    await carry_import(database, await claim(database, run_id), PACE, lambda *progress: told.append(progress))
    assert told == [(4_950, 50, 5_000), (5_148, 52, 5_200)]
    assert await run_row(database, run_id) == ("SUCCEEDED", 1, 5_200, 5_148, 52)


async def test_another_attempt_goes_on_where_the_last_has_ended(
    database: Database, settings: Settings, database_url: str
) -> None:
    await add_client(database, external_id="A")
    run_id = await upload(database, "members", members(2 * CHUNK_ROWS + 500))
    gate = await asyncpg.connect(database_url)
    try:
        # The first chunk goes through, and the second waits.
        await gate.execute(
            "CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF (SELECT read FROM uploads) > 0 THEN "
            "PERFORM pg_advisory_xact_lock_shared(7); END IF; RETURN NULL; END $$"
        )
        await gate.execute("CREATE TRIGGER wait AFTER INSERT ON members FOR EACH STATEMENT EXECUTE FUNCTION wait()")
        await gate.execute("SELECT pg_advisory_lock(7)")
        importing = asyncio.create_task(execute(database, run_id, settings))
        await until(lambda: someone_waits(database))
        importing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await importing
    finally:
        await gate.close()
    half = await state(database, run_id)
    assert (half.status, *counts(half)) == ("QUEUED", 5_000, 4_950, 0, 0, 50)
    before = await rows_of(database, "SELECT ctid::text, xmin::text FROM members ORDER BY id")
    assert await execute(database, run_id, settings)
    whole = await state(database, run_id)
    # Whatever the second attempt would have done again had counted as unchanged.
    assert (whole.status, *counts(whole)) == ("SUCCEEDED", 10_500, 10_395, 0, 0, 105)
    assert await run_row(database, run_id) == ("SUCCEEDED", 2, 10_500, 10_395, 105)
    assert (await rows_of(database, "SELECT ctid::text, xmin::text FROM members ORDER BY id"))[:4_950] == before
    assert await rows_of(database, "SELECT count(DISTINCT line), count(*) FROM rejected_rows") == [(105, 105)]


async def test_who_has_lost_the_run_writes_nothing_and_leaves_the_content(database: Database) -> None:
    await add_client(database, external_id="A")
    for content in (members(300), b"client\nA\n"):
        run_id = await upload(database, "members", content)
        lost = await claim(database, run_id)
        async with database.begin() as session:
            await session.execute(text("UPDATE runs SET attempt = attempt + 1 WHERE id = :id"), {"id": run_id})
        with pytest.raises(LeaseLostError):
            await carry_import(database, lost, PACE)
        assert counts(await state(database, run_id)) == (0, 0, 0, 0, 0)
        chunks = f"SELECT count(*) FROM upload_chunks c JOIN uploads u ON u.id = c.upload_id WHERE run_id = {run_id}"
        assert await rows_of(database, chunks) == [(1,)]
        assert await run_row(database, run_id) == ("RUNNING", 2, None, 0, 0)
    assert await rows_of(database, "SELECT count(*) FROM members") == [(0,)]


async def test_a_database_that_is_lost_while_it_is_read_is_no_broken_file(
    database: Database, settings: Settings, admin: asyncpg.Connection, database_url: str
) -> None:
    await add_client(database, external_id="A")
    run_id = await upload(database, "members", members(300))
    async with locked(database_url, "upload_chunks", "ACCESS EXCLUSIVE"):
        importing = asyncio.create_task(execute(database, run_id, settings))
        await until(lambda: someone_waits(database))
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = $1",
            database.engine.url.database,
        )
        with pytest.raises(Exception, match="terminating connection"):
            await importing
    assert await run_row(database, run_id) == ("QUEUED", 1, None, 0, 0)
    assert await execute(database, run_id, settings)
    assert counts(await state(database, run_id)) == (300, 297, 0, 0, 3)


def test_a_connection_that_breaks_while_it_is_read_is_no_broken_file_either() -> None:
    class Broken:
        def execute(self, *_: object) -> None:
            raise ConnectionResetError("Connection reset by peer")

    stream = StoredBytes(1)
    stream.connection = cast("Connection", Broken())
    source = Source("clients.csv", FILE_KINDS[0], 100, lambda: cast("IO[bytes]", stream))
    with pytest.raises(Unavailable):
        next(Reader(source).chunks(CHUNK_ROWS))


async def test_the_import_of_an_upload_that_is_gone_fails_and_says_so(database: Database, settings: Settings) -> None:
    run_id = await upload(database, "clients", b"external_id,name\nA,Acme\n")
    async with database.begin() as session:
        await session.execute(text("DELETE FROM uploads"))
    assert await execute(database, run_id, settings)
    assert await rows_of(database, "SELECT status, reason FROM runs") == [("FAILED", "What was uploaded is gone.")]
    assert await rows_of(database, "SELECT count(*) FROM clients") == [(0,)]


async def test_the_moment_of_the_request_decides_who_has_churned(database: Database, settings: Settings) -> None:
    soon = (NOW + timedelta(minutes=1)).isoformat()
    content = f"external_id,name,churned_at\nA,Acme,{soon}\nB,Beta,{NOW.isoformat()}\n".encode()
    assert await execute(database, await upload(database, "clients", content), settings)
    statuses = await rows_of(database, "SELECT external_id, status FROM clients ORDER BY 1")
    assert statuses == [("A", "ACTIVE"), ("B", "CHURNED")]


async def test_what_took_too_long_is_not_accepted_and_what_is_accepted_is_not_dropped(database: Database) -> None:
    run_id = await upload(database, "clients", b"external_id,name\nA,Acme\n")
    async with database.begin() as session:
        late = await service.begin(session, "clients", UploadFormat.CSV, None)
        await session.execute(
            text("UPDATE uploads SET started_at = started_at - interval '2 hours' WHERE id = :id"), {"id": late}
        )
    with pytest.raises(Exception, match="took too long"):
        async with database.begin() as session:
            await service.accept(session, late, 1, requested_by="anna", now=NOW, request_id=None)
    assert await rows_of(database, "SELECT id FROM runs") == [(run_id,)]
    async with database.begin() as session:
        for (upload_id,) in await rows_of(database, "SELECT id FROM uploads"):
            await service.drop(session, upload_id)
    assert await rows_of(database, "SELECT run_id FROM uploads") == [(run_id,)]
