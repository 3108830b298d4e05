"""Random documents over the whole schema, right and slightly wrong ones: every answer is an answer of this API."""

from collections.abc import Mapping

import graphql
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis_graphql import Mode, from_schema

from app.auth.tokens import Role
from app.graphql.schema import schema
from tests.graphql.answers import BIG, MALFORMED_IDS, opaque
from tests.graphql.conftest import Api, Body, token_of
from tests.graphql.portfolio import CLIENTS

CODES = {
    "BAD_REQUEST",
    "CONFLICT",
    "DOCUMENT_TOO_COMPLEX",
    "GRAPHQL_PARSE_FAILED",
    "GRAPHQL_VALIDATION_FAILED",
    "INVALID_INPUT",
    "NOT_FOUND",
}

# Made-up ids and cursors would hardly ever get past the first check, so that many are real, or nearly.
REAL_IDS = st.integers(1, CLIENTS).map(lambda key: opaque(["Client", key]))
IDS = st.one_of(
    REAL_IDS,
    REAL_IDS,
    REAL_IDS,
    st.tuples(st.sampled_from(["Client", "Run"]), st.sampled_from([1, 2, 10**6, BIG - 1, BIG])).map(opaque),
    st.sampled_from(sorted(MALFORMED_IDS.values(), key=len)[:-2]) | st.text(max_size=20),
)
KEYS = st.one_of(st.none(), st.integers(-100, 100), st.integers())
ORDERS = st.sampled_from(["score_desc", "score_desc", "name_asc", "trend_desc", "activity_asc", "renewal_desc"])
MOMENTS = st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
CURSORS = st.one_of(
    st.tuples(ORDERS, KEYS, st.text(max_size=5), st.integers(1, 2**40)).map(opaque),
    st.tuples(MOMENTS, st.text(max_size=5), st.text(max_size=5)).map(opaque),
    st.tuples(st.just("run"), st.integers(1, 2**40)).map(opaque),
)
TEXTS = st.one_of(st.text(max_size=30), CURSORS)
NUMBERS = st.one_of(st.integers(1, 100), st.integers(-(2**31), 2**31 - 1))
TIMES = st.sampled_from(
    ["2026-01-31T00:00:00Z", "2999-12-31T23:59:59+23:59", "0001-01-01T00:00:00+23:59", "2026-01-31", "noon", ""]
)
DATES = st.one_of(st.dates().map(str), st.text(max_size=10))


def text_nodes(texts: st.SearchStrategy[str]) -> st.SearchStrategy[graphql.ValueNode]:
    return texts.map(lambda text: graphql.StringValueNode(value=text))


SCALARS: Mapping[str, st.SearchStrategy[graphql.ValueNode]] = {
    "ID": text_nodes(IDS),
    "String": text_nodes(TEXTS),
    "Date": text_nodes(DATES),
    "DateTime": text_nodes(TIMES),
    "Int": NUMBERS.map(lambda number: graphql.IntValueNode(value=str(number))),
}


def documents(mode: Mode) -> st.SearchStrategy[str]:
    # Longer ones are refused by their length alone, which test_http_bodies.py sees to.
    return from_schema(schema._schema, custom_scalars=SCALARS, mode=mode).filter(lambda text: len(text) < 20_000)


# The strategy of the whole schema has a long name, which hypothesis only needs to say how long it searched.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

# The same documents in every run: what fails once fails again, and a run takes as long as the one before.
fuzz = settings(
    max_examples=60,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


async def answer(api: Api, query: str) -> Body:
    """Return the answer to a document, having checked that it is one of this API."""
    status, body = await api.send(orjson.dumps({"query": query}), token=token_of(Role.PLATFORM_ADMIN))
    assert status in {200, 400}, (status, body)
    for error in body.get("errors", ()):
        assert error["message"].strip()
        assert error["extensions"]["code"] in CODES, error
    return body


# The thread that sends what mutations accepted draws from the generator that Hypothesis watches while it draws.
@pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")
@fuzz
@given(query=documents(Mode.POSITIVE))
async def test_every_valid_document_is_answered(api: Api, query: str) -> None:
    body = await answer(api, query)
    if "data" not in body:
        assert {error["extensions"]["code"] for error in body["errors"]} <= {"DOCUMENT_TOO_COMPLEX", "INVALID_INPUT"}


@fuzz
@given(query=documents(Mode.NEGATIVE))
async def test_every_invalid_document_is_refused(api: Api, query: str) -> None:
    body = await answer(api, query)
    assert "data" not in body
