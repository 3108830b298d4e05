"""The report of events that no fact became of, over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.database import Database
from app.events import partitions, service
from app.events.facts import read
from app.events.mapping import vocabulary
from tests.graphql.conftest import Api

NOW = datetime.now(UTC)
REPORT = "type name reason events firstReceivedAt lastReceivedAt"


@pytest.fixture
async def database(api: Api) -> AsyncIterator[Database]:
    """The database of the application."""
    assert api.settings.database_url is not None
    opened = Database(api.settings.database_url, pool_size=1)
    yield opened
    await opened.close()


async def send(database: Database, received_at: datetime, *events: dict[str, Any]) -> None:
    """Store events as they come in over HTTP."""
    oldest = (received_at - timedelta(days=1)).date()
    messages = [
        read(event, None, vocabulary(), made_id=f"{received_at}-{n}", received_at=received_at, oldest=oldest)
        for n, event in enumerate(events)
    ]
    async with database.begin() as session:
        await partitions.ensure(session, {message.day for message in messages})
    async with database.begin() as session:
        await service.store(session, messages, now=received_at)


async def test_the_report_has_the_most_frequent_first(api: Api, database: Database) -> None:
    page = {"type": "page", "name": "Pricing", "userId": "u1", "context": {"groupId": "acme"}}
    group = {"type": "group", "groupId": "acme", "traits": {"size": "quite large"}}
    stray = {"type": "track", "event": "Logged In", "userId": "nobody knows"}
    nameless = {"type": "screen", "userId": "u1", "context": {"groupId": "acme"}}
    await send(database, NOW - timedelta(minutes=5), group, page, stray, stray)
    await send(database, NOW, page, page, nameless)
    api.statements.clear()
    status, body = await api.ask(f"{{ unmappedEvents {{ {REPORT} }} }}")
    assert (status, len(api.statements)) == (200, 1)
    early, late = ((NOW - timedelta(minutes=5)).isoformat(), NOW.isoformat())
    lines = [tuple(line.values()) for line in body["data"]["unmappedEvents"]]
    assert lines == [
        ("PAGE", "Pricing", "NOT_MAPPED", 3, early, late),
        ("TRACK", "Logged In", "NO_CLIENT", 2, early, early),
        ("GROUP", "size", "UNUSABLE_TRAIT", 1, early, early),
        ("SCREEN", None, "NOT_MAPPED", 1, late, late),
    ]
    _, body = await api.ask("{ unmappedEvents(reason: [NO_CLIENT, UNUSABLE_TRAIT], first: 1) { name } }")
    assert body["data"] == {"unmappedEvents": [{"name": "Logged In"}]}
    _, body = await api.ask("{ unmappedEvents(reason: []) { name } }")
    assert body["data"] == {"unmappedEvents": []}


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize("first", [0, 101])
async def test_a_page_of_the_report_has_its_bounds(api: Api, first: int) -> None:
    _, body = await api.ask(f"{{ unmappedEvents(first: {first}) {{ name }} }}")
    [error] = body["errors"]
    assert (error["extensions"]["code"], error["message"]) == (
        "INVALID_INPUT",
        f"first must be from 1 to 100, not {first}.",
    )
