"""What belongs to the end of a run happens in the transaction that ends it: once, or not at all."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.runs import service
from app.runs.batches import Pace, Work, Write, carry_out
from app.runs.models import RunKind
from tests.factories import add_client, rows_of

NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
PACE = Pace(2, timedelta(0))


async def claimed(database: Database) -> service.Claim:
    async with database.begin() as session:
        run_id = await service.request(session, RunKind.RECALCULATE_ALL, requested_by="anna", now=NOW)
        claim = await service.claim(session, run_id, timedelta(seconds=30))
    assert claim is not None
    return claim


class Ending:
    """Work on clients that renames the last of them when it ends, and then may fail.

    It may be lost to another attempt when all of its batches are written.
    """

    def __init__(self, clients: Sequence[int], *, fails: bool = False, lost: bool = False) -> None:
        self._clients = clients
        self._fails = fails
        self._lost = lost
        self.seen: list[int] = []
        self.ended = False

    def work(self) -> Work:
        return Work(self._count, self._following, self._read, self._finish)

    async def _count(self, _session: AsyncSession) -> int:
        return len(self._clients)

    async def _following(self, session: AsyncSession, after: int, size: int) -> Sequence[int]:
        if self._lost and after == self._clients[-1]:
            await session.execute(text("UPDATE runs SET attempt = attempt + 1"))
        return [client for client in self._clients if client > after][:size]

    async def _read(self, _session: AsyncSession, batch: Sequence[int]) -> Write:
        async def write() -> Mapping[int, str]:
            self.seen.extend(batch)
            return {}

        return write

    async def _finish(self, session: AsyncSession) -> None:
        assert self.seen == self._clients
        assert (await session.execute(text("SELECT done FROM runs"))).scalar_one() == len(self._clients)
        await session.execute(text("UPDATE clients SET name = 'Ended' WHERE id = :id"), {"id": self._clients[-1]})
        self.ended = True
        if self._fails:
            raise RuntimeError("the end is not to be")


async def outcome(database: Database) -> tuple[str, int]:
    """Return the run's status, and how many clients were renamed."""
    ((status, renamed),) = await rows_of(
        database, "SELECT status, (SELECT count(*) FROM clients WHERE name = 'Ended') FROM runs"
    )
    return status, renamed


async def test_the_end_of_a_run_comes_after_every_batch(database: Database) -> None:
    ending = Ending([await add_client(database) for _ in range(3)])
    await carry_out(database, await claimed(database), ending.work(), PACE)
    assert await outcome(database) == ("SUCCEEDED", 1)


async def test_a_run_whose_end_fails_is_not_over(database: Database) -> None:
    ending = Ending([await add_client(database) for _ in range(3)], fails=True)
    with pytest.raises(RuntimeError, match="not to be"):
        await carry_out(database, await claimed(database), ending.work(), PACE)
    assert await outcome(database) == ("RUNNING", 0)


async def test_who_has_lost_the_run_does_not_begin_to_end_it(database: Database) -> None:
    ending = Ending([await add_client(database) for _ in range(4)], lost=True)
    # With a pause nothing is read ahead, so that every batch is written when the end is found.
    with pytest.raises(service.LeaseLostError):
        await carry_out(database, await claimed(database), ending.work(), Pace(2, timedelta(milliseconds=1)))
    assert await rows_of(database, "SELECT done, attempt FROM runs") == [(4, 2)]
    assert not ending.ended
    assert await outcome(database) == ("RUNNING", 0)


async def test_the_run_is_locked_before_what_belongs_to_its_end(database: Database) -> None:
    """Whoever gives a run up locks it first, too, and then its alerts."""
    unlocked: list[list[int]] = []

    async def finish(_session: AsyncSession) -> None:
        async with database.begin() as other:
            found = await other.execute(text("SELECT id FROM runs FOR UPDATE SKIP LOCKED"))
            unlocked.append([row.id for row in found])

    work = replace(Ending([await add_client(database)]).work(), finish=finish)
    await carry_out(database, await claimed(database), work, PACE)
    assert unlocked == [[]]
