"""The portfolio: filters, orders and counts, written slowly from the specification."""

import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from tests.oracle.facts import Facts, World, alerts_enabled
from tests.oracle.peers import latest
from tests.oracle.spec import Assessment, end_of, last_activity

Filter = Mapping[str, Any]


@dataclass(frozen=True)
class Card:
    """One client of the portfolio, with the database's id, which only breaks ties."""

    id: int
    facts: Facts
    health: Assessment | None
    last_activity_at: datetime | None


def folded(text: str) -> str:
    """Return `text` without regard to case ("whatever the case, also of accented letters") or composition."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def cards(world: World, histories: Mapping[str, Mapping[date, Assessment]], ids: Mapping[str, int]) -> list[Card]:
    """Apply "lists ACTIVE and TRIAL clients"."""
    listed = []
    for external_id, facts in world.clients.items():
        if facts.client.status in ("ACTIVE", "TRIAL"):
            health = latest(histories[external_id])
            activity = last_activity(facts, end_of(health.day)) if health else None
            listed.append(Card(ids[external_id], facts, health, activity))
    return listed


def matches(card: Card, conditions: Filter) -> bool:
    """Say whether a card satisfies every condition of a ClientFilter; an absent or null one holds for all.

    "`search` matches any part of the name, whatever the case; `%` and `_` are ordinary characters."
    """
    client, health = card.facts.client, card.health
    tests: dict[str, Callable[[Any], bool]] = {
        "trafficLight": lambda wanted: health is not None and health.light in wanted,
        "riskLevel": lambda wanted: health is not None and health.risk in wanted,
        "trend": lambda wanted: health is not None and health.trend in wanted,
        "size": lambda wanted: client.size in wanted,
        "industry": lambda wanted: client.industry in wanted,
        "engagementModel": lambda wanted: client.engagement_model == wanted,
        "alertsEnabled": lambda wanted: alerts_enabled(client) == wanted,
        "owner": lambda wanted: client.owner == wanted,
        "search": lambda wanted: folded(wanted) in folded(client.name),
        "renewalBefore": lambda wanted: client.renewal_date is not None and client.renewal_date.isoformat() < wanted,
    }
    return all(tests[name](wanted) for name, wanted in conditions.items() if wanted is not None)


def ordered(listed: list[Card], field: str, direction: str) -> list[Card]:
    """Sort by one field.

    "Clients without the value come last in both directions; equal values are ordered by name, then id. By name:
    case-insensitive."
    """
    values: dict[str, Callable[[Card], Any]] = {
        "SCORE": lambda card: card.health.score if card.health else None,
        "TREND": lambda card: card.health.trend_delta if card.health else None,
        "LAST_ACTIVITY": lambda card: card.last_activity_at,
        "RENEWAL_DATE": lambda card: card.facts.client.renewal_date,
        "NAME": lambda card: folded(card.facts.client.name),
    }
    value = values[field]
    by_name = sorted(listed, key=lambda card: (folded(card.facts.client.name), card.id))
    known = [card for card in by_name if value(card) is not None]
    # Python's sort is stable, also in reverse: equal values keep the order by name and id.
    known.sort(key=value, reverse=direction == "DESC")
    return known + [card for card in by_name if value(card) is None]


@dataclass(frozen=True)
class Summary:
    """The tiles of the portfolio."""

    total: int
    green: int
    amber: int
    red: int
    unscored: int


def summary(listed: list[Card], conditions: Filter) -> Summary:
    """Count the lights among the clients that match the other conditions.

    "Its `trafficLight` is ignored, so that choosing one tile does not empty the others. total = green + amber + red +
    unscored."
    """
    others = {name: wanted for name, wanted in conditions.items() if name != "trafficLight"}
    lights = [card.health.light if card.health else None for card in listed if matches(card, others)]
    return Summary(len(lights), lights.count("GREEN"), lights.count("AMBER"), lights.count("RED"), lights.count(None))
