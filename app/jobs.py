"""The names of the queue's jobs, and sending them: only after the commit of what they point at."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import redis
import structlog
from dramatiq import Message
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy.ext.asyncio import AsyncSession

EXECUTE_RUN = "execute_run"
DELIVER = "deliver"
# Each in a queue of its own: however much of the one waits, there is room for the other.
QUEUES = {EXECUTE_RUN: "runs", DELIVER: "deliveries"}

# Messages that may wait for a slow Redis; whatever is more will be sent by the sweeper.
MAX_SENDING = 100
# A process that stops must not wait long for a queue that does not answer.
CLOSE_SECONDS = 2.0

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
    """Sends jobs off the event loop, so that no request ever waits for Redis."""

    def __init__(self, redis_url: str) -> None:
        self._broker = RedisBroker(client=redis_client(redis_url), middleware=[])  # type: ignore[no-untyped-call]
        # One thread of its own: a queue that hangs must not keep the event loop's other threads from their work.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="jobs")
        self._sending: set[asyncio.Future[None]] = set()

    def send(self, jobs: list[Job]) -> None:
        """Start sending; returns at once. What cannot be sent is logged: the rows are there, and say so again."""
        if len(self._sending) >= MAX_SENDING:
            log.warning("jobs_not_sent", arguments=[job.arguments for job in jobs], error="too many are waiting")
            return
        sending = asyncio.get_running_loop().run_in_executor(self._thread, self._send, jobs)
        self._sending.add(sending)
        sending.add_done_callback(self._sending.discard)

    def _send(self, jobs: list[Job]) -> None:
        for job in jobs:
            message: Message[None] = Message(
                queue_name=QUEUES[job.actor], actor_name=job.actor, args=job.arguments, kwargs={}, options={}
            )
            try:
                self._broker.enqueue(message)
            except redis.RedisError as error:
                # The others would only wait for the same silent server, one after the other.
                log.warning("jobs_not_sent", actor=job.actor, arguments=job.arguments, error=str(error))
                return

    async def size(self, actor: str) -> int:
        """Return how many messages for the actor wait or are being worked on. Raises redis.RedisError."""
        return int(await asyncio.to_thread(self._broker.do_qsize, QUEUES[actor]))

    async def close(self) -> None:
        """Wait a moment for what is being sent, drop the rest, which the scheduler sends again, and disconnect."""
        if self._sending:
            _, late = await asyncio.wait(self._sending, timeout=CLOSE_SECONDS)
            for sending in late:
                sending.cancel()
            if late:
                log.warning("jobs_not_sent", error=f"{len(late)} were still waiting when the process stopped")
        await asyncio.to_thread(self._broker.client.close)
        self._thread.shutdown(wait=False)
