"""Held alerts over HTTP: marked in the list, told to subscribers only when they are released, and decided about."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.alerts import holding
from app.auth.tokens import Role
from app.database import Database
from app.graphql.live import Hub
from app.graphql.pagination import global_id
from tests.factories import add_rows, rows_of
from tests.graphql.answers import opaque, typed_refusal
from tests.graphql.conftest import SUBJECT, Api
from tests.graphql.live import PATIENCE, alert_row, raise_alerts, until
from tests.graphql.raised import RAISED_AT, add_alert, client_numbered, forget_alerts

LIST = """
query ($filter: AlertFilter) {
  alerts(filter: $filter) { totalCount edges { node { id held releasing discardedAt } } }
}
"""
DECIDE = """
mutation ($runId: ID) {
  %s(input: {runId: $runId}) {
    __typename
    ... on HeldAlerts { count }
    ... on Error { code message }
    ... on InvalidInputError { field }
  }
}
"""
RELEASE, DISCARD = "releaseHeldAlerts", "discardHeldAlerts"


@pytest.fixture
async def portfolio(api: Api) -> AsyncIterator[Database]:
    """The portfolio's database, without an alert."""
    assert api.settings.database_url is not None
    opened = Database(api.settings.database_url, pool_size=3)
    await forget_alerts(opened)
    yield opened
    await opened.close()


async def add_run(database: Database) -> int:
    """Add a finished recalculation of everybody."""
    row = {"kind": "RECALCULATE_ALL", "status": "SUCCEEDED", "requested_by": "schedule", "requested_at": RAISED_AT}
    (run_id,) = await add_rows(database, "runs", [row | {"finished_at": RAISED_AT}])
    return run_id


async def decide(api: Api, mutation: str, run_id: int | None = None) -> dict[str, Any]:
    variables = {"runId": None if run_id is None else global_id("Run", run_id)}
    status, body = await api.ask(DECIDE % mutation, variables, Role.PLATFORM_ADMIN)
    assert status == 200
    answer: dict[str, Any] = body["data"][mutation]
    return answer


async def test_a_held_alert_is_marked_and_can_be_asked_for(api: Api, portfolio: Database) -> None:
    run_id = await add_run(portfolio)
    held, _ = await add_alert(portfolio, 4, held=True, run_id=run_id)
    told, _ = await add_alert(portfolio, 5, raised_at=RAISED_AT + timedelta(hours=1))
    nodes = {
        held: {"id": held, "held": True, "releasing": False, "discardedAt": None},
        told: {"id": told, "held": False, "releasing": False, "discardedAt": None},
    }
    for filter_, expected in (
        ({}, [told, held]),
        ({"held": None}, [told, held]),
        ({"held": True}, [held]),
        ({"held": False}, [told]),
    ):
        _, body = await api.ask(LIST, {"filter": filter_})
        assert body["data"]["alerts"]["totalCount"] == len(expected)
        assert [edge["node"] for edge in body["data"]["alerts"]["edges"]] == [nodes[one] for one in expected]


async def test_of_very_many_the_others_are_marked_until_they_are_released(
    api: Api, portfolio: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holding, "RELEASED_AT_ONCE", 2)
    run_id, other_id = await add_run(portfolio), await add_run(portfolio)
    for number in range(3):
        await add_alert(portfolio, number + 1, held=True, run_id=run_id)
    await add_alert(portfolio, 4, held=True, run_id=other_id)

    async def marks() -> list[tuple[bool, bool]]:
        _, body = await api.ask(LIST)
        nodes = [edge["node"] for edge in body["data"]["alerts"]["edges"]]
        return sorted((node["held"], node["releasing"]) for node in nodes)

    assert await decide(api, RELEASE, run_id) == {"__typename": "HeldAlerts", "count": 3}
    assert await marks() == [(False, False), (False, False), (True, False), (True, True)]
    # What is on its way cannot be taken back.
    assert await decide(api, DISCARD) == {"__typename": "HeldAlerts", "count": 1}
    async with portfolio.begin() as session:
        assert await holding.release_next(session) == 1
    assert await marks() == [(False, False)] * 4


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize(
    ("mutation", "action", "status"),
    [(RELEASE, "HELD_ALERTS_RELEASED", "OPEN"), (DISCARD, "HELD_ALERTS_DISCARDED", "RESOLVED")],
)
async def test_an_administrator_decides_once(
    api: Api, portfolio: Database, mutation: str, action: str, status: str, *, named: bool
) -> None:
    run_id = await add_run(portfolio)
    for number in range(3):
        await add_alert(portfolio, number + 1, held=True, run_id=run_id)
    run = run_id if named else None
    assert await decide(api, mutation, run) == {"__typename": "HeldAlerts", "count": 3}
    assert await rows_of(portfolio, "SELECT DISTINCT held, status FROM alerts") == [(False, status)]
    events = await rows_of(portfolio, "SELECT action, actor, run_id, changes FROM audit_events")
    assert events == [(action, SUBJECT, run_id, {"held": [3, 0]})]
    _, body = await api.ask(LIST)
    discarded = [edge["node"]["discardedAt"] is not None for edge in body["data"]["alerts"]["edges"]]
    assert discarded == [mutation == DISCARD] * 3
    before = await api.rows()
    for again in (RELEASE, DISCARD):
        assert await decide(api, again, run) == {"__typename": "HeldAlerts", "count": 0}
    assert await api.rows() == before


@pytest.mark.parametrize("mutation", [RELEASE, DISCARD])
@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("", ("INVALID_INPUT", "runId")),
        ("not an id", ("INVALID_INPUT", "runId")),
        (opaque(["Client", 1]), ("INVALID_INPUT", "runId")),
        (opaque(["Run", 999_999]), ("NOT_FOUND", None)),
    ],
)
async def test_a_decision_about_no_run_is_refused(
    api: Api, portfolio: Database, mutation: str, wrong: str, expected: tuple[str, str | None]
) -> None:
    await add_alert(portfolio, 4, held=True, run_id=await add_run(portfolio))
    before = await api.rows()
    answer = await api.ask(DECIDE % mutation, {"runId": wrong}, Role.PLATFORM_ADMIN)
    assert typed_refusal(answer, mutation) == expected
    assert await api.rows() == before


async def test_client_success_decides_nothing(api: Api, portfolio: Database) -> None:
    await add_alert(portfolio, 4, held=True, run_id=await add_run(portfolio))
    before = await api.rows()
    for mutation in (RELEASE, DISCARD):
        assert typed_refusal(await api.ask(DECIDE % mutation), mutation) == ("FORBIDDEN", None)
    assert await api.rows() == before


async def test_subscribers_are_told_of_what_is_released_and_not_of_what_is_discarded(portfolio: Database) -> None:
    run_id, other_id = await add_run(portfolio), await add_run(portfolio)
    client = await client_numbered(portfolio, 6)
    hub = Hub(portfolio.read, every=timedelta(milliseconds=50))

    async def decide_about(decision: Any, run: int) -> None:
        async with portfolio.begin() as session:
            assert await decision(session, run, actor="root", now=datetime.now(UTC), request_id=None) == 1

    async def taken() -> str:
        async with asyncio.timeout(PATIENCE):
            return str((await inbox.take()).alert.message)

    with hub.alerts() as inbox:
        await until(lambda: not inbox.fresh)
        held = [(1, run_id), (2, other_id)]
        await add_rows(
            portfolio, "alerts", [alert_row(client, number) | {"held": True, "run_id": run} for number, run in held]
        )
        await raise_alerts(portfolio, client, 3)
        assert await taken() == "alert 3"
        await decide_about(holding.discard_held, other_id)
        await decide_about(holding.release_held, run_id)
        assert await taken() == "alert 1"
        await raise_alerts(portfolio, client, 4)
        assert await taken() == "alert 4"
    await hub.close()
