"""What belongs to the end of a run happens in the transaction that ends it: once, or not at all."""

from collections.abc import Mapping, Sequence
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
    """Work on three clients that renames the last of them when it ends, and then may fail."""

    def __init__(self, clients: Sequence[int], *, fails: bool = False, lost: bool = False) -> None:
        self._clients = clients
        self._fails = fails
        self._lost = lost
        self.seen: list[int] = []

    def work(self) -> Work:
        return Work(self._count, self._following, self._read, self._finish)

    async def _count(self, _session: AsyncSession) -> int:
        return len(self._clients)

    async def _following(self, _session: AsyncSession, after: int, size: int) -> Sequence[int]:
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
        if self._fails:
            raise RuntimeError("the end is not to be")
        if self._lost:
            await session.execute(text("UPDATE runs SET attempt = attempt + 1"))


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


async def test_who_has_lost_the_run_does_not_end_it(database: Database) -> None:
    ending = Ending([await add_client(database) for _ in range(3)], lost=True)
    with pytest.raises(service.LeaseLostError):
        await carry_out(database, await claimed(database), ending.work(), PACE)
    assert await outcome(database) == ("RUNNING", 0)
