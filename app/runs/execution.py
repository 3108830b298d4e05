"""Carrying out a run, whatever its kind: the same for a worker and for the command line."""

from collections.abc import Callable, Coroutine, Mapping
from datetime import timedelta
from functools import partial
from typing import Any

import structlog
from sqlalchemy.exc import SQLAlchemyError

from app.alerts.replay import carry_replay
from app.alerts.rules import Thresholds
from app.clients.switching import switch
from app.database import Database
from app.erasure.service import erase
from app.health.recalculation import recalculate
from app.runs import service
from app.runs.batches import Pace, Progress
from app.runs.leases import under_lease
from app.runs.models import RunKind
from app.runs.service import Claim
from app.settings import Settings
from app.uploads.importing import carry_import
from app.usage.late import record_again
from app.usage.recording import record

log = structlog.get_logger(__name__)

# How the runs of one kind are carried out.
Carry = Callable[[Database, Claim, Pace, Progress | None], Coroutine[Any, Any, None]]


def thresholds_of(settings: Settings) -> Thresholds:
    """Return from what on the settings have people told."""
    return Thresholds(
        drop_points=settings.alert_drop_points,
        again_points=settings.alert_again_points,
        storm_share=settings.alert_storm_share,
        storm_minimum=settings.alert_storm_minimum,
    )


def kinds(settings: Settings) -> Mapping[RunKind, Carry]:
    """Return how the runs of each kind are carried out."""
    score = partial(recalculate, thresholds=thresholds_of(settings))
    return {
        RunKind.RECALCULATE_ONE: score,
        RunKind.RECALCULATE_ALL: _after_late_days(score),
        RunKind.RECORD_METRICS: _after_late_days(record),
        RunKind.SET_ALERTS: switch,
        RunKind.IMPORT: carry_import,
        RunKind.REPLAY_ALERTS: carry_replay,
        RunKind.ERASE: erase,
    }


def _after_late_days(carry: Carry) -> Carry:
    """Return how to carry out a run that first records the days again of which facts have come late."""

    async def both(database: Database, run: Claim, pace: Pace, progress: Progress | None) -> None:
        await record_again(database, pace)
        await carry(database, run, pace, progress)

    return both


async def execute(database: Database, run_id: int, settings: Settings, progress: Progress | None = None) -> bool:
    """Claim the run and carry it out; False when it is finished already, not its turn, or held by another attempt.

    An error that ends the attempt is raised after the run was given back, so that its next claim continues it.
    """
    pace = Pace(settings.recalculation_batch_size, timedelta(milliseconds=settings.recalculation_pause_ms))
    lease = timedelta(seconds=settings.run_lease_seconds)
    async with database.begin() as session:
        run = await service.claim(session, run_id, lease)
    if run is None:
        return False
    claimed = run

    async def renew() -> None:
        async with database.begin() as session:
            await service.progress(session, claimed, done=0, failed=0)

    with structlog.contextvars.bound_contextvars(run_id=run.id, attempt=run.attempt, request_id=run.request_id):
        log.info("run_started", kind=run.kind)
        try:
            await under_lease(run, kinds(settings)[run.kind](database, run, pace, progress), renew)
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
            # Cancellations and signals are no Exceptions: the run did nothing wrong.
            await service.release(session, run, excused=not isinstance(error, Exception))
    except (SQLAlchemyError, OSError) as lost:
        # The database is what failed, most likely. The lease then runs out by itself.
        log.warning("run_not_released", error=repr(lost))
