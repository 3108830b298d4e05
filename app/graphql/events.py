"""The report of events that no fact became of, in the API."""

from datetime import datetime
from typing import Annotated

import strawberry

from app.events import service
from app.events.rules import EventType, UnmappedReason
from app.graphql.context import Info, require
from app.graphql.pagination import check_first


@strawberry.type(description="Events of one type and name that no fact became of.")
class UnmappedEvent:
    """One line of the report."""

    type: EventType = strawberry.field(description="The type of the messages.")
    name: str | None = strawberry.field(
        description="The name of the event or the page, or of the trait that could not be used; null for messages "
        "without a name, and for all names beyond the first 1,000."
    )
    reason: UnmappedReason = strawberry.field(description="Why no fact became of them.")
    events: int = strawberry.field(description="How many there were.")
    first_received_at: datetime = strawberry.field(description="When the first of them came in.")
    last_received_at: datetime = strawberry.field(description="When the latest of them came in.")


@strawberry.type
class EventQuery:
    """The query about events."""

    @strawberry.field(description="The events that no fact became of, the most frequent first.")
    async def unmapped_events(
        self,
        info: Info,
        reason: Annotated[
            list[UnmappedReason] | None, strawberry.argument(description="Why; null for any reason.")
        ] = None,
        first: Annotated[int, strawberry.argument(description="How many to return at most, from 1 to 100.")] = 50,
    ) -> list[UnmappedEvent]:
        """Return the report."""
        require(info)
        async with info.context.database.read() as connection:
            rows = await service.unmapped(connection, reason, check_first(first))
        return [
            UnmappedEvent(
                type=EventType(row.type),
                name=row.name or None,
                reason=UnmappedReason(row.reason),
                events=row.events,
                first_received_at=row.first_received_at,
                last_received_at=row.last_received_at,
            )
            for row in rows
        ]
