"""Feeds of facts: when they delivered, and which of them have gone silent.

That they deliver is noted in the statement that stores their facts, see ingest.feeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.database import fetch
from app.feeds import queries
from app.feeds.rules import LOOK_BACK_DAYS, FeedKind, FeedStatus, freshness


@dataclass(frozen=True, slots=True)
class Feed:
    """How a feed stands at one moment."""

    kind: FeedKind
    status: FeedStatus
    last_received_at: datetime | None = None
    # The latest moment that its facts tell of, and not later than they came in.
    last_event_at: datetime | None = None
    # The UTC day of the latest delivery, overall.
    silent_since: date | None = None
    # The UTC day on which its silence became longer than usual; None unless it is stale.
    stale_since: date | None = None


async def statuses(connection: AsyncSession | AsyncConnection, as_of: datetime) -> Sequence[Feed]:
    """Return how every feed stands at `as_of`, in the order of FeedKind; what was received later is not seen."""
    values = {"kinds": list(FeedKind), "as_of": as_of, "look_back_days": LOOK_BACK_DAYS}
    found = {row.kind: row for row in await fetch(connection, queries.DELIVERIES, **values)}
    feeds = []
    for kind in FeedKind:
        row = found.get(kind)
        state = freshness(row.days if row else (), as_of.astimezone(UTC).date())
        received_at, event_at = (row.last_received_at, row.last_event_at) if row else (None, None)
        feeds.append(Feed(kind, state.status, received_at, event_at, state.silent_since, state.stale_since))
    return feeds


async def of_clients(
    connection: AsyncSession | AsyncConnection, client_ids: Sequence[int], as_of: datetime
) -> Mapping[int, Sequence[Feed]]:
    """Return the feeds of each client, in the order of FeedKind: when they delivered facts of it, to the minute.

    A feed that has never delivered facts of a client is NEVER for it. Otherwise the client has the feed's status
    overall: its own silence says something of the client, and nothing of the feed.
    """
    overall = {feed.kind: feed for feed in await statuses(connection, as_of)}
    rows = await fetch(connection, queries.OF_CLIENTS, ids=list(client_ids))
    found = {(row.client_id, row.kind): row for row in rows}
    return {
        client_id: [_of_client(overall[kind], found.get((client_id, kind))) for kind in FeedKind]
        for client_id in client_ids
    }


def _of_client(overall: Feed, row: Row[Any] | None) -> Feed:
    if row is None:
        return Feed(overall.kind, FeedStatus.NEVER)
    return replace(overall, last_received_at=row.last_received_at, last_event_at=row.last_event_at)
