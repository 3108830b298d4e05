"""Operations that odd input is sent to, and what a refusal of it must look like."""

import base64
import json

from tests.graphql.conftest import Api, Body

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
LISTS = {"clients": PORTFOLIO, "runs": RUNS, "recentActivity": ACTIVITY}
BIG = 2**63


def opaque(value: object) -> str:
    """Return a value in the form that the API gives its ids and cursors."""
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


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
    assert (status, list(body)) == (200, ["data"]), body
    error = body["data"][mutation]
    assert error["__typename"].endswith("Error")
    assert_sentence(error["message"])
    return error["code"], error.get("field")


async def some_client(api: Api) -> str:
    """Return the global id of a client."""
    _, body = await api.ask("{ clients(first: 1) { edges { node { id } } } }")
    return str(body["data"]["clients"]["edges"][0]["node"]["id"])
