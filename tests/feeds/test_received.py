"""When facts count as received: not when somebody began to store them, but when nobody was in the way any more."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import asyncpg
import pytest

from app.database import AdvisoryLock, Database
from app.events import partitions
from app.events import service as events
from app.feeds.rules import FeedKind
from app.health import requests
from app.health.service import score_day
from app.ingest import service as ingest
from app.ingest.formats import KINDS
from app.runs.execution import execute
from app.settings import Settings
from tests.events.sending import track, understood
from tests.factories import add_client, rows_of, utc
from tests.feeds.helpers import add_deliveries
from tests.ingest.helpers import load, write
from tests.runs.test_imports import someone_waits, until
from tests.uploads.test_importing import upload

OPENED = "2025-06-01T10:00:00Z"
CASES = f"client,external_id,opened_at\nA,1,{OPENED}\n"

Sender = Callable[[], Awaitable[object]]


async def of_a_folder(database: Database, _settings: Settings, folder: Path) -> Sender:
    """Return what imports a case from files."""
    files = write(folder / "in", cases_csv=CASES)
    return lambda: load(database, files)


async def of_an_upload(database: Database, settings: Settings, _folder: Path) -> Sender:
    """Return what imports a case that was uploaded."""
    run_id = await upload(database, "cases", CASES.encode())
    return lambda: execute(database, run_id, settings)


async def of_events(database: Database, _settings: Settings, _folder: Path) -> Sender:
    """Return what stores an event that came in already."""
    now = datetime.now(UTC)
    opened = track("Case Opened", now, userId="ann", context={"groupId": "A"}, properties={"case_id": "1"})
    messages = understood([opened], now)

    async def store() -> None:
        async with database.begin() as session:
            await partitions.ensure(session, {message.day for message in messages})
        async with database.begin() as session:
            assert await events.store(session, messages, now=now) == 1

    return store


async def held_up(database: Database, url: str, send: Sender) -> datetime:
    """Have facts be stored, but only after the moment that is returned, since somebody else is storing until then."""
    other = await asyncpg.connect(url)
    try:
        await other.execute(f"SELECT pg_advisory_lock({AdvisoryLock.IMPORT})")
        storing = asyncio.ensure_future(send())
        await until(lambda: someone_waits(database))
        moment = datetime.now(UTC)
        # What is scored as of this moment does not wait, and has not seen the facts.
        await score_day(database, moment, moment)
    finally:
        await other.close()
    await storing
    return moment


@pytest.mark.parametrize("facts", [of_a_folder, of_an_upload, of_events])
async def test_facts_are_received_when_they_are_stored_and_not_when_that_began(
    database: Database,
    settings: Settings,
    database_url: str,
    tmp_path: Path,
    facts: Callable[[Database, Settings, Path], Awaitable[Sender]],
) -> None:
    await add_client(database, external_id="A")
    moment = await held_up(database, database_url, await facts(database, settings, tmp_path))
    for table in ("feed_days", "client_feeds"):
        [(kind, received)] = await rows_of(database, f"SELECT kind, last_received_at FROM {table}")
        assert kind == "CASES"
        assert moment < received <= datetime.now(UTC)
    [(first, day)] = await rows_of(database, "SELECT first_received_at, day FROM feed_days")
    assert (first, day) == (received, received.date())


async def test_a_score_that_was_calculated_before_facts_were_stored_is_not_kept(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    """Tickets that were on their way when a score was calculated are the last that the feed delivers."""
    client = await add_client(database, external_id="A")
    now = datetime.now(UTC)
    await add_deliveries(database, FeedKind.TICKETS, [now.date() - timedelta(days=back) for back in range(1, 16)])
    opened = (now - timedelta(hours=1)).isoformat()
    old = utc("2020-01-01").isoformat()
    rows = "".join(f"A,{number},{opened}\n" for number in range(4))
    await load(database, write(tmp_path / "old", tickets_csv=f"client,external_id,opened_at\nA,old,{old}\n"))
    files = write(tmp_path / "new", tickets_csv=f"client,external_id,opened_at\n{rows}")
    moment = await held_up(database, database_url, lambda: load(database, files))
    for days in range(1, 4):
        await score_day(database, moment + timedelta(days=days), now)
    scores = await rows_of(
        database,
        f"SELECT ticket_score, stale->'TICKET_VOLUME'->>'day' FROM health_scores WHERE client_id = {client} "
        "ORDER BY day",
    )
    seen = (moment + timedelta(days=1)).date().isoformat()
    assert scores == [(100, None), (40, None), (40, None), (40, seen)]


async def test_a_calculation_waits_for_facts_that_are_being_stored(database: Database, settings: Settings) -> None:
    """They are received by then, and seen by nobody else."""
    client = await add_client(database, external_id="A")
    async with database.begin() as session:
        received_at = await ingest.begin(session)
        rows = [(1, ("A", "1", received_at, None, None))]
        await ingest.store(session, KINDS["tickets"], rows, now=received_at, received_at=received_at)
        now = datetime.now(UTC)
        async with database.begin() as other:
            run_id = await requests.recalculate_one(other, client, requested_by="anna", now=now)
        calculation = asyncio.create_task(execute(database, run_id, settings))
        await until(lambda: someone_waits(database))
    assert await calculation
    [(as_of, opened)] = await rows_of(database, "SELECT as_of, tickets_opened FROM health_scores")
    assert as_of > received_at
    assert opened == 1
