"""Replaying alerts: how many the stored scores would have raised with given thresholds. Nothing is raised or sent."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.alerts import queries
from app.alerts.rules import Standing, Thresholds, is_storm, replay
from app.database import Database, fetch
from app.errors import InvalidInput, NotFound
from app.runs import service as runs
from app.runs.batches import Pace, Progress, Work, Write, carry_out
from app.runs.models import RunKind
from app.runs.service import Claim

MAX_DAYS = 730

# Scores that are in memory at a time.
SCORES_AT_ONCE = 50_000


@dataclass(frozen=True, slots=True)
class ReplayedDay:
    """One day with a score: how many clients had one, how many alerts it brings, and whether those would be held."""

    day: date
    scored: int
    alerts: int
    held: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """What was asked, and what came of it as far as the run is."""

    run_id: int
    last_day: date
    days: int
    thresholds: Thresholds
    by_day: Sequence[ReplayedDay]

    @property
    def alerts(self) -> int:
        """How many alerts there are, held ones included."""
        return sum(day.alerts for day in self.by_day)

    @property
    def held(self) -> int:
        """How many of them would be held, since a feed has probably broken on their day."""
        return sum(day.alerts for day in self.by_day if day.held)


async def request(
    session: AsyncSession,
    *,
    days: int,
    thresholds: Thresholds,
    requested_by: str,
    now: datetime,
    request_id: str | None = None,
) -> int:
    """Accept a replay of the `days` UTC days up to today, and return the run's id.

    Raises InvalidInput for more than 730 days, and for a threshold that no setting may have.
    """
    if not 1 <= days <= MAX_DAYS:
        raise InvalidInput("days", f"days must be from 1 to {MAX_DAYS}, not {days}.")
    for name, value, least, most in (
        ("dropPoints", thresholds.drop_points, 0, 100),
        ("againPoints", thresholds.again_points, 0, 100),
        ("stormShare", thresholds.storm_share, 0, 100),
        ("stormMinimum", thresholds.storm_minimum, 1, 1_000_000),
    ):
        if not least <= value <= most:
            raise InvalidInput(name, f"{name} must be from {least} to {most:,}, not {value}.")
    return await runs.request(
        session,
        RunKind.REPLAY_ALERTS,
        requested_by=requested_by,
        now=now,
        day=now.date(),
        parameters={"days": days, "thresholds": asdict(thresholds)},
        request_id=request_id,
    )


async def carry_replay(database: Database, run: Claim, pace: Pace, progress: Progress | None = None) -> None:
    """Count the alerts of every client. Raises LeaseLostError when another attempt took over."""
    if run.day is None or run.parameters is None:
        raise ValueError("a replay needs its last day and its thresholds")
    days, thresholds = int(run.parameters["days"]), Thresholds(**run.parameters["thresholds"])
    first, last = run.day - timedelta(days=days - 1), run.day

    async def count(session: AsyncSession) -> int:
        return int((await fetch(session, queries.COUNT_CLIENTS))[0].clients)

    async def following(session: AsyncSession, after: int, size: int) -> Sequence[int]:
        return [row.id for row in await fetch(session, queries.NEXT_CLIENTS, after=after, size=size)]

    async def read(session: AsyncSession, batch: Sequence[int]) -> Write:
        found = await fetch(session, queries.SCORED_BY_DAY, ids=list(batch), first=first, last=last)
        scored = {row.day: row.scored for row in found}
        raised = await _raised(session, batch, thresholds, first, last)

        async def write() -> Mapping[int, str]:
            await _add(session, run.id, scored, raised)
            return {}

        return write

    await carry_out(database, run, Work(count, following, read), pace, progress)


async def report(connection: AsyncConnection, run_id: int) -> Replay:
    """Return what a replay has counted so far. Raises NotFound for what is no replay, or was forgotten."""
    found = await fetch(connection, queries.REPLAY, run_id=run_id)
    if not found:
        raise NotFound("There is no replay of alerts with this id, or it is not kept any longer.")
    thresholds = Thresholds(**found[0].parameters["thresholds"])
    counted = await fetch(connection, queries.REPLAYED_DAYS, run_id=run_id)
    return Replay(
        run_id,
        found[0].day,
        int(found[0].parameters["days"]),
        thresholds,
        [ReplayedDay(row.day, row.scored, row.alerts, is_storm(row.alerts, row.scored, thresholds)) for row in counted],
    )


async def noisiest(connection: AsyncConnection, run_id: int, limit: int) -> Sequence[Row[Any]]:
    """Return the clients with most alerts of a replay, at most `limit`."""
    return await fetch(connection, queries.REPLAYED_CLIENTS, run_id=run_id, limit=limit)


async def forget(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete what the oldest replay has counted if it ended before a moment, at most `limit` clients at a time.

    Returns how many rows went, 0 once no replay is so old. The run stays, since the audit trail names it.
    """
    found = await fetch(session, queries.OLDEST_REPLAY, before=before)
    if not found:
        return 0
    run_id = found[0].id
    # First of all, so that nobody reads a half of it.
    await session.execute(queries.FORGET_REPLAY, {"run_id": run_id})
    clients = len(await fetch(session, queries.FORGET_REPLAYED_CLIENTS, run_id=run_id, limit=limit))
    if clients == limit:
        return clients
    # It is found by its days, which are no more than it was asked for.
    return clients + len(await fetch(session, queries.FORGET_REPLAYED_DAYS, run_id=run_id))


async def _raised(
    session: AsyncSession, batch: Sequence[int], thresholds: Thresholds, first: date, last: date
) -> dict[int, list[date]]:
    """Return the days on which each client of a batch would have had an alert, for those that would."""
    raised: dict[int, list[date]] = {}
    size = max(1, SCORES_AT_ONCE // ((last - first).days + 2))
    for start in range(0, len(batch), size):
        ids = list(batch[start : start + size])
        rows = await fetch(session, queries.HISTORIES, ids=ids, first=first, last=last)
        for client_id, history in groupby(rows, key=lambda row: int(row.client_id)):
            days = replay(((row.day, Standing(row.score, row.light, row.risk)) for row in history), thresholds)
            if days:
                raised[client_id] = days
    return raised


async def _add(
    session: AsyncSession, run_id: int, scored: Mapping[date, int], raised: Mapping[int, Sequence[date]]
) -> None:
    """Add what was counted for a batch, in the transaction that records its progress."""
    alerts = Counter(day for days in raised.values() for day in days)
    by_day = {"days": list(scored), "scored": list(scored.values()), "alerts": [alerts[day] for day in scored]}
    await session.execute(queries.ADD_REPLAYED_DAYS, {"run_id": run_id, **by_day})
    by_client = {"ids": list(raised), "alerts": [len(days) for days in raised.values()]}
    await session.execute(queries.ADD_REPLAYED_CLIENTS, {"run_id": run_id, **by_client})
