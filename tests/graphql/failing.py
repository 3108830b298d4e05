"""A small API whose resolvers fail as each test wishes."""

from collections.abc import Awaitable, Callable
from datetime import date
from enum import Enum
from typing import Annotated, Any, cast

import strawberry
from strawberry import relay
from strawberry.types.execution import PreExecutionError

from app.graphql.errors import (
    TYPED_ERRORS,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    UnauthenticatedError,
    UnavailableError,
    coded_errors,
)
from app.graphql.http import Schema
from app.graphql.limits import DocumentLimits

# What the resolvers below do; each test brings its own.
Action = Callable[[], Awaitable[object]]
Info = strawberry.Info[Action, None]


@strawberry.enum
class Colour(Enum):
    RED = "red"


@strawberry.input
class Filter:
    colour: Colour = Colour.RED
    size: int = 1


@strawberry.type
class Query:
    @strawberry.field
    async def act(self, info: Info) -> int | None:
        return cast("int", await info.context())

    @strawberry.field
    async def must_act(self, info: Info) -> int:
        return cast("int", await info.context())

    @strawberry.field
    def acts(self) -> list["Query"]:
        return [Query(), Query(), Query()]

    @strawberry.field
    def echo(
        self,
        number: int | None = None,
        day: date | None = None,
        filter: Filter | None = None,  # noqa: A002
        id: relay.GlobalID | None = None,  # noqa: A002
    ) -> str:
        return f"{number} {day} {filter} {id}"


@strawberry.type
class Done:
    ok: bool = True


@strawberry.type
class Mutation:
    @strawberry.mutation
    async def act(
        self,
        info: Info,
        id: relay.GlobalID | None = None,  # noqa: A002
    ) -> Annotated[
        Done
        | NotFoundError
        | InvalidInputError
        | ForbiddenError
        | UnauthenticatedError
        | ConflictError
        | UnavailableError,
        strawberry.union("ActResult"),
    ]:
        await info.context()
        return Done()

    @strawberry.mutation
    async def act_or_not_found(self, info: Info) -> Annotated[Done | NotFoundError, strawberry.union("FewResult")]:
        await info.context()
        return Done()


SCHEMA = Schema(Query, Mutation, extensions=[DocumentLimits], exception_handlers=TYPED_ERRORS)

MUTATION = "mutation { act { __typename ... on Error { code message } ... on InvalidInputError { field } } }"


async def nothing() -> None:
    """Do nothing."""


async def run(query: str, action: Action = nothing, **variables: Any) -> tuple[Any, list[dict[str, Any]]]:
    result = await SCHEMA.execute(query, context_value=action, variable_values=variables)
    executed = not isinstance(result, PreExecutionError)
    return result.data, coded_errors(result.errors or [], executed=executed, request_id="request-1")


async def failure(query: str, action: Action = nothing, **variables: Any) -> tuple[str, dict[str, Any]]:
    """Return the message and the extensions of the only error."""
    _, [error] = await run(query, action, **variables)
    return error["message"], error["extensions"]


def raising(exception: Exception) -> Action:
    async def action() -> None:
        raise exception

    return action
