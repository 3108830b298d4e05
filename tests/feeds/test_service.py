"""What feeds deliver, as the rows that it leaves, and what is told of them."""

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from app.database import Database
from app.feeds import service
from app.feeds.rules import FeedKind, FeedStatus
from app.feeds.service import Feed
from tests.factories import add_client, rows_of, utc
from tests.feeds.helpers import add_deliveries

LOGINS, CASES, TICKETS = FeedKind.LOGINS, FeedKind.CASES, FeedKind.TICKETS
NEVER, FRESH, STALE = FeedStatus.NEVER, FeedStatus.FRESH, FeedStatus.STALE
NOON = utc("2025-11-10T12:00")
DAYS = "SELECT kind, day, first_received_at, last_received_at, last_event_at FROM feed_days ORDER BY kind, day"
CLIENTS = "SELECT client_id, kind, last_received_at, last_event_at FROM client_feeds ORDER BY client_id, kind"
VERSIONS = "SELECT ctid::text FROM feed_days UNION ALL SELECT ctid::text FROM client_feeds ORDER BY 1"


async def deliver(
    database: Database, kind: FeedKind, latest: Mapping[int, datetime | None], now: datetime = NOON
) -> None:
    """Note a delivery in a transaction of its own."""
    async with database.begin() as session:
        await service.delivered(session, kind, latest, now)


async def feeds(database: Database, as_of: datetime) -> dict[FeedKind, Feed]:
    """Return how every feed stands."""
    async with database.read() as connection:
        return {feed.kind: feed for feed in await service.statuses(connection, as_of)}


async def test_a_day_has_its_first_and_last_delivery_and_the_latest_moment(database: Database) -> None:
    first, second = await add_client(database), await add_client(database)
    earlier, later = NOON - timedelta(hours=3), NOON + timedelta(hours=2)
    await deliver(database, LOGINS, {first: utc("2025-11-09T10:00"), second: None})
    # What a slower process received earlier comes later, and tells of less.
    await deliver(database, LOGINS, {first: utc("2025-11-01T10:00")}, earlier)
    await deliver(database, LOGINS, {second: utc("2025-11-10T13:00")}, later)
    await deliver(database, TICKETS, {second: None})
    await deliver(database, LOGINS, {first: utc("2025-11-08T10:00")}, utc("2025-11-11T00:00"))
    day = NOON.date()
    assert await rows_of(database, DAYS) == [
        ("LOGINS", day, earlier, later, utc("2025-11-10T13:00")),
        ("LOGINS", day + timedelta(days=1), utc("2025-11-11"), utc("2025-11-11"), utc("2025-11-08T10:00")),
        ("TICKETS", day, NOON, NOON, None),
    ]
    assert await rows_of(database, CLIENTS) == [
        (first, "LOGINS", utc("2025-11-11"), utc("2025-11-09T10:00")),
        (second, "LOGINS", later, utc("2025-11-10T13:00")),
        (second, "TICKETS", NOON, None),
    ]


async def test_a_moment_to_come_counts_as_now(database: Database) -> None:
    client = await add_client(database)
    await deliver(database, FeedKind.CAMPAIGNS, {client: NOON + timedelta(days=40)})
    assert await rows_of(database, "SELECT last_event_at FROM feed_days") == [(NOON,)]
    assert await rows_of(database, "SELECT last_event_at FROM client_feeds") == [(NOON,)]


async def test_nothing_is_written_that_would_say_nothing_new(database: Database) -> None:
    client = await add_client(database)
    await deliver(database, LOGINS, {})
    assert await rows_of(database, VERSIONS) == []
    at = utc("2025-11-09T10:00")
    await deliver(database, LOGINS, {client: at})
    versions = await rows_of(database, VERSIONS)
    await deliver(database, LOGINS, {client: at})
    await deliver(database, LOGINS, {client: None})
    assert await rows_of(database, VERSIONS) == versions
    # A client's row is right to the minute.
    await deliver(database, LOGINS, {client: at}, NOON + timedelta(seconds=59))
    assert await rows_of(database, CLIENTS) == [(client, "LOGINS", NOON, at)]
    await deliver(database, LOGINS, {client: at}, NOON + timedelta(seconds=60))
    assert await rows_of(database, CLIENTS) == [(client, "LOGINS", NOON + timedelta(seconds=60), at)]
    # A later moment is written at once.
    newer = at + timedelta(seconds=1)
    await deliver(database, LOGINS, {client: newer}, NOON + timedelta(seconds=61))
    assert await rows_of(database, CLIENTS) == [(client, "LOGINS", NOON + timedelta(seconds=61), newer)]


async def test_writers_of_the_same_clients_in_any_order_do_not_deadlock(database: Database) -> None:
    clients = [await add_client(database) for _ in range(40)]
    moments = [NOON - timedelta(minutes=number) for number in range(20)]
    await asyncio.gather(
        *(
            deliver(database, LOGINS, dict.fromkeys(reversed(clients) if number % 2 else clients, at))
            for number, at in enumerate(moments)
        )
    )
    assert await rows_of(database, CLIENTS) == [(client, "LOGINS", NOON, NOON) for client in clients]


async def test_statuses_are_those_of_a_moment(database: Database) -> None:
    await add_deliveries(database, LOGINS, [date(2025, 11, day) for day in (8, 9, 10, 20)])
    await add_deliveries(database, CASES, [date(2025, 11, 12)])
    received, silent = utc("2025-11-10T12:00"), utc("2025-11-10").date()
    stale_since = silent + timedelta(days=3)
    nothing = {kind: Feed(kind, NEVER) for kind in FeedKind}
    assert await feeds(database, utc("2025-11-08T11:59")) == nothing
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
    await deliver(database, LOGINS, {await add_client(database): utc("2025-03-01")}, NOON + timedelta(days=60))
    assert (await feeds(database, NOON + timedelta(days=61)))[LOGINS].last_event_at == utc("2025-11-01T11:00")


async def test_a_client_has_its_own_times_and_the_status_of_the_feed(database: Database) -> None:
    silent, talking, unheard = [await add_client(database) for _ in range(3)]
    await deliver(database, LOGINS, {silent: utc("2025-10-01")}, utc("2025-10-02"))
    for day in (8, 9, 10):
        now = utc(f"2025-11-{day:02}T12:00")
        await deliver(database, LOGINS, {talking: now - timedelta(hours=1)}, now)
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
