"""What clients do with the platform: usage, features, and the metrics recorded from them once a day."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.database import Database, fetch
from app.health.rules import end_of_day, start_of_day
from app.usage import queries
from app.usage.rules import Day, MetricPoint, MetricType, Recorded, changes, series

RECORD_BATCH = 2000


@dataclass(frozen=True, slots=True)
class Usage:
    """One client's window: a day each, and what sums it up. Session length in minutes, None with no session."""

    daily: list[Day]
    unique_members: int
    session_minutes: float | None


async def usage(connection: AsyncConnection, client_ids: Sequence[int], days: int, today: date) -> dict[int, Usage]:
    """Return the usage of each client over the `days` UTC days that end with its scoring day."""
    values = {"ids": list(client_ids), "days": days, "today": today}
    windows: dict[int, tuple[date, date]] = {}
    numbers: dict[int, dict[date, dict[str, int]]] = defaultdict(lambda: defaultdict(dict))
    for row in await fetch(connection, queries.DAILY, **values):
        if row.kind == "window":
            windows[row.id] = (row.first_day, row.last_day)
        else:
            numbers[row.id][row.day][row.kind] = row.number
    sessions = {row.id: row for row in await fetch(connection, queries.SESSIONS, **values)}
    return {
        client_id: Usage(
            series(*window, numbers[client_id]),
            sessions[client_id].members if client_id in sessions else 0,
            _float(sessions[client_id].session_minutes) if client_id in sessions else None,
        )
        for client_id, window in windows.items()
    }


async def features(connection: AsyncConnection, client_ids: Sequence[int], today: date) -> dict[int, list[Row[Any]]]:
    """Return each client's features with their use up to its scoring day, by category and name."""
    found: dict[int, list[Row[Any]]] = defaultdict(list)
    for row in await fetch(connection, queries.FEATURES, ids=list(client_ids), today=today):
        found[row.client_id].append(row)
    return found


async def metric_history(
    connection: AsyncConnection, client_ids: Sequence[int], metric: MetricType, days: int, today: date
) -> dict[int, list[MetricPoint]]:
    """Return the recorded days of one metric, oldest first, of the `days` that end with the scoring day."""
    points: dict[int, list[Recorded]] = defaultdict(list)
    first: dict[int, date] = {}
    column = metric.value.lower()
    for row in await fetch(connection, queries.METRICS, ids=list(client_ids), days=days, today=today):
        points[row.id].append((row.day, _float(getattr(row, column)), row.revised_at))
        first[row.id] = row.first_day
    return {client_id: changes(values, first[client_id]) for client_id, values in points.items()}


async def count_clients(session: AsyncSession, day: date) -> int:
    """Return how many clients' metrics of `day` are recorded."""
    return int((await fetch(session, queries.COUNT_RECORDED, day=day, end=end_of_day(day)))[0].clients)


async def next_clients(session: AsyncSession, after: int, size: int, day: date) -> list[int]:
    """Return the next clients whose metrics of `day` are recorded, in id order."""
    found = await fetch(session, queries.NEXT_RECORDED, after=after, size=size, day=day, end=end_of_day(day))
    return [row.id for row in found]


async def keep_facts_out(session: AsyncSession) -> None:
    """Have whoever stores facts wait until the end of the transaction."""
    await session.execute(queries.KEEP_FACTS_OUT)


async def record_clients(session: AsyncSession, client_ids: Sequence[int], day: date, *, adoption: bool = True) -> None:
    """Record the clients' metrics of one whole UTC day; recording it again replaces them.

    Without `adoption` an adoption rate that was recorded before stays. No facts are stored until the transaction ends.
    """
    await keep_facts_out(session)
    await queries.record(session, client_ids, day, start_of_day(day), end_of_day(day), adoption=adoption)


async def record_day(database: Database, day: date) -> None:
    """Record every client's metrics of one whole UTC day, batch by batch, without a run."""
    after = 0
    while True:
        async with database.begin() as session:
            client_ids = await next_clients(session, after, RECORD_BATCH, day)
            await record_clients(session, client_ids, day)
        if len(client_ids) < RECORD_BATCH:
            return
        after = client_ids[-1]


def _float(value: Any) -> float | None:
    return None if value is None else float(value)
