"""Days on which feeds delivered, as they stand in the database."""

from collections.abc import Iterable
from datetime import date, timedelta

from app.database import Database
from app.feeds.rules import FeedKind
from app.health.rules import start_of_day
from tests.factories import add_rows

NOON = timedelta(hours=12)
HOUR = timedelta(hours=1)


async def add_deliveries(database: Database, kind: FeedKind, days: Iterable[date], at: timedelta = NOON) -> None:
    """Add days on which a feed delivered, once and at this time, what had happened an hour before."""
    received = [start_of_day(day) + at for day in days]
    columns = ("kind", "day", "first_received_at", "last_received_at", "last_event_at")
    rows = [
        dict(zip(columns, (kind, moment.date(), moment, moment, moment - HOUR), strict=True)) for moment in received
    ]
    await add_rows(database, "feed_days", rows)


async def go_silent(database: Database, kind: FeedKind, last: date) -> None:
    """Have a feed deliver on the 15 days that end with `last`: it is stale from the third day after that one on."""
    await add_deliveries(database, kind, [last - timedelta(days=back) for back in range(15)])
