"""Recent activity in the API."""

from datetime import UTC, datetime
from typing import Any

import strawberry
from sqlalchemy import Row

from app.activity.rules import ActivityKind, describe
from app.activity.service import Position
from app.errors import InvalidInput
from app.graphql.pagination import PageInfo, decode, encode, page_info


@strawberry.type(description="Something that happened at a client.")
class Activity:
    """One event."""

    occurred_at: datetime = strawberry.field(description="When it happened; for a day's logins, the last of them.")
    kind: ActivityKind = strawberry.field(description="What kind of event it is.")
    description: str = strawberry.field(description="One sentence that a person can read.")


@strawberry.type(description="An event in its list.")
class ActivityEdge:
    """One event with its cursor."""

    cursor: str = strawberry.field(description="Where the event lies in the list, to page on from.")
    node: Activity = strawberry.field(description="The event.")


@strawberry.type(description="A page of recent activity, newest first.")
class ActivityConnection:
    """One page of events."""

    edges: list[ActivityEdge] = strawberry.field(description="The events of this page.")
    page_info: PageInfo = strawberry.field(description="Where this page lies in the list.")


def connection_of(rows: list[Row[Any]], first: int, after: str | None) -> ActivityConnection:
    """Return a page from up to `first` + 1 rows."""
    edges = [
        ActivityEdge(
            cursor=encode([row.at.isoformat(), row.kind, row.key]),
            node=Activity(occurred_at=row.at, kind=ActivityKind(row.kind), description=describe(row)),
        )
        for row in rows[:first]
    ]
    cursors = [edge.cursor for edge in edges]
    return ActivityConnection(edges=edges, page_info=page_info(cursors, more=len(rows) > first, after=after))


def position_of(after: str | None) -> Position | None:
    """Return the position that a cursor stands for. Raises InvalidInput for one of another list."""
    if after is None:
        return None
    match decode("after", after):
        case [str(at), str(kind), str(key)] if "\0" not in kind + key:
            moment = _moment(at)
            if moment is not None:
                return Position(moment, kind, key)
    raise InvalidInput("after", "after is not a cursor of a client's recent activity.")


def _moment(text: str) -> datetime | None:
    """Return the UTC time that the text names; None when it names none that a time can hold."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
