"""The partitions of the events table, one for each UTC day: made before they are needed, dropped as a whole."""

from collections.abc import Collection
from datetime import date, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import AdvisoryLock, fetch

# The days whose partitions are made ahead: today, and those that clocks ahead of ours may name.
DAYS_AHEAD = 2
# Partitions that one transaction drops at most, so that it holds few locks, and writers wait for it shortly.
DROPPED_AT_ONCE = 30

_LOCK = text("SELECT pg_advisory_xact_lock(:lock)")

# Dropping locks the whole table. Whoever inserts waits no longer than this, and if that is not enough, dropping does.
_WAIT_SHORTLY = text("SET LOCAL lock_timeout = '1s'")

_ATTACHED = text(
    "SELECT to_date(substr(relname, 8), 'YYYYMMDD') AS day FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid "
    "WHERE inhparent = 'events'::regclass"
)


async def ensure(session: AsyncSession, days: Collection[date]) -> None:
    """Make the partitions of these UTC days that there are not.

    Call it in a transaction of its own, before the one that inserts: other processes that need a partition wait until
    the end of the transaction that makes one. Inserts into the other partitions go on meanwhile.
    """
    missing = set(days) - await attached(session)
    if not missing:
        return
    await session.execute(_LOCK, {"lock": AdvisoryLock.PARTITIONS})
    # Another process may have made them while this one waited.
    for day in sorted(missing - await attached(session)):
        # CREATE TABLE ... PARTITION OF would lock out whoever inserts, and ATTACH PARTITION does not.
        await session.execute(text(f"CREATE TABLE {_name(day)} (LIKE events INCLUDING ALL)"))
        bounds = f"FROM ('{day}') TO ('{day + timedelta(days=1)}')"
        await session.execute(text(f"ALTER TABLE events ATTACH PARTITION {_name(day)} FOR VALUES {bounds}"))


async def ensure_ahead(session: AsyncSession, today: date) -> None:
    """Make the partitions of today and the next days, so that no event has to wait for its own."""
    await ensure(session, [today + timedelta(days=n) for n in range(DAYS_AHEAD + 1)])


async def drop_old(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Drop the oldest partitions of days before that of `before`, `limit` at most, and return how many.

    The last of those days is kept for another day: messages that were just young enough may be on their way.
    Raises DBAPIError when the table is in use for too long.
    """
    last = before.date() - timedelta(days=1)
    if not any(day < last for day in await attached(session)):
        return 0
    await session.execute(_WAIT_SHORTLY)
    await session.execute(_LOCK, {"lock": AdvisoryLock.PARTITIONS})
    old = sorted(day for day in await attached(session) if day < last)[: min(limit, DROPPED_AT_ONCE)]
    for day in old:
        await session.execute(text(f"DROP TABLE {_name(day)}"))
    return len(old)


async def attached(session: AsyncSession) -> set[date]:
    """Return the UTC days that have a partition."""
    return {row.day for row in await fetch(session, _ATTACHED)}


def _name(day: date) -> str:
    return f"events_{day:%Y%m%d}"
