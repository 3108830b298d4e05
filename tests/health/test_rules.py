"""Every rule of the score as a table of literal values, each under the sentence of the specification that it tests."""

from datetime import UTC, date, datetime
from fractions import Fraction

import pytest

from app.health.rules import (
    Counts,
    Health,
    HealthTrend,
    Policy,
    RiskLevel,
    TrafficLight,
    assess,
    component_scores,
    contributions,
    coverage_of,
    divide_half_up,
    end_of_day,
    light_of,
    login_score,
    mean_ratio,
    risk_of,
    share_score,
    start_of_day,
    ticket_score,
    trend_of,
    window_start,
)

POLICY = Policy()
# Scores 100, 52, 80, 70 and 60: together exactly 72.5.
MIXED = Counts(
    members=10,
    active_members=10,
    cases_closed=25,
    cases_on_time=13,
    campaigns_completed=[4],
    campaigns_assigned=[5],
    features_enabled=10,
    features_used=7,
    tickets_opened=3,
    tickets_before=6,
    tickets_tracked=True,
)
IMPROVING, STABLE, DECLINING = HealthTrend.IMPROVING, HealthTrend.STABLE, HealthTrend.DECLINING
LOW, MEDIUM, HIGH = RiskLevel.LOW, RiskLevel.MEDIUM, RiskLevel.HIGH
GREEN, AMBER, RED = TrafficLight.GREEN, TrafficLight.AMBER, TrafficLight.RED


@pytest.mark.parametrize(
    ("numerator", "denominator", "rounded"),
    [(145, 2, 73), (144, 2, 72), (0, 7, 0), (1, 2, 1), (1, 3, 0), (2, 3, 1), (5, 2, 3), (3, 20, 0), (49999, 100000, 0)],
)
def test_all_rounding_is_half_up(numerator: int, denominator: int, rounded: int) -> None:
    """72.5 is 73."""
    assert divide_half_up(numerator, denominator) == rounded


def test_the_window_is_the_30_utc_days_that_end_with_the_scoring_day_that_day_included() -> None:
    assert window_start(date(2024, 3, 1)) == datetime(2024, 2, 1, tzinfo=UTC)
    assert window_start(date(2025, 1, 29)) == datetime(2024, 12, 31, tzinfo=UTC)


def test_the_week_is_the_7_utc_days_that_end_with_the_scoring_day() -> None:
    assert window_start(date(2024, 3, 1), 7) == datetime(2024, 2, 24, tzinfo=UTC)


def test_a_day_runs_from_midnight_to_its_last_microsecond() -> None:
    assert start_of_day(date(2025, 3, 30)) == datetime(2025, 3, 30, tzinfo=UTC)
    assert end_of_day(date(2025, 3, 30)) == datetime(2025, 3, 30, 23, 59, 59, 999_999, tzinfo=UTC)


@pytest.mark.parametrize(
    ("active", "members", "score"),
    [
        (7, 10, 100),
        (10, 10, 100),
        (700, 1000, 100),
        (699, 1000, 100),  # 99.857...
        (696, 1000, 99),  # 99.428...
        (6, 10, 86),  # 85.714...
        (13, 20, 93),  # 92.857...
        (203, 400, 73),  # 72.5
        (7, 2000, 1),  # 0.5
        (6, 2000, 0),
        (0, 10, 0),
        (1, 1, 100),
        (0, 0, None),
    ],
)
def test_70_percent_active_or_more_scores_100_below_that_in_proportion(
    active: int, members: int, score: int | None
) -> None:
    assert login_score(members, active, POLICY.full_login_share) == score


@pytest.mark.parametrize(
    ("part", "whole", "score"),
    [(29, 40, 73), (1, 200, 1), (1, 201, 0), (199, 200, 100), (3, 20, 15), (0, 5, 0), (5, 5, 100), (0, 0, None)],
)
def test_a_share_in_percent_has_no_score_with_nothing_to_divide_by(part: int, whole: int, score: int | None) -> None:
    """Case resolution and feature adoption."""
    assert share_score(part, whole) == score


def test_a_part_that_exceeds_its_whole_is_a_contradiction() -> None:
    with pytest.raises(ValueError, match=r"^2 of 1 is more than all$"):
        share_score(2, 1)
    with pytest.raises(ValueError, match=r"^4 of 3 is more than all$"):
        mean_ratio([1, 4], [2, 3])


@pytest.mark.parametrize(
    ("completed", "assigned", "mean"),
    [
        ([1, 2], [2, 3], Fraction(7, 12)),
        # The mean of the ratios, not the ratio of the sums: 0 of 1 weighs as much as 90 of 90.
        ([90, 0], [90, 1], Fraction(1, 2)),
        ([1, 1, 1], [3, 7, 11], (Fraction(1, 3) + Fraction(1, 7) + Fraction(1, 11)) / 3),
        ([0], [5], Fraction(0)),
    ],
)
def test_campaign_completion_is_the_mean_of_completed_by_assigned(
    completed: list[int], assigned: list[int], mean: Fraction
) -> None:
    found = mean_ratio(completed, assigned)
    assert found is not None
    assert Fraction(*found) == mean


def test_no_campaign_has_no_mean() -> None:
    assert mean_ratio([], []) is None


def test_the_mean_of_a_tenth_and_a_fifth_is_exactly_15_percent() -> None:
    """Done in exact arithmetic, so that 0.15 never bites: 0.145 is 15 %, and 0.1449... is 14 %."""
    assert component_scores(Counts(campaigns_completed=[1, 2], campaigns_assigned=[10, 10]), POLICY)[2] == 15
    assert component_scores(Counts(campaigns_completed=[14, 15], campaigns_assigned=[100, 100]), POLICY)[2] == 15
    assert component_scores(Counts(campaigns_completed=[14, 149], campaigns_assigned=[100, 1000]), POLICY)[2] == 14


@pytest.mark.parametrize(
    ("opened", "before", "members", "score"),
    [
        # A baseline of 2, the least: r in halves.
        (0, 0, 0, 100),
        (1, 0, 0, 90),
        (2, 0, 0, 80),  # r = 1
        (3, 0, 0, 60),
        (4, 0, 0, 40),  # r = 2
        (5, 0, 0, 20),
        (6, 0, 0, 0),  # r = 3
        (7, 0, 0, 0),
        (1000, 0, 0, 0),
        # One tenth of the member count: 10, 2 where 20 members would make it, and 2.1.
        (10, 0, 100, 80),
        (15, 0, 100, 60),
        (29, 0, 100, 4),
        (30, 0, 100, 0),
        (31, 0, 100, 0),
        (2, 0, 20, 80),
        (2, 0, 21, 81),  # 80.952...
        # The mean of the three windows before: 7/3, 2 and 20.
        (2, 7, 0, 83),  # 82.857...
        (3, 7, 0, 69),  # 68.571...
        (2, 6, 0, 80),
        (20, 60, 0, 80),
        # Ties: 99.5, 79.5 and 78.5, the last two beyond r = 1.
        (1, 120, 0, 100),
        (81, 240, 0, 80),
        (83, 240, 0, 79),
        # The largest of the three decides.
        (10, 60, 50, 90),
        (10, 3, 50, 40),
    ],
)
def test_tickets_score_100_less_20_r_up_to_r_1_then_120_less_40_r_never_below_0(
    opened: int, before: int, members: int, score: int
) -> None:
    assert ticket_score(opened, before, members, tracked=True) == score


def test_a_client_for_which_no_ticket_was_ever_recorded_scores_100_and_is_not_measured() -> None:
    assert ticket_score(0, 0, 50, tracked=False) == 100
    assert component_scores(Counts(), POLICY) == (None, None, None, None, 100)
    assert coverage_of((None, None, None, None, 100), POLICY, tickets_tracked=False) == 0
    assert coverage_of((None, None, None, None, 100), POLICY, tickets_tracked=True) == 15


def test_the_weights_are_20_25_25_15_15() -> None:
    assert POLICY.weights == (20, 25, 25, 15, 15)
    assert [coverage_of(scores, POLICY, tickets_tracked=False) for scores in singles()] == [20, 25, 25, 15]


def singles() -> list[tuple[int | None, int | None, int | None, int | None, int | None]]:
    """Return the component scores with one measured each."""
    return [(0, None, None, None, 0), (None, 0, None, None, 0), (None, None, 0, None, 0), (None, None, None, 0, 0)]


def test_the_overall_score_is_the_weighted_mean_half_up() -> None:
    """72.5 is 73."""
    assert assess(MIXED, None, POLICY) == Health((100, 52, 80, 70, 60), 100, 73, AMBER, STABLE, 0, LOW)


def test_the_weights_of_the_others_are_scaled_up_to_fill_the_place_of_a_missing_component() -> None:
    """Without logins: (52 x 25 + 80 x 25 + 70 x 15 + 60 x 15) / 80 = 65.625."""
    counts = Counts(
        cases_closed=25,
        cases_on_time=13,
        campaigns_completed=[4],
        campaigns_assigned=[5],
        features_enabled=10,
        features_used=7,
        tickets_opened=3,
        tickets_tracked=True,
    )
    assert assess(counts, None, POLICY) == Health((None, 52, 80, 70, 60), 80, 66, AMBER, STABLE, 0, MEDIUM)


def test_untracked_tickets_count_in_the_score_but_not_in_the_coverage() -> None:
    """(50 x 25 + 50 x 25 + 100 x 15) / 65 = 61.538..."""
    counts = Counts(cases_closed=2, cases_on_time=1, campaigns_completed=[1], campaigns_assigned=[2])
    assert assess(counts, None, POLICY) == Health((None, 50, 50, None, 100), 50, 62, AMBER, STABLE, 0, MEDIUM)


@pytest.mark.parametrize(("login_weight", "coverage", "score"), [(24, 49, None), (25, 50, 100)])
def test_under_50_percent_coverage_the_client_has_no_overall_score(
    login_weight: int, coverage: int, score: int | None
) -> None:
    """No weights of version 1 add up to 49, so the weights of this policy do."""
    policy = Policy(login_weight=login_weight, campaign_weight=45 - login_weight)
    assert sum(policy.weights) == 100
    health = assess(Counts(members=1, active_members=1, cases_closed=1, cases_on_time=1), 20, policy)
    assert (health.coverage, health.score) == (coverage, score)


@pytest.mark.parametrize(
    ("counts", "coverage", "scored"),
    [
        (Counts(), 0, False),
        (Counts(members=1, cases_closed=1), 45, False),
        (Counts(members=1, features_enabled=1), 35, False),
        (Counts(members=1, features_enabled=1, tickets_tracked=True), 50, True),
        (Counts(cases_closed=1, campaigns_completed=[0], campaigns_assigned=[1]), 50, True),
        (Counts(members=1, campaigns_completed=[0], campaigns_assigned=[1], tickets_tracked=True), 60, True),
    ],
)
def test_an_unscored_client_has_components_and_coverage_and_null_for_the_rest(
    counts: Counts, coverage: int, scored: bool
) -> None:
    health = assess(counts, 90, POLICY)
    assert health.coverage == coverage
    verdict = (health.score, health.light, health.trend, health.trend_delta, health.risk)
    assert all(value is not None for value in verdict) if scored else verdict == (None,) * 5
    assert health.components == component_scores(counts, POLICY)


@pytest.mark.parametrize(
    ("score", "light"),
    [(0, RED), (59, RED), (60, AMBER), (79, AMBER), (80, GREEN), (100, GREEN)],
)
def test_green_from_80_amber_from_60_to_79_red_below_60(score: int, light: TrafficLight) -> None:
    assert light_of(score, POLICY) is light


@pytest.mark.parametrize(
    ("delta", "trend"),
    [
        (100, IMPROVING),
        (6, IMPROVING),
        (5, STABLE),
        (0, STABLE),
        (-5, STABLE),
        (-6, DECLINING),
        (-100, DECLINING),
    ],
)
def test_more_than_5_up_improves_more_than_5_down_declines(delta: int, trend: HealthTrend) -> None:
    assert trend_of(delta, POLICY) is trend


@pytest.mark.parametrize(
    ("score", "risks"),
    [
        # For each score the risk when IMPROVING, STABLE and DECLINING.
        (0, (HIGH, HIGH, HIGH)),
        (39, (HIGH, HIGH, HIGH)),
        (40, (MEDIUM, MEDIUM, HIGH)),
        (59, (MEDIUM, MEDIUM, HIGH)),
        (60, (MEDIUM, MEDIUM, MEDIUM)),
        (69, (MEDIUM, MEDIUM, MEDIUM)),
        (70, (LOW, LOW, MEDIUM)),
        (100, (LOW, LOW, MEDIUM)),
    ],
)
def test_risk_follows_score_and_trend(score: int, risks: tuple[RiskLevel, RiskLevel, RiskLevel]) -> None:
    """HIGH if below 40, or below 60 and DECLINING; otherwise MEDIUM if below 70 or DECLINING; otherwise LOW."""
    assert tuple(risk_of(score, trend, POLICY) for trend in (IMPROVING, STABLE, DECLINING)) == risks


@pytest.mark.parametrize(
    ("previous", "delta", "trend", "risk"),
    [
        (None, 0, STABLE, LOW),
        (73, 0, STABLE, LOW),
        (67, 6, IMPROVING, LOW),
        (68, 5, STABLE, LOW),
        (78, -5, STABLE, LOW),
        (79, -6, DECLINING, MEDIUM),
        (0, 73, IMPROVING, LOW),
    ],
)
def test_the_trend_is_the_score_against_the_earlier_one(
    previous: int | None, delta: int, trend: HealthTrend, risk: RiskLevel
) -> None:
    health = assess(MIXED, previous, POLICY)
    assert (health.score, health.trend_delta, health.trend, health.risk) == (73, delta, trend, risk)


def test_contributions_are_score_times_effective_weight() -> None:
    """They add up to the overall score before rounding: 72.5."""
    assert contributions((100, 52, 80, 70, 60), POLICY) == [20, 13, 20, 10.5, 9]
    assert contributions((None, 50, 50, None, 100), POLICY) == [
        None,
        50 * 25 / 65,
        50 * 25 / 65,
        None,
        100 * 15 / 65,
    ]


def test_other_weights_and_thresholds_are_honoured() -> None:
    """A policy is versioned: no rule may hold a number of version 1."""
    policy = Policy(
        version=2,
        login_weight=40,
        case_weight=5,
        full_login_share=100,
        green_from=70,
        amber_from=50,
        trend_step=1,
        high_risk_declining_below=80,
        minimum_coverage=100,
    )
    # (100 x 40 + 52 x 5 + 80 x 25 + 70 x 15 + 60 x 15) / 100 = 82.1
    assert assess(MIXED, 84, policy) == Health((100, 52, 80, 70, 60), 100, 82, GREEN, DECLINING, -2, MEDIUM)
    assert assess(Counts(members=10, active_members=7), None, policy) == Health((70, None, None, None, 100), 40)
