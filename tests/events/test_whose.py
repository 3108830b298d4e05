"""Whose an event is: its client, its member, the session that it ends, and the member that becomes another."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.database import Database
from tests.events.sending import Event, alias, group, identify, page, send, stored, track
from tests.factories import add_client, add_member, rows_of, utc

AT = utc("2026-03-14T09:00")
LATER = AT + timedelta(hours=1)
ACTIVITY = "SELECT external_id, last_activity_at FROM clients ORDER BY 1"


@pytest.mark.parametrize(
    "content",
    [
        {"groupId": "acme", "userId": "ann"},
        {"context": {"groupId": "acme"}, "userId": "ann"},
        # The member is known in one client.
        {"context": {}, "userId": "bob"},
        {"context": {"groupId": "acme"}, "userId": None, "anonymousId": "x"},
    ],
)
async def test_whom_an_event_is_of(acme: Database, content: dict[str, Any]) -> None:
    [(client_id,)] = await rows_of(acme, "SELECT id FROM clients")
    await add_member(acme, client_id, external_id="bob")
    await send(acme, track("Exported", AT, **content))
    assert await stored(acme, "activity_days") == [("acme", AT.date(), 1, AT, AT)]
    assert [row[5:] for row in await stored(acme, "events")] == [("acme", content["userId"])]
    assert await stored(acme, "unmapped_events") == [("TRACK", "Exported", "NOT_MAPPED", 1)]


@pytest.mark.parametrize(
    ("content", "client"),
    [
        ({"context": {"groupId": "nobody"}}, "nobody"),
        ({"context": {}, "userId": "unknown"}, None),
        ({"context": {}, "userId": None, "anonymousId": "x"}, None),
        # Nobody guesses between two clients.
        ({"context": {}, "userId": "bob"}, None),
    ],
)
@pytest.mark.parametrize("event", ["Logged In", "Exported"])
async def test_an_event_of_nobody_knows_whom(
    acme: Database, content: dict[str, Any], client: str | None, event: str
) -> None:
    for client_id in (await add_client(acme, external_id="beta"), await add_client(acme, external_id="gamma")):
        await add_member(acme, client_id, external_id="bob")
    content = {"userId": "ann"} | content
    if content["userId"] is None and event == "Logged In":
        event = "Signed up"
    assert await send(acme, track(event, AT, **content)) == 1
    assert await stored(acme, "unmapped_events") == [("TRACK", event, "NO_CLIENT", 1)]
    assert [row[5:] for row in await stored(acme, "events")] == [(client, content["userId"])]
    assert await stored(acme, "activity_days") == await stored(acme, "logins") == []
    assert await rows_of(acme, ACTIVITY) == [("acme", None), ("beta", None), ("gamma", None)]


async def test_what_comes_with_a_group_and_an_identify_is_of_them(database: Database) -> None:
    await send(database, group("acme"), identify("ann", "acme"), track("Logged In", AT, context={}))
    assert await stored(database, "logins") == [("acme", "ann", AT, None)]
    # Also where they come after it, in the same batch.
    await send(database, track("Logged In", AT, context={}, userId="bob"), identify("bob", "beta"), group("beta"))
    assert await stored(database, "logins") == [("acme", "ann", AT, None), ("beta", "bob", AT, None)]


@pytest.mark.parametrize("together", [True, False])
async def test_a_member_who_is_in_two_clients_is_not_guessed_at(acme: Database, together: bool) -> None:
    await add_client(acme, external_id="beta")
    events = [page("A"), page("B", context={"groupId": "beta"}), page("C", context={})]
    for batch in [events] if together else [[event] for event in events]:
        await send(acme, *batch)
    assert await stored(acme, "unmapped_events") == [
        ("PAGE", "A", "NOT_MAPPED", 1),
        ("PAGE", "B", "NOT_MAPPED", 1),
        ("PAGE", "C", "NO_CLIENT", 1),
    ]


BEGAN = utc("2026-03-14T09:00")
ENDED = track("Signed Out", BEGAN + timedelta(minutes=30), properties={"duration_minutes": 30})


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("offset", [timedelta(0), timedelta(minutes=-5), timedelta(minutes=7), timedelta(minutes=30)])
async def test_a_session_gives_its_length_to_the_login_it_began_with(
    acme: Database, offset: timedelta, together: bool
) -> None:
    logged_in = track("Logged In", BEGAN + offset)
    for batch in ([logged_in, ENDED],) if together else ([logged_in], [ENDED]):
        await send(acme, *batch)
    assert await stored(acme, "logins") == [("acme", "ann", BEGAN + offset, Decimal(30))]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    "content",
    [
        # Too early, another's, and one whose length is known.
        track("Logged In", BEGAN - timedelta(minutes=5, seconds=1)),
        track("Logged In", BEGAN, userId="bob"),
        track("Logged In", BEGAN + timedelta(seconds=1), properties={"duration_minutes": 1}),
    ],
)
async def test_a_session_without_a_login_is_one(acme: Database, content: Event, together: bool) -> None:
    for batch in ([content, ENDED],) if together else ([content], [ENDED]):
        await send(acme, *batch)
    logins = await stored(acme, "logins")
    assert len(logins) == 2
    assert ("acme", "ann", BEGAN, Decimal(30)) in logins


@pytest.mark.parametrize("together", [True, False])
async def test_a_login_is_the_beginning_of_one_session(acme: Database, together: bool) -> None:
    first = track("Signed Out", BEGAN + timedelta(minutes=10), properties={"duration_minutes": 10})
    second = track("Signed Out", BEGAN + timedelta(minutes=13), properties={"duration_minutes": 12})
    events = [track("Logged In", BEGAN), first, second]
    for batch in [events] if together else [[event] for event in events]:
        await send(acme, *batch)
    assert await stored(acme, "logins") == [
        ("acme", "ann", BEGAN, Decimal(10)),
        ("acme", "ann", BEGAN + timedelta(minutes=1), Decimal(12)),
    ]


async def test_a_login_that_is_heard_of_after_its_session_is_another(acme: Database) -> None:
    # The session was a login of its own, and nothing tells that this one, some seconds off, is the same.
    await send(acme, ENDED)
    await send(acme, track("Logged In", BEGAN + timedelta(seconds=2)), track("Logged In", BEGAN))
    assert await stored(acme, "logins") == [
        ("acme", "ann", BEGAN, Decimal(30)),
        ("acme", "ann", BEGAN + timedelta(seconds=2), None),
    ]


async def test_an_alias_renames_a_member(acme: Database) -> None:
    await send(acme, track("Logged In", AT, userId="x1"))
    await send(acme, alias("x1", "ann"), alias("unknown", "nobody"), alias("ann", "ann"))
    assert await stored(acme, "members") == [("acme", "ann", AT, True)]
    assert await stored(acme, "logins") == [("acme", "ann", AT, None)]
    assert await stored(acme, "unmapped_events") == []


@pytest.mark.parametrize("together", [True, False])
async def test_whoever_goes_by_a_new_id_is_found_by_it(acme: Database, together: bool) -> None:
    await send(acme, identify("web-1", "acme", AT))
    events = [alias("web-1", "web-2", AT), alias("web-2", "eve", AT)]
    events += [track(event, LATER, userId="eve", context={}) for event in ("Logged In", "Exported")]
    for batch in [events] if together else [[event] for event in events]:
        await send(acme, *batch)
    assert await stored(acme, "members") == [("acme", "eve", AT, True)]
    assert await stored(acme, "logins") == [("acme", "eve", LATER, None)]
    assert await stored(acme, "unmapped_events") == [("TRACK", "Exported", "NOT_MAPPED", 1)]
    assert {row[5] for row in await stored(acme, "events")} == {"acme"}


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize(
    ("members", "logins"),
    [
        # Two clients have had such a member.
        ([("web", "acme"), ("web", "beta")], []),
        # The new id is known in another client: it is of that one, as before.
        ([("web", "acme"), ("eve", "beta")], [("beta", "eve", LATER, None)]),
        ([], []),
    ],
)
async def test_a_new_id_of_somebody_who_may_be_of_several_clients(
    acme: Database, members: list[tuple[str, str]], logins: list[tuple[Any, ...]], together: bool
) -> None:
    await send(acme, group("beta"), *(identify(member, client, AT) for member, client in members))
    events = [alias("web", "eve", AT), track("Logged In", LATER, userId="eve", context={})]
    for batch in [events] if together else [[event] for event in events]:
        await send(acme, *batch)
    assert await stored(acme, "logins") == logins


async def test_an_alias_merges_two_members(acme: Database) -> None:
    await send(
        acme,
        track("Logged In", AT, userId="x1"),
        track("Logged In", LATER, userId="x1"),
        track("Logged In", LATER, userId="ann"),
        track("Attestation Submitted", AT, userId="x1", properties={"id": "q"}),
        track("Attestation Submitted", LATER, userId="ann", properties={"id": "q"}),
    )
    await send(acme, alias("x1", "ann"))
    assert await stored(acme, "members") == [("acme", "ann", AT, True)]
    assert await stored(acme, "logins") == [("acme", "ann", AT, None), ("acme", "ann", LATER, None)]
    assert await stored(acme, "campaign_responses") == [("acme", "q", "ann", AT), ("acme", "q", "ann", LATER)]


async def test_an_alias_keeps_what_is_known_of_both(acme: Database) -> None:
    [(client_id,)] = await rows_of(acme, "SELECT id FROM clients")
    await add_member(acme, client_id, external_id="ann", created_at=AT, created_at_inferred=False)
    await send(
        acme,
        track("Logged In", AT - timedelta(days=1), userId="x1", properties={"duration_minutes": 4}),
        track("Logged In", AT - timedelta(days=1)),
    )
    await send(acme, alias("x1", "ann"))
    # A creation that was said stays, and a length that one of two same logins has.
    assert await stored(acme, "members") == [("acme", "ann", AT, False)]
    assert await stored(acme, "logins") == [("acme", "ann", AT - timedelta(days=1), Decimal(4))]
