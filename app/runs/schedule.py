"""The daily slots: each is recorded once, together with its run, by whichever scheduler gets there first."""

from datetime import datetime, time
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import fetch
from app.runs import queries, service
from app.runs.models import RunKind
from app.runs.rules import DueSlot, Schedule, SlotJob, days_to_record, latest_due, next_slot

REQUESTED_BY = "schedule"

log = structlog.get_logger(__name__)


def daily(metrics_time: time, recalculation_time: time, zone: ZoneInfo) -> Schedule:
    """Return the schedule of both jobs; the times are local times of the zone."""
    return Schedule({SlotJob.RECORD_METRICS: metrics_time, SlotJob.RECALCULATE_ALL: recalculation_time}, zone)


async def take_next_slot(session: AsyncSession, schedule: Schedule, *, now: datetime) -> DueSlot | None:
    """Record the next due slot and accept its run; None when none is due, or another scheduler is at it.

    Slots are taken in the order in which they are due, each after the runs of all earlier ones: a score is compared
    with that of the day before, which must therefore be there when days are caught up.
    """
    await session.execute(queries.LIMIT_PAUSE)
    if not (await fetch(session, queries.TRY_SCHEDULE_LOCK))[0][0]:
        return None
    recorded = await fetch(session, queries.SLOTS)
    began = min((row.began for row in recorded), default=None)
    slot = next_slot(schedule, {SlotJob(row.job): row.day for row in recorded}, began, now)
    if slot is None or await fetch(session, queries.SLOT_IS_UNFINISHED):
        return None
    run_id = await _request(session, schedule, slot, now)
    await session.execute(queries.ADD_SLOT, {"job": slot.job, "day": slot.day, "due_at": slot.due_at, "run_id": run_id})
    log.info("slot_taken", job=slot.job, day=slot.day, due_at=slot.due_at, run_id=run_id)
    return slot


async def _request(session: AsyncSession, schedule: Schedule, slot: DueSlot, now: datetime) -> int:
    """Accept what the slot is for and return the id of its run, the last one if it takes several."""
    if slot.job is SlotJob.RECALCULATE_ALL:
        return await service.request(
            session,
            RunKind.RECALCULATE_ALL,
            requested_by=REQUESTED_BY,
            now=now,
            day=slot.due_at.date(),
            as_of=slot.due_at,
        )
    run_ids = [
        await service.request(session, RunKind.RECORD_METRICS, requested_by=REQUESTED_BY, now=now, day=day)
        for day in days_to_record(schedule, slot)
    ]
    return run_ids[-1]


async def count_as_taken(session: AsyncSession, schedule: Schedule, *, now: datetime, run_id: int) -> None:
    """Record the latest due slot of each job as done by the run, so that nothing before the next ones is caught up."""
    for job in schedule.times:
        slot = latest_due(schedule, job, now)
        values = {"job": slot.job, "day": slot.day, "due_at": slot.due_at, "run_id": run_id}
        await session.execute(queries.ADD_SLOT, values)
