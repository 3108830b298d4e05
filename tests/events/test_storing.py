"""Storing messages: exactly the rows that each tells of, once, whoever sends it how often."""

import asyncio
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.database import Database
from app.events import facts, partitions, service
from tests.events.sending import (
    NOW,
    Event,
    alias,
    everything,
    group,
    identify,
    page,
    send,
    store,
    stored,
    track,
    understood,
    written,
)
from tests.factories import rows_of, utc

AT = utc("2026-03-14T09:00")
LATER = AT + timedelta(hours=1)
ACTIVITY = "SELECT external_id, last_activity_at FROM clients ORDER BY 1"

# An event for every fact, and the rows of it beside the member.
VOCABULARY: list[tuple[Event, str, list[tuple[Any, ...]]]] = [
    (track("Logged In", AT), "logins", [("acme", "ann", AT, None)]),
    (track("Login", AT, properties={"duration_minutes": 2.5}), "logins", [("acme", "ann", AT, Decimal("2.5"))]),
    (
        track("Session Ended", AT, properties={"duration_seconds": 90}),
        "logins",
        [("acme", "ann", AT - timedelta(seconds=90), Decimal("1.5"))],
    ),
    (
        track("Case Opened", AT, properties={"case_id": "c1", "due_at": "2026-04-01"}),
        "cases",
        [("acme", "c1", AT, None, utc("2026-04-01"))],
    ),
    (
        track("Case Resolved", AT, properties={"id": 7, "opened_at": "2026-03-01"}),
        "cases",
        [("acme", "7", utc("2026-03-01"), AT, None)],
    ),
    (track("Case Closed", AT, properties={"id": "c1"}), "cases", [("acme", "c1", None, AT, None)]),
    (
        track("Campaign Closed", AT, properties={"id": "q1", "name": "Q1", "assigned": 10, "completed": 7}),
        "campaigns",
        [("acme", "q1", "Q1", "OTHER", 10, 7, AT)],
    ),
    (
        track("Attestation Completed", AT, properties={"campaign_id": "q1"}),
        "campaign_responses",
        [("acme", "q1", "ann", AT)],
    ),
    (
        track("Campaign Responded", AT, properties={"campaign_id": "q1"}),
        "campaigns",
        [("acme", "q1", None, "OTHER", 0, 0, None)],
    ),
    (track("Feature Used", AT, properties={"feature": "Reports"}), "features", [("Reports", "Reports", "CORE")]),
    (
        track("Feature Used", AT, properties={"feature": "Reports"}),
        "client_features",
        [("acme", "Reports", True, AT, AT)],
    ),
    (
        track("Ticket Opened", AT, properties={"ticket_id": "t1", "priority": "low"}),
        "tickets",
        [("acme", "t1", AT, None, "low")],
    ),
    (track("Ticket Solved", AT, properties={"ticket_id": "t1"}), "tickets", [("acme", "t1", None, AT, None)]),
]


@pytest.mark.parametrize(("event", "table", "rows"), VOCABULARY)
async def test_every_fact_becomes_its_rows(
    acme: Database, event: Event, table: str, rows: list[tuple[Any, ...]]
) -> None:
    assert await send(acme, event) == 1
    assert await stored(acme, table) == rows
    session = event["event"] == "Session Ended"
    assert await stored(acme, "members") == [("acme", "ann", AT - timedelta(seconds=90) if session else AT, True)]
    assert await stored(acme, "events") == [(AT.date(), "m0", AT, "TRACK", event["event"], "acme", "ann")]
    assert await stored(acme, "unmapped_events") == await stored(acme, "activity_days") == []
    assert await rows_of(acme, ACTIVITY) == [("acme", AT)]


async def test_a_group_makes_a_client_and_changes_it(database: Database) -> None:
    await send(database, group("acme", name="Acme AG", employees=250, createdAt="2024-02-29", plan="gold"))
    assert await stored(database, "clients") == [
        ("acme", "Acme AG", "acme ag", "MIDMARKET", "OTHER", None, date(2024, 2, 29))
    ]
    await send(database, group("acme", owner="kim@csm.example", industry="Technology"), group("beta"))
    assert await stored(database, "clients") == [
        ("acme", "Acme AG", "acme ag", "MIDMARKET", "TECHNOLOGY", "kim@csm.example", date(2024, 2, 29)),
        ("beta", "beta", "beta", None, "OTHER", None, None),
    ]
    # A call of a group is no activity, and no event that nothing became of.
    assert await rows_of(database, ACTIVITY) == [("acme", None), ("beta", None)]
    assert await stored(database, "unmapped_events") == []


@pytest.mark.parametrize("together", [True, False])
async def test_a_group_that_is_older_than_what_is_stored_changes_nothing(database: Database, together: bool) -> None:
    calls = [
        group("acme", NOW, name="New name"),
        group("acme", NOW - timedelta(days=7), name="Old name", status="churned"),
        group("acme", NOW, name="Newest name"),
    ]
    if together:
        await send(database, *calls)
    else:
        for call in calls:
            await send(database, call)
    columns = "SELECT name, status, traits_at FROM clients"
    assert await rows_of(database, columns) == [("Newest name", "ACTIVE", NOW)]


async def test_employees_tell_the_size_of_a_new_client_only(database: Database) -> None:
    await send(database, group("acme", NOW - timedelta(hours=1), employees=250))
    await send(database, group("acme", NOW, employees=5000))
    assert await rows_of(database, "SELECT size FROM clients") == [("MIDMARKET",)]


async def test_an_alias_is_of_its_client(database: Database) -> None:
    for client in ("acme", "bell"):
        await send(database, group(client), identify("admin", client), identify("ann", client))
    # Two clients have such a member, and nothing says which is meant.
    await send(database, alias("admin", "ann"))
    assert len(await stored(database, "members")) == 4
    await send(database, {**alias("admin", "ann"), "context": {"groupId": "bell"}})
    assert [row[:2] for row in await stored(database, "members")] == [
        ("acme", "admin"),
        ("acme", "ann"),
        ("bell", "ann"),
    ]


async def test_events_add_only_so_many_features(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "MAX_FEATURES", 2)
    used = [track("Feature Used", AT, properties={"feature": f"F{number}"}) for number in (1, 2, 3, 1)]
    await send(database, group("acme"), *used)
    assert await rows_of(database, "SELECT key FROM features ORDER BY 1") == [("F1",), ("F2",)]
    report = "SELECT name, reason, events FROM unmapped_events"
    assert await rows_of(database, report) == [("Feature Used", "NOT_MAPPED", 1)]


async def test_an_identify_makes_a_member(database: Database) -> None:
    await send(
        database,
        group("acme"),
        identify("ann", "acme", AT),
        identify("bob", "acme", AT, createdAt="2024-02-29T10:00:00Z"),
        identify("cem", None, AT, company={"id": "acme", "name": "Acme"}),
        {**group("acme", AT), "userId": "dan"},
    )
    assert await stored(database, "members") == [
        ("acme", "ann", AT, True),
        ("acme", "bob", utc("2024-02-29T10:00"), False),
        ("acme", "cem", AT, True),
        ("acme", "dan", AT, True),
    ]
    # What was inferred moves back to the first that is heard of the member, what was said does not.
    await send(database, track("Opened", AT - timedelta(days=3)), track("Opened", utc("2025-02-08"), userId="bob"))
    assert [row[1:] for row in await stored(database, "members")][:2] == [
        ("ann", AT - timedelta(days=3), True),
        ("bob", utc("2024-02-29T10:00"), False),
    ]


async def test_the_same_messages_again_change_nothing(acme: Database) -> None:
    events = [event for event, _, _ in VOCABULARY]
    events += [group("beta", name="Beta"), identify("ann", "beta"), page("Home"), track("Exported", size="?")]
    events += [alias("ann", "anna"), track("Exported", context={"groupId": "nobody"}), group("gamma", size="huge")]
    assert await store(acme, *events) == len(events)
    before, activity = await written(acme), await rows_of(acme, "SELECT xmin::text, clients::text FROM clients")
    assert await store(acme, *events) == 0
    assert await written(acme) == before
    assert await rows_of(acme, "SELECT xmin::text, clients::text FROM clients") == activity


async def test_a_message_that_comes_twice_in_a_batch_counts_once(acme: Database) -> None:
    first, second = page("Home", messageId="a"), page("Prices", messageId="a")
    other_day = page("Home", NOW - timedelta(days=1), messageId="a")
    assert await store(acme, first, first, second, other_day) == 2
    # The first of them is it, and on another day the id is another's.
    assert await stored(acme, "events") == [
        (date(2026, 3, 14), "a", NOW - timedelta(days=1), "PAGE", "Home", "acme", "ann"),
        (date(2026, 3, 15), "a", NOW, "PAGE", "Home", "acme", "ann"),
    ]
    assert [row[:3] for row in await stored(acme, "activity_days")] == [
        ("acme", date(2026, 3, 14), 1),
        ("acme", date(2026, 3, 15), 1),
    ]


async def test_two_connections_that_send_the_same_at_once_count_it_once(acme: Database) -> None:
    events = [track("Logged In", AT + timedelta(minutes=number)) for number in range(50)]
    events += [page("Home", AT + timedelta(minutes=number)) for number in range(50)]
    messages = understood(events)
    await store(acme, track("Logged In", AT, messageId="before"))
    waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
    async with acme.begin() as session:
        assert await service.store(session, messages, now=NOW) == 100

        async def again() -> int:
            async with acme.begin() as other:
                return await service.store(other, messages[::-1], now=NOW)

        second = asyncio.create_task(again())
        while (await rows_of(acme, waiting))[0][0] == 0:
            assert not second.done()
            await asyncio.sleep(0.01)
    assert await second == 0
    assert await rows_of(acme, "SELECT count(*) FROM events") == [(101,)]
    assert await rows_of(acme, "SELECT count(*) FROM logins") == [(50,)]
    assert await rows_of(acme, "SELECT events FROM activity_days") == [(50,)]


async def test_a_message_without_a_time_is_known_again_on_the_next_days(acme: Database) -> None:
    undated: Event = {key: value for key, value in page("Home").items() if key != "timestamp"}
    assert await store(acme, {**undated, "messageId": "a"}) == 1
    for days in (0, 1, 30):
        assert await store(acme, {**undated, "messageId": "a"}, now=NOW + timedelta(days=days)) == 0
    assert [row[:3] for row in await stored(acme, "activity_days")] == [("acme", NOW.date(), 1)]
    # What was received before, and comes to be stored after, is known as well.
    assert await store(acme, {**undated, "messageId": "a"}, now=NOW - timedelta(days=1)) == 0
    # After 30 days it counts as another, and a message that says its time is known by its own day alone.
    assert await store(acme, {**undated, "messageId": "a"}, now=NOW + timedelta(days=31)) == 1
    assert await store(acme, page("Home", NOW + timedelta(days=1), messageId="a"), now=NOW + timedelta(days=1)) == 1


async def test_a_message_without_a_time_counts_once_on_both_sides_of_midnight(acme: Database) -> None:
    """A sender tries again while the first is still waited for, and both are gathered into one transaction."""
    event: Event = {key: value for key, value in page("Home", messageId="a").items() if key != "timestamp"}
    midnight = utc("2026-03-15T00:00")
    before, after = (understood([event], at)[0] for at in (midnight - timedelta(seconds=1), midnight))
    dated = understood([page("Home", midnight, messageId="a")], midnight)[0]
    async with acme.begin() as session:
        await partitions.ensure(session, {before.day, after.day})
    async with acme.begin() as session:
        assert await service.store(session, [before, after], now=midnight) == 1
    assert [row[:3] for row in await stored(acme, "activity_days")] == [("acme", before.day, 1)]
    # What says its time is known by its day alone.
    async with acme.begin() as session:
        assert await service.store(session, [before, dated, after], now=midnight) == 1
    assert [row[:2] for row in await stored(acme, "events")] == [(before.day, "a"), (after.day, "a")]


async def test_a_late_event_lands_on_its_day(acme: Database) -> None:
    old = utc("2025-06-01T08:00")
    await send(acme, page("Home"), page("Home", old), track("Logged In", old))
    assert await stored(acme, "activity_days") == [
        ("acme", date(2025, 6, 1), 1, old, old),
        ("acme", date(2026, 3, 15), 1, NOW, NOW),
    ]
    assert await rows_of(acme, "SELECT message_id FROM events_20250601 ORDER BY 1") == [("m1",), ("m2",)]
    assert await rows_of(acme, "SELECT message_id FROM events_20260315") == [("m0",)]
    assert await stored(acme, "logins") == [("acme", "ann", old, None)]
    # It does not move the moment of the latest activity back.
    assert await rows_of(acme, ACTIVITY) == [("acme", NOW)]


async def test_what_contradicts_the_stored_facts_is_refused_and_leaves_nothing(acme: Database) -> None:
    await send(acme, track("Case Opened", AT, properties={"id": "c1"}))
    before, clients = await everything(acme), await rows_of(acme, "SELECT xmin::text, clients::text FROM clients")
    batch = [
        page("Home", messageId="good"),
        {**group("beta"), "messageId": "new client"},
        track("Case Closed", AT - timedelta(hours=1), messageId="early", properties={"id": "c1"}),
        track("Campaign Closed", messageId="too many", properties={"id": "q", "assigned": 1, "completed": 2}),
    ]
    with pytest.raises(service.EventsRefused) as raised:
        await store(acme, *batch)
    assert raised.value.reasons == {
        2: "closed_at is before opened_at, as this row or the stored one gives them",
        3: "completed (2) is more than assigned (1)",
    }
    assert await everything(acme) == before
    assert await rows_of(acme, "SELECT xmin::text, clients::text FROM clients") == clients
    assert await store(acme, *batch[:2]) == 2
    assert [row[1] for row in await stored(acme, "events")] == ["m0", "good", "new client"]


async def test_only_the_message_that_contradicts_the_others_of_its_batch_is_refused(acme: Database) -> None:
    with pytest.raises(service.EventsRefused) as raised:
        await send(
            acme,
            track("Case Opened", AT, properties={"id": "c1"}),
            track("Case Closed", AT - timedelta(hours=1), properties={"id": "c1"}),
        )
    assert set(raised.value.reasons) == {1}
