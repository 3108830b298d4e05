"""The list of alerts over HTTP: what it shows, what it costs, its filters and its pages."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from app.database import Database
from app.graphql.pagination import global_id
from tests.contract import OPERATIONS
from tests.factories import utc
from tests.graphql.answers import BIG, opaque, refusal
from tests.graphql.conftest import Api
from tests.graphql.portfolio import name_of
from tests.graphql.raised import RAISED_AT, add_alert, client_numbered, forget_alerts
from tests.graphql.test_contract import ask

LIST = OPERATIONS["Alerts"]


@pytest.fixture
async def portfolio(api: Api) -> AsyncIterator[Database]:
    """The portfolio's database, without an alert."""
    assert api.settings.database_url is not None
    opened = Database(api.settings.database_url, pool_size=3)
    await forget_alerts(opened)
    yield opened
    await opened.close()


async def listed(api: Api, **variables: Any) -> list[str]:
    """Return the ids of one page of alerts."""
    return [edge["node"]["id"] for edge in (await ask(api, "Alerts", **variables))["alerts"]["edges"]]


async def test_alerts_are_listed_newest_first_with_their_clients(api: Api, portfolio: Database) -> None:
    at = utc("2026-05-05T08:30")
    older, _ = await add_alert(
        portfolio, 4, status="ACKNOWLEDGED", acknowledged_at=at, acknowledged_by="bob@example.com", note="on it"
    )
    newer, _ = await add_alert(
        portfolio,
        5,
        raised_at=RAISED_AT + timedelta(microseconds=1),
        kind="RISK_HIGH",
        kinds=["RISK_HIGH"],
        status="RESOLVED",
        resolved_at=at,
        message="O'Hara: its risk became high.",
        score_before=44,
        score_after=39,
    )
    connection = (await ask(api, "Alerts"))["alerts"]
    assert connection["totalCount"] == 2
    assert connection["pageInfo"]["hasNextPage"] is False
    assert [edge["node"] for edge in connection["edges"]] == [
        {
            "id": newer,
            "kind": "RISK_HIGH",
            "status": "RESOLVED",
            "message": "O'Hara: its risk became high.",
            "scoreBefore": 44,
            "scoreAfter": 39,
            "raisedAt": "2026-05-04T02:00:00.000001+00:00",
            "acknowledgedAt": None,
            "acknowledgedBy": None,
            "resolvedAt": "2026-05-05T08:30:00+00:00",
            "client": {"id": global_id("Client", await client_numbered(portfolio, 5)), "name": name_of(5)},
        },
        {
            "id": older,
            "kind": "LIGHT_WORSENED",
            "status": "ACKNOWLEDGED",
            "message": "It got worse.",
            "scoreBefore": 90,
            "scoreAfter": 70,
            "raisedAt": "2026-05-04T02:00:00+00:00",
            "acknowledgedAt": "2026-05-05T08:30:00+00:00",
            "acknowledgedBy": "bob@example.com",
            "resolvedAt": None,
            "client": {"id": global_id("Client", await client_numbered(portfolio, 4)), "name": name_of(4)},
        },
    ]


async def test_no_alert_is_an_empty_page(api: Api, portfolio: Database) -> None:
    assert portfolio is not None
    assert (await ask(api, "Alerts"))["alerts"] == {
        "totalCount": 0,
        "edges": [],
        "pageInfo": {"hasNextPage": False, "endCursor": None},
    }


async def test_an_alert_is_an_object_with_every_reason_and_its_note(api: Api, portfolio: Database) -> None:
    alert, key = await add_alert(portfolio, note="on it")
    query = "query ($id: ID!) { node(id: $id) { id ... on Alert { kinds note } } }"
    _, body = await api.ask(query, {"id": alert})
    assert body["data"]["node"] == {"id": alert, "kinds": ["LIGHT_WORSENED", "SCORE_DROP"], "note": "on it"}
    assert refusal(await api.ask(query, {"id": global_id("Alert", key + 1)})) == ("NOT_FOUND", None)


async def test_a_page_of_alerts_costs_the_same_statements_for_fifty_as_for_one(api: Api, portfolio: Database) -> None:
    for number in range(1, 61):
        await add_alert(portfolio, number)
    counts = []
    for first in (1, 50):
        api.statements.clear()
        assert len(await listed(api, first=first)) == first
        counts.append(len(api.statements))
    # The page, how many match, and the clients of all of it.
    assert counts == [3, 3]


async def test_filters_leave_the_alerts_that_match(api: Api, portfolio: Database) -> None:
    # The owner of a client is csm0 to csm3, by its number modulo 4.
    open4, _ = await add_alert(portfolio, 4)
    seen4, _ = await add_alert(portfolio, 4, status="ACKNOWLEDGED")
    done8, _ = await add_alert(portfolio, 8, status="RESOLVED")
    open5, _ = await add_alert(portfolio, 5)
    everything = [open5, done8, seen4, open4]
    four = global_id("Client", await client_numbered(portfolio, 4))
    cases: list[tuple[dict[str, Any] | None, list[str]]] = [
        (None, everything),
        ({}, everything),
        ({"status": None, "clientId": None, "owner": None}, everything),
        ({"status": ["OPEN"]}, [open5, open4]),
        ({"status": ["ACKNOWLEDGED"]}, [seen4]),
        ({"status": ["RESOLVED"]}, [done8]),
        ({"status": ["OPEN", "ACKNOWLEDGED"]}, [open5, seen4, open4]),
        ({"status": []}, []),
        ({"clientId": four}, [seen4, open4]),
        ({"clientId": global_id("Client", 10**9)}, []),
        ({"owner": "csm0@example.com"}, [done8, seen4, open4]),
        ({"owner": "csm1@example.com"}, [open5]),
        ({"owner": "CSM0@example.com"}, []),
        ({"owner": ""}, []),
        ({"status": ["OPEN"], "owner": "csm0@example.com"}, [open4]),
        ({"status": ["RESOLVED"], "clientId": four}, []),
        ({"status": ["OPEN"], "clientId": four, "owner": "csm0@example.com"}, [open4]),
        ({"clientId": four, "owner": "csm1@example.com"}, []),
    ]
    for filter_, expected in cases:
        connection = (await ask(api, "Alerts", filter=filter_))["alerts"]
        assert [edge["node"]["id"] for edge in connection["edges"]] == expected, filter_
        assert connection["totalCount"] == len(expected), filter_


@pytest.mark.parametrize(
    ("filter_", "field"),
    [
        ({"clientId": opaque(["Alert", 1])}, "clientId"),
        ({"clientId": "1"}, "clientId"),
        ({"clientId": opaque(["Client", BIG])}, "clientId"),
        ({"owner": "a\0b"}, "owner"),
    ],
)
@pytest.mark.usefixtures("nothing_happens")
async def test_a_condition_that_nothing_can_match_is_named(api: Api, filter_: dict[str, str], field: str) -> None:
    assert refusal(await api.ask(LIST, {"filter": filter_}, operation="Alerts")) == ("INVALID_INPUT", field)


@pytest.mark.parametrize("first", [0, -1, 101])
@pytest.mark.usefixtures("nothing_happens")
async def test_a_page_has_from_one_to_a_hundred_alerts(api: Api, first: int) -> None:
    code, _ = refusal(await api.ask("query ($n: Int!) { alerts(first: $n) { edges { cursor } } }", {"n": first}))
    assert code == "INVALID_INPUT"


@pytest.mark.parametrize("first", [1, 2, 3, 4, 9])
async def test_pages_repeat_and_skip_nothing_among_alerts_of_one_moment(
    api: Api, portfolio: Database, first: int
) -> None:
    moments = [RAISED_AT] * 4 + [RAISED_AT - timedelta(microseconds=1)] * 3 + [RAISED_AT + timedelta(days=1)]
    added = [(moment, (await add_alert(portfolio, n % 5 + 1, raised_at=moment))[1]) for n, moment in enumerate(moments)]
    found: list[str] = []
    after = None
    while True:
        connection = (await ask(api, "Alerts", first=first, after=after))["alerts"]
        assert connection["totalCount"] == 8
        found += [edge["node"]["id"] for edge in connection["edges"]]
        if not connection["pageInfo"]["hasNextPage"]:
            break
        assert len(connection["edges"]) == first
        after = connection["pageInfo"]["endCursor"]
    assert found == [global_id("Alert", key) for _, key in sorted(added, reverse=True)]


async def test_what_is_raised_meanwhile_moves_no_page(api: Api, portfolio: Database) -> None:
    old = [(await add_alert(portfolio, raised_at=RAISED_AT + timedelta(hours=hour)))[0] for hour in range(4)]
    first = (await ask(api, "Alerts", first=2))["alerts"]
    await add_alert(portfolio, raised_at=RAISED_AT + timedelta(days=1))
    rest = await listed(api, first=2, after=first["pageInfo"]["endCursor"])
    assert [edge["node"]["id"] for edge in first["edges"]] + rest == old[::-1]


NO_CURSORS: list[Any] = [
    [],
    ["alert"],
    ["alert", "2026-05-04T02:00:00+00:00"],
    ["alert", "2026-05-04T02:00:00+00:00", 1, 1],
    ["run", "2026-05-04T02:00:00+00:00", 1],
    ["run", 1],
    ["score_desc", 5, "acme", 1],
    ["2026-05-04T02:00:00+00:00", "LOGINS", "2026-01-01"],
    {"alert": 1},
]
NO_KEYS: list[Any] = [0, -1, BIG, 10**40, 1.5, "1", None, True, [], float("nan")]
NO_MOMENTS: list[Any] = [
    None,
    1,
    "",
    "yesterday",
    "2026-05-04",
    "2026-05-04T02:00:00",
    "2026-13-04T02:00:00+00:00",
    "10000-01-01T00:00:00+00:00",
    "0001-01-01T00:00:00+23:59",
    "9999-12-31T23:59:59-23:59",
]
NO_CURSORS += [["alert", "2026-05-04T02:00:00+00:00", wrong] for wrong in NO_KEYS]
NO_CURSORS += [["alert", wrong, 1] for wrong in NO_MOMENTS]


@pytest.mark.parametrize("cursor", NO_CURSORS, ids=str)
@pytest.mark.usefixtures("nothing_happens")
async def test_a_forged_cursor_is_refused(api: Api, cursor: object) -> None:
    answer = await api.ask(LIST, {"after": opaque(cursor)}, operation="Alerts")
    assert refusal(answer) == ("INVALID_INPUT", "after")


@pytest.mark.parametrize("cursor", ["", " ", "not a cursor", "🚀", "\0", "A" * 50_000])
@pytest.mark.usefixtures("nothing_happens")
async def test_a_cursor_that_is_none_is_refused(api: Api, cursor: str) -> None:
    assert refusal(await api.ask(LIST, {"after": cursor}, operation="Alerts")) == ("INVALID_INPUT", "after")


async def test_a_cursor_that_could_be_one_pages_on(api: Api, portfolio: Database) -> None:
    alert, key = await add_alert(portfolio)
    places = {
        ("2026-05-04T02:00:00+00:00", key + 1): [alert],
        ("2026-05-04T02:00:00+00:00", key): [],
        # The same moment in another zone, and the ends of what a cursor may say.
        ("2026-05-04T04:00:00+02:00", key + 1): [alert],
        ("9999-12-31T23:59:59+00:00", BIG - 1): [alert],
        ("0001-01-01T00:00:00+00:00", BIG - 1): [],
    }
    for (moment, after_key), expected in places.items():
        assert await listed(api, after=opaque(["alert", moment, after_key])) == expected, moment


async def test_a_raised_alert_is_recent_activity_of_its_client(api: Api, portfolio: Database) -> None:
    client = global_id("Client", await client_numbered(portfolio, 6))
    await add_alert(portfolio, message="Company 06: its risk became high (score 44 before, 39 now).")
    query = """query ($id: ID!) { client(id: $id) { recentActivity(first: 100) {
      edges { node { kind occurredAt description } } } } }"""
    _, body = await api.ask(query, {"id": client})
    nodes = [edge["node"] for edge in body["data"]["client"]["recentActivity"]["edges"]]
    assert [node for node in nodes if node["kind"] == "ALERT_RAISED"] == [
        {
            "kind": "ALERT_RAISED",
            "occurredAt": "2026-05-04T02:00:00+00:00",
            "description": "An alert was raised. Company 06: its risk became high (score 44 before, 39 now).",
        }
    ]
