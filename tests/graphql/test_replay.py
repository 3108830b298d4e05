"""Replays over HTTP: who may ask for one, with what, and what can be read of it afterwards."""

from collections.abc import AsyncIterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.alerts.rules import Thresholds
from app.auth.tokens import Role
from app.database import Database
from app.graphql.pagination import global_id
from app.runs.execution import execute
from tests.factories import add_score, rows_of
from tests.graphql.answers import opaque, refusal, typed_refusal
from tests.graphql.conftest import SUBJECT, Api, running_api
from tests.graphql.portfolio import CLIENTS, name_of
from tests.graphql.raised import client_numbered

REPLAY = """
mutation ($input: ReplayAlertsInput!) {
  replayAlerts(input: $input) {
    __typename
    ... on Run { id kind status total }
    ... on Error { code message }
    ... on InvalidInputError { field }
  }
}
"""
ADD = text("INSERT INTO alert_replay_clients (run_id, client_id, alerts) SELECT :run_id, id, 1 FROM clients")
RESULT = """
query ($runId: ID!, $first: Int! = 20) {
  alertReplay(runId: $runId) {
    days dropPoints againPoints stormShare stormMinimum alerts held
    byDay { date scored alerts held }
    clients(first: $first) { alerts client { id name } }
    run { id status done }
  }
}
"""


@pytest.fixture
async def portfolio(api: Api) -> AsyncIterator[Database]:
    """The portfolio's database."""
    assert api.settings.database_url is not None
    opened = Database(api.settings.database_url, pool_size=3)
    yield opened
    await opened.close()


async def ask_for(api: Api, role: Role = Role.PLATFORM_ADMIN, **given: object) -> dict[str, Any]:
    status, body = await api.ask(REPLAY, {"input": given}, role)
    assert status == 200, body
    answer: dict[str, Any] = body["data"]["replayAlerts"]
    return answer


async def read(api: Api, run_id: str, **variables: object) -> dict[str, Any]:
    status, body = await api.ask(RESULT, {"runId": run_id} | variables, Role.PLATFORM_ADMIN)
    assert (status, list(body)) == (200, ["data"]), body
    answer: dict[str, Any] = body["data"]["alertReplay"]
    return answer


async def test_a_replay_is_a_run_whose_result_can_be_read(api: Api, portfolio: Database) -> None:
    today = datetime.now(UTC).date()
    healthy, fallen = today - timedelta(days=700), today - timedelta(days=670)
    falling = await client_numbered(portfolio, 6)
    await add_score(portfolio, falling, healthy, 90, light="GREEN", risk="LOW")
    await add_score(portfolio, falling, fallen, 20, light="RED", risk="HIGH")
    accepted = await ask_for(api, days=730, stormMinimum=1, stormShare=99)
    assert (accepted["__typename"], accepted["kind"], accepted["status"]) == ("Run", "REPLAY_ALERTS", "QUEUED")
    before = await read(api, accepted["id"])
    assert (before["alerts"], before["byDay"], before["clients"]) == (0, [], [])
    assert before["run"] == {"id": accepted["id"], "status": "QUEUED", "done": 0}
    (run,) = await rows_of(portfolio, "SELECT id FROM runs")
    assert await execute(portfolio, run[0], api.settings)
    found = await read(api, accepted["id"], first=1)
    # Nobody else's score has fallen from yesterday to today.
    moved = await rows_of(portfolio, "SELECT client_id, count(*) FROM alerts GROUP BY 1")
    assert found["alerts"] == 1 + sum(count for _, count in moved)
    assert found["byDay"][:2] == [
        {"date": healthy.isoformat(), "scored": 1, "alerts": 0, "held": False},
        # One of one client is more than 99 percent.
        {"date": fallen.isoformat(), "scored": 1, "alerts": 1, "held": True},
    ]
    assert found["held"] == 1
    assert found["clients"][0]["client"] == {"id": global_id("Client", falling), "name": name_of(6)}
    assert found["run"] == {"id": accepted["id"], "status": "SUCCEEDED", "done": CLIENTS + 1}
    assert (found["days"], found["dropPoints"], found["againPoints"]) == (730, 5, 5)
    assert (found["stormShare"], found["stormMinimum"]) == (99, 1)


async def test_what_is_not_given_is_as_it_is_set(api: Api) -> None:
    settings = api.settings.model_copy(update={"alert_drop_points": 9, "alert_storm_share": 33})
    async with running_api(settings) as other:
        await ask_for(other)
        await ask_for(other, days=7, dropPoints=0, againPoints=8)
    assert api.settings.database_url is not None
    database = Database(api.settings.database_url)
    stored = await rows_of(database, "SELECT parameters, requested_by FROM runs ORDER BY id")
    await database.close()
    assert stored == [
        ({"days": 90, "thresholds": asdict(Thresholds(9, 5, 33, 10))}, SUBJECT),
        ({"days": 7, "thresholds": asdict(Thresholds(0, 8, 33, 10))}, SUBJECT),
    ]


@pytest.mark.usefixtures("nothing_happens")
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("days", [0, -1, 731]),
        ("dropPoints", [-1, 101]),
        ("againPoints", [-1, 101]),
        ("stormShare", [-1, 101]),
        ("stormMinimum", [0, 1_000_001]),
    ],
)
async def test_what_no_setting_may_be_is_refused(api: Api, name: str, values: list[int]) -> None:
    for value in values:
        answer = await api.ask(REPLAY, {"input": {name: value}}, Role.PLATFORM_ADMIN)
        assert typed_refusal(answer, "replayAlerts") == ("INVALID_INPUT", name)


@pytest.mark.usefixtures("nothing_happens")
async def test_client_success_replays_nothing(api: Api) -> None:
    assert typed_refusal(await api.ask(REPLAY, {"input": {}}), "replayAlerts") == ("FORBIDDEN", None)


async def test_client_success_reads_no_replay(api: Api) -> None:
    run = await ask_for(api)
    api.statements.clear()
    assert refusal(await api.ask(RESULT, {"runId": run["id"]})) == ("FORBIDDEN", None)
    assert api.statements == []


async def test_a_run_of_another_kind_is_no_replay(api: Api) -> None:
    _, body = await api.ask("mutation { recalculateAllHealth { ... on Run { id } } }", role=Role.PLATFORM_ADMIN)
    other = body["data"]["recalculateAllHealth"]["id"]
    for wrong, expected in (
        (other, ("NOT_FOUND", None)),
        (opaque(["Run", 999_999]), ("NOT_FOUND", None)),
        (opaque(["Client", 1]), ("INVALID_INPUT", "runId")),
        ("", ("INVALID_INPUT", "runId")),
    ):
        assert refusal(await api.ask(RESULT, {"runId": wrong}, Role.PLATFORM_ADMIN)) == expected


async def test_the_clients_of_a_replay_are_read_at_once(api: Api, portfolio: Database) -> None:
    run = await ask_for(api)
    (row,) = await rows_of(portfolio, "SELECT id FROM runs")
    async with portfolio.begin() as session:
        await session.execute(ADD, {"run_id": row[0]})
    query = "query ($id: ID!, $n: Int!) { alertReplay(runId: $id) { clients(first: $n) { alerts client { name } } } }"
    for first in (1, 50):
        api.statements.clear()
        _, body = await api.ask(query, {"id": run["id"], "n": first}, Role.PLATFORM_ADMIN)
        assert len(body["data"]["alertReplay"]["clients"]) == first
        # The run, what it counted by day, the clients that it counted, and these themselves.
        assert len(api.statements) == 4
    for wrong in (0, 101):
        answer = await api.ask(query, {"id": run["id"], "n": wrong}, Role.PLATFORM_ADMIN)
        assert refusal(answer) == ("INVALID_INPUT", "first")
