"""Loads a world into the product: files through its own import, then scores and metrics, day by day."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from app.database import Database
from app.health.service import score_day
from app.ingest.service import import_path
from app.usage.service import record_day
from tests.oracle.facts import World
from tests.oracle.files import write_world
from tests.oracle.spec import end_of


def calculated_at(day: date, attempt: int = 1) -> datetime:
    """Return when the `attempt`-th calculation of a scoring day is said to have run."""
    return end_of(day) + timedelta(hours=2, minutes=attempt, microseconds=1)


async def load(database: Database, world: World, days: list[date], folder: Path) -> None:
    """Import the files of a world, twice, and score its days in order."""
    # The folder is small and belongs to this test: writing it does not hold up anybody else.
    await asyncio.to_thread(write_world, world, folder)
    for _ in range(2):
        report = await import_path(database, folder, now=datetime.now(UTC))
        assert report.exit_code == 0, report
    for day in days:
        await score_day(database, end_of(day), calculated_at(day))
        await record_day(database, day)
    # A second calculation replaces the day's score by the same one, and a past day does not become the latest.
    await score_day(database, end_of(days[1]), calculated_at(days[1], 2))
    await score_day(database, end_of(days[-1]), calculated_at(days[-1], 2))
    await record_day(database, days[-1])
