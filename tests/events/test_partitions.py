"""The partitions of the events table: made once, by whoever needs them, without keeping anybody from inserting."""

import asyncio
from datetime import date

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from app.database import Database
from app.events import partitions
from app.events.partitions import drop_old, ensure, ensure_ahead
from app.events.service import forget_unmapped
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


async def names(database: Database) -> list[str]:
    """Return the names of the partitions."""
    return [name for name, _ in await rows_of(database, PARTITIONS)]


async def drop(database: Database, before: str, limit: int = 1000) -> int:
    """Drop what is older than a moment."""
    async with database.begin() as session:
        return await drop_old(session, before=utc(before), limit=limit)


async def test_days_older_than_the_retention_are_dropped_with_all_of_their_events(database: Database) -> None:
    """A day more is kept: what was young enough when it came may be stored a moment after midnight."""
    days = [date(2026, 10, 31), date(2026, 11, 1), date(2026, 11, 2), date(2026, 11, 3), date(2026, 12, 1)]
    await make(database, *days)
    for day in days:
        await add_event(database, f"of {day}", f"{day}T12:00:00")
    assert await drop(database, "2026-11-03T00:00:00") == 2
    assert await names(database) == ["events_20261102", "events_20261103", "events_20261201"]
    left = [("of 2026-11-02",), ("of 2026-11-03",), ("of 2026-12-01",)]
    assert await rows_of(database, "SELECT message_id FROM events ORDER BY 1") == left
    assert await drop(database, "2026-11-03T23:59:59") == 0
    assert await rows_of(database, "SELECT message_id FROM events ORDER BY 1") == left
    # Nothing is left of them but a day that can be made again.
    await make(database, days[0])
    assert await rows_of(database, "SELECT message_id FROM events_20261031") == []


async def test_the_oldest_are_dropped_first_and_few_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "DROPPED_AT_ONCE", 3)
    await make(database, *(date(2026, 11, day) for day in range(1, 8)))
    assert await drop(database, "2026-12-01T00:00:00") == 3
    assert await names(database) == [f"events_2026110{day}" for day in range(4, 8)]
    assert await drop(database, "2026-12-01T00:00:00", limit=1) == 1
    assert [await drop(database, "2026-12-01T00:00:00") for _ in range(2)] == [3, 0]


async def test_dropping_gives_way_to_whoever_inserts(database: Database) -> None:
    await make(database, date(2026, 11, 3), date(2026, 11, 9))
    insert = "INSERT INTO events (day, message_id, at, received_at, type) VALUES (:day, 'a', now(), now(), 'TRACK')"
    async with database.begin() as session:
        await session.execute(text(insert), {"day": date(2026, 11, 9)})
        with pytest.raises(DBAPIError, match="lock timeout"):
            await drop(database, "2026-12-01T00:00:00")
        assert await names(database) == ["events_20261103", "events_20261109"]
    assert await drop(database, "2026-11-09T00:00:00") == 1
    assert await rows_of(database, "SELECT message_id FROM events") == [("a",)]


async def test_unmapped_events_that_came_no_more_are_forgotten(database: Database) -> None:
    row = {"type": "TRACK", "reason": "NOT_MAPPED", "events": 5, "first_received_at": utc("2025-01-01T00:00:00")}
    latest = {"old": "2026-11-02T23:59:59", "older": "2026-11-01T00:00:00", "young": "2026-11-03T00:00:00"}
    rows = [row | {"name": name, "last_received_at": utc(moment)} for name, moment in latest.items()]
    await add_rows(database, "unmapped_events", rows)
    for forgotten in (1, 1, 0):
        async with database.begin() as session:
            assert await forget_unmapped(session, before=utc("2026-11-03T00:00:00"), limit=1) == forgotten
    assert await rows_of(database, "SELECT name FROM unmapped_events") == [("young",)]
