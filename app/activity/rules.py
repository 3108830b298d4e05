"""What happened at a client, as sentences that a person can read."""

from datetime import date
from enum import StrEnum
from typing import Protocol


class ActivityKind(StrEnum):
    """The kinds of activity, in the order in which those of one moment are listed."""

    ALERTS_CHANGED = "ALERTS_CHANGED"
    ALERT_RAISED = "ALERT_RAISED"
    CAMPAIGN_CLOSED = "CAMPAIGN_CLOSED"
    CASE_CLOSED = "CASE_CLOSED"
    CASE_OPENED = "CASE_OPENED"
    FEATURE_FIRST_USED = "FEATURE_FIRST_USED"
    LIGHT_CHANGED = "LIGHT_CHANGED"
    LOGINS = "LOGINS"
    METRICS_REVISED = "METRICS_REVISED"
    SCORE_CHANGED = "SCORE_CHANGED"


class Event(Protocol):
    """What a sentence is made of; the meaning of the three details depends on the kind."""

    kind: str
    key: str
    label: str | None
    first: int | None
    second: int | None


def describe(event: Event) -> str:
    """Return one whole sentence for the event."""
    first, second = event.first or 0, event.second or 0
    match ActivityKind(event.kind):
        case ActivityKind.LOGINS:
            members = "1 member" if first == 1 else f"{first} members"
            return f"{members} logged in {'once' if second == 1 else f'{second} times'}."
        case ActivityKind.CASE_OPENED:
            return f"Case {event.key} was opened."
        case ActivityKind.CASE_CLOSED:
            return f"Case {event.key} was closed {'on time' if first else 'after its deadline'}."
        case ActivityKind.CAMPAIGN_CLOSED:
            return f"Campaign {event.label} closed with {first} of {second} assignments completed."
        case ActivityKind.FEATURE_FIRST_USED:
            return f"The feature {event.label} was used for the first time."
        case ActivityKind.METRICS_REVISED:
            day = date.fromisoformat(event.key)
            return f"Data that came late changed the figures of {day.day} {day:%B %Y}."
        case ActivityKind.SCORE_CHANGED:
            return f"The health score {'rose' if second > first else 'fell'} from {first} to {second}."
        case ActivityKind.LIGHT_CHANGED:
            before, after = (event.label or " ").lower().split(" ")
            return f"The traffic light went from {before} to {after}."
        case ActivityKind.ALERT_RAISED:
            return f"An alert was raised. {event.label}"
        case ActivityKind.ALERTS_CHANGED:
            return f"Alerts were switched {'on' if first else 'off'} by {event.label}."
