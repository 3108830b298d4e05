"""The runs that score clients: batch by batch, each batch in one transaction with its progress."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from app.database import Database
from app.health import service
from app.runs import service as runs
from app.runs.service import Claim

log = structlog.get_logger(__name__)

# These mean that the database went away, not that a client's facts are bad: the run waits for its next claim.
INFRASTRUCTURE_ERRORS = (OperationalError, InterfaceError, OSError, runs.LeaseLostError)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a recalculation works: clients a transaction, and the pause between two."""

    batch_size: int
    pause: timedelta


Progress = Callable[[int, int, int], None]


async def recalculate(database: Database, run: Claim, pace: Pace, progress: Progress | None = None) -> None:
    """Score the clients of the run, continuing where an earlier attempt stopped.

    Calls progress(done, failed, total) after each batch. Raises LeaseLostError when another attempt took over.
    """
    if run.as_of is None:
        raise ValueError("a recalculation needs the moment that it looks from")
    as_of = run.as_of
    total = run.total if run.total is not None else await _count(database, run, as_of)
    position, done, failed = run.position, run.done, run.failed
    while True:
        async with database.begin() as session:
            batch = await service.next_clients(session, position, pace.batch_size, as_of, run.client_id)
        if not batch:
            break
        failures = await _score(database, run, batch, as_of)
        position, done, failed = batch[-1], done + len(batch) - failures, failed + failures
        if progress:
            progress(done, failed, total)
        if len(batch) < pace.batch_size:
            break
        await asyncio.sleep(pace.pause.total_seconds())
    async with database.begin() as session:
        await runs.finish(session, run)


async def _count(database: Database, run: Claim, as_of: datetime) -> int:
    async with database.begin() as session:
        total = await service.count_scored(session, as_of, run.client_id)
        await runs.start(session, run, total)
    return total


async def _score(database: Database, run: Claim, batch: list[int], as_of: datetime) -> int:
    """Score the batch in one transaction and return how many of its clients failed.

    An error that the rules do not expect is isolated by halving the batch until it is down to one client.
    """
    try:
        async with database.begin() as session:
            locked = await service.lock_clients(session, batch, as_of)
            policy = await service.current_policy(session)
            calculated_at = datetime.now(UTC)
            failures = await service.score_clients(
                session, locked, as_of=as_of, calculated_at=calculated_at, policy=policy
            )
            done = len(batch) - len(failures)
            await runs.advance(session, run, done=done, position=batch[-1], failures=failures)
            return len(failures)
    except INFRASTRUCTURE_ERRORS:
        raise
    except Exception:
        if len(batch) > 1:
            middle = len(batch) // 2
            return await _score(database, run, batch[:middle], as_of) + await _score(
                database, run, batch[middle:], as_of
            )
        log.exception("client_not_scored", run_id=run.id, client_id=batch[0])
        failures = {batch[0]: "An unexpected error; the log has the details."}
        async with database.begin() as session:
            await runs.advance(session, run, done=0, position=batch[0], failures=failures)
        return 1
