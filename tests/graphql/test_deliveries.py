"""Deliveries, their attempts and the channels in the API; who may ask is the business of test_access."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from app.auth.tokens import Role
from app.database import Database
from app.graphql.pagination import global_id
from tests.delivery.helpers import add_alert, add_channel
from tests.factories import add_rows, rows_of
from tests.graphql.answers import opaque, refusal
from tests.graphql.conftest import SUBJECT, Api

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
DELIVERIES = """
query ($filter: DeliveryFilter, $first: Int! = 20, $after: String) {
  deliveries(filter: $filter, first: $first, after: $after) {
    edges { cursor node {
      id messageId kind channel recipient alertId digestId status createdAt nextAttemptAt finishedAt reason
      attempts { number startedAt finishedAt outcome httpStatus answer problem }
    } }
    pageInfo { hasNextPage endCursor }
  }
}
"""
CHANNELS = """
{ deliveryChannels { name kind mode engagementModels risks toOwner digestAt configured disabledAt disabledReason } }
"""
ENABLE = """
mutation ($name: String!) {
  enableChannel(input: {name: $name}) {
    __typename ... on DeliveryChannel { name disabledAt disabledReason } ... on Error { code message }
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


async def ask(api: Api, query: str, **variables: object) -> dict[str, Any]:
    _, body = await api.ask(query, variables, Role.PLATFORM_ADMIN)
    assert "errors" not in body, body
    data: dict[str, Any] = body["data"]
    return data


async def add_deliveries(database: Database, number: int, **values: Any) -> list[int]:
    rows = [
        {
            "kind": "ALERT",
            "channel": "ops",
            "recipient": "",
            "alert_id": await add_alert(database),
            "status": "PENDING",
            "created_at": NOW,
            "next_attempt_at": NOW + timedelta(minutes=1),
        }
        | values
        for _ in range(number)
    ]
    return await add_rows(database, "deliveries", rows)


async def test_a_delivery_is_shown_with_every_attempt(api: Api, portfolio: Database) -> None:
    await add_channel(portfolio)
    [delivery] = await add_deliveries(portfolio, 1, status="FAILED", attempt=2, finished_at=NOW, reason="All failed.")
    attempt = {"delivery_id": delivery, "started_at": NOW, "finished_at": None}
    none = dict.fromkeys(("outcome", "http_status", "answer", "problem"))
    told = {"finished_at": NOW, "outcome": "REFUSED", "http_status": 503, "answer": "<b>", "problem": "It says 503."}
    await add_rows(portfolio, "delivery_attempts", [attempt | none | {"number": 1}, attempt | told | {"number": 2}])
    [(alert, message_id)] = await rows_of(portfolio, "SELECT alert_id, message_id FROM deliveries")
    found = (await ask(api, DELIVERIES))["deliveries"]
    at = "2026-03-10T12:00:00+00:00"
    assert found["pageInfo"]["hasNextPage"] is False
    assert [edge["node"] for edge in found["edges"]] == [
        {
            "id": global_id("Delivery", delivery),
            "messageId": f"msg_{message_id.hex}",
            "kind": "ALERT",
            "channel": "ops",
            "recipient": None,
            "alertId": global_id("Alert", alert),
            "digestId": None,
            "status": "FAILED",
            "createdAt": at,
            "nextAttemptAt": None,
            "finishedAt": at,
            "reason": "All failed.",
            "attempts": [
                {
                    "number": 1,
                    "startedAt": at,
                    "finishedAt": None,
                    "outcome": None,
                    "httpStatus": None,
                    "answer": None,
                    "problem": None,
                },
                {
                    "number": 2,
                    "startedAt": at,
                    "finishedAt": at,
                    "outcome": "REFUSED",
                    "httpStatus": 503,
                    "answer": "<b>",
                    "problem": "It says 503.",
                },
            ],
        }
    ]


async def test_deliveries_come_in_pages_with_their_attempts_in_one_statement(api: Api, portfolio: Database) -> None:
    await add_channel(portfolio)
    ids = await add_deliveries(portfolio, 5)
    api.statements.clear()
    first = (await ask(api, DELIVERIES, first=3))["deliveries"]
    assert len(api.statements) == 2
    after = first["pageInfo"]["endCursor"]
    second = (await ask(api, DELIVERIES, first=3, after=after))["deliveries"]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    listed = [edge["node"]["id"] for page in (first, second) for edge in page["edges"]]
    assert listed == [global_id("Delivery", key) for key in reversed(ids)]


async def test_deliveries_are_found_by_status_channel_and_alert(api: Api, portfolio: Database) -> None:
    await add_channel(portfolio)
    await add_channel(portfolio, "other")
    [pending] = await add_deliveries(portfolio, 1)
    [failed] = await add_deliveries(portfolio, 1, status="FAILED", channel="other")
    [(alert,)] = await rows_of(portfolio, "SELECT alert_id FROM deliveries WHERE id = :id", id=failed)
    for filter_, expected in (
        ({"status": ["PENDING"]}, [pending]),
        ({"status": ["FAILED", "PENDING"]}, [failed, pending]),
        ({"status": []}, []),
        ({"channel": "other"}, [failed]),
        ({"channel": "nobody"}, []),
        ({"alertId": global_id("Alert", alert)}, [failed]),
        ({"channel": "ops", "status": ["FAILED"]}, []),
    ):
        found = (await ask(api, DELIVERIES, filter=filter_))["deliveries"]["edges"]
        assert [edge["node"]["id"] for edge in found] == [global_id("Delivery", key) for key in expected]


@pytest.mark.parametrize(
    ("variables", "field"),
    [
        ({"after": "nonsense"}, "after"),
        ({"after": opaque(["run", 1])}, "after"),
        ({"first": 0}, "first"),
        ({"first": 101}, "first"),
        ({"filter": {"alertId": opaque(["Client", 1])}}, "alertId"),
        ({"filter": {"channel": "a\0"}}, "channel"),
    ],
)
async def test_what_cannot_be_listed_is_refused_by_its_field(api: Api, variables: dict[str, Any], field: str) -> None:
    answer = await api.ask(DELIVERIES, variables, Role.PLATFORM_ADMIN)
    assert refusal(answer) == ("INVALID_INPUT", field)


async def test_channels_are_shown_without_what_is_secret(api: Api, portfolio: Database) -> None:
    await add_channel(portfolio, "b", fingerprint=b"hunter2")
    routing = {"engagement_models": ["PLG"], "risks": ["HIGH"], "mode": None, "digest_at": time(7, 30)}
    await add_channel(portfolio, "a", kind="APPRISE", to_owner=True, configured=False, **routing)
    assert (await ask(api, CHANNELS))["deliveryChannels"] == [
        {
            "name": "a",
            "kind": "APPRISE",
            "mode": None,
            "engagementModels": ["PLG"],
            "risks": ["HIGH"],
            "toOwner": True,
            "digestAt": "07:30:00",
            "configured": False,
            "disabledAt": None,
            "disabledReason": None,
        },
        {
            "name": "b",
            "kind": "WEBHOOK",
            "mode": "EACH",
            "engagementModels": None,
            "risks": None,
            "toOwner": False,
            "digestAt": "08:00:00",
            "configured": True,
            "disabledAt": None,
            "disabledReason": None,
        },
    ]


async def test_a_disabled_channel_is_enabled_once_and_on_record(api: Api, portfolio: Database) -> None:
    await add_channel(portfolio, disabled_at=NOW, disabled_reason="The receiver answered with the status 410.")
    before = await rows_of(portfolio, "SELECT count(*) FROM audit_events")
    for _ in range(2):
        assert (await ask(api, ENABLE, name="ops"))["enableChannel"] == {
            "__typename": "DeliveryChannel",
            "name": "ops",
            "disabledAt": None,
            "disabledReason": None,
        }
    recorded = await rows_of(
        portfolio, "SELECT actor, request_id IS NOT NULL FROM audit_events WHERE action = 'CHANNEL_ENABLED'"
    )
    assert recorded == [(SUBJECT, True)]
    assert await rows_of(portfolio, "SELECT count(*) FROM audit_events") == [(before[0][0] + 1,)]


@pytest.mark.parametrize(("name", "code"), [("nobody", "NOT_FOUND"), ("", "NOT_FOUND"), ("a\0", "INVALID_INPUT")])
async def test_a_channel_that_is_none_is_refused(api: Api, name: str, code: str) -> None:
    before = await api.rows()
    assert (await ask(api, ENABLE, name=name))["enableChannel"]["code"] == code
    assert await api.rows() == before
