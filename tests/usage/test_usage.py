"""Usage on the database: the daily series, its summary, the features, and the metrics recorded once a day."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from app.clients.models import ClientStatus
from app.database import AdvisoryLock, Database
from app.usage import service
from app.usage.models import FeatureCategory
from app.usage.rules import Day, MetricPoint, MetricType, peak_day
from tests.factories import (
    add_campaign,
    add_case,
    add_client,
    add_client_feature,
    add_feature,
    add_login,
    add_member,
    add_response,
    add_rows,
    add_ticket,
    rows_of,
    utc,
)

DAY = date(2025, 3, 14)
TODAY = date(2025, 6, 1)
NOON = utc("2025-03-14T12:00")
INSTANT = timedelta(microseconds=1)
ONE_DAY = timedelta(days=1)


async def usage(database: Database, client_id: int, days: int, today: date = TODAY) -> service.Usage:
    """Return one client's usage."""
    async with database.read() as connection:
        return (await service.usage(connection, [client_id], days, today))[client_id]


async def history(database: Database, client_id: int, metric: MetricType, days: int) -> list[MetricPoint]:
    """Return one client's recorded metric."""
    async with database.read() as connection:
        return (await service.metric_history(connection, [client_id], metric, days, TODAY)).get(client_id, [])


async def test_there_is_one_entry_per_day_zero_days_included_oldest_first(database: Database) -> None:
    client = await add_client(database, scored_day=DAY)
    member = await add_login(database, client, utc("2025-03-12T08:00"))
    for moment in ("2025-03-14T08:00", "2025-03-14T09:00"):
        await add_login(database, client, utc(moment), member)
    await add_case(database, client, opened_at=utc("2025-03-12T10:00"), closed_at=utc("2025-03-14T10:00"))
    await add_case(database, client, opened_at=utc("2025-03-12T11:00"))
    await add_response(database, client, utc("2025-03-11T10:00"))
    assert (await usage(database, client, 4)).daily == [
        Day(date(2025, 3, 11), campaign_responses=1),
        Day(date(2025, 3, 12), logins=1, cases_created=2),
        Day(date(2025, 3, 13)),
        Day(date(2025, 3, 14), logins=2, cases_resolved=1),
    ]


@pytest.mark.parametrize("kind", ["logins", "cases_created", "cases_resolved", "campaign_responses"])
async def test_the_window_is_whole_utc_days_to_the_microsecond(database: Database, kind: str) -> None:
    client = await add_client(database, scored_day=DAY)
    first, end = utc("2025-03-13"), utc("2025-03-15")
    for moment in (first - INSTANT, first, end - ONE_DAY - INSTANT, end - ONE_DAY, end - INSTANT, end):
        match kind:
            case "logins":
                await add_login(database, client, moment)
            case "cases_created":
                await add_case(database, client, opened_at=moment)
            case "cases_resolved":
                await add_case(database, client, closed_at=moment)
            case "campaign_responses":
                await add_response(database, client, moment)
    found = (await usage(database, client, 2)).daily
    assert found == [Day(date(2025, 3, 13), **{kind: 2}), Day(date(2025, 3, 14), **{kind: 2})]


async def test_the_window_ends_with_the_scoring_day_or_today_before_the_first(database: Database) -> None:
    scored, new = await add_client(database, scored_day=DAY), await add_client(database)
    async with database.read() as connection:
        found = await service.usage(connection, [new, scored, 0], 30, TODAY)
    assert found.keys() == {new, scored}
    windows = {client: (len(one.daily), one.daily[0].date, one.daily[-1].date) for client, one in found.items()}
    assert windows == {scored: (30, date(2025, 2, 13), DAY), new: (30, date(2025, 5, 3), TODAY)}


async def test_clients_do_not_see_each_others_usage(database: Database) -> None:
    loud, silent = await add_client(database, scored_day=DAY), await add_client(database, scored_day=DAY)
    await add_login(database, loud, NOON, duration_minutes=10)
    async with database.read() as connection:
        found = await service.usage(connection, [silent, loud], 1, TODAY)
    assert (found[loud].daily[0].logins, found[loud].unique_members, found[loud].session_minutes) == (1, 1, 10)
    assert (found[silent].daily[0].logins, found[silent].unique_members, found[silent].session_minutes) == (0, 0, None)


async def test_the_summary_counts_members_once_and_sessions_of_known_length(database: Database) -> None:
    client = await add_client(database, scored_day=DAY)
    member = await add_login(database, client, NOON, duration_minutes=Decimal("10"))
    await add_login(database, client, NOON + INSTANT, member, duration_minutes=Decimal("2.5"))
    await add_login(database, client, NOON)
    # Just outside the window of one day.
    for moment in (utc("2025-03-14") - INSTANT, utc("2025-03-15")):
        await add_login(database, client, moment, duration_minutes=1000)
    found = await usage(database, client, 1)
    assert (found.daily[0].logins, found.unique_members, found.session_minutes) == (3, 2, 6.25)


async def test_there_is_no_mean_session_without_a_known_length(database: Database) -> None:
    client = await add_client(database, scored_day=DAY)
    await add_login(database, client, NOON)
    found = await usage(database, client, 1)
    assert (found.unique_members, found.session_minutes) == (1, None)


@pytest.mark.parametrize(
    ("logins", "peak"),
    [
        ({}, None),
        ({"2025-03-11": 1}, date(2025, 3, 11)),
        ({"2025-03-11": 2, "2025-03-13": 1}, date(2025, 3, 11)),
        ({"2025-03-11": 2, "2025-03-12": 2, "2025-03-14": 1}, date(2025, 3, 12)),
        ({"2025-03-14": 1, "2025-03-11": 1}, date(2025, 3, 14)),
    ],
)
async def test_the_peak_is_the_day_with_most_logins_the_latest_of_equals(
    database: Database, logins: dict[str, int], peak: date | None
) -> None:
    client = await add_client(database, scored_day=DAY)
    member = await add_member(database, client)
    for day, number in logins.items():
        for hour in range(number):
            await add_login(database, client, utc(day) + timedelta(hours=hour), member)
    await add_case(database, client, opened_at=NOON)
    assert peak_day((await usage(database, client, 5)).daily) == peak


async def test_features_are_listed_by_category_and_name_with_their_use_up_to_the_scoring_day(
    database: Database,
) -> None:
    client, end = await add_client(database, scored_day=DAY), utc("2025-03-15")
    uses: list[tuple[str, FeatureCategory, dict[str, Any]]] = [
        ("Exports", FeatureCategory.REPORTING, {"first_used_at": end, "last_used_at": end}),
        ("Webhooks", FeatureCategory.INTEGRATION, {"enabled": False, "first_used_at": NOON, "last_used_at": NOON}),
        ("Rules", FeatureCategory.ADVANCED, {"first_used_at": NOON, "last_used_at": end}),
        ("Cases", FeatureCategory.CORE, {"first_used_at": NOON - ONE_DAY, "last_used_at": end - INSTANT}),
        ("Audits", FeatureCategory.CORE, {}),
    ]
    for name, category, values in uses:
        feature = await add_feature(database, key=name.lower(), name=name, category=category)
        await add_client_feature(database, client, feature, **values)
    other = await add_client(database)
    await add_client_feature(database, other, await add_feature(database))
    async with database.read() as connection:
        found = (await service.features(connection, [client], TODAY))[client]
    assert [(row.key, row.name, row.category, row.enabled, row.used, row.first_used_at) for row in found] == [
        ("audits", "Audits", "CORE", True, False, None),
        ("cases", "Cases", "CORE", True, True, NOON - ONE_DAY),
        ("rules", "Rules", "ADVANCED", True, True, NOON),
        ("webhooks", "Webhooks", "INTEGRATION", False, True, NOON),
        ("exports", "Exports", "REPORTING", True, False, None),
    ]
    # What came after the scoring day is not told before it is scored.
    assert [row.last_used_at for row in found if row.key in ("cases", "webhooks", "exports")] == [
        end - INSTANT,
        NOON,
        None,
    ]


async def add_busy_day(database: Database, client: int) -> None:
    """Add every kind of fact on DAY, and each one a microsecond before and after it."""
    start, end = utc("2025-03-14"), utc("2025-03-15")
    for moment in (start - INSTANT, start, end - INSTANT, end):
        await add_login(database, client, moment, duration_minutes=Decimal("7.25"))
        await add_case(database, client, opened_at=moment)
        await add_case(database, client, closed_at=moment, sla_due_at=moment)
        await add_case(database, client, closed_at=moment, sla_due_at=start - 2 * INSTANT)
        await add_response(database, client, moment)
        await add_ticket(database, client, opened_at=moment)
        await add_client_feature(database, client, first_used_at=moment)
        await add_campaign(database, client, assigned=4, completed=1, closed_at=moment)
    await add_campaign(database, client, assigned=8, completed=8, closed_at=NOON)
    await add_campaign(database, client, assigned=0, closed_at=NOON)
    await add_client_feature(database, client)
    await add_client_feature(database, client, enabled=False, first_used_at=NOON)
    await add_login(database, client, NOON)


BUSY_DAY: dict[str, Any] = {
    "active_users": 3,
    "logins": 3,
    "session_minutes": Decimal("14.50"),
    "cases_created": 2,
    "cases_resolved": 4,
    "cases_resolved_on_time": 2,
    "campaign_responses": 2,
    "campaign_completion_rate": 50.0,  # The mean of 25, 25 and 100.
    "feature_adoption_rate": 60.0,  # 3 of 5 up to the end of the day.
    "support_tickets": 2,
}


async def recorded(database: Database) -> list[tuple[Any, ...]]:
    """Return every recorded day."""
    columns = ", ".join(BUSY_DAY)
    return await rows_of(database, f"SELECT client_id, day, {columns} FROM daily_metrics ORDER BY client_id, day")


async def test_the_metrics_of_a_day_are_recorded_and_recording_them_twice_is_harmless(database: Database) -> None:
    client, silent = await add_client(database), await add_client(database)
    await add_busy_day(database, client)
    await service.record_day(database, DAY)
    nothing = (0, 0, Decimal(0), 0, 0, 0, 0, None, None, 0)
    expected = [(client, DAY, *BUSY_DAY.values()), (silent, DAY, *nothing)]
    assert await recorded(database) == expected
    await service.record_day(database, DAY)
    assert await recorded(database) == expected
    assert await rows_of(database, "SELECT revised_at FROM daily_metrics") == [(None,), (None,)]


async def test_recording_again_takes_in_what_came_late_and_leaves_other_days_alone(database: Database) -> None:
    client = await add_client(database)
    await add_login(database, client, NOON - ONE_DAY)
    await service.record_day(database, DAY - ONE_DAY)
    await service.record_day(database, DAY)
    await add_busy_day(database, client)
    before = (await recorded(database))[0]
    (started,) = (await rows_of(database, "SELECT clock_timestamp()"))[0]
    await service.record_day(database, DAY)
    assert await recorded(database) == [before, (client, DAY, *BUSY_DAY.values())]
    revised = await rows_of(database, "SELECT day, revised_at FROM daily_metrics ORDER BY day")
    (ended,) = (await rows_of(database, "SELECT clock_timestamp()"))[0]
    assert revised[0] == (DAY - ONE_DAY, None)
    assert started < revised[1][1] < ended
    # Nothing has come since, so that nothing is revised once more.
    await service.record_day(database, DAY)
    assert await rows_of(database, "SELECT day, revised_at FROM daily_metrics ORDER BY day") == revised


async def test_a_revised_day_says_so_in_the_history_of_every_metric(database: Database) -> None:
    client = await add_client(database, scored_day=DAY)
    for days_ago, revised_at in ((1, None), (0, NOON)):
        await add_recorded(database, client, days_ago, logins=4, support_tickets=0, revised_at=revised_at)
    assert await history(database, client, MetricType.LOGINS, 2) == [
        MetricPoint(DAY - ONE_DAY, 4, None),
        MetricPoint(DAY, 4, 0, NOON),
    ]
    assert (await history(database, client, MetricType.SUPPORT_TICKETS, 1)) == [MetricPoint(DAY, 0, None, NOON)]


async def test_facts_are_not_stored_while_a_day_is_recorded(database: Database) -> None:
    client = await add_client(database)
    async with database.begin() as session:
        await service.record_clients(session, [client], DAY)
        storing = "SELECT pg_try_advisory_lock(:lock)"
        assert await rows_of(database, storing, lock=AdvisoryLock.IMPORT) == [(False,)]
    assert len(await recorded(database)) == 1


async def test_only_clients_of_that_day_are_recorded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of two: one that came that day, one that left after it; not one that came or left too soon."""
    monkeypatch.setattr(service, "RECORD_BATCH", 2)
    left: list[tuple[datetime, bool]] = [(utc("2025-03-15"), True), (utc("2025-03-15") - INSTANT, False)]
    wanted = [await add_client(database), await add_client(database, customer_since=DAY)]
    await add_client(database, customer_since=DAY + ONE_DAY)
    for moment, counts in left:
        client = await add_client(database, status=ClientStatus.CHURNED, churned_at=moment)
        wanted += [client] if counts else []
    wanted.append(await add_client(database, status=ClientStatus.TRIAL))
    await service.record_day(database, DAY)
    assert [row[0] for row in await recorded(database)] == wanted


async def add_recorded(database: Database, client: int, days_ago: int, **values: Any) -> None:
    """Add a recorded day on which nothing happened but `values`."""
    row = dict.fromkeys(BUSY_DAY, 0) | {"client_id": client, "day": DAY - timedelta(days=days_ago)}
    await add_rows(database, "daily_metrics", [row | values])


async def test_a_metric_changes_against_the_recorded_day_before(database: Database) -> None:
    """In percent; null where that was zero or missing; a day that was not recorded is skipped."""
    client = await add_client(database, scored_day=DAY)
    # The day after the scoring day is not told; the oldest one stands before the window and is only compared with.
    for days_ago, logins in ((-1, 99), (0, 3), (1, 0), (3, 5), (4, 0), (5, 12), (8, 16), (9, 1)):
        await add_recorded(database, client, days_ago, logins=logins)
    assert await history(database, client, MetricType.LOGINS, 6) == [
        MetricPoint(date(2025, 3, 9), 12, -25),
        MetricPoint(date(2025, 3, 10), 0, -100),
        MetricPoint(date(2025, 3, 11), 5, None),
        MetricPoint(date(2025, 3, 13), 0, -100),
        MetricPoint(date(2025, 3, 14), 3, None),
    ]


async def test_the_first_recorded_day_has_no_change(database: Database) -> None:
    client, silent = await add_client(database, scored_day=DAY), await add_client(database, scored_day=DAY)
    await add_recorded(database, client, 0, logins=7)
    assert await history(database, client, MetricType.LOGINS, 30) == [MetricPoint(DAY, 7, None)]
    assert await history(database, silent, MetricType.LOGINS, 30) == []


async def test_a_rate_with_nothing_to_divide_by_is_null_and_so_are_the_changes_around_it(database: Database) -> None:
    client = await add_client(database, scored_day=DAY)
    for days_ago, rate in ((3, 40.0), (2, 50.0), (1, None), (0, 25.0)):
        await add_recorded(database, client, days_ago, campaign_completion_rate=rate)
    assert await history(database, client, MetricType.CAMPAIGN_COMPLETION_RATE, 3) == [
        MetricPoint(date(2025, 3, 12), 50, 25),
        MetricPoint(date(2025, 3, 13), None, None),
        MetricPoint(date(2025, 3, 14), 25, None),
    ]


@pytest.mark.parametrize("metric", MetricType)
async def test_every_metric_type_has_a_history(database: Database, metric: MetricType) -> None:
    client = await add_client(database, scored_day=DAY)
    await add_busy_day(database, client)
    await service.record_day(database, DAY)
    value = BUSY_DAY[metric.value.lower()]
    assert await history(database, client, metric, 1) == [MetricPoint(DAY, float(value), None)]
