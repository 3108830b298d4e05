"""The runs that switch the alerts of many clients, and asking for them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, date, datetime
from typing import Any

import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from app.clients import service
from app.clients.service import Filter
from app.database import Database
from app.runs import service as runs
from app.runs.batches import Pace, Progress, Work, Write, carry_out
from app.runs.models import RunKind
from app.runs.service import Claim


async def set_alerts(
    session: AsyncSession, wanted: Filter, *, enabled: bool, requested_by: str, now: datetime, request_id: str | None
) -> int:
    """Accept switching the alerts of every listed client that matches, and return the run's id.

    Such runs are carried out in the order of their ids. Where the newest unfinished one has the same filter and switch
    it is returned, and nothing is written.
    """
    wanted.conditions()
    asked = {"enabled": enabled, "filter": {k: v for k, v in asdict(wanted).items() if v is not None}}
    parameters: dict[str, Any] = orjson.loads(orjson.dumps(asked))
    if newest := await runs.newest_switch(session):
        if parameters.items() <= newest.parameters.items():
            return int(newest.id)
        # An older run may be the same, and is another one all the same: what came between them has to be undone.
        parameters["after"] = newest.id
    return await runs.request(
        session,
        RunKind.SET_ALERTS,
        requested_by=requested_by,
        now=now,
        parameters=parameters,
        request_id=request_id,
    )


async def switch(database: Database, run: Claim, pace: Pace, progress: Progress | None = None) -> None:
    """Switch the alerts of the run's clients. Raises LeaseLostError when another attempt took over."""
    parameters = run.parameters or {}
    wanted, enabled = filter_of(parameters["filter"]), bool(parameters["enabled"])

    async def read(session: AsyncSession, batch: Sequence[int]) -> Write:
        async def write() -> Mapping[int, str]:
            await service.set_alerts_of(
                session,
                batch,
                enabled=enabled,
                actor=run.requested_by,
                now=datetime.now(UTC),
                request_id=run.request_id,
                run_id=run.id,
            )
            return {}

        return write

    work = Work(
        count=lambda session: service.count_matching(session, wanted),
        following=lambda session, after, size: service.next_matching(session, wanted, after, size),
        read=read,
    )
    await carry_out(database, run, work, pace, progress)


def filter_of(stored: Mapping[str, Any]) -> Filter:
    """Return the filter from its stored form."""
    values = dict(stored)
    if "renewal_before" in values:
        values["renewal_before"] = date.fromisoformat(values["renewal_before"])
    return Filter(**values)
