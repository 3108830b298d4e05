"""Alerts: raised and resolved with the scores, listed, and acknowledged by people."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

import orjson
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.alerts import queries
from app.alerts.causes import Cause
from app.alerts.rules import AlertStatus, Standing, Thresholds, is_noise, message, reasons
from app.audit import service as audit
from app.audit.models import AuditAction
from app.database import fetch
from app.delivery import service as delivery
from app.errors import Conflict, InvalidInput, NotFound

MAX_NOTE = 2000


@dataclass(frozen=True, slots=True)
class Filter:
    """What an alert must match; None is no condition, and an empty list matches nothing."""

    statuses: Sequence[AlertStatus] | None = None
    client_id: int | None = None
    owner: str | None = None
    held: bool | None = None

    def conditions(self) -> dict[str, Any]:
        """Return the conditions that are set, as the parameters of the statements."""
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) is not None}


@dataclass(frozen=True, slots=True)
class Position:
    """Where a page begins: after this alert."""

    at: datetime
    id: int


async def follow_scores(
    session: AsyncSession,
    standings: Mapping[int, tuple[Standing, Standing | None]],
    *,
    green: Sequence[int],
    green_from: int,
    day: date,
    raised_at: datetime,
    now: datetime,
    thresholds: Thresholds,
    run_id: int | None,
) -> Mapping[int, int]:
    """Resolve and raise what the day's new scores call for, in their transaction.

    `standings` maps a client to how it stands and how it stood on the previous scoring day, `green` are those whose
    light is green now. Calculating the day again raises nothing twice. Alerts raised for a `run_id` are held until the
    end of that run decides about them; see `app.alerts.holding`. Returns the alerts raised, by client.
    """
    if green:
        values = {"ids": list(green), "day": day, "green_from": green_from, "at": raised_at}
        await session.execute(queries.RESOLVE, values)
    wanted = {
        client_id: (kinds, before, after)
        for client_id, (after, before) in standings.items()
        if before is not None and (kinds := reasons(before, after, thresholds))
    }
    if not wanted:
        return {}
    alerted = await fetch(session, queries.ALERTED, ids=list(wanted), now=now, day=day)
    unresolved: dict[int, list[int]] = defaultdict(list)
    for row in await fetch(session, queries.UNRESOLVED, ids=[row.id for row in alerted]):
        # An alert that nobody may ever be told of keeps no other away but its own repetition.
        _, _, after = wanted[row.client_id]
        if not row.undecided or (row.day, row.score_after) == (day, after.score):
            unresolved[row.client_id].append(row.score_after)
    raised = [
        {
            "client_id": row.id,
            "kinds": kinds,
            "message": message(row.name, kinds, before, after),
            "score_before": before.score,
            "score_after": after.score,
            "light_before": before.light,
            "light_after": after.light,
            "risk_before": before.risk,
            "risk_after": after.risk,
        }
        for row in alerted
        for kinds, before, after in [wanted[row.id]]
        if not is_noise(after.score, unresolved[row.id], thresholds)
    ]
    if not raised:
        return {}
    values = {"alerts": orjson.dumps(raised).decode(), "day": day, "raised_at": raised_at, "run_id": run_id}
    by_client = {row.client_id: row.id for row in await fetch(session, queries.RAISE, **values)}
    await delivery.queue(session, list(by_client.values()), held=run_id is not None)
    return by_client


async def add_causes(session: AsyncSession, causes: Mapping[int, Sequence[Cause]]) -> None:
    """Record why the scores moved that raised these alerts, in the transaction that raised them."""
    rows = [
        {
            "alert_id": alert_id,
            "component": cause.component,
            "points_before": cause.points_before,
            "points_after": cause.points_after,
            "explanation": cause.explanation,
        }
        for alert_id, found in causes.items()
        for cause in found
    ]
    if rows:
        await session.execute(queries.ADD_CAUSES, rows)


async def causes_by_ids(
    connection: AsyncConnection | AsyncSession, alert_ids: Sequence[int]
) -> Mapping[int, list[Row[Any]]]:
    """Return why the scores of the alerts moved, the component that lost most points first."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in await fetch(connection, queries.CAUSES, ids=list(alert_ids)):
        found[row.alert_id].append(row)
    return found


async def page(connection: AsyncConnection, wanted: Filter, first: int, after: Position | None) -> Sequence[Row[Any]]:
    """Return up to `first` + 1 alerts behind `after`, newest first."""
    conditions = wanted.conditions()
    statement = queries.page(list(conditions), after=after is not None)
    position = {} if after is None else {"at": after.at, "id": after.id}
    return await fetch(connection, statement, **conditions, **position, limit=first + 1)


async def count(connection: AsyncConnection, wanted: Filter) -> int:
    """Return how many alerts match."""
    conditions = wanted.conditions()
    return int((await fetch(connection, queries.count(list(conditions)), **conditions))[0].alerts)


async def by_ids(connection: AsyncConnection | AsyncSession, ids: Sequence[int]) -> Mapping[int, Row[Any]]:
    """Return the alerts that exist, by id."""
    return {row.id: row for row in await fetch(connection, queries.BY_IDS, ids=list(ids))}


async def written_since(connection: AsyncConnection, since: datetime | None) -> tuple[datetime, Sequence[int]]:
    """Return the database's time, and the ids of the alerts that were written or released at or after `since`.

    They are in that order. Without `since` there are none.
    """
    (row,) = await fetch(connection, queries.WRITTEN_SINCE, since=since)
    return row.looked_at, row.ids


async def acknowledge(
    session: AsyncSession, alert_id: int, *, note: str | None, actor: str, now: datetime, request_id: str | None
) -> Row[Any]:
    """Acknowledge an open alert and return it; one that somebody has acknowledged already stays as it is.

    Raises NotFound for an unknown alert, Conflict for a resolved one, and InvalidInput for a note that is too long.
    """
    if note is not None and (len(note) > MAX_NOTE or "\0" in note):
        raise InvalidInput("note", f"note must be text of at most {MAX_NOTE} characters.")
    found = await fetch(session, queries.LOCK, id=alert_id)
    if not found:
        raise NotFound("There is no alert with this id.")
    if found[0].discarded_at is not None:
        raise Conflict("The alert was discarded, since it told of a broken feed.")
    if found[0].status == AlertStatus.RESOLVED:
        raise Conflict("The alert is resolved already, since the client's light is green again.")
    if found[0].status == AlertStatus.OPEN:
        await session.execute(queries.ACKNOWLEDGE, {"id": alert_id, "now": now, "actor": actor, "note": note})
        audit.record(
            session,
            AuditAction.ALERT_ACKNOWLEDGED,
            actor=actor,
            now=now,
            request_id=request_id,
            client_id=found[0].client_id,
            changes={"status": [AlertStatus.OPEN, AlertStatus.ACKNOWLEDGED]},
        )
    return (await by_ids(session, [alert_id]))[alert_id]
