"""Subscriptions as server-sent events: the stream, its end, and what is answered without one."""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest
from sqlalchemy import insert, text

from app.auth.tokens import Role
from app.database import Database
from app.graphql import sse
from app.graphql.pagination import global_id
from app.settings import Settings
from app.tables import metadata
from tests.factories import add_client
from tests.graphql.live import (
    ALERT_RAISED,
    HOST,
    PATIENCE,
    RUN_PROGRESS,
    Web,
    advance,
    alert_row,
    claimed,
    events,
    finish,
    new_run,
    raise_alerts,
    running_web,
    token,
    until,
)

ROOT = Path(__file__).parent.parent.parent
COMPLETE = ("complete", None)


@pytest.fixture
async def web(settings: Settings) -> AsyncIterator[Web]:
    """A server that looks often."""
    async with running_web(settings.model_copy(update={"live_poll_ms": 50})) as running:
        yield running


async def following(stream: AsyncIterator[tuple[str, Any]]) -> tuple[str, Any]:
    """Return the next event that is no comment."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event = await anext(stream)
            if event[0] != ":":
                return event


async def codes(stream: AsyncIterator[tuple[str, Any]]) -> list[str]:
    """Return the codes of the errors of the next event."""
    name, data = await following(stream)
    assert name == "next"
    return [error["extensions"]["code"] for error in data["errors"]]


async def test_a_run_is_watched_to_its_end(web: Web, database: Database) -> None:
    key, run = await new_run(database)
    state = {"id": run, "status": "QUEUED", "total": None, "done": 0, "failed": 0, "reason": None}
    async with web.stream(RUN_PROGRESS, {"id": run}) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["cache-control"] == "no-cache"
        assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])
        assert "content-length" not in response.headers
        stream = events(response)
        assert await following(stream) == ("next", {"data": {"runProgress": state}})
        claim = await claimed(database, key)
        assert await following(stream) == ("next", {"data": {"runProgress": state | {"status": "RUNNING"}}})
        await advance(database, claim, 2)
        await following(stream)
        await finish(database, claim)
        last = state | {"status": "SUCCEEDED", "total": 2, "done": 2}
        assert await following(stream) == ("next", {"data": {"runProgress": last}})
        assert await following(stream) == COMPLETE
        assert [event async for event in stream] == []
    await until(lambda: web.live.idle)


async def test_queries_and_mutations_are_answered_by_one_result(web: Web, database: Database) -> None:
    client = global_id("Client", await add_client(database, "Acme"))
    async with web.stream("query ($id: ID!) { client(id: $id) { name } }", {"id": client}) as response:
        stream = events(response)
        assert await following(stream) == ("next", {"data": {"client": {"name": "Acme"}}})
        assert await following(stream) == COMPLETE
    authorization = f"Bearer {token(role=Role.CLIENT_SUCCESS)}"
    mutation = "mutation { recalculateAllHealth { ... on Error { code } } }"
    async with web.stream(mutation, authorization=authorization) as response:
        stream = events(response)
        assert await following(stream) == ("next", {"data": {"recalculateAllHealth": {"code": "FORBIDDEN"}}})
        assert await following(stream) == COMPLETE


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        (RUN_PROGRESS, {"id": global_id("Run", 10**9)}, "NOT_FOUND"),
        (RUN_PROGRESS, {"id": "nonsense"}, "INVALID_INPUT"),
        (RUN_PROGRESS, {"id": [1]}, "INVALID_INPUT"),
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("subscription { nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("fragment F on Run { id }", {}, "BAD_REQUEST"),
        ("subscription { alertRaised { " + "client { " * 20 + "id" + " }" * 20 + " } }", {}, "DOCUMENT_TOO_COMPLEX"),
    ],
)
async def test_errors_come_with_their_code(web: Web, query: str, variables: dict[str, Any], code: str) -> None:
    async with web.stream(query, variables) as response:
        stream = events(response)
        assert set(await codes(stream)) == {code}
        assert await following(stream) == COMPLETE


async def test_what_cannot_be_understood_is_answered_as_at_the_other_address(web: Web) -> None:
    authorization = {"Authorization": f"Bearer {token()}"}
    json = {"Content-Type": "application/json"}
    asked: list[tuple[str, dict[str, str], bytes]] = [
        ("GET", authorization, b""),
        ("POST", authorization, b"{}"),
        ("POST", authorization | json, b"no JSON"),
        ("POST", authorization | json, b"[]"),
        ("POST", authorization | json, b'{"query": 1}'),
        ("POST", authorization | json, b'{"query": "{ __typename }", "variables": []}'),
        ("POST", authorization | json, b" " * 100_001),
    ]
    async with httpx2.AsyncClient(base_url=f"http://{HOST}:{web.port}", trust_env=False) as http:
        for method, headers, content in asked:
            one, other = [
                await http.request(method, path, content=content, headers=headers)
                for path in ("/graphql", "/graphql/stream")
            ]
            assert 400 <= one.status_code < 500
            assert (one.status_code, one.json()) == (other.status_code, other.json())
            assert one.headers["content-type"] == other.headers["content-type"]


@pytest.mark.parametrize("authorization", ["Bearer nonsense", "Basic YTpi", f"Bearer {token(secret='x' * 32)}"])
async def test_without_a_valid_token_there_is_no_stream(web: Web, authorization: str) -> None:
    async with web.stream(ALERT_RAISED, authorization=authorization) as response:
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        (error,) = orjson.loads(await response.aread())["errors"]
        assert error["extensions"] == {"code": "UNAUTHENTICATED"}
    assert web.live.idle


async def test_the_stream_ends_with_its_token(web: Web) -> None:
    async with web.stream(ALERT_RAISED, authorization=f"Bearer {token(timedelta(seconds=5))}") as response:
        stream = events(response)
        assert await codes(stream) == ["UNAUTHENTICATED"]
        assert await following(stream) == COMPLETE
    await until(lambda: web.live.idle)


async def test_a_stream_begins_when_nothing_can_be_missed_any_more(web: Web, database: Database) -> None:
    client = await add_client(database, "Acme")
    begun = asyncio.Event()

    async def all_heard() -> list[str]:
        async with web.stream(ALERT_RAISED) as response:
            begun.set()
            async with database.read() as connection:
                known = (await connection.execute(text("SELECT message FROM alerts"))).scalars().all()
            await raise_alerts(database, client, 2)
            _, data = await following(events(response))
            return [*known, data["data"]["alertRaised"]["message"]]

    # The first look has to wait, so that this one is written after the request and before the look.
    async with database.begin() as session:
        await session.execute(text("LOCK TABLE alerts IN ACCESS EXCLUSIVE MODE"))
        heard = asyncio.create_task(all_heard())
        await until(lambda: not web.live.idle)
        await asyncio.wait({heard}, timeout=0.2)
        assert not begun.is_set()
        await session.execute(insert(metadata.tables["alerts"]), [alert_row(client, 1)])
    # Whoever asks once the stream has begun finds it, and hears of what comes later.
    async with asyncio.timeout(PATIENCE):
        assert await heard == ["alert 1", "alert 2"]


async def test_a_silent_stream_shows_that_it_lives(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sse.HEARTBEAT_SECONDS == 15
    monkeypatch.setattr(sse, "HEARTBEAT_SECONDS", 0.05)
    async with web.stream(ALERT_RAISED) as response:
        stream = events(response)
        async with asyncio.timeout(PATIENCE):
            assert [(await anext(stream))[0] for _ in range(4)] == [":"] * 4


async def test_nothing_is_left_of_a_stream_whose_reader_has_gone(web: Web, database: Database) -> None:
    _, run = await new_run(database)
    before = len(asyncio.all_tasks())
    for query in (RUN_PROGRESS, ALERT_RAISED):
        async with web.stream(query, {"id": run} if query == RUN_PROGRESS else None) as response:
            await anext(events(response))
            await until(lambda: not web.live.idle)
        await until(lambda: web.live.idle and len(asyncio.all_tasks()) <= before)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port


def start(settings: Settings, port: int, log: Path) -> subprocess.Popen[bytes]:
    """Start the web process of production."""
    given = {"database_url", "redis_url", "auth_secret", "live_poll_ms"}
    env = {name.upper(): str(value) for name, value in settings.model_dump(include=given).items()}
    with log.open("wb") as output:
        return subprocess.Popen(  # noqa: S603 - this test's own server.
            [sys.executable, "-m", "app.cli", "web", "--port", str(port)],
            env=os.environ | env,
            cwd=ROOT,
            stdout=output,
            stderr=output,
        )


async def started(settings: Settings, log: Path) -> tuple[subprocess.Popen[bytes], Web]:
    """Start the web process, and wait until it answers."""
    port = free_port()
    process = start(settings, port, log)

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0

    await until(answers)
    return process, Web(port)


async def test_a_server_that_is_asked_to_stop_does_not_wait_for_its_streams(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    _, run = await new_run(database)
    log = tmp_path / "web.log"
    process, web = await started(settings, log)
    try:
        async with (
            web.stream(ALERT_RAISED) as idle,
            web.stream(RUN_PROGRESS, {"id": run}) as response,
            web.introduced() as talk,
        ):
            stream = events(response)
            await following(stream)
            await talk.subscribe("1", ALERT_RAISED)
            asked = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert await codes(stream) == ["INTERRUPTED"]
            assert await following(stream) == COMPLETE
            assert [name async for name, _ in events(idle) if name != ":"] == ["next", "complete"]
            assert (await talk.closed())[0] == 1012
        await until(lambda: process.poll() is not None)
        assert time.monotonic() - asked < 15
        assert process.returncode == -signal.SIGTERM
        assert "Traceback" not in log.read_text()
    finally:
        process.kill()
        process.wait()


async def test_alerts_reach_the_subscribers_of_every_web_process(
    settings: Settings, database: Database, web: Web, tmp_path: Path
) -> None:
    client = await add_client(database, "Acme")
    process, other = await started(settings.model_copy(update={"live_poll_ms": 50}), tmp_path / "web.log")
    try:
        async with web.stream(ALERT_RAISED) as here, other.stream(ALERT_RAISED) as there:
            streams = [events(here), events(there)]
            # Nobody is told when a subscription has begun, so that the first ones may come too early.
            firsts = [asyncio.create_task(following(stream)) for stream in streams]
            early = 0
            async with asyncio.timeout(PATIENCE):
                while not all(first.done() for first in firsts):
                    early -= 1
                    await raise_alerts(database, client, early)
                    await asyncio.wait(firsts, timeout=0.1)
            await raise_alerts(database, client, 1, 2, 3)
            await raise_alerts(database, client, 4)
            for stream in streams:
                told: list[str] = []
                while "alert 4" not in told:
                    _, data = await following(stream)
                    assert data["data"]["alertRaised"]["client"] == {"id": global_id("Client", client), "name": "Acme"}
                    told.append(data["data"]["alertRaised"]["message"])
                assert [one for one in told if "-" not in one] == ["alert 1", "alert 2", "alert 3", "alert 4"]
                assert len(told) == len(set(told))
    finally:
        process.kill()
        process.wait()
