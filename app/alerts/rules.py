"""When an alert is raised, and when it resolves by itself: pure functions of two scores and what is open already."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.health.rules import RiskLevel, TrafficLight


class AlertKind(StrEnum):
    """What an alert is about, from the gravest to the least."""

    RISK_HIGH = "RISK_HIGH"
    LIGHT_WORSENED = "LIGHT_WORSENED"
    SCORE_DROP = "SCORE_DROP"


class AlertStatus(StrEnum):
    """Where an alert stands."""

    OPEN = "OPEN"
    ACKNOWLEDGED = "ACKNOWLEDGED"
    RESOLVED = "RESOLVED"


# A fall of more points than this is a drop, and while an alert is unresolved it takes as much again for another.
DROP = 5

_SEVERITY = {TrafficLight.GREEN: 0, TrafficLight.AMBER: 1, TrafficLight.RED: 2}


@dataclass(frozen=True, slots=True)
class Standing:
    """How a client stands on one scoring day."""

    score: int
    light: TrafficLight
    risk: RiskLevel


def reasons(before: Standing, after: Standing) -> list[AlertKind]:
    """Return why the newer score deserves an alert, the gravest reason first; none for a score that does not."""
    found = []
    # Compared by value: a standing that was read from the database holds plain text, which is never the same object.
    if after.risk == RiskLevel.HIGH and before.risk != RiskLevel.HIGH:
        found.append(AlertKind.RISK_HIGH)
    if _SEVERITY[after.light] > _SEVERITY[before.light]:
        found.append(AlertKind.LIGHT_WORSENED)
    if before.score - after.score > DROP:
        found.append(AlertKind.SCORE_DROP)
    return found


def is_noise(score: int, unresolved: Sequence[int]) -> bool:
    """Return whether an alert at `score` would only repeat one of those unresolved, given the scores they were at."""
    return any(score >= alerted - DROP for alerted in unresolved)


def message(client: str, kinds: Sequence[AlertKind], before: Standing, after: Standing) -> str:
    """Return the sentence that tells a customer success manager what happened, naming every reason."""
    clauses = {
        AlertKind.RISK_HIGH: "its risk became high",
        AlertKind.LIGHT_WORSENED: f"its light went from {before.light.lower()} to {after.light.lower()}",
        AlertKind.SCORE_DROP: f"its score fell by {before.score - after.score} points",
    }
    told = [clauses[kind] for kind in kinds]
    listed = told[0] if len(told) == 1 else f"{', '.join(told[:-1])} and {told[-1]}"
    return f"{client}: {listed} (score {before.score} before, {after.score} now)."
