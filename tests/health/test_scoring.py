"""Scoring on the database: which facts are seen, and who is scored."""

from datetime import datetime, timedelta

import pytest

from app.clients.models import ClientStatus
from app.database import Database
from app.health import service
from tests.factories import (
    add_campaign,
    add_case,
    add_client,
    add_client_feature,
    add_login,
    add_member,
    add_response,
    add_rows,
    add_ticket,
    rows_of,
    utc,
)
from tests.health.helpers import AS_OF, BEFORE_START, CALCULATED, DAY, INSTANT, RECENTLY, START, current, score, stored

LONG_AGO = utc("2021-05-05T05:05")


async def test_a_login_counts_from_the_first_instant_of_the_window_to_as_of(database: Database) -> None:
    client = await add_client(database)
    for moment in (START - INSTANT, START, AS_OF, AS_OF + INSTANT):
        await add_login(database, client, moment)
    await score(database, client)
    found = await stored(database, client)
    assert (found["members"], found["active_members"], found["login_score"]) == (4, 2, 71)


async def test_a_member_that_logs_in_often_is_active_once(database: Database) -> None:
    client = await add_client(database)
    member = await add_login(database, client, RECENTLY)
    await add_login(database, client, RECENTLY + INSTANT, member)
    await add_member(database, client)
    await score(database, client)
    found = await stored(database, client)
    assert (found["members"], found["active_members"], found["login_score"]) == (2, 1, 71)


async def test_a_case_counts_from_the_first_instant_of_the_window_to_as_of(database: Database) -> None:
    client = await add_client(database)
    for moment in (START - INSTANT, START, AS_OF, AS_OF + INSTANT):
        await add_case(database, client, opened_at=START - INSTANT, closed_at=moment)
    await add_case(database, client, opened_at=START)
    await score(database, client)
    found = await stored(database, client)
    assert (found["cases_closed"], found["cases_on_time"], found["case_score"]) == (2, 2, 100)


async def test_a_case_closed_at_its_deadline_or_without_one_is_on_time(database: Database) -> None:
    client = await add_client(database)
    for due in (RECENTLY - INSTANT, RECENTLY, RECENTLY + INSTANT, None):
        await add_case(database, client, closed_at=RECENTLY, sla_due_at=due)
    await score(database, client)
    found = await stored(database, client)
    assert (found["cases_closed"], found["cases_on_time"], found["case_score"]) == (4, 3, 75)


async def test_a_campaign_counts_from_the_first_instant_of_the_window_to_as_of(database: Database) -> None:
    client = await add_client(database)
    for completed, moment in enumerate((START - INSTANT, START, AS_OF, AS_OF + INSTANT, None)):
        await add_campaign(database, client, assigned=10, completed=completed, closed_at=moment)
    await add_campaign(database, client, assigned=0, closed_at=RECENTLY)
    await score(database, client)
    found = await stored(database, client)
    assert (found["campaigns_completed"], found["campaigns_assigned"]) == ([1, 2], [10, 10])
    assert found["campaign_score"] == 15


async def test_a_feature_counts_when_enabled_and_first_used_at_or_before_as_of(database: Database) -> None:
    client = await add_client(database)
    # A use long before the window counts: adoption has no window.
    for first_used in (utc("2020-01-01"), AS_OF, AS_OF + INSTANT, None):
        await add_client_feature(database, client, first_used_at=first_used)
    await add_client_feature(database, client, enabled=False, first_used_at=RECENTLY)
    await score(database, client)
    found = await stored(database, client)
    assert (found["features_enabled"], found["features_used"], found["feature_score"]) == (4, 2, 50)


async def test_tickets_count_in_the_window_and_in_the_three_before(database: Database) -> None:
    client = await add_client(database)
    for moment in (BEFORE_START - INSTANT, BEFORE_START, START - INSTANT, START, AS_OF, AS_OF + INSTANT):
        await add_ticket(database, client, opened_at=moment)
    await score(database, client)
    found = await stored(database, client)
    assert (found["tickets_opened"], found["tickets_before"], found["ticket_score"]) == (2, 2, 80)
    assert found["tickets_tracked"]


@pytest.mark.parametrize(
    ("opened_at", "tracked"), [(utc("2019-01-01"), True), (None, True), (AS_OF, True), (AS_OF + INSTANT, False)]
)
async def test_tickets_are_tracked_once_one_was_recorded(
    database: Database, opened_at: datetime | None, tracked: bool
) -> None:
    client = await add_client(database)
    await add_ticket(database, client, opened_at=opened_at)
    await score(database, client)
    assert (await stored(database, client))["tickets_tracked"] is tracked
    found = await current(database, client)
    assert (found["tickets_tracked"], found["coverage"]) == (tracked, 15 if tracked else 0)


@pytest.mark.parametrize("as_of", [utc("2025-03-14"), utc("2025-03-14T12:00"), AS_OF - INSTANT])
async def test_the_window_ends_at_as_of_wherever_in_the_day_it_is(database: Database, as_of: datetime) -> None:
    client = await add_client(database)
    for moment in (START - INSTANT, START, as_of, as_of + INSTANT):
        await add_login(database, client, moment)
    await score(database, client, as_of=as_of)
    found = await stored(database, client)
    assert (found["active_members"], found["as_of"]) == (2, as_of)
    assert (await current(database, client))["last_activity_at"] == as_of


async def test_facts_later_than_as_of_are_not_seen(database: Database) -> None:
    client, later = await add_client(database), AS_OF + INSTANT
    member = await add_member(database, client, created_at=later)
    await add_login(database, client, later, member)
    await add_case(database, client, opened_at=later, closed_at=later)
    campaign = await add_campaign(database, client, assigned=1, completed=1, closed_at=later)
    await add_response(database, client, later, campaign_id=campaign, member_id=member)
    await add_client_feature(database, client, enabled=False, first_used_at=later, last_used_at=later)
    await add_ticket(database, client, opened_at=later, closed_at=later)
    assert await score(database, client) == {}
    found = await stored(database, client)
    components = [found[f"{name}_score"] for name in ("login", "case", "campaign", "feature", "ticket")]
    assert components == [None, None, None, None, 100]
    assert (found["coverage"], found["score"], found["light"], found["risk"]) == (0, None, None, None)
    assert (await current(database, client))["last_activity_at"] is None


async def test_only_members_of_the_moment_count_and_their_logins(database: Database) -> None:
    client = await add_client(database)
    counting = [{}, {"created_at": AS_OF}, {"deactivated_at": AS_OF + INSTANT}]
    others = [{"created_at": AS_OF + INSTANT}, {"deactivated_at": AS_OF}, {"deactivated_at": START}]
    for values in (*counting, *others):
        member = await add_member(database, client, **values)
        await add_login(database, client, RECENTLY, member)
    await add_member(database, client)
    await score(database, client)
    found = await stored(database, client)
    assert (found["members"], found["active_members"]) == (4, 3)


async def test_a_client_is_scored_from_the_day_it_became_one(database: Database) -> None:
    """Before its customer_since it is not scored at all."""
    ids = [
        await add_client(database, customer_since=since)
        for since in (None, DAY - timedelta(days=1), DAY, DAY + timedelta(days=1))
    ]
    await service.score_day(database, utc("2025-03-14T00:00"), CALCULATED)
    assert [bool(await stored(database, client)) for client in ids] == [True, True, True, False]
    assert (await current(database, ids[3]))["scored_day"] is None


async def test_a_churned_client_is_scored_before_the_moment_it_left(database: Database) -> None:
    """For an `as_of` before its churned_at it is scored as it was then."""
    ids = [
        await add_client(database, status=ClientStatus.CHURNED, churned_at=left)
        for left in (AS_OF - INSTANT, AS_OF, AS_OF + INSTANT, None)
    ]
    trial = await add_client(database, status=ClientStatus.TRIAL)
    await service.score_day(database, AS_OF, CALCULATED)
    assert [bool(await stored(database, client)) for client in ids] == [False, False, True, False]
    assert await stored(database, trial)


async def test_counting_finding_and_locking_agree_on_who_is_scored(database: Database) -> None:
    scored = [await add_client(database), await add_client(database, customer_since=DAY)]
    gone = await add_client(database, status=ClientStatus.CHURNED, churned_at=AS_OF)
    last = await add_client(database)
    async with database.begin() as session:
        assert await service.count_scored(session, AS_OF) == 3
        assert await service.count_scored(session, AS_OF, scored[0]) == 1
        assert await service.count_scored(session, AS_OF, gone) == 0
        assert await service.next_clients(session, 0, 2, AS_OF) == scored
        assert await service.next_clients(session, scored[1], 2, AS_OF) == [last]
        assert await service.next_clients(session, 0, 2, AS_OF, last) == [last]
        assert await service.next_clients(session, 0, 2, AS_OF, gone) == []
        assert await service.lock_clients(session, [last, gone, scored[0]], AS_OF) == [scored[0], last]


async def test_a_day_is_scored_batch_by_batch(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [await add_client(database) for _ in range(7)]
    monkeypatch.setattr(service, "SCORE_DAY_BATCH", 3)
    await service.score_day(database, AS_OF, CALCULATED)
    assert await rows_of(database, "SELECT client_id FROM health_scores ORDER BY 1") == [(client,) for client in ids]


@pytest.mark.parametrize(
    "source",
    [
        "login",
        "case opened",
        "case closed",
        "campaign closed",
        "response",
        "feature first used",
        "feature last used",
        "ticket opened",
        "ticket closed",
    ],
)
@pytest.mark.parametrize("long_ago", [False, True])
async def test_the_last_activity_is_the_latest_fact_of_any_kind_up_to_as_of(
    database: Database, source: str, long_ago: bool
) -> None:
    """A fact just after `as_of` does not hide the one before it, and one from before the window counts."""
    client, seen = await add_client(database), LONG_AGO if long_ago else AS_OF
    for moment in (seen - timedelta(hours=1), seen, AS_OF + INSTANT):
        match source:
            case "login":
                await add_login(database, client, moment)
            case "case opened":
                await add_case(database, client, opened_at=moment)
            case "case closed":
                await add_case(database, client, closed_at=moment)
            case "campaign closed":
                await add_campaign(database, client, closed_at=moment)
            case "response":
                await add_response(database, client, moment)
            case "feature first used":
                await add_client_feature(database, client, first_used_at=moment)
            case "feature last used":
                await add_client_feature(database, client, last_used_at=moment)
            case "ticket opened":
                await add_ticket(database, client, opened_at=moment)
            case "ticket closed":
                await add_ticket(database, client, closed_at=moment)
    await score(database, client)
    assert (await current(database, client))["last_activity_at"] == seen


@pytest.mark.parametrize(
    ("moved_to", "expected"),
    [
        # Events have moved it meanwhile, past what a calculation of an earlier moment can see.
        (AS_OF + INSTANT, AS_OF + INSTANT),
        (AS_OF + timedelta(hours=7), AS_OF + timedelta(hours=7)),
        # What the calculation could see it decides, and what was taken back goes.
        (AS_OF, RECENTLY),
        (LONG_AGO, RECENTLY),
        (None, RECENTLY),
    ],
)
async def test_a_calculation_takes_no_activity_back_that_came_after_its_moment(
    database: Database, moved_to: datetime | None, expected: datetime
) -> None:
    client = await add_client(database, last_activity_at=moved_to)
    await add_login(database, client, RECENTLY)
    await score(database, client)
    assert (await current(database, client))["last_activity_at"] == expected


@pytest.mark.parametrize(
    ("days", "seen"),
    [
        # The day of `as_of` is not over: its latest moment may lie behind, its first does not.
        ([(AS_OF - timedelta(hours=2), AS_OF + INSTANT)], AS_OF),
        ([(AS_OF - timedelta(hours=2), AS_OF - timedelta(hours=1))], AS_OF - timedelta(hours=1)),
        ([(AS_OF + INSTANT, AS_OF + INSTANT)], None),
        ([(LONG_AGO, LONG_AGO + INSTANT), (AS_OF + INSTANT, AS_OF + INSTANT)], LONG_AGO + INSTANT),
    ],
)
async def test_events_that_are_no_facts_are_activity(
    database: Database, days: list[tuple[datetime, datetime]], seen: datetime | None
) -> None:
    client = await add_client(database)
    rows = [
        {"client_id": client, "day": first.date(), "events": 2, "first_at": first, "last_at": last}
        for first, last in days
    ]
    await add_rows(database, "activity_days", rows)
    await score(database, client)
    assert (await current(database, client))["last_activity_at"] == seen
