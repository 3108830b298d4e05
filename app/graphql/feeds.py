"""Feeds in the API: when each of them delivered, overall and for one client."""

from datetime import date, datetime

import strawberry

from app.feeds import service
from app.feeds.rules import FeedKind, FeedStatus
from app.graphql.context import Info, require
from app.health.rules import last_day_kept


@strawberry.type(description="A stream of facts, and whether it delivers.")
class Feed:
    """How a feed stands now."""

    kind: FeedKind = strawberry.field(description="What it delivers.")
    last_received_at: datetime | None = strawberry.field(
        description="When facts were last received, null where none were. For a client this is right to the minute."
    )
    last_event_at: datetime | None = strawberry.field(
        description="The latest moment that the facts tell of, and not later than they came in."
    )
    status: FeedStatus = strawberry.field(
        description="Whether it delivers. A client has the status of the whole feed: its own silence says something "
        "of the client, and nothing of the feed. A feed that has never delivered facts of a client is NEVER for it."
    )
    stale_since: date | None = strawberry.field(
        description="The UTC day on which its silence became longer than usual, null while it is not stale."
    )
    kept_until: date | None = strawberry.field(
        description="The last scoring day on which the scores that it made count as measured, null while it is not "
        "stale."
    )


def feed_of(feed: service.Feed) -> Feed:
    """Return the feed as the API shows it."""
    return Feed(
        kind=feed.kind,
        last_received_at=feed.last_received_at,
        last_event_at=feed.last_event_at,
        status=feed.status,
        stale_since=feed.stale_since,
        kept_until=None if feed.stale_since is None else last_day_kept(feed.stale_since),
    )


@strawberry.type
class FeedQuery:
    """The query about feeds."""

    @strawberry.field(description="The five feeds, and whether they deliver.")
    async def feeds(self, info: Info) -> list[Feed]:
        """Return every feed as it stands now."""
        require(info)
        async with info.context.database.read() as connection:
            return [feed_of(feed) for feed in await service.statuses(connection, info.context.now)]
