"""GraphQL over WebSocket: the protocol graphql-transport-ws, and no other.

Only https://github.com/enisdenjo/graphql-ws/blob/master/PROTOCOL.md is spoken; the close codes are its own. A
connection carries one caller, whose token comes with `connection_init`, and lasts no longer than the token.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import structlog
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from app.auth.tokens import Viewer
from app.errors import ExpectedError, Unavailable
from app.graphql.http import GraphQLEndpoint, Operation, Refused, bearer, coded_error, operation_of
from app.graphql.streaming import answers

PROTOCOL = "graphql-transport-ws"
# Seconds within which a new connection has to introduce itself.
INIT_SECONDS = 5.0
# Operations that one connection may have under way.
MAX_OPERATIONS = 20
# Seconds for the last message to a caller who may not be reading.
CLOSE_SECONDS = 3.0

# The longest reason that a close frame can hold, in bytes.
_MAX_REASON = 123

Message = dict[str, Any]


@dataclass(frozen=True)
class WebSocketEndpoint:
    """Serves WebSocket connections to the same API as `endpoint`.

    A browser is let in from this server's own pages and from `allowed_origins`; others send no Origin header.
    """

    endpoint: GraphQLEndpoint
    allowed_origins: frozenset[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection until it ends."""
        websocket = WebSocket(scope, receive, send)
        if not self._is_welcome(websocket):
            # Without an accepted handshake this is an answer with the status 403.
            await websocket.close()
            return
        if PROTOCOL not in scope["subprotocols"]:
            # The handshake is accepted, since the code could not be told otherwise.
            await websocket.accept()
            await websocket.close(4406, "Subprotocol not acceptable")
            return
        await websocket.accept(PROTOCOL)
        await Conversation(self.endpoint, websocket).hold()

    def _is_welcome(self, websocket: WebSocket) -> bool:
        origin = websocket.headers.get("origin")
        if origin is None or origin.lower() in self.allowed_origins:
            return True
        # A proxy that ends TLS changes the scheme, so that the host and its port have to do.
        return urlsplit(origin.lower()).netloc == websocket.headers.get("host", "").lower() != ""


class Close(Exception):
    """The connection has to be closed, for a reason that the other side is told."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()[:_MAX_REASON].decode(errors="ignore")


class Conversation:
    """One accepted connection and its operations under way, by the ids that the caller gave them."""

    def __init__(self, endpoint: GraphQLEndpoint, websocket: WebSocket) -> None:
        self._endpoint = endpoint
        self._websocket = websocket
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()

    async def hold(self) -> None:
        """Talk until one side closes the connection; nothing of it is left then."""
        try:
            await self._talk()
        except Close as close:
            await self._close(close)
        except WebSocketDisconnect:
            # The caller has gone, with or without a word.
            return

    async def _talk(self) -> None:
        viewer = await self._greet()
        left = (viewer.expires_at - datetime.now(UTC)).total_seconds()
        try:
            async with asyncio.timeout(left) as life:
                while True:
                    await self._follow(await self._receive(), viewer)
        except TimeoutError:
            if not life.expired():
                raise
            raise Close(4403, "token expired") from None
        finally:
            tasks = list(self._operations.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _greet(self) -> Viewer:
        """Return the caller, who has introduced itself. Raises Close."""
        try:
            async with asyncio.timeout(INIT_SECONDS):
                while (message := await self._receive())["type"] != "connection_init":
                    if message["type"] == "subscribe":
                        raise Close(4401, "Unauthorized")
                    await self._answer_ping(message)
        except TimeoutError:
            raise Close(4408, "Connection initialisation timeout") from None
        viewer = await bearer(self._authorization(message.get("payload")), self._endpoint.verifier)
        if isinstance(viewer, Unavailable):
            raise Close(1013, viewer.message)
        if isinstance(viewer, ExpectedError):
            raise Close(4403, viewer.message)
        await self._send({"type": "connection_ack"})
        return viewer

    def _authorization(self, payload: object) -> str:
        """Return what stands for the header `Authorization`, which browsers cannot set on a WebSocket."""
        if not isinstance(payload, dict | None):
            raise Close(4400, "The payload of connection_init must be an object.")
        for name, value in (payload or {}).items():
            if isinstance(value, str) and name.lower() == "authorization":
                return value
            if isinstance(value, str) and name == "token":
                return f"Bearer {value}"
        return self._websocket.headers.get("authorization", "")

    async def _follow(self, message: Message, viewer: Viewer) -> None:
        """Do what a message asks for. Raises Close."""
        match message:
            case {"type": "connection_init"}:
                raise Close(4429, "Too many initialisation requests")
            case {"type": "subscribe", "id": str(key), "payload": dict(payload)} if key:
                await self._subscribe(key, payload, viewer)
            case {"type": "complete", "id": str(key)}:
                if task := self._operations.pop(key, None):
                    task.cancel()
            case _:
                await self._answer_ping(message)

    async def _answer_ping(self, message: Message) -> None:
        match message:
            case {"type": "ping", "payload": dict(payload)}:
                await self._send({"type": "pong", "payload": payload})
            case {"type": "ping"}:
                await self._send({"type": "pong"})
            case {"type": "pong"}:
                pass
            case _:
                raise Close(4400, f"Invalid message of the type {message['type'][:40]!r}")

    async def _subscribe(self, key: str, payload: Message, viewer: Viewer) -> None:
        if key in self._operations:
            raise Close(4409, f"Subscriber for {key} already exists")
        if len(self._operations) >= MAX_OPERATIONS:
            message = f"A connection may have {MAX_OPERATIONS} operations under way at the same time."
            await self._refuse(key, "TOO_MANY_OPERATIONS", message)
            return
        try:
            operation = operation_of(payload)
        except Refused as refused:
            await self._refuse(key, refused.code, refused.message)
            return
        self._operations[key] = asyncio.create_task(self._carry_out(key, operation, viewer))

    async def _carry_out(self, key: str, operation: Operation, viewer: Viewer) -> None:
        """Execute one operation and send what it answers."""
        # Each operation is a request of its own to the log, and to the run that it may start.
        identifier = uuid4().hex
        scope = self._websocket.scope
        connection = HTTPConnection({**scope, "state": {**scope.get("state", {}), "request_id": identifier}})
        structlog.contextvars.bind_contextvars(request_id=identifier)
        last: Message = {"id": key, "type": "complete"}
        try:
            async with aclosing(answers(self._endpoint, connection, viewer, operation)) as coming:
                async for answer in coming:
                    if not answer.executed:
                        last = {"id": key, "type": "error", "payload": answer.payload["errors"]}
                        break
                    await self._send({"id": key, "type": "next", "payload": answer.payload})
            # The id is free before the caller can know that it is.
            del self._operations[key]
            await self._send(last)
        except WebSocketDisconnect:
            # The caller has gone, which ends the conversation as well.
            return

    async def _refuse(self, key: str, code: str, message: str) -> None:
        await self._send({"id": key, "type": "error", "payload": [coded_error(code, message)]})

    async def _receive(self) -> Message:
        """Return the next message. Raises WebSocketDisconnect, and Close for what is not one."""
        received = await self._websocket.receive()
        if received["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(received.get("code", 1005))
        text = received.get("text")
        if text is None:
            raise Close(4400, "Messages must be text.")
        data = text.encode()
        if len(data) > self._endpoint.max_request_bytes:
            raise Close(1009, f"A message must not be longer than {self._endpoint.max_request_bytes:,} bytes.")
        try:
            message = orjson.loads(data)
        except orjson.JSONDecodeError:
            raise Close(4400, "Messages must be JSON.") from None
        if not isinstance(message, dict) or not isinstance(message.get("type"), str):
            raise Close(4400, "Messages must be JSON objects with a type.")
        return message

    async def _send(self, message: Message) -> None:
        # One at a time: a caller who does not read must not make its operations wait in memory.
        async with self._sending:
            await self._websocket.send_text(orjson.dumps(message).decode())

    async def _close(self, close: Close) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._websocket.close(close.code, close.reason)
        except (TimeoutError, WebSocketDisconnect):
            # It does not read, or has gone; the server drops the connection when this returns.
            return
