"""Requests that are stored in one transaction: each gets its own answer, as if it had come alone."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from app.auth import write_keys
from app.database import Database
from app.intake.writer import GATHERED, Writer
from tests.events.sending import NOW, Event, page, track, understood
from tests.factories import add_client, rows_of

# How many messages each transaction has brought.
TRANSACTIONS = "SELECT count(*) FROM events GROUP BY xmin::text::bigint ORDER BY xmin::text::bigint"
BROKEN = (
    "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF new.name = 'broken' THEN RAISE EXCEPTION 'it is broken'; END IF; RETURN new; END $$",
    "CREATE TRIGGER fail BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION fail()",
)
EARLY = "closed_at is before opened_at, as this row or the stored one gives them"


async def write(database: Database, *batches: list[Event]) -> list[Mapping[int, str] | BaseException]:
    """Write batches that come at once, and return what each is answered."""
    writer = Writer(database)
    # All of them are there before the task that stores them runs for the first time.
    tasks = [asyncio.create_task(writer.write(understood(batch), 1)) for batch in batches]
    return await asyncio.gather(*tasks, return_exceptions=True)


def pages(name: str, count: int = 1) -> list[Event]:
    """Return events that nothing becomes of."""
    return [page(name, messageId=f"{name} {number}") for number in range(count)]


def case(message_id: str, event: str, hours: int) -> Event:
    """Return what happened to a case, so many hours ago."""
    return track(event, NOW - timedelta(hours=hours), messageId=message_id, properties={"id": "c1"})


async def test_what_comes_at_once_is_stored_at_once(database: Database) -> None:
    assert await write(database, pages("a", 2), pages("b", 3), pages("a", 1)) == [{}, {}, {}]
    assert await rows_of(database, TRANSACTIONS) == [(5,)]


async def test_a_transaction_has_a_bound(database: Database) -> None:
    half = GATHERED // 2
    batches = [pages("a", half), pages("b", half), pages("c", 1), pages("d", GATHERED + 1)]
    assert await write(database, *batches) == [{}] * 4
    # Two fit, the third does not, and with the third the last does not: a single request may have more.
    assert await rows_of(database, TRANSACTIONS) == [(2 * half,), (1,), (GATHERED + 1,)]


async def test_each_request_gets_its_own_reasons(database: Database) -> None:
    await add_client(database, external_id="acme")
    opened, early = case("o", "Case Opened", 5), case("e", "Case Closed", 6)
    answers = await write(database, [opened], [page("p", messageId="p"), early], [early, *pages("q")], pages("r"))
    # What contradicts is refused, whoever sent it, and what it contradicts is not.
    assert answers == [{}, {1: EARLY}, {0: EARLY}, {}]
    assert await rows_of(database, "SELECT message_id FROM events ORDER BY 1") == [("o",), ("p",), ("q 0",), ("r 0",)]
    assert await rows_of(database, "SELECT opened_at, closed_at FROM cases") == [(NOW - timedelta(hours=5), None)]


async def test_a_batch_that_fails_unexpectedly_fails_alone(database: Database) -> None:
    async with database.begin() as session:
        for statement in BROKEN:
            await session.execute(text(statement))
    answers = await write(database, pages("a"), [*pages("b"), *pages("broken")], pages("c"))
    assert (answers[0], answers[2]) == ({}, {})
    assert isinstance(answers[1], DBAPIError)
    assert "it is broken" in str(answers[1])
    assert await rows_of(database, "SELECT name FROM events ORDER BY 1") == [("a",), ("c",)]


async def test_whoever_gives_up_waiting_keeps_nobody_else_from_being_stored(database: Database) -> None:
    writer = Writer(database)
    being_stored = asyncio.create_task(writer.write(understood(pages("a")), 1))
    # One turn of the loop for it, and one for the task that stores it.
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    given_up, waiting = (asyncio.create_task(writer.write(understood(pages(name)), 1)) for name in ("b", "c"))
    await asyncio.sleep(0)
    given_up.cancel()
    assert await being_stored == await waiting == {}
    with pytest.raises(asyncio.CancelledError):
        await given_up
    assert await rows_of(database, "SELECT name FROM events ORDER BY 1") == [("a",), ("c",)]
    # It goes on with what comes later.
    assert await writer.write(understood(pages("d")), 1) == {}


async def test_the_use_of_a_key_is_noted_with_what_it_brought(database: Database) -> None:
    async with database.begin() as session:
        await write_keys.create(session, "product", datetime.now(UTC))
    [(key_id,)] = await rows_of(database, "SELECT id FROM write_keys")
    writer, before = Writer(database), datetime.now(UTC).replace(second=0, microsecond=0)
    await writer.write(understood(pages("a")), key_id)
    noted = await rows_of(database, "SELECT last_used_at, xmin::text FROM write_keys")
    assert before <= noted[0][0] <= datetime.now(UTC)
    assert await rows_of(database, "SELECT xmin::text FROM events") == [(noted[0][1],)]
    await writer.write(understood(pages("b")), key_id)
    assert await rows_of(database, "SELECT last_used_at, xmin::text FROM write_keys") == noted
