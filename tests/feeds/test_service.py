"""What is told of feeds, by the rows that their deliveries have left."""

from datetime import date, datetime, timedelta

from app.database import Database
from app.feeds import service
from app.feeds.rules import FeedKind, FeedStatus
from app.feeds.service import Feed
from tests.factories import add_client, add_rows, utc
from tests.feeds.helpers import add_deliveries

LOGINS, CASES = FeedKind.LOGINS, FeedKind.CASES
NEVER, FRESH, STALE = FeedStatus.NEVER, FeedStatus.FRESH, FeedStatus.STALE
NOON = utc("2025-11-10T12:00")
# The 15 days that end with NOON's.
DAILY = [NOON.date() - timedelta(days=back) for back in range(15)]


async def feeds(database: Database, as_of: datetime) -> dict[FeedKind, Feed]:
    """Return how every feed stands."""
    async with database.read() as connection:
        return {feed.kind: feed for feed in await service.statuses(connection, as_of)}


async def test_statuses_are_those_of_a_moment(database: Database) -> None:
    await add_deliveries(database, LOGINS, [*DAILY, date(2025, 11, 20)])
    await add_deliveries(database, CASES, [date(2025, 11, 12)])
    received, silent = utc("2025-11-10T12:00"), utc("2025-11-10").date()
    stale_since = silent + timedelta(days=3)
    nothing = {kind: Feed(kind, NEVER) for kind in FeedKind}
    assert await feeds(database, utc("2025-10-27T11:59")) == nothing
    fresh = Feed(LOGINS, FRESH, received, received - timedelta(hours=1), silent)
    assert await feeds(database, utc("2025-11-10T12:00")) == nothing | {LOGINS: fresh}
    # Before noon, the delivery of noon is not seen.
    found = await feeds(database, utc("2025-11-10T11:59"))
    assert found[LOGINS] == Feed(
        LOGINS, FRESH, utc("2025-11-09T12:00"), utc("2025-11-09T11:00"), silent - timedelta(days=1)
    )
    case = Feed(CASES, FRESH, utc("2025-11-12T12:00"), utc("2025-11-12T11:00"), utc("2025-11-12").date())
    assert await feeds(database, utc("2025-11-12T23:59:59")) == nothing | {LOGINS: fresh, CASES: case}
    stale = Feed(LOGINS, STALE, received, received - timedelta(hours=1), silent, stale_since)
    for moment in (utc("2025-11-13"), utc("2025-11-20T11:59")):
        assert await feeds(database, moment) == nothing | {LOGINS: stale, CASES: case}
    assert (await feeds(database, utc("2025-11-20T12:00")))[LOGINS].status is FRESH


async def test_the_latest_moment_may_have_been_told_of_long_ago(database: Database) -> None:
    await add_deliveries(database, LOGINS, [date(2025, 11, 1)])
    later = NOON + timedelta(days=60)
    row = {"kind": LOGINS, "day": later.date(), "first_received_at": later, "last_received_at": later}
    await add_rows(database, "feed_days", [row | {"last_event_at": utc("2025-03-01")}])
    assert (await feeds(database, NOON + timedelta(days=61)))[LOGINS].last_event_at == utc("2025-11-01T11:00")


async def test_a_client_has_its_own_times_and_the_status_of_the_feed(database: Database) -> None:
    silent, talking, unheard = [await add_client(database) for _ in range(3)]
    await add_deliveries(database, LOGINS, DAILY)
    columns = ("client_id", "kind", "last_received_at", "last_event_at")
    times = [
        (silent, LOGINS, utc("2025-10-02"), utc("2025-10-01")),
        (talking, LOGINS, NOON, NOON - timedelta(hours=1)),
    ]
    await add_rows(database, "client_feeds", [dict(zip(columns, row, strict=True)) for row in times])
    async with database.read() as connection:
        fresh = await service.of_clients(connection, [silent, talking, unheard], NOON)
        stale = await service.of_clients(connection, [silent], NOON + timedelta(days=3))
    nothing = [Feed(kind, NEVER) for kind in FeedKind]
    today = NOON.date()
    assert fresh == {
        silent: [Feed(LOGINS, FRESH, utc("2025-10-02"), utc("2025-10-01"), today), *nothing[1:]],
        talking: [Feed(LOGINS, FRESH, NOON, NOON - timedelta(hours=1), today), *nothing[1:]],
        unheard: nothing,
    }
    since = today + timedelta(days=3)
    assert stale == {silent: [Feed(LOGINS, STALE, utc("2025-10-02"), utc("2025-10-01"), today, since), *nothing[1:]]}
