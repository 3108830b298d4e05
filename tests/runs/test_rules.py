"""Daily slots: one for each day of the calendar, whatever the clocks do, and in the order in which they are due."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.runs.rules import (
    DueSlot,
    Schedule,
    SlotJob,
    days_to_record,
    due_at,
    exists,
    first_from,
    last_whole_day,
    latest_due,
    next_slot,
    slot_after,
    slot_of,
)
from tests.factories import utc

METRICS, RECALCULATION = SlotJob.RECORD_METRICS, SlotJob.RECALCULATE_ALL
DAY = timedelta(days=1)
ZONES = [
    "UTC",
    "Europe/Berlin",
    "Europe/London",
    "America/New_York",
    "America/Sao_Paulo",  # Its clocks were changed at midnight.
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Australia/Lord_Howe",  # Its clocks change by half an hour.
    "Pacific/Apia",  # It left out a day in 2011.
    "Pacific/Kwajalein",  # It left out a day in 1993.
    "America/Nuuk",  # Its clocks change before midnight.
    "Africa/Casablanca",
    "Antarctica/Troll",  # Its clocks change by two hours.
]
zones = st.sampled_from(ZONES).map(ZoneInfo)
times = st.times().map(lambda at: at.replace(second=0, microsecond=0))
days = st.dates(date(1990, 1, 1), date(2037, 12, 31))


def schedule(zone: str = "UTC", metrics: time = time(1), recalculation: time = time(2)) -> Schedule:
    return Schedule({METRICS: metrics, RECALCULATION: recalculation}, ZoneInfo(zone))


@pytest.mark.parametrize(
    ("zone", "at", "day", "moment"),
    [
        ("UTC", "01:00", "2026-03-29", "2026-03-29T01:00"),
        ("Europe/Berlin", "02:30", "2026-03-28", "2026-03-28T01:30"),
        # The clock goes from 02:00 to 03:00: half past two is half past three.
        ("Europe/Berlin", "02:30", "2026-03-29", "2026-03-29T01:30"),
        ("Europe/Berlin", "02:00", "2026-03-29", "2026-03-29T01:00"),
        ("Europe/Berlin", "02:30", "2026-03-30", "2026-03-30T00:30"),
        # The clock shows half past two twice, first in summer time.
        ("Europe/Berlin", "02:30", "2026-10-25", "2026-10-25T00:30"),
        ("Europe/Berlin", "02:30", "2026-10-26", "2026-10-26T01:30"),
        ("America/New_York", "02:30", "2026-03-08", "2026-03-08T07:30"),
        ("America/New_York", "01:30", "2026-11-01", "2026-11-01T05:30"),
        # There is no midnight there on this day.
        ("America/Sao_Paulo", "00:00", "2018-11-04", "2018-11-04T03:00"),
        ("Australia/Lord_Howe", "02:15", "2026-10-04", "2026-10-03T15:45"),
        ("Asia/Kathmandu", "01:00", "2026-01-01", "2025-12-31T19:15"),
    ],
)
def test_a_slot_is_due_when_the_clock_first_shows_its_time(zone: str, at: str, day: str, moment: str) -> None:
    assert due_at(time.fromisoformat(at), ZoneInfo(zone), date.fromisoformat(day)) == utc(moment)


def test_a_day_that_was_left_out_has_no_slot() -> None:
    apia = schedule("Pacific/Apia")
    assert [exists(time(1), apia.zone, date(2011, 12, day)) for day in (29, 30, 31)] == [True, False, True]
    assert slot_after(apia, METRICS, date(2011, 12, 29)).day == date(2011, 12, 31)
    assert latest_due(apia, METRICS, utc("2011-12-30T11:00")).day == date(2011, 12, 31)
    assert latest_due(apia, METRICS, utc("2011-12-30T10:59")).day == date(2011, 12, 29)


@settings(max_examples=300)
@given(zone=zones, at=times, day=days)
def test_slots_are_a_day_apart_and_never_in_the_past_of_one_another(zone: ZoneInfo, at: time, day: date) -> None:
    following = slot_after(Schedule({METRICS: at}, zone), METRICS, day)
    between = following.due_at - due_at(at, zone, day)
    if exists(at, zone, day):
        # A day may be two hours longer or shorter, and the calendar may leave one out.
        assert timedelta(hours=21) < between < timedelta(hours=27)
        assert following.day - day <= 2 * DAY


@settings(max_examples=300)
@given(zone=zones, at=times, day=days)
def test_a_slot_is_due_on_its_day_unless_the_clock_skipped_its_time(zone: ZoneInfo, at: time, day: date) -> None:
    local = due_at(at, zone, day).astimezone(zone)
    if local.replace(tzinfo=None) == datetime.combine(day, at):
        # Nothing earlier shows the same time: this is the first of two.
        assert local.fold == 0
    else:
        # It was skipped: the clock then shows as much more as it skipped.
        assert local.replace(tzinfo=None) > datetime.combine(day, at)
        before = (local.astimezone(UTC) - timedelta(hours=25)).astimezone(zone)
        assert local.utcoffset() != before.utcoffset()


@settings(max_examples=50)
@given(zone=zones, at=times, first=days)
def test_two_years_of_slots_have_every_day_once_in_order(zone: ZoneInfo, at: time, first: date) -> None:
    one = Schedule({METRICS: at}, zone)
    slots = [slot_after(one, METRICS, first)]
    while slots[-1].day < first + 730 * DAY:
        slots.append(slot_after(one, METRICS, slots[-1].day))
    expected = [first + number * DAY for number in range(1, 731) if exists(at, zone, first + number * DAY)]
    assert [slot.day for slot in slots] == expected
    assert len(expected) >= 729
    moments = [slot.due_at for slot in slots]
    assert moments == sorted(set(moments))


@settings(max_examples=300)
@given(zone=zones, at=times, day=days, seconds=st.integers(0, 3 * 86_400))
def test_the_latest_due_slot_is_the_last_before_now(zone: ZoneInfo, at: time, day: date, seconds: int) -> None:
    one = Schedule({METRICS: at}, zone)
    now = datetime.combine(day, time(), UTC) + timedelta(seconds=seconds)
    latest = latest_due(one, METRICS, now)
    assert exists(at, zone, latest.day)
    assert latest.due_at <= now < slot_after(one, METRICS, latest.day).due_at
    assert first_from(one, METRICS, latest.due_at) == latest
    assert first_from(one, METRICS, latest.due_at + timedelta(seconds=1)) == slot_after(one, METRICS, latest.day)


@settings(max_examples=50)
@given(zone=zones, at=times, first=days)
def test_every_utc_day_is_recorded_over_two_years(zone: ZoneInfo, at: time, first: date) -> None:
    one = Schedule({METRICS: at}, zone)
    slot = slot_after(one, METRICS, first)
    start = last_whole_day(slot.due_at)
    recorded: list[date] = []
    while slot.day < first + 730 * DAY:
        found = days_to_record(one, slot)
        assert found[-1] == last_whole_day(slot.due_at)
        recorded += found
        slot = slot_after(one, METRICS, slot.day)
    # Recording one again changes nothing; leaving one out would leave a hole for ever.
    assert recorded == sorted(recorded)
    every = {start + number * DAY for number in range((recorded[-1] - start).days + 1)}
    assert set(recorded) - {start - DAY} == every


@pytest.mark.parametrize(
    ("zone", "day", "recorded"),
    [
        ("UTC", "2026-10-25", ["2026-10-24"]),
        # 01:00 in Berlin is 23:00 UTC in summer, when the day before is not over, and midnight UTC in winter.
        ("Europe/Berlin", "2026-10-25", ["2026-10-23"]),
        ("Europe/Berlin", "2026-10-26", ["2026-10-24", "2026-10-25"]),
        ("Europe/Berlin", "2026-10-27", ["2026-10-26"]),
        ("Europe/Berlin", "2026-03-29", ["2026-03-28"]),
        ("Europe/Berlin", "2026-03-30", ["2026-03-28"]),
        ("Europe/Berlin", "2026-03-31", ["2026-03-29"]),
        ("America/New_York", "2026-10-25", ["2026-10-24"]),
    ],
)
def test_a_metrics_slot_records_the_days_that_ended_since_the_last(zone: str, day: str, recorded: list[str]) -> None:
    slot = slot_of(schedule(zone), METRICS, date.fromisoformat(day))
    assert [str(found) for found in days_to_record(schedule(zone), slot)] == recorded


@pytest.mark.parametrize(
    ("latest", "began", "now", "expected"),
    [
        # The first start ever takes up the latest slot of each job, the earlier one first.
        ({}, None, "2026-05-10T14:00", (METRICS, 10)),
        ({}, None, "2026-05-10T01:30", (RECALCULATION, 9)),
        ({METRICS: 10}, "2026-05-10T01:00", "2026-05-10T14:00", (RECALCULATION, 10)),
        ({RECALCULATION: 9}, "2026-05-09T02:00", "2026-05-10T01:30", (METRICS, 10)),
        # Killed between its first two slots and away for days, it goes on where it was.
        ({METRICS: 10}, "2026-05-10T01:00", "2026-05-13T14:00", (RECALCULATION, 10)),
        ({RECALCULATION: 9}, "2026-05-09T02:00", "2026-05-13T14:00", (METRICS, 10)),
        ({METRICS: 10, RECALCULATION: 10}, "2026-05-01T01:00", "2026-05-11T00:59", None),
        ({METRICS: 10, RECALCULATION: 10}, "2026-05-01T01:00", "2026-05-11T01:00", (METRICS, 11)),
        ({METRICS: 11, RECALCULATION: 10}, "2026-05-01T01:00", "2026-05-11T01:59", None),
        ({METRICS: 11, RECALCULATION: 10}, "2026-05-01T01:00", "2026-05-11T02:00", (RECALCULATION, 11)),
        # After two days without a scheduler the days are taken up one by one.
        ({METRICS: 11, RECALCULATION: 10}, "2026-05-01T01:00", "2026-05-13T12:00", (RECALCULATION, 11)),
        ({METRICS: 11, RECALCULATION: 11}, "2026-05-01T01:00", "2026-05-13T12:00", (METRICS, 12)),
    ],
)
def test_the_next_slot(
    latest: dict[SlotJob, int], began: str | None, now: str, expected: tuple[SlotJob, int] | None
) -> None:
    found = next_slot(
        schedule(),
        {job: date(2026, 5, day) for job, day in latest.items()},
        None if began is None else utc(began),
        utc(now),
    )
    if expected is None:
        assert found is None
    else:
        job, day = expected
        assert found == slot_of(schedule(), job, date(2026, 5, day))


def test_metrics_come_first_where_both_are_due_at_once() -> None:
    both = schedule(metrics=time(2))
    assert next_slot(both, {}, None, utc("2026-05-10T14:00")) == DueSlot(
        METRICS, date(2026, 5, 10), utc("2026-05-10T02:00")
    )
