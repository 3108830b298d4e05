"""Carrying out a run batch by batch: each batch in one transaction with its progress, a pause between two."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.errors import is_outage
from app.runs import service
from app.runs.service import Claim

log = structlog.get_logger(__name__)

# Called with how many clients are done, how many failed, and how many there are.
Progress = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How a run works: clients a transaction, and the pause between two."""

    batch_size: int
    pause: timedelta


@dataclass(frozen=True, slots=True)
class Work:
    """What a run does with its clients, each step in a session of its own."""

    # How many clients there are.
    count: Callable[[AsyncSession], Awaitable[int]]
    # The next clients behind an id, in id order, at most so many.
    following: Callable[[AsyncSession, int, int], Awaitable[Sequence[int]]]
    # Does the work for the clients and returns the reason for each that failed.
    process: Callable[[AsyncSession, Sequence[int]], Awaitable[Mapping[int, str]]]


async def carry_out(database: Database, run: Claim, work: Work, pace: Pace, progress: Progress | None = None) -> None:
    """Do the work for every client of the run, continuing where an earlier attempt stopped.

    Raises LeaseLostError when another attempt took over.
    """
    total = run.total if run.total is not None else await _start(database, run, work)
    position, done, failed = run.position, run.done, run.failed
    while True:
        async with database.begin() as session:
            batch = await work.following(session, position, pace.batch_size)
        if not batch:
            break
        failures = await _process(database, run, work, batch)
        position, done, failed = batch[-1], done + len(batch) - failures, failed + failures
        if progress:
            progress(done, failed, total)
        if len(batch) < pace.batch_size:
            break
        await asyncio.sleep(pace.pause.total_seconds())
    async with database.begin() as session:
        await service.finish(session, run)


async def _start(database: Database, run: Claim, work: Work) -> int:
    async with database.begin() as session:
        total = await work.count(session)
        await service.start(session, run, total)
    return total


async def _process(database: Database, run: Claim, work: Work, batch: Sequence[int]) -> int:
    """Process the batch in one transaction and return how many of its clients failed.

    An error that nobody expected is isolated by halving the batch until it is down to one client.
    """
    try:
        async with database.begin() as session:
            failures = await work.process(session, batch)
            done = len(batch) - len(failures)
            await service.advance(session, run, done=done, position=batch[-1], failures=failures)
            return len(failures)
    except service.LeaseLostError:
        raise
    except Exception as error:
        # The database went away, and no client's facts are bad: the run waits for its next claim.
        if is_outage(error):
            raise
        if len(batch) > 1:
            middle = len(batch) // 2
            failed = await _process(database, run, work, batch[:middle])
            return failed + await _process(database, run, work, batch[middle:])
        log.exception("client_failed", run_id=run.id, client_id=batch[0])
        failures = {batch[0]: "An unexpected error; the log has the details."}
        async with database.begin() as session:
            await service.advance(session, run, done=0, position=batch[0], failures=failures)
        return 1
