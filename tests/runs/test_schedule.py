"""Taking daily slots on a real database: each once, in order, with its run and its moment."""

import asyncio
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import DBAPIError

from app.database import Database
from app.health import requests
from app.jobs import EXECUTE_RUN, Job
from app.runs.execution import execute
from app.runs.rules import DueSlot, SlotJob
from app.runs.schedule import daily, take_next_slot
from app.settings import Settings
from tests.factories import rows_of, utc

METRICS, RECALCULATION = SlotJob.RECORD_METRICS, SlotJob.RECALCULATE_ALL
IN_UTC = daily(time(1), time(2), ZoneInfo("UTC"))
SLOTS = "SELECT job, day, due_at, run_id FROM slots ORDER BY due_at, job DESC"
RUNS = "SELECT kind, day, as_of, requested_by FROM runs ORDER BY id"


async def take(database: Database, now: datetime, zone: str = "UTC") -> DueSlot | None:
    async with database.begin() as session:
        return await take_next_slot(session, daily(time(1), time(2), ZoneInfo(zone)), now=now)


async def finish_all(database: Database, settings: Settings) -> None:
    for (run_id,) in await rows_of(database, "SELECT id FROM runs WHERE status = 'QUEUED' ORDER BY id"):
        assert await execute(database, run_id, settings)


async def test_the_first_start_takes_the_latest_slot_of_each_job(database: Database, settings: Settings) -> None:
    now = utc("2026-03-10T14:00")
    assert await take(database, now) == DueSlot(METRICS, date(2026, 3, 10), utc("2026-03-10T01:00"))
    await finish_all(database, settings)
    assert await take(database, now) == DueSlot(RECALCULATION, date(2026, 3, 10), utc("2026-03-10T02:00"))
    await finish_all(database, settings)
    assert await take(database, now) is None
    assert await rows_of(database, RUNS) == [
        ("RECORD_METRICS", date(2026, 3, 9), None, "schedule"),
        ("RECALCULATE_ALL", date(2026, 3, 10), utc("2026-03-10T02:00"), "schedule"),
    ]
    audited = await rows_of(database, "SELECT actor, action, run_id FROM audit_events ORDER BY run_id")
    runs = await rows_of(database, "SELECT run_id FROM slots ORDER BY run_id")
    assert audited == [("schedule", "RUN_REQUESTED", run_id) for (run_id,) in runs]


async def test_a_slot_waits_for_the_runs_of_the_earlier_ones(database: Database, settings: Settings) -> None:
    now = utc("2026-03-10T14:00")
    assert await take(database, now)
    assert await take(database, now) is None
    ((metrics,),) = await rows_of(database, "SELECT id FROM runs")
    async with database.begin() as session:
        # Somebody else's run is nothing to wait for.
        await requests.recalculate_all(session, requested_by="anna", now=now, day=date(2026, 3, 1))
    assert await execute(database, metrics, settings)
    assert await take(database, now) is not None


async def test_days_that_were_missed_are_caught_up_in_order(database: Database, settings: Settings) -> None:
    for _ in range(2):
        assert await take(database, utc("2026-03-10T14:00"))
        await finish_all(database, settings)
    now, taken = utc("2026-03-13T01:30"), []
    while slot := await take(database, now):
        taken.append((slot.job, slot.day.day))
        await finish_all(database, settings)
    assert taken == [
        (METRICS, 11),
        (RECALCULATION, 11),
        (METRICS, 12),
        (RECALCULATION, 12),
        (METRICS, 13),
    ]
    moments = await rows_of(database, "SELECT day, as_of FROM runs WHERE kind = 'RECALCULATE_ALL' ORDER BY id")
    assert moments == [(date(2026, 3, day), utc(f"2026-03-{day}T02:00")) for day in (10, 11, 12)]
    recorded = await rows_of(database, "SELECT day FROM runs WHERE kind = 'RECORD_METRICS' ORDER BY id")
    assert recorded == [(date(2026, 3, day),) for day in (9, 10, 11, 12)]


async def test_no_utc_day_is_left_out_when_the_clocks_are_set_back(database: Database, settings: Settings) -> None:
    now = utc("2026-10-24T12:00")
    while now < utc("2026-10-28T12:00"):
        while await take(database, now, "Europe/Berlin"):
            await finish_all(database, settings)
        now += timedelta(hours=1)
    recorded = await rows_of(database, "SELECT day FROM runs WHERE kind = 'RECORD_METRICS' ORDER BY id")
    assert recorded == [(date(2026, 10, day),) for day in range(22, 28)]
    # The slot of the longer day points at the second of its runs.
    pointed = await rows_of(
        database, "SELECT r.day FROM slots s JOIN runs r ON r.id = s.run_id WHERE s.day = '2026-10-26' ORDER BY job"
    )
    assert pointed == [(date(2026, 10, 26),), (date(2026, 10, 25),)]


async def test_a_run_that_was_asked_for_already_becomes_the_slots(database: Database, settings: Settings) -> None:
    now = utc("2026-03-10T02:00")
    assert await take(database, now)
    await finish_all(database, settings)
    async with database.begin() as session:
        asked = await requests.recalculate_all(session, requested_by="anna", now=now)
    assert await take(database, now)
    assert (await rows_of(database, SLOTS))[-1] == (RECALCULATION, date(2026, 3, 10), now, asked)
    assert await take(database, utc("2026-03-11T14:00")) is None


async def test_a_run_that_succeeded_already_does_not_replace_the_slots(database: Database, settings: Settings) -> None:
    early, due = utc("2026-03-10T01:30"), utc("2026-03-10T02:00")
    for _ in range(2):
        assert await take(database, early)
        await finish_all(database, settings)
    async with database.begin() as session:
        asked = await requests.recalculate_all(session, requested_by="anna", now=early)
    await finish_all(database, settings)
    assert await take(database, due)
    job, day, moment, run_id = (await rows_of(database, SLOTS))[-1]
    assert (job, day, moment) == (RECALCULATION, date(2026, 3, 10), due)
    assert run_id != asked


async def test_ten_schedulers_at_once_take_a_slot_once(database_url: str) -> None:
    sent: list[Job] = []
    database = Database(database_url, pool_size=10, send_jobs=sent.extend)
    taken = await asyncio.gather(*(take(database, utc("2026-03-10T14:00")) for _ in range(10)))
    assert len([slot for slot in taken if slot]) == 1
    ((run_id,),) = await rows_of(database, "SELECT id FROM runs")
    assert sent == [Job(EXECUTE_RUN, (run_id,))]
    await database.close()


async def test_a_scheduler_that_is_paused_in_the_middle_does_not_stop_the_others(database: Database) -> None:
    now = utc("2026-03-10T14:00")

    async def take_and_freeze() -> None:
        async with database.begin() as session:
            assert await take_next_slot(session, IN_UTC, now=now)
            assert await take(database, now) is None
            # The server, and not this process, ends the transaction within five seconds.
            for _ in range(50):
                if await take(database, now):
                    return
                await asyncio.sleep(0.2)

    with pytest.raises(DBAPIError):
        await take_and_freeze()
    assert len(await rows_of(database, "SELECT id FROM runs")) == 1
    assert len(await rows_of(database, SLOTS)) == 1
