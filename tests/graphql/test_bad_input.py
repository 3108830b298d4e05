"""Odd, wrong and hostile input: a code and one sentence, or the right result; never a 500, and nothing is written."""

import base64
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import orjson
import pytest
from structlog.testing import capture_logs

from app.auth.tokens import Role
from tests.conftest import TEST_SECRET
from tests.graphql.conftest import SUBJECT, Api, Body, token_of
from tests.graphql.portfolio import CLIENTS, NAMES

CLIENT = "query ($id: ID!) { client(id: $id) { name } }"
NODE = "query ($id: ID!) { node(id: $id) { id } }"
BENCHMARKS = "query ($id: ID) { benchmarks(clientId: $id) { peerCount } }"
PORTFOLIO = """
query ($filter: ClientFilter, $orderBy: ClientOrder, $first: Int! = 50, $after: String) {
  clients(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
    totalCount
    edges { cursor node { name } }
  }
}
"""
RUNS = "query ($first: Int! = 20, $after: String) { runs(first: $first, after: $after) { edges { cursor } } }"
ACTIVITY = """
query ($id: ID!, $first: Int! = 20, $after: String) {
  client(id: $id) { recentActivity(first: $first, after: $after) { edges { cursor node { occurredAt } } } }
}
"""
SET_ALERTS = """
mutation ($id: ID!) {
  setClientAlerts(input: { clientId: $id, enabled: true }) {
    __typename ... on Error { code message } ... on InvalidInputError { field }
  }
}
"""
RECALCULATE = """
mutation ($id: ID!) {
  recalculateHealth(input: { clientId: $id }) {
    __typename ... on Error { code message } ... on InvalidInputError { field }
  }
}
"""
MUTATIONS = {"setClientAlerts": SET_ALERTS, "recalculateHealth": RECALCULATE}
BIG = 2**63


def opaque(value: object) -> str:
    """Return a value in the form that the API gives its ids and cursors."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.fixture(autouse=True)
async def nothing_happens(api: Api) -> AsyncIterator[None]:
    """Check after each test that no row of any table was written and no error was anybody's surprise."""
    before = await api.rows()
    with capture_logs() as logs:
        yield
    assert await api.rows() == before
    assert logs == []


def assert_sentence(message: str) -> None:
    """Check that a message is one sentence, and holds nothing from inside the service."""
    assert message[:1].strip(), message
    # The GraphQL library, which checks values against their types, puts no full stop behind what is wrong.
    assert message.endswith(".") or message.startswith(("Variable '$", "Syntax Error: ")), message
    assert "\n" not in message
    assert not any(word in message for word in ("Traceback", "SELECT", "sqlalchemy", "asyncpg", 'File "', "Something"))


def refusal(answer: tuple[int, Body], status: int = 200) -> tuple[str, str | None]:
    """Return the code and the field of the only error of an answer without data."""
    found, body = answer
    assert found == status, body
    assert not any((body.get("data") or {}).values()), body
    (error,) = body["errors"]
    assert_sentence(error["message"])
    return error["extensions"]["code"], error["extensions"].get("field")


def typed_refusal(answer: tuple[int, Body], mutation: str) -> tuple[str, str | None]:
    """Return the code and the field of the typed error that a mutation answered with."""
    status, body = answer
    assert (status, body.keys()) == (200, {"data"}), body
    error = body["data"][mutation]
    assert error["__typename"].endswith("Error")
    assert_sentence(error["message"])
    return error["code"], error.get("field")


async def some_client(api: Api) -> str:
    """Return the global id of a client."""
    _, body = await api.ask("{ clients(first: 1) { edges { node { id } } } }")
    return str(body["data"]["clients"]["edges"][0]["node"]["id"])


# --- Ids


MALFORMED_IDS = {
    "empty": "",
    "blank": " ",
    "a number": "1",
    "words": "not an id",
    "accents": "é",
    "emoji": "🚀",
    "NUL": "\0",
    "no JSON": base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    "text": opaque("Client"),
    "empty list": opaque([]),
    "no key": opaque(["Client"]),
    "too long": opaque(["Client", 1, 2]),
    "text key": opaque(["Client", "1"]),
    "decimal key": opaque(["Client", 1.0]),
    "null key": opaque(["Client", None]),
    "NaN": opaque(["Client", float("nan")]),
    "zero": opaque(["Client", 0]),
    "negative": opaque(["Client", -1]),
    "beyond 64 bits": opaque(["Client", BIG]),
    "far beyond": opaque(["Client", 10**40]),
    "type as a list": opaque([["Client"], 1]),
    "object": opaque({"Client": 1}),
    "deep": base64.urlsafe_b64encode(b"[" * 20_000).decode(),
    "long": "A" * 50_000,
}


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


# --- Pages and days


LISTS = {"clients": PORTFOLIO, "runs": RUNS, "recentActivity": ACTIVITY}


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
    assert (status, body.keys()) == (200, {"data"})


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


# --- Cursors


MALFORMED_CURSORS = {
    name: text for name, text in MALFORMED_IDS.items() if "Client" not in name and not name.startswith("a ")
} | {"number": opaque(1), "null": opaque(None), "lists": opaque([[], [], [], []]), "nulls": opaque([None] * 4)}


@pytest.mark.parametrize("list_", LISTS)
@pytest.mark.parametrize("name", MALFORMED_CURSORS)
async def test_a_malformed_cursor_is_invalid_input(api: Api, list_: str, name: str) -> None:
    variables = {"id": await some_client(api), "after": MALFORMED_CURSORS[name]}
    assert refusal(await api.ask(LISTS[list_], variables)) == ("INVALID_INPUT", "after")


ORDERS = {
    "score": "SCORE",
    "name": "NAME",
    "trend": "TREND",
    "activity": "LAST_ACTIVITY",
    "renewal": "RENEWAL_DATE",
}


async def cursors(api: Api) -> dict[tuple[str, str], str]:
    """Return a real cursor of every order of the portfolio."""
    found = {}
    for field in ORDERS.values():
        for direction in ("ASC", "DESC"):
            order = {"field": field, "direction": direction}
            _, body = await api.ask(PORTFOLIO, {"orderBy": order, "first": 3})
            found[field, direction] = body["data"]["clients"]["edges"][-1]["cursor"]
    return found


async def test_a_cursor_of_another_order_or_another_list_is_refused(api: Api) -> None:
    of_orders = await cursors(api)
    id_ = await some_client(api)
    _, body = await api.ask(ACTIVITY, {"id": id_, "first": 1})
    of_activity = body["data"]["client"]["recentActivity"]["edges"][0]["cursor"]
    of_runs = opaque(["run", 1])
    for field, direction in of_orders:
        variables: dict[str, Any] = {"orderBy": {"field": field, "direction": direction}}
        for order, cursor in of_orders.items():
            answer = await api.ask(PORTFOLIO, variables | {"after": cursor})
            if order == (field, direction):
                assert "errors" not in answer[1]
            else:
                assert refusal(answer) == ("INVALID_INPUT", "after")
        for cursor in (of_activity, of_runs):
            assert refusal(await api.ask(PORTFOLIO, variables | {"after": cursor})) == ("INVALID_INPUT", "after")
    for cursor in (of_activity, *of_orders.values()):
        assert refusal(await api.ask(RUNS, {"after": cursor})) == ("INVALID_INPUT", "after")
    for cursor in (of_runs, *of_orders.values()):
        assert refusal(await api.ask(ACTIVITY, {"id": id_, "after": cursor})) == ("INVALID_INPUT", "after")


NO_KEYS: list[Any] = [None, "", "1", 1.5, float("nan"), float("inf"), [], {}, BIG, -BIG, 10**40]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_a_forged_cursor_of_the_portfolio_is_refused(api: Api, order: str, direction: str) -> None:
    name = f"{order}_{direction}"
    variables: dict[str, Any] = {"orderBy": {"field": ORDERS[order], "direction": direction.upper()}}
    key = None if order == "name" else 5
    forged: list[Any] = [[name, wrong, "acme", 1] for wrong in NO_KEYS if not (order == "name" and wrong is None)]
    forged += [[name, key, wrong, 1] for wrong in (None, 1, [], "a\0b")]
    forged += [[name, key, "acme", wrong] for wrong in (None, "1", 1.5, 0, -1, BIG, 10**40)]
    forged += [[name, key, "acme"], [name, key, "acme", 1, 1], [name]]
    for value in forged:
        answer = await api.ask(PORTFOLIO, variables | {"after": opaque(value)})
        assert refusal(answer) == ("INVALID_INPUT", "after"), value


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("direction", ["asc", "desc"])
async def test_a_cursor_that_nobody_gave_out_but_could_be_one_pages_on(api: Api, order: str, direction: str) -> None:
    variables: dict[str, Any] = {"orderBy": {"field": ORDERS[order], "direction": direction.upper()}, "first": 100}
    keys = [None] if order == "name" else [0, 1, -1, 2**31 - 1, -(2**31) + 1]
    for key in keys:
        for name in ("", "company 30", "🚀", "\uffff" * 1000, "%"):
            after = opaque([f"{order}_{direction}", key, name, BIG - 1])
            status, body = await api.ask(PORTFOLIO, variables | {"after": after})
            assert (status, body.keys()) == (200, {"data"}), body
            assert len(body["data"]["clients"]["edges"]) <= CLIENTS


async def test_a_forged_cursor_of_the_runs_is_refused(api: Api) -> None:
    for wrong in (0, -1, BIG, 10**40, 1.5, "1", None, [], {}, float("nan")):
        assert refusal(await api.ask(RUNS, {"after": opaque(["run", wrong])})) == ("INVALID_INPUT", "after"), wrong
    _, body = await api.ask(RUNS, {"after": opaque(["run", BIG - 1])})
    assert body == {"data": {"runs": {"edges": []}}}


async def test_true_is_no_number_in_an_id_or_a_cursor(api: Api) -> None:
    # Python takes it for one.
    assert refusal(await api.ask(CLIENT, {"id": opaque(["Client", True])})) == ("INVALID_INPUT", "id")
    assert refusal(await api.ask(RUNS, {"after": opaque(["run", True])})) == ("INVALID_INPUT", "after")
    for cursor in (["score_desc", True, "acme", 1], ["score_desc", 5, "acme", True]):
        assert refusal(await api.ask(PORTFOLIO, {"after": opaque(cursor)})) == ("INVALID_INPUT", "after")


NO_MOMENTS: list[Any] = [
    None,
    1,
    "",
    "yesterday",
    "2026-01-01",
    "2026-01-01T00:00:00",
    "2026-13-01T00:00:00+00:00",
    "10000-01-01T00:00:00+00:00",
    "-0001-01-01T00:00:00+00:00",
    "2026-01-01T00:00:00+99:00",
    # Moments that no calendar of ours holds once they are brought to UTC.
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]


@pytest.mark.parametrize("moment", NO_MOMENTS)
async def test_a_forged_moment_in_a_cursor_of_the_activity_is_refused(api: Api, moment: object) -> None:
    after = opaque([moment, "LOGINS", "2026-01-01"])
    answer = await api.ask(ACTIVITY, {"id": await some_client(api), "after": after})
    assert refusal(answer) == ("INVALID_INPUT", "after")


async def test_a_forged_cursor_of_the_activity_is_refused_or_shows_nothing_of_the_future(api: Api) -> None:
    id_ = await some_client(api)
    now = datetime.now(UTC)
    for parts in (["LOGINS"], [1, "x"], ["LOGINS", None], ["a\0", "x"], ["LOGINS", "a\0"], ["LOGINS", "x", 1]):
        answer = await api.ask(ACTIVITY, {"id": id_, "after": opaque([now.isoformat(), *parts])})
        assert refusal(answer) == ("INVALID_INPUT", "after"), parts
    for at in ("9999-12-31T23:59:59+00:00", "0001-01-01T00:00:00+00:00", "2026-06-01T00:00:00+05:45"):
        for kind, key in (("", ""), ("ZZZ", "💥"), ("LOGINS", "%' OR 1=1 --")):
            _, body = await api.ask(ACTIVITY, {"id": id_, "after": opaque([at, kind, key]), "first": 100})
            assert "errors" not in body, body
            edges = body["data"]["client"]["recentActivity"]["edges"]
            assert all(datetime.fromisoformat(edge["node"]["occurredAt"]) <= now for edge in edges)


# --- Filters


async def found_by(api: Api, **conditions: object) -> list[str]:
    """Return the names of the clients that match, by name."""
    order = {"field": "NAME", "direction": "ASC"}
    status, body = await api.ask(PORTFOLIO, {"filter": conditions, "orderBy": order, "first": 100})
    assert (status, body.keys()) == (200, {"data"}), body
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


# --- Tokens: who may do what is in test_access.py


def edited(token: str, **claims: object) -> str:
    """Return the token with other claims under the old signature."""
    header, payload, signature = token.split(".")
    old = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    changed = base64.urlsafe_b64encode(orjson.dumps(old | claims)).decode().rstrip("=")
    return f"{header}.{changed}.{signature}"


def bad_tokens() -> dict[str, str]:
    """Return tokens that were never, or are no longer, good for anything."""
    admin, nobody = token_of(Role.PLATFORM_ADMIN), token_of(Role.CLIENT_SUCCESS)
    claims = jwt.decode(admin, options={"verify_signature": False})
    return {
        "expired beyond the leeway": token_of(Role.PLATFORM_ADMIN, age=timedelta(hours=1, seconds=6)),
        "of another secret": token_of(Role.PLATFORM_ADMIN, secret="somebody else's secret of 32 bytes or more"),
        "with the role edited": edited(nobody, role="PLATFORM_ADMIN"),
        "with the time edited": edited(token_of(Role.PLATFORM_ADMIN, age=timedelta(days=1)), exp=2**40),
        "without a signature": admin.rpartition(".")[0] + ".",
        "of the algorithm none": jwt.encode(claims, None, algorithm="none"),
        "of an unknown role": jwt.encode(claims | {"role": "ROOT"}, TEST_SECRET, algorithm="HS256"),
        "no token at all": "x",
    }


@pytest.mark.parametrize("name", bad_tokens())
async def test_a_token_that_is_not_good_gets_nothing(api: Api, name: str) -> None:
    token = bad_tokens()[name]
    id_ = await some_client(api)
    api.statements.clear()
    for query in (CLIENT, NODE, BENCHMARKS, PORTFOLIO, RUNS, ACTIVITY):
        content = orjson.dumps({"query": query, "variables": {"id": id_}})
        assert refusal(await api.send(content, token=token)) == ("UNAUTHENTICATED", None)
    for field, mutation in MUTATIONS.items():
        content = orjson.dumps({"query": mutation, "variables": {"id": id_}})
        assert typed_refusal(await api.send(content, token=token), field) == ("UNAUTHENTICATED", None)
    assert api.statements == []


async def test_a_token_within_the_leeway_is_still_good(api: Api) -> None:
    token = token_of(Role.CLIENT_SUCCESS, age=timedelta(hours=1, seconds=1))
    _, body = await api.send(orjson.dumps({"query": "{ __typename }"}), token=token)
    assert body == {"data": {"__typename": "Query"}}
    assert jwt.decode(token, options={"verify_signature": False})["sub"] == SUBJECT
