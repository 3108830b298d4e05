"""What is kept for a time only, and how it goes: the scheduler has it forgotten, a batch in each of its turns."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from app.alerts import replay
from app.database import Database
from app.delivery import service as delivery
from app.events import partitions
from app.events import service as events
from app.settings import Settings
from app.uploads import service as uploads

# Rows that one transaction deletes at most, so that nobody waits for it.
BATCH = 1000

log = structlog.get_logger(__name__)


class Forget(Protocol):
    """Deletes what is older than a moment, as far as `limit` allows, and returns how much; 0 once nothing is left."""

    def __call__(self, session: AsyncSession, *, before: datetime, limit: int) -> Awaitable[int]:
        """Delete in the session's transaction."""


@dataclass(frozen=True, slots=True)
class Kept:
    """One kind of rows, for how long it is kept, and what deletes it."""

    name: str
    age: timedelta
    forget: Forget


def kept(settings: Settings) -> Sequence[Kept]:
    """Return everything that is kept for a time only."""
    days = timedelta(days=settings.delivery_retention_days)
    event_days = timedelta(days=settings.event_retention_days)
    return [
        Kept("deliveries", days, delivery.forget),
        Kept("replays", days, replay.forget),
        Kept("days of events", event_days, partitions.drop_old),
        Kept("unmapped events", event_days, events.forget_unmapped),
        Kept("uploads", uploads.LEFT_OVER_AFTER, uploads.forget_left_over),
        Kept("import reports", uploads.REPORTS_KEPT, uploads.forget_reports),
    ]


async def forget(database: Database, kind: Kept, now: datetime) -> int:
    """Delete one batch of what is too old, and return how much it was; 0 once nothing is left."""
    async with database.begin() as session:
        deleted = await kind.forget(session, before=now - kind.age, limit=BATCH)
    if deleted:
        log.info("forgotten", kind=kind.name, rows=deleted)
    return deleted
