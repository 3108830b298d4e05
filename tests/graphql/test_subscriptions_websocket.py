"""Subscriptions over WebSocket: the protocol, who is let in, and for how long."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date, timedelta
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs
from websockets.exceptions import InvalidStatus

from app.auth.tokens import Role
from app.database import Database
from app.graphql import websocket
from app.graphql.pagination import global_id
from app.settings import Settings
from tests.factories import add_client
from tests.graphql.live import (
    ALERT_RAISED,
    RUN_PROGRESS,
    Message,
    Web,
    advance,
    change,
    claimed,
    finish,
    new_run,
    running_web,
    token,
    until,
)

RECALCULATE = """
mutation ($id: ID!) {
  recalculateHealth(input: { clientId: $id }) { __typename ... on Run { id } ... on Error { code message } }
}
"""


@pytest.fixture
async def web(settings: Settings) -> AsyncIterator[Web]:
    """A server that looks often."""
    async with running_web(settings.model_copy(update={"live_poll_ms": 50})) as running:
        yield running


def error_codes(message: Message) -> list[str]:
    """Return the codes of the errors of one message."""
    errors = message["payload"]["errors"] if message["type"] == "next" else message["payload"]
    assert all(error["message"] for error in errors)
    return [error["extensions"]["code"] for error in errors]


async def test_a_run_is_watched_from_its_present_state_to_its_end(web: Web, database: Database) -> None:
    key, run = await new_run(database)
    state = {"id": run, "status": "QUEUED", "total": None, "done": 0, "failed": 0, "reason": None}
    async with web.introduced() as talk:
        await talk.subscribe("1", RUN_PROGRESS, id=run)
        assert await talk.next_data("1") == {"runProgress": state}
        claim = await claimed(database, key)
        assert await talk.next_data("1") == {"runProgress": state | {"status": "RUNNING"}}
        await advance(database, claim, 3)
        assert await talk.next_data("1") == {"runProgress": state | {"status": "RUNNING", "done": 3}}
        await finish(database, claim)
        assert await talk.next_data("1") == {"runProgress": state | {"status": "SUCCEEDED", "total": 3, "done": 3}}
        assert await talk.receive() == {"id": "1", "type": "complete"}


async def test_a_finished_run_is_told_once(web: Web, database: Database) -> None:
    key, run = await new_run(database)
    await change(database, "UPDATE runs SET status = 'FAILED', reason = 'because' WHERE id = :key", key=key)
    async with web.introduced() as talk:
        await talk.subscribe("1", RUN_PROGRESS, id=run)
        state = (await talk.next_data("1"))["runProgress"]
        assert (state["status"], state["reason"]) == ("FAILED", "because")
        assert await talk.receive() == {"id": "1", "type": "complete"}


@pytest.mark.parametrize(
    ("run", "code"),
    [
        (global_id("Run", 10**9), "NOT_FOUND"),
        (global_id("Client", 1), "INVALID_INPUT"),
        ("nonsense", "INVALID_INPUT"),
    ],
)
async def test_a_run_that_does_not_exist_is_a_coded_error(web: Web, run: str, code: str) -> None:
    async with web.introduced() as talk:
        await talk.subscribe("1", RUN_PROGRESS, id=run)
        message = await talk.receive()
        assert error_codes(message) == [code]
        assert message["payload"]["data"] is None
        assert message["payload"]["errors"][0]["path"] == ["runProgress"]
        assert await talk.receive() == {"id": "1", "type": "complete"}


async def test_queries_and_mutations_are_answered_as_over_http(web: Web, database: Database) -> None:
    client = global_id("Client", await add_client(database, "Acme"))
    async with web.introduced(token=token(role=Role.CLIENT_SUCCESS)) as talk:
        await talk.subscribe("q", "query ($id: ID!) { client(id: $id) { name } }", id=client)
        assert await talk.next_data("q") == {"client": {"name": "Acme"}}
        assert await talk.receive() == {"id": "q", "type": "complete"}
        await talk.subscribe("m", RECALCULATE, id=client)
        assert (await talk.next_data("m"))["recalculateHealth"]["__typename"] == "Run"
        assert await talk.receive() == {"id": "m", "type": "complete"}
        await talk.subscribe("m", "mutation { recalculateAllHealth { ... on Error { code } } }")
        assert await talk.next_data("m") == {"recalculateAllHealth": {"code": "FORBIDDEN"}}
    # Each operation is a request of its own, which follows its run.
    async with database.read() as connection:
        rows = (await connection.exec_driver_sql("SELECT request_id FROM runs")).all()
    assert [len(row.request_id) for row in rows] == [32]


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", {}, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { nothing }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { alertRaised { id } runProgress(id: 1) { id } }", {}, "GRAPHQL_VALIDATION_FAILED"),
        ("fragment F on Run { id }", {}, "BAD_REQUEST"),
        ("", {}, "BAD_REQUEST"),
        (
            "{ clients(first: 100) { edges { node { healthHistory(days: 730) { score } } } } }",
            {},
            "DOCUMENT_TOO_COMPLEX",
        ),
        ("subscription { alertRaised { " + "client { " * 20 + "id" + " }" * 20 + " } }", {}, "DOCUMENT_TOO_COMPLEX"),
    ],
)
async def test_a_document_that_is_refused_ends_in_one_error(web: Web, query: str, variables: Any, code: str) -> None:
    async with web.introduced() as talk:
        await talk.subscribe("1", query, **variables)
        message = await talk.receive()
        assert message["type"] == "error"
        assert set(error_codes(message)) == {code}
        # The id is free again.
        await talk.subscribe("1", "{ __typename }")
        assert await talk.next_data("1") == {"__typename": "Query"}


@pytest.mark.parametrize("query", [RUN_PROGRESS, "query ($id: ID!) { client(id: $id) { name } }"])
async def test_a_wrong_variable_is_an_error_in_the_input(web: Web, query: str) -> None:
    async with web.introduced() as talk:
        await talk.subscribe("1", query, id=[1])
        message = await talk.receive()
        assert message["type"] == "next"
        assert error_codes(message) == ["INVALID_INPUT"]
        assert "data" not in message["payload"]
        assert await talk.receive() == {"id": "1", "type": "complete"}


@pytest.mark.parametrize("protocol", ["graphql-ws", "chat", None])
async def test_other_protocols_are_refused(web: Web, protocol: str | None) -> None:
    async with web.talk(protocol) as talk:
        assert await talk.closed() == (4406, "Subprotocol not acceptable")


async def test_only_known_origins_are_let_in(settings: Settings) -> None:
    allowed = Settings(**settings.model_dump() | {"allowed_origins": "https://a.example, http://B.example:81"})
    async with running_web(allowed) as web:
        for origin in (f"http://127.0.0.1:{web.port}", "https://a.example", "http://b.example:81"):
            async with web.talk(Origin=origin) as talk:
                await talk.introduce()
        for origin in ("null", "", "https://b.example", "http://127.0.0.1", f"http://127.0.0.1:{web.port}.example"):
            with pytest.raises(InvalidStatus) as refused:
                async with web.talk(Origin=origin):
                    pass
            assert refused.value.response.status_code == 403


@pytest.mark.parametrize("payload", [{"token": "{}"}, {"authorization": "Bearer {}"}, {"Authorization": "bearer {}"}])
async def test_the_token_comes_with_the_introduction(web: Web, payload: dict[str, str]) -> None:
    async with web.introduced(**{name: value.format(token()) for name, value in payload.items()}) as talk:
        await talk.subscribe("1", "{ __typename }")
        assert await talk.next_data("1") == {"__typename": "Query"}


async def test_the_token_may_come_with_the_handshake(web: Web) -> None:
    async with web.talk(Authorization=f"Bearer {token()}") as talk:
        await talk.send(type="connection_init")
        assert await talk.receive() == {"type": "connection_ack"}


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ({}, "Send a token in the header `Authorization: Bearer ...`."),
        ({"token": token(secret="another secret of at least 32 bytes")}, "The token's signature is not valid."),
        ({"authorization": "Bearer nonsense"}, "The token is malformed; a JWT is three parts separated by dots."),
        ({"token": 5}, "Send a token in the header `Authorization: Bearer ...`."),
    ],
)
async def test_without_a_valid_token_the_connection_is_closed(web: Web, payload: Message, reason: str) -> None:
    async with web.talk() as talk:
        await talk.send(type="connection_init", payload=payload)
        assert await talk.closed() == (4403, reason)


async def test_who_says_nothing_is_sent_away(web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    assert websocket.INIT_SECONDS == 5
    monkeypatch.setattr(websocket, "INIT_SECONDS", 2)
    async with web.talk() as talk:
        # A ping is no introduction.
        await talk.send(type="ping")
        assert await talk.receive() == {"type": "pong"}
        assert await talk.closed() == (4408, "Connection initialisation timeout")


async def test_the_connection_ends_with_its_token(web: Web, database: Database) -> None:
    _, run = await new_run(database)
    async with web.introduced(token=token(timedelta(seconds=5))) as talk:
        await talk.subscribe("1", RUN_PROGRESS, id=run)
        await talk.subscribe("2", ALERT_RAISED)
        assert await talk.next_data("1")
        assert await talk.closed() == (4403, "token expired")
    await until(lambda: web.live.idle)


async def test_pings_are_answered_with_what_they_carry(web: Web) -> None:
    async with web.introduced() as talk:
        await talk.send(type="ping", payload={"at": 1})
        assert await talk.receive() == {"type": "pong", "payload": {"at": 1}}
        await talk.send(type="pong")
        await talk.send(type="complete", id="never begun")
        await talk.send(type="ping")
        assert await talk.receive() == {"type": "pong"}


async def test_the_order_of_messages_is_kept(web: Web) -> None:
    async with web.talk() as talk:
        await talk.subscribe("1", "{ __typename }")
        assert await talk.closed() == (4401, "Unauthorized")
    async with web.introduced() as talk:
        await talk.send(type="connection_init", payload={"token": token()})
        assert await talk.closed() == (4429, "Too many initialisation requests")
    async with web.introduced() as talk:
        await talk.subscribe("1", ALERT_RAISED)
        await talk.subscribe("1", ALERT_RAISED)
        assert await talk.closed() == (4409, "Subscriber for 1 already exists")


@pytest.mark.parametrize(
    "message",
    [
        "no JSON",
        "[]",
        "1",
        "{}",
        '{"type": 1}',
        '{"type": "start", "id": "1", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe"}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": "{ __typename }"}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
        '{"type": "complete"}',
        b"\x00",
        "[" * 50_000,
    ],
)
async def test_what_is_no_message_closes_the_connection(web: Web, message: str | bytes) -> None:
    async with web.introduced() as talk:
        await talk.socket.send(message)
        code, reason = await talk.closed()
        assert code == 4400
        assert reason


async def test_a_long_message_closes_the_connection(web: Web) -> None:
    async with web.introduced() as talk:
        await talk.subscribe("1", "{ __typename }" + " " * 100_000)
        assert (await talk.closed())[0] == 1009


async def test_a_connection_has_twenty_operations_at_most(web: Web, database: Database) -> None:
    _, run = await new_run(database)
    async with web.introduced() as talk:
        for number in range(20):
            await talk.subscribe(str(number), RUN_PROGRESS, id=run)
        told = {(await talk.receive())["id"] for _ in range(20)}
        assert told == {str(number) for number in range(20)}
        await talk.subscribe("20", RUN_PROGRESS, id=run)
        message = await talk.receive()
        assert (message["id"], message["type"]) == ("20", "error")
        assert error_codes(message) == ["TOO_MANY_OPERATIONS"]
        await talk.send(type="complete", id="7")
        await talk.subscribe("7", RUN_PROGRESS, id=run)
        assert (await talk.next_data("7"))["runProgress"]["status"] == "QUEUED"


async def test_a_completed_subscription_says_nothing_more(web: Web, database: Database) -> None:
    first, run = await new_run(database)
    _, other = await new_run(database, day=date(2026, 1, 1))
    async with web.introduced() as talk:
        await talk.subscribe("1", RUN_PROGRESS, id=run)
        await talk.next_data("1")
        await talk.send(type="complete", id="1")
        await talk.subscribe("2", RUN_PROGRESS, id=other)
        await talk.next_data("2")
        await claimed(database, first)
        # The same id means another operation now.
        await talk.subscribe("1", RUN_PROGRESS, id=other)
        assert (await talk.next_data("1"))["runProgress"]["id"] == other


async def test_nothing_is_left_of_a_connection(web: Web, database: Database) -> None:
    _, run = await new_run(database)
    async with web.introduced() as talk:
        await talk.subscribe("0", "{ __typename }")
        await talk.next_data("0")
        await talk.receive()
    await until(lambda: web.live.idle)
    before = len(asyncio.all_tasks())
    for goodbye in (True, False):
        async with web.introduced() as talk:
            for number in range(10):
                await talk.subscribe(str(number), RUN_PROGRESS if number % 2 else ALERT_RAISED, id=run)
            for _ in range(5):
                await talk.receive()
            assert not web.live.idle
            if not goodbye:
                talk.socket.transport.abort()
        await until(lambda: web.live.idle and len(asyncio.all_tasks()) <= before)


async def test_an_error_from_inside_stays_inside(web: Web, database: Database) -> None:
    _, run = await new_run(database)
    await change(database, "ALTER TABLE runs RENAME COLUMN reason TO reasons")
    with capture_logs() as logs:
        async with web.introduced() as talk:
            await talk.subscribe("1", RUN_PROGRESS, id=run)
            message = await talk.receive()
    assert error_codes(message) == ["INTERNAL"]
    assert "reason" not in orjson.dumps(message).decode()
    assert [log["event"] for log in logs] == ["live_updates_failed", "internal_error"]
