"""The operations that front ends send, over HTTP, and what each costs in SQL statements."""

from typing import Any

import pytest
from sqlalchemy import text

from app.auth.tokens import Role
from app.database import Database, fetch
from tests.contract import OPERATIONS
from tests.graphql.conftest import SUBJECT, Api
from tests.graphql.portfolio import CLIENTS

Answer = dict[str, Any]


async def ask(api: Api, operation: str, role: Role = Role.CLIENT_SUCCESS, **variables: object) -> Answer:
    """Send one operation of the contract and return its data."""
    status, body = await api.ask(OPERATIONS[operation], variables, role, operation)
    assert status == 200, body
    assert "errors" not in body, body
    data: Answer = body["data"]
    return data


async def first_client(api: Api) -> Answer:
    """Return the first card of the portfolio."""
    node: Answer = (await ask(api, "Portfolio", first=1))["clients"]["edges"][0]["node"]
    return node


async def test_the_first_page_costs_the_same_statements_for_fifty_clients_as_for_one(api: Api) -> None:
    counts = []
    for first in (1, 50):
        api.statements.clear()
        data = await ask(api, "Portfolio", first=first)
        assert len(data["clients"]["edges"]) == first
        assert data["clients"]["totalCount"] == data["portfolioSummary"]["total"] == CLIENTS
        counts.append(len(api.statements))
    # The tiles, when they were calculated, the page, and how many match.
    assert counts == [4, 4]


async def test_the_components_of_a_page_are_explained_by_one_more_statement(api: Api) -> None:
    query = "query Q($n: Int!) { clients(first: $n) { edges { node { health { components { explanation } } } } } }"
    for first in (1, 50):
        api.statements.clear()
        _, body = await api.ask(query, {"n": first})
        explanations = [
            component["explanation"]
            for edge in body["data"]["clients"]["edges"]
            for component in edge["node"]["health"]["components"]
        ]
        assert len(explanations) == first * 5
        assert all(explanation.endswith(".") for explanation in explanations)
        assert len(api.statements) == 2


@pytest.mark.parametrize(
    "selection", ["usage(days: 7) { summary { totalLogins } }", "healthHistory(days: 7) { score }"]
)
async def test_what_a_list_of_clients_is_asked_for_is_loaded_at_once(api: Api, selection: str) -> None:
    counts = []
    for first in (2, 20):
        api.statements.clear()
        _, body = await api.ask(f"{{ clients(first: {first}) {{ edges {{ node {{ {selection} }} }} }} }}")
        assert len(body["data"]["clients"]["edges"]) == first
        counts.append(len(api.statements))
    assert counts[0] == counts[1] <= 3


async def test_a_clients_page_is_one_request_of_seven_statements(api: Api) -> None:
    card = await first_client(api)
    api.statements.clear()
    client = (await ask(api, "ClientDetail", id=card["id"]))["client"]
    # The client, its counts, history, usage (series and sessions), features and activity.
    assert len(api.statements) == 7
    assert client["name"] == card["name"]
    assert client["health"]["score"] == card["health"]["score"]
    assert len(client["usage"]["daily"]) == 30
    assert client["usage"]["summary"]["totalLogins"] == sum(day["logins"] for day in client["usage"]["daily"])
    assert [point["score"] for point in client["healthHistory"]][-1] == card["health"]["score"]
    assert client["featureAdoption"] == {"enabledCount": 2, "usedCount": 1, "adoptionRate": 50.0}
    assert [(f["key"], f["adopted"]) for f in client["features"]] == [("core", True), ("report", False)]
    times = [edge["node"]["occurredAt"] for edge in client["recentActivity"]["edges"]]
    assert times == sorted(times, reverse=True)
    assert times


async def test_a_metrics_history_and_any_object_by_its_id(api: Api) -> None:
    card = await first_client(api)
    history = (await ask(api, "MetricHistory", id=card["id"], metric="LOGINS"))["client"]["metricHistory"]
    assert [point["changePercent"] for point in history] == [None]
    again = await ask(api, "Again", id=card["id"])
    assert again == {"node": {"id": card["id"], "__typename": "Client", "name": card["name"]}}


async def test_benchmarks_with_and_without_a_client(api: Api) -> None:
    everybody = (await ask(api, "Benchmarks"))["benchmarks"]
    assert everybody["available"] is True
    assert all(metric["clientValue"] is None for metric in everybody["metrics"])
    assert len(everybody["metrics"]) == 4
    narrow = (await ask(api, "Benchmarks", size="SMB", industry="OTHER"))["benchmarks"]
    assert narrow["peerCount"] == 3
    assert narrow["available"] is False
    assert narrow["unavailableReason"].startswith("Only 3 clients match the filters")
    for metric in narrow["metrics"]:
        values = ("p25", "median", "p75", "clientValue", "clientPercentile")
        assert {name: metric[name] for name in values} == dict.fromkeys(values)


async def test_alerts_are_switched_and_the_change_is_on_record(api: Api) -> None:
    card = await first_client(api)
    wanted = not card["alertsEnabled"]
    answer = (await ask(api, "SetClientAlerts", clientId=card["id"], enabled=wanted))["setClientAlerts"]
    assert answer == {"__typename": "Client", "id": card["id"], "alertsEnabled": wanted}
    # Asking for what is already so leaves no trace.
    await ask(api, "SetClientAlerts", clientId=card["id"], enabled=wanted)
    assert api.settings.database_url is not None
    database = Database(api.settings.database_url)
    async with database.read() as connection:
        events = await fetch(connection, text("SELECT actor, action, changes FROM audit_events"))
    await database.close()
    assert [tuple(event) for event in events] == [(SUBJECT, "ALERTS_CHANGED", {"alerts_enabled": [not wanted, wanted]})]
    activity = (await ask(api, "ClientDetail", id=card["id"]))["client"]["recentActivity"]["edges"][0]["node"]
    assert activity["description"] == f"Alerts were switched {'on' if wanted else 'off'} by {SUBJECT}."


async def test_recalculations_are_accepted_at_once_and_can_be_watched(api: Api) -> None:
    card = await first_client(api)
    one = (await ask(api, "Recalculate", clientId=card["id"]))["recalculateHealth"]
    everybody = (await ask(api, "RecalculateAll", Role.PLATFORM_ADMIN))["recalculateAllHealth"]
    assert (one["__typename"], one["kind"], one["status"], one["done"]) == ("Run", "RECALCULATE_ONE", "QUEUED", 0)
    assert (everybody["kind"], everybody["status"], everybody["total"]) == ("RECALCULATE_ALL", "QUEUED", None)
    again = (await ask(api, "Recalculate", clientId=card["id"]))["recalculateHealth"]
    assert again["id"] == one["id"]
    page = (await ask(api, "Runs", first=1))["runs"]
    assert [edge["node"]["id"] for edge in page["edges"]] == [everybody["id"]]
    assert page["edges"][0]["node"]["requestedBy"] == SUBJECT
    assert page["edges"][0]["node"]["errors"] == []
    rest = (await ask(api, "Runs", first=5, after=page["pageInfo"]["endCursor"]))["runs"]
    assert [edge["node"]["id"] for edge in rest["edges"]] == [one["id"]]
    assert rest["pageInfo"]["hasNextPage"] is False


async def test_all_clients_cannot_be_recalculated_by_client_success(api: Api) -> None:
    before = await api.rows()
    answer = (await ask(api, "RecalculateAll"))["recalculateAllHealth"]
    assert answer == {
        "__typename": "ForbiddenError",
        "code": "FORBIDDEN",
        "message": "This needs the role PLATFORM_ADMIN.",
    }
    assert await api.rows() == before


async def test_the_clients_of_all_failures_are_read_at_once(api: Api) -> None:
    everybody = (await ask(api, "RecalculateAll", Role.PLATFORM_ADMIN))["recalculateAllHealth"]
    assert api.settings.database_url is not None
    database = Database(api.settings.database_url)
    async with database.begin() as session:
        await session.execute(
            text(
                "INSERT INTO run_errors (run_id, client_id, message, attempt) "
                "SELECT (SELECT max(id) FROM runs), id, 'bad ' || name, 1 FROM clients LIMIT 60"
            )
        )
    await database.close()
    query = "{ runs(first: 1) { edges { node { id errors { clientId message client { id name } } } } } }"
    api.statements.clear()
    _, body = await api.ask(query)
    run = body["data"]["runs"]["edges"][0]["node"]
    assert run["id"] == everybody["id"]
    assert len(run["errors"]) == 60
    assert all(one["client"]["id"] == one["clientId"] for one in run["errors"])
    assert all(one["message"] == f"bad {one['client']['name']}" for one in run["errors"])
    # The runs, their failures, and the clients of these.
    assert len(api.statements) == 3
