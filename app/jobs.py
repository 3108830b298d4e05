"""The names of the queue's jobs, and sending them: only after the commit of what they point at."""

import asyncio
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy.ext.asyncio import AsyncSession

EXECUTE_RUN = "execute_run"
QUEUE = "runs"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """A message to be: the name of an actor and what it is called with."""

    actor: str
    arguments: tuple[Any, ...]


def enqueue(session: AsyncSession, actor: str, *arguments: Any) -> None:
    """Have the message sent once the session's transaction is committed; a rollback drops it."""
    session.info.setdefault("jobs", []).append(Job(actor, arguments))


def redis_client(url: str) -> redis.Redis:
    """Return a client that gives up on a silent server after a second instead of waiting for ever."""
    return redis.Redis.from_url(url, socket_timeout=1, socket_connect_timeout=1)


class JobQueue:
    """Sends jobs from a web process, off the event loop, so that no request ever waits for Redis."""

    def __init__(self, redis_url: str) -> None:
        self._broker = RedisBroker(client=redis_client(redis_url), middleware=[])  # type: ignore[no-untyped-call]
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, jobs: list[Job]) -> None:
        """Start sending; returns at once. A job that cannot be sent is logged: its run row is still there."""
        task = asyncio.create_task(asyncio.to_thread(self._send, jobs))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    def _send(self, jobs: list[Job]) -> None:
        for job in jobs:
            message: Message[None] = Message(
                queue_name=QUEUE, actor_name=job.actor, args=job.arguments, kwargs={}, options={}
            )
            try:
                self._broker.enqueue(message)
            except redis.RedisError as error:
                log.warning("job_not_sent", actor=job.actor, arguments=job.arguments, error=str(error))

    async def close(self) -> None:
        """Wait for what is being sent, and close the connections."""
        await asyncio.gather(*self._sending)
        await asyncio.to_thread(self._broker.client.close)
