"""When an alert is due, what it says, and when it would only be noise."""

from itertools import product

import pytest

from app.alerts.rules import AlertKind, Standing, is_noise, message, reasons
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
