"""Carrying out a run batch by batch: each batch in one transaction with its progress, a pause between two.

Without a pause the next batch is locked and read, in a transaction of its own, while this one is written. Only one of
the two ever writes, and a batch locks its clients no earlier than the one before it has all of its own, so that
whoever waits for clients in the order of their ids never waits in a circle with both.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.errors import is_outage
from app.runs import service
from app.runs.service import Claim

log = structlog.get_logger(__name__)

# Writes what was read of a batch, and returns the reason for each client that failed.
Write = Callable[[], Awaitable[Mapping[int, str]]]

# Called with how many clients are done, how many failed, and how many there are.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run works: clients a transaction, and the pause between two."""

    batch_size: int
    pause: timedelta


@dataclass(frozen=True, slots=True)
class Work:
    """What a run does with its clients."""

    # How many clients there are.
    count: Callable[[AsyncSession], Awaitable[int]]
    # The next clients behind an id, in id order, at most so many.
    following: Callable[[AsyncSession, int, int], Awaitable[Sequence[int]]]
    # Locks the clients, reads what the work needs, and returns what writes it in the same transaction.
    read: Callable[[AsyncSession, Sequence[int]], Awaitable[Write]]
    # What belongs to the end of the run, in the transaction that marks it as done.
    finish: Callable[[AsyncSession], Awaitable[None]] | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """Clients that are locked and read in an open transaction, which the stack ends."""

    ids: Sequence[int]
    session: AsyncSession
    write: Write
    stack: AsyncExitStack


async def carry_out(database: Database, run: Claim, work: Work, pace: Pace, progress: Progress | None = None) -> None:
    """Do the work for every client of the run, continuing where an earlier attempt stopped.

    Raises LeaseLostError when another attempt took over.
    """
    total = run.total if run.total is not None else await _start(database, run, work)
    position, done, failed = run.position, run.done, run.failed
    ahead: asyncio.Task[_Batch | None] | None = None
    try:
        while True:
            try:
                batch = await (ahead or _open_next(database, work, position, pace.batch_size))
                ahead = None
                if batch is None:
                    break
                ids = batch.ids
                if not pace.pause and len(ids) == pace.batch_size:
                    ahead = asyncio.create_task(_open_next(database, work, ids[-1], pace.batch_size))
                failures = await _write(run, batch)
            except service.LeaseLostError:
                raise
            except Exception as error:
                # The database went away, and no client's facts are bad: the run waits for its next claim.
                if is_outage(error):
                    raise
                await _discard(ahead)
                ahead = None
                ids = await _following(database, work, position, pace.batch_size)
                failures = await _process(database, run, work, ids)
            position, done, failed = ids[-1], done + len(ids) - failures, failed + failures
            if progress:
                progress(done, failed, total)
            if len(ids) < pace.batch_size:
                break
            await asyncio.sleep(pace.pause.total_seconds())
    finally:
        await _discard(ahead)
    async with database.begin() as session:
        # The run is locked first, as it is by whoever gives it up, so that the two never wait in a circle.
        await service.finish(session, run)
        if work.finish is not None:
            await work.finish(session)


async def _start(database: Database, run: Claim, work: Work) -> int:
    async with database.begin() as session:
        total = await work.count(session)
        await service.start(session, run, total)
    return total


async def _following(database: Database, work: Work, after: int, size: int) -> Sequence[int]:
    async with database.begin() as session:
        return await work.following(session, after, size)


async def _open_next(database: Database, work: Work, after: int, size: int) -> _Batch | None:
    """Lock and read the next clients; None when there are no more."""
    ids = await _following(database, work, after, size)
    return await _open(database, work, ids) if ids else None


async def _open(database: Database, work: Work, ids: Sequence[int]) -> _Batch:
    """Lock and read the clients in a transaction that is left open."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(database.begin())
        write = await work.read(session, ids)
        return _Batch(ids, session, write, stack.pop_all())


async def _write(run: Claim, batch: _Batch) -> int:
    """Write the batch with the run's progress, end its transaction, and return how many of its clients failed."""
    async with batch.stack:
        failures = await batch.write()
        done = len(batch.ids) - len(failures)
        await service.advance(batch.session, run, done=done, position=batch.ids[-1], failures=failures)
        return len(failures)


async def _discard(ahead: asyncio.Task[_Batch | None] | None) -> None:
    """Roll back what was read ahead."""
    if ahead is None:
        return
    ahead.cancel()
    (batch,) = await asyncio.gather(ahead, return_exceptions=True)
    if isinstance(batch, _Batch):
        async with batch.stack:
            await batch.session.rollback()


async def _process(database: Database, run: Claim, work: Work, ids: Sequence[int]) -> int:
    """Process the clients in one transaction and return how many failed.

    An error that nobody expected is isolated by halving the batch until it is down to one client.
    """
    try:
        return await _write(run, await _open(database, work, ids))
    except service.LeaseLostError:
        raise
    except Exception as error:
        if is_outage(error):
            raise
        if len(ids) > 1:
            middle = len(ids) // 2
            failed = await _process(database, run, work, ids[:middle])
            return failed + await _process(database, run, work, ids[middle:])
        log.exception("client_failed", run_id=run.id, client_id=ids[0])
        failures = {ids[0]: "An unexpected error; the log has the details."}
        async with database.begin() as session:
            await service.advance(session, run, done=0, position=ids[0], failures=failures)
        return 1
