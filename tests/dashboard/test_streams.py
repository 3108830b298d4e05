"""Subscriptions by cookie, on a real web server: they end with the session, and a WebSocket takes no cookie."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest

from app.database import Database
from app.graphql import sse
from app.settings import Settings
from tests.dashboard.people import COOKIE, OWN_PAGE, code_for
from tests.factories import add_client
from tests.graphql.live import ALERT_RAISED, HOST, PATIENCE, Web, events, raise_alerts, running_web, until


@pytest.fixture
async def web(settings: Settings) -> AsyncIterator[Web]:
    """A server that looks often."""
    async with running_web(settings.model_copy(update={"live_poll_ms": 50})) as running:
        yield running


@asynccontextmanager
async def browser(web: Web, database: Database) -> AsyncIterator[httpx2.AsyncClient]:
    """Yield the browser of somebody who has just signed in."""
    async with httpx2.AsyncClient(
        base_url=f"http://{HOST}:{web.port}", headers=OWN_PAGE, timeout=PATIENCE, trust_env=False
    ) as http:
        assert (await http.post("/session", json={"code": await code_for(database)})).status_code == 204
        yield http


@asynccontextmanager
async def listening(http: httpx2.AsyncClient) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
    """Yield the events of a subscription to alerts."""
    async with http.stream("POST", "/graphql/stream", json={"query": ALERT_RAISED}) as response:
        assert response.status_code == 200
        # Compressed, events would wait for each other.
        assert "content-encoding" not in response.headers
        yield events(response)


async def following(stream: AsyncIterator[tuple[str, Any]]) -> tuple[str, Any]:
    """Return the next event that is no comment."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event = await anext(stream)
            if event[0] != ":":
                return event


async def test_signing_out_ends_the_streams_of_that_session_alone(
    web: Web, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.05)
    client = await add_client(database)
    async with (
        browser(web, database) as leaving,
        browser(web, database) as staying,
        listening(leaving) as first,
        listening(staying) as second,
    ):
        await raise_alerts(database, client, 1)
        for stream in (first, second):
            assert (await following(stream))[1]["data"]["alertRaised"]["status"] == "OPEN"
        assert (await leaving.delete("/session")).status_code == 204
        error = {"message": "The session has ended; sign in again.", "extensions": {"code": "UNAUTHENTICATED"}}
        assert await following(first) == ("next", {"errors": [error]})
        assert await following(first) == ("complete", None)
        await raise_alerts(database, client, 1)
        assert (await following(second))[1]["data"]["alertRaised"]["status"] == "OPEN"
    await until(lambda: web.live.idle)


async def test_a_websocket_takes_no_cookie(web: Web, database: Database) -> None:
    """Else a page of another port of this host, which is the same site, could open one."""
    async with browser(web, database) as http:
        cookie = f"{COOKIE}={http.cookies[COOKIE]}"
        async with web.talk(Cookie=cookie, Origin=f"http://{HOST}:{web.port}") as talk:
            await talk.send(type="connection_init")
            assert await talk.closed() == (4403, "Send a token in the header `Authorization: Bearer ...`.")
