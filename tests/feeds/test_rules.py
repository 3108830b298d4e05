"""When a feed is stale: a table of days, and any days against a slow oracle."""

from collections.abc import Set
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.feeds.rules import FeedStatus, Freshness, freshness

# A Monday.
START = date(2025, 11, 3)
NEVER, FRESH, STALE = FeedStatus.NEVER, FeedStatus.FRESH, FeedStatus.STALE


def on(*numbers: int) -> list[date]:
    """Return the days with these numbers, counted from START."""
    return [START + timedelta(days=number) for number in numbers]


DAILY = on(*range(15))
WEEKDAYS = on(*(number for number in range(15) if number % 7 < 5))


@pytest.mark.parametrize(
    ("deliveries", "day", "status", "silent_since", "stale_since"),
    [
        ([], 0, NEVER, None, None),
        # What was received later is not seen.
        (on(5, 6, 7), 4, NEVER, None, None),
        ([*DAILY, *on(30)], 29, STALE, 14, 17),
        ([*DAILY, *on(30)], 30, FRESH, 30, None),
        # A feed that delivers every day may miss one; on the morning after the second it is stale.
        (DAILY, 14, FRESH, 14, None),
        (DAILY, 16, FRESH, 14, None),
        (DAILY, 17, STALE, 14, 17),
        (DAILY, 400, STALE, 14, 17),
        # The order and repetitions mean nothing.
        ([*DAILY[::-1], *DAILY], 17, STALE, 14, 17),
        # The weekend is a usual gap of a feed that delivers on weekdays; Monday's silence lasts until Friday.
        (WEEKDAYS, 18, FRESH, 14, None),
        (WEEKDAYS, 19, STALE, 14, 19),
        # An import each week, and one each other week.
        (on(0, 7, 14), 22, FRESH, 14, None),
        (on(0, 7, 14), 23, STALE, 14, 23),
        (on(0, 14, 28), 43, FRESH, 28, None),
        (on(0, 14, 28), 44, STALE, 28, 44),
        # Twice may be chance: without a habit no silence means anything.
        (on(0), 400, FRESH, 0, None),
        (on(0, 20), 400, FRESH, 20, None),
        # So it is with a feed that starts, for two weeks, and with a campaign that is answered within them.
        (DAILY[:-1], 400, FRESH, 13, None),
        (on(0, 1, 2), 400, FRESH, 2, None),
        (on(0, 1, 13), 400, FRESH, 13, None),
        (on(0, 1, 14), 28, FRESH, 14, None),
        (on(0, 1, 14), 29, STALE, 14, 29),
        # Campaigns of three days each month, and each quarter.
        (on(0, 1, 2, 31, 32, 33), 61, FRESH, 33, None),
        (on(0, 1, 2, 91, 92, 93), 181, FRESH, 93, None),
        # The habit is that of 30 days: the third latest delivery is one of them, or is not.
        (on(0, 28, 29), 58, FRESH, 29, None),
        (on(0, 28, 29), 59, STALE, 29, 59),
        (on(0, 29, 30), 400, FRESH, 30, None),
        # A gap before those days is not usual any more.
        (on(0, *range(40, 55)), 57, STALE, 54, 57),
        # A silence that ended is a gap like any other.
        ([*DAILY, *on(20)], 27, FRESH, 20, None),
        ([*DAILY, *on(20)], 28, STALE, 20, 28),
    ],
)
def test_a_feed_is_stale_after_its_longest_usual_gap_and_a_day_of_grace(
    deliveries: list[date], day: int, status: FeedStatus, silent_since: int | None, stale_since: int | None
) -> None:
    days = [None if number is None else on(number)[0] for number in (silent_since, stale_since)]
    assert freshness(deliveries, on(day)[0]) == Freshness(status, *days)


def oracle(deliveries: Set[date], day: date) -> Freshness:
    """Walk through the days one by one, from the first delivery to `day`, as somebody with a calendar would."""
    if not any(delivery <= day for delivery in deliveries):
        return Freshness(NEVER)
    walked, latest = min(deliveries), min(deliveries)
    stale_since: date | None = None
    while walked <= day:
        if walked in deliveries:
            latest, stale_since = walked, None
        month = [latest - timedelta(days=back) for back in range(29, -1, -1)]
        marks = "".join("x" if one in deliveries else "." for one in month).strip(".")
        # The silent days between two deliveries, and those since the latest.
        allowed = max((len(quiet) for quiet in marks.split("x")), default=0) + 1
        silent = (walked - latest).days - 1
        if marks.count("x") >= 3 and len(marks) > 14 and stale_since is None and silent > allowed:
            stale_since = walked
        walked += timedelta(days=1)
    return Freshness(STALE if stale_since else FRESH, latest, stale_since)


@given(
    numbers=st.sets(st.integers(0, 90), max_size=40) | st.sets(st.integers(0, 12), max_size=13),
    day=st.integers(-3, 140),
)
def test_any_days_are_judged_as_somebody_with_a_calendar_would(numbers: set[int], day: int) -> None:
    deliveries, moment = set(on(*numbers)), on(day)[0]
    assert freshness(deliveries, moment) == oracle(deliveries, moment)


@given(numbers=st.sets(st.integers(0, 60), min_size=1, max_size=40), day=st.integers(0, 100))
def test_a_silence_that_is_stale_stays_so_until_the_next_delivery(numbers: set[int], day: int) -> None:
    found = freshness(on(*numbers), on(day)[0])
    if found.status is STALE:
        assert freshness(on(*numbers), on(day + 1)[0]) == (
            Freshness(FRESH, on(day + 1)[0]) if day + 1 in numbers else found
        )
