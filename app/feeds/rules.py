"""What feeds there are, and when one of them has gone silent.

A feed delivers when facts of its kind are received, whenever what they tell of happened. All days are UTC days.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise

# A feed's habit shows in the days that end with its latest delivery.
HABIT_DAYS = 30
# On how many of them it has to have delivered for its silence to mean anything.
USUAL_DELIVERIES = 3
# How far the first of them and the latest have to lie apart: a campaign that is answered within a week is no habit.
USUAL_SPAN_DAYS = 14
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
    usual = [delivery for delivery in seen if latest - delivery < timedelta(days=HABIT_DAYS)]
    if len(usual) < USUAL_DELIVERIES or latest - usual[0] < timedelta(days=USUAL_SPAN_DAYS):
        return Freshness(FeedStatus.FRESH, latest)
    longest_gap = max(later - earlier for earlier, later in pairwise(usual))
    stale_since = latest + longest_gap + timedelta(days=GRACE_DAYS + 1)
    if day < stale_since:
        return Freshness(FeedStatus.FRESH, latest)
    return Freshness(FeedStatus.STALE, latest, stale_since)
