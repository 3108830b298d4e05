"""The scheduler: once a second it takes the next daily slot, sends again what does not move, and says what is due.

Once an hour it looks for what has been kept long enough, and makes room for the events of the next days.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import structlog
from redis import RedisError
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

import app.tables  # noqa: F401 - a run and its audit refer to tables of every capability.
from app.alerts import holding
from app.database import Database
from app.delivery import digests
from app.delivery import service as delivery
from app.delivery.channels import Channel, allowed_hosts_of, read_channels
from app.errors import ExpectedError
from app.events import partitions
from app.jobs import DELIVER, EXECUTE_RUN, JobQueue
from app.logs import configure_logging
from app.runs import sweeping
from app.runs.execution import thresholds_of
from app.runs.schedule import daily, take_next_slot
from app.settings import Settings, get_settings
from workers import retention

PERIOD = timedelta(seconds=1)
# Runs that one sweep sends at most. While as many messages wait already, more would only fill Redis.
SENT_AT_ONCE = 100
# A server that is up and says nothing must not stop the loop.
STEP_TIMEOUT_SECONDS = 10
# Once nothing is left that has been kept long enough, the next look at it has so much time.
FORGETTING_PERIOD = timedelta(hours=1)

Done = TypeVar("Done")

log = structlog.get_logger(__name__)


async def keep_going(
    database: Database,
    queue: JobQueue,
    settings: Settings,
    *,
    channels: Collection[Channel] = (),
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    period: timedelta = PERIOD,
) -> None:
    """Take slots and sweep until cancelled, whatever PostgreSQL and Redis do meanwhile."""
    forget_at = clock()
    while True:
        await _attempt("slot", _take_slot(database, settings, clock()))
        await _attempt("giving_up", _give_up(database, settings))
        await _attempt("releasing", _release(database))
        await _attempt("sweep", _resend(database, queue, settings))
        # Each by itself: a channel that takes too long must not keep the others from theirs.
        for channel in channels:
            await _attempt("digests", _gather(database, settings, channel, clock()))
        await _attempt("deliveries", _nudge(database, queue))
        if (now := clock()) >= forget_at:
            await _attempt("partitions", _make_partitions(database, now))
            # While anything goes, the next turn goes on.
            forget_at = now if await _forget(database, settings, now) else now + FORGETTING_PERIOD
        await asyncio.sleep(period.total_seconds())


async def _attempt(step: str, work: Awaitable[Done]) -> Done | None:
    """Do one step of a turn and return what it does; when a server does not answer, a later turn tries again."""
    try:
        async with asyncio.timeout(STEP_TIMEOUT_SECONDS):
            return await work
    except (DBAPIError, PoolTimeoutError, RedisError, OSError) as error:
        log.warning("step_failed", step=step, error=repr(error))
        return None


async def _take_slot(database: Database, settings: Settings, now: datetime) -> None:
    schedule = daily(settings.metrics_time, settings.recalculation_time, settings.schedule_time_zone)
    async with database.begin() as session:
        await take_next_slot(session, schedule, now=now)


async def _give_up(database: Database, settings: Settings) -> None:
    async with database.begin() as session:
        await sweeping.give_up(session, max_attempts=settings.max_attempts, thresholds=thresholds_of(settings))


async def _release(database: Database) -> None:
    async with database.begin() as session:
        await holding.release_next(session)


async def _resend(database: Database, queue: JobQueue, settings: Settings) -> None:
    # Redis is asked first: while it is down nothing is marked as sent, and all of it is as soon as it is back.
    if await queue.size(EXECUTE_RUN) >= SENT_AT_ONCE:
        return
    after = timedelta(seconds=settings.sweep_after_seconds)
    async with database.begin() as session:
        await sweeping.resend(session, after=after, limit=SENT_AT_ONCE)


async def _gather(database: Database, settings: Settings, channel: Channel, now: datetime) -> None:
    async with database.begin() as session:
        await digests.gather(session, channel, now=now, zone=settings.schedule_time_zone)


async def _nudge(database: Database, queue: JobQueue) -> None:
    if await queue.size(DELIVER) >= SENT_AT_ONCE:
        return
    async with database.begin() as session:
        await delivery.give_up(session)
        await delivery.nudge(session)


async def _make_partitions(database: Database, now: datetime) -> None:
    async with database.begin() as session:
        await partitions.ensure_ahead(session, now.date())


async def _forget(database: Database, settings: Settings, now: datetime) -> bool:
    """Have a batch of everything forgotten that has been kept long enough, and return whether there was anything."""
    kinds = retention.kept(settings)
    # Each by itself: what cannot be forgotten must not keep the others.
    rows = [await _attempt(f"forgetting {kind.name}", retention.forget(database, kind, now)) for kind in kinds]
    return any(rows)


async def serve(settings: Settings) -> None:
    """Keep going until SIGTERM or SIGINT."""
    if settings.database_url is None or settings.redis_url is None:
        raise SystemExit("a scheduler needs DATABASE_URL and REDIS_URL")
    try:
        channels = read_channels(settings.alert_channels, allowed_hosts_of(settings.alert_allowed_hosts))
    except ExpectedError as error:
        raise SystemExit(error.message) from error
    queue = JobQueue(settings.redis_url)
    database = Database(
        settings.database_url,
        pool_size=1,
        statement_timeout_seconds=settings.statement_timeout_seconds,
        send_jobs=queue.send,
    )
    going = asyncio.create_task(keep_going(database, queue, settings, channels=channels.values()))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, going.cancel)
    log.info("scheduler_started")
    with suppress(asyncio.CancelledError):
        await going
    await queue.close()
    await database.close()
    log.info("scheduler_stopped")


if __name__ == "__main__":
    configure_logging(get_settings().log_level)
    asyncio.run(serve(get_settings()))
