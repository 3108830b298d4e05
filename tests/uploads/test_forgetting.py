"""What is forgotten of uploads: what broke off, what was left of runs that were given up, and reports in the end."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from app.database import Database
from app.errors import NotFound
from app.runs.execution import execute
from app.settings import Settings
from app.uploads import service
from app.uploads.models import UploadFormat
from tests.factories import rows_of
from tests.uploads.test_importing import upload
from workers.retention import forget, kept

CONTENT = b"external_id,name\nA,Acme\n,x\n,y\n,z\n"


async def age(database: Database, days: float) -> None:
    """Make every upload so many days older."""
    async with database.begin() as session:
        values = {"by": timedelta(days=days)}
        await session.execute(text("UPDATE uploads SET started_at = started_at - CAST(:by AS interval)"), values)


async def begun(database: Database, chunks: int) -> int:
    """Begin an upload that has brought so many chunks."""
    async with database.begin() as session:
        upload_id = await service.begin(session, "clients", UploadFormat.CSV, None)
        for number in range(chunks):
            await service.add(session, upload_id, number, service.packed(CONTENT))
    return upload_id


async def left_over(database: Database, limit: int = 1_000) -> int:
    async with database.begin() as session:
        before = datetime.now(UTC) - service.LEFT_OVER_AFTER
        return await service.forget_left_over(session, before=before, limit=limit)


async def reports(database: Database, limit: int = 1_000) -> int:
    async with database.begin() as session:
        return await service.forget_reports(session, before=datetime.now(UTC) - service.REPORTS_KEPT, limit=limit)


async def test_what_broke_off_goes_after_two_hours_and_a_batch_at_a_time(database: Database) -> None:
    await begun(database, 3)
    await age(database, 1.9 / 24)
    assert await left_over(database) == 0
    await age(database, 0.2 / 24)
    young = await begun(database, 1)
    assert [await left_over(database, limit=2) for _ in range(3)] == [2, 2, 0]
    assert await rows_of(database, "SELECT id FROM uploads") == [(young,)]
    assert await rows_of(database, "SELECT upload_id FROM upload_chunks") == [(young,)]


async def test_the_content_of_runs_goes_only_once_they_have_ended(database: Database, settings: Settings) -> None:
    runs = [await upload(database, "clients", CONTENT) for _ in range(4)]
    for run_id, status in zip(runs, ("QUEUED", "RUNNING", "FAILED", "SUCCEEDED"), strict=True):
        async with database.begin() as session:
            values = {"id": run_id, "status": status}
            await session.execute(text("UPDATE runs SET status = :status WHERE id = :id"), values)
    await age(database, 3)
    assert [await left_over(database) for _ in range(3)] == [2, 2, 0]
    assert await rows_of(database, "SELECT run_id, stored FROM uploads ORDER BY 1") == [
        (runs[0], True),
        (runs[1], True),
        (runs[2], False),
        (runs[3], False),
    ]
    assert await rows_of(database, "SELECT count(*) FROM upload_chunks") == [(2,)]


async def test_reports_are_kept_for_thirty_days(database: Database, settings: Settings) -> None:
    old, unfinished = [await upload(database, "clients", CONTENT) for _ in range(2)]
    assert await execute(database, old, settings)
    await age(database, 29.9)
    recent = await upload(database, "clients", CONTENT)
    assert await execute(database, recent, settings)
    assert await reports(database) == 0
    await age(database, 0.2)
    # Its rejected rows go first, and what is not imported yet stays.
    assert [await reports(database, limit=2) for _ in range(3)] == [2, 2, 0]
    assert await rows_of(database, "SELECT run_id FROM uploads ORDER BY 1") == [(unfinished,), (recent,)]
    assert await rows_of(database, "SELECT count(*) FROM rejected_rows") == [(3,)]
    async with database.read() as connection:
        with pytest.raises(NotFound, match="or it was too long ago"):
            await service.state(connection, old, None)
    assert await rows_of(database, f"SELECT status FROM runs WHERE id = {old}") == [("SUCCEEDED",)]


async def test_the_scheduler_forgets_them(database: Database, settings: Settings) -> None:
    await begun(database, 1)
    imported = await upload(database, "clients", CONTENT)
    assert await execute(database, imported, settings)
    await age(database, 31)
    kinds = {kind.name: kind for kind in kept(settings)}
    now = datetime.now(UTC)
    assert await forget(database, kinds["uploads"], now) == 2
    assert await forget(database, kinds["import reports"], now) == 4
    assert await rows_of(database, "SELECT id FROM uploads") == []
