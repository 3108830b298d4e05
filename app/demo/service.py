"""Loading the demo portfolio into an empty database, and finishing a load that was interrupted.

What says how far a load got is the data itself. All clients arrive in one transaction, and the day that the history
ends with follows from the newest of them. The history is scored oldest day first, after all facts are in: where its
first day is scored nothing is left to import, and where every day is scored nothing is left to do.
"""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Row

from app.database import Database, fetch
from app.demo import queries
from app.demo.accounts import CLIENTS, NEWEST_CLIENT_DAYS, external_ids
from app.demo.portfolio import generate
from app.demo.rows import tables, write_files
from app.errors import Conflict
from app.health.requests import recalculate_all
from app.health.rules import end_of_day
from app.health.service import score_day
from app.ingest.service import EXIT_COMPLETE, ImportProgress, import_path
from app.runs.execution import execute
from app.runs.schedule import count_as_taken, daily
from app.settings import get_settings
from app.usage.service import record_day

# Days, up to the end, whose scores and metrics are computed. The days before give them full windows to look at.
HISTORY_DAYS = 90

REQUESTED_BY = "demo portfolio"

# Told the step, how much of it is done, and how much there is to do.
Progress = Callable[[str, int, int], None]


async def load_if_empty(
    database: Database, *, now: datetime, seed: int = 1, history_days: int = HISTORY_DAYS, progress: Progress
) -> bool:
    """Load the demo portfolio, dated to end on the UTC day before `now`, unless the database holds clients already.

    Scores and metrics are computed for the last `history_days` (1 to 180) of its days.

    A load that was interrupted is finished, with the dates that it began with. Data of a user's own is never touched.
    Returns whether anything was loaded; True means that the portfolio is complete now.

    Raises Conflict when what was interrupted is a portfolio of another seed.
    """
    # The transaction does nothing but hold the lock until everything is done.
    async with database.begin() as holder:
        await holder.execute(queries.LOCK)
        async with database.read() as connection:
            stored = await fetch(connection, queries.CLIENTS, most=CLIENTS + 1)
        if stored and [row.external_id for row in stored] != external_ids():
            return False
        end = _end_of(stored) if stored else now.date() - timedelta(days=1)
        days = [end - timedelta(days=age) for age in range(history_days - 1, -1, -1)]
        async with database.read() as connection:
            found = await fetch(connection, queries.SCORED_DAYS, first=days[0], last=end)
        scored = {row.day for row in found}
        if len(scored) == len(days):
            return False
        if days[0] not in scored:
            await _import(database, seed, end, stored, now=now, progress=progress)
        missing = next(position for position, day in enumerate(days) if day not in scored)
        # Every day from the first missing one on: the trend of a day depends on the day before.
        for position in range(missing, len(days)):
            progress("Scoring the history", position, len(days))
            await record_day(database, days[position])
            if days[position] < end:
                await score_day(database, end_of_day(days[position]), now)
        # The last day is a run like any other, so that the portfolio can say when it was calculated.
        async with database.begin() as session:
            run_id = await recalculate_all(session, requested_by=REQUESTED_BY, now=now, day=end)
        settings = get_settings()
        await execute(database, run_id, settings)
        # The facts end here: calculating today as well, at once, would show every client going silent.
        schedule = daily(settings.metrics_time, settings.recalculation_time, settings.schedule_time_zone)
        async with database.begin() as session:
            await count_as_taken(session, schedule, now=now, run_id=run_id)
        progress("Scoring the history", len(days), len(days))
    return True


def _end_of(stored: Sequence[Row[Any]]) -> date:
    newest: date = max(row.customer_since for row in stored)
    return newest + timedelta(days=NEWEST_CLIENT_DAYS)


async def _import(
    database: Database, seed: int, end: date, stored: Sequence[Row[Any]], *, now: datetime, progress: Progress
) -> None:
    """Bring in the facts; those of an interrupted import that are there already stay as they are."""
    with tempfile.TemporaryDirectory(prefix="client-health-demo-") as name:
        folder = Path(name) / "demo"
        folder.mkdir()
        progress("Making the demo portfolio", 0, 1)
        names, total = await asyncio.to_thread(_make_files, seed, end, folder)
        progress("Making the demo portfolio", 1, 1)
        if stored and names != [row.name for row in stored]:
            raise Conflict(
                "The database holds an unfinished demo portfolio that was made from another seed; "
                "finish it with that seed, or start from an empty database."
            )
        read: dict[str, int] = {}

        def tell(step: ImportProgress) -> None:
            read[step.file] = step.rows
            progress("Importing the demo portfolio", sum(read.values()), total)

        report = await import_path(database, folder, now=now, progress=tell)
        if report.exit_code != EXIT_COMPLETE:
            raise RuntimeError(f"the demo portfolio was not imported completely: {report}")
    async with database.read() as connection:
        await connection.execute(queries.ANALYZE)


def _make_files(seed: int, end: date, folder: Path) -> tuple[list[str], int]:
    """Write the portfolio's files; return the names of its clients and the number of all rows."""
    portfolio = generate(seed, end)
    write_files(portfolio, folder)
    return [client.name for client in portfolio.clients], sum(len(rows) for _, rows in tables(portfolio))
