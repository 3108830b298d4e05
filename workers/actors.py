"""All actors: each loads what its message points at and calls a service."""

import multiprocessing

import dramatiq

from app import jobs
from app.database import Database
from app.delivery.channels import allowed_hosts_of, read_channels
from app.delivery.courier import Courier
from app.errors import ExpectedError
from app.logs import configure_logging
from app.processes import exit_with_parent, spare_collector
from app.runs.execution import execute
from app.settings import get_settings
from workers.broker import CourierLife, make_broker

settings = get_settings()
if settings.database_url is None or settings.redis_url is None:
    raise SystemExit("a worker needs DATABASE_URL and REDIS_URL")

if multiprocessing.parent_process() is not None:
    exit_with_parent()

configure_logging(settings.log_level)
hosts = allowed_hosts_of(settings.alert_allowed_hosts)
try:
    channels = read_channels(settings.alert_channels, hosts)
except ExpectedError as error:
    raise SystemExit(error.message) from error
database = Database(
    settings.database_url,
    pool_size=settings.database_pool_size,
    # After its lease a batch can no longer be committed, and must not keep the next attempt from its clients.
    idle_timeout_seconds=settings.run_lease_seconds,
)
courier = Courier(database, channels, public_url=settings.public_url or "", allowed_hosts=hosts)
dramatiq.set_broker(make_broker(settings.redis_url, CourierLife(courier)))


@dramatiq.actor(actor_name=jobs.EXECUTE_RUN, queue_name=jobs.QUEUES[jobs.EXECUTE_RUN], priority=10)
async def execute_run(run_id: int) -> None:
    """Carry out the run; a message for one that is finished or taken does nothing."""
    # The alerts that it raises are queued for the channels that are written down by then.
    await courier.mirror()
    await execute(database, run_id, settings)


@dramatiq.actor(actor_name=jobs.DELIVER, queue_name=jobs.QUEUES[jobs.DELIVER], priority=0)
async def deliver(channel: str) -> None:
    """Have what is due on the channel sent, beside the runs and without occupying their threads."""
    courier.nudge(channel)


spare_collector()
