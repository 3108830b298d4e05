"""Signing in with a code, and signing out."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import orjson
import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from app.auth.sessions import Sessions, cookie_in
from app.dashboard.files import HEADERS
from app.errors import ExpectedError, InvalidInput, Unavailable
from app.graphql.errors import expected_error
from app.graphql.http import NOT_KEPT, STATUS_OF_CODE, coded_error, errors_response, own_origin, request_id

MAX_BYTES = 1_000

_log = structlog.get_logger(__name__)


def session_endpoint(sessions: Sessions) -> Callable[[Request], Awaitable[Response]]:
    """Return what answers POST, which starts a session by a code, and DELETE, which ends it.

    Both are for the dashboard's own pages only. A refusal has the form of the API's errors, and changes nothing.
    """

    async def answer(request: Request) -> Response:
        try:
            sessions.require_same_origin(request.headers, own_origin(request))
            if request.method == "DELETE":
                return await sign_out(request, sessions)
            token, viewer = await sessions.start_by_code(await _code(request), datetime.now(UTC))
        except ClientDisconnect:
            # Nobody is left to read an answer.
            return Response(status_code=204)
        except Exception as error:
            expected = expected_error(error)
            if expected is None:
                raise
            if isinstance(expected, Unavailable):
                _log.warning("unavailable", request_id=request_id(request), reason=f"{type(error).__name__}: {error}")
            return _refusal(expected)
        _log.info("signed_in", subject=viewer.subject, role=viewer.role, by="code")
        response = Response(status_code=204, headers={**HEADERS, **NOT_KEPT})
        set_session(response, sessions, token)
        return response

    return answer


async def sign_out(request: Request, sessions: Sessions) -> Response:
    """End the session of the request's cookie, if there is one, and take the cookie back."""
    name = sessions.cookie("session")
    token = cookie_in(request.headers.getlist("cookie"), name)
    if token is not None:
        await sessions.end(token)
    response = Response(status_code=204, headers={**HEADERS, **NOT_KEPT})
    response.delete_cookie(name, secure=sessions.secure, httponly=True, samesite="strict")
    return response


def set_session(response: Response, sessions: Sessions, token: str) -> None:
    """Give the browser the cookie of its session, which no script can read and no other site can have sent."""
    response.set_cookie(
        sessions.cookie("session"),
        token,
        max_age=int(sessions.lifetime.total_seconds()),
        secure=sessions.secure,
        httponly=True,
        samesite="strict",
    )


async def _code(request: Request) -> str:
    """Return the code in the body, as in {"code": "..."}. Raises InvalidInput."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BYTES:
            raise InvalidInput("code", f"The body must not be longer than {MAX_BYTES:,} bytes.")
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput("code", "The body must be JSON in UTF-8.") from error
    match data:
        case {"code": str(code)} if code:
            return code
        case _:
            raise InvalidInput("code", "The body must be a JSON object with the field `code`.")


def _refusal(error: ExpectedError) -> Response:
    status = STATUS_OF_CODE.get(error.code, 400)
    return errors_response(status, [coded_error(error.code, error.message)], headers=HEADERS)
