"""The health score, written slowly from the specification: fractions, one client at a time, no SQL.

Each function quotes the sentence that it stands for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from math import floor

from tests.oracle.facts import Facts, Member, World, at_or_before, everybody

KEYS = ("LOGIN", "CASE_RESOLUTION", "CAMPAIGN_COMPLETION", "FEATURE_ADOPTION", "TICKET_VOLUME")
WEIGHTS = dict(zip(KEYS, (20, 25, 25, 15, 15), strict=True))
WINDOW_DAYS = 30


@dataclass(frozen=True)
class ComponentScore:
    """One component: its score (null where it has none), whether it was measured, its share of the overall score."""

    key: str
    weight: int
    score: int | None
    light: str | None
    measured: bool
    contribution: Fraction | None


@dataclass(frozen=True)
class Assessment:
    """The health of one client on one scoring day."""

    day: date
    components: tuple[ComponentScore, ...]
    coverage: int
    score: int | None
    light: str | None
    trend: str | None
    trend_delta: int | None
    risk: str | None


def half_up(value: Fraction) -> int:
    """Apply "all rounding is half up (72.5 is 73), done in exact arithmetic"."""
    return floor(value + Fraction(1, 2))


def midnight(day: date) -> datetime:
    """Return the first moment of a UTC day."""
    return datetime.combine(day, time.min, tzinfo=UTC)


def end_of(day: date) -> datetime:
    """Return the last microsecond of a UTC day: the `as_of` of a day that is scored as a whole."""
    return midnight(day + timedelta(days=1)) - timedelta(microseconds=1)


def scoring_day(as_of: datetime) -> date:
    """Apply "scoring day: a UTC calendar day"."""
    return as_of.astimezone(UTC).date()


def in_window(moment: datetime | None, as_of: datetime, days: int = WINDOW_DAYS) -> bool:
    """Apply "the 30 UTC days that end with the scoring day, that day included"; later facts are not seen."""
    first = midnight(scoring_day(as_of) - timedelta(days=days - 1))
    return moment is not None and first <= moment <= as_of


def counted_members(facts: Facts, as_of: datetime) -> list[Member]:
    """Apply "a member deactivated at or before `as_of`, or created after it, does not count"."""
    return [
        member
        for member in everybody(facts)
        if not (member.deactivated_at is not None and member.deactivated_at <= as_of)
        and not (member.created_at is not None and member.created_at > as_of)
    ]


def active_members(facts: Facts, as_of: datetime, days: int = WINDOW_DAYS) -> int:
    """Count the members that count and that logged in within the window."""
    seen = {login.member for login in facts.logins if in_window(login.at, as_of, days)}
    return sum(member.external_id in seen for member in counted_members(facts, as_of))


def login_score(facts: Facts, as_of: datetime) -> int | None:
    """Members active in the window / all members; 70 % active or more scores 100, below that in proportion."""
    members = len(counted_members(facts, as_of))
    if members == 0:
        return None
    share = Fraction(active_members(facts, as_of), members)
    return 100 if share >= Fraction(70, 100) else half_up(100 * share / Fraction(70, 100))


def case_score(facts: Facts, as_of: datetime) -> int | None:
    """Of the cases closed in the window, the share closed at or before the SLA deadline (none: on time)."""
    closed = [case for case in facts.cases if in_window(case.closed_at, as_of)]
    if not closed:
        return None
    on_time = sum(
        case.sla_due_at is None or (case.closed_at is not None and case.closed_at <= case.sla_due_at) for case in closed
    )
    return half_up(100 * Fraction(on_time, len(closed)))


def campaign_ratios(facts: Facts, as_of: datetime) -> list[Fraction]:
    """Completed/assigned of the campaigns that closed in the window (one with nobody assigned does not count)."""
    return [
        Fraction(campaign.completed, campaign.assigned)
        for campaign in facts.campaigns
        if in_window(campaign.closed_at, as_of) and campaign.assigned > 0
    ]


def campaign_score(facts: Facts, as_of: datetime) -> int | None:
    """Mean of completed/assigned over those campaigns."""
    ratios = campaign_ratios(facts, as_of)
    return half_up(100 * sum(ratios, Fraction()) / len(ratios)) if ratios else None


def feature_counts(facts: Facts, as_of: datetime) -> tuple[int, int]:
    """Return the features enabled for the client, and those of them first used at or before `as_of`.

    Where only the last use is known, the feature was first used then at the latest.
    """
    enabled = [row for row in facts.features if row.enabled]
    used = [row for row in enabled if at_or_before([row.first_used_at or row.last_used_at], as_of)]
    return len(enabled), len(used)


def feature_score(facts: Facts, as_of: datetime) -> int | None:
    """Enabled features first used at or before `as_of` / features enabled for the client."""
    enabled, used = feature_counts(facts, as_of)
    return half_up(100 * Fraction(used, enabled)) if enabled else None


def tickets_tracked(facts: Facts, as_of: datetime) -> bool:
    """Apply "a client for which no ticket was ever recorded is not tracked"; later tickets are not seen."""
    return bool(at_or_before([ticket.opened_at for ticket in facts.tickets], as_of))


def ticket_score(facts: Facts, as_of: datetime) -> int:
    """With r = tickets opened in the window / baseline, 100 - 20 r up to r = 1, then 120 - 40 r, never below 0.

    "Baseline = the largest of 2, one tenth of the member count, and the mean of the three 30-day windows before this
    one." "A client for which no ticket was ever recorded is not tracked: it scores 100."
    """
    if not tickets_tracked(facts, as_of):
        return 100
    opened = [ticket.opened_at for ticket in facts.tickets]
    windows = [as_of] + [
        midnight(scoring_day(as_of) - timedelta(days=WINDOW_DAYS * back - 1)) - timedelta(microseconds=1)
        for back in (1, 2, 3)
    ]
    now, *before = [sum(in_window(moment, end) for moment in opened) for end in windows]
    baseline = max(Fraction(2), Fraction(len(counted_members(facts, as_of)), 10), Fraction(sum(before), 3))
    ratio = now / baseline
    value = 100 - 20 * ratio if ratio <= 1 else 120 - 40 * ratio
    return half_up(max(value, Fraction(0)))


def light_of(score: int | None) -> str | None:
    """GREEN from 80, AMBER from 60 to 79, RED below 60."""
    if score is None:
        return None
    if score >= 80:
        return "GREEN"
    return "AMBER" if score >= 60 else "RED"


def trend_of(delta: int) -> str:
    """More than +5: IMPROVING; less than -5: DECLINING; otherwise STABLE."""
    if delta > 5:
        return "IMPROVING"
    return "DECLINING" if delta < -5 else "STABLE"


def risk_of(score: int, trend: str) -> str:
    """HIGH if below 40, or below 60 and DECLINING. Otherwise MEDIUM if below 70 or DECLINING. Otherwise LOW."""
    declining = trend == "DECLINING"
    if score < 40 or (score < 60 and declining):
        return "HIGH"
    return "MEDIUM" if score < 70 or declining else "LOW"


def judge(
    scores: Mapping[str, int | None], *, tracked: bool, previous: int | None, day: date = date(2000, 1, 1)
) -> Assessment:
    """Weigh five component scores.

    "A component with nothing to divide by has no score and is marked not measured; the others' weights are scaled up
    to fill its place. `coverage` is the percentage of the weight that was measured (untracked tickets count as not
    measured here). Under 50 % coverage the client has no overall score." "`contribution`: its score times its
    effective weight, so that the contributions add up to the overall score before rounding."
    """
    present = {key: score for key, score in scores.items() if score is not None}
    weight = sum(WEIGHTS[key] for key in present)
    measured = {key: key in present and (key != "TICKET_VOLUME" or tracked) for key in KEYS}
    coverage = sum(WEIGHTS[key] for key in KEYS if measured[key])
    contributions = {key: Fraction(score * WEIGHTS[key], weight) for key, score in present.items()}
    components = tuple(
        ComponentScore(key, WEIGHTS[key], scores[key], light_of(scores[key]), measured[key], contributions.get(key))
        for key in KEYS
    )
    if coverage < 50:
        return Assessment(day, components, coverage, None, None, None, None, None)
    score = half_up(sum(contributions.values(), Fraction()))
    delta = 0 if previous is None else score - previous
    trend = trend_of(delta)
    return Assessment(day, components, coverage, score, light_of(score), trend, delta, risk_of(score, trend))


def previous_score(history: Mapping[date, Assessment], day: date) -> int | None:
    """Apply "the most recent score of an *earlier* scoring day"; a day without a score has none to compare with."""
    for earlier in sorted(history, reverse=True):
        score = history[earlier].score
        if earlier < day and score is not None:
            return score
    return None


def is_scored(facts: Facts, as_of: datetime) -> bool:
    """Say whether a calculation covers the client at all.

    "Only ACTIVE and TRIAL clients are scored; for an `as_of` before its `churned_at` a client is scored as it was
    then; before its `customer_since` it is not scored at all."
    """
    client = facts.client
    if client.customer_since is not None and as_of < midnight(client.customer_since):
        return False
    if client.status in ("ACTIVE", "TRIAL"):
        return True
    return client.churned_at is not None and as_of < client.churned_at


def assess(facts: Facts, as_of: datetime, history: Mapping[date, Assessment]) -> Assessment:
    """Score one client as it was at `as_of`, against the history of its earlier scoring days."""
    scores = {
        "LOGIN": login_score(facts, as_of),
        "CASE_RESOLUTION": case_score(facts, as_of),
        "CAMPAIGN_COMPLETION": campaign_score(facts, as_of),
        "FEATURE_ADOPTION": feature_score(facts, as_of),
        "TICKET_VOLUME": ticket_score(facts, as_of),
    }
    day = scoring_day(as_of)
    return judge(scores, tracked=tickets_tracked(facts, as_of), previous=previous_score(history, day), day=day)


def score_days(world: World, moments: list[datetime]) -> dict[str, dict[date, Assessment]]:
    """Score every client at each `as_of`, in the given order; "recalculating replaces that day's score"."""
    histories: dict[str, dict[date, Assessment]] = {external_id: {} for external_id in world.clients}
    for as_of in moments:
        for external_id, facts in world.clients.items():
            if is_scored(facts, as_of):
                histories[external_id][scoring_day(as_of)] = assess(facts, as_of, histories[external_id])
    return histories


def last_activity(facts: Facts, as_of: datetime) -> datetime | None:
    """Return the latest moment of any fact at or before `as_of`."""
    moments = [
        *(login.at for login in facts.logins),
        *(moment for case in facts.cases for moment in (case.opened_at, case.closed_at)),
        *(campaign.closed_at for campaign in facts.campaigns),
        *(response.at for response in facts.responses),
        *(moment for row in facts.features for moment in (row.first_used_at, row.last_used_at)),
        *(moment for ticket in facts.tickets for moment in (ticket.opened_at, ticket.closed_at)),
    ]
    return max(at_or_before(moments, as_of), default=None)
