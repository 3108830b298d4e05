"""Usage: the daily series of a window, its summary, and how recorded metrics changed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum


class MetricType(StrEnum):
    """What is recorded for each client once a day."""

    ACTIVE_USERS = "ACTIVE_USERS"
    LOGINS = "LOGINS"
    SESSION_MINUTES = "SESSION_MINUTES"
    CASES_CREATED = "CASES_CREATED"
    CASES_RESOLVED = "CASES_RESOLVED"
    CASES_RESOLVED_ON_TIME = "CASES_RESOLVED_ON_TIME"
    CAMPAIGN_RESPONSES = "CAMPAIGN_RESPONSES"
    CAMPAIGN_COMPLETION_RATE = "CAMPAIGN_COMPLETION_RATE"
    FEATURE_ADOPTION_RATE = "FEATURE_ADOPTION_RATE"
    SUPPORT_TICKETS = "SUPPORT_TICKETS"


@dataclass(frozen=True, slots=True)
class Day:
    """What happened on one UTC day."""

    date: date
    logins: int = 0
    cases_created: int = 0
    cases_resolved: int = 0
    campaign_responses: int = 0


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One recorded value, its change in percent against the previous recorded day, and when the day was revised."""

    date: date
    value: float | None
    change_percent: float | None
    revised_at: datetime | None = None


# A recorded day: the day, the value of one metric, and when late facts last changed any figure of the day.
Recorded = tuple[date, float | None, datetime | None]


def days_of(first: date, last: date) -> Iterator[date]:
    """Yield every day from `first` to `last`, both included."""
    return (first + timedelta(days=n) for n in range((last - first).days + 1))


def series(first: date, last: date, numbers: Mapping[date, Mapping[str, int]]) -> list[Day]:
    """Return one entry a day, oldest first, with zeros where nothing happened."""
    return [Day(day, **numbers.get(day, {})) for day in days_of(first, last)]


def peak_day(days: Sequence[Day]) -> date | None:
    """Return the day with most logins, the latest of equals; None when there was no login."""
    peak = max(days, key=lambda day: (day.logins, day.date), default=None)
    return peak.date if peak and peak.logins else None


def change_percent(value: float | None, previous: float | None) -> float | None:
    """Return the change from `previous` to `value` in percent; None where there is nothing to compare with."""
    if value is None or not previous:
        return None
    return (value - previous) * 100 / previous


def changes(points: Sequence[Recorded], first: date) -> list[MetricPoint]:
    """Return the points from `first` on, each against the one before it; `points` are oldest first."""
    before: list[float | None] = [None, *(value for _, value, _ in points)]
    return [
        MetricPoint(day, value, change_percent(value, previous), revised_at)
        for (day, value, revised_at), previous in zip(points, before, strict=False)
        if day >= first
    ]
