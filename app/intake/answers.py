"""How what is sent in is answered: JSON, and an error with a code, a message, and the field that is wrong."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.errors import Conflict, ExpectedError, Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable
from app.graphql.errors import INTERNAL_MESSAGE, expected_error
from app.graphql.http import NOT_KEPT, request_id

_log = structlog.get_logger(__name__)

_STATUS: tuple[tuple[type[ExpectedError], int], ...] = (
    (Unauthenticated, 401),
    (Forbidden, 403),
    (NotFound, 404),
    (Conflict, 409),
    (InvalidInput, 400),
    (Unavailable, 503),
)
# Senders try again after so many seconds.
_HEADERS: Mapping[int, Mapping[str, str]] = {
    401: {"WWW-Authenticate": 'Basic realm="client-health"'},
    408: {"Retry-After": "1"},
    429: {"Retry-After": "1"},
    503: {"Retry-After": "2"},
}


class Refusal(Exception):
    """A request that is not carried out, for a reason that HTTP has a status of its own for.

    `details` are said beside the code and the message.
    """

    def __init__(
        self, status: int, code: str, message: str, *, headers: Mapping[str, str] | None = None, **details: object
    ) -> None:
        super().__init__(message)
        self.status = status
        self.headers = headers or {}
        self.content = {"code": code, "message": message, **details}


def json_answer(content: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Return an answer that no cache keeps."""
    return Response(orjson.dumps(content), status, {**NOT_KEPT, **(headers or {})}, "application/json")


@dataclass(frozen=True)
class Answering:
    """An ASGI application out of a function that answers one request, or raises why it does not."""

    answer: Callable[[Request], Awaitable[Response]]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self.answer(request)
        except ClientDisconnect:
            # Nobody is left to read an answer.
            return
        except Exception as error:  # noqa: BLE001 - The last resort: nothing from inside may reach the caller.
            response = _error_answer(error, request)
        await response(scope, receive, send)


def _error_answer(error: Exception, request: Request) -> Response:
    if not isinstance(error, Refusal):
        error = _refusal_of(error, request)
    return json_answer(error.content, error.status, {**_HEADERS.get(error.status, {}), **error.headers})


def _refusal_of(error: Exception, request: Request) -> Refusal:
    expected = expected_error(error)
    if expected is None:
        _log.error("internal_error", request_id=request_id(request), exc_info=error)
        return Refusal(500, "INTERNAL", INTERNAL_MESSAGE)
    if expected is not error and isinstance(expected, Unavailable):
        # Without the statement, which SQLAlchemy would show together with the rows that were sent.
        cause = getattr(error, "orig", None) or error
        _log.warning("unavailable", request_id=request_id(request), reason=f"{type(cause).__name__}: {cause}")
    status = next((status for kind, status in _STATUS if isinstance(expected, kind)), 400)
    if isinstance(expected, InvalidInput):
        return Refusal(status, expected.code, expected.message, field=expected.field)
    return Refusal(status, expected.code, expected.message)
