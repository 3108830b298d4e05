"""The health score: pure functions of counts, a policy and the previous score.

Every formula is the product specification's. All arithmetic is on integers and all rounding is half up,
so that a score never depends on who computes it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import product
from math import lcm

# The first day that anything is calculated for; no import accepts anything earlier.
EARLIEST_DAY = date(1970, 1, 1)
WINDOW_DAYS = 30
WEEK_DAYS = 7
BASELINE_WINDOWS = 3
# For how many scoring days, the one on which its feed became stale included, a component counts as measured.
KEPT_DAYS = 7


class TrafficLight(StrEnum):
    """The colour of a score."""

    GREEN = "GREEN"
    AMBER = "AMBER"
    RED = "RED"


class HealthTrend(StrEnum):
    """Where a score is heading."""

    IMPROVING = "IMPROVING"
    STABLE = "STABLE"
    DECLINING = "DECLINING"


class RiskLevel(StrEnum):
    """How likely a client is to be lost."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"


class Component(StrEnum):
    """The five parts of a score."""

    LOGIN = "LOGIN"
    CASE_RESOLUTION = "CASE_RESOLUTION"
    CAMPAIGN_COMPLETION = "CAMPAIGN_COMPLETION"
    FEATURE_ADOPTION = "FEATURE_ADOPTION"
    TICKET_VOLUME = "TICKET_VOLUME"


LABELS = {
    Component.LOGIN: "Login activity",
    Component.CASE_RESOLUTION: "Case resolution",
    Component.CAMPAIGN_COMPLETION: "Campaign completion",
    Component.FEATURE_ADOPTION: "Feature adoption",
    Component.TICKET_VOLUME: "Support tickets",
}


@dataclass(frozen=True, slots=True)
class Policy:
    """One version of the weights (percent, together 100) and thresholds (points, percent)."""

    version: int = 1
    login_weight: int = 20
    case_weight: int = 25
    campaign_weight: int = 25
    feature_weight: int = 15
    ticket_weight: int = 15
    # The percentage of active members that scores 100.
    full_login_share: int = 70
    green_from: int = 80
    amber_from: int = 60
    # A change of more points than this is a trend.
    trend_step: int = 5
    high_risk_below: int = 40
    high_risk_declining_below: int = 60
    medium_risk_below: int = 70
    # The percentage of the weight that must be measured for an overall score.
    minimum_coverage: int = 50

    @property
    def weights(self) -> tuple[int, int, int, int, int]:
        """The weights in the order of Component."""
        return (self.login_weight, self.case_weight, self.campaign_weight, self.feature_weight, self.ticket_weight)


@dataclass(frozen=True, slots=True)
class Counts:
    """What one client's score is computed from; see the specification's component table."""

    members: int = 0
    active_members: int = 0
    cases_closed: int = 0
    cases_on_time: int = 0
    # Completed and assigned of each campaign that closed in the window and was assigned to somebody.
    campaigns_completed: Sequence[int] = ()
    campaigns_assigned: Sequence[int] = ()
    features_enabled: int = 0
    features_used: int = 0
    tickets_opened: int = 0
    # Tickets opened in the three windows before this one.
    tickets_before: int = 0
    # False while no ticket was ever recorded.
    tickets_tracked: bool = False


ComponentScores = tuple[int | None, int | None, int | None, int | None, int | None]


@dataclass(frozen=True, slots=True)
class Kept:
    """The last measured score of a component whose feed is silent, which stands for what cannot be measured."""

    # Null where there was nothing to divide by then.
    score: int | None
    # The scoring day of that score.
    day: date
    # The UTC days of the feed's latest delivery, and on which its silence became longer than usual.
    silent_since: date
    stale_since: date
    # Whether that is so long ago that the component no longer counts as measured.
    lapsed: bool

    @property
    def measured(self) -> bool:
        """Whether the component counts as measured."""
        return self.score is not None and not self.lapsed


Stale = Mapping[Component, Kept]


@dataclass(frozen=True, slots=True)
class Health:
    """A computed score; `score`, `light`, `trend`, `trend_delta` and `risk` are None for an unscored client."""

    components: ComponentScores
    coverage: int
    score: int | None = None
    light: TrafficLight | None = None
    trend: HealthTrend | None = None
    trend_delta: int | None = None
    risk: RiskLevel | None = None
    # The components whose feed is silent; None where every feed delivers.
    stale: Stale | None = None


def divide_half_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded half up to a whole number; both are non-negative, denominator > 0."""
    return (2 * numerator + denominator) // (2 * denominator)


def end_of_day(day: date) -> datetime:
    """Return the last microsecond of a UTC day: the `as_of` that sees the whole day and nothing later."""
    return datetime.combine(day, time.max, UTC)


def start_of_day(day: date) -> datetime:
    """Return midnight UTC at the beginning of `day`."""
    return datetime.combine(day, time.min, UTC)


def window_start(day: date, days: int = WINDOW_DAYS) -> datetime:
    """Return the first instant of the window of `days` UTC days that ends with `day`."""
    return start_of_day(day - timedelta(days=days - 1))


def login_score(members: int, active_members: int, full_share: int) -> int | None:
    """Return 0 to 100: `full_share` percent of the members active scores 100, below that in proportion."""
    if members <= 0:
        return None
    return min(100, divide_half_up(active_members * 10_000, members * full_share))


def share_score(part: int, whole: int) -> int | None:
    """Return `part` of `whole` in percent, half up; None when there is nothing to divide by.

    Raises ValueError when the part exceeds the whole: such counts describe nothing real.
    """
    if whole <= 0:
        return None
    if part > whole:
        raise ValueError(f"{part} of {whole} is more than all")
    return divide_half_up(part * 100, whole)


def mean_ratio(parts: Sequence[int], wholes: Sequence[int]) -> tuple[int, int] | None:
    """Return the exact mean of parts[i] / wholes[i] as (numerator, denominator); None for no ratios.

    Raises ValueError when a part exceeds its whole.
    """
    if not wholes:
        return None
    common = lcm(*wholes)
    total = 0
    for part, whole in zip(parts, wholes, strict=True):
        if part > whole:
            raise ValueError(f"{part} of {whole} is more than all")
        total += part * (common // whole)
    return total, common * len(wholes)


def ticket_score(opened: int, before: int, members: int, *, tracked: bool) -> int:
    """Return 0 to 100, fewer tickets being better.

    With r = opened / baseline the score is 100 - 20 r up to r = 1, then 120 - 40 r, never below 0. The baseline is the
    largest of 2, a tenth of the members, and the mean of the three windows before this one; it is held here in
    thirtieths so that the arithmetic stays on integers. A client for which no ticket was ever recorded scores 100.
    """
    if not tracked:
        return 100
    baseline_30 = max(60, 3 * members, 10 * before)
    opened_30 = 30 * opened
    if opened_30 <= baseline_30:
        return divide_half_up(100 * baseline_30 - 20 * opened_30, baseline_30)
    return divide_half_up(max(0, 120 * baseline_30 - 40 * opened_30), baseline_30)


def component_scores(counts: Counts, policy: Policy) -> ComponentScores:
    """Return the five scores in the order of Component, None where there is nothing to divide by."""
    campaigns = mean_ratio(counts.campaigns_completed, counts.campaigns_assigned)
    return (
        login_score(counts.members, counts.active_members, policy.full_login_share),
        share_score(counts.cases_on_time, counts.cases_closed),
        share_score(*campaigns) if campaigns else None,
        share_score(counts.features_used, counts.features_enabled),
        ticket_score(counts.tickets_opened, counts.tickets_before, counts.members, tracked=counts.tickets_tracked),
    )


def light_of(score: int, policy: Policy) -> TrafficLight:
    """Return the colour of a score of 0 to 100."""
    if score >= policy.green_from:
        return TrafficLight.GREEN
    return TrafficLight.AMBER if score >= policy.amber_from else TrafficLight.RED


def trend_of(delta: int, policy: Policy) -> HealthTrend:
    """Return the trend of a change in points."""
    if delta > policy.trend_step:
        return HealthTrend.IMPROVING
    return HealthTrend.DECLINING if delta < -policy.trend_step else HealthTrend.STABLE


def risk_of(score: int, trend: HealthTrend, policy: Policy) -> RiskLevel:
    """Return the risk of a score and its trend."""
    declining = trend is HealthTrend.DECLINING
    if score < policy.high_risk_below or (declining and score < policy.high_risk_declining_below):
        return RiskLevel.HIGH
    return RiskLevel.MEDIUM if declining or score < policy.medium_risk_below else RiskLevel.LOW


def coverage_of(scores: ComponentScores, policy: Policy, *, tickets_tracked: bool) -> int:
    """Return the percentage of the weight that was measured; untracked tickets count as not measured."""
    measured = zip(scores[:4], policy.weights[:4], strict=True)
    return sum(w for score, w in measured if score is not None) + (policy.ticket_weight if tickets_tracked else 0)


def last_day_kept(stale_since: date) -> date:
    """Return the last scoring day on which a component counts as measured whose feed is stale since then."""
    return stale_since + timedelta(days=KEPT_DAYS - 1)


def assess(counts: Counts, previous_score: int | None, policy: Policy, stale: Stale | None = None) -> Health:
    """Return the health that `counts` show, against the most recent score of an earlier scoring day.

    The components in `stale` keep the score that they have there, whatever was counted. One that has lapsed counts as
    not measured, and the others fill its place, unless the overall score would be higher for it: what nobody measures
    any more must not improve a score. Its own score then remains; it is None otherwise.

    Raises ValueError when the counts contradict themselves.
    """
    scores, tickets_tracked = component_scores(counts, policy), counts.tickets_tracked
    kept = scores
    if stale:
        kept = _replaced(scores, {component: last.score for component, last in stale.items()})
        scores = _replaced(kept, {component: None for component, last in stale.items() if last.lapsed})
        if Component.TICKET_VOLUME in stale:
            tickets_tracked = stale[Component.TICKET_VOLUME].measured
    coverage = coverage_of(scores, policy, tickets_tracked=tickets_tracked)
    if coverage < policy.minimum_coverage:
        return Health(scores, coverage, stale=stale)
    if scores != kept:
        login, case, campaign, feature, ticket = (dict.fromkeys(pair) for pair in zip(scores, kept, strict=True))
        choices = product(login, case, campaign, feature, ticket)
        # The first of equal ones leaves out everything that has lapsed.
        scores = min(choices, key=lambda chosen: overall_score(chosen, policy))
    overall = overall_score(scores, policy)
    delta = 0 if previous_score is None else overall - previous_score
    trend, light = trend_of(delta, policy), light_of(overall, policy)
    return Health(scores, coverage, overall, light, trend, delta, risk_of(overall, trend, policy), stale)


def overall_score(scores: ComponentScores, policy: Policy) -> int:
    """Return the mean, weighted and half up, of the components that have a score; at least one has."""
    points = weight = 0
    for score, component_weight in zip(scores, policy.weights, strict=True):
        if score is not None:
            points += score * component_weight
            weight += component_weight
    return divide_half_up(points, weight)


def _replaced(scores: ComponentScores, others: Mapping[Component, int | None]) -> ComponentScores:
    login, case, campaign, feature, ticket = (
        others.get(component, score) for component, score in zip(Component, scores, strict=True)
    )
    return login, case, campaign, feature, ticket


def contributions(scores: ComponentScores, policy: Policy) -> list[float | None]:
    """Return each component's points of the overall score: its score times its effective weight.

    They add up to the overall score before rounding. None for a component without a score: the others
    fill its place.
    """
    weight = sum(w for score, w in zip(scores, policy.weights, strict=True) if score is not None)
    return [None if s is None else s * w / weight for s, w in zip(scores, policy.weights, strict=True)]
