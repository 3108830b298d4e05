"""Feeds of facts: noting what they deliver, and telling which of them have gone silent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.database import fetch
from app.feeds import queries
from app.feeds.rules import HABIT_DAYS, FeedKind, FeedStatus, freshness


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


async def delivered(
    session: AsyncSession, kind: FeedKind, latest: Mapping[int, datetime | None], now: datetime
) -> None:
    """Note in the transaction of the facts that a feed delivered some at `now`, in UTC.

    `latest` has each client, by its id, of which there were facts, with the latest moment that they tell of. A moment
    to come, as the planned end of a campaign, counts as now. A transaction that notes several feeds does so in the
    order of FeedKind, and one at a time.
    """
    if not latest:
        return
    moments = {client_id: None if at is None else min(at, now) for client_id, at in latest.items()}
    values = {"kind": kind, "now": now}
    clients = {"ids": list(moments), "moments": list(moments.values())}
    await session.execute(queries.ADD_CLIENTS, values | clients)
    last = max((at for at in moments.values() if at is not None), default=None)
    # All transactions of a day write this row, so that it comes last and is held for the shortest time.
    await session.execute(queries.ADD_DAY, values | {"day": now.astimezone(UTC).date(), "last_event_at": last})


async def statuses(connection: AsyncSession | AsyncConnection, as_of: datetime) -> Sequence[Feed]:
    """Return how every feed stands at `as_of`, in the order of FeedKind; what was received later is not seen."""
    values = {"kinds": list(FeedKind), "as_of": as_of, "habit_days": HABIT_DAYS}
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
