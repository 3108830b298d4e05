"""The queue's broker and its middleware, in order, each with its reason."""

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any

import dramatiq
import structlog
from dramatiq.asyncio import get_event_loop_thread
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, AsyncIO, Callbacks, Middleware, Retries, ShutdownNotifications

from app.delivery.courier import Courier
from app.errors import is_outage
from app.jobs import redis_client

log = structlog.get_logger(__name__)


class CourierLife(Middleware):
    """Starts the courier with the worker and ends it before the event loop that it lives on."""

    def __init__(self, courier: Courier) -> None:
        self._courier = courier
        self._closing: Future[None] | None = None

    def after_worker_boot(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Write the channels down; while the database does not answer that is left to the first run."""
        self._run(self._mirror())

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Have nothing more begun, while runs are given back."""
        self._closing = self._run(self._courier.close())

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        """Let what is under way end, once no new run can begin meanwhile."""
        if self._closing is not None:
            self._closing.result()

    async def _mirror(self) -> None:
        try:
            await self._courier.mirror()
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("channels_not_written_down", error=repr(error))

    def _run(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        thread = get_event_loop_thread()
        if thread is None:
            raise RuntimeError("the event loop is started by the middleware AsyncIO, which comes first")
        return asyncio.run_coroutine_threadsafe(work, thread.loop)


def make_broker(redis_url: str, *more: Middleware) -> RedisBroker:
    """Return the broker that the worker consumes from.

    A message is only a nudge towards a row, so nothing here needs to be kept for long: the heartbeat and the
    maintenance chance bring what a killed worker held back within seconds instead of minutes.
    """
    return RedisBroker(  # type: ignore[no-untyped-call]
        client=redis_client(redis_url),
        heartbeat_timeout=10_000,
        maintenance_chance=100_000,
        dead_message_ttl=3_600_000,
        middleware=[
            AgeLimit(max_age=3_600_000),  # An old nudge says nothing that the run's row does not say.
            ShutdownNotifications(
                notify_shutdown=True
            ),  # A stopping worker interrupts its run, which goes back to the queue.
            Callbacks(),  # Dramatiq's retries expect it.
            Retries(max_retries=3, min_backoff=1_000, max_backoff=10_000),  # A short outage is not the end of a run.
            AsyncIO(),  # Actors are coroutines on one event loop of the process.
            *more,
        ],
    )
