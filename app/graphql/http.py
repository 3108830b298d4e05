"""GraphQL over HTTP: POST with JSON, a bearer token, and an answer in GraphQL's shape to every request.

The dashboard's pages send the cookie of their session instead of a token.

Whatever arrives, the answer is {"errors": [{"message", "extensions": {"code"}}]} or a result; only a fault of this
service is answered with 500. Queries by GET are refused, so that no link or image on a strange page can send one.

The endpoint is written here instead of derived from Strawberry's: of that view's thirteen hooks eleven would have to
be replaced, and what is left (GET, forms, batches, an IDE, the legacy WebSocket protocol) is what must not be served.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

import orjson
import strawberry
import structlog
from graphql import GraphQLError
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types import ExecutionContext, ExecutionResult
from strawberry.types.execution import PreExecutionError
from strawberry.types.graphql import OperationType

from app.auth.sessions import Sessions, cookie_in
from app.auth.tokens import Verifier, Viewer
from app.errors import ExpectedError, Unauthenticated, Unavailable
from app.graphql.compression import MIN_BYTES, accepts_gzip, compressed
from app.graphql.errors import INTERNAL_MESSAGE, coded_errors, expected_error

JSON = "application/json"
GRAPHQL_RESPONSE = "application/graphql-response+json"

# What an answer without data is called in HTTP where the caller asked for that; 400 is any other code.
STATUS_OF_CODE = {"UNAUTHENTICATED": 401, "FORBIDDEN": 403, "INTERNAL": 500, "UNAVAILABLE": 503}

# What is for one caller is for no cache on the way, and is never taken for another kind of file.
NOT_KEPT = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

# Bytes beyond the limit that are read and thrown away, so that the caller can be told.
DISCARDED_BYTES = 10_000_000

# Builds the context of a request from who sent it, or from the reason why that is not known.
MakeContext = Callable[[HTTPConnection, Viewer | ExpectedError], Awaitable[Any]]

_log = structlog.get_logger(__name__)


class Schema(strawberry.Schema):
    """A schema that leaves the logging of errors to the endpoint, which knows which of them are expected."""

    def process_errors(self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None) -> None:
        """Log nothing: `coded_errors` logs each unexpected error once, and Strawberry would log them all."""


class Refused(Exception):
    """A request that is answered without its operation being executed."""

    def __init__(self, status: int, code: str, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers


@dataclass(frozen=True)
class Operation:
    """What the body of a request asks for."""

    query: str
    name: str | None
    variables: dict[str, Any] | None


def operation_of(data: Mapping[str, Any]) -> Operation:
    """Return what a JSON object asks for. Raises Refused."""
    query, name, variables = data.get("query"), data.get("operationName"), data.get("variables")
    if not isinstance(query, str) or not query.strip():
        raise Refused(400, "BAD_REQUEST", "`query` must be a string that holds a GraphQL document.")
    if not isinstance(name, str | None):
        raise Refused(400, "BAD_REQUEST", "`operationName` must be a string or null.")
    if not isinstance(variables, dict | None):
        raise Refused(400, "BAD_REQUEST", "`variables` must be an object or null.")
    if not isinstance(data.get("extensions"), dict | None):
        raise Refused(400, "BAD_REQUEST", "`extensions` must be an object or null.")
    # An empty name is how some clients say that there is none.
    return Operation(query, name or None, variables)


def request_id(connection: HTTPConnection) -> str:
    """Return the id of a request: the one that a middleware put into its state, else a new one that is kept there."""
    state = connection.scope.setdefault("state", {})
    return cast("str", state.setdefault("request_id", uuid4().hex))


async def viewer_of(connection: HTTPConnection, verifier: Verifier) -> Viewer | ExpectedError:
    """Return who the bearer token of the request speaks for, or why that is not known."""
    return await bearer(connection.headers.get("authorization", ""), verifier)


async def viewer_of_session(connection: HTTPConnection, sessions: Sessions, token: str) -> Viewer | ExpectedError:
    """Return whose session the token in the request's cookie is, or why that is not known.

    A cookie is sent along with whatever a strange page makes the browser ask for, so that it counts for requests of
    this service's own pages only.
    """
    try:
        sessions.require_same_origin(connection.headers, own_origin(connection))
        return await sessions.find(token, datetime.now(UTC))
    except Exception as error:
        expected = expected_error(error)
        if expected is None:
            raise
        if isinstance(expected, Unavailable):
            _log.warning("unavailable", request_id=request_id(connection), reason=f"{type(error).__name__}: {error}")
        return expected


def own_origin(connection: HTTPConnection) -> str:
    """Return the scheme and the host that the request was sent to."""
    return f"{connection.url.scheme}://{connection.headers.get('host', '')}"


async def bearer(authorization: str, verifier: Verifier) -> Viewer | ExpectedError:
    """Return who `Bearer ...` speaks for, or why that is not known."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        return Unauthenticated("Send a token in the header `Authorization: Bearer ...`.")
    try:
        return await verifier.verify(token.strip(), now=datetime.now(UTC))
    except ExpectedError as error:
        return error


@dataclass(frozen=True)
class GraphQLEndpoint:
    """The endpoint of the API, an ASGI application.

    Without a valid token, mutations are executed, so that they can refuse with a typed error: each of their
    resolvers has to look at the viewer. All other operations are answered UNAUTHENTICATED without being executed.
    """

    schema: Schema
    verifier: Verifier
    make_context: MakeContext
    max_request_bytes: int
    # Without them no cookie is looked at.
    sessions: Sessions | None = field(default=None, kw_only=True)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request = Request(scope, receive)
        try:
            response = await self.answer(request)
        except ClientDisconnect:
            # Nobody is left to read an answer.
            return
        except Refused as refused:
            request.scope.setdefault("state", {})["code"] = refused.code
            response = errors_response(
                refused.status, [coded_error(refused.code, refused.message)], headers=refused.headers
            )
        except Exception as error:  # noqa: BLE001 - The last resort: nothing from inside may reach the caller.
            _log.error("internal_error", request_id=request_id(request), exc_info=error)
            request.scope.setdefault("state", {})["code"] = "INTERNAL"
            response = errors_response(500, [coded_error("INTERNAL", INTERNAL_MESSAGE, requestId=request_id(request))])
        await response(scope, receive, send)

    async def answer(self, request: Request) -> Response:
        """Return the answer to one request. Raises Refused."""
        operation = await self.read_operation(request)
        viewer = await self.caller(request)
        if isinstance(viewer, ExpectedError):
            allowed, refusal = {OperationType.MUTATION}, viewer
        else:
            allowed, refusal = {OperationType.QUERY, OperationType.MUTATION}, None
        try:
            result = await self.schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=await self.make_context(request, viewer),
                operation_name=operation.name,
                allowed_operation_types=allowed,
            )
        except CannotGetOperationTypeError as error:
            raise Refused(400, "BAD_REQUEST", no_operation(operation)) from error
        except InvalidOperationTypeError as error:
            if refusal is None:
                raise Refused(400, "BAD_REQUEST", "Subscriptions are not served at this address.") from error
            result = _refusal(refusal)
        if refusal is not None and isinstance(result, PreExecutionError):
            # What is wrong with a document would tell a stranger what the schema holds.
            result = _refusal(refusal)
        if not isinstance(result, PreExecutionError) and refusal is None:
            # Strangers, and documents without such an operation, do not choose what is counted.
            request.scope.setdefault("state", {})["operation"] = operation.name
        return self._shortened(request, _response(request, result))

    async def caller(self, request: Request) -> Viewer | ExpectedError:
        """Return who sends the request, by its token or else by its session, or why that is not known."""
        if "authorization" not in request.headers and self.sessions is not None:
            token = cookie_in(request.headers.getlist("cookie"), self.sessions.cookie("session"))
            if token is not None:
                return await viewer_of_session(request, self.sessions, token)
        return await viewer_of(request, self.verifier)

    def _shortened(self, request: Request, response: Response) -> Response:
        """Compress a long answer to a browser; programs, which send tokens, are near and would rather not wait."""
        if "authorization" in request.headers or len(response.body) < MIN_BYTES or not accepts_gzip(request.headers):
            return response
        headers = {**NOT_KEPT, "Content-Encoding": "gzip", "Vary": "Accept-Encoding"}
        return Response(compressed(bytes(response.body)), response.status_code, headers, response.media_type)

    async def read_operation(self, request: Request) -> Operation:
        """Return what the request asks for. Raises Refused."""
        if request.method != "POST":
            raise Refused(405, "METHOD_NOT_ALLOWED", "Send GraphQL requests with POST.", {"Allow": "POST"})
        if _essence(request.headers.get("content-type", "")) != JSON:
            raise Refused(415, "UNSUPPORTED_MEDIA_TYPE", f"Send the header `Content-Type: {JSON}`.")
        try:
            data = orjson.loads(await self._read_body(request))
        except orjson.JSONDecodeError as error:
            raise Refused(400, "BAD_REQUEST", "The body must be JSON in UTF-8.") from error
        if not isinstance(data, dict):
            raise Refused(400, "BAD_REQUEST", "The body must be one JSON object with the field `query`.")
        return operation_of(data)

    async def _read_body(self, request: Request) -> bytes:
        """Return the body, of which no more is kept than a request may hold."""
        body = bytearray()
        length = 0
        async for chunk in request.stream():
            length += len(chunk)
            if length <= self.max_request_bytes:
                body += chunk
            # Somewhat too long a body is read to its end, since a caller who is still sending would find the
            # connection reset instead of the answer.
            if length > self.max_request_bytes + DISCARDED_BYTES:
                break
        if length > self.max_request_bytes:
            message = f"The body must not be longer than {self.max_request_bytes:,} bytes."
            raise Refused(413, "REQUEST_TOO_LARGE", message, {"Connection": "close"})
        return bytes(body)


def _refusal(refusal: ExpectedError) -> PreExecutionError:
    return PreExecutionError(data=None, errors=[GraphQLError(refusal.message, original_error=refusal)])


def no_operation(operation: Operation) -> str:
    """Return why there is nothing to execute in a document without the operation."""
    if operation.name is None:
        return "The document has no operation."
    return f"The document has no operation named `{operation.name}`."


def coded_error(code: str, message: str, **extensions: str) -> dict[str, Any]:
    """Return an error as it goes to the caller."""
    return {"message": message, "extensions": {"code": code, **extensions}}


def errors_response(
    status: int, errors: list[dict[str, Any]], *, media_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """Return an answer without data."""
    return Response(orjson.dumps({"errors": errors}), status, {**NOT_KEPT, **(headers or {})}, media_type)


def _response(request: Request, result: ExecutionResult) -> Response:
    """Return a result in the media type that the caller asked for."""
    media_type = GRAPHQL_RESPONSE if _wants_graphql_response(request.headers.get("accept", "")) else JSON
    if not result.errors:
        return Response(orjson.dumps({"data": result.data}), 200, NOT_KEPT, media_type)
    executed = not isinstance(result, PreExecutionError)
    errors = coded_errors(result.errors, executed=executed, request_id=request_id(request))
    request.scope.setdefault("state", {})["code"] = errors[0]["extensions"]["code"]
    # Errors before the first field, in the variables for example, have no path; any other error left data behind,
    # be it null.
    if all(error.path is not None for error in result.errors):
        return Response(orjson.dumps({"data": result.data, "errors": errors}), 200, NOT_KEPT, media_type)
    # By the GraphQL-over-HTTP specification plain JSON says 200 to every request that is well formed.
    status = 200 if media_type == JSON else STATUS_OF_CODE.get(errors[0]["extensions"]["code"], 400)
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return errors_response(status, errors, media_type=media_type, headers=headers)


def _essence(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def _wants_graphql_response(accept: str) -> bool:
    """Tell whether an Accept header names GraphQL's own media type, and none of JSON's before it."""
    named: dict[str, tuple[float, int]] = {}
    for position, part in enumerate(accept.split(",")):
        media_type, *parameters = part.split(";")
        quality = 1.0
        for parameter in parameters:
            name, _, value = parameter.partition("=")
            if name.strip().lower() == "q":
                quality = _quality(value.strip())
        named.setdefault(_essence(media_type), (quality, -position))
    asked = named.get(GRAPHQL_RESPONSE, (0.0, 0))
    return asked[0] > 0 and asked > named.get(JSON, (0.0, 0))


def _quality(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0
