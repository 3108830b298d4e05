"""Carrying out a run, whatever its kind: the same for a worker and for the command line."""

from datetime import timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.health.recalculation import Pace, Progress, recalculate
from app.runs import service
from app.runs.models import RunKind
from app.settings import Settings

log = structlog.get_logger(__name__)


async def execute(database: Database, run_id: int, settings: Settings, progress: Progress | None = None) -> bool:
    """Claim the run and carry it out; False when it is finished already or another attempt holds it.

    An error that ends the attempt is raised after the run was given back, so that its next claim continues it.
    """
    lease = timedelta(seconds=settings.run_lease_seconds)
    async with database.begin() as session:
        run = await service.claim(session, run_id, lease)
    if run is None:
        return False
    with structlog.contextvars.bound_contextvars(run_id=run.id, attempt=run.attempt, request_id=run.request_id):
        log.info("run_started", kind=run.kind)
        try:
            match run.kind:
                case RunKind.RECALCULATE_ONE | RunKind.RECALCULATE_ALL:
                    pause = timedelta(milliseconds=settings.recalculation_pause_ms)
                    await recalculate(database, run, Pace(settings.recalculation_batch_size, pause), progress)
                case _:
                    async with database.begin() as session:
                        await service.fail(session, run, f"Runs of the kind {run.kind} cannot be carried out.")
                    return True
        except service.LeaseLostError:
            log.warning("run_lease_lost")
            return False
        except BaseException as error:
            await _give_back(database, run, error)
            raise
        log.info("run_finished")
    return True


async def _give_back(database: Database, run: service.Claim, error: BaseException) -> None:
    log.warning("run_interrupted", error=repr(error))
    try:
        async with database.begin() as session:
            await service.release(session, run)
    except SQLAlchemyError as lost:
        # The database is what failed, most likely. The lease then runs out by itself.
        log.warning("run_not_released", error=repr(lost))
