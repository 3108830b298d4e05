"""Runs: accepting them, claiming them under a lease, and recording their progress."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import orjson
from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app import jobs
from app.audit import service as audit
from app.audit.models import AuditAction
from app.database import Database, fetch
from app.errors import NotFound
from app.runs import queries
from app.runs.models import RunKind


class LeaseLostError(Exception):
    """Another attempt owns the run now, so this one must stop and leave no trace."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A run as the attempt that owns it sees it."""

    id: int
    kind: RunKind
    client_id: int | None
    day: date | None
    as_of: datetime | None
    parameters: Mapping[str, Any] | None
    requested_by: str
    position: int
    attempt: int
    total: int | None
    done: int
    failed: int
    lease: timedelta
    request_id: str | None


async def request(
    session: AsyncSession,
    kind: RunKind,
    *,
    requested_by: str,
    now: datetime,
    day: date | None = None,
    as_of: datetime | None = None,
    client_id: int | None = None,
    parameters: Mapping[str, Any] | None = None,
    request_id: str | None = None,
) -> int:
    """Accept a run and return its id; the message that starts it is sent after the commit.

    While a run of the same kind, client, day and parameters is unfinished, that run is returned and nothing is written.
    """
    stored = None if parameters is None else orjson.dumps(parameters).decode()
    values = {"kind": kind, "client_id": client_id, "day": day, "parameters": stored}
    while True:
        created = await fetch(
            session, queries.REQUEST, **values, as_of=as_of, requested_by=requested_by, request_id=request_id
        )
        if created:
            break
        if unfinished := await fetch(session, queries.UNFINISHED, **values):
            return int(unfinished[0].id)
        # The unfinished run ended between the two statements, so that the next attempt can create one.
    run_id = int(created[0].id)
    audit.record(
        session,
        AuditAction.RUN_REQUESTED,
        actor=requested_by,
        now=now,
        request_id=request_id,
        client_id=client_id,
        run_id=run_id,
        changes={"kind": [None, kind]},
    )
    jobs.enqueue(session, jobs.EXECUTE_RUN, run_id)
    return run_id


async def newest_switch(session: AsyncSession) -> Row[Any] | None:
    """Return the id and parameters of the newest unfinished switch of many alerts; nobody else accepts one meanwhile.

    That lasts until the transaction ends.
    """
    await session.execute(queries.LOCK_SWITCHES)
    found = await fetch(session, queries.NEWEST_SWITCH)
    return found[0] if found else None


async def claim(session: AsyncSession, run_id: int, lease: timedelta) -> Claim | None:
    """Take the run for `lease`; None when it is finished, unknown, not its turn yet, or another attempt holds it."""
    claimed = await fetch(session, queries.CLAIM, id=run_id, lease=lease)
    if not claimed:
        return None
    row = claimed[0]
    return Claim(
        id=row.id,
        kind=RunKind(row.kind),
        client_id=row.client_id,
        day=row.day,
        as_of=row.as_of,
        parameters=row.parameters,
        requested_by=row.requested_by,
        position=row.position,
        attempt=row.attempt,
        total=row.total,
        done=row.done,
        failed=row.failed,
        lease=lease,
        request_id=row.request_id,
    )


async def start(session: AsyncSession, run: Claim, total: int) -> None:
    """Record how many pieces the run has. Raises LeaseLostError when the run is no longer this attempt's."""
    await _held(session, run, queries.START, total=total)


async def advance(
    session: AsyncSession, run: Claim, *, done: int, position: int, failures: Mapping[int, str] | None = None
) -> None:
    """Record a batch in its own transaction, with the clients that failed, and renew the lease.

    Raises LeaseLostError when the run is no longer this attempt's: the batch is then rolled back with it.
    """
    failures = failures or {}
    for client_id, message in failures.items():
        values = {"run_id": run.id, "client_id": client_id, "message": message, "attempt": run.attempt}
        await session.execute(queries.ADD_ERROR, values)
    await _held(session, run, queries.ADVANCE, done=done, failed=len(failures), position=position, lease=run.lease)


async def progress(session: AsyncSession, run: Claim, *, done: int, failed: int) -> None:
    """Record progress of a run without batches, and renew the lease.

    Raises LeaseLostError when the run is no longer this attempt's.
    """
    await _held(session, run, queries.ADVANCE, done=done, failed=failed, position=0, lease=run.lease)


async def finish(session: AsyncSession, run: Claim) -> None:
    """Mark the run as done. Raises LeaseLostError when it is no longer this attempt's."""
    await _held(session, run, queries.FINISH)


async def fail(session: AsyncSession, run: Claim, reason: str) -> None:
    """Mark the run as failed as a whole, for a reason that a person can read."""
    await queries.changed(session, queries.FAIL, id=run.id, attempt=run.attempt, reason=reason)


async def release(session: AsyncSession, run: Claim, *, excused: bool = False) -> None:
    """Give the run back, so that the next claim continues it at once.

    An attempt is excused when it is not the run's fault that it ended: a worker that stops, for example.
    """
    await queries.changed(session, queries.RELEASE, id=run.id, attempt=run.attempt, excused=int(excused))


async def _held(session: AsyncSession, run: Claim, statement: TextClause, **values: object) -> None:
    if not await queries.changed(session, statement, id=run.id, attempt=run.attempt, **values):
        raise LeaseLostError(f"run {run.id} is no longer held by attempt {run.attempt}")


async def page(connection: AsyncConnection, first: int, before: int | None) -> Sequence[Row[Any]]:
    """Return up to `first` + 1 runs older than the run `before`, newest first."""
    return await fetch(connection, queries.PAGE, before=2**63 - 1 if before is None else before, limit=first + 1)


async def by_id(database: Database, run_id: int) -> Row[Any]:
    """Return the run's row. Raises NotFound."""
    async with database.read() as connection:
        found = await fetch(connection, queries.BY_IDS, ids=[run_id])
    if not found:
        raise NotFound("There is no run with this id.")
    return found[0]
