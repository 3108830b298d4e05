"""Executing an operation whose results come one by one, the same for server-sent events and for WebSocket."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import structlog
from graphql import GraphQLError
from starlette.requests import HTTPConnection
from strawberry.schema.exceptions import CannotGetOperationTypeError
from strawberry.types import ExecutionResult
from strawberry.types.execution import PreExecutionError

from app.auth.tokens import Viewer
from app.graphql.errors import INTERNAL_MESSAGE, coded_errors
from app.graphql.http import GraphQLEndpoint, Operation, coded_error, no_operation, request_id
from app.graphql.limits import VALID

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Answer:
    """One result as it goes to the caller; `executed` is false when the document was refused."""

    payload: dict[str, Any]
    executed: bool


async def answers(
    endpoint: GraphQLEndpoint,
    connection: HTTPConnection,
    viewer: Viewer,
    operation: Operation,
    heard: asyncio.Event | None = None,
) -> AsyncGenerator[Answer, None]:
    """Yield the only result of a query or a mutation, or the results of a subscription until it ends.

    Errors are coded as they are over HTTP. Close the generator to end a subscription. `heard` is set when a
    subscription misses nothing from then on; one whose first result comes at once need not set it.
    """
    identifier = request_id(connection)
    try:
        context = await endpoint.make_context(connection, viewer)
        context.heard = heard or context.heard
        results = await endpoint.schema.stream(
            operation.query,
            variable_values=operation.variables,
            context_value=context,
            operation_name=operation.name,
        )
        async with aclosing(results):
            async for result in results:
                yield _answer(result, operation, identifier)
    except GraphQLError as error:
        # The parser's, which comes before there is a result that could hold it.
        yield Answer({"errors": coded_errors([error], executed=False, request_id=identifier)}, executed=False)
    except Exception as error:  # noqa: BLE001 - The last resort: nothing from inside may reach the caller.
        _log.error("internal_error", request_id=identifier, exc_info=error)
        yield Answer({"errors": [coded_error("INTERNAL", INTERNAL_MESSAGE, requestId=identifier)]}, executed=True)


def _answer(result: object, operation: Operation, identifier: str) -> Answer:
    if not isinstance(result, ExecutionResult):
        raise TypeError("incremental delivery is not part of this schema")
    if not result.errors:
        return Answer({"data": result.data}, executed=True)
    if isinstance(result.errors[0].original_error, CannotGetOperationTypeError):
        return Answer({"errors": [coded_error("BAD_REQUEST", no_operation(operation))]}, executed=False)
    # Errors in the variables of a subscription look like errors in its document, which was valid then.
    executed = not isinstance(result, PreExecutionError) or bool((result.extensions or {}).get(VALID))
    errors = coded_errors(result.errors, executed=executed, request_id=identifier)
    # What failed before the first field has no data, not even null.
    if any(error.path is None for error in result.errors):
        return Answer({"errors": errors}, executed=executed)
    return Answer({"data": result.data, "errors": errors}, executed=True)
