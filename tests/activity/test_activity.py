"""Recent activity on the database: every kind with its sentence, pages without gaps, and work that stays bounded."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from app.activity.rules import describe
from app.activity.service import Position, recent
from app.clients import service as clients
from app.database import Database
from app.health.rules import Policy, light_of
from tests.factories import (
    add_campaign,
    add_case,
    add_client,
    add_client_feature,
    add_feature,
    add_login,
    add_member,
    add_rows,
    add_score,
    utc,
)
from tests.graphql.live import alert_row
from tests.plans import Plan, plans

NOW = utc("2025-03-14T12:00")
INSTANT = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)
Event = tuple[datetime, str, str]
# The figures of a recorded day that are never null.
FIGURES = (
    "active_users",
    "logins",
    "session_minutes",
    "cases_created",
    "cases_resolved",
    "cases_resolved_on_time",
    "campaign_responses",
    "support_tickets",
)


async def page(
    database: Database, client_id: int, first: int, after: Position | None = None, now: datetime = NOW
) -> tuple[list[Event], Position | None]:
    """Return one page as (moment, kind, sentence), and the position of the next one, None behind the last page."""
    async with database.read() as connection:
        found = await recent(connection, client_id, first, after, now)
    events = [(row.at, row.kind, describe(row)) for row in found[:first]]
    last = found[:first][-1] if found else None
    return events, Position(last.at, last.kind, last.key) if last and len(found) > first else None


async def all_events(database: Database, client_id: int, first: int, now: datetime = NOW) -> list[Event]:
    """Return every event, page by page; each page but the last is full."""
    events, after = await page(database, client_id, first, now=now)
    while after:
        assert len(events) % first == 0
        assert len(events) < 1000, "the pages go round in a circle"
        more, after = await page(database, client_id, first, after, now)
        events += more
    return events


async def switch_alerts(database: Database, client_id: int, now: datetime, *, enabled: bool) -> None:
    """Switch the client's alerts."""
    async with database.begin() as session:
        await clients.set_alerts(
            session, client_id, enabled=enabled, actor="csm@example.com", now=now, request_id="request"
        )


async def test_every_kind_has_its_sentence(database: Database) -> None:
    client = await add_client(database)
    hours = [NOW - timedelta(hours=hour) for hour in range(1, 13)]
    await switch_alerts(database, client, hours[1], enabled=True)
    await switch_alerts(database, client, hours[0], enabled=False)
    await add_case(database, client, external_id="K-1", opened_at=hours[4], closed_at=hours[3], sla_due_at=hours[3])
    await add_case(database, client, external_id="K-2", closed_at=hours[2], sla_due_at=hours[3])
    await add_case(database, client, external_id="K-3", closed_at=hours[5])
    await add_campaign(database, client, name="Spring review", assigned=40, completed=29, closed_at=hours[6])
    await add_campaign(database, client, external_id="C-9", assigned=1, closed_at=hours[7])
    feature = await add_feature(database, key="exports", name="Exports")
    await add_client_feature(database, client, feature, first_used_at=hours[8], last_used_at=hours[1])
    member = await add_login(database, client, hours[10])
    await add_login(database, client, hours[9], member)
    await add_login(database, client, hours[10] + INSTANT)
    yesterday, day_before = utc("2025-03-13T18:00"), utc("2025-03-12T18:00")
    await add_login(database, client, day_before, member)
    await add_score(
        database, client, yesterday.date(), 58, as_of=yesterday, previous_score=85, light="RED", trend="DECLINING"
    )
    await add_score(database, client, date(2025, 3, 11), 80, previous_score=79, light="GREEN")
    end_of_11th = utc("2025-03-12") - INSTANT
    figures = dict.fromkeys(FIGURES, 0) | {"client_id": client}
    for day, revised_at in ((date(2025, 3, 9), hours[11]), (date(2025, 3, 10), None)):
        await add_rows(database, "daily_metrics", [figures | {"day": day, "revised_at": revised_at}])
    expected = [
        (hours[0], "ALERTS_CHANGED", "Alerts were switched off by csm@example.com."),
        (hours[1], "ALERTS_CHANGED", "Alerts were switched on by csm@example.com."),
        (hours[2], "CASE_CLOSED", "Case K-2 was closed after its deadline."),
        (hours[3], "CASE_CLOSED", "Case K-1 was closed on time."),
        (hours[4], "CASE_OPENED", "Case K-1 was opened."),
        (hours[5], "CASE_CLOSED", "Case K-3 was closed on time."),
        (hours[6], "CAMPAIGN_CLOSED", "Campaign Spring review closed with 29 of 40 assignments completed."),
        (hours[7], "CAMPAIGN_CLOSED", "Campaign C-9 closed with 0 of 1 assignments completed."),
        (hours[8], "FEATURE_FIRST_USED", "The feature Exports was used for the first time."),
        (hours[9], "LOGINS", "2 members logged in 3 times."),
        (hours[11], "METRICS_REVISED", "Data that came late changed the figures of 9 March 2025."),
        (yesterday, "LIGHT_CHANGED", "The traffic light went from green to red."),
        (yesterday, "SCORE_CHANGED", "The health score fell from 85 to 58."),
        (day_before, "LOGINS", "1 member logged in once."),
        (end_of_11th, "LIGHT_CHANGED", "The traffic light went from amber to green."),
        (end_of_11th, "SCORE_CHANGED", "The health score rose from 79 to 80."),
    ]
    for first in (1, 2, 3, 100):
        assert await all_events(database, client, first) == expected


async def test_what_did_not_change_is_not_told(database: Database) -> None:
    """An equal score, a first one, an unscored day, and switching alerts to what they are."""
    client = await add_client(database)
    await switch_alerts(database, client, NOW, enabled=False)
    await add_score(database, client, date(2025, 3, 10), 90, light="GREEN")
    await add_score(database, client, date(2025, 3, 11), 90, previous_score=90, light="GREEN")
    await add_score(database, client, date(2025, 3, 12), None, previous_score=90, coverage=40)
    await add_score(database, client, date(2025, 3, 13), 88, previous_score=90, light="GREEN")
    sentences = [sentence for _, _, sentence in await all_events(database, client, 3)]
    assert sentences == ["The health score fell from 90 to 88."]


async def test_an_alert_that_nobody_was_told_of_is_no_activity(database: Database) -> None:
    client = await add_client(database)
    hours = [NOW - timedelta(hours=hour) for hour in range(1, 5)]
    told: dict[str, Any] = {"held": False, "discarded_at": None, "status": "OPEN"}
    fates = [told, told | {"held": True}, told | {"status": "RESOLVED", "discarded_at": NOW}, told]
    rows = [
        alert_row(client, number) | fate | {"raised_at": at}
        for number, (fate, at) in enumerate(zip(fates, hours, strict=True))
    ]
    await add_rows(database, "alerts", rows)
    expected = [
        (hours[0], "ALERT_RAISED", "An alert was raised. alert 0"),
        (hours[3], "ALERT_RAISED", "An alert was raised. alert 3"),
    ]
    for first in (1, 2, 3):
        assert await all_events(database, client, first) == expected
    # Once it is released it has been raised when it was.
    async with database.begin() as session:
        await session.execute(text("UPDATE alerts SET held = false"))
    assert [at for at, _, _ in await all_events(database, client, 1)] == [hours[0], hours[1], hours[3]]


async def test_a_client_without_a_past_has_no_events(database: Database) -> None:
    client, other = await add_client(database), await add_client(database)
    await add_login(database, other, NOW)
    assert await page(database, client, 10) == ([], None)


@pytest.mark.parametrize("first", [1, 2, 3])
async def test_pages_neither_repeat_nor_skip_events_of_one_moment(database: Database, first: int) -> None:
    client = await add_client(database)
    at = NOW - ONE_DAY
    for number in range(7):
        await add_case(database, client, external_id=f"K-{number}", opened_at=at, closed_at=at)
        await add_campaign(database, client, name=f"C-{number}", assigned=1, closed_at=at)
        feature = await add_feature(database, key=f"f-{number}", name=f"F-{number}")
        await add_client_feature(database, client, feature, first_used_at=at)
        await switch_alerts(database, client, at, enabled=number % 2 == 0)
        await add_login(database, client, at)
    await add_score(database, client, at.date(), 50, as_of=at, previous_score=90, light="RED")
    expected = [
        *(f"Alerts were switched {'off' if number % 2 else 'on'} by csm@example.com." for number in range(7)),
        *(f"Campaign C-{number} closed with 0 of 1 assignments completed." for number in range(7)),
        *(f"Case K-{number} was closed on time." for number in range(7)),
        *(f"Case K-{number} was opened." for number in range(7)),
        *(f"The feature F-{number} was used for the first time." for number in range(7)),
        "The traffic light went from green to red.",
        "7 members logged in 7 times.",
        "The health score fell from 90 to 50.",
    ]
    events = await all_events(database, client, first)
    assert {moment for moment, _, _ in events} == {at}
    assert [sentence for _, _, sentence in events] == expected


@pytest.mark.parametrize("first", [1, 2, 3])
async def test_pages_neither_repeat_nor_skip_days_with_several_logins(database: Database, first: int) -> None:
    """Days apart and side by side, other events before, between and after a day's logins, and at its midnight."""
    client, expected = await add_client(database), []
    member = await add_member(database, client)
    for days in (0, 1, 2, 5, 6, 40, 365):
        midnight = utc("2025-03-14") - days * ONE_DAY
        for minute in range(days % 3 + 1):
            await add_login(database, client, midnight + timedelta(minutes=minute), member)
        await add_case(database, client, opened_at=midnight, external_id=f"first {days}")
        last = midnight + timedelta(minutes=days % 3)
        await add_case(database, client, opened_at=last, external_id=f"last {days}")
        await add_case(database, client, opened_at=midnight + timedelta(hours=1), external_id=f"later {days}")
        times = ("once", "2 times", "3 times")[days % 3]
        # Cases of one moment are listed before its logins, and among each other by their id.
        opened = [(midnight, f"first {days}"), (last, f"last {days}")]
        opened.sort(key=lambda event: event[0], reverse=True)
        logins = (last, "LOGINS", f"1 member logged in {times}.")
        before = [(at, "CASE_OPENED", f"Case {name} was opened.") for at, name in opened if at == last]
        after = [(at, "CASE_OPENED", f"Case {name} was opened.") for at, name in opened if at < last]
        later = (midnight + timedelta(hours=1), "CASE_OPENED", f"Case later {days} was opened.")
        expected += [later, *before, logins, *after]
    assert await all_events(database, client, first) == expected


@pytest.mark.parametrize("first", [1, 2, 3])
async def test_pages_of_nothing_but_logins_are_full(database: Database, first: int) -> None:
    """Each day is one event: the search for days must go on as far as a page needs it."""
    client = await add_client(database)
    member = await add_member(database, client)
    days = [NOW - number * ONE_DAY for number in (0, 1, 2, 3, 10, 11, 50, 51, 52, 99, 100)]
    for at in days:
        await add_login(database, client, at - timedelta(hours=1), member)
        await add_login(database, client, at, member)
    expected = [(at, "LOGINS", "1 member logged in 2 times.") for at in days]
    assert await all_events(database, client, first) == expected


@pytest.mark.parametrize(
    ("previous", "score", "sentence"),
    [
        (80, 79, "The traffic light went from green to amber."),
        (79, 80, "The traffic light went from amber to green."),
        (60, 59, "The traffic light went from amber to red."),
        (59, 60, "The traffic light went from red to amber."),
        (100, 0, "The traffic light went from green to red."),
        (80, 100, None),
        (60, 79, None),
        (0, 59, None),
    ],
)
async def test_a_light_changes_where_the_score_passes_a_threshold(
    database: Database, previous: int, score: int, sentence: str | None
) -> None:
    """Green from 80, amber from 60."""
    client = await add_client(database)
    light = light_of(score, Policy())
    await add_score(database, client, date(2025, 3, 13), score, previous_score=previous, light=light)
    events = await all_events(database, client, 1)
    assert [told for _, kind, told in events if kind == "LIGHT_CHANGED"] == ([sentence] if sentence else [])
    assert len(events) == (2 if sentence else 1)


async def test_nothing_later_than_now_is_told(database: Database) -> None:
    client, later = await add_client(database), NOW + INSTANT
    member = await add_login(database, client, NOW)
    for moment in (NOW - INSTANT, later):
        await add_login(database, client, moment, member)
        await add_case(database, client, opened_at=moment, closed_at=moment)
        await add_campaign(database, client, closed_at=moment)
        await add_client_feature(database, client, first_used_at=moment)
        await add_rows(database, "audit_events", [alerts_event(client, moment)])
    await add_score(database, client, NOW.date(), 50, previous_score=90, light="RED", as_of=later)
    events = await all_events(database, client, 3)
    assert sorted(kind for _, kind, _ in events) == [
        "ALERTS_CHANGED",
        "CAMPAIGN_CLOSED",
        "CASE_CLOSED",
        "CASE_OPENED",
        "FEATURE_FIRST_USED",
        "LOGINS",
    ]
    assert events[0] == (NOW, "LOGINS", "1 member logged in 2 times.")
    assert len(await all_events(database, client, 3, later)) == 13


async def test_a_position_in_the_future_shows_no_more_than_now_does(database: Database) -> None:
    """A caller can make up a cursor, but not look ahead with it."""
    client = await add_client(database)
    for moment in (NOW, NOW + INSTANT, NOW + ONE_DAY):
        await add_case(database, client, opened_at=moment)
        await add_login(database, client, moment)
    expected = await page(database, client, 10)
    assert len(expected[0]) == 2
    for ahead in (NOW + INSTANT, NOW + ONE_DAY, NOW + 9 * ONE_DAY):
        assert await page(database, client, 10, Position(ahead, "", "")) == expected


def alerts_event(client_id: int, at: datetime) -> dict[str, object]:
    """Return the audit trail's row of alerts switched on."""
    changes = {"alerts_enabled": [False, True]}
    return {"client_id": client_id, "at": at, "actor": "csm", "action": "ALERTS_CHANGED", "changes": changes}


async def test_a_page_costs_the_same_however_long_the_past_is(database: Database) -> None:
    """50,000 logins over 1,000 days and 20,000 cases: a page of 20 reads some days of logins, never all."""
    client, other = await add_client(database), await add_client(database)
    members = await add_rows(
        database,
        "members",
        [{"client_id": owner, "external_id": str(number)} for owner in (client, other) for number in range(50)],
    )
    async with database.begin() as session:
        for owner in (client, other):
            values = {"client": owner, "now": NOW, "member": members[0] if owner == client else members[50]}
            await session.execute(
                text(
                    "INSERT INTO logins (client_id, at, member_id) SELECT :client, "
                    "CAST(:now AS timestamptz) - interval '1 day' * day - interval '1 minute' * number, "
                    ":member + number FROM generate_series(0, 999) AS day, generate_series(0, 49) AS number"
                ),
                values,
            )
            await session.execute(
                text(
                    "INSERT INTO cases (client_id, external_id, opened_at, closed_at) SELECT :client, number, "
                    "CAST(:now AS timestamptz) - interval '1 hour' * (number + 9), "
                    "CAST(:now AS timestamptz) - interval '1 hour' * number FROM generate_series(1, 20000) AS number"
                ),
                {"client": owner, "now": NOW},
            )
    async with database.begin() as session:
        await session.execute(text("ANALYZE"))
    for moment in (None, NOW - 30 * ONE_DAY, NOW - 700 * ONE_DAY, NOW - 999 * ONE_DAY):
        for plan in await plans_of_page(database, client, Position(moment, "LOGINS", "") if moment else None):
            scans = {node["Node Type"] for table in ("logins", "cases") for node in plan.scans(table)}
            assert scans <= {"Index Scan", "Index Only Scan"}
            # Up to 22 days of 50 logins are counted, and a few rows more find the days.
            assert 0 < plan.rows_read("logins") <= 22 * 50 + 44
            # For either end of a case, an incremental sort takes a few rows more than the page.
            assert plan.rows_read("cases") <= 2 * (21 + 64)


async def plans_of_page(database: Database, client_id: int, after: Position | None) -> tuple[Plan, Plan]:
    """Return the plans of a page of 20."""

    async def read(connection: AsyncConnection) -> None:
        await recent(connection, client_id, 20, after, NOW)

    return await plans(database, read)
