"""What a silent feed does to a score, by the pure rules: literal values, and any counts with any components kept."""

from dataclasses import replace
from datetime import date, timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.feeds.rules import FeedKind
from app.health.explanations import explain_kept
from app.health.rules import (
    Component,
    ComponentScores,
    Counts,
    Health,
    HealthTrend,
    Kept,
    Policy,
    RiskLevel,
    Stale,
    TrafficLight,
    assess,
    component_scores,
    contributions,
    last_day_kept,
    overall_score,
)
from app.health.staleness import COMPONENTS, from_stored, to_stored
from tests.health.test_rules import MIXED, POLICY
from tests.oracle.test_rules_against_oracle import counts

LOGIN, CASES, CAMPAIGNS, FEATURES, TICKETS = Component
DAY = date(2025, 11, 10)
STABLE = HealthTrend.STABLE
AMBER, RED = TrafficLight.AMBER, TrafficLight.RED
LOW, MEDIUM = RiskLevel.LOW, RiskLevel.MEDIUM


def kept(score: int | None, *, lapsed: bool = False) -> Kept:
    """Return what a component keeps of DAY, whose feed has been silent since then."""
    return Kept(score, DAY, DAY, DAY + timedelta(days=3), lapsed)


def lapsed(score: int | None) -> Kept:
    """Return what a component keeps for too long."""
    return kept(score, lapsed=True)


@pytest.mark.parametrize(
    ("stale", "components", "coverage", "verdict"),
    [
        # Counted, the components are 100, 52, 80, 70 and 60: together 72.5. Kept scores stand for what was counted.
        ({}, (100, 52, 80, 70, 60), 100, (73, AMBER, LOW)),
        ({LOGIN: kept(50)}, (50, 52, 80, 70, 60), 100, (63, AMBER, MEDIUM)),  # 62.5
        ({LOGIN: kept(0), TICKETS: kept(0)}, (0, 52, 80, 70, 0), 100, (44, RED, MEDIUM)),  # 43.5
        ({CASES: kept(100)}, (100, 100, 80, 70, 60), 100, (85, TrafficLight.GREEN, LOW)),  # 84.5
        ({TICKETS: kept(100)}, (100, 52, 80, 70, 100), 100, (79, AMBER, LOW)),  # 78.5
        # What had not been measured stays so.
        ({LOGIN: kept(None)}, (None, 52, 80, 70, 60), 80, (66, AMBER, MEDIUM)),  # 65.625
        # Lapsed: the others fill its place where the score is not higher for it.
        ({LOGIN: lapsed(100)}, (None, 52, 80, 70, 60), 80, (66, AMBER, MEDIUM)),
        ({LOGIN: lapsed(None)}, (None, 52, 80, 70, 60), 80, (66, AMBER, MEDIUM)),
        ({LOGIN: lapsed(66)}, (None, 52, 80, 70, 60), 80, (66, AMBER, MEDIUM)),  # 65.7 with it: the same
        ({LOGIN: lapsed(63)}, (63, 52, 80, 70, 60), 80, (65, AMBER, MEDIUM)),  # 65.1 with it
        ({LOGIN: lapsed(0)}, (0, 52, 80, 70, 60), 80, (53, RED, MEDIUM)),  # 52.5 with it
        ({TICKETS: lapsed(100)}, (100, 52, 80, 70, None), 85, (75, AMBER, LOW)),  # 74.7
        ({TICKETS: lapsed(20)}, (100, 52, 80, 70, 20), 85, (67, AMBER, MEDIUM)),  # 66.5
        # Of several, each is left out unless it holds the score down.
        ({LOGIN: lapsed(100), CASES: lapsed(0)}, (None, 0, 80, 70, 60), 55, (49, RED, MEDIUM)),  # 49.375
        ({LOGIN: lapsed(100), CASES: lapsed(90)}, (None, None, 80, 70, 60), 55, (72, AMBER, LOW)),  # 71.8
        ({LOGIN: lapsed(10), CASES: kept(10)}, (10, 10, 80, 70, 60), 80, (44, RED, MEDIUM)),
        # Under 50 % coverage there is no overall score, and nothing to hold down.
        ({CASES: lapsed(0), CAMPAIGNS: lapsed(0), LOGIN: lapsed(0)}, (None, None, None, 70, 60), 30, None),
        ({CASES: kept(0), CAMPAIGNS: kept(0), LOGIN: kept(0)}, (0, 0, 0, 70, 60), 100, (20, RED, RiskLevel.HIGH)),
    ],
)
def test_a_component_of_a_silent_feed_keeps_its_score_until_it_lapses(
    stale: Stale,
    components: ComponentScores,
    coverage: int,
    verdict: tuple[int, TrafficLight, RiskLevel] | None,
) -> None:
    score, light, risk = verdict or (None, None, None)
    trend, delta = (STABLE, 0) if verdict else (None, None)
    expected = Health(components, coverage, score, light, trend, delta, risk, stale)
    assert assess(MIXED, None, POLICY, stale) == expected


def test_kept_tickets_count_as_measured_whatever_is_tracked_now() -> None:
    """An erased client has no tickets any more; those that were never tracked are not kept at all."""
    counts_ = replace(MIXED, tickets_opened=0, tickets_before=0, tickets_tracked=False)
    assert assess(counts_, None, POLICY).coverage == 85
    assert assess(counts_, None, POLICY, {TICKETS: kept(60)}) == Health(
        (100, 52, 80, 70, 60), 100, 73, AMBER, STABLE, 0, LOW, {TICKETS: kept(60)}
    )
    assert assess(counts_, None, POLICY, {TICKETS: lapsed(60)}).coverage == 85


def test_the_trend_is_that_of_the_score_with_what_is_kept() -> None:
    health = assess(MIXED, 73, POLICY, {LOGIN: kept(50)})
    assert (health.trend, health.trend_delta, health.risk) == (HealthTrend.DECLINING, -10, MEDIUM)


def test_contradictory_facts_are_found_whatever_is_kept() -> None:
    with pytest.raises(ValueError, match="2 of 1 is more than all"):
        assess(Counts(cases_closed=1, cases_on_time=2), None, POLICY, {CASES: kept(50)})


def test_a_component_counts_for_7_days_from_the_one_on_which_its_feed_became_stale() -> None:
    assert last_day_kept(date(2025, 11, 13)) == date(2025, 11, 19)


def test_each_feed_has_a_component_of_its_own() -> None:
    assert dict(zip(FeedKind, Component, strict=True)) == COMPONENTS


def kept_scores() -> st.SearchStrategy[dict[Component, Kept]]:
    """Draw which components are kept, with which scores; tickets are kept only where they were measured."""
    days = st.dates(date(2020, 1, 1), date(2030, 1, 1))
    scores = st.integers(0, 100)
    one = st.builds(Kept, st.none() | scores, days, days, days, st.booleans())
    tickets = st.builds(Kept, scores, days, days, days, st.booleans())
    others = st.dictionaries(st.sampled_from([LOGIN, CASES, CAMPAIGNS, FEATURES]), one)
    return st.builds(lambda some, last: some | last, others, st.just({}) | st.builds(lambda t: {TICKETS: t}, tickets))


LIGHTS = [TrafficLight.RED, TrafficLight.AMBER, TrafficLight.GREEN]
TRENDS = [HealthTrend.DECLINING, HealthTrend.STABLE, HealthTrend.IMPROVING]
RISKS = [RiskLevel.HIGH, RiskLevel.MEDIUM, RiskLevel.LOW]


def assert_no_better(lost: Health, held: Health) -> None:
    """Compare two verdicts of which the first must not be better; no overall score is neither good nor bad."""
    assert lost.coverage <= held.coverage
    if lost.score is None or lost.light is None or lost.trend is None or lost.risk is None:
        return
    assert held.score is not None
    assert held.light is not None
    assert held.trend is not None
    assert held.risk is not None
    assert lost.score <= held.score
    assert LIGHTS.index(lost.light) <= LIGHTS.index(held.light)
    assert TRENDS.index(lost.trend) <= TRENDS.index(held.trend)
    assert RISKS.index(lost.risk) <= RISKS.index(held.risk)


@given(numbers=counts(), previous=st.none() | st.integers(0, 100), stale=kept_scores())
def test_what_lapses_never_makes_a_score_better(numbers: Counts, previous: int | None, stale: Stale) -> None:
    """Not all of it together, and none of it beside the rest."""
    found = assess(numbers, previous, POLICY, stale)
    held = {component: replace(last, lapsed=False) for component, last in stale.items()}
    assert_no_better(found, assess(numbers, previous, POLICY, held))
    for component, last in stale.items():
        one_held = {**stale, component: replace(last, lapsed=False)}
        assert_no_better(found, assess(numbers, previous, POLICY, one_held))


@given(numbers=counts(), stale=kept_scores())
def test_a_score_is_what_its_components_make(numbers: Counts, stale: Stale) -> None:
    found, counted = assess(numbers, None, POLICY, stale), component_scores(numbers, POLICY)
    for component, score, plain in zip(Component, found.components, counted, strict=True):
        last = stale.get(component)
        assert score in ({plain} if last is None else {last.score} if not last.lapsed else {last.score, None})
    if found.score is not None:
        assert found.score == overall_score(found.components, POLICY)
        points = sum(part for part in contributions(found.components, POLICY) if part is not None)
        assert points == pytest.approx(found.score, abs=0.5 + 1e-9)


@given(stale=kept_scores())
def test_what_is_stored_says_what_was_kept(stale: Stale) -> None:
    assert from_stored(orjson.loads(orjson.dumps(to_stored(stale)))) == stale
    assert from_stored(None) is None


@given(numbers=counts(), previous=st.none() | st.integers(0, 100))
def test_nothing_kept_is_the_plain_verdict(numbers: Counts, previous: int | None) -> None:
    assert replace(assess(numbers, previous, POLICY, {}), stale=None) == assess(numbers, previous, Policy())


@pytest.mark.parametrize(
    ("component", "last", "score", "sentence"),
    [
        (
            LOGIN,
            kept(50),
            50,
            "The logins feed has been silent since 10 November, so this is the score of 10 November.",
        ),
        (
            TICKETS,
            Kept(50, date(2025, 11, 11), DAY, DAY + timedelta(days=3), False),
            50,
            "The tickets feed has been silent since 10 November, so this is the score of 11 November.",
        ),
        (
            LOGIN,
            kept(None),
            None,
            "The logins feed has been silent since 10 November, and logins were not measured before.",
        ),
        (
            CAMPAIGNS,
            lapsed(None),
            None,
            "The campaigns feed has been silent since 10 November, and campaign completion was not measured before.",
        ),
        (
            FEATURES,
            lapsed(50),
            None,
            "The features feed has been silent since 10 November, so feature adoption is no longer measured.",
        ),
        (
            CASES,
            lapsed(50),
            50,
            "The cases feed has been silent since 10 November, so case resolution is no longer measured, but the score "
            "of 10 November still counts: the overall score would be higher without it.",
        ),
    ],
)
def test_the_sentences_for_a_silent_feed(component: Component, last: Kept, score: int | None, sentence: str) -> None:
    assert explain_kept(component, last, score) == sentence
