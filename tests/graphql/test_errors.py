"""Every way for a request to fail: its code, its sentence, and that nothing from inside is told."""

from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from app.errors import Conflict, ExpectedError, Forbidden, InvalidInput, NotFound, Unauthenticated
from app.graphql.errors import (
    INTERNAL_MESSAGE,
)
from tests.graphql.failing import MUTATION, SCHEMA, failure, raising, run

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


def test_every_typed_error_and_its_fields_are_described_in_full_sentences() -> None:
    for name in ("Error", "NotFoundError", "InvalidInputError", "ForbiddenError", "ConflictError", "UnavailableError"):
        kind = SCHEMA._schema.type_map[name]
        descriptions = [kind.description, *(field.description for field in cast("Any", kind).fields.values())]
        assert all(text and text[0].isupper() and text.endswith(".") for text in descriptions), name
