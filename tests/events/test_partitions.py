"""The partitions of the events table: made once, by whoever needs them, without keeping anybody from inserting."""

import asyncio
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from app.database import Database
from app.events.partitions import ensure, ensure_ahead
from tests.factories import add_rows, rows_of, utc

PARTITIONS = (
    "SELECT relname::text, pg_get_expr(relpartbound, pg_class.oid) FROM pg_inherits "
    "JOIN pg_class ON pg_class.oid = inhrelid WHERE inhparent = 'events'::regclass ORDER BY 1"
)


async def make(database: Database, *days: date) -> None:
    """Make the partitions of some days in a transaction of their own."""
    async with database.begin() as session:
        await ensure(session, days)


async def add_event(database: Database, message_id: str, at: str) -> None:
    """Add an event on the day of its time."""
    moment = utc(at)
    row = {"day": moment.date(), "message_id": message_id, "at": moment, "received_at": moment, "type": "TRACK"}
    await add_rows(database, "events", [row])


async def test_a_day_gets_a_partition_with_its_bounds(database: Database) -> None:
    await make(database, date(2026, 12, 31), date(2026, 11, 3))
    assert await rows_of(database, PARTITIONS) == [
        ("events_20261103", "FOR VALUES FROM ('2026-11-03') TO ('2026-11-04')"),
        ("events_20261231", "FOR VALUES FROM ('2026-12-31') TO ('2027-01-01')"),
    ]
    await add_event(database, "a", "2026-11-03T00:00:00")
    await add_event(database, "b", "2026-12-31T23:59:59")
    assert await rows_of(database, "SELECT message_id FROM events_20261103") == [("a",)]
    assert await rows_of(database, "SELECT message_id FROM events_20261231") == [("b",)]


async def test_a_partition_has_the_key_and_the_check_of_the_table(database: Database) -> None:
    await make(database, date(2026, 11, 3))
    await add_event(database, "a", "2026-11-03T08:00:00")
    with pytest.raises(IntegrityError, match="events_20261103_pkey"):
        await add_event(database, "a", "2026-11-03T09:00:00")
    with pytest.raises(IntegrityError, match="ck_events_type"):
        async with database.begin() as session:
            await session.execute(text("UPDATE events SET type = 'track'"))
    assert await rows_of(database, "SELECT message_id, type, at FROM events") == [
        ("a", "TRACK", utc("2026-11-03T08:00:00"))
    ]


async def test_what_is_there_stays_as_it_is(database: Database) -> None:
    await make(database, date(2026, 11, 3))
    await add_event(database, "a", "2026-11-03T08:00:00")
    before = await rows_of(database, "SELECT oid FROM pg_class WHERE relname = 'events_20261103'")
    await make(database, date(2026, 11, 3), date(2026, 11, 4))
    assert await rows_of(database, "SELECT oid FROM pg_class WHERE relname = 'events_20261103'") == before
    assert await rows_of(database, "SELECT message_id FROM events") == [("a",)]


async def test_today_and_the_next_two_days_are_made_ahead(database: Database) -> None:
    async with database.begin() as session:
        await ensure_ahead(session, date(2026, 2, 27))
    assert [name for name, _ in await rows_of(database, PARTITIONS)] == [
        "events_20260227",
        "events_20260228",
        "events_20260301",
    ]


async def test_an_insert_does_not_wait_for_a_partition_that_is_being_made(database: Database) -> None:
    await make(database, date(2026, 11, 3))
    async with database.begin() as session:
        await ensure(session, [date(2026, 11, 4)])
        # It would wait for ever: the transaction ends after it.
        await asyncio.wait_for(add_event(database, "a", "2026-11-03T08:00:00"), timeout=60)
    assert await rows_of(database, "SELECT message_id FROM events") == [("a",)]


async def test_a_partition_is_made_beside_an_insert_that_is_not_committed(database: Database) -> None:
    await make(database, date(2026, 11, 3))
    async with database.begin() as session:
        insert = "INSERT INTO events (day, message_id, at, received_at, type) VALUES (:day, 'a', now(), now(), 'TRACK')"
        await session.execute(text(insert), {"day": date(2026, 11, 3)})
        await asyncio.wait_for(make(database, date(2026, 11, 4)), timeout=60)
    assert len(await rows_of(database, PARTITIONS)) == 2


async def test_two_that_need_the_same_partition_make_it_once(database: Database) -> None:
    async with database.begin() as first:
        await ensure(first, [date(2026, 11, 3)])
        second = asyncio.create_task(make(database, date(2026, 11, 3), date(2026, 11, 4)))
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        while (await rows_of(database, waiting))[0][0] == 0:
            assert not second.done()
            await asyncio.sleep(0.01)
    await second
    assert [name for name, _ in await rows_of(database, PARTITIONS)] == ["events_20261103", "events_20261104"]
