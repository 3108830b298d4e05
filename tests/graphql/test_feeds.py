"""Feeds in the API, and the components of a score whose feed is silent."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.database import Database
from app.feeds.rules import FeedKind
from app.health.rules import end_of_day
from app.health.service import score_day
from tests.factories import rows_of
from tests.feeds.helpers import add_deliveries
from tests.graphql.conftest import Api

KINDS = ["LOGINS", "CASES", "CAMPAIGNS", "FEATURES", "TICKETS"]
FEED = "kind lastReceivedAt lastEventAt status staleSince keptUntil"
COMPONENTS = "key score trafficLight measured contribution stale staleSince explanation"


async def ask(api: Api, query: str) -> dict[str, Any]:
    """Return the data of an answer without errors."""
    status, body = await api.ask(query)
    assert (status, "errors" in body) == (200, False), body
    data: dict[str, Any] = body["data"]
    return data


@pytest.fixture
async def database(api: Api) -> Any:
    """The database of the application."""
    assert api.settings.database_url is not None
    opened = Database(api.settings.database_url)
    yield opened
    await opened.close()


async def silence_logins(database: Database, days: int) -> datetime:
    """Have logins been delivered daily until so many days ago, as of whose ends everybody was scored; return the last.

    The import of the portfolio never happened, as far as logins are concerned.
    """
    now = datetime.now(UTC)
    async with database.begin() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("DELETE FROM feed_days WHERE kind = 'LOGINS'")
        await connection.exec_driver_sql("DELETE FROM health_scores")
        await connection.exec_driver_sql("UPDATE clients SET scored_day = NULL")
    last = now.date() - timedelta(days=days)
    await add_deliveries(database, FeedKind.LOGINS, [last - timedelta(days=back) for back in range(15)])
    await score_day(database, end_of_day(last), now)
    await score_day(database, now, now)
    return datetime(last.year, last.month, last.day, 12, tzinfo=UTC)


async def test_every_feed_of_a_portfolio_that_was_just_loaded_is_fresh(api: Api, database: Database) -> None:
    found = await rows_of(database, "SELECT kind, last_received_at, last_event_at FROM feed_days")
    loaded = {kind: (received, latest) for kind, received, latest in found}
    api.statements.clear()
    feeds = (await ask(api, f"{{ feeds {{ {FEED} }} }}"))["feeds"]
    assert len(api.statements) == 1
    assert [feed["kind"] for feed in feeds] == KINDS
    for feed in feeds:
        received, latest = loaded[feed["kind"]]
        assert datetime.fromisoformat(feed["lastReceivedAt"]) == received
        assert datetime.fromisoformat(feed["lastEventAt"]) == latest
        assert (feed["status"], feed["staleSince"], feed["keptUntil"]) == ("FRESH", None, None)


async def test_a_silent_feed_is_stale_for_the_portfolio_and_for_each_client(api: Api, database: Database) -> None:
    last = await silence_logins(database, 5)
    since, until = last.date() + timedelta(days=3), last.date() + timedelta(days=9)
    feed = (await ask(api, f"{{ feeds {{ {FEED} }} }}"))["feeds"][0]
    assert feed == {
        "kind": "LOGINS",
        "lastReceivedAt": last.isoformat(),
        "lastEventAt": (last - timedelta(hours=1)).isoformat(),
        "status": "STALE",
        "staleSince": since.isoformat(),
        "keptUntil": until.isoformat(),
    }
    query = f"{{ clients(first: 60) {{ edges {{ node {{ externalId feeds {{ {FEED} }} }} }} }} }}"
    api.statements.clear()
    found = await ask(api, query)
    # The clients, how the feeds stand, and when they delivered of each.
    assert len(api.statements) == 3
    times = (
        "SELECT external_id, last_received_at FROM client_feeds JOIN clients ON id = client_id WHERE kind = 'LOGINS'"
    )
    received: dict[str, datetime] = {row[0]: row[1] for row in await rows_of(database, times)}
    assert 0 < len(received) < 60
    for edge in found["clients"]["edges"]:
        logins, *others = edge["node"]["feeds"]
        assert [one["kind"] for one in others] == KINDS[1:]
        assert others[2]["status"] == "FRESH"
        at = received.get(edge["node"]["externalId"])
        if at is None:
            assert logins == {"kind": "LOGINS", "status": "NEVER"} | dict.fromkeys(FEED.split()[1:3] + FEED.split()[4:])
        else:
            assert datetime.fromisoformat(logins["lastReceivedAt"]) == at
            assert (logins["status"], logins["staleSince"], logins["keptUntil"]) == (
                "STALE",
                since.isoformat(),
                until.isoformat(),
            )


async def health_of_everybody(api: Api) -> list[dict[str, Any]]:
    """Return the health of every client."""
    health = f"health {{ score coverage components {{ {COMPONENTS} }} }}"
    found = await ask(api, f"{{ clients(first: 100) {{ edges {{ node {{ {health} }} }} }} }}")
    return [edge["node"]["health"] for edge in found["clients"]["edges"]]


async def test_a_component_of_a_stale_feed_says_so(api: Api, database: Database) -> None:
    last = await silence_logins(database, 3)
    kept = 0
    for health in await health_of_everybody(api):
        login, *others = health["components"]
        assert [(one["stale"], one["staleSince"]) for one in others] == [(False, None)] * 4
        assert (login["stale"], login["staleSince"]) == (True, (last.date() + timedelta(days=3)).isoformat())
        assert login["measured"] is True
        day = f"{last.day} {last:%B}"
        assert login["explanation"] == (f"The logins feed has been silent since {day}, so this is the score of {day}.")
        kept += login["score"]
    assert kept > 0


async def test_a_component_that_has_lapsed_is_not_measured(api: Api, database: Database) -> None:
    """It has a score where the overall score would be higher without it, and no points otherwise."""
    last = await silence_logins(database, 11)
    seen = {True: 0, False: 0}
    for health in await health_of_everybody(api):
        login = health["components"][0]
        assert (login["stale"], login["measured"]) == (True, False)
        held = login["score"] is not None
        assert (login["trafficLight"] is not None, login["contribution"] is not None) == (held, held)
        day = f"{last.day} {last:%B}"
        silent = f"The logins feed has been silent since {day}, so logins are no longer measured"
        assert login["explanation"] == (
            f"{silent}, but the score of {day} still counts: the overall score would be higher without it."
            if held
            else f"{silent}."
        )
        assert health["coverage"] <= 80
        if health["score"] is not None:
            parts = [one["contribution"] for one in health["components"] if one["contribution"] is not None]
            assert sum(parts) == pytest.approx(health["score"], abs=0.5 + 1e-9)
        seen[held] += 1
    assert all(seen.values()), seen
