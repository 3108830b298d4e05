"""The queue's broker and its middleware, in order, each with its reason."""

from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import AgeLimit, AsyncIO, Callbacks, Retries, ShutdownNotifications

from app.jobs import redis_client


def make_broker(redis_url: str) -> RedisBroker:
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
        ],
    )
