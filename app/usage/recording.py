"""The runs that record a day's metrics, and asking for them."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.errors import InvalidInput
from app.health.rules import EARLIEST_DAY
from app.runs import service as runs
from app.runs.batches import Pace, Progress, Work, Write, carry_out
from app.runs.models import RunKind
from app.runs.service import Claim
from app.usage import service


async def record_metrics(
    session: AsyncSession, *, requested_by: str, now: datetime, day: date | None = None, request_id: str | None = None
) -> int:
    """Accept the recording of a UTC day, by default the last whole one, and return the run's id.

    Raises InvalidInput for a day that is not over, and for one before 1970.
    """
    last_whole_day = now.date() - timedelta(days=1)
    if day is not None and not EARLIEST_DAY <= day <= last_whole_day:
        raise InvalidInput("date", f"Metrics can be recorded from {EARLIEST_DAY} to {last_whole_day}, not for {day}.")
    return await runs.request(
        session,
        RunKind.RECORD_METRICS,
        requested_by=requested_by,
        now=now,
        day=day or last_whole_day,
        request_id=request_id,
    )


async def record(database: Database, run: Claim, pace: Pace, progress: Progress | None = None) -> None:
    """Record the metrics of the run's day. Raises LeaseLostError when another attempt took over."""
    if run.day is None:
        raise ValueError("recording metrics needs the day that they are of")
    day = run.day

    async def read(session: AsyncSession, batch: Sequence[int]) -> Write:
        async def write() -> Mapping[int, str]:
            await service.record_clients(session, batch, day)
            return {}

        return write

    work = Work(
        count=lambda session: service.count_clients(session, day),
        following=lambda session, after, size: service.next_clients(session, after, size, day),
        read=read,
    )
    await carry_out(database, run, work, pace, progress)
