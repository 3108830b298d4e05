"""When the daily jobs are due: one slot for each day of the schedule's time zone, over every change of its clocks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

_DAY = timedelta(days=1)


class SlotJob(StrEnum):
    """What is done once a day."""

    RECALCULATE_ALL = "RECALCULATE_ALL"
    RECORD_METRICS = "RECORD_METRICS"


@dataclass(frozen=True, slots=True)
class Schedule:
    """The time of day of each job, in one time zone."""

    times: Mapping[SlotJob, time]
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class DueSlot:
    """A job's turn on one local day; `due_at` is in UTC."""

    job: SlotJob
    day: date
    due_at: datetime


def due_at(at: time, zone: ZoneInfo, day: date) -> datetime:
    """Return the moment in UTC at which the local clock of `day` first shows `at`.

    A time that the clock skips is reached as much later as it skips, at 03:30 instead of 02:30 for example.
    """
    return datetime.combine(day, at.replace(fold=0), zone).astimezone(UTC)


def exists(at: time, zone: ZoneInfo, day: date) -> bool:
    """Return whether the zone's calendar has this day: one left out, as at the date line, falls on the next."""
    return due_at(at, zone, day) < due_at(at, zone, day + _DAY)


def slot_of(schedule: Schedule, job: SlotJob, day: date) -> DueSlot:
    """Return the job's slot of a local day."""
    return DueSlot(job, day, due_at(schedule.times[job], schedule.zone, day))


def slot_after(schedule: Schedule, job: SlotJob, day: date) -> DueSlot:
    """Return the job's slot of the first local day after `day`, whether it is due or not."""
    at, zone = schedule.times[job], schedule.zone
    following = day + _DAY
    while not exists(at, zone, following):
        following += _DAY
    return slot_of(schedule, job, following)


def latest_due(schedule: Schedule, job: SlotJob, now: datetime) -> DueSlot:
    """Return the job's latest slot that is due at `now`."""
    at, zone = schedule.times[job], schedule.zone
    # A day more than the calendar shows, since a clock that was set back shows a day for the second time.
    day = now.astimezone(zone).date() + _DAY
    while due_at(at, zone, day) > now or not exists(at, zone, day):
        day -= _DAY
    return slot_of(schedule, job, day)


def first_from(schedule: Schedule, job: SlotJob, moment: datetime) -> DueSlot:
    """Return the job's first slot that is due at `moment` or later."""
    latest = latest_due(schedule, job, moment)
    return latest if latest.due_at == moment else slot_after(schedule, job, latest.day)


def next_slot(
    schedule: Schedule, latest_days: Mapping[SlotJob, date], began: datetime | None, now: datetime
) -> DueSlot | None:
    """Return the slot whose turn it is at `now`, the earliest due one of all jobs, or None.

    `latest_days` has the latest recorded day of each job that was ever recorded, and `began` is when the first of all
    recorded slots was due. The very first start takes up the latest due slot of each job, and nothing older.
    """
    slots = []
    for job in schedule.times:
        if job in latest_days:
            slots.append(slot_after(schedule, job, latest_days[job]))
        elif began is not None:
            slots.append(first_from(schedule, job, began))
        else:
            slots.append(latest_due(schedule, job, now))
    # Metrics come first where both are due at the same moment.
    first = min(slots, key=lambda slot: (slot.due_at, slot.job is not SlotJob.RECORD_METRICS))
    return first if first.due_at <= now else None


def days_to_record(schedule: Schedule, slot: DueSlot) -> list[date]:
    """Return the UTC days that a metrics slot records, in order: those that ended since the slot before it.

    That is one day, except around a change of the clocks that moves the slot over midnight UTC: then two have ended
    since, or none has and the last one is recorded again, which changes nothing.
    """
    at, zone = schedule.times[slot.job], schedule.zone
    before = slot.day - _DAY
    while not exists(at, zone, before):
        before -= _DAY
    last = last_whole_day(slot.due_at)
    first = min(last_whole_day(due_at(at, zone, before)) + _DAY, last)
    return [first + number * _DAY for number in range((last - first).days + 1)]


def last_whole_day(moment: datetime) -> date:
    """Return the last UTC day that is over at `moment`, given in UTC."""
    return moment.date() - _DAY
