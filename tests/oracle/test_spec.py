"""The oracle against examples that were worked out by hand from the specification."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from tests.oracle import facts as f
from tests.oracle import peers, portfolio, spec, usage
from tests.oracle.files import write_world
from tests.oracle.worlds import last_moments, make_world

DAY = date(2025, 3, 14)
AS_OF = datetime(2025, 3, 14, 23, 59, 59, 999_999, tzinfo=UTC)
FIRST = datetime(2025, 2, 13, tzinfo=UTC)
NOON = datetime(2025, 3, 10, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)


def client(**values: object) -> f.Facts:
    """Return the facts of one client with nothing recorded."""
    return f.Facts(f.Client("c", "C", **values))  # type: ignore[arg-type]


def tickets(*moments: datetime) -> list[f.Ticket]:
    """Return one ticket opened at each moment."""
    return [f.Ticket("c", str(number), moment) for number, moment in enumerate(moments)]


@pytest.mark.parametrize(
    ("value", "rounded"),
    [("72.5", 73), ("72.49", 72), ("0.5", 1), ("2.5", 3), ("3.5", 4), ("-0.5", 0), ("0", 0), ("99.5", 100)],
)
def test_rounding_is_half_up(value: str, rounded: int) -> None:
    assert spec.half_up(Fraction(value)) == rounded


def test_the_window_holds_thirty_days_to_the_microsecond() -> None:
    assert spec.end_of(DAY) == AS_OF
    assert spec.in_window(FIRST, AS_OF)
    assert spec.in_window(AS_OF, AS_OF)
    assert not spec.in_window(FIRST - TICK, AS_OF)
    assert not spec.in_window(AS_OF + TICK, AS_OF)
    assert (DAY - FIRST.date()).days + 1 == 30


@pytest.mark.parametrize(
    ("active", "members", "score"),
    [(14, 20, 100), (20, 20, 100), (13, 20, 93), (7, 16, 63), (0, 3, 0), (1, 3, 48), (0, 0, None)],
)
def test_login_scores_in_proportion_up_to_seventy_percent(active: int, members: int, score: int | None) -> None:
    world = client()
    world.members = [f.Member("c", str(number)) for number in range(members)]
    world.logins = [f.Login("c", str(number), NOON) for number in range(active)] * 2
    assert spec.login_score(world, AS_OF) == score


def test_only_members_of_the_moment_count() -> None:
    world = client()
    world.members = [
        f.Member("c", "gone", deactivated_at=AS_OF),
        f.Member("c", "going", deactivated_at=AS_OF + TICK),
        f.Member("c", "new", created_at=AS_OF),
        f.Member("c", "newer", created_at=AS_OF + TICK),
    ]
    world.logins = [f.Login("c", "gone", NOON), f.Login("c", "visitor", NOON), f.Login("c", "later", AS_OF + TICK)]
    assert [member.external_id for member in spec.counted_members(world, AS_OF)] == ["going", "new", "visitor"]
    assert spec.active_members(world, AS_OF) == 1


def test_a_case_closed_at_its_deadline_or_without_one_is_on_time() -> None:
    world = client()
    world.cases = [
        f.Case("c", "on", closed_at=NOON, sla_due_at=NOON),
        f.Case("c", "none", closed_at=NOON),
        f.Case("c", "late", closed_at=NOON, sla_due_at=NOON - TICK),
        f.Case("c", "open", opened_at=NOON),
        f.Case("c", "old", closed_at=FIRST - TICK),
    ]
    assert spec.case_score(world, AS_OF) == 67
    assert spec.case_score(client(), AS_OF) is None


def test_campaigns_are_the_mean_of_their_ratios() -> None:
    world = client()
    world.campaigns = [
        f.Campaign("c", "1", assigned=2, completed=1, closed_at=NOON),
        f.Campaign("c", "2", assigned=400, completed=300, closed_at=AS_OF),
        f.Campaign("c", "3", assigned=0, completed=0, closed_at=NOON),
        f.Campaign("c", "4", assigned=9, completed=9),
    ]
    assert spec.campaign_score(world, AS_OF) == 63
    assert spec.campaign_score(client(), AS_OF) is None


def test_features_count_when_enabled_and_first_used_in_time() -> None:
    world = client()
    world.features = [
        f.ClientFeature("c", "1", True, AS_OF),
        f.ClientFeature("c", "2", True, AS_OF + TICK),
        f.ClientFeature("c", "3", False, NOON),
        f.ClientFeature("c", "4", True, None, NOON),
        f.ClientFeature("c", "5", True),
    ]
    assert spec.feature_counts(world, AS_OF) == (4, 2)
    assert spec.feature_score(world, AS_OF) == 50
    assert spec.feature_score(client(), AS_OF) is None


@pytest.mark.parametrize(
    ("opened", "score"), [(0, 100), (1, 90), (2, 80), (3, 60), (4, 40), (5, 20), (6, 0), (7, 0), (40, 0)]
)
def test_tickets_score_against_a_baseline_of_two(opened: int, score: int) -> None:
    world = client()
    world.tickets = tickets(FIRST - timedelta(days=200), *[NOON] * opened)
    assert spec.ticket_score(world, AS_OF) == score


def test_the_baseline_is_the_largest_of_three() -> None:
    world = client()
    world.tickets = tickets(NOON, *[FIRST - TICK] * 8, *[FIRST - timedelta(days=90)] * 4, FIRST - timedelta(days=91))
    assert spec.ticket_score(world, AS_OF) == 95
    world.members = [f.Member("c", str(number)) for number in range(80)]
    assert spec.ticket_score(world, AS_OF) == 98


def test_tickets_are_tracked_from_the_first() -> None:
    world = client()
    assert not spec.tickets_tracked(world, AS_OF)
    assert spec.ticket_score(world, AS_OF) == 100
    world.tickets = tickets(AS_OF + TICK)
    assert not spec.tickets_tracked(world, AS_OF)
    world.tickets = tickets(FIRST - timedelta(days=500))
    assert spec.tickets_tracked(world, AS_OF)


def scores(*values: int | None) -> dict[str, int | None]:
    """Name five component scores."""
    return dict(zip(spec.KEYS, values, strict=True))


def test_the_overall_score_is_the_weighted_mean() -> None:
    health = spec.judge(scores(100, 50, 50, 70, 80), tracked=True, previous=None)
    assert (health.score, health.coverage, health.light, health.trend, health.trend_delta, health.risk) == (
        68,
        100,
        "AMBER",
        "STABLE",
        0,
        "MEDIUM",
    )
    assert sum(c.contribution or 0 for c in health.components) == Fraction("67.5")


def test_a_missing_component_gives_its_weight_to_the_others() -> None:
    health = spec.judge(scores(None, 100, 60, None, 100), tracked=False, previous=None)
    assert (health.score, health.coverage) == (85, 50)
    assert [c.contribution for c in health.components] == [
        None,
        Fraction(2500, 65),
        Fraction(1500, 65),
        None,
        Fraction(1500, 65),
    ]
    assert [c.measured for c in health.components] == [False, True, True, False, False]


def test_under_half_the_weight_there_is_no_score() -> None:
    health = spec.judge(scores(100, 100, None, None, 100), tracked=False, previous=90)
    assert (health.score, health.light, health.trend, health.trend_delta, health.risk) == (None,) * 5
    assert health.coverage == 45
    assert spec.judge(scores(100, 100, None, None, 100), tracked=True, previous=None).coverage == 60


@pytest.mark.parametrize(("score", "light"), [(80, "GREEN"), (79, "AMBER"), (60, "AMBER"), (59, "RED"), (None, None)])
def test_lights(score: int | None, light: str | None) -> None:
    assert spec.light_of(score) == light


@pytest.mark.parametrize(("delta", "trend"), [(6, "IMPROVING"), (5, "STABLE"), (-5, "STABLE"), (-6, "DECLINING")])
def test_trends(delta: int, trend: str) -> None:
    assert spec.trend_of(delta) == trend


@pytest.mark.parametrize(
    ("score", "trend", "risk"),
    [
        (39, "IMPROVING", "HIGH"),
        (40, "STABLE", "MEDIUM"),
        (59, "DECLINING", "HIGH"),
        (60, "DECLINING", "MEDIUM"),
        (69, "IMPROVING", "MEDIUM"),
        (70, "STABLE", "LOW"),
        (100, "DECLINING", "MEDIUM"),
    ],
)
def test_risks(score: int, trend: str, risk: str) -> None:
    assert spec.risk_of(score, trend) == risk


def test_the_trend_skips_days_without_a_score() -> None:
    history = {
        date(2025, 3, 1): spec.judge(scores(90, 90, 90, 90, 90), tracked=True, previous=None),
        date(2025, 3, 2): spec.judge(scores(None, None, None, None, 100), tracked=False, previous=None),
    }
    assert spec.previous_score(history, date(2025, 3, 3)) == 90
    assert spec.previous_score(history, date(2025, 3, 1)) is None


def test_who_is_scored() -> None:
    assert spec.is_scored(client(status="TRIAL"), AS_OF)
    assert not spec.is_scored(client(status="CHURNED"), AS_OF)
    assert not spec.is_scored(client(status="CHURNED", churned_at=AS_OF), AS_OF)
    assert spec.is_scored(client(status="CHURNED", churned_at=AS_OF + TICK), AS_OF)
    assert spec.is_scored(client(customer_since=DAY), AS_OF)
    assert not spec.is_scored(client(customer_since=DAY + timedelta(days=1)), AS_OF)


def test_usage_of_three_days() -> None:
    world = client()
    end = spec.midnight(DAY)
    world.logins = [
        f.Login("c", "a", end, Decimal("1.5")),
        f.Login("c", "b", end - TICK),
        f.Login("c", "a", end - timedelta(days=2), Decimal(1)),
        f.Login("c", "a", end - timedelta(days=2) - TICK, Decimal(500)),
    ]
    world.cases = [f.Case("c", "1", end - timedelta(days=1), end)]
    summary = usage.usage(world, AS_OF, 3)
    assert [(day.date.day, day.logins, day.cases_created, day.cases_resolved) for day in summary.daily] == [
        (12, 1, 0, 0),
        (13, 1, 1, 0),
        (14, 1, 0, 1),
    ]
    assert (summary.total_logins, summary.unique_users) == (3, 2)
    assert (summary.avg_session_minutes, summary.peak_day) == (Fraction(5, 4), DAY)
    assert usage.usage(client(), AS_OF, 1).peak_day is None


def test_the_change_of_a_metric_is_against_the_recorded_day_before() -> None:
    recorded: dict[date, dict[str, Fraction | None]] = {
        date(2025, 3, day): {"LOGINS": None if value is None else Fraction(value)}
        for day, value in ((1, 0), (2, 4), (4, 5), (5, None), (6, 2))
    }
    changes = [change for _, _, change in usage.metric_history(recorded, "LOGINS")]
    assert changes == [None, None, 25, None, None]


def test_quartiles_interpolate_as_percentile_cont_does() -> None:
    values = [Fraction(value) for value in (10, 1, 2, 4, 3, 7)]
    assert [peers.quartile(values, Fraction(share, 4)) for share in (1, 2, 3)] == [
        Fraction("2.25"),
        Fraction("3.5"),
        Fraction("6.25"),
    ]
    assert peers.one_decimal(Fraction("2.25")) == Fraction("2.3")


def test_half_of_the_ties_count() -> None:
    values = [Fraction(value) for value in (1, 2, 2, 3, 9)]
    assert peers.percentile(Fraction(2), values, lower_is_better=False) == 40
    assert peers.percentile(Fraction(2), values, lower_is_better=True) == 60
    assert peers.percentile(Fraction(0), [*values, *values, *values[:2]], lower_is_better=True) == 100
    assert peers.percentile(Fraction(1), [Fraction(1)] + [Fraction(5)] * 7, lower_is_better=False) == 6


def test_four_values_are_no_benchmark() -> None:
    assert peers.standing("FEATURE_ADOPTION", [Fraction(1)] * 4 + [None] * 4, Fraction(1)) == peers.Standing(
        "FEATURE_ADOPTION", 4
    )
    assert peers.standing("FEATURE_ADOPTION", [Fraction(1)] * 5, None).median == 1


def card(number: int, name: str, score: int | None) -> portfolio.Card:
    """Return a card of one client with a score."""
    health = spec.judge(scores(*[score] * 5), tracked=True, previous=None) if score is not None else None
    return portfolio.Card(number, f.Facts(f.Client(str(number), name)), health, None)


def test_equal_values_follow_name_and_id_and_missing_ones_come_last() -> None:
    listed = [card(1, "b", 70), card(2, "B", 70), card(3, "a", 70), card(4, "a", None), card(5, "z", 90)]
    assert [entry.id for entry in portfolio.ordered(listed, "SCORE", "ASC")] == [3, 1, 2, 5, 4]
    assert [entry.id for entry in portfolio.ordered(listed, "SCORE", "DESC")] == [5, 3, 1, 2, 4]
    assert [entry.id for entry in portfolio.ordered(listed, "NAME", "DESC")] == [5, 1, 2, 3, 4]


def test_search_ignores_case_and_knows_no_wildcards() -> None:
    listed = [card(1, "Éclair 100%", 70), card(2, "under_score", 70), card(3, "Straße", 70)]

    def found(term: str) -> list[int]:
        return [entry.id for entry in listed if portfolio.matches(entry, {"search": term})]

    assert found("É") == found("e\u0301") == [1]
    assert (found("%"), found("_"), found("STRASSE"), found("R")) == ([1], [2], [3], [1, 2, 3])


def test_the_summary_ignores_the_light_of_the_filter() -> None:
    listed = [card(1, "a", 90), card(2, "b", 70), card(3, "c", 10), card(4, "d", None)]
    assert portfolio.summary(listed, {"trafficLight": ["RED"]}) == portfolio.Summary(4, 1, 1, 1, 1)
    assert portfolio.summary(listed, {"trafficLight": ["RED"], "search": "a"}) == portfolio.Summary(1, 1, 0, 0, 0)


def test_a_world_follows_from_its_seed(tmp_path: Path) -> None:
    days = [date(2025, 3, 1), DAY]
    assert make_world(5, days, 40) == make_world(5, days, 40)
    assert make_world(5, days, 40) != make_world(6, days, 40)
    write_world(make_world(5, days, 40), tmp_path)
    assert len(list(tmp_path.iterdir())) == 9


def test_worlds_reach_every_verdict() -> None:
    days = [date(2025, 1, 20), date(2025, 2, 20), DAY]
    world = make_world(1, days, 250)
    verdicts = [
        health for history in spec.score_days(world, last_moments(days)).values() for health in history.values()
    ]
    assert {health.light for health in verdicts} == {"GREEN", "AMBER", "RED", None}
    assert {health.trend for health in verdicts} == {"IMPROVING", "STABLE", "DECLINING", None}
    assert {health.risk for health in verdicts} == {"LOW", "MEDIUM", "HIGH", None}
    halves = [
        health
        for health in verdicts
        if health.score is not None and sum(part.contribution or 0 for part in health.components) % 1 == Fraction(1, 2)
    ]
    assert halves
