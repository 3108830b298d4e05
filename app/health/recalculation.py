"""The runs that score clients."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts.holding import settle
from app.alerts.rules import Thresholds
from app.database import Database
from app.health import service
from app.runs.batches import Pace, Progress, Work, Write, carry_out
from app.runs.models import RunKind
from app.runs.service import Claim
from app.usage.service import keep_facts_out


async def recalculate(
    database: Database, run: Claim, pace: Pace, progress: Progress | None = None, *, thresholds: Thresholds
) -> None:
    """Score the clients of the run as of its moment; the end of a run over everybody decides about its alerts.

    Raises LeaseLostError when another attempt took over.
    """
    if run.as_of is None:
        raise ValueError("a recalculation needs the moment that it looks from")
    as_of, client_id = run.as_of, run.client_id
    holding = run.id if run.kind is RunKind.RECALCULATE_ALL else None

    async def count(session: AsyncSession) -> int:
        # Who was storing facts at the run's moment is waited for, before anything is read: a score has seen everything
        # that was received before its moment.
        await keep_facts_out(session)
        return await service.count_scored(session, as_of, client_id)

    async def read(session: AsyncSession, batch: Sequence[int]) -> Write:
        locked = await service.lock_clients(session, batch, as_of)
        policy = await service.current_policy(session)
        judged = await service.judge_clients(session, locked, as_of=as_of, policy=policy)
        return lambda: service.store(
            session,
            judged,
            as_of=as_of,
            calculated_at=datetime.now(UTC),
            policy=policy,
            thresholds=thresholds,
            run_id=holding,
        )

    async def finish(session: AsyncSession) -> None:
        if holding is not None:
            await settle(session, holding, as_of.date(), thresholds)

    work = Work(
        count=count,
        following=lambda session, after, size: service.next_clients(session, after, size, as_of, client_id),
        read=read,
        finish=finish,
    )
    await carry_out(database, run, work, pace, progress)
