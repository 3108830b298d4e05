"""What was accepted and does not move: its message is sent again, and what gets nowhere is given up."""

from datetime import timedelta

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app import jobs
from app.alerts.holding import settle
from app.alerts.rules import DEFAULTS, Thresholds
from app.database import fetch
from app.runs import queries
from app.runs.models import RunKind

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


async def give_up(session: AsyncSession, *, max_attempts: int, thresholds: Thresholds = DEFAULTS) -> list[int]:
    """Mark runs as failed whose last `max_attempts` attempts got no further, and return their ids.

    The alerts that a recalculation of everybody had raised until then are released, or stay held, being a storm.
    """
    attempts = "The last attempt" if max_attempts == 1 else f"The last {max_attempts} attempts"
    reason = f"{attempts} to carry this out ended without getting any further; the log has the details."
    found = await fetch(session, queries.GIVE_UP, max_attempts=max_attempts, reason=reason)
    for row in found:
        log.error("run_given_up", run_id=row.id, kind=row.kind, reason=reason)
        if row.kind == RunKind.RECALCULATE_ALL and row.day is not None:
            await settle(session, row.id, row.day, thresholds)
    return sorted(row.id for row in found)
