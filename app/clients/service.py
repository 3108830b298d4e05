"""Clients: the portfolio and its summary, single clients, and their alert settings."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

import orjson
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.audit import service as audit
from app.audit.models import AuditAction
from app.clients import queries
from app.clients.models import ClientSize, EngagementModel, Industry
from app.clients.rules import name_key
from app.database import fetch
from app.errors import InvalidInput, NotFound
from app.health.rules import HealthTrend, RiskLevel, TrafficLight


class SortField(StrEnum):
    """What the portfolio is ordered by."""

    SCORE = "SCORE"
    NAME = "NAME"
    TREND = "TREND"
    LAST_ACTIVITY = "LAST_ACTIVITY"
    RENEWAL_DATE = "RENEWAL_DATE"


_ORDER_NAMES = {
    SortField.SCORE: "score",
    SortField.NAME: "name",
    SortField.TREND: "trend",
    SortField.LAST_ACTIVITY: "activity",
    SortField.RENEWAL_DATE: "renewal",
}


@dataclass(frozen=True, slots=True)
class Filter:
    """What a client must match; None is no condition, and an empty list matches nothing."""

    lights: Sequence[TrafficLight] | None = None
    risks: Sequence[RiskLevel] | None = None
    trends: Sequence[HealthTrend] | None = None
    sizes: Sequence[ClientSize] | None = None
    industries: Sequence[Industry] | None = None
    engagement_model: EngagementModel | None = None
    alerts_enabled: bool | None = None
    owner: str | None = None
    search: str | None = None
    renewal_before: date | None = None

    def conditions(self) -> dict[str, Any]:
        """Return the conditions that are set, as the parameters of the statements."""
        found = {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}
        for name in ("owner", "search"):
            if "\0" in found.get(name, ""):
                raise InvalidInput(name, f"{name} must not contain the NUL character.")
        if "search" in found:
            found["search"] = name_key(found["search"])
        return found


@dataclass(frozen=True, slots=True)
class Order:
    """An order of the portfolio; clients without the value come last in both directions."""

    field: SortField = SortField.SCORE
    descending: bool = True

    @property
    def name(self) -> str:
        """The order's name in the statements and in cursors."""
        return f"{_ORDER_NAMES[self.field]}_{'desc' if self.descending else 'asc'}"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after the client with these sort values."""

    key: int | None
    name_key: str
    id: int


@dataclass(frozen=True, slots=True)
class Summary:
    """How many clients have each light, and none of them."""

    green: int
    amber: int
    red: int
    unscored: int

    @property
    def total(self) -> int:
        """All clients that were counted."""
        return self.green + self.amber + self.red + self.unscored


MAX_SNOOZE = timedelta(days=366)
# More than that nobody picks from a list.
MAX_OWNERS = 500

_MICROSECOND = timedelta(microseconds=1)
# The sort key of a client without activity is 3,000,000 days; no key is larger.
_MAX_SPAN = timedelta(days=3_000_001) // _MICROSECOND


def position_of(row: Row[Any]) -> Position:
    """Return the position of a row of `page`; time spans become whole microseconds."""
    key = row.key // _MICROSECOND if isinstance(row.key, timedelta) else row.key
    return Position(key, row.name_key, row.id)


def is_position(order: Order, position: Position) -> bool:
    """Return whether a position, which a caller may have made up, can stand in the order."""
    if "\0" in position.name_key or not 0 < position.id < 2**63:
        return False
    if order.field is SortField.NAME:
        return position.key is None
    limit = _MAX_SPAN if order.field is SortField.LAST_ACTIVITY else 2**31
    return position.key is not None and -limit < position.key < limit


async def page(
    connection: AsyncConnection, wanted: Filter, order: Order, first: int, after: Position | None
) -> Sequence[Row[Any]]:
    """Return up to `first` + 1 clients behind `after`; the one too many says that there are more."""
    conditions = wanted.conditions()
    lights = conditions.pop("lights", None)
    light_keys = [key for key in queries.LIGHT_KEYS if lights is None or key in lights]
    if not light_keys:
        return []
    statement = queries.page(order.name, list(conditions), after=after is not None)
    values = conditions | {"light_keys": light_keys, "limit": first + 1}
    if after is not None:
        values |= {"name_key": after.name_key, "id": after.id}
        if order.field is SortField.LAST_ACTIVITY:
            values["key"] = (after.key or 0) * _MICROSECOND
        elif order.field is not SortField.NAME:
            values["key"] = after.key
    return await fetch(connection, statement, **values)


async def summary(connection: AsyncConnection, wanted: Filter) -> Summary:
    """Count the lights among the clients that match all of the filter."""
    conditions = wanted.conditions()
    found = {row.light: row.clients for row in await fetch(connection, queries.counts(list(conditions)), **conditions)}
    return Summary(found.get("GREEN", 0), found.get("AMBER", 0), found.get("RED", 0), found.get("", 0))


async def owners(connection: AsyncConnection) -> list[str]:
    """Return the owners of listed clients in alphabetical order, the first 500 of them."""
    return [row.owner for row in await fetch(connection, queries.OWNERS, limit=MAX_OWNERS)]


async def calculated_at(connection: AsyncConnection) -> datetime | None:
    """Return when the latest completed calculation ended; None before the first."""
    at: datetime | None = (await fetch(connection, queries.CALCULATED_AT))[0].at
    return at


async def by_ids(connection: AsyncConnection | AsyncSession, ids: Sequence[int]) -> Mapping[int, Row[Any]]:
    """Return the clients that exist, listed or not, by id."""
    return {row.id: row for row in await fetch(connection, queries.BY_IDS, ids=list(ids))}


async def id_of(connection: AsyncConnection | AsyncSession, external_id: str) -> int:
    """Return the id of the client that the source system knows by `external_id`. Raises NotFound."""
    # What a terminal could not decode cannot be sent to the database, either, and stands for no client.
    known = external_id.isprintable()
    found = await fetch(connection, queries.BY_EXTERNAL_ID, external_id=external_id) if known else []
    if not found:
        raise NotFound(f"There is no client with the external id {external_id!r}.")
    return int(found[0].id)


async def set_alerts(
    session: AsyncSession, client_id: int, *, enabled: bool, actor: str, now: datetime, request_id: str | None
) -> Row[Any]:
    """Switch a client's alerts on or off and return the client. Raises NotFound.

    Switching to what is already set changes nothing and leaves no trace.
    """
    found = await fetch(session, queries.LOCK, id=client_id)
    if not found:
        raise NotFound("There is no client with this id.")
    if found[0].alerts_enabled != enabled:
        await session.execute(queries.SET_ALERTS, {"id": client_id, "enabled": enabled})
        audit.record(
            session,
            AuditAction.ALERTS_CHANGED,
            actor=actor,
            now=now,
            request_id=request_id,
            client_id=client_id,
            changes={"alerts_enabled": [not enabled, enabled]},
        )
    return (await by_ids(session, [client_id]))[client_id]


async def snooze_alerts(
    session: AsyncSession, client_id: int, until: datetime | None, *, actor: str, now: datetime, request_id: str | None
) -> Row[Any]:
    """Raise no alert for the client until then, from now on again without `until`, and return the client.

    Raises NotFound, and InvalidInput for a time that is past or more than a year away.
    """
    if until is not None and not now < until <= now + MAX_SNOOZE:
        raise InvalidInput("until", f"until must lie in the future and at most {MAX_SNOOZE.days} days ahead.")
    found = await fetch(session, queries.LOCK, id=client_id)
    if not found:
        raise NotFound("There is no client with this id.")
    await session.execute(queries.SNOOZE, {"id": client_id, "until": until})
    before = found[0].alerts_snoozed_until
    audit.record(
        session,
        AuditAction.ALERTS_SNOOZED,
        actor=actor,
        now=now,
        request_id=request_id,
        client_id=client_id,
        changes={"alerts_snoozed_until": [before and before.isoformat(), until and until.isoformat()]},
    )
    return (await by_ids(session, [client_id]))[client_id]


async def count_matching(session: AsyncSession, wanted: Filter) -> int:
    """Return how many listed clients match."""
    conditions = wanted.conditions()
    return int((await fetch(session, queries.count_matching(list(conditions)), **conditions))[0].clients)


async def next_matching(session: AsyncSession, wanted: Filter, after: int, size: int) -> list[int]:
    """Return the next listed clients with an id above `after` that match, in id order."""
    conditions = wanted.conditions()
    statement = queries.next_matching(list(conditions))
    return [row.id for row in await fetch(session, statement, **conditions, after=after, size=size)]


async def lock(session: AsyncSession, client_ids: Collection[int]) -> None:
    """Lock clients in the order of their ids, as everybody does who changes several."""
    await session.execute(queries.LOCK_IN_ORDER, {"ids": list(client_ids)})


async def set_alerts_of(
    session: AsyncSession,
    client_ids: Sequence[int],
    *,
    enabled: bool,
    actor: str,
    now: datetime,
    request_id: str | None,
    run_id: int,
) -> None:
    """Switch the alerts of many clients, with an entry in the audit trail for each that changes."""
    await lock(session, client_ids)
    values = {"ids": list(client_ids), "enabled": enabled, "actor": actor, "now": now, "run_id": run_id}
    changes = orjson.dumps({"alerts_enabled": [not enabled, enabled]}).decode()
    await session.execute(queries.SET_ALERTS_OF, values | {"request_id": request_id, "changes": changes})
