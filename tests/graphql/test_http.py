"""The HTTP endpoint: who gets in, what malformed requests are told, and in which media type."""

import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import httpx2
import orjson
import pytest
import strawberry
from graphql import get_introspection_query
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from structlog.testing import capture_logs

from app.auth.tokens import Role, Viewer, issue_token, verifier_from
from app.errors import ExpectedError, NotFound
from app.graphql.errors import TYPED_ERRORS, UnauthenticatedError
from app.graphql.http import DISCARDED_BYTES, GraphQLEndpoint, Schema, request_id
from app.graphql.limits import DocumentLimits
from app.settings import Settings

SECRET = "a secret of the tests that has more than 32 bytes"
MAX_BYTES = 10_000


@dataclass
class Context:
    viewer: Viewer | ExpectedError


Info = strawberry.Info[Context, None]

# The mutations that were let through, by subject.
written: list[str] = []


@strawberry.type
class Query:
    @strawberry.field
    def who(self, info: Info) -> str:
        assert isinstance(info.context.viewer, Viewer)
        return f"{info.context.viewer.subject} {info.context.viewer.role}"

    @strawberry.field
    def echo(self, text: str | None = None, number: int = 0) -> str:
        return f"{text} {number}"

    @strawberry.field
    def missing(self) -> int | None:
        raise NotFound("There is no such thing.")

    @strawberry.field
    def broken(self) -> int:
        raise ZeroDivisionError("inside")


@strawberry.type
class Written:
    ok: bool


@strawberry.type
class Mutation:
    @strawberry.mutation
    def write(self, info: Info) -> Annotated[Written | UnauthenticatedError, strawberry.union("WriteResult")]:
        if isinstance(info.context.viewer, ExpectedError):
            raise info.context.viewer
        written.append(info.context.viewer.subject)
        return Written(ok=True)


@strawberry.type
class Subscription:
    @strawberry.subscription
    async def ticks(self) -> AsyncIterator[int]:
        yield 1


async def make_context(request: Request, viewer: Viewer | ExpectedError) -> Context:
    if request.headers.get("x-break-the-context"):
        raise RuntimeError("inside")
    return Context(viewer)


ENDPOINT = GraphQLEndpoint(
    schema=Schema(Query, Mutation, Subscription, extensions=[DocumentLimits], exception_handlers=TYPED_ERRORS),
    verifier=verifier_from(Settings(auth_secret=SECRET)),
    make_context=make_context,
    max_request_bytes=MAX_BYTES,
)


def token(lifetime: timedelta = timedelta(minutes=5), issued: timedelta = timedelta(0)) -> str:
    return issue_token(
        SECRET,
        subject="ann",
        role=Role.CLIENT_SUCCESS,
        lifetime=lifetime,
        now=datetime.now(UTC) + issued,
        issuer="client-health",
        audience="client-health",
    )


TOKEN = token(timedelta(hours=1))
MUTATION = "mutation { write { __typename ... on Written { ok } ... on Error { code message } } }"
GRAPHQL_RESPONSE = "application/graphql-response+json"


def client(endpoint: GraphQLEndpoint = ENDPOINT) -> httpx2.AsyncClient:
    app = Starlette(routes=[Route("/graphql", endpoint)])
    return httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://server")


async def send(
    content: Any,
    *,
    authorization: str | None = f"Bearer {TOKEN}",
    content_type: str | None = "application/json",
    method: str = "POST",
    **headers: str,
) -> httpx2.Response:
    chosen = {name.replace("_", "-"): value for name, value in headers.items()}
    if authorization is not None:
        chosen["Authorization"] = authorization
    if content_type is not None:
        chosen["Content-Type"] = content_type
    body = orjson.dumps(content) if isinstance(content, dict) else content
    async with client() as http:
        return await http.request(method, "/graphql", content=body, headers=chosen)


def codes(response: httpx2.Response) -> list[str]:
    """Return the codes of an answer that holds errors and no data, each with a sentence."""
    answer = response.json()
    assert answer.keys() == {"errors"}
    assert all(error["message"] for error in answer["errors"])
    return [error["extensions"]["code"] for error in answer["errors"]]


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


MALFORMED: dict[str, bytes] = {
    "empty": b"",
    "not JSON": b"{query}",
    "cut off": b'{"query": "{ who }"',
    "two documents": b'{"query": "{ who }"}{}',
    "invalid UTF-8": b'{"query": "{ who \xff }"}',
    "UTF-16": '{"query": "{ who }"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"query": "{ who }"}',
    "compressed": gzip.compress(b'{"query": "{ who }"}'),
    "lone surrogate": b'{"query": "{ echo(text: \\"\\ud800\\") }"}',
    "lone surrogate in a variable": b'{"query": "{ who }", "variables": {"a": "\\udc00"}}',
    "NaN": b'{"query": "{ who }", "variables": {"a": NaN}}',
    "deep lists": b"[" * 5000,
    "deep lists, closed": b"[" * 4000 + b"]" * 4000,
    "deep objects": b'{"query":' * 1000,
    "list": b"[]",
    "batch": b'[{"query": "{ who }"}]',
    "number": b"1",
    "string": b'"{ who }"',
    "null": b"null",
    "true": b"true",
    "no query": b"{}",
    "null query": b'{"query": null}',
    "empty query": b'{"query": ""}',
    "blank query": b'{"query": " \\n"}',
    "number as query": b'{"query": 1}',
    "list as query": b'{"query": ["{ who }"]}',
    "object as query": b'{"query": {}}',
    "number as name": b'{"query": "{ who }", "operationName": 1}',
    "list as name": b'{"query": "{ who }", "operationName": []}',
    "object as name": b'{"query": "{ who }", "operationName": {}}',
    "list as variables": b'{"query": "{ who }", "variables": []}',
    "string as variables": b'{"query": "{ who }", "variables": "{}"}',
    "number as extensions": b'{"query": "{ who }", "extensions": 1}',
    "unknown operation": b'{"query": "query A { who }", "operationName": "B"}',
    "no operation": b'{"query": "fragment F on Query { who }"}',
    "only a type": b'{"query": "type A { a: Int }"}',
    "subscription": b'{"query": "subscription { ticks }"}',
}


@pytest.mark.parametrize("accept", ["application/json", GRAPHQL_RESPONSE])
@pytest.mark.parametrize("name", MALFORMED)
async def test_a_malformed_body_is_answered_with_400_and_a_sentence(name: str, accept: str) -> None:
    with capture_logs() as logs:
        response = await send(MALFORMED[name], Accept=accept)
    assert (response.status_code, codes(response)) == (400, ["BAD_REQUEST"])
    assert logs == []


WRONG: dict[str, tuple[Any, str]] = {
    "syntax": ({"query": "{ who"}, "GRAPHQL_PARSE_FAILED"),
    "control characters": ({"query": "\u0000"}, "GRAPHQL_PARSE_FAILED"),
    "surrogate escape": ({"query": '{ echo(text: "\\uD800") }'}, "GRAPHQL_PARSE_FAILED"),
    "only a comment": ({"query": "# nothing"}, "GRAPHQL_PARSE_FAILED"),
    "deep literal": ({"query": "{ echo(text: " + "[" * 2000 + ") }"}, "GRAPHQL_PARSE_FAILED"),
    "deep selections": ({"query": "{ a " * 2000}, "GRAPHQL_PARSE_FAILED"),
    "unknown field": ({"query": "{ unknown }"}, "GRAPHQL_VALIDATION_FAILED"),
    "duplicate operation": (
        {"query": "query A { who } query A { who }", "operationName": "A"},
        "GRAPHQL_VALIDATION_FAILED",
    ),
    "two operations without names": ({"query": "{ who } { who }"}, "GRAPHQL_VALIDATION_FAILED"),
    "literal": ({"query": '{ echo(number: "1") }'}, "INVALID_INPUT"),
    "variable": ({"query": "query ($n: Int!) { echo(number: $n) }", "variables": {"n": "x"}}, "INVALID_INPUT"),
    "missing variable": ({"query": "query ($n: Int!) { echo(number: $n) }"}, "INVALID_INPUT"),
    "too many fields": ({"query": "{" + " who" * 1001 + "}"}, "DOCUMENT_TOO_COMPLEX"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_document_is_200_in_plain_json_and_400_where_the_media_type_says_so(name: str) -> None:
    content, code = WRONG[name]
    with capture_logs() as logs:
        plain = await send(content)
        precise = await send(content, Accept=GRAPHQL_RESPONSE)
    assert (plain.status_code, plain.headers["content-type"]) == (200, "application/json")
    assert (precise.status_code, precise.headers["content-type"]) == (400, GRAPHQL_RESPONSE)
    assert set(codes(plain)) == set(codes(precise)) == {code}
    assert logs == []


async def test_numbers_beyond_any_range_are_refused() -> None:
    for number in (b"1e999", b"123456789012345678901234567890", b"-9223372036854775809", b"2147483648", b"1.5"):
        body = b'{"query": "query ($n: Int!) { echo(number: $n) }", "variables": {"n": ' + number + b"}}"
        assert codes(await send(body))[0] in {"INVALID_INPUT", "BAD_REQUEST"}


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
async def test_an_error_in_a_field_leaves_the_rest_of_the_data(accept: str) -> None:
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


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/graphql",
        "text/plain; application/json",
        "application/jsonp",
    ],
)
async def test_any_other_content_type_is_refused(content_type: str | None) -> None:
    written.clear()
    response = await send(orjson.dumps({"query": MUTATION}), content_type=content_type)
    assert (response.status_code, codes(response)) == (415, ["UNSUPPORTED_MEDIA_TYPE"])
    assert written == []


async def test_a_body_may_be_as_long_as_the_limit_and_no_longer() -> None:
    body = orjson.dumps({"query": "{ who }"})
    exact = body + b" " * (MAX_BYTES - len(body))
    assert (await send(exact)).json() == {"data": {"who": "ann CLIENT_SUCCESS"}}
    response = await send(exact + b" ")
    assert (response.status_code, codes(response)) == (413, ["REQUEST_TOO_LARGE"])
    assert response.json()["errors"][0]["message"] == "The body must not be longer than 10,000 bytes."


async def test_a_body_without_end_is_not_read_for_ever() -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 100_000
            yield b" " * 100_000

    response = await send(endless())
    assert (response.status_code, codes(response)) == (413, ["REQUEST_TOO_LARGE"])
    assert MAX_BYTES + DISCARDED_BYTES < read <= MAX_BYTES + DISCARDED_BYTES + 300_000


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


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "query": st.sampled_from(["{ who }", "query A { echo } query B { who }", "{", "{ missing }"]) | _JSON,
        "operationName": st.sampled_from(["A", "B", "", None]) | _JSON,
        "variables": _JSON,
        "extensions": _JSON,
    },
)


@given(body=st.binary(max_size=50) | (_REQUESTS | _JSON).map(lambda value: json.dumps(value).encode()))
@settings(deadline=None)
async def test_whatever_is_sent_the_answer_has_the_shape_of_graphql(body: bytes) -> None:
    with capture_logs() as logs:
        response = await send(body)
    assert response.status_code < 500
    assert response.json().keys() <= {"data", "errors"}
    assert all(error["extensions"]["code"] for error in response.json().get("errors", []))
    assert logs == []
