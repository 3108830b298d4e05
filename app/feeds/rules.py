"""What feeds there are, and when one of them has gone silent.

A feed delivers when facts of its kind are received, whenever what they tell of happened. All days are UTC days.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise

# A feed's habit shows in the days that end with its latest delivery.
LOOK_BACK_DAYS = 180
# On how many of them it has to have delivered for its silence to mean anything.
USUAL_DELIVERIES = 3
# How far the first of them and the latest have to lie apart: a campaign that is answered within a week is no habit.
USUAL_SPAN_DAYS = 14
# For how long a gap is usual after it has ended, unless it was longer itself.
USUAL_DAYS = 30
# How much longer than its longest usual gap a feed may be silent.
GRACE_DAYS = 1


class FeedKind(StrEnum):
    """The streams of facts that a score lives on."""

    LOGINS = "LOGINS"
    CASES = "CASES"
    CAMPAIGNS = "CAMPAIGNS"
    FEATURES = "FEATURES"
    TICKETS = "TICKETS"


class FeedStatus(StrEnum):
    """Whether a feed delivers."""

    NEVER = "NEVER"
    FRESH = "FRESH"
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class Freshness:
    """How a feed stands on one day."""

    status: FeedStatus
    # The day of the latest delivery; None where there was none.
    silent_since: date | None = None
    # The day on which the silence became longer than usual; None unless the feed is stale.
    stale_since: date | None = None


def freshness(deliveries: Iterable[date], day: date) -> Freshness:
    """Return how a feed that delivered on these days, in any order, stands on `day`; later deliveries are not seen.

    A feed that usually delivers is stale once it has been silent for longer than its longest usual gap and one day of
    grace, so that weekends are no silence of a feed that delivers on weekdays. A feed without a habit, having been
    loaded once or within a few days, is never stale.
    """
    seen = sorted({delivery for delivery in deliveries if delivery <= day})
    if not seen:
        return Freshness(FeedStatus.NEVER)
    latest = seen[-1]
    usual = [delivery for delivery in seen if latest - delivery < timedelta(days=LOOK_BACK_DAYS)]
    if not _is_habit(usual):
        return Freshness(FeedStatus.FRESH, latest)
    stale_since = latest + _longest_usual_gap(usual) + timedelta(days=GRACE_DAYS + 1)
    if day < stale_since:
        return Freshness(FeedStatus.FRESH, latest)
    return Freshness(FeedStatus.STALE, latest, stale_since)


def _is_habit(days: Sequence[date]) -> bool:
    """Return whether a feed that delivered on these days, which are in order, usually delivers."""
    return len(days) >= USUAL_DELIVERIES and days[-1] - days[0] >= timedelta(days=USUAL_SPAN_DAYS)


def _longest_usual_gap(days: Sequence[date]) -> timedelta:
    """Return the longest gap between two of these days, which are in order, that is usual on the last of them.

    A gap is usual for 30 days, or for as long as it was itself: what happens each quarter will happen again, and
    what has not happened again for so long will not. A gap in which the feed was stale is an outage: what was usual
    before it still is, and it is usual itself only as far as the outage before it was as long, since a feed that
    becomes a weekly one is out twice.
    """
    longest = outage = timedelta(0)
    # When a gap of each length ended last.
    ends: dict[timedelta, date] = {}
    for number, (earlier, later) in enumerate(pairwise(days), start=1):
        gap = usual = later - earlier
        if _is_habit(days[:number]) and gap > longest + timedelta(days=GRACE_DAYS):
            usual, outage = max(longest, min(gap, outage)), gap
        ends[usual] = later
        longest = max(length for length, end in ends.items() if later - end < max(length, timedelta(days=USUAL_DAYS)))
    return longest
