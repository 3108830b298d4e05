"""What the scheduler forgets, in batches and by the hour, and what it never does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.alerts import replay
from app.alerts.rules import Thresholds
from app.database import Database
from app.delivery import service as delivery
from app.errors import NotFound
from app.events.partitions import ensure
from app.jobs import JobQueue
from app.settings import Settings
from tests.delivery.helpers import add_alert, add_channel
from tests.factories import add_client, add_rows, rows_of
from tests.workers.test_scheduler import QUICK, becomes
from workers.scheduler import FORGETTING_PERIOD, keep_going

NOW = datetime.now(UTC).replace(microsecond=0)
OLD, RECENT = NOW - timedelta(days=31), NOW - timedelta(days=29)
BEFORE = NOW - timedelta(days=30)
LEFT = "SELECT id FROM deliveries ORDER BY id"


@pytest.fixture
def monthly(settings: Settings) -> Settings:
    """Settings under which everything is kept for thirty days."""
    return settings.model_copy(update={"delivery_retention_days": 30})


async def add_deliveries(database: Database, number: int = 1, **values: Any) -> list[int]:
    """Add deliveries, each with two attempts, that were delivered at the moment `finished_at`, by default long ago."""
    row = {"kind": "ALERT", "channel": "ops", "status": "DELIVERED", "created_at": OLD, "next_attempt_at": OLD}
    row |= {"recipient": "", "digest": False, "finished_at": OLD} | values
    if row["kind"] == "ALERT":
        rows = [row | {"alert_id": await add_alert(database)} for _ in range(number)]
    else:
        rows = [row] * number
    ids = await add_rows(database, "deliveries", rows)
    attempts = [{"delivery_id": key, "number": number, "started_at": OLD} for key in ids for number in (1, 2)]
    await add_rows(database, "delivery_attempts", attempts)
    return ids


async def add_replay(database: Database, clients: int, finished_at: datetime | None) -> int:
    """Add a replay that has counted alerts of so many clients on two days, and that is audited."""
    [run_id] = await add_rows(
        database,
        "runs",
        [
            {
                "kind": "REPLAY_ALERTS",
                "status": "RUNNING" if finished_at is None else "SUCCEEDED",
                "day": OLD.date(),
                "parameters": {"days": 2, "thresholds": {"drop_points": 5}},
                "requested_by": "anna",
                "requested_at": OLD,
                "finished_at": finished_at,
                "done": clients,
                "failed": 0,
                "position": 0,
                "attempt": 1,
            }
        ],
    )
    days = [OLD.date(), OLD.date() - timedelta(days=1)]
    rows = [{"run_id": run_id, "day": day, "scored": clients, "alerts": clients} for day in days]
    await add_rows(database, "alert_replay_days", rows)
    counted = [{"run_id": run_id, "client_id": await add_client(database), "alerts": 2} for _ in range(clients)]
    await add_rows(database, "alert_replay_clients", counted)
    return run_id


async def forget(database: Database, limit: int = 1000) -> int:
    async with database.begin() as session:
        return await delivery.forget(session, before=BEFORE, limit=limit)


async def test_what_ended_long_ago_is_deleted_with_its_attempts_and_nothing_else(database: Database) -> None:
    await add_channel(database)
    for status in ("DELIVERED", "FAILED", "DISCARDED"):
        await add_deliveries(database, status=status)
    kept = await add_deliveries(database, finished_at=RECENT)
    for status in ("PENDING", "WAITING", "HELD"):
        kept += await add_deliveries(database, status=status, finished_at=None)
    assert await forget(database) == 3
    assert await forget(database) == 0
    assert await rows_of(database, LEFT) == [(key,) for key in kept]
    attempts = await rows_of(database, "SELECT delivery_id, number FROM delivery_attempts ORDER BY 1, 2")
    assert attempts == [(key, number) for key in kept for number in (1, 2)]
    # The alerts are no part of it.
    assert await rows_of(database, "SELECT count(*) FROM alerts") == [(7,)]


async def test_what_is_old_goes_in_batches_the_oldest_first(database: Database) -> None:
    await add_channel(database)
    newer = await add_deliveries(database, 3)
    await add_deliveries(database, 2, finished_at=OLD - timedelta(days=1))
    assert await forget(database, 2) == 2
    assert await rows_of(database, LEFT) == [(key,) for key in newer]
    assert [await forget(database, 2) for _ in range(3)] == [2, 1, 0]


async def test_a_digest_goes_after_its_alerts(database: Database) -> None:
    await add_channel(database)
    [digest] = await add_deliveries(database, kind="DIGEST")
    await add_deliveries(database, 3, digest=True, digest_id=digest)
    # One that shares its fate and is somehow not over keeps it.
    [waiting] = await add_deliveries(database, digest=True, digest_id=digest, status="WAITING", finished_at=None)
    assert [await forget(database, 2) for _ in range(3)] == [2, 1, 0]
    assert await rows_of(database, LEFT) == [(digest,), (waiting,)]
    async with database.begin() as session:
        over = text("UPDATE deliveries SET status = 'FAILED', finished_at = :old WHERE id = :id")
        await session.execute(over, {"old": OLD, "id": waiting})
    assert [await forget(database, 2) for _ in range(3)] == [1, 1, 0]


async def test_a_replay_is_read_whole_or_not_at_all(database: Database) -> None:
    old = await add_replay(database, 5, OLD)
    recent, running = await add_replay(database, 2, RECENT), await add_replay(database, 1, None)

    async def forget_replays() -> int:
        async with database.begin() as session:
            return await replay.forget(session, before=BEFORE, limit=2)

    async def read(run_id: int) -> int:
        async with database.read() as connection:
            return (await replay.report(connection, run_id)).alerts

    assert await read(old) == 10
    # Two clients, two more, the last with both days, and nothing.
    assert await forget_replays() == 2
    with pytest.raises(NotFound, match="or it is not kept any longer"):
        await read(old)
    assert [await forget_replays() for _ in range(3)] == [2, 3, 0]
    for table in ("alert_replay_days", "alert_replay_clients"):
        assert await rows_of(database, f"SELECT DISTINCT run_id FROM {table} ORDER BY 1") == [(recent,), (running,)]
    assert await rows_of(database, "SELECT id, status FROM runs ORDER BY id") == [
        (old, "SUCCEEDED"),
        (recent, "SUCCEEDED"),
        (running, "RUNNING"),
    ]
    assert (await read(recent), await read(running)) == (4, 2)
    async with database.read() as connection:
        assert (await replay.report(connection, recent)).thresholds == Thresholds(drop_points=5)


class Clock:
    """A clock that a test sets, and that counts how often it was looked at."""

    def __init__(self) -> None:
        self.now = NOW
        self.looks = 0

    def __call__(self) -> datetime:
        self.looks += 1
        return self.now

    async def turns(self) -> None:
        """Return after several turns of a scheduler, which looks at the clock at most four times in each."""
        wanted = self.looks + 20

        async def have_passed() -> bool:
            return self.looks >= wanted

        assert await becomes(have_passed)


@asynccontextmanager
async def scheduling(database: Database, settings: Settings, clock: Clock) -> AsyncIterator[None]:
    """Have a scheduler go on by the clock."""
    queue = JobQueue(settings.redis_url or "")
    task = asyncio.create_task(keep_going(database, queue, settings, clock=clock, period=QUICK))
    yield
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await queue.close()


async def test_the_scheduler_forgets_turn_by_turn_and_then_once_an_hour(
    database: Database, monthly: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.retention.BATCH", 2)
    await add_channel(database, configured=False)
    await add_deliveries(database, 7)
    await add_replay(database, 3, OLD)
    kept = await add_deliveries(database, status="HELD", finished_at=None)
    clock = Clock()

    async def all_gone() -> bool:
        left = await rows_of(database, LEFT)
        replays = await rows_of(database, "SELECT run_id FROM alert_replay_days")
        return left == [(key,) for key in kept] and replays == []

    async with scheduling(database, monthly, clock):
        assert await becomes(all_gone)
        await clock.turns()
        # What is old from now on has to wait for the hour.
        late = await add_deliveries(database)
        clock.now = NOW + FORGETTING_PERIOD / 2
        await clock.turns()
        assert await rows_of(database, LEFT) == [(key,) for key in [*kept, *late]]
        clock.now = NOW + FORGETTING_PERIOD
        assert await becomes(all_gone)


async def test_the_scheduler_makes_days_of_events_ahead_and_drops_those_of_long_ago(
    database: Database, monthly: Settings
) -> None:
    short = monthly.model_copy(update={"event_retention_days": 31})
    today, clock = NOW.date(), Clock()
    days = [today - timedelta(days=number) for number in (32, 33, 40)]
    async with database.begin() as session:
        await ensure(session, days)

    async def are(first: int, *numbers: int) -> bool:
        statement = "SELECT relid::regclass::text FROM pg_partition_tree('events') WHERE isleaf ORDER BY 1"
        names = [f"events_{today + timedelta(days=number):%Y%m%d}" for number in (first, *numbers)]
        return await rows_of(database, statement) == [(name,) for name in names]

    async with scheduling(database, short, clock):
        # The last day before the retention is kept for another one.
        assert await becomes(lambda: are(-32, 0, 1, 2))
        clock.now = NOW + timedelta(days=1)
        assert await becomes(lambda: are(0, 1, 2, 3))
