"""All actors: each loads what its message points at and calls a service."""

import multiprocessing

import dramatiq

from app import jobs
from app.database import Database
from app.logs import configure_logging
from app.processes import exit_with_parent, spare_collector
from app.runs.execution import execute
from app.settings import get_settings
from workers.broker import make_broker

settings = get_settings()
if settings.database_url is None or settings.redis_url is None:
    raise SystemExit("a worker needs DATABASE_URL and REDIS_URL")

if multiprocessing.parent_process() is not None:
    exit_with_parent()

configure_logging(settings.log_level)
dramatiq.set_broker(make_broker(settings.redis_url))
database = Database(
    settings.database_url,
    pool_size=settings.database_pool_size,
    # After its lease a batch can no longer be committed, and must not keep the next attempt from its clients.
    idle_timeout_seconds=settings.run_lease_seconds,
)


@dramatiq.actor(actor_name=jobs.EXECUTE_RUN, queue_name=jobs.QUEUE)
async def execute_run(run_id: int) -> None:
    """Carry out the run; a message for one that is finished or taken does nothing."""
    await execute(database, run_id, settings)


spare_collector()
