"""What no fact becomes of: it is counted by name and by day, as activity of its client and use of a feature."""

from datetime import date, timedelta

import pytest

from app.database import Database
from app.events import service
from tests.events.sending import NOW, alias, group, identify, page, send, stored, track
from tests.factories import add_feature, rows_of, utc

AT = utc("2026-03-14T09:00")
LATER = AT + timedelta(hours=1)
ACTIVITY = "SELECT external_id, last_activity_at FROM clients ORDER BY 1"


async def test_what_maps_to_nothing_is_counted_by_name(acme: Database) -> None:
    await send(acme, page("Home"), page("Home"), page(), track("Exported"), group("beta", size="huge", employees="?"))
    await send(acme, page("Home", context={"groupId": "nobody"}), group("beta", size="tiny"))
    assert await stored(acme, "unmapped_events") == [
        ("GROUP", "employees", "UNUSABLE_TRAIT", 1),
        ("GROUP", "size", "UNUSABLE_TRAIT", 2),
        ("PAGE", "", "NOT_MAPPED", 1),
        ("PAGE", "Home", "NOT_MAPPED", 2),
        ("PAGE", "Home", "NO_CLIENT", 1),
        ("TRACK", "Exported", "NOT_MAPPED", 1),
    ]
    later = NOW + timedelta(hours=2)
    await send(acme, page("Home", later), now=later)
    times = "SELECT events, first_received_at, last_received_at FROM unmapped_events WHERE name = 'Home' ORDER BY 1"
    assert await rows_of(acme, times) == [(1, NOW, NOW), (3, NOW, later)]


async def test_a_member_of_nobody_is_listed_and_an_alias_is_not(acme: Database) -> None:
    await send(acme, identify("ann"), identify("bob", "nobody"), alias("ann", "bob"))
    assert await stored(acme, "unmapped_events") == [("IDENTIFY", "", "NO_CLIENT", 2)]
    assert await stored(acme, "members") == []


@pytest.mark.parametrize("together", [True, False])
async def test_so_many_names_are_told_apart_and_no_more(acme: Database, together: bool) -> None:
    names = [f"n{number:04}" for number in range(service.MAX_NAMES + 200)]
    for batch in [names] if together else [names[:900], names[900:990], names[990:1010], names[1010:]]:
        await send(acme, *(page(name) for name in batch))
    await send(acme, page("n0000"), page("new"))
    counts = {row[1]: row[3] for row in await stored(acme, "unmapped_events")}
    assert len(counts) == service.MAX_NAMES + 1
    assert (counts["n0000"], counts["n0999"], counts[""]) == (2, 1, 201)


async def test_activity_is_counted_by_the_day(acme: Database) -> None:
    midnight = utc("2026-03-15T00:00")
    await send(acme, page("a", midnight - timedelta(microseconds=1)), page("b", midnight), page("c", NOW))
    await send(acme, track("d", midnight + timedelta(hours=5)), track("Logged In", NOW))
    assert await stored(acme, "activity_days") == [
        ("acme", date(2026, 3, 14), 1, midnight - timedelta(microseconds=1), midnight - timedelta(microseconds=1)),
        ("acme", date(2026, 3, 15), 3, midnight, NOW),
    ]


@pytest.mark.parametrize("together", [True, False])
async def test_an_event_named_like_a_feature_is_a_use_of_it(acme: Database, together: bool) -> None:
    await add_feature(acme, key="reports", name="Report Center")
    await add_feature(acme, key="★", name="★★")
    events = [
        page("Reports", AT),
        track("report_center", LATER),
        track("Feature Used", AT, properties={"feature": "Report center"}),
        # The first of its kind makes a feature that the next is known by.
        track("Feature Used", AT, properties={"feature": "Exports"}),
        track("Feature Used", LATER, properties={"feature": "exports"}),
        page("EXPORTS", LATER + timedelta(hours=1)),
        page("?!", AT),
    ]
    for batch in [events] if together else [[event] for event in events]:
        await send(acme, *batch)
    assert [row[0] for row in await stored(acme, "features")] == ["reports", "★", "Exports"]
    assert await stored(acme, "client_features") == [
        ("acme", "Exports", True, AT, LATER + timedelta(hours=1)),
        ("acme", "reports", True, AT, LATER),
    ]
    # It counts as activity all the same.
    assert [row[2] for row in await stored(acme, "activity_days")] == [4]


@pytest.mark.parametrize("context", [{"groupId": "acme"}, {}])
async def test_the_latest_activity_moves_once_a_minute_and_never_back(acme: Database, context: dict[str, str]) -> None:
    """Also where the client is found through its member alone."""
    await send(acme, identify("ann", "acme", AT))
    for seconds, moved in ((0, 0), (59, 0), (60, 60), (10, 60), (119, 60), (150, 150)):
        await send(acme, page("Home", AT + timedelta(seconds=seconds), context=context))
        assert await rows_of(acme, ACTIVITY) == [("acme", AT + timedelta(seconds=moved))]


@pytest.mark.parametrize("together", [True, False])
async def test_what_is_dated_in_the_future_is_of_now(acme: Database, together: bool) -> None:
    events = [page("Home", NOW + timedelta(hours=20)), page("Home", NOW - timedelta(hours=1))]
    for batch in [events] if together else [[event] for event in events]:
        await send(acme, *batch)
    assert await rows_of(acme, ACTIVITY) == [("acme", NOW)]
    # Its day is the one that it says.
    assert [row[1:3] for row in await stored(acme, "activity_days")] == [
        (date(2026, 3, 15), 1),
        (date(2026, 3, 16), 1),
    ]
