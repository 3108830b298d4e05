"""Every way for a request to fail: its code, its sentence, and that nothing from inside is told."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date
from enum import Enum
from typing import Annotated, Any, cast

import pytest
import redis.asyncio
import strawberry
from sqlalchemy import text
from strawberry import relay
from strawberry.types.execution import PreExecutionError
from structlog.testing import capture_logs

from app.database import Database
from app.errors import Conflict, ExpectedError, Forbidden, InvalidInput, NotFound, Unauthenticated, Unavailable
from app.graphql.errors import (
    INTERNAL_MESSAGE,
    TYPED_ERRORS,
    UNAVAILABLE_MESSAGE,
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


EXPECTED = [
    (NotFound("There is no such client."), {"code": "NOT_FOUND"}, "NotFoundError"),
    (Conflict("It has changed meanwhile."), {"code": "CONFLICT"}, "ConflictError"),
    (InvalidInput("first", "Ask for 1 to 100."), {"code": "INVALID_INPUT", "field": "first"}, "InvalidInputError"),
    (Unauthenticated("The token has expired."), {"code": "UNAUTHENTICATED"}, "UnauthenticatedError"),
    (Forbidden("This needs another role."), {"code": "FORBIDDEN"}, "ForbiddenError"),
]


@pytest.mark.parametrize(("exception", "extensions", "_type"), EXPECTED)
async def test_an_expected_error_in_a_query_is_coded_and_not_logged(
    exception: ExpectedError,
    extensions: dict[str, str],
    _type: str,
) -> None:
    with capture_logs() as logs:
        data, errors = await run("{ act }", raising(exception))
    assert data == {"act": None}
    assert errors == [
        {
            "message": exception.message,
            "extensions": extensions,
            "locations": [{"line": 1, "column": 3}],
            "path": ["act"],
        }
    ]
    assert logs == []


@pytest.mark.parametrize(("exception", "extensions", "type_name"), EXPECTED)
async def test_an_expected_error_in_a_mutation_is_typed(
    exception: ExpectedError, extensions: dict[str, str], type_name: str
) -> None:
    with capture_logs() as logs:
        data, errors = await run(MUTATION, raising(exception))
    assert data == {"act": {"__typename": type_name, "message": exception.message, **extensions}}
    assert (errors, logs) == ([], [])


async def test_a_typed_error_that_the_result_has_no_member_for_is_coded() -> None:
    query = "mutation { actOrNotFound { __typename } }"
    assert await failure(query, raising(Forbidden("No."))) == ("No.", {"code": "FORBIDDEN"})
    assert (await run(query, raising(NotFound("No."))))[0] == {"actOrNotFound": {"__typename": "NotFoundError"}}


async def test_an_unexpected_error_is_masked_and_logged_once_with_its_traceback() -> None:
    exception = ValueError("SELECT secret FROM app.clients.models")
    with capture_logs() as logs:
        data, errors = await run("{ acts { act } }", raising(exception))
    assert data == {"acts": [{"act": None}] * 3}
    assert [(error["message"], error["extensions"]) for error in errors] == [
        (INTERNAL_MESSAGE, {"code": "INTERNAL", "requestId": "request-1"})
    ] * 3
    assert logs == [{"event": "internal_error", "log_level": "error", "request_id": "request-1", "exc_info": exception}]
    assert exception.__traceback__ is not None
    assert "secret" not in str(errors)


async def test_an_unexpected_error_in_a_mutation_is_masked_too() -> None:
    with capture_logs() as logs:
        message, extensions = await failure(MUTATION, raising(ZeroDivisionError("boom")))
    assert (message, extensions["code"]) == (INTERNAL_MESSAGE, "INTERNAL")
    assert len(logs) == 1


async def test_a_value_of_the_wrong_type_is_a_fault_of_ours() -> None:
    async def wrong() -> object:
        return object()

    with capture_logs() as logs:
        assert (await failure("{ act }", wrong))[0] == INTERNAL_MESSAGE
        message, extensions = await failure("{ mustAct }")
    assert (message, extensions["code"]) == (INTERNAL_MESSAGE, "INTERNAL")
    assert [entry["event"] for entry in logs] == ["internal_error"] * 2


async def test_a_document_that_cannot_be_parsed_says_where() -> None:
    _, [error] = await run("{ act ")
    assert error["extensions"] == {"code": "GRAPHQL_PARSE_FAILED"}
    assert error["message"].startswith("Syntax Error: ")
    assert error["locations"] == [{"line": 1, "column": 7}]


@pytest.mark.parametrize(
    "query",
    [
        "{ unknown }",
        "{ act { sub } }",
        "{ acts }",
        "{ echo(unknown: 1) }",
        "{ ...F }",
        "{ ...F } fragment F on Query { act ...F }",
        "query ($unused: Int) { act }",
        "{ echo(number: $undefined) }",
        "query ($n: String) { echo(number: $n) }",
        "query ($n: Unknown) { echo(number: $n) }",
        "{ act @unknown }",
        "{ act } { act }",
    ],
)
async def test_a_document_that_the_schema_does_not_allow_is_a_mistake_of_the_document(query: str) -> None:
    _, errors = await run(query)
    assert errors
    assert {error["extensions"]["code"] for error in errors} == {"GRAPHQL_VALIDATION_FAILED"}


@pytest.mark.parametrize(
    "arguments",
    [
        'number: "1"',
        "number: 2147483648",
        "number: 1.5",
        'day: "2026-02-30"',
        "filter: { colour: GREEN }",
        "filter: { colour: RED, unknown: 1 }",
        "filter: [1, 2]",
        'filter: { size: "big" }',
    ],
)
async def test_a_wrong_value_in_a_document_is_a_mistake_of_the_input(arguments: str) -> None:
    _, errors = await run(f"{{ echo({arguments}) }}")
    assert errors
    assert {error["extensions"]["code"] for error in errors} == {"INVALID_INPUT"}


@pytest.mark.parametrize(
    ("kind", "argument", "value"),
    [
        ("Int", "number", "1"),
        ("Int", "number", 2**31),
        ("Int", "number", [1]),
        ("Date", "day", "yesterday"),
        ("Date", "day", 5),
        ("Filter", "filter", {"colour": "GREEN"}),
        ("Filter", "filter", {"unknown": 1}),
        ("Filter", "filter", "text"),
        ("Filter", "filter", {"size": None}),
        ("Int!", "number", None),
    ],
)
async def test_a_wrong_variable_is_named(kind: str, argument: str, value: object) -> None:
    _, errors = await run(f"query ($given: {kind}) {{ echo({argument}: $given) }}", given=value)
    assert [error["extensions"] for error in errors] == [{"code": "INVALID_INPUT", "field": "given"}]
    assert "$given" in errors[0]["message"]


async def test_a_missing_variable_is_named() -> None:
    _, errors = await run("query ($given: Int!) { echo(number: $given) }")
    assert [error["extensions"] for error in errors] == [{"code": "INVALID_INPUT", "field": "given"}]


@pytest.mark.parametrize("wrong", ["nonsense", "", "Q2xpZW50", "💥", "Q2xpZW50OjE6Mg=", "%00"])
async def test_a_malformed_id_is_a_mistake_of_the_input(wrong: str) -> None:
    with capture_logs() as logs:
        message, extensions = await failure("query ($id: ID!) { echo(id: $id) }", id=wrong)
        data, _ = await run(
            "mutation ($id: ID!) { act(id: $id) { ... on InvalidInputError { code field } } }", id=wrong
        )
    assert extensions == {"code": "INVALID_INPUT", "field": "id"}
    assert message == "This is not an id that this API has given out."
    assert data == {"act": {"code": "INVALID_INPUT", "field": "id"}}
    assert logs == []


async def _unreachable_database() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))


async def _unreachable_socket() -> None:
    database = Database("postgresql://nobody@/nothing?host=/nowhere")
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))


async def _unreachable_redis() -> None:
    async with redis.asyncio.Redis.from_url("redis://127.0.0.1:1/0") as client:
        await client.ping()


@pytest.mark.parametrize(
    "action",
    [
        _unreachable_database,
        _unreachable_socket,
        _unreachable_redis,
        raising(TimeoutError()),
        raising(ConnectionResetError("peer")),
    ],
)
async def test_a_server_that_does_not_answer_is_unavailable(action: Action) -> None:
    with capture_logs() as logs:
        assert await failure("{ act }", action) == (UNAVAILABLE_MESSAGE, {"code": "UNAVAILABLE"})
        data, errors = await run(MUTATION, action)
    assert data == {"act": {"__typename": "UnavailableError", "code": "UNAVAILABLE", "message": UNAVAILABLE_MESSAGE}}
    assert errors == []
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("unavailable", "warning")] * 2


async def test_unavailable_keeps_the_sentence_it_was_raised_with() -> None:
    assert (await failure("{ act }", raising(Unavailable("The keys cannot be fetched."))))[0] == (
        "The keys cannot be fetched."
    )


async def test_a_cut_connection_and_a_cancelled_statement_are_unavailable(database: Database) -> None:
    async def cut() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async def slow() -> None:
        async with database.begin() as session:
            await session.execute(text("SET LOCAL statement_timeout = 20"))
            await session.execute(text("SELECT pg_sleep(10)"))

    for action in (cut, slow):
        assert await failure("{ act }", action) == (UNAVAILABLE_MESSAGE, {"code": "UNAVAILABLE"})


async def test_a_pool_without_a_free_connection_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    cast("Any", database.engine.pool)._timeout = 0.05

    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))

    async with database.read():
        assert await failure("{ act }", read) == (UNAVAILABLE_MESSAGE, {"code": "UNAVAILABLE"})
    await database.close()


async def test_a_deadlock_is_unavailable(database: Database) -> None:
    first_has_locked, second_has_locked = asyncio.Event(), asyncio.Event()

    async def lock(mine: int, other: int, done: asyncio.Event, wait_for: asyncio.Event) -> None:
        async with database.begin() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": mine})
            done.set()
            await wait_for.wait()
            await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": other})

    answers = await asyncio.gather(
        run("{ act }", lambda: lock(1, 2, first_has_locked, second_has_locked)),
        run("{ act }", lambda: lock(2, 1, second_has_locked, first_has_locked)),
    )
    [error] = [error for _, errors in answers for error in errors]
    assert error["extensions"] == {"code": "UNAVAILABLE"}


async def test_a_nul_character_in_text_is_a_mistake_of_the_input(database: Database) -> None:
    async def search() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT CAST(:text AS text)"), {"text": "a\0b"})

    message, extensions = await failure("{ act }", search)
    assert (message, extensions["code"]) == ("Text must not contain the NUL character.", "INVALID_INPUT")


async def test_a_wrong_statement_is_a_fault_of_ours_and_not_shown(database: Database) -> None:
    async def wrong() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT secret FROM nowhere"))

    with capture_logs() as logs:
        message, extensions = await failure("{ act }", wrong)
        assert (await failure(MUTATION, wrong))[0] == INTERNAL_MESSAGE
    assert (message, extensions["code"]) == (INTERNAL_MESSAGE, "INTERNAL")
    assert [entry["event"] for entry in logs] == ["internal_error"] * 2


def test_every_typed_error_and_its_fields_are_described_in_full_sentences() -> None:
    for name in ("Error", "NotFoundError", "InvalidInputError", "ForbiddenError", "ConflictError", "UnavailableError"):
        kind = SCHEMA._schema.type_map[name]
        descriptions = [kind.description, *(field.description for field in cast("Any", kind).fields.values())]
        assert all(text and text[0].isupper() and text.endswith(".") for text in descriptions), name
