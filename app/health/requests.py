"""Asking for recalculations: what is refused, and what becomes a run."""

from datetime import date, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.clients import service as clients
from app.errors import Conflict, InvalidInput, NotFound
from app.health.rules import EARLIEST_DAY, end_of_day
from app.health.service import count_scored
from app.runs import service as runs
from app.runs.models import RunKind


def moment_of(day: date | None, now: datetime) -> datetime:
    """Return the `as_of` of a calculation for `day`: its end, or now for a calculation of today.

    Raises InvalidInput for a day that has not begun, and for one before 1970.
    """
    if day is None:
        return now
    if day < EARLIEST_DAY:
        raise InvalidInput("as_of", f"{day} is too long ago; health can be calculated from {EARLIEST_DAY} on.")
    if day > now.date():
        raise InvalidInput("as_of", f"{day} has not begun yet; health can be calculated up to {now.date()}.")
    return now if day == now.date() else end_of_day(day)


async def recalculate_one(
    session: AsyncSession,
    client_id: int,
    *,
    requested_by: str,
    now: datetime,
    day: date | None = None,
    request_id: str | None = None,
) -> int:
    """Accept a calculation of one client and return the run's id.

    Raises NotFound for an unknown client, and Conflict for one that is not scored for that day.
    """
    as_of = moment_of(day, now)
    found = await clients.by_ids(session, [client_id])
    if client_id not in found:
        raise NotFound("There is no client with this id.")
    if not await count_scored(session, as_of, client_id):
        raise Conflict(f"{found[client_id].name} is not scored for {as_of.date()}: it was not a client then.")
    return await runs.request(
        session,
        RunKind.RECALCULATE_ONE,
        requested_by=requested_by,
        now=now,
        day=as_of.date(),
        as_of=as_of,
        client_id=client_id,
        request_id=request_id,
    )


async def recalculate_all(
    session: AsyncSession, *, requested_by: str, now: datetime, day: date | None = None, request_id: str | None = None
) -> int:
    """Accept a calculation of all clients and return the run's id."""
    as_of = moment_of(day, now)
    return await runs.request(
        session,
        RunKind.RECALCULATE_ALL,
        requested_by=requested_by,
        now=now,
        day=as_of.date(),
        as_of=as_of,
        request_id=request_id,
    )
