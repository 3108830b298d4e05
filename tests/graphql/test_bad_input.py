"""Odd, wrong and hostile input: a code and one sentence, or the right result; never a 500, and nothing is written."""

import json

import pytest

from app.auth.tokens import Role
from tests.graphql.answers import (
    BENCHMARKS,
    BIG,
    CLIENT,
    LISTS,
    MALFORMED_IDS,
    MUTATIONS,
    NODE,
    PORTFOLIO,
    RECALCULATE,
    opaque,
    refusal,
    some_client,
    typed_refusal,
)
from tests.graphql.conftest import Api, token_of
from tests.graphql.portfolio import CLIENTS, NAMES

pytestmark = pytest.mark.usefixtures("nothing_happens")


@pytest.mark.parametrize("name", MALFORMED_IDS)
async def test_a_malformed_id_is_invalid_input_that_names_the_argument(api: Api, name: str) -> None:
    variables = {"id": MALFORMED_IDS[name]}
    assert refusal(await api.ask(CLIENT, variables)) == ("INVALID_INPUT", "id")
    assert refusal(await api.ask(NODE, variables)) == ("INVALID_INPUT", "id")
    assert refusal(await api.ask(BENCHMARKS, variables)) == ("INVALID_INPUT", "clientId")
    for field, mutation in MUTATIONS.items():
        assert typed_refusal(await api.ask(mutation, variables), field) == ("INVALID_INPUT", "clientId")


@pytest.mark.parametrize("key", [999_999, BIG - 1])
async def test_an_unknown_id_is_not_found(api: Api, key: int) -> None:
    variables = {"id": opaque(["Client", key])}
    for query in (CLIENT, NODE, BENCHMARKS):
        assert refusal(await api.ask(query, variables)) == ("NOT_FOUND", None)
    assert refusal(await api.ask(NODE, {"id": opaque(["Run", key])})) == ("NOT_FOUND", None)
    for field, mutation in MUTATIONS.items():
        assert typed_refusal(await api.ask(mutation, variables), field) == ("NOT_FOUND", None)


async def test_an_id_of_another_type_is_invalid_input(api: Api) -> None:
    for type_name in ("Run", "client", "Spaceship", "\0"):
        variables = {"id": opaque([type_name, 1])}
        assert refusal(await api.ask(CLIENT, variables)) == ("INVALID_INPUT", "id")
        assert refusal(await api.ask(BENCHMARKS, variables)) == ("INVALID_INPUT", "clientId")
        for field, mutation in MUTATIONS.items():
            assert typed_refusal(await api.ask(mutation, variables), field) == ("INVALID_INPUT", "clientId")
    for type_name in ("client", "Spaceship", "PortfolioSummary", "Node", "\0"):
        assert refusal(await api.ask(NODE, {"id": opaque([type_name, 1])})) == ("INVALID_INPUT", "id")


async def test_a_client_that_left_is_found_and_not_calculated(api: Api) -> None:
    ids = [opaque(["Client", key]) for key in range(1, CLIENTS + 2)]
    found = {id_: (await api.ask(CLIENT, {"id": id_}))[1]["data"]["client"]["name"] for id_ in ids}
    (gone,) = (id_ for id_, name in found.items() if name == "Gone Away")
    assert typed_refusal(await api.ask(RECALCULATE, {"id": gone}), "recalculateHealth") == ("CONFLICT", None)


@pytest.mark.parametrize("list_", LISTS)
@pytest.mark.parametrize("first", [0, -1, 101, 2**31 - 1, -(2**31)])
async def test_a_page_of_no_or_too_many_items_is_refused(api: Api, list_: str, first: int) -> None:
    answer = await api.ask(LISTS[list_], {"id": await some_client(api), "first": first})
    assert refusal(answer) == ("INVALID_INPUT", "first")


@pytest.mark.parametrize("list_", LISTS)
@pytest.mark.parametrize("first", [None, "1", 1.5, True, [], {}, 2**31, -(2**31) - 1, 10**40])
async def test_a_page_size_that_is_no_number_is_refused(api: Api, list_: str, first: object) -> None:
    content = json.dumps({"query": LISTS[list_], "variables": {"id": await some_client(api), "first": first}})
    answer = await api.send(content.encode(), token=token_of(Role.CLIENT_SUCCESS))
    assert refusal(answer) == ("INVALID_INPUT", "first")


@pytest.mark.parametrize("list_", LISTS)
@pytest.mark.parametrize("first", [1, 100])
async def test_the_smallest_and_the_largest_page_are_answered(api: Api, list_: str, first: int) -> None:
    status, body = await api.ask(LISTS[list_], {"id": await some_client(api), "first": first})
    assert (status, list(body)) == (200, ["data"])


@pytest.mark.parametrize("series", ["healthHistory", "usage", "metricHistory"])
async def test_days_are_from_1_to_730(api: Api, series: str) -> None:
    fields = {
        "healthHistory": "healthHistory(days: $days) { date }",
        "usage": "usage(days: $days) { daily { date } }",
        "metricHistory": "metricHistory(metric: LOGINS, days: $days) { date }",
    }
    query = f"query ($id: ID!, $days: Int!) {{ client(id: $id) {{ {fields[series]} }} }}"
    id_ = await some_client(api)
    for days in (0, -1, 731, 10_000, 2**31 - 1, -(2**31)):
        assert refusal(await api.ask(query, {"id": id_, "days": days})) == ("INVALID_INPUT", "days")
    for wrong in (None, "30", 1.5, True, 2**31):
        assert refusal(await api.ask(query, {"id": id_, "days": wrong})) == ("INVALID_INPUT", "days")
    for days in (1, 730):
        _, body = await api.ask(query, {"id": id_, "days": days})
        assert "errors" not in body
        if series == "usage":
            assert len(body["data"]["client"]["usage"]["daily"]) == days


async def found_by(api: Api, **conditions: object) -> list[str]:
    """Return the names of the clients that match, by name."""
    order = {"field": "NAME", "direction": "ASC"}
    status, body = await api.ask(PORTFOLIO, {"filter": conditions, "orderBy": order, "first": 100})
    assert (status, list(body)) == (200, ["data"]), body
    names = [edge["node"]["name"] for edge in body["data"]["clients"]["edges"]]
    assert body["data"]["clients"]["totalCount"] == len(names)
    _, tiles = await api.ask("query ($f: ClientFilter) { portfolioSummary(filter: $f) { total } }", {"f": conditions})
    assert tiles["data"]["portfolioSummary"]["total"] == len(names)
    return names


@pytest.mark.parametrize(
    ("search", "numbers"),
    [
        ("%", [1]),
        ("%%", []),
        ("100%", [1]),
        ("_", [2]),
        ("__", []),
        ("ÄPFEL", [1]),
        ("a\u0308pfel", [1]),
        ("🚀", [3]),
        ("🚀 gmbh", [3]),
        ("\\", [4]),
        ("'", [5]),
        ("'; DROP TABLE clients", []),
        ("; drop table CLIENTS", [5]),
        ("\U0010ffff", []),
        ("\u202e", []),
        ("x" * 90_000, []),
        ("gone away", []),
    ],
)
async def test_odd_searches_find_what_they_say(api: Api, search: str, numbers: list[int]) -> None:
    assert await found_by(api, search=search) == sorted((NAMES[n] for n in numbers), key=str.casefold)


async def test_an_empty_search_and_no_search_find_everybody(api: Api) -> None:
    everybody = await found_by(api)
    assert len(everybody) == CLIENTS
    assert await found_by(api, search="") == everybody
    assert await found_by(api, search=None) == everybody


async def test_other_odd_conditions_find_what_they_say(api: Api) -> None:
    assert await found_by(api, owner="") == []
    assert await found_by(api, owner="%") == []
    assert await found_by(api, owner="' OR true --") == []
    assert await found_by(api, riskLevel=[]) == []
    assert await found_by(api, size=[]) == []
    assert await found_by(api, size=["SMB"] * 500) == await found_by(api, size=["SMB"])
    assert await found_by(api, renewalBefore="0001-01-01") == []
    with_date = [n for n in range(1, CLIENTS + 1) if n % 9]
    assert len(await found_by(api, renewalBefore="9999-12-31")) == len(with_date)


@pytest.mark.parametrize("field", ["search", "owner"])
async def test_nul_in_a_condition_is_invalid_input(api: Api, field: str) -> None:
    assert refusal(await api.ask(PORTFOLIO, {"filter": {field: "a\0b"}})) == ("INVALID_INPUT", field)
    summary = "query ($f: ClientFilter) { portfolioSummary(filter: $f) { total } }"
    assert refusal(await api.ask(summary, {"f": {field: "\0"}})) == ("INVALID_INPUT", field)


@pytest.mark.parametrize(
    "filter_",
    [
        {"unknown": 1},
        {"search": 1},
        {"search": ["a"]},
        {"owner": {}},
        {"trafficLight": ["BLUE"]},
        {"trafficLight": [None]},
        {"trafficLight": ["green"]},
        {"size": 1},
        {"alertsEnabled": "true"},
        {"engagementModel": "HIGH_TOUCH; DROP TABLE clients"},
        {"renewalBefore": "2026-02-30"},
        {"renewalBefore": "tomorrow"},
        {"renewalBefore": ""},
        {"renewalBefore": 20260101},
        {"renewalBefore": "2026-01-01T00:00:00Z"},
        {"renewalBefore": "10000-01-01"},
        {"renewalBefore": "2026-01-01\0"},
        [],
        "all",
    ],
)
async def test_a_condition_that_is_none_is_invalid_input(api: Api, filter_: object) -> None:
    code, _ = refusal(await api.ask(PORTFOLIO, {"filter": filter_}))
    assert code == "INVALID_INPUT"


@pytest.mark.parametrize(
    "order",
    [{"field": "ID"}, {"field": None}, {"direction": "SIDEWAYS"}, {"field": "score"}, {"by": "SCORE"}, "SCORE", 1],
)
async def test_an_order_that_is_none_is_invalid_input(api: Api, order: object) -> None:
    assert refusal(await api.ask(PORTFOLIO, {"orderBy": order}))[0] == "INVALID_INPUT"


async def test_a_metric_that_is_none_is_invalid_input(api: Api) -> None:
    query = "query ($id: ID!, $m: MetricType!) { client(id: $id) { metricHistory(metric: $m) { date } } }"
    for metric in ("NOPE", None, 1, "logins"):
        assert refusal(await api.ask(query, {"id": await some_client(api), "m": metric})) == ("INVALID_INPUT", "m")


# --- Bodies: more of them, on a schema of their own, in test_http.py


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b'{"query": "{ portfolioSummary { total } }"',
        b'{"query": "{ portfolioSummary { total } }", "variables": {"a": NaN}}',
        b'{"query": "{ portfolioSummary(filter: {search: \\"\xff\xfe\\"}) { total } }"}',
        b'{"query": "query ($s: String) { __typename }", "variables": {"s": "\xc3\x28"}}',
        b'{"query": "query ($s: String) { __typename }", "variables": {"s": "\\ud83d"}}',
        b'{"query": "query A { __typename }", "operationName": "B"}',
    ],
)
async def test_a_body_that_is_no_request_is_a_bad_one(api: Api, content: bytes) -> None:
    answer = await api.send(content, token=token_of(Role.PLATFORM_ADMIN))
    assert refusal(answer, status=400) == ("BAD_REQUEST", None)
    assert api.statements == []


async def test_a_search_of_100_kilobytes_is_too_large(api: Api) -> None:
    answer = await api.ask(PORTFOLIO, {"filter": {"search": "x" * 100_000}})
    assert refusal(answer, status=413) == ("REQUEST_TOO_LARGE", None)
    assert api.statements == []


async def test_text_that_no_text_can_hold_is_refused_in_the_document_too(api: Api) -> None:
    literal = '{ clients(filter: { search: "%s" }) { totalCount } }'
    assert refusal(await api.ask(literal % "\\uD83D"))[0] == "GRAPHQL_PARSE_FAILED"
    assert refusal(await api.ask(literal % "\\u0000")) == ("INVALID_INPUT", "search")
    _, body = await api.ask(literal % "\\uD83D\\uDE80")
    assert body == {"data": {"clients": {"totalCount": 1}}}


async def test_a_refused_field_takes_nothing_else_along_that_asks_for_the_same(api: Api) -> None:
    # The second client waits for the very value that the first one no longer needs.
    query = """
    query ($id: ID!) {
      refused: client(id: $id) { usage { summary { totalLogins } } healthHistory(days: 0) { date } }
      answered: client(id: $id) { usage { summary { totalLogins } } }
    }
    """
    status, body = await api.ask(query, {"id": await some_client(api)})
    assert (status, body["data"]["refused"]) == (200, None)
    assert body["data"]["answered"]["usage"]["summary"]["totalLogins"] >= 0
    assert [error["extensions"] for error in body["errors"]] == [{"code": "INVALID_INPUT", "field": "days"}]
