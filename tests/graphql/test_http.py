"""The HTTP endpoint: who gets in, what a result looks like, and in which media type."""

from datetime import timedelta
from typing import Any

import pytest
from graphql import get_introspection_query
from starlette.requests import Request
from structlog.testing import capture_logs

from app.auth.tokens import verifier_from
from app.graphql.http import GraphQLEndpoint, request_id
from app.settings import Settings
from tests.graphql.endpoint import (
    ENDPOINT,
    GRAPHQL_RESPONSE,
    MAX_BYTES,
    MUTATION,
    TOKEN,
    client,
    codes,
    make_context,
    send,
    token,
    written,
)


async def test_a_query_with_a_token_is_answered() -> None:
    response = await send({"query": "{ who }"})
    assert (response.status_code, response.json()) == (200, {"data": {"who": "ann CLIENT_SUCCESS"}})
    assert response.headers["content-type"] == "application/json"


async def test_everything_that_a_request_can_hold_is_heard() -> None:
    response = await send(
        {
            "query": "query A { who } query B($t: String, $n: Int!) { echo(text: $t, number: $n) }",
            "operationName": "B",
            "variables": {"t": "Grüße 💥 \u0000 %_", "n": 7},
            "extensions": {"any": 1},
            "unknown": True,
        },
        content_type="Application/JSON; charset=utf-8",
    )
    assert response.json() == {"data": {"echo": "Grüße 💥 \u0000 %_ 7"}}
    response = await send({"query": "{ who }", "operationName": "", "variables": None, "extensions": None})
    assert response.json() == {"data": {"who": "ann CLIENT_SUCCESS"}}


@pytest.mark.parametrize(
    ("authorization", "message"),
    [
        (None, "Send a token in the header `Authorization: Bearer ...`."),
        ("Bearer", "Send a token in the header `Authorization: Bearer ...`."),
        ("Bearer  ", "Send a token in the header `Authorization: Bearer ...`."),
        (f"Basic {TOKEN}", "Send a token in the header `Authorization: Bearer ...`."),
        ("Bearer nonsense", "The token is malformed; a JWT is three parts separated by dots."),
        (f"Bearer {TOKEN}!", "The token is malformed; a JWT is three parts separated by dots."),
        (f"Bearer {TOKEN[:-8]}AAAAAAAA", "The token's signature is not valid."),
    ],
)
@pytest.mark.parametrize(
    "query", ["{ who }", "{ __typename }", "{ unknown }", get_introspection_query(), "subscription { ticks }"]
)
async def test_without_a_valid_token_nothing_but_the_reason_comes_out(
    authorization: str | None, message: str, query: str
) -> None:
    response = await send({"query": query}, authorization=authorization)
    assert response.json() == {"errors": [{"message": message, "extensions": {"code": "UNAUTHENTICATED"}}]}
    assert response.status_code == 200


async def test_an_expired_token_is_refused_by_the_clock() -> None:
    expired = token(issued=timedelta(hours=-1))
    response = await send({"query": "{ who }"}, authorization=f"Bearer {expired}")
    assert codes(response) == ["UNAUTHENTICATED"]
    assert "The token expired at " in response.text


async def test_the_scheme_is_read_in_any_case() -> None:
    response = await send({"query": "{ who }"}, authorization=f"bearer {TOKEN}")
    assert response.json() == {"data": {"who": "ann CLIENT_SUCCESS"}}


async def test_a_mutation_without_a_token_refuses_with_a_typed_error_and_does_nothing() -> None:
    written.clear()
    for authorization in (None, "Bearer nonsense"):
        response = await send({"query": MUTATION}, authorization=authorization)
        assert response.json()["data"]["write"]["__typename"] == "UnauthenticatedError"
        assert response.json()["data"]["write"]["code"] == "UNAUTHENTICATED"
    assert written == []
    await send({"query": MUTATION})
    assert written == ["ann"]


async def test_naming_the_query_beside_a_mutation_does_not_open_it() -> None:
    both = "query Q { who } " + MUTATION.replace("mutation", "mutation M", 1)
    assert codes(await send({"query": both, "operationName": "Q"}, authorization=None)) == ["UNAUTHENTICATED"]
    response = await send({"query": both, "operationName": "M"}, authorization=None)
    assert response.json()["data"]["write"]["__typename"] == "UnauthenticatedError"


async def test_keys_that_cannot_be_fetched_are_no_refusal_of_the_token() -> None:
    oidc = verifier_from(Settings(oidc_issuer="http://127.0.0.1:1"))
    endpoint = GraphQLEndpoint(ENDPOINT.schema, oidc, make_context, MAX_BYTES)
    header = "eyJhbGciOiJSUzI1NiIsImtpZCI6IjEifQ"
    async with client(endpoint) as http:
        response = await http.post(
            "/graphql",
            json={"query": "{ who }"},
            headers={"Authorization": f"Bearer {header}.e30.AAAA", "Accept": GRAPHQL_RESPONSE},
        )
    assert (response.status_code, codes(response)) == (503, ["UNAVAILABLE"])


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        (GRAPHQL_RESPONSE, GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}; charset=utf-8, application/json; charset=utf-8", GRAPHQL_RESPONSE),
        (f"{GRAPHQL_RESPONSE}, application/json;q=0.9", GRAPHQL_RESPONSE),
        (f"application/json;q=0.5, {GRAPHQL_RESPONSE.upper()}", GRAPHQL_RESPONSE),
        (f"application/json, {GRAPHQL_RESPONSE}", "application/json"),
        (f"application/json, {GRAPHQL_RESPONSE};q=0.9", "application/json"),
        (f"{GRAPHQL_RESPONSE};q=0", "application/json"),
        (f"{GRAPHQL_RESPONSE};q=high", "application/json"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
        ("", "application/json"),
        (";,=;q=", "application/json"),
    ],
)
async def test_the_media_type_is_the_one_asked_for(accept: str, media_type: str) -> None:
    response = await send({"query": "{ who }"}, Accept=accept)
    assert (response.status_code, response.headers["content-type"]) == (200, media_type)


async def test_without_a_token_the_precise_media_type_says_401_and_how_to_authenticate() -> None:
    response = await send({"query": "{ who }"}, authorization=None, Accept=GRAPHQL_RESPONSE)
    assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
    assert codes(response) == ["UNAUTHENTICATED"]
    mutation = await send({"query": MUTATION}, authorization=None, Accept=GRAPHQL_RESPONSE)
    assert mutation.status_code == 200


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL_RESPONSE])
async def test_an_error_in_a_field_leaves_the_rest_of_the_data(accept: str, caplog: pytest.LogCaptureFixture) -> None:
    response = await send({"query": "{ who missing }"}, Accept=accept)
    assert response.status_code == 200
    assert response.json() == {
        "data": {"who": "ann CLIENT_SUCCESS", "missing": None},
        "errors": [
            {
                "message": "There is no such thing.",
                "extensions": {"code": "NOT_FOUND"},
                "locations": [{"line": 1, "column": 7}],
                "path": ["missing"],
            }
        ],
    }
    # Strawberry's own log would list every expected error as a failure.
    assert caplog.records == []


async def test_an_error_in_a_field_that_must_not_be_null_leaves_null() -> None:
    with capture_logs() as logs:
        response = await send({"query": "{ broken }"}, Accept=GRAPHQL_RESPONSE)
    assert response.status_code == 200
    assert response.json()["data"] is None
    [error] = response.json()["errors"]
    assert error["message"] == "Something went wrong on our side."
    assert error["extensions"] == {"code": "INTERNAL", "requestId": logs[0]["request_id"]}
    assert "inside" not in response.text
    assert len(logs) == 1


async def test_a_fault_before_the_document_is_masked_too() -> None:
    with capture_logs() as logs:
        response = await send({"query": "{ who }"}, X_Break_The_Context="1")
    assert (response.status_code, codes(response)) == (500, ["INTERNAL"])
    assert [entry["event"] for entry in logs] == ["internal_error"]
    assert response.json()["errors"][0]["extensions"]["requestId"] == logs[0]["request_id"]
    assert "inside" not in response.text


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_other_methods_are_told_to_post(method: str) -> None:
    response = await send({"query": "{ who }"}, method=method)
    assert (response.status_code, response.headers["allow"]) == (405, "POST")
    assert codes(response) == ["METHOD_NOT_ALLOWED"]


async def test_a_query_in_the_address_is_not_executed() -> None:
    async with client() as http:
        headers = {"Authorization": f"Bearer {TOKEN}", "Accept": "text/html"}
        response = await http.get("/graphql", params={"query": MUTATION}, headers=headers)
    assert (response.status_code, codes(response)) == (405, ["METHOD_NOT_ALLOWED"])


async def test_a_caller_who_hangs_up_is_nobodys_fault() -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def record(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/graphql",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    with capture_logs() as logs:
        await ENDPOINT(scope, receive, record)
    assert (sent, logs) == ([], [])


def test_the_request_id_is_that_of_the_middleware_or_a_new_one_that_stays() -> None:
    scope: dict[str, Any] = {"type": "http", "headers": [], "state": {"request_id": "given"}}
    assert request_id(Request(scope)) == "given"
    request = Request({"type": "http", "headers": []})
    assert request_id(request) == request_id(request)
    assert len(request_id(request)) == 32
