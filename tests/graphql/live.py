"""A real web server with subscribers, and runs and alerts that change while they look."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2
import orjson
from sqlalchemy import text
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from app.auth.tokens import Role, issue_token
from app.database import Database
from app.graphql.live import Hub
from app.graphql.pagination import global_id
from app.runs import service
from app.runs.models import RunKind
from app.server import Server, server
from app.settings import Settings
from tests.conftest import TEST_SECRET
from tests.factories import add_rows

Message = dict[str, Any]

HOST = "127.0.0.1"
PROTOCOL = "graphql-transport-ws"
RUN_PROGRESS = "subscription ($id: ID!) { runProgress(id: $id) { id status total done failed reason } }"
ALERT_RAISED = "subscription { alertRaised { id kind status message scoreBefore scoreAfter client { id name } } }"
PATIENCE = 10.0


def token(lifetime: timedelta = timedelta(hours=1), role: Role = Role.PLATFORM_ADMIN, secret: str = TEST_SECRET) -> str:
    """Return a token that was issued right now."""
    return issue_token(
        secret,
        subject="anna@example.com",
        role=role,
        lifetime=lifetime,
        now=datetime.now(UTC),
        issuer="client-health",
        audience="client-health",
    )


async def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail when that takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it never happened"
        await asyncio.sleep(0.01)


@dataclass
class Talk:
    """A client's side of one WebSocket connection."""

    socket: ClientConnection

    async def send(self, **message: Any) -> None:
        """Send one message."""
        await self.socket.send(orjson.dumps(message).decode())

    async def receive(self) -> Message:
        """Return the next message."""
        async with asyncio.timeout(PATIENCE):
            message: Message = orjson.loads(await self.socket.recv())
        return message

    async def introduce(self, **payload: Any) -> None:
        """Introduce oneself and be accepted."""
        await self.send(type="connection_init", payload=payload or {"token": token()})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, key: str, query: str, **variables: Any) -> None:
        """Begin an operation."""
        await self.send(type="subscribe", id=key, payload={"query": query, "variables": variables})

    async def next_data(self, key: str) -> Any:
        """Return the data of the next message, which has to be a result without errors."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", key), message
        assert message["payload"].keys() == {"data"}, message
        return message["payload"]["data"]

    async def closed(self) -> tuple[int | None, str | None]:
        """Return the code and the reason with which the server closes the connection."""
        async with asyncio.timeout(PATIENCE):
            await self.socket.wait_closed()
        return self.socket.close_code, self.socket.close_reason


@dataclass
class Web:
    """A running web server."""

    port: int
    serving: Server | None = None

    @property
    def live(self) -> Hub:
        """The server's subscribers."""
        assert self.serving is not None
        hub: Hub = self.serving.config.app.state.live  # type: ignore[union-attr]
        return hub

    @asynccontextmanager
    async def talk(self, protocol: str | None = PROTOCOL, **headers: str) -> AsyncIterator[Talk]:
        """Yield an open connection that has not introduced itself."""
        async with connect(
            f"ws://{HOST}:{self.port}/graphql",
            subprotocols=None if protocol is None else [Subprotocol(protocol)],
            additional_headers=headers,
            open_timeout=PATIENCE,
            proxy=None,
        ) as socket:
            yield Talk(socket)

    @asynccontextmanager
    async def introduced(self, **payload: Any) -> AsyncIterator[Talk]:
        """Yield a connection that is ready for operations."""
        async with self.talk() as talk:
            await talk.introduce(**payload)
            yield talk

    @asynccontextmanager
    async def stream(
        self, query: str, variables: Message | None = None, *, authorization: str | None = None
    ) -> AsyncIterator[httpx2.Response]:
        """Yield the response of an event stream."""
        headers = {
            "Accept": "text/event-stream",
            "Authorization": authorization or f"Bearer {token()}",
            "Content-Type": "application/json",
        }
        content = orjson.dumps({"query": query, "variables": variables})
        async with (
            httpx2.AsyncClient(timeout=PATIENCE, trust_env=False) as http,
            http.stream("POST", f"http://{HOST}:{self.port}/graphql/stream", content=content, headers=headers) as got,
        ):
            yield got


@asynccontextmanager
async def running_web(settings: Settings, *, port: int = 0) -> AsyncIterator[Web]:
    """Yield a web server, on a free port unless one is given, which has stopped when this ends."""
    serving = server(settings, host=HOST, port=port)
    task = asyncio.create_task(serving.serve())
    await until(lambda: serving.started or task.done())
    try:
        yield Web(serving.servers[0].sockets[0].getsockname()[1], serving)
    finally:
        serving.should_exit = True
        await task


async def events(response: httpx2.Response) -> AsyncIterator[tuple[str, Any]]:
    """Yield the events of a stream with their data; a comment is an event named `:`."""
    name, data = "", ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(":")
        if line.startswith(":"):
            name = ":"
        elif field == "event":
            name = value.strip()
        elif field == "data":
            data = value.strip()
        elif not line:
            yield name, orjson.loads(data) if data else None
            name, data = "", ""


async def new_run(database: Database, kind: RunKind = RunKind.RECALCULATE_ALL, day: Any = None) -> tuple[int, str]:
    """Accept a run and return its key and its id."""
    async with database.begin() as session:
        key = await service.request(session, kind, requested_by="anna", now=datetime.now(UTC), day=day)
    return key, str(global_id("Run", key))


async def claimed(database: Database, key: int, lease: timedelta = timedelta(seconds=60)) -> service.Claim:
    """Claim a run."""
    async with database.begin() as session:
        claim = await service.claim(session, key, lease)
    assert claim is not None
    return claim


async def advance(database: Database, claim: service.Claim, done: int) -> None:
    """Record progress of a run."""
    async with database.begin() as session:
        await service.advance(session, claim, done=done, position=0)


async def finish(database: Database, claim: service.Claim) -> None:
    """Finish a run."""
    async with database.begin() as session:
        await service.finish(session, claim)


async def change(database: Database, statement: str, **values: Any) -> None:
    """Execute one statement in a transaction."""
    async with database.begin() as session:
        await session.execute(text(statement), values)


def alert_row(client_id: int, number: int = 0) -> Message:
    """Return the row of an alert that can be told from others by its message."""
    return {
        "client_id": client_id,
        "day": datetime.now(UTC).date(),
        "kinds": ["SCORE_DROP"],
        "kind": "SCORE_DROP",
        "status": "OPEN",
        "message": f"alert {number}",
        "score_before": 90,
        "score_after": 70,
        "raised_at": datetime.now(UTC),
    }


async def raise_alerts(database: Database, client_id: int, *numbers: int) -> list[int]:
    """Write alerts in one transaction and return their ids."""
    return await add_rows(database, "alerts", [alert_row(client_id, number) for number in numbers])
