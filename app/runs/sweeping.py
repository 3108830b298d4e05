"""What was accepted and does not move: its message is sent again, and what gets nowhere is given up."""

from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app import jobs
from app.database import fetch
from app.runs import queries

log = structlog.get_logger(__name__)


async def resend(session: AsyncSession, *, after: timedelta, limit: int) -> list[int]:
    """Have messages sent again for runs that nobody holds and whose last message is older than `after`.

    Returns their ids, `limit` at most; the messages leave after the commit.
    """
    found = await fetch(session, queries.RESEND, after=after, limit=limit)
    run_ids = sorted(row.id for row in found)
    for run_id in run_ids:
        jobs.enqueue(session, jobs.EXECUTE_RUN, run_id)
    if run_ids:
        log.info("runs_sent_again", run_ids=run_ids)
    return run_ids


async def give_up(session: AsyncSession, *, max_attempts: int) -> list[int]:
    """Mark runs as failed whose last `max_attempts` attempts got no further, and return their ids."""
    attempts = "The last attempt" if max_attempts == 1 else f"The last {max_attempts} attempts"
    reason = f"{attempts} to carry this out ended without getting any further; the log has the details."
    found = await fetch(session, queries.GIVE_UP, max_attempts=max_attempts, reason=reason)
    for row in found:
        log.error("run_given_up", run_id=row.id, kind=row.kind, reason=reason)
    return sorted(row.id for row in found)
