"""Acknowledging, snoozing and switching alerts over HTTP: what changes, who is on record, and what is refused."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from app.auth.tokens import Role
from app.database import Database
from app.graphql.pagination import global_id
from app.runs.execution import execute
from tests.contract import OPERATIONS
from tests.factories import rows_of, utc
from tests.graphql.answers import BIG, opaque, refusal, typed_refusal
from tests.graphql.conftest import SUBJECT, Api
from tests.graphql.portfolio import CLIENTS
from tests.graphql.raised import add_alert, client_numbered, forget_alerts
from tests.graphql.test_contract import Answer, ask

SNOOZE = OPERATIONS["SnoozeClientAlerts"]
END_SNOOZE = SNOOZE.replace("$until: DateTime!", "$until: DateTime")
FIELD = "... on InvalidInputError { field } ... on Error"


@pytest.fixture
async def portfolio(api: Api) -> AsyncIterator[Database]:
    """The portfolio's database, without an alert."""
    assert api.settings.database_url is not None
    opened = Database(api.settings.database_url, pool_size=3)
    await forget_alerts(opened)
    yield opened
    await opened.close()


async def refused(api: Api, operation: str, mutation: str, **variables: object) -> tuple[str, str | None]:
    """Send a mutation that must be refused; return the code and the field, having seen that nothing was written."""
    before = await api.rows()
    query = OPERATIONS[operation].replace("... on Error", FIELD)
    found = typed_refusal(await api.ask(query, variables), mutation)
    assert await api.rows() == before
    return found


async def acknowledge(api: Api, alert: str, note: str | None = None) -> Answer:
    answer: Answer = (await ask(api, "AcknowledgeAlert", id=alert, note=note))["acknowledgeAlert"]
    return answer


async def test_an_alert_is_acknowledged_once_with_who_and_when(api: Api, portfolio: Database) -> None:
    alert, key = await add_alert(portfolio, 6)
    started = datetime.now(UTC)
    first = await acknowledge(api, alert, "I called them.")
    assert (first["__typename"], first["id"], first["status"]) == ("Alert", alert, "ACKNOWLEDGED")
    assert first["acknowledgedBy"] == SUBJECT
    assert started <= datetime.fromisoformat(first["acknowledgedAt"]) <= datetime.now(UTC)
    assert first["resolvedAt"] is None
    before = await api.rows()
    # Whoever comes second sees who was first, and leaves no trace.
    assert await acknowledge(api, alert, "Me too.") == first
    assert await api.rows() == before
    assert await rows_of(portfolio, "SELECT note FROM alerts") == [("I called them.",)]
    events = await rows_of(portfolio, "SELECT actor, action, client_id, changes FROM audit_events")
    client = await client_numbered(portfolio, 6)
    assert events == [(SUBJECT, "ALERT_ACKNOWLEDGED", client, {"status": ["OPEN", "ACKNOWLEDGED"]})]
    assert key == (await rows_of(portfolio, "SELECT id FROM alerts WHERE status = 'ACKNOWLEDGED'"))[0][0]


@pytest.mark.parametrize("note", [None, "", "x" * 2000, "🚀" * 2000, "'; DROP TABLE alerts; --"])
async def test_a_note_is_kept_as_it_was_written(api: Api, portfolio: Database, note: str | None) -> None:
    alert, _ = await add_alert(portfolio)
    await acknowledge(api, alert, note)
    assert await rows_of(portfolio, "SELECT note FROM alerts") == [(note,)]


async def test_what_cannot_be_acknowledged_stays_as_it_is(api: Api, portfolio: Database) -> None:
    open_, key = await add_alert(portfolio)
    resolved, _ = await add_alert(portfolio, status="RESOLVED", resolved_at=utc("2026-05-05"))
    client = global_id("Client", await client_numbered(portfolio, 6))
    cases: list[tuple[dict[str, Any], tuple[str, str | None]]] = [
        ({"id": resolved}, ("CONFLICT", None)),
        ({"id": global_id("Alert", key + 1000)}, ("NOT_FOUND", None)),
        ({"id": global_id("Alert", BIG - 1)}, ("NOT_FOUND", None)),
        ({"id": client}, ("INVALID_INPUT", "id")),
        ({"id": "1"}, ("INVALID_INPUT", "id")),
        ({"id": ""}, ("INVALID_INPUT", "id")),
        ({"id": opaque(["Alert", BIG])}, ("INVALID_INPUT", "id")),
        ({"id": opaque(["Alert", True])}, ("INVALID_INPUT", "id")),
        ({"id": open_, "note": "x" * 2001}, ("INVALID_INPUT", "note")),
        ({"id": open_, "note": "a\0b"}, ("INVALID_INPUT", "note")),
    ]
    for variables, expected in cases:
        assert await refused(api, "AcknowledgeAlert", "acknowledgeAlert", **variables) == expected, variables


async def test_a_snooze_is_stored_and_on_record(api: Api, portfolio: Database) -> None:
    key = await client_numbered(portfolio, 6)
    client = global_id("Client", key)
    now = datetime.now(UTC)
    # Each with the offset that somebody might write, and up to the last moment that is allowed.
    moments = [
        (now + timedelta(minutes=1)).astimezone(timezone(timedelta(hours=5, minutes=45))),
        (now + timedelta(days=30)).astimezone(timezone(-timedelta(hours=3))),
        now + timedelta(days=366) - timedelta(minutes=1),
    ]
    for until in moments:
        answer = (await ask(api, "SnoozeClientAlerts", clientId=client, until=until.isoformat()))["snoozeClientAlerts"]
        assert (answer["__typename"], answer["id"]) == ("Client", client)
        assert datetime.fromisoformat(answer["alertsSnoozedUntil"]) == until
    assert await rows_of(
        portfolio, "SELECT id, alerts_snoozed_until FROM clients WHERE alerts_snoozed_until > now()"
    ) == [(key, moments[-1])]
    events = await rows_of(portfolio, "SELECT actor, action, client_id, changes FROM audit_events ORDER BY id")
    assert [event[:3] for event in events] == [(SUBJECT, "ALERTS_SNOOZED", key)] * 3
    told = [event[3]["alerts_snoozed_until"] for event in events]
    assert told[0][0] is None
    assert [datetime.fromisoformat(after) for _, after in told] == moments
    assert [datetime.fromisoformat(before) for before, _ in told[1:]] == moments[:-1]


async def test_a_snooze_can_be_ended_early(api: Api, portfolio: Database) -> None:
    key = await client_numbered(portfolio, 6)
    client = global_id("Client", key)
    until = datetime.now(UTC) + timedelta(days=7)
    await ask(api, "SnoozeClientAlerts", clientId=client, until=until.isoformat())
    _, body = await api.ask(END_SNOOZE, {"clientId": client})
    assert body["data"]["snoozeClientAlerts"] == {"__typename": "Client", "id": client, "alertsSnoozedUntil": None}
    assert await rows_of(portfolio, f"SELECT alerts_snoozed_until FROM clients WHERE id = {key}") == [(None,)]
    events = await rows_of(portfolio, "SELECT action, changes FROM audit_events ORDER BY id")
    assert [action for action, _ in events] == ["ALERTS_SNOOZED"] * 2
    before, after = events[1][1]["alerts_snoozed_until"]
    assert (datetime.fromisoformat(before), after) == (until, None)


async def test_a_snooze_that_makes_no_sense_is_refused(api: Api, portfolio: Database) -> None:
    client = global_id("Client", await client_numbered(portfolio, 6))
    now = datetime.now(UTC)
    for until in (
        now - timedelta(days=1),
        now,
        utc("0001-01-01"),
        now + timedelta(days=366, minutes=1),
        utc("9999-12-31"),
    ):
        found = await refused(api, "SnoozeClientAlerts", "snoozeClientAlerts", clientId=client, until=until.isoformat())
        assert found == ("INVALID_INPUT", "until"), until
    later = (now + timedelta(days=1)).isoformat()
    for id_, expected in {
        global_id("Client", 10**9): ("NOT_FOUND", None),
        global_id("Alert", 1): ("INVALID_INPUT", "clientId"),
        "": ("INVALID_INPUT", "clientId"),
    }.items():
        found = await refused(api, "SnoozeClientAlerts", "snoozeClientAlerts", clientId=id_, until=later)
        assert found == expected, id_


@pytest.mark.parametrize(
    "until", ["2027-03-01T00:00:00", "2027-03-01", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59"]
)
@pytest.mark.usefixtures("nothing_happens")
async def test_a_snooze_needs_a_moment_with_its_offset(api: Api, until: str) -> None:
    found = await refused(api, "SnoozeClientAlerts", "snoozeClientAlerts", clientId=global_id("Client", 1), until=until)
    assert found == ("INVALID_INPUT", "until")


@pytest.mark.parametrize("until", ["tomorrow", "", 5, None, True, "2027-02-30T00:00:00Z"])
@pytest.mark.usefixtures("nothing_happens")
async def test_what_is_no_moment_does_not_get_past_its_type(api: Api, until: object) -> None:
    status, body = await api.ask(SNOOZE, {"clientId": global_id("Client", 1), "until": until})
    assert refusal((status, body), status)[0] == "INVALID_INPUT"


async def switch(api: Api, filter_: dict[str, Any], *, enabled: bool) -> Answer:
    answer: Answer = (await ask(api, "SetAlertsForMany", filter=filter_, enabled=enabled))["setAlerts"]
    return answer


async def test_switching_many_is_accepted_as_a_run_at_once(api: Api, portfolio: Database) -> None:
    run = await switch(api, {"owner": "csm0@example.com"}, enabled=True)
    assert (run["__typename"], run["kind"], run["status"]) == ("Run", "SET_ALERTS", "QUEUED")
    assert (run["total"], run["done"], run["failed"]) == (None, 0, 0)
    stored = await rows_of(portfolio, "SELECT kind, parameters, requested_by FROM runs")
    assert stored == [("SET_ALERTS", {"enabled": True, "filter": {"owner": "csm0@example.com"}}, SUBJECT)]
    # Nothing has been switched yet: that is the run's business.
    on = await rows_of(portfolio, "SELECT count(*) FROM clients WHERE alerts_enabled AND owner = 'csm0@example.com'")
    assert on == [(CLIENTS // 4,)]


async def test_the_same_switch_again_is_the_same_run_and_any_other_is_another(api: Api, portfolio: Database) -> None:
    everything: dict[str, Any] = {
        "trafficLight": ["RED", "AMBER"],
        "riskLevel": ["HIGH"],
        "trend": ["DECLINING"],
        "size": ["SMB"],
        "industry": ["OTHER", "FINANCIAL"],
        "engagementModel": "PLG",
        "alertsEnabled": False,
        "owner": "csm1@example.com",
        "search": "ÄPFEL",
        "renewalBefore": "2027-03-01",
    }
    asked: list[tuple[dict[str, Any], bool]] = [({}, True), ({}, False), (everything, True)]
    asked += [({name: value}, True) for name, value in everything.items()]
    first = []
    for filter_, enabled in asked:
        first.append((await switch(api, filter_, enabled=enabled))["id"])
        before = await api.rows()
        assert (await switch(api, filter_, enabled=enabled))["id"] == first[-1]
        # A condition that is null is no condition.
        assert (await switch(api, {"owner": None} | filter_, enabled=enabled))["id"] == first[-1]
        assert await api.rows() == before
    assert len(set(first)) == len(asked)
    # What others have followed is another run, and so is what is finished.
    again = (await switch(api, {}, enabled=True))["id"]
    assert again not in first
    for (run,) in await rows_of(portfolio, "SELECT id FROM runs ORDER BY id"):
        assert await execute(portfolio, run, api.settings)
    assert (await switch(api, {}, enabled=True))["id"] not in [*first, again]


async def test_a_switched_client_shows_it_and_what_was_not_meant_stays(api: Api, portfolio: Database) -> None:
    """The filter is that of the portfolio: what the list shows is what is switched."""
    filter_ = {"engagementModel": "PLG", "search": "company", "renewalBefore": "2027-05-01", "trafficLight": ["RED"]}
    shown = (await ask(api, "Portfolio", filter=filter_, first=100))["clients"]
    expected = {edge["node"]["id"] for edge in shown["edges"]}
    assert 0 < len(expected) < 30
    off = set(await rows_of(portfolio, "SELECT id FROM clients WHERE NOT alerts_enabled"))
    await switch(api, filter_, enabled=True)
    (run,) = await rows_of(portfolio, "SELECT id FROM runs")
    assert await execute(portfolio, run[0], api.settings)
    still_off = set(await rows_of(portfolio, "SELECT id FROM clients WHERE NOT alerts_enabled"))
    assert {global_id("Client", key) for (key,) in off - still_off} == expected
    assert still_off <= off


async def test_a_switch_of_what_cannot_be_is_refused(api: Api, portfolio: Database) -> None:
    assert portfolio is not None
    for name in ("owner", "search"):
        found = await refused(api, "SetAlertsForMany", "setAlerts", filter={name: "a\0b"}, enabled=True)
        assert found == ("INVALID_INPUT", name)


@pytest.mark.parametrize("operation", ["AcknowledgeAlert", "SnoozeClientAlerts", "SetAlertsForMany", "SetClientAlerts"])
async def test_without_a_token_nothing_changes(api: Api, portfolio: Database, operation: str) -> None:
    alert, _ = await add_alert(portfolio)
    variables = {
        "id": alert,
        "clientId": global_id("Client", await client_numbered(portfolio, 6)),
        "until": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
        "filter": {},
        "enabled": True,
    }
    before = await api.rows()
    answer = await api.ask(OPERATIONS[operation], variables, role=None, operation=operation)
    mutation = operation[0].lower() + operation[1:].removesuffix("ForMany")
    assert typed_refusal(answer, mutation) == ("UNAUTHENTICATED", None)
    assert await api.rows() == before
    # The same request changes something for whoever may send it.
    variables["enabled"] = False
    await ask(api, operation, Role.CLIENT_SUCCESS, **variables)
    assert await api.rows() != before


@pytest.mark.usefixtures("nothing_happens")
async def test_nobody_reads_alerts_without_a_token(api: Api) -> None:
    answer = await api.ask(OPERATIONS["Alerts"], role=None, operation="Alerts")
    assert refusal(answer, answer[0])[0] == "UNAUTHENTICATED"
