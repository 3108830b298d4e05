"""Every root field of the schema, whichever there are: who is refused, with which code, and that nothing happened.

The documents are made from the schema, so that a new field is asked here without anybody thinking of it. A new mutation
needs PLATFORM_ADMIN until it is named below.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
import redis
from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    OperationType,
    get_introspection_query,
    get_named_type,
    is_leaf_type,
)

from app.auth.tokens import Role
from app.graphql.schema import schema
from app.settings import Settings
from tests.graphql.answers import opaque, refusal
from tests.graphql.conftest import Api, Body, running_api, token_of

SCHEMA = schema._schema

# What the specification lets CLIENT_SUCCESS change; everything else is for PLATFORM_ADMIN alone.
FOR_CLIENT_SUCCESS = {
    "setClientAlerts",
    "setAlerts",
    "snoozeClientAlerts",
    "acknowledgeAlert",
    "giveAlertFeedback",
    "recalculateHealth",
}

SAMPLES = {
    "ID": f'"{opaque(["Client", 1])}"',
    "Boolean": "true",
    "Int": "1",
    "String": '"a"',
    "Date": '"2026-01-31"',
    "DateTime": f'"{(datetime.now(UTC) + timedelta(days=1)).isoformat()}"',
}

# The inputs whose id is an alert's.
OF_ALERTS = {"AcknowledgeAlertInput", "GiveAlertFeedbackInput"}
ALERT = f'"{opaque(["Alert", 1])}"'
RUN = f'"{opaque(["Run", 1])}"'


def root_fields(kind: OperationType) -> Iterator[tuple[str, GraphQLField]]:
    root = SCHEMA.get_root_type(kind)
    yield from root.fields.items() if root else ()


QUERIES = dict(root_fields(OperationType.QUERY))
MUTATIONS = dict(root_fields(OperationType.MUTATION))
SUBSCRIPTIONS = dict(root_fields(OperationType.SUBSCRIPTION))
# Queries are for everybody but these: what receivers answer may hold what was meant for the operator alone, and replays
# are for whoever sets the thresholds.
QUERIES_FOR_ADMINISTRATORS = {"deliveries", "deliveryChannels", "alertReplay"}
FOR_ADMINISTRATORS = sorted((MUTATIONS.keys() - FOR_CLIENT_SUCCESS) | QUERIES_FOR_ADMINISTRATORS)


def sample(type_: GraphQLInputType) -> str:
    """Return a value of an input type as it is written in a document, with nothing in it that may be left out."""
    if isinstance(type_, GraphQLNonNull):
        return sample(type_.of_type)
    if isinstance(type_, GraphQLList):
        return f"[{sample(type_.of_type)}]"
    if isinstance(type_, GraphQLInputObjectType):
        given = arguments(type_.fields)
        return f"{{ {given.replace(SAMPLES['ID'], ALERT) if type_.name in OF_ALERTS else given} }}"
    named: Any = type_
    return SAMPLES.get(named.name) or next(iter(named.values))


def arguments(fields: dict[str, Any]) -> str:
    """Return the arguments or input fields that must be given, with sample values."""
    return ", ".join(
        f"{name}: {RUN if name == 'runId' else sample(field.type)}"
        for name, field in fields.items()
        if isinstance(field.type, GraphQLNonNull) and field.default is None
    )


def document(kind: OperationType, name: str, field: GraphQLField) -> str:
    """Return a document that asks for the field and nothing else."""
    given = arguments(field.args)
    selection = "" if is_leaf_type(get_named_type(field.type)) else " { __typename ... on Error { code message } }"
    if kind is not OperationType.MUTATION:
        selection = selection.replace(" ... on Error { code message }", "")
    return f"{kind.value} {{ {name}{f'({given})' if given else ''}{selection} }}"


def documents() -> dict[str, str]:
    """Return a document for every root field, by its name."""
    kinds = {OperationType.QUERY: QUERIES, OperationType.MUTATION: MUTATIONS, OperationType.SUBSCRIPTION: SUBSCRIPTIONS}
    return {name: document(kind, name, field) for kind, fields in kinds.items() for name, field in fields.items()}


DOCUMENTS = documents()
NOBODY = {
    "no token": None,
    "an expired token": token_of(Role.PLATFORM_ADMIN, age=timedelta(hours=1, seconds=6)),
    "a forged token": token_of(Role.PLATFORM_ADMIN, secret="somebody else's secret of 32 bytes or more"),
}


def refused_with(answer: tuple[int, Body], name: str) -> str:
    """Return the code that the field was refused with: in its result for a mutation, else as a coded error."""
    status, body = answer
    assert status == 200, body
    if name not in MUTATIONS:
        return refusal(answer)[0]
    assert list(body) == ["data"], body
    error = body["data"][name]
    assert error["__typename"] == {"UNAUTHENTICATED": "UnauthenticatedError", "FORBIDDEN": "ForbiddenError"}.get(
        error.get("code")
    ), error
    return str(error["code"])


def test_every_field_that_the_contract_names_is_there() -> None:
    assert {"client", "clients", "portfolioSummary", "benchmarks", "runs", "node"} <= QUERIES.keys()
    assert {"setClientAlerts", "recalculateHealth", "recalculateAllHealth"} <= MUTATIONS.keys()
    assert "recalculateAllHealth" in FOR_ADMINISTRATORS


@pytest.mark.parametrize("name", FOR_ADMINISTRATORS)
def test_the_description_of_what_is_for_administrators_says_so(name: str) -> None:
    assert "PLATFORM_ADMIN" in ((MUTATIONS | QUERIES)[name].description or "")


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize("who", NOBODY)
@pytest.mark.parametrize("name", DOCUMENTS)
async def test_nobody_is_answered_and_nothing_is_executed(api: Api, name: str, who: str) -> None:
    content = orjson.dumps({"query": DOCUMENTS[name]})
    assert refused_with(await api.send(content, token=NOBODY[who]), name) == "UNAUTHENTICATED"
    assert api.statements == []


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize("name", FOR_ADMINISTRATORS)
async def test_client_success_may_not_ask_for_what_is_for_administrators(api: Api, name: str) -> None:
    assert refused_with(await api.ask(DOCUMENTS[name]), name) == "FORBIDDEN"
    assert api.statements == []


@pytest.mark.usefixtures("nothing_happens")
async def test_one_forbidden_field_among_others_is_refused_by_itself(api: Api) -> None:
    both = f"""mutation {{
        first: recalculateAllHealth {{ __typename }}
        recalculateHealth(input: {{ clientId: "{opaque(["Client", 999])}" }}) {{ __typename }}
        last: recalculateAllHealth {{ __typename }}
    }}"""
    _, body = await api.ask(both)
    assert body == {
        "data": {
            "first": {"__typename": "ForbiddenError"},
            "recalculateHealth": {"__typename": "NotFoundError"},
            "last": {"__typename": "ForbiddenError"},
        }
    }


LET_THROUGH = [(Role.PLATFORM_ADMIN, name) for name in [*QUERIES, *MUTATIONS]]
LET_THROUGH += [(Role.CLIENT_SUCCESS, name) for _, name in LET_THROUGH if name not in FOR_ADMINISTRATORS]


@pytest.mark.parametrize(("role", "name"), LET_THROUGH)
async def test_whoever_may_is_let_through(api: Api, role: Role, name: str) -> None:
    _, body = await api.ask(DOCUMENTS[name], role=role)
    assert "FORBIDDEN" not in str(body)
    assert "UNAUTHENTICATED" not in str(body)
    # The refusals above would execute these, if they executed anything. Who asks is known without a statement.
    assert (api.statements != []) is (name != "viewer")


INTROSPECTION = {
    "everything": get_introspection_query(),
    "one type": '{ __type(name: "Client") { name fields { name } } }',
    "the root's name": "{ __typename }",
    "beside a mutation": f"{DOCUMENTS['recalculateAllHealth']} query Q {{ __schema {{ types {{ name }} }} }}",
}


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize("who", NOBODY)
@pytest.mark.parametrize("name", INTROSPECTION)
async def test_nobody_is_told_what_the_schema_holds(api: Api, name: str, who: str) -> None:
    operation = "Q" if name == "beside a mutation" else None
    content = orjson.dumps({"query": INTROSPECTION[name], "operationName": operation})
    assert refusal(await api.send(content, token=NOBODY[who])) == ("UNAUTHENTICATED", None)


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize(
    "query",
    [
        "mutation { setClientAlert { __typename } }",
        "mutation { recalculateHealth(input: {}) { __typename } }",
        "mutation { recalculateHealth(input: { client: 1 }) { __typename } }",
        "mutation { recalculateAllHealth { runId } }",
        "mutation { recalculateAllHealth { ... on Rum { id } } }",
        "mutation { recalculateAllHealth(now: true) { __typename } }",
        "mutation ($id: Idd!) { recalculateAllHealth { __typename } }",
    ],
)
async def test_a_wrong_guess_tells_nobody_what_the_schema_holds(api: Api, query: str) -> None:
    _, body = await api.ask(query, role=None)
    told = orjson.dumps(body).decode()
    assert not any(hint in told for hint in ("Did you mean", "setClientAlerts", "clientId", "RecalculateHealthInput"))
    assert [error["extensions"]["code"] for error in body["errors"]] == ["UNAUTHENTICATED"]


async def test_whoever_has_a_token_may_ask_what_the_schema_holds(api: Api) -> None:
    _, body = await api.ask(get_introspection_query())
    assert {type_["name"] for type_ in body["data"]["__schema"]["types"]} == set(SCHEMA.type_map)


async def test_refusals_send_nothing_to_the_queue(portfolio_settings: Settings) -> None:
    assert portfolio_settings.redis_url is not None
    with redis.Redis.from_url(portfolio_settings.redis_url) as queue:
        async with running_api(portfolio_settings) as api:
            for name in MUTATIONS:
                for token in NOBODY.values():
                    await api.send(orjson.dumps({"query": DOCUMENTS[name]}), token=token)
            for name in FOR_ADMINISTRATORS:
                await api.ask(DOCUMENTS[name])
        assert queue.keys() == []
        # The same mutations do send when they are allowed, and have sent when the application has ended.
        async with running_api(portfolio_settings) as api:
            await api.ask(DOCUMENTS["recalculateAllHealth"], role=Role.PLATFORM_ADMIN)
        assert queue.keys() != []
