"""Components whose feed is silent: which feed a component lives on, and the form in which a score remembers it."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from app.feeds.rules import FeedKind
from app.health.rules import Component, Kept, Stale

FEED_OF = {
    Component.LOGIN: FeedKind.LOGINS,
    Component.CASE_RESOLUTION: FeedKind.CASES,
    Component.CAMPAIGN_COMPLETION: FeedKind.CAMPAIGNS,
    Component.FEATURE_ADOPTION: FeedKind.FEATURES,
    Component.TICKET_VOLUME: FeedKind.TICKETS,
}
COMPONENTS = {feed: component for component, feed in FEED_OF.items()}


def to_stored(stale: Stale) -> dict[str, dict[str, Any]]:
    """Return what is stored with a score."""
    return {
        component.value: {
            "score": kept.score,
            "day": kept.day.isoformat(),
            "silent_since": kept.silent_since.isoformat(),
            "stale_since": kept.stale_since.isoformat(),
            "lapsed": kept.lapsed,
        }
        for component, kept in stale.items()
    }


def from_stored(stored: Mapping[str, Mapping[str, Any]] | None) -> Stale | None:
    """Return what `to_stored` was given; None for none."""
    if stored is None:
        return None
    return {
        Component(name): Kept(
            values["score"],
            date.fromisoformat(values["day"]),
            date.fromisoformat(values["silent_since"]),
            date.fromisoformat(values["stale_since"]),
            values["lapsed"],
        )
        for name, values in stored.items()
    }
