"""GraphQL as server-sent events: the protocol graphql-sse, with one connection for each operation.

A request is the same as over plain HTTP, and so is the answer to one that cannot be understood. Everything else is
answered by events: `next` with a result, `complete` after the last one.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.auth.tokens import Viewer
from app.errors import ExpectedError, Unauthenticated
from app.graphql.http import STATUS_OF_CODE, GraphQLEndpoint, coded_error, errors_response
from app.graphql.streaming import Answer, answers

# Seconds of silence after which a comment is sent, before a proxy takes the connection for a dead one; as often it is
# found out whether the caller may still listen.
HEARTBEAT_SECONDS = 15.0
# Seconds after which a stream begins although its caller is not heard yet: a server that stops must not wait for it.
HEARD_SECONDS = 2.0
# Seconds that a stream may take for its last words when the server stops.
LAST_WORDS_SECONDS = 3.0

EXPIRED = "The token has expired; subscribe again with a new one."

_COMMENT = b":\n\n"
# A browser's EventSource drops an event that has no data field.
_COMPLETE = b"event: complete\ndata:\n\n"
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@dataclass(frozen=True)
class StreamEndpoint(GraphQLEndpoint):
    """The endpoint for subscriptions; queries and mutations are served, too. All of them need a valid token.

    `closing` is set when the server is about to stop.
    """

    closing: asyncio.Event

    async def answer(self, request: Request) -> Response:
        """Return the stream, or a plain answer to a caller without a valid token. Raises Refused."""
        operation = await self.read_operation(request)
        viewer = await self.caller(request)
        if isinstance(viewer, ExpectedError):
            status = STATUS_OF_CODE.get(viewer.code, 400)
            headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
            return errors_response(status, [coded_error(viewer.code, viewer.message)], headers=headers)

        async def refusal() -> ExpectedError | None:
            again = await self.caller(request)
            return again if isinstance(again, Unauthenticated) else None

        heard = asyncio.Event()
        coming = answers(self, request, viewer, operation, heard)
        return EventStream(coming, viewer, refusal, heard, self.closing)


class EventStream(Response):
    """A response that sends answers as they come, until they end or the caller goes away.

    It begins when the caller is `heard`, so that whoever asks for the present state afterwards misses nothing. It ends
    as well when the token expires, and soon after the session has ended: `refusal`, which is asked now and then, says
    why the caller may not listen any longer, or None.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        coming: AsyncGenerator[Answer, None],
        viewer: Viewer,
        refusal: Callable[[], Awaitable[ExpectedError | None]],
        heard: asyncio.Event,
        closing: asyncio.Event,
    ) -> None:
        super().__init__(headers=_HEADERS)
        del self.headers["content-length"]
        self._coming = coming
        self._expires_at = viewer.expires_at
        self._refusal = refusal
        self._heard = heard
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the whole stream."""
        sending = asyncio.create_task(self._send_events(send))
        leaving = asyncio.create_task(_left(receive))
        closing = asyncio.create_task(self._closing.wait())
        tasks = {sending, leaving, closing}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            if closing.done():
                # The subscriptions end by themselves now; a caller who does not read must not hold up the server.
                await asyncio.wait({sending, leaving}, timeout=LAST_WORDS_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            outcomes = await asyncio.gather(*tasks, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception):
                raise outcome

    async def _send_events(self, send: Send) -> None:
        async def write(event: bytes, *, more: bool = True) -> None:
            await send({"type": "http.response.body", "body": event, "more_body": more})

        async with aclosing(self._coming):
            first = asyncio.create_task(anext(self._coming, None))
            heard = asyncio.create_task(self._heard.wait())
            answer: asyncio.Task[Answer | None] | None = first
            asked_at = monotonic()
            try:
                await asyncio.wait({first, heard}, timeout=HEARD_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
                await write(_COMMENT)
                while True:
                    answer = answer or asyncio.create_task(anext(self._coming, None))
                    left = (self._expires_at - datetime.now(UTC)).total_seconds()
                    await asyncio.wait({answer}, timeout=max(0.0, min(HEARTBEAT_SECONDS, left)))
                    if left <= 0:
                        await write(_next({"errors": [coded_error(Unauthenticated.code, EXPIRED)]}))
                        break
                    if monotonic() - asked_at >= HEARTBEAT_SECONDS:
                        asked_at, refusal = monotonic(), await self._refusal()
                        if refusal is not None:
                            await write(_next({"errors": [coded_error(refusal.code, refusal.message)]}))
                            break
                    if not answer.done():
                        await write(_COMMENT)
                        continue
                    result, answer = answer.result(), None
                    if result is None:
                        break
                    await write(_next(result.payload))
            finally:
                heard.cancel()
                if answer is not None:
                    answer.cancel()
                    await asyncio.wait({answer})
        await write(_COMPLETE, more=False)


def _next(payload: dict[str, Any]) -> bytes:
    return b"event: next\ndata: " + orjson.dumps(payload) + b"\n\n"


async def _left(receive: Receive) -> None:
    """Wait until the caller has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
