"""Usage, feature adoption and daily metrics, written slowly from the specification."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from tests.oracle.facts import Facts, World, at_or_before
from tests.oracle.spec import end_of, feature_counts, in_window, scoring_day


@dataclass(frozen=True)
class Day:
    """One day of the usage series."""

    date: date
    logins: int
    cases_created: int
    cases_resolved: int
    campaign_responses: int


@dataclass(frozen=True)
class Usage:
    """The series and its summary."""

    daily: list[Day]
    total_logins: int
    unique_users: int
    avg_session_minutes: Fraction | None
    peak_day: date | None


def on_day(moments: Sequence[datetime | None], day: date, as_of: datetime) -> int:
    """Count the moments of one UTC day that `as_of` can see."""
    return sum(scoring_day(moment) == day for moment in at_or_before(moments, as_of))


def usage(facts: Facts, as_of: datetime, days: int) -> Usage:
    """One entry per day of the window, zero days included, oldest first; the window ends with the scoring day.

    "Summary: total logins, unique members, mean session length in minutes (null with no session), and the peak day
    (the date with most logins; the latest of equals; null with none)."
    """
    last = scoring_day(as_of)
    daily = [
        Day(
            day,
            on_day([login.at for login in facts.logins], day, as_of),
            on_day([case.opened_at for case in facts.cases], day, as_of),
            on_day([case.closed_at for case in facts.cases], day, as_of),
            on_day([response.at for response in facts.responses], day, as_of),
        )
        for day in (last - timedelta(days=back) for back in reversed(range(days)))
    ]
    logins = [login for login in facts.logins if in_window(login.at, as_of, days)]
    sessions = [Fraction(login.duration_minutes) for login in logins if login.duration_minutes is not None]
    peak = max(daily, key=lambda entry: (entry.logins, entry.date))
    return Usage(
        daily=daily,
        total_logins=len(logins),
        unique_users=len({login.member for login in logins}),
        avg_session_minutes=sum(sessions, Fraction()) / len(sessions) if sessions else None,
        peak_day=peak.date if peak.logins else None,
    )


@dataclass(frozen=True)
class FeatureState:
    """One tile of the feature grid."""

    key: str
    name: str
    category: str
    enabled: bool
    adopted: bool
    first_used_at: datetime | None
    last_used_at: datetime | None


def features(world: World, facts: Facts, as_of: datetime) -> dict[str, FeatureState]:
    """Apply "a feature is adopted when it has been used at least once and is enabled"; later uses are not seen."""
    catalogue = {feature.key: feature for feature in world.catalogue}
    grid = {}
    for row in facts.features:
        first, last = (next(iter(at_or_before([at], as_of)), None) for at in (row.first_used_at, row.last_used_at))
        used = bool(at_or_before([row.first_used_at or row.last_used_at], as_of))
        feature = catalogue[row.feature]
        grid[row.feature] = FeatureState(
            row.feature, feature.name, feature.category, row.enabled, row.enabled and used, first, last
        )
    return grid


def adoption_percent(facts: Facts, as_of: datetime) -> Fraction | None:
    """Apply "adoption rate = adopted / enabled", in percent; nothing enabled has no rate."""
    enabled, used = feature_counts(facts, as_of)
    return 100 * Fraction(used, enabled) if enabled else None


def daily_metrics(facts: Facts, day: date) -> dict[str, Fraction | None]:
    """Return each metric of MetricType for one whole UTC day."""
    as_of = end_of(day)
    logins = [login for login in facts.logins if scoring_day(login.at) == day]
    closed = [case for case in facts.cases if case.closed_at is not None and scoring_day(case.closed_at) == day]
    on_time = [
        case for case in closed if case.closed_at and (case.sla_due_at is None or case.closed_at <= case.sla_due_at)
    ]
    ratios = [
        Fraction(campaign.completed, campaign.assigned)
        for campaign in facts.campaigns
        if campaign.assigned > 0 and on_day([campaign.closed_at], day, as_of)
    ]
    minutes = [Fraction(login.duration_minutes) for login in logins if login.duration_minutes is not None]
    return {
        "ACTIVE_USERS": Fraction(len({login.member for login in logins})),
        "LOGINS": Fraction(len(logins)),
        "SESSION_MINUTES": sum(minutes, Fraction()),
        "CASES_CREATED": Fraction(on_day([case.opened_at for case in facts.cases], day, as_of)),
        "CASES_RESOLVED": Fraction(len(closed)),
        "CASES_RESOLVED_ON_TIME": Fraction(len(on_time)),
        "CAMPAIGN_RESPONSES": Fraction(on_day([response.at for response in facts.responses], day, as_of)),
        "CAMPAIGN_COMPLETION_RATE": 100 * sum(ratios, Fraction()) / len(ratios) if ratios else None,
        "FEATURE_ADOPTION_RATE": adoption_percent(facts, as_of),
        "SUPPORT_TICKETS": Fraction(on_day([ticket.opened_at for ticket in facts.tickets], day, as_of)),
    }


def change_percent(value: Fraction | None, before: Fraction | None) -> Fraction | None:
    """Apply "change in percent against the previous recorded day (null where that was zero or missing)"."""
    if value is None or not before:
        return None
    return 100 * (value - before) / before


def metric_history(
    recorded: Mapping[date, Mapping[str, Fraction | None]], metric: str
) -> list[tuple[date, Fraction | None, Fraction | None]]:
    """Return (day, value, change) of the recorded days, oldest first."""
    entries = []
    before: Fraction | None = None
    for day in sorted(recorded):
        value = recorded[day][metric]
        entries.append((day, value, change_percent(value, before)))
        before = value
    return entries
