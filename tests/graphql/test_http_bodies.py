"""Bodies that are no request, and documents that are no operation: a sentence and 4xx for each, never 500."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.graphql.http import DISCARDED_BYTES
from tests.graphql.endpoint import (
    GRAPHQL_RESPONSE,
    MAX_BYTES,
    MUTATION,
    codes,
    send,
    written,
)

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
