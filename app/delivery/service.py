"""Deliveries of alerts: queued with them, held back, released and discarded, each in the caller's transaction."""

from collections.abc import Sequence
from datetime import timedelta

import orjson
from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncSession

from app.delivery import queries

# For as long a delivery is attempted, and nobody is told of an alert about a moment longer ago than that.
RECENT = timedelta(days=3)


async def queue(session: AsyncSession, alert_ids: Sequence[int], *, held: bool) -> int:
    """Write a delivery of each alert for every configured channel that takes it, and return how many are new.

    To be called once the client's current row has the risk that the alert tells of. What is held waits for `release`
    or `discard`. An alert that was raised more than three days after the moment that it is about goes to nobody.
    """
    return await _count(session, queries.QUEUE, alert_ids=list(alert_ids), held=held, recent=RECENT)


async def release(session: AsyncSession, alert_ids: Sequence[int]) -> int:
    """Let the held deliveries of the alerts leave, at once or with the next digest, and return how many they are."""
    return await _count(session, queries.RELEASE, alert_ids=list(alert_ids))


async def discard(session: AsyncSession, alert_ids: Sequence[int]) -> int:
    """Have the held deliveries of the alerts never leave, and return how many they are."""
    reason = "The alert was held and then discarded."
    return await _count(session, queries.DISCARD, alert_ids=list(alert_ids), reason=reason)


async def tell_held(session: AsyncSession, run_id: int, *, alerts: int, clients: int) -> int:
    """Tell every channel that takes all alerts, once a run, that the run's are held, and return how many those are.

    `alerts` are the held ones of the `clients` that the run scored.
    """
    details = orjson.dumps({"alerts": alerts, "clients": clients}).decode()
    return await _count(session, queries.TELL_HELD, run_id=run_id, details=details)


async def _count(session: AsyncSession, statement: TextClause, **values: object) -> int:
    return int((await session.execute(statement, values)).rowcount)  # type: ignore[attr-defined]
