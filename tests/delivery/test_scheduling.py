"""The scheduler's part: it gathers digests when their time has come, and tells workers on which channels to look."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
import redis
from dramatiq import Message
from sqlalchemy import text

from app.database import Database
from app.delivery.models import ChannelMode
from app.jobs import DELIVER, QUEUES, JobQueue
from app.settings import Settings
from tests.delivery.couriers import courier, queue, run_through, webhook
from tests.delivery.helpers import add_alert
from tests.delivery.receiver import receiving
from tests.factories import rows_of
from workers.scheduler import keep_going

MORNING = datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0)
QUICK = timedelta(milliseconds=50)
DEADLINE_SECONDS = 20
DIGESTED = text("UPDATE channels SET digested_at = :moment")


def messages(redis_url: str) -> list[tuple[str, tuple[str, ...]]]:
    """Return the actors and arguments of the messages about deliveries."""
    with redis.Redis.from_url(redis_url) as client:
        found = [Message.decode(raw) for raw in client.hvals(f"dramatiq:{QUEUES[DELIVER]}.msgs")]
    return sorted((message.actor_name, tuple(message.args)) for message in found)


async def until(holds: Callable[[], bool]) -> None:
    """Return once something is true; fails when that takes too long."""
    deadline = asyncio.get_running_loop().time() + DEADLINE_SECONDS
    while not await asyncio.to_thread(holds):
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def test_what_is_due_is_told_and_a_digest_leaves_when_its_time_has_come(settings: Settings) -> None:
    assert settings.redis_url is not None
    assert settings.database_url is not None
    now = MORNING - timedelta(minutes=1)
    jobs = JobQueue(settings.redis_url)
    database = Database(settings.database_url, pool_size=3, send_jobs=jobs.send)
    async with receiving() as receiver:
        channels = [webhook(receiver, "each"), webhook(receiver, "daily", ChannelMode.DIGEST)]
        async with courier(database, *channels):
            # Yesterday's digest has left already.
            async with database.begin() as session:
                await session.execute(DIGESTED, {"moment": MORNING - timedelta(days=1)})
            await queue(database, await add_alert(database))
            scheduler = asyncio.create_task(
                keep_going(database, jobs, settings, channels=channels, clock=lambda: now, period=QUICK)
            )
            await until(lambda: messages(str(settings.redis_url)) == [("deliver", ("each",))])
            await asyncio.sleep(10 * QUICK.total_seconds())
            assert await rows_of(database, "SELECT count(*) FROM deliveries WHERE kind = 'DIGEST'") == [(0,)]
            now = MORNING
            await until(lambda: ("deliver", ("daily",)) in messages(str(settings.redis_url)))
            digests = await rows_of(database, "SELECT channel, status FROM deliveries WHERE kind = 'DIGEST'")
            assert digests == [("daily", "PENDING")]
            scheduler.cancel()
            await asyncio.gather(scheduler, return_exceptions=True)
    await jobs.close()
    await database.close()


async def test_what_comes_right_behind_a_nudge_is_told_soon(settings: Settings) -> None:
    """However long runs are to wait before they are sent again."""
    assert settings.redis_url is not None
    assert settings.database_url is not None
    patient = settings.model_copy(update={"sweep_after_seconds": 600})
    jobs = JobQueue(settings.redis_url)
    database = Database(settings.database_url, pool_size=3, send_jobs=jobs.send)
    async with receiving() as receiver, courier(database, webhook(receiver)) as running:
        await queue(database, await add_alert(database))
        scheduler = asyncio.create_task(keep_going(database, jobs, patient, period=QUICK))
        await until(lambda: len(messages(str(settings.redis_url))) > 0)
        await run_through(running)
        told = len(messages(str(settings.redis_url)))
        await queue(database, await add_alert(database))
        await until(lambda: len(messages(str(settings.redis_url))) > told)
        scheduler.cancel()
        await asyncio.gather(scheduler, return_exceptions=True)
    assert await rows_of(database, "SELECT status FROM deliveries ORDER BY id") == [("DELIVERED",), ("PENDING",)]
    await jobs.close()
    await database.close()


async def test_a_channel_that_cannot_be_gathered_does_not_stop_the_others(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert settings.redis_url is not None
    assert settings.database_url is not None
    monkeypatch.setattr("workers.scheduler.STEP_TIMEOUT_SECONDS", 0.5)
    jobs = JobQueue(settings.redis_url)
    database = Database(settings.database_url, pool_size=3, send_jobs=jobs.send)
    async with receiving() as receiver:
        channels = [webhook(receiver, name, ChannelMode.DIGEST) for name in ("first", "second")]
        async with courier(database, *channels):
            await queue(database, await add_alert(database))
            async with database.begin() as session:
                await session.execute(text("SELECT id FROM deliveries WHERE channel = 'first' FOR UPDATE"))
                scheduler = asyncio.create_task(
                    keep_going(database, jobs, settings, channels=channels, clock=lambda: MORNING, period=QUICK)
                )
                await until(lambda: messages(str(settings.redis_url)) == [("deliver", ("second",))])
            await until(lambda: ("deliver", ("first",)) in messages(str(settings.redis_url)))
            scheduler.cancel()
            await asyncio.gather(scheduler, return_exceptions=True)
    gathered = await rows_of(database, "SELECT channel FROM deliveries WHERE kind = 'DIGEST' ORDER BY channel")
    assert gathered == [("first",), ("second",)]
    await jobs.close()
    await database.close()
