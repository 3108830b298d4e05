"""Alerts, written slowly from the specification: one client and one new score at a time.

Where the specification is silent: without an earlier score there is nothing to fall from, and no alert; an unscored
client neither raises nor resolves one; a day that is calculated although a later one is known is history, and raises
and resolves nothing; a client that has left since is calculated as it was then, and nobody is alarmed; an alert that
was raised at a GREEN score is not resolved by a score of the very same day.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from tests.oracle.facts import Client, World, alerts_enabled
from tests.oracle.spec import Assessment, assess, is_scored, scoring_day

# "The gravest, which names the others."
GRAVEST_FIRST = ("RISK_HIGH", "LIGHT_WORSENED", "SCORE_DROP")
LIGHTS = ("GREEN", "AMBER", "RED")


@dataclass
class Alert:
    """One alert and what became of it."""

    kinds: tuple[str, ...]
    day: date
    score_before: int
    score_after: int
    light_after: str
    raised_at: datetime
    status: str = "OPEN"
    resolved_at: datetime | None = None


@dataclass
class Account:
    """What is known of one client's alerts; `kept_quiet` counts those that were noise."""

    watched: bool
    snoozed_until: datetime | None
    history: dict[date, Assessment]
    alerts: list[Alert]
    kept_quiet: int = 0

    def unresolved(self) -> list[Alert]:
        """Return the alerts that are OPEN or ACKNOWLEDGED."""
        return [alert for alert in self.alerts if alert.status != "RESOLVED"]


def open_accounts(world: World, snoozes: Mapping[str, datetime]) -> dict[str, Account]:
    """Return the accounts of a world's clients before the first calculation."""
    return {
        external_id: Account(is_watched(facts.client), snoozes.get(external_id), {}, [])
        for external_id, facts in world.clients.items()
    }


def is_watched(client: Client) -> bool:
    """Say whether a new score of the client may raise an alert at all."""
    return alerts_enabled(client) and client.status != "CHURNED"


def latest_scored(history: Mapping[date, Assessment], before: date) -> Assessment | None:
    """Return the assessment that a score is compared with: "the previous scoring day" that has one."""
    for day in sorted(history, reverse=True):
        if day < before and history[day].score is not None:
            return history[day]
    return None


def reasons(before: Assessment, after: Assessment) -> tuple[str, ...]:
    """Return the reasons for an alert.

    "If the score dropped by more than 5 points against the previous scoring day (SCORE_DROP), its light got worse
    (LIGHT_WORSENED), or its risk became HIGH (RISK_HIGH)."
    """
    assert before.score is not None
    assert after.score is not None
    found = set()
    if before.score - after.score > 5:
        found.add("SCORE_DROP")
    if LIGHTS.index(str(after.light)) > LIGHTS.index(str(before.light)):
        found.add("LIGHT_WORSENED")
    if after.risk == "HIGH" and before.risk in ("LOW", "MEDIUM"):
        found.add("RISK_HIGH")
    return tuple(kind for kind in GRAVEST_FIRST if kind in found)


def follow(account: Account, new: Assessment, *, as_of: datetime, calculated_at: datetime) -> None:
    """Take in a new score.

    "While a client's alert is OPEN or ACKNOWLEDGED, a further one is raised only if the score has fallen by more than
    5 again since. When the light is GREEN again the alert becomes RESOLVED by itself."
    """
    before = latest_scored(account.history, new.day)
    is_history = any(day > new.day for day in account.history)
    account.history[new.day] = new
    if new.score is None or is_history:
        return
    at = min(as_of, calculated_at)
    if new.light == "GREEN":
        for alert in account.unresolved():
            if not (alert.day == new.day and alert.light_after == "GREEN"):
                alert.status, alert.resolved_at = "RESOLVED", at
    snoozed = account.snoozed_until is not None and calculated_at < account.snoozed_until
    if before is None or before.score is None or not account.watched or snoozed:
        return
    kinds = reasons(before, new)
    if not kinds:
        return
    if all(alert.score_after - new.score > 5 for alert in account.unresolved()):
        account.alerts.append(Alert(kinds, new.day, before.score, new.score, str(new.light), at))
    else:
        account.kept_quiet += 1


def follow_everybody(
    world: World, accounts: Mapping[str, Account], *, as_of: datetime, calculated_at: datetime
) -> None:
    """Calculate every client that is scored at `as_of`, and take in its new score."""
    for external_id, facts in world.clients.items():
        if is_scored(facts, as_of):
            account = accounts[external_id]
            earlier = {day: health for day, health in account.history.items() if day < scoring_day(as_of)}
            follow(account, assess(facts, as_of, earlier), as_of=as_of, calculated_at=calculated_at)
