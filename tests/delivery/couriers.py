"""Couriers with real receivers on this machine, and rows for which time can be made to pass."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import orjson
from sqlalchemy import text

from app.database import Database
from app.delivery import service
from app.delivery.channels import Channel
from app.delivery.courier import Courier
from app.delivery.models import ChannelKind, ChannelMode
from tests.delivery.receiver import Receiver
from tests.factories import rows_of

PUBLIC_URL = "https://health.example.com"
LOCAL = frozenset({"127.0.0.1"})
KEY = b"a key of 24 bytes and so"


def webhook(receiver: Receiver, name: str = "ops", mode: ChannelMode | None = ChannelMode.EACH) -> Channel:
    """Return a webhook that leads to the receiver."""
    return Channel(name, ChannelKind.WEBHOOK, f"http://127.0.0.1:{receiver.port}/", (KEY,), mode=mode)


@asynccontextmanager
async def courier(database: Database, *channels: Channel, **values: Any) -> AsyncIterator[Courier]:
    """Yield a courier whose channels are written down."""
    running = Courier(
        database,
        {channel.name: channel for channel in channels},
        public_url=PUBLIC_URL,
        allowed_hosts=LOCAL,
        **values,
    )
    await running.mirror()
    yield running
    await running.close()


async def run_through(running: Courier, *names: str) -> None:
    """Nudge the courier on the channels, and return once it has nothing left to do there."""
    for name in names or ("ops",):
        running.nudge(name)
    await running.idle()


async def queue(database: Database, *alert_ids: int) -> None:
    """Queue deliveries of the alerts."""
    async with database.begin() as session:
        await service.queue(session, alert_ids, held=False)


async def pass_time(database: Database, time: timedelta) -> None:
    """Have so much time pass for every delivery and channel."""
    columns = ("next_attempt_at", "lease_until", "created_at")
    moved = ", ".join(f"{column} = {column} - CAST(:time AS interval)" for column in columns)
    async with database.begin() as session:
        await session.execute(text(f"UPDATE deliveries SET {moved}"), {"time": time})
        await session.execute(
            text("UPDATE channels SET nudged_at = nudged_at - CAST(:time AS interval)"), {"time": time}
        )


async def statuses(database: Database) -> list[tuple[Any, ...]]:
    """Return channel, status and attempt of every delivery."""
    return await rows_of(database, "SELECT channel, status, attempt FROM deliveries ORDER BY channel, id")


async def attempts(database: Database) -> list[tuple[Any, ...]]:
    """Return number, outcome, HTTP status, answer and problem of every attempt."""
    return await rows_of(
        database,
        "SELECT number, outcome, http_status, answer, problem FROM delivery_attempts ORDER BY delivery_id, number",
    )


async def due_in(database: Database) -> float:
    """Return in how many seconds the only delivery is due."""
    [(seconds,)] = await rows_of(
        database, "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 FROM deliveries"
    )
    return float(seconds)


def sent(receiver: Receiver) -> list[dict[str, Any]]:
    """Return the messages that came in."""
    return [orjson.loads(request.body) for request in receiver.requests]
