"""Importing an upload: its run reads it from the database in pieces, and goes on where an earlier attempt ended."""

import io
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import IO, Any, cast

from sqlalchemy import Connection, Row
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database, fetch
from app.errors import Unavailable
from app.ingest.formats import KINDS
from app.ingest.reading import Reader, SourceRow, UnreadableFile
from app.ingest.rules import printable
from app.ingest.runs import import_run
from app.ingest.service import CHUNK_ROWS, StoredChunk, store_chunk
from app.ingest.sources import Source
from app.runs import service as runs
from app.runs.batches import Pace, Progress
from app.runs.service import Claim
from app.uploads import queries, service

# Rejected rows that are kept of one upload. A feed that is broken is broken in the same way everywhere.
MAX_REJECTED = 10_000
# Characters that are kept of what a rejected row held.
MAX_CONTENT = 4_000


class StoredBytes(io.BufferedIOBase):
    """The unpacked content of an upload, to be read by code that knows nothing of coroutines.

    Reading is possible within SQLAlchemy's `run_sync` only, with `connection` set to what that calls with.
    """

    connection: Connection

    def __init__(self, upload_id: int) -> None:
        self._upload_id = upload_id
        self._number = 0
        self._chunk = b""
        # Bytes of the chunk, and of all chunks, that have been read.
        self._in_chunk = self._in_all = 0

    def readable(self) -> bool:
        """Say that bytes can be read."""
        return True

    def tell(self) -> int:
        """Return how many bytes have been read."""
        return self._in_all

    def read1(self, size: int = -1, /) -> bytes:
        """Return the next bytes, at most `size` of them, and none at the end."""
        if self._in_chunk == len(self._chunk):
            self._chunk, self._in_chunk = self._next_chunk(), 0
        part = self._chunk[self._in_chunk :] if size < 0 else self._chunk[self._in_chunk : self._in_chunk + size]
        self._in_chunk += len(part)
        self._in_all += len(part)
        return part

    def _next_chunk(self) -> bytes:
        values = {"id": self._upload_id, "number": self._number}
        try:
            content = self.connection.execute(queries.CHUNK, values).scalar()
        except OSError as error:
            # A broken file would be one as well, and the run would be over.
            raise Unavailable("The database does not answer.") from error
        self._number += 1
        return b"" if content is None else zlib.decompress(content)


async def carry_import(database: Database, run: Claim, pace: Pace, progress: Progress | None = None) -> None:
    """Import what the run is about: an upload, or files of this machine.

    Raises LeaseLostError when another attempt took over.
    """
    upload_id = (run.parameters or {}).get("upload")
    if upload_id is None:
        await import_run(database, run, pace, progress)
        return
    async with database.read() as connection:
        found = await fetch(connection, queries.BY_ID, id=upload_id)
    problem: str | None = "What was uploaded is gone."
    unknown: Sequence[str] = ()
    if found:
        reader, stream = _reader_of(found[0])
        problem = await _import(database, run, found[0], reader, stream, progress=progress)
        unknown = list(reader.unknown_columns)
    async with database.begin() as session:
        if problem is None:
            await runs.finish(session, run)
        else:
            # Who has lost the run must not remove what its next attempt reads.
            await runs.progress(session, run, done=0, failed=0)
            await runs.fail(session, run, problem)
        await session.execute(queries.NOTE_UNKNOWN, {"id": upload_id, "columns": json.dumps(unknown)})
        await service.forget_chunks(session, upload_id)


def _reader_of(upload: Row[Any]) -> tuple[Reader, StoredBytes]:
    """Return what reads the rows of an upload, and what that reads from."""
    stream = StoredBytes(upload.id)
    source = Source(service.file_name(upload), KINDS[upload.kind], upload.size, lambda: cast("IO[bytes]", stream))
    return Reader(source), stream


async def _import(
    database: Database, run: Claim, upload: Row[Any], reader: Reader, stream: StoredBytes, *, progress: Progress | None
) -> str | None:
    """Import the rows that no earlier attempt has; return why the rest could not be read, None if all could."""
    if run.as_of is None:
        raise ValueError("the import of an upload needs the moment at which it was accepted")
    chunks = reader.chunks(CHUNK_ROWS)
    stored_before, done, failed = upload.read, run.done, run.failed
    while True:
        try:
            chunk = await _next_chunk(database, stream, chunks)
        except UnreadableFile as error:
            return f"The rows could not be read: {printable(str(error), 500)}"
        if chunk is None:
            return None
        rows = chunk[stored_before:]
        stored_before -= len(chunk) - len(rows)
        if rows:
            async with database.begin() as session:
                stored = await store_chunk(session, reader.source.kind, rows, now=run.as_of)
                rejected = len(stored.rejected)
                await runs.progress(session, run, done=len(rows) - rejected, failed=rejected)
                await _record(session, upload.id, len(rows), stored, room=MAX_REJECTED - failed)
            done, failed = done + len(rows) - rejected, failed + rejected
            if progress:
                progress(done, failed, done + failed)


async def _next_chunk(
    database: Database, stream: StoredBytes, chunks: Iterator[list[SourceRow]]
) -> list[SourceRow] | None:
    """Return the next rows, None at the end. Raises UnreadableFile."""

    def read(connection: Connection) -> list[SourceRow] | None:
        stream.connection = connection
        return next(chunks, None)

    async with database.read() as connection:
        # Reading is not asynchronous, whatever is read: here its statements wait without holding up anybody else.
        return await connection.run_sync(read)


async def _record(session: AsyncSession, upload_id: int, read: int, stored: StoredChunk, *, room: int) -> None:
    """Count what became of some rows that were read, and keep the rejected ones for which there is room."""
    counts = {
        "read": read,
        "new": stored.new,
        "changed": stored.changed,
        "unchanged": stored.unchanged,
        "rejected": len(stored.rejected),
    }
    await session.execute(queries.COUNT, {"id": upload_id, **counts})
    kept = stored.rejected[: max(0, room)]
    if kept:
        contents = [_content(row) for row, _ in kept]
        lines, reasons = [row.line for row, _ in kept], [reason for _, reason in kept]
        values = {"id": upload_id, "lines": lines, "reasons": reasons, "contents": contents}
        await session.execute(queries.REJECT, values)


def _content(row: SourceRow) -> str:
    """Return what a row held as JSON, as the report of rejected rows writes it: what is no Unicode is escaped."""
    written = json.dumps(row.content, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()
    return written if len(written) <= MAX_CONTENT else f"{written[: MAX_CONTENT - 3]}..."
