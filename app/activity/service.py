"""Recent activity of a client, newest first."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.activity import queries
from app.database import fetch


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after the event of this moment, kind and key."""

    at: datetime
    kind: str
    key: str


async def recent(
    connection: AsyncConnection, client_id: int, first: int, after: Position | None, now: datetime
) -> list[Row[Any]]:
    """Return up to `first` + 1 events up to `now` behind `after`; the one too many says that there are more."""
    # A cursor from the future can only be made up; it shows what its absence does.
    start = Position(now, "", "") if after is None or after.at > now else after
    values = {"client_id": client_id, "at": start.at, "kind": start.kind, "key": start.key}
    return list(await fetch(connection, queries.RECENT, **values, limit=first + 1, now=now))
