"""When an alert is raised, and when it resolves by itself: pure functions of two scores and what is open already."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
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


_SEVERITY = {TrafficLight.GREEN: 0, TrafficLight.AMBER: 1, TrafficLight.RED: 2}


class AlertVerdict(StrEnum):
    """What a person says of an alert."""

    USEFUL = "USEFUL"
    ALREADY_KNOWN = "ALREADY_KNOWN"
    WRONG_DATA = "WRONG_DATA"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From what on people are told; by default what the specification says."""

    # A fall of more points than this is a drop, 0 to 100.
    drop_points: int = 5
    # While an alert is unresolved, it takes a fall of more points than this since for another one, 0 to 100.
    again_points: int = 5
    # Alerts for more than this percentage of the clients that a recalculation scored, 0 to 100, and for at least so
    # many clients say more about a feed than about clients.
    storm_share: int = 20
    storm_minimum: int = 10


DEFAULTS = Thresholds()


@dataclass(frozen=True, slots=True)
class Standing:
    """How a client stands on one scoring day."""

    score: int
    light: TrafficLight
    risk: RiskLevel


def reasons(before: Standing, after: Standing, thresholds: Thresholds = DEFAULTS) -> list[AlertKind]:
    """Return why the newer score deserves an alert, the gravest reason first; none for a score that does not."""
    found = []
    # Compared by value: a standing that was read from the database holds plain text, which is never the same object.
    if after.risk == RiskLevel.HIGH and before.risk != RiskLevel.HIGH:
        found.append(AlertKind.RISK_HIGH)
    if _SEVERITY[after.light] > _SEVERITY[before.light]:
        found.append(AlertKind.LIGHT_WORSENED)
    if before.score - after.score > thresholds.drop_points:
        found.append(AlertKind.SCORE_DROP)
    return found


def is_noise(score: int, unresolved: Sequence[int], thresholds: Thresholds = DEFAULTS) -> bool:
    """Return whether an alert at `score` would only repeat one of those unresolved, given the scores they were at."""
    return any(score >= alerted - thresholds.again_points for alerted in unresolved)


def is_storm(alerted: int, scored: int, thresholds: Thresholds = DEFAULTS) -> bool:
    """Return whether alerts for `alerted` of the `scored` clients of one recalculation tell of a broken feed."""
    return alerted >= thresholds.storm_minimum and alerted * 100 > thresholds.storm_share * scored


def replay(history: Iterable[tuple[date, Standing]], thresholds: Thresholds) -> list[date]:
    """Return the days on which a client's scored days, in order, would have raised an alert.

    No alert is open at the first day, which is there to be compared with and raises none.
    """
    raised: list[date] = []
    unresolved: list[int] = []
    before: Standing | None = None
    for day, after in history:
        if after.light == TrafficLight.GREEN:
            unresolved.clear()
        due = before is not None and reasons(before, after, thresholds)
        if due and not is_noise(after.score, unresolved, thresholds):
            raised.append(day)
            unresolved.append(after.score)
        before = after
    return raised


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
