"""The causes of alerts over HTTP: what they say, and what a page of them costs."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.database import Database
from tests.factories import add_rows
from tests.graphql.conftest import Api
from tests.graphql.raised import RAISED_AT, add_alert, forget_alerts

QUERY = """
query ($first: Int!) {
  alerts(first: $first) {
    edges {
      node {
        lightBefore lightAfter riskBefore riskAfter
        causes { component pointsBefore pointsAfter change explanation }
      }
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


def cause(alert: int, component: str, before: str, after: str) -> dict[str, object]:
    row = {"alert_id": alert, "component": component, "points_before": before, "points_after": after}
    return row | {"explanation": f"{component} moved."}


async def test_an_alert_says_why_the_component_that_lost_most_first(api: Api, portfolio: Database) -> None:
    _, key = await add_alert(
        portfolio, 6, light_before="GREEN", light_after="AMBER", risk_before="LOW", risk_after="MEDIUM"
    )
    causes = [("FEATURE_ADOPTION", "12.3", "14.4"), ("TICKET_VOLUME", "15.0", "12.7"), ("LOGIN", "20.0", "0.2")]
    await add_rows(portfolio, "alert_causes", [cause(key, *one) for one in causes])
    status, body = await api.ask(QUERY, {"first": 1})
    assert status == 200
    (edge,) = body["data"]["alerts"]["edges"]
    assert edge["node"] == {
        "lightBefore": "GREEN",
        "lightAfter": "AMBER",
        "riskBefore": "LOW",
        "riskAfter": "MEDIUM",
        "causes": [
            {
                "component": "LOGIN",
                "pointsBefore": 20.0,
                "pointsAfter": 0.2,
                "change": -19.8,
                "explanation": "LOGIN moved.",
            },
            {
                "component": "TICKET_VOLUME",
                "pointsBefore": 15.0,
                "pointsAfter": 12.7,
                "change": -2.3,
                "explanation": "TICKET_VOLUME moved.",
            },
            {
                "component": "FEATURE_ADOPTION",
                "pointsBefore": 12.3,
                "pointsAfter": 14.4,
                "change": 2.1,
                "explanation": "FEATURE_ADOPTION moved.",
            },
        ],
    }


async def test_an_alert_of_an_older_version_has_no_causes(api: Api, portfolio: Database) -> None:
    await add_alert(portfolio, 6)
    _, body = await api.ask(QUERY, {"first": 1})
    (edge,) = body["data"]["alerts"]["edges"]
    standing = dict.fromkeys(("lightBefore", "lightAfter", "riskBefore", "riskAfter"))
    assert edge["node"] == standing | {"causes": []}


async def test_the_causes_of_a_page_are_loaded_at_once(api: Api, portfolio: Database) -> None:
    for number in range(20):
        _, key = await add_alert(portfolio, number + 1, raised_at=RAISED_AT + timedelta(minutes=number))
        await add_rows(portfolio, "alert_causes", [cause(key, "LOGIN", "20.0", f"{number}.5")])
    for first in (1, 20):
        api.statements.clear()
        _, body = await api.ask(QUERY, {"first": first})
        points = [edge["node"]["causes"][0]["pointsAfter"] for edge in body["data"]["alerts"]["edges"]]
        assert points == [19.5 - number for number in range(first)]
        assert len(api.statements) == 2
