"""Errors as callers see them: a code for machines, a sentence for people, and nothing from inside this service."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import redis.exceptions
import strawberry
import structlog
from graphql import (
    GraphQLError,
    GraphQLSyntaxError,
    ObjectFieldNode,
    ValueNode,
    VariableDefinitionNode,
    VariableNode,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from strawberry.exceptions import StrawberryInputCoercionError
from strawberry.relay import GlobalIDValueError

from app.errors import (
    Conflict,
    ExpectedError,
    Forbidden,
    InvalidInput,
    NotFound,
    Unauthenticated,
    Unavailable,
    is_outage,
    sqlstate,
)

UNAVAILABLE_MESSAGE = "The database does not answer right now; try again shortly."
INTERNAL_MESSAGE = "Something went wrong on our side."

# PostgreSQL's word for a character that its text cannot hold, which among all of Unicode is NUL alone.
_NOT_IN_REPERTOIRE = "22021"

_log = structlog.get_logger(__name__)


@strawberry.interface(description="What is the matter when a mutation refuses, as data that a front end can select.")
class Error:
    """What every typed error has."""

    code: str = strawberry.field(description="The kind of error in one word for machines, for example NOT_FOUND.")
    message: str = strawberry.field(description="One sentence for the person who made the request.")


@strawberry.type(description="The thing that the mutation is about does not exist.")
class NotFoundError(Error):
    """The typed form of NotFound."""


@strawberry.type(description="An argument has a value that is not allowed, and nothing was changed.")
class InvalidInputError(Error):
    """The typed form of InvalidInput."""

    field: str = strawberry.field(description="The name of the argument or input field that is wrong.")


@strawberry.type(description="The role of the caller's token does not allow this mutation.")
class ForbiddenError(Error):
    """The typed form of Forbidden."""


@strawberry.type(description="The request carries no token, or one that is not valid.")
class UnauthenticatedError(Error):
    """The typed form of Unauthenticated."""


@strawberry.type(description="The mutation contradicts the present state of the thing that it is about.")
class ConflictError(Error):
    """The typed form of Conflict."""


@strawberry.type(description="A server that this mutation needs does not answer; the same request may succeed later.")
class UnavailableError(Error):
    """The typed form of Unavailable."""


def expected_error(exception: BaseException | None) -> ExpectedError | None:
    """Return `exception` as an error that its caller may see; None when it is a fault of this service."""
    if isinstance(exception, ExpectedError):
        return exception
    if isinstance(exception, GlobalIDValueError):
        return InvalidInput("id", "This is not an id that this API has given out.")
    if isinstance(exception, StrawberryInputCoercionError):
        return InvalidInput("input", str(exception))
    if isinstance(exception, DBAPIError) and sqlstate(exception) == _NOT_IN_REPERTOIRE:
        return InvalidInput("input", "Text must not contain the NUL character.")
    return Unavailable(UNAVAILABLE_MESSAGE) if _is_unavailable(exception) else None


def _is_unavailable(exception: BaseException | None) -> bool:
    # Resolvers open no files, so that whatever an OSError is, it happened between this process and a server.
    return is_outage(exception) or isinstance(
        exception, redis.exceptions.ConnectionError | redis.exceptions.TimeoutError
    )


@dataclass(frozen=True)
class TypedError:
    """Turns one kind of expected error into the member of a mutation's result union that stands for it.

    It applies to fields whose union has that member; elsewhere the error becomes a coded one.
    """

    exception_type: tuple[type[Exception], ...]
    expected_type: type[ExpectedError]
    error_type: type[Error]

    def handle(self, exception: Exception, *, field: object, info: object) -> Error | None:
        """Return the typed error; None when the exception is of another kind after all."""
        expected = expected_error(exception)
        if not isinstance(expected, self.expected_type):
            return None
        if expected is not exception and isinstance(expected, Unavailable):
            _log.warning("unavailable", reason=_reason(exception))
        if isinstance(expected, InvalidInput):
            return InvalidInputError(code=expected.code, message=expected.message, field=expected.field)
        return self.error_type(code=expected.code, message=expected.message)


# For the schema's `exception_handlers`.
TYPED_ERRORS = (
    TypedError((NotFound,), NotFound, NotFoundError),
    TypedError((InvalidInput, GlobalIDValueError, StrawberryInputCoercionError), InvalidInput, InvalidInputError),
    TypedError((Forbidden,), Forbidden, ForbiddenError),
    TypedError((Unauthenticated,), Unauthenticated, UnauthenticatedError),
    TypedError((Conflict,), Conflict, ConflictError),
    TypedError(
        (
            Unavailable,
            DBAPIError,
            OSError,
            PoolTimeoutError,
            redis.exceptions.ConnectionError,
            redis.exceptions.TimeoutError,
        ),
        Unavailable,
        UnavailableError,
    ),
)


def coded_errors(errors: Sequence[GraphQLError], *, executed: bool, request_id: str) -> list[dict[str, Any]]:
    """Return the errors of one result as they go to the caller, each with `extensions.code`.

    `executed` tells whether the document had passed validation, which the errors themselves do not.
    An error nobody expected is written to the log with its traceback, once per result however many fields it
    broke, and goes out as INTERNAL with the request's id alone.
    """
    causes: dict[int, BaseException] = {}
    coded = []
    for error in errors:
        message, extensions = _coded(error, executed=executed)
        if extensions["code"] == "INTERNAL":
            extensions["requestId"] = request_id
        if extensions["code"] in {"INTERNAL", "UNAVAILABLE"}:
            cause = _cause(error) or error
            causes[id(cause)] = cause
        formatted: dict[str, Any] = {"message": message, "extensions": extensions}
        if error.locations:
            formatted["locations"] = [location.formatted for location in error.locations]
        if error.path is not None:
            formatted["path"] = error.path
        coded.append(formatted)
    for cause in causes.values():
        if expected_error(cause):
            _log.warning("unavailable", request_id=request_id, reason=_reason(cause))
        else:
            _log.error("internal_error", request_id=request_id, exc_info=cause)
    return coded


def _reason(exception: BaseException) -> str:
    return f"{type(exception).__name__}: {exception}"


def _coded(error: GraphQLError, *, executed: bool) -> tuple[str, dict[str, Any]]:
    """Return the message and the extensions of one error."""
    if error.extensions and "code" in error.extensions:
        return error.message, dict(error.extensions)
    cause = _cause(error)
    expected = expected_error(cause)
    if isinstance(error, GraphQLSyntaxError):
        extensions = {"code": "GRAPHQL_PARSE_FAILED"}
    elif _is_about_input(error, executed=executed):
        extensions = {"code": InvalidInput.code, **_variable_of(error)}
    elif isinstance(expected, InvalidInput):
        return expected.message, {"code": expected.code, "field": expected.field}
    elif expected is not None:
        return expected.message, {"code": expected.code}
    elif not executed and cause is None:
        extensions = {"code": "GRAPHQL_VALIDATION_FAILED"}
    else:
        return INTERNAL_MESSAGE, {"code": "INTERNAL"}
    return error.message, extensions


def _is_about_input(error: GraphQLError, *, executed: bool) -> bool:
    if isinstance(error, StrawberryInputCoercionError) or (executed and error.path is None):
        # Between validation and the first field, only the variables are read.
        return True
    # An undefined variable is a mistake in the document; any other value in it is a mistake in the input. During
    # execution an error that names a value arose while arguments were read: a resolver's errors name the field.
    node = error.nodes[0] if error.nodes else None
    return isinstance(node, ValueNode | ObjectFieldNode) and (executed or not isinstance(node, VariableNode))


def _variable_of(error: GraphQLError) -> dict[str, str]:
    node = error.nodes[0] if error.nodes else None
    return {"field": node.variable.name.value} if isinstance(node, VariableDefinitionNode) else {}


def _cause(error: GraphQLError) -> BaseException | None:
    """Return the exception behind a GraphQL error, through all GraphQL errors wrapped around it."""
    for original in _originals(error):
        if not isinstance(original, GraphQLError) or isinstance(original, StrawberryInputCoercionError):
            return original
    return None


def _originals(error: GraphQLError) -> Iterator[BaseException]:
    original = error.original_error
    while original is not None:
        yield original
        original = original.original_error if isinstance(original, GraphQLError) else None
