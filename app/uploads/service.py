"""Uploads: kept in the database piece by piece as they arrive, so that whoever imports them may be another machine."""

import zlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.database import fetch
from app.errors import Conflict, NotFound
from app.runs import service as runs
from app.runs.models import RunKind
from app.uploads import queries
from app.uploads.models import UploadFormat

# Unpacked bytes of a chunk.
CHUNK_BYTES = 1_000_000
# An upload that has not become a run after as long never will: the web server ends it long before.
LEFT_OVER_AFTER = timedelta(hours=2)
# What became of an upload, and the rows of it that were rejected, can be asked for as long.
REPORTS_KEPT = timedelta(days=30)


async def begin(session: AsyncSession, kind: str, form: UploadFormat, write_key_id: int | None) -> int:
    """Begin an upload and return its id; it becomes a run with `accept`, or is gone after `drop`."""
    (row,) = await fetch(session, queries.BEGIN, kind=kind, format=form, write_key_id=write_key_id)
    return int(row.id)


def packed(chunk: bytes) -> bytes:
    """Return a chunk as it is kept. It takes milliseconds, and does not hold the interpreter's lock."""
    return zlib.compress(chunk, 1)


async def add(session: AsyncSession, upload_id: int, number: int, content: bytes) -> None:
    """Keep a packed chunk; they are numbered from 0 on."""
    await session.execute(queries.ADD_CHUNK, {"id": upload_id, "number": number, "content": content})


async def accept(
    session: AsyncSession, upload_id: int, size: int, *, requested_by: str, now: datetime, request_id: str | None
) -> int:
    """Accept the import of an upload that has arrived, `size` unpacked bytes long, and return the run's id.

    `now` decides later whether a client that churns at a given time has churned already. Raises Conflict when it took
    so long that it may be forgotten.
    """
    run_id = await runs.request(
        session,
        RunKind.IMPORT,
        requested_by=requested_by,
        now=now,
        as_of=now,
        parameters={"upload": upload_id},
        request_id=request_id,
    )
    if not await fetch(session, queries.ACCEPT, id=upload_id, run_id=run_id, size=size, within=LEFT_OVER_AFTER):
        raise Conflict("The upload took too long, and what had arrived of it was removed.")
    return run_id


async def drop(session: AsyncSession, upload_id: int) -> None:
    """Remove what has arrived of an upload, unless it has become a run."""
    await session.execute(queries.DROP, {"id": upload_id})


async def forget_chunks(session: AsyncSession, upload_id: int) -> None:
    """Remove the content of an upload whose run has ended; what became of it is kept."""
    await session.execute(queries.NOT_STORED, {"id": upload_id})
    await session.execute(queries.FORGET_CHUNKS, {"id": upload_id})


async def forget_left_over(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete content that nobody will import: of the oldest upload begun before a moment, at most `limit` chunks.

    Returns how many rows went, 0 once there is no such upload.
    """
    found = await fetch(session, queries.OLDEST_LEFT_OVER, before=before)
    if not found:
        return 0
    upload = found[0]
    chunks = len(await fetch(session, queries.FORGET_SOME_CHUNKS, id=upload.id, limit=limit))
    if chunks == limit:
        return chunks
    # What has become a run has a report, which is kept longer.
    await session.execute(queries.FORGET if upload.run_id is None else queries.NOT_STORED, {"id": upload.id})
    return chunks + 1


async def forget_reports(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete what became of the oldest upload begun before a moment, at most `limit` rejected rows at a time.

    Returns how many rows went, 0 once there is no such upload. The run stays, since the audit trail names it.
    """
    found = await fetch(session, queries.OLDEST_REPORT, before=before)
    if not found:
        return 0
    upload_id = found[0].id
    rows = len(await fetch(session, queries.FORGET_SOME_REJECTED, id=upload_id, limit=limit))
    if rows < limit:
        await session.execute(queries.FORGET, {"id": upload_id})
        rows += 1
    return rows


async def state(connection: AsyncConnection, run_id: int, write_key_id: int | None) -> Row[Any]:
    """Return what has become of an upload, by its run, with the run's status.

    Raises NotFound when there is none, or when it was sent with another key than this; None stands for any.
    """
    found = await fetch(connection, queries.STATE, run_id=run_id, write_key_id=write_key_id)
    if not found:
        raise NotFound("There is no import with this id, or it was too long ago.")
    return found[0]


def file_name(upload: Row[Any]) -> str:
    """Return the name that a file with the rows of an upload, of its kind and its format, would have."""
    return f"{upload.kind}.{'csv' if upload.format == UploadFormat.CSV else 'jsonl'}"


async def rejected(connection: AsyncConnection, upload_id: int, after: int, limit: int) -> Sequence[Row[Any]]:
    """Return up to `limit` rejected rows behind a line, by line: line, reason and content."""
    return await fetch(connection, queries.REJECTED, id=upload_id, after=after, limit=limit)
