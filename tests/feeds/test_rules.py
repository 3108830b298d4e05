"""When a feed is stale: a table of days, and any days against a slow oracle."""

from collections.abc import Set
from datetime import date, timedelta
from itertools import accumulate

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
        # Campaigns of three days each month, and each quarter: the time between them is usual.
        (on(0, 1, 2, 31, 32, 33), 63, FRESH, 33, None),
        (on(0, 1, 2, 31, 32, 33), 64, STALE, 33, 64),
        (on(0, 1, 2, 91, 92, 93), 183, FRESH, 93, None),
        (on(0, 1, 2, 91, 92, 93), 184, STALE, 93, 184),
        (on(*(quarter * 91 + number for quarter in range(5) for number in range(3))), 456, FRESH, 366, None),
        (on(*(quarter * 91 + number for quarter in range(5) for number in range(3))), 457, STALE, 366, 457),
        # Answered for longer than two weeks it is a habit, whose end is an outage; a second one is usual.
        (on(*range(15), *range(91, 106)), 107, FRESH, 105, None),
        (on(*range(15), *range(91, 106)), 108, STALE, 105, 108),
        (on(*range(15), *range(60, 75), *range(120, 135)), 181, FRESH, 134, None),
        (on(*range(15), *range(60, 75), *range(120, 135)), 182, STALE, 134, 182),
        # The habit is that of 180 days: the third latest delivery is one of them, or is not.
        (on(0, 178, 179), 358, FRESH, 179, None),
        (on(0, 178, 179), 359, STALE, 179, 359),
        (on(0, 179, 180), 1000, FRESH, 180, None),
        # A gap before there was a habit is usual for as long as it was itself: it may have been a trial.
        (on(0, *range(40, 80)), 120, FRESH, 79, None),
        (on(0, *range(40, 80)), 121, STALE, 79, 121),
        (on(0, *range(40, 81)), 82, FRESH, 80, None),
        (on(0, *range(40, 81)), 83, STALE, 80, 83),
        # A day that was missed is usual for 30 days.
        (on(*range(20), *range(21, 50)), 52, FRESH, 49, None),
        (on(*range(20), *range(21, 50)), 53, STALE, 49, 53),
        (on(*range(20), *range(21, 52)), 53, FRESH, 51, None),
        (on(*range(20), *range(21, 52)), 54, STALE, 51, 54),
        # A silence in which the feed was stale is not usual: what comes back once is stale on the third day again.
        (on(*range(60), 94), 96, FRESH, 94, None),
        (on(*range(60), 94), 97, STALE, 94, 97),
        (on(*range(60), 94, 95, 96), 99, STALE, 96, 99),
        (on(*range(60), 62), 64, FRESH, 62, None),
        (on(*range(60), 62), 65, STALE, 62, 65),
        # The weekends before an outage are usual after it, although they are longer ago than 30 days.
        ([*WEEKDAYS, *on(14, 50)], 54, FRESH, 50, None),
        ([*WEEKDAYS, *on(14, 50)], 55, STALE, 50, 55),
        # A daily feed that becomes a weekly one is stale twice; the shorter of two outages in turn is usual.
        (on(*range(60), 66), 69, STALE, 66, 69),
        (on(*range(60), 66, 73), 81, FRESH, 73, None),
        (on(*range(60), 66, 73), 82, STALE, 73, 82),
        (on(*range(60), 66, 73, 80, 87), 96, STALE, 87, 96),
        (on(*range(60), 94, 101), 110, STALE, 101, 110),
        (on(*range(60), 66, 101), 110, STALE, 101, 110),
        # Of a habit that is longer ago than that nobody knows, or too little.
        (on(*range(60), 224), 226, FRESH, 224, None),
        (on(*range(60), 224), 227, STALE, 224, 227),
        (on(*range(60), 225), 392, FRESH, 225, None),
        (on(*range(60), 225), 393, STALE, 225, 393),
        (on(*range(60), 238), 1000, FRESH, 238, None),
    ],
)
def test_a_feed_is_stale_after_its_longest_usual_gap_and_a_day_of_grace(
    deliveries: list[date], day: int, status: FeedStatus, silent_since: int | None, stale_since: int | None
) -> None:
    days = [None if number is None else on(number)[0] for number in (silent_since, stale_since)]
    assert freshness(deliveries, on(day)[0]) == Freshness(status, *days)


def steps() -> st.SearchStrategy[set[int]]:
    """Draw days with few different gaps between them, as programs deliver."""
    gaps = st.lists(st.integers(1, 60), min_size=1, max_size=3).flatmap(
        lambda few: st.lists(st.sampled_from([*few, 1, 1]), max_size=80)
    )
    return gaps.map(lambda found: set(accumulate(found, initial=0)))


def oracle(deliveries: Set[date], day: date) -> Freshness:
    """Walk through the mornings one by one, up to that of `day`, as somebody with a calendar would."""
    seen = {delivery for delivery in deliveries if delivery <= day}
    if not seen:
        return Freshness(NEVER)
    known = {delivery for delivery in seen if (max(seen) - delivery).days < 180}
    first = latest = walked = min(known)
    # How many silent days were usual on each day on which a silence ended, and how many the last outage had.
    quiet: dict[date, int] = {}
    outage, stale_since = 0, None
    while walked <= day:
        silent = (walked - latest).days - 1
        usual = max((days for end, days in quiet.items() if (latest - end).days < max(30, days + 1)), default=0)
        number = sum(delivery <= latest for delivery in known)
        if stale_since is None and number >= 3 and (latest - first).days >= 14 and silent > usual + 1:
            stale_since = walked
        if walked in known and walked > latest:
            quiet[walked] = silent
            if stale_since is not None:
                quiet[walked], outage = max(usual, min(silent, outage)), silent
            latest, stale_since = walked, None
        walked += timedelta(days=1)
    return Freshness(STALE if stale_since else FRESH, latest, stale_since)


@given(
    numbers=st.sets(st.integers(0, 90), max_size=40)
    | st.sets(st.integers(0, 30), max_size=31)
    | st.sets(st.integers(0, 400), max_size=30)
    | steps(),
    day=st.integers(-3, 500),
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


@given(
    begun=st.integers(0, 30),
    outage=st.integers(5, 150),
    back=st.integers(1, 5),
    week=st.sampled_from([range(7), range(5)]),
)
def test_a_feed_that_comes_back_is_missed_as_soon_as_before(begun: int, outage: int, back: int, week: range) -> None:
    """However long it was away, and however briefly it is back."""
    numbers = [number for number in range(begun, begun + 28) if number % 7 in week]
    before = freshness(on(*numbers), on(1000)[0])
    again = [numbers[-1] + outage + number for number in range(back)]
    after = freshness(on(*numbers, *again), on(1000)[0])
    assert before.silent_since
    assert before.stale_since
    assert after.silent_since
    assert after.stale_since
    assert after.stale_since - after.silent_since == before.stale_since - before.silent_since
