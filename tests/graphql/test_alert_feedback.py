"""Feedback over HTTP: a click, what others said, and the report."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.auth.tokens import Role
from app.database import Database
from tests.factories import add_rows, rows_of
from tests.graphql.answers import opaque, refusal, typed_refusal
from tests.graphql.conftest import SUBJECT, Api
from tests.graphql.raised import add_alert, forget_alerts

GIVE = """
mutation ($id: ID!, $verdict: AlertVerdict!) {
  giveAlertFeedback(input: {id: $id, verdict: $verdict}) {
    __typename
    ... on Alert { id feedback { mine verdicts { useful alreadyKnown wrongData usefulShare } } }
    ... on Error { code message }
    ... on InvalidInputError { field }
  }
}
"""
LIST = "query ($first: Int!) { alerts(first: $first) { edges { node { feedback { mine verdicts { useful } } } } } }"
REPORT = """
query ($days: Int! = 90) {
  alertFeedback(days: $days) {
    verdicts { useful alreadyKnown wrongData usefulShare }
    byKind { kind verdicts { useful usefulShare } }
    byComponent { component verdicts { useful usefulShare } }
    byWeek {
      week verdicts { useful usefulShare }
      byKind { kind verdicts { useful } }
      byComponent { component verdicts { useful } }
    }
  }
}
"""


@pytest.fixture
async def portfolio(api: Api) -> AsyncIterator[Database]:
    """The portfolio's database, without an alert."""
    assert api.settings.database_url is not None
    opened = Database(api.settings.database_url, pool_size=3)
    await forget_alerts(opened)
    yield opened
    await opened.close()


async def give(api: Api, alert: str, verdict: str, role: Role = Role.CLIENT_SUCCESS) -> dict[str, Any]:
    status, body = await api.ask(GIVE, {"id": alert, "verdict": verdict}, role)
    assert status == 200, body
    answer: dict[str, Any] = body["data"]["giveAlertFeedback"]
    return answer


async def test_one_click_says_what_an_alert_was_worth(api: Api, portfolio: Database) -> None:
    alert, key = await add_alert(portfolio)
    other = {"alert_id": key, "subject": "bob@example.com", "verdict": "WRONG_DATA", "given_at": datetime.now(UTC)}
    await add_rows(portfolio, "alert_feedback", [other])
    answer = await give(api, alert, "USEFUL")
    verdicts = {"useful": 1, "alreadyKnown": 0, "wrongData": 1, "usefulShare": 50.0}
    assert answer == {"__typename": "Alert", "id": alert, "feedback": {"mine": "USEFUL", "verdicts": verdicts}}
    # The same person changes the one verdict, whatever the role.
    answer = await give(api, alert, "ALREADY_KNOWN", Role.PLATFORM_ADMIN)
    assert answer["feedback"] == {
        "mine": "ALREADY_KNOWN",
        "verdicts": {"useful": 0, "alreadyKnown": 1, "wrongData": 1, "usefulShare": 0.0},
    }
    given = "SELECT subject, verdict FROM alert_feedback ORDER BY subject"
    assert await rows_of(portfolio, given) == [(SUBJECT, "ALREADY_KNOWN"), ("bob@example.com", "WRONG_DATA")]


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ("", ("INVALID_INPUT", "id")),
        (opaque(["Client", 1]), ("INVALID_INPUT", "id")),
        (opaque(["Alert", 999_999]), ("NOT_FOUND", None)),
    ],
)
async def test_feedback_on_no_alert_is_refused(
    api: Api, portfolio: Database, wrong: str, expected: tuple[str, str | None]
) -> None:
    await add_alert(portfolio)
    before = await api.rows()
    answer = await api.ask(GIVE, {"id": wrong, "verdict": "USEFUL"})
    assert typed_refusal(answer, "giveAlertFeedback") == expected
    assert await api.rows() == before


@pytest.mark.usefixtures("nothing_happens")
async def test_an_unknown_verdict_is_refused(api: Api) -> None:
    answer = await api.ask(GIVE, {"id": opaque(["Alert", 1]), "verdict": "GREAT"})
    assert refusal(answer, answer[0])[0] in {"INVALID_INPUT", "GRAPHQL_VALIDATION_FAILED"}


async def test_the_feedback_of_a_page_is_loaded_at_once(api: Api, portfolio: Database) -> None:
    for number in range(20):
        alert, _ = await add_alert(portfolio, number + 1)
        if number % 2:
            await give(api, alert, "USEFUL")
    for first in (1, 20):
        api.statements.clear()
        _, body = await api.ask(LIST, {"first": first})
        found = [edge["node"]["feedback"] for edge in body["data"]["alerts"]["edges"]]
        said = {"mine": "USEFUL", "verdicts": {"useful": 1}}
        assert found == [said, {"mine": None, "verdicts": {"useful": 0}}][:first] * max(1, first // 2)
        assert len(api.statements) == 2


async def test_the_report_has_shares_by_kind_by_component_and_by_week(api: Api, portfolio: Database) -> None:
    now = datetime.now(UTC)
    monday = (now - timedelta(days=now.weekday())).date()
    first, key = await add_alert(portfolio, 4, raised_at=now)
    cause = {"alert_id": key, "component": "LOGIN", "points_before": 20, "points_after": 1, "explanation": "So."}
    await add_rows(portfolio, "alert_causes", [cause])
    second, _ = await add_alert(portfolio, 5, raised_at=now, kind="RISK_HIGH", kinds=["RISK_HIGH"])
    await give(api, first, "USEFUL")
    await give(api, second, "WRONG_DATA")
    _, body = await api.ask(REPORT)
    assert body["data"]["alertFeedback"] == {
        "verdicts": {"useful": 1, "alreadyKnown": 0, "wrongData": 1, "usefulShare": 50.0},
        "byKind": [
            {"kind": "RISK_HIGH", "verdicts": {"useful": 0, "usefulShare": 0.0}},
            {"kind": "LIGHT_WORSENED", "verdicts": {"useful": 1, "usefulShare": 100.0}},
        ],
        "byComponent": [{"component": "LOGIN", "verdicts": {"useful": 1, "usefulShare": 100.0}}],
        "byWeek": [
            {
                "week": monday.isoformat(),
                "verdicts": {"useful": 1, "usefulShare": 50.0},
                "byKind": [
                    {"kind": "RISK_HIGH", "verdicts": {"useful": 0}},
                    {"kind": "LIGHT_WORSENED", "verdicts": {"useful": 1}},
                ],
                "byComponent": [{"component": "LOGIN", "verdicts": {"useful": 1}}],
            }
        ],
    }


@pytest.mark.parametrize("days", [0, -1, 731])
async def test_a_report_over_no_days_is_refused(api: Api, days: int) -> None:
    query = "query ($days: Int!) { alertFeedback(days: $days) { verdicts { useful } } }"
    assert refusal(await api.ask(query, {"days": days})) == ("INVALID_INPUT", "days")
