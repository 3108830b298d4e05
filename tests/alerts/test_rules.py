"""When an alert is due, what it says, and when it would only be noise."""

from itertools import product

import pytest

from app.alerts.rules import AlertKind, Standing, Thresholds, is_noise, is_storm, message, reasons
from app.health.rules import RiskLevel, TrafficLight

GREEN, AMBER, RED = TrafficLight
LOW, MEDIUM, HIGH = RiskLevel
RISK_HIGH, LIGHT_WORSENED, SCORE_DROP = AlertKind

DUE = [
    # A fall of five points is none; one of six is.
    (Standing(90, GREEN, LOW), Standing(85, GREEN, LOW), []),
    (Standing(90, GREEN, LOW), Standing(84, GREEN, MEDIUM), [SCORE_DROP]),
    (Standing(100, GREEN, LOW), Standing(0, RED, HIGH), [RISK_HIGH, LIGHT_WORSENED, SCORE_DROP]),
    (Standing(80, GREEN, LOW), Standing(79, AMBER, LOW), [LIGHT_WORSENED]),
    (Standing(80, GREEN, LOW), Standing(59, RED, LOW), [LIGHT_WORSENED, SCORE_DROP]),
    (Standing(60, AMBER, MEDIUM), Standing(59, RED, MEDIUM), [LIGHT_WORSENED]),
    (Standing(44, RED, MEDIUM), Standing(39, RED, HIGH), [RISK_HIGH]),
    (Standing(45, RED, MEDIUM), Standing(39, RED, HIGH), [RISK_HIGH, SCORE_DROP]),
    (Standing(62, AMBER, MEDIUM), Standing(57, RED, HIGH), [RISK_HIGH, LIGHT_WORSENED]),
    # What was high already did not become it.
    (Standing(39, RED, HIGH), Standing(34, RED, HIGH), []),
    (Standing(39, RED, HIGH), Standing(33, RED, HIGH), [SCORE_DROP]),
    (Standing(70, AMBER, LOW), Standing(70, AMBER, LOW), []),
    # What gets better deserves none.
    (Standing(59, RED, HIGH), Standing(60, AMBER, MEDIUM), []),
    (Standing(79, AMBER, LOW), Standing(100, GREEN, LOW), []),
    (Standing(0, RED, HIGH), Standing(100, GREEN, LOW), []),
]


@pytest.mark.parametrize(("before", "after", "expected"), DUE)
def test_every_reason_is_found_the_gravest_first(before: Standing, after: Standing, expected: list[AlertKind]) -> None:
    assert reasons(before, after) == expected


@pytest.mark.parametrize(("before", "after"), list(product(TrafficLight, TrafficLight)))
def test_a_light_gets_worse_from_green_over_amber_to_red(before: TrafficLight, after: TrafficLight) -> None:
    worse = (before, after) in {(GREEN, AMBER), (GREEN, RED), (AMBER, RED)}
    assert reasons(Standing(50, before, LOW), Standing(50, after, LOW)) == ([LIGHT_WORSENED] if worse else [])


@pytest.mark.parametrize(("before", "after"), list(product(RiskLevel, RiskLevel)))
def test_only_a_risk_that_becomes_high_is_a_reason(before: RiskLevel, after: RiskLevel) -> None:
    became = before is not HIGH and after is HIGH
    assert reasons(Standing(50, RED, before), Standing(50, RED, after)) == ([RISK_HIGH] if became else [])


@pytest.mark.parametrize("fall", range(-100, 101))
def test_more_than_five_points_are_a_drop(fall: int) -> None:
    before, after = max(fall, 0), max(-fall, 0)
    found = reasons(Standing(before, RED, HIGH), Standing(after, RED, HIGH))
    assert found == ([SCORE_DROP] if fall >= 6 else [])


@pytest.mark.parametrize(
    ("score", "unresolved", "expected"),
    [
        (0, [], False),
        (100, [], False),
        (65, [70], True),
        (64, [70], False),
        (70, [70], True),
        (71, [70], True),
        # More than five below every one of them, in whatever order they were raised.
        (64, [70, 60], True),
        (64, [60, 70], True),
        (55, [70, 60], True),
        (54, [70, 60], False),
        (0, [5], True),
        (0, [6], False),
    ],
)
def test_a_further_alert_takes_a_fall_of_more_than_five_again(
    score: int, unresolved: list[int], *, expected: bool
) -> None:
    assert is_noise(score, unresolved) is expected


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (
            [RISK_HIGH, LIGHT_WORSENED, SCORE_DROP],
            "Acme: its risk became high, its light went from green to red and its score fell by 53 points "
            "(score 90 before, 37 now).",
        ),
        (
            [LIGHT_WORSENED, SCORE_DROP],
            "Acme: its light went from green to red and its score fell by 53 points (score 90 before, 37 now).",
        ),
        ([RISK_HIGH], "Acme: its risk became high (score 90 before, 37 now)."),
        ([LIGHT_WORSENED], "Acme: its light went from green to red (score 90 before, 37 now)."),
        ([SCORE_DROP], "Acme: its score fell by 53 points (score 90 before, 37 now)."),
    ],
)
def test_the_sentence_names_every_reason(kinds: list[AlertKind], expected: str) -> None:
    assert message("Acme", kinds, Standing(90, GREEN, LOW), Standing(37, RED, HIGH)) == expected


@pytest.mark.parametrize("points", [0, 1, 5, 9, 100])
@pytest.mark.parametrize("fall", range(101))
def test_the_threshold_says_from_which_fall_on_it_is_a_drop(points: int, fall: int) -> None:
    found = reasons(Standing(100, RED, HIGH), Standing(100 - fall, RED, HIGH), Thresholds(drop_points=points))
    assert found == ([SCORE_DROP] if fall > points else [])


@pytest.mark.parametrize(
    ("points", "score", "expected"), [(0, 70, True), (0, 69, False), (9, 61, True), (9, 60, False), (100, 0, True)]
)
def test_the_threshold_says_how_much_further_it_takes(points: int, score: int, *, expected: bool) -> None:
    assert is_noise(score, [70], Thresholds(again_points=points)) is expected


@pytest.mark.parametrize(
    ("alerted", "scored", "thresholds", "expected"),
    [
        # At least ten, and more than a fifth.
        (9, 10, Thresholds(), False),
        (10, 10, Thresholds(), True),
        (10, 49, Thresholds(), True),
        (10, 50, Thresholds(), False),
        (11, 50, Thresholds(), True),
        (20_000, 100_000, Thresholds(), False),
        (20_001, 100_000, Thresholds(), True),
        (0, 0, Thresholds(), False),
        (1, 100, Thresholds(storm_share=0, storm_minimum=1), True),
        (100, 100, Thresholds(storm_share=100, storm_minimum=1), False),
        (3, 9, Thresholds(storm_share=33, storm_minimum=3), True),
        (3, 9, Thresholds(storm_share=34, storm_minimum=3), False),
        (2, 2, Thresholds(storm_share=33, storm_minimum=3), False),
    ],
)
def test_a_storm_is_more_than_a_share_and_at_least_a_number(
    alerted: int, scored: int, thresholds: Thresholds, *, expected: bool
) -> None:
    assert is_storm(alerted, scored, thresholds) is expected
