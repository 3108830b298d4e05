"""Runs without a pause: the next batch is read while one is written, and never written out of turn."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database, fetch
from app.health import requests
from app.runs import service
from app.runs.batches import Pace, Work, Write, carry_out
from app.runs.execution import execute
from app.runs.models import RunKind
from app.settings import Settings
from tests.factories import add_client

NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
CLIENTS = list(range(1, 8))
LOCK_OF_BATCH = text("SELECT pg_advisory_xact_lock(:id)")
HELD = text("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")


async def claimed(database: Database) -> service.Claim:
    assert [await add_client(database) for _ in CLIENTS] == CLIENTS
    async with database.begin() as session:
        run_id = await service.request(session, RunKind.RECALCULATE_ALL, requested_by="anna", now=NOW)
        claim = await service.claim(session, run_id, timedelta(seconds=30))
    assert claim is not None
    return claim


class Journal:
    """Work on seven clients that notes its steps; each batch holds a lock of its own while its transaction is open."""

    def __init__(self, *, waits: bool = False, fails_on: int | None = None, lost_at: int | None = None) -> None:
        self.steps: list[str] = []
        self._waits = waits
        self._fails_on = fails_on
        self._lost_at = lost_at
        self._is_read: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)

    def work(self) -> Work:
        return Work(count=self._count, following=self._following, read=self._read)

    async def _count(self, _session: AsyncSession) -> int:
        return len(CLIENTS)

    async def _following(self, _session: AsyncSession, after: int, size: int) -> Sequence[int]:
        return [client for client in CLIENTS if client > after][:size]

    async def _read(self, session: AsyncSession, batch: Sequence[int]) -> Write:
        await fetch(session, LOCK_OF_BATCH, id=batch[0])
        self.steps.append(f"read {batch[0]}")
        self._is_read[batch[0]].set()

        async def write() -> Mapping[int, str]:
            if self._waits and batch[-1] != CLIENTS[-1]:
                # The next batch would never be read if it waited for this one to be written.
                async with asyncio.timeout(10):
                    await self._is_read[batch[-1] + 1].wait()
            self.steps.append(f"write {batch[0]}")
            if self._lost_at == batch[0]:
                raise service.LeaseLostError("lost")
            if self._fails_on in batch:
                raise ZeroDivisionError
            return {}

        return write


async def held_locks(database: Database) -> int:
    async with database.read() as connection:
        return int((await fetch(connection, HELD))[0][0])


async def test_without_a_pause_the_next_batch_is_read_before_this_one_has_been_written(database: Database) -> None:
    run, journal = await claimed(database), Journal(waits=True)
    await carry_out(database, run, journal.work(), Pace(2, timedelta()))
    assert journal.steps == ["read 1", "read 3", "write 1", "read 5", "write 3", "read 7", "write 5", "write 7"]
    row = await service.by_id(database, run.id)
    assert (row.status, row.total, row.done, row.failed) == ("SUCCEEDED", 7, 7, 0)


async def test_with_a_pause_no_batch_is_read_before_the_one_before_has_been_written(database: Database) -> None:
    run, journal = await claimed(database), Journal()
    await carry_out(database, run, journal.work(), Pace(3, timedelta(milliseconds=1)))
    assert journal.steps == ["read 1", "write 1", "read 4", "write 4", "read 7", "write 7"]


async def test_an_unexpected_error_gives_up_what_was_read_ahead_and_is_isolated(database: Database) -> None:
    run, journal = await claimed(database), Journal(fails_on=2)
    await carry_out(database, run, journal.work(), Pace(2, timedelta()))
    row = await service.by_id(database, run.id)
    assert (row.status, row.total, row.done, row.failed) == ("SUCCEEDED", 7, 6, 1)
    async with database.read() as connection:
        errors = await fetch(connection, text("SELECT client_id, message FROM run_errors"))
    assert [tuple(error) for error in errors] == [(2, "An unexpected error; the log has the details.")]
    written = [step for step in journal.steps if step.startswith("write")]
    # Both together, as they were and once more in a transaction of their own, then each by itself.
    assert written == ["write 1", "write 1", "write 1", "write 2", "write 3", "write 5", "write 7"]
    assert await held_locks(database) == 0


async def test_a_lost_lease_ends_both_transactions(database: Database) -> None:
    run, journal = await claimed(database), Journal(lost_at=3)
    with pytest.raises(service.LeaseLostError):
        await carry_out(database, run, journal.work(), Pace(2, timedelta()))
    assert "write 5" not in journal.steps
    assert await held_locks(database) == 0
    row = await service.by_id(database, run.id)
    assert (row.status, row.done) == ("RUNNING", 2)


async def test_a_client_that_cannot_be_written_fails_alone_while_others_are_read_ahead(
    database: Database, settings: Settings
) -> None:
    clients = [await add_client(database) for _ in range(9)]
    bad = clients[4]
    async with database.begin() as session:
        await session.execute(text(f"ALTER TABLE health_scores ADD CONSTRAINT ck_unlucky CHECK (client_id <> {bad})"))
        run_id = await requests.recalculate_all(session, requested_by="anna", now=NOW)
    quick = settings.model_copy(update={"recalculation_batch_size": 2, "recalculation_pause_ms": 0})
    assert await execute(database, run_id, quick)
    row = await service.by_id(database, run_id)
    assert (row.status, row.total, row.done, row.failed) == ("SUCCEEDED", 9, 8, 1)
    async with database.read() as connection:
        scored = await fetch(connection, text("SELECT client_id FROM health_scores ORDER BY 1"))
        failed = await fetch(connection, text("SELECT client_id FROM run_errors"))
    assert [row.client_id for row in scored] == [client for client in clients if client != bad]
    assert [row.client_id for row in failed] == [bad]
