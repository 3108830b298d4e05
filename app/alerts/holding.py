"""Alerts that are held: all of a recalculation of everybody until it ends, and those of a storm until somebody decides.

A feed that breaks makes many clients look worse at once. Nobody is served by hundreds of messages about it; one
message to the operator is sent instead, and an administrator releases or discards the alerts.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts import queries
from app.alerts.rules import AlertStatus, Thresholds, is_storm
from app.audit import service as audit
from app.audit.models import AuditAction
from app.database import fetch
from app.delivery import service as delivery
from app.errors import NotFound

# Alerts that one transaction releases at most: each has deliveries on every channel.
RELEASED_AT_ONCE = 1000

log = structlog.get_logger(__name__)


async def settle(session: AsyncSession, run_id: int, day: date, thresholds: Thresholds) -> None:
    """Release the alerts of a recalculation of everybody for `day`, or hold on to them, being a storm.

    To be called in the transaction that ends the run, however it ends. Of very many only the first are released there;
    `release_next` goes on.
    """
    held = (await fetch(session, queries.COUNT_HELD, run_id=run_id))[0]
    if not held.alerts:
        return
    scored = int((await fetch(session, queries.COUNT_SCORED, run_id=run_id, day=day))[0].clients)
    if is_storm(held.clients, scored, thresholds):
        log.warning(
            "alerts_held", run_id=run_id, alerts=held.alerts, clients_alerted=held.clients, clients_scored=scored
        )
        await delivery.tell_held(session, run_id, alerts=held.alerts, clients=scored)
    else:
        await _release_batch(session, run_id)


async def release_next(session: AsyncSession) -> int:
    """Release the next of the alerts that were no storm and too many for one transaction; return how many, or 0."""
    found = await fetch(session, queries.NEXT_RELEASING)
    return await _release_batch(session, found[0].id) if found else 0


async def _release_batch(session: AsyncSession, run_id: int) -> int:
    """Release the first held alerts of a run, and mark it as long as there may be more."""
    ids = [row.id for row in await fetch(session, queries.HELD_OF_RUN, run_id=run_id, limit=RELEASED_AT_ONCE)]
    await _release(session, ids)
    await session.execute(queries.SET_RELEASING, {"run_id": run_id, "releasing": len(ids) == RELEASED_AT_ONCE})
    return len(ids)


async def release_held(
    session: AsyncSession, run_id: int | None, *, actor: str, now: datetime, request_id: str | None
) -> int:
    """Have people told of the held alerts of a finished run, or of all of them, and return how many there are.

    Of very many only the first are released here; `release_next` goes on. What has become green again meanwhile, or
    whose client was snoozed or switched off, is released and sent to nobody: it is in the list. Raises NotFound for an
    unknown run.
    """
    held = await _decide(session, run_id, AuditAction.HELD_ALERTS_RELEASED, actor=actor, now=now, request_id=request_id)
    for run in held:
        await session.execute(queries.SET_RELEASING, {"run_id": run, "releasing": True})
    if held:
        await _release_batch(session, min(held))
    return sum(held.values())


async def discard_held(
    session: AsyncSession, run_id: int | None, *, actor: str, now: datetime, request_id: str | None
) -> int:
    """Resolve the held alerts of a finished run, or all of them, without telling anybody; return how many there were.

    Raises NotFound for an unknown run.
    """
    runs = await _decide(
        session, run_id, AuditAction.HELD_ALERTS_DISCARDED, actor=actor, now=now, request_id=request_id
    )
    ids = [row.id for row in await fetch(session, queries.HELD_OF_RUNS, run_ids=list(runs))]
    await session.execute(queries.DISCARD, {"ids": ids, "now": now})
    await delivery.discard(session, ids, reason="The alert was held and then discarded.")
    return len(ids)


async def _decide(
    session: AsyncSession,
    run_id: int | None,
    action: AuditAction,
    *,
    actor: str,
    now: datetime,
    request_id: str | None,
) -> Mapping[int, int]:
    """Lock the finished runs with held alerts, record who decided about them, and return how many each run has."""
    if run_id is not None and not await fetch(session, queries.RUN_EXISTS, run_id=run_id):
        raise NotFound("There is no run with this id.")
    undecided = [row.id for row in await fetch(session, queries.UNDECIDED_RUNS, run_id=run_id)]
    held = {row.run_id: row.alerts for row in await fetch(session, queries.COUNT_HELD_OF_RUNS, run_ids=undecided)}
    for run, alerts in held.items():
        changes = {"held": [alerts, 0]}
        audit.record(session, action, actor=actor, now=now, request_id=request_id, run_id=run, changes=changes)
    return held


async def _release(session: AsyncSession, ids: Sequence[int]) -> None:
    released = await fetch(session, queries.RELEASE, ids=list(ids))
    resolved = [row.id for row in released if row.status == AlertStatus.RESOLVED]
    await delivery.discard(session, resolved, reason="The light was green again before the alert was released.")
    quiet = [row.id for row in released if row.quiet]
    await delivery.discard(session, quiet, reason="Alerts were off or snoozed when the alert was released.")
    await delivery.release(session, [row.id for row in released])
