"""Scoring while feeds are silent, on the database: which score is kept, how long, and what is stored of it."""

from dataclasses import fields
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from app.database import Database
from app.feeds.rules import FeedKind
from app.health.rules import Component, Counts, Policy, assess, end_of_day
from app.health.staleness import from_stored
from tests.alerts.helpers import alert_rows
from tests.factories import (
    add_campaign,
    add_case,
    add_client,
    add_client_feature,
    add_login,
    add_member,
    add_score,
    add_ticket,
    rows_of,
)
from tests.feeds.helpers import add_deliveries, go_silent
from tests.health.helpers import current, score, stored

SILENT = date(2025, 11, 10)
STALE = SILENT + timedelta(days=3)
LAST_KEPT = STALE + timedelta(days=6)
LAPSED = LAST_KEPT + timedelta(days=1)
COLUMNS = {
    FeedKind.LOGINS: "login_score",
    FeedKind.CASES: "case_score",
    FeedKind.CAMPAIGNS: "campaign_score",
    FeedKind.FEATURES: "feature_score",
    FeedKind.TICKETS: "ticket_score",
}


def kept(value: int | None, day: date = SILENT, *, lapsed: bool = False) -> dict[str, Any]:
    """Return what is stored of a kept component."""
    return {
        "score": value,
        "day": day.isoformat(),
        "silent_since": SILENT.isoformat(),
        "stale_since": STALE.isoformat(),
        "lapsed": lapsed,
    }


async def add_measured(database: Database, **values: Any) -> int:
    """Add a client whose components are 71, 50, 80, 50 and 60 on SILENT, all by facts of the day before."""
    client, at = await add_client(database, **values), end_of_day(SILENT) - timedelta(days=1)
    await add_login(database, client, at)
    await add_member(database, client)
    await add_case(database, client, closed_at=at)
    await add_case(database, client, closed_at=at, sla_due_at=at - timedelta(days=1))
    await add_campaign(database, client, assigned=10, completed=8, closed_at=at)
    await add_client_feature(database, client, first_used_at=at)
    await add_client_feature(database, client)
    for _ in range(3):
        await add_ticket(database, client, opened_at=at)
    return client


async def score_on(database: Database, client: int, *days: date) -> dict[str, Any]:
    """Score the client at the end of each of the days and return what is stored of the last."""
    for day in days:
        assert await score(database, client, as_of=end_of_day(day)) == {}
    return await stored(database, client, days[-1])


def parts(row: dict[str, Any]) -> tuple[Any, ...]:
    """Return the component scores, the coverage and the score of a row."""
    return (*(row[name] for name in COLUMNS.values()), row["coverage"], row["score"])


async def change_everything(database: Database, client: int) -> None:
    """Add facts of the day after SILENT that change every component: to 80 of 80, 33, 40, 33 and 20."""
    at = end_of_day(SILENT) + timedelta(hours=1)
    await add_member(database, client)
    await add_case(database, client, closed_at=at, sla_due_at=at - timedelta(days=1))
    await add_campaign(database, client, assigned=10, completed=0, closed_at=at)
    await add_client_feature(database, client)
    for _ in range(2):
        await add_ticket(database, client, opened_at=at)


@pytest.mark.parametrize("kind", FeedKind)
async def test_the_component_of_a_stale_feed_keeps_its_last_measured_score(database: Database, kind: FeedKind) -> None:
    client = await add_measured(database)
    await go_silent(database, kind, SILENT)
    measured = await score_on(database, client, SILENT)
    # (71 x 20 + 50 x 25 + 80 x 25 + 50 x 15 + 60 x 15) / 100 = 63.2
    assert (parts(measured), measured["stale"]) == ((71, 50, 80, 50, 60, 100, 63), None)
    await change_everything(database, client)
    # Two days of silence are none: everything is counted.
    counted = await score_on(database, client, STALE - timedelta(days=1))
    assert (parts(counted)[:5], counted["stale"]) == ((48, 33, 40, 33, 20), None)
    for day in (STALE, LAST_KEPT):
        found = await score_on(database, client, day)
        expected = dict(zip(COLUMNS, (48, 33, 40, 33, 20), strict=True)) | {kind: measured[COLUMNS[kind]]}
        assert parts(found)[:6] == (*expected.values(), 100)
        assert found["stale"] == {list(Component)[list(FeedKind).index(kind)]: kept(expected[kind])}
        row = await current(database, client)
        assert (row["stale"], row[COLUMNS[kind]]) == (found["stale"], expected[kind])
    # Each kept score is above the others' mean, so that the others fill its place.
    found = await score_on(database, client, LAPSED)
    weight = dict(zip(FeedKind, Policy().weights, strict=True))[kind]
    assert (found[COLUMNS[kind]], found["coverage"]) == (None, 100 - weight)
    assert found["stale"] == {list(Component)[list(FeedKind).index(kind)]: kept(measured[COLUMNS[kind]], lapsed=True)}
    # The feed delivers again, and everything is counted.
    await add_deliveries(database, kind, [LAPSED + timedelta(days=1)])
    found = await score_on(database, client, LAPSED + timedelta(days=1))
    assert (parts(found)[:6], found["stale"]) == ((48, 33, 40, 33, 20, 100), None)
    assert (await current(database, client))["stale"] is None


async def test_a_low_score_holds_the_overall_score_down_when_it_has_lapsed(database: Database) -> None:
    client = await add_measured(database)
    await go_silent(database, FeedKind.FEATURES, SILENT)
    before = await score_on(database, client, SILENT, STALE, LAST_KEPT)
    after = await score_on(database, client, LAPSED)
    # Without features the others make 65.5; with them it stays 63.
    assert parts(before) == (71, 50, 80, 50, 60, 100, 63)
    assert parts(after) == (71, 50, 80, 50, 60, 85, 63)
    assert after["stale"] == {"FEATURE_ADOPTION": kept(50, lapsed=True)}


async def test_under_half_of_the_weight_a_client_becomes_unscored_when_feeds_lapse(database: Database) -> None:
    client = await add_measured(database)
    for kind in (FeedKind.LOGINS, FeedKind.CASES, FeedKind.CAMPAIGNS):
        await go_silent(database, kind, SILENT)
    assert parts(await score_on(database, client, SILENT, LAST_KEPT)) == (71, 50, 80, 50, 60, 100, 63)
    found = await score_on(database, client, LAPSED)
    assert parts(found) == (None, None, None, 50, 60, 30, None)
    assert (found["light"], found["risk"], found["trend"]) == (None, None, None)
    row = await current(database, client)
    assert (row["score"], row["light"], row["coverage"]) == (None, None, 30)


async def test_kept_is_the_first_score_that_saw_everything_delivered(database: Database) -> None:
    """At two in the morning nothing of the day has come yet; what came during the last day counts."""
    client = await add_measured(database)
    await go_silent(database, FeedKind.TICKETS, SILENT)

    async def at_two(day: date) -> dict[str, Any]:
        await score(database, client, as_of=datetime.combine(day, time(2), UTC))
        return await stored(database, client, day)

    assert (await at_two(SILENT))["ticket_score"] == 60
    for _ in range(2):
        await add_ticket(database, client, opened_at=datetime.combine(SILENT, time(11), UTC))
    assert (await at_two(SILENT + timedelta(days=1)))["ticket_score"] == 20
    await at_two(SILENT + timedelta(days=2))
    found = await at_two(STALE)
    assert (found["ticket_score"], found["stale"]) == (20, {"TICKET_VOLUME": kept(20, SILENT + timedelta(days=1))})


async def test_kept_is_the_latest_score_before_where_none_saw_everything(database: Database) -> None:
    client = await add_measured(database)
    await go_silent(database, FeedKind.LOGINS, SILENT)
    for back, value in ((9, 10), (4, 20)):
        await add_score(database, client, SILENT - timedelta(days=back), None, login_score=value)
    found = await score_on(database, client, STALE)
    assert (found["login_score"], found["stale"]) == (20, {"LOGIN": kept(20, SILENT - timedelta(days=4))})


async def test_what_was_kept_itself_is_not_kept_again(database: Database) -> None:
    client = await add_measured(database)
    await go_silent(database, FeedKind.LOGINS, SILENT)
    old = kept(None, SILENT - timedelta(days=30), lapsed=True)
    await add_score(database, client, SILENT - timedelta(days=3), None, login_score=44, stale={"CASE_RESOLUTION": old})
    await add_score(database, client, SILENT, None, login_score=None, stale={"LOGIN": old})
    found = await score_on(database, client, STALE)
    assert (found["login_score"], found["stale"]) == (44, {"LOGIN": kept(44, SILENT - timedelta(days=3))})


async def test_without_a_measured_score_a_component_is_counted_as_usual(database: Database) -> None:
    """A client that is new, and one whose tickets nobody had tracked."""
    new, untracked = await add_measured(database), await add_measured(database)
    for kind in FeedKind:
        await go_silent(database, kind, SILENT)
    await add_score(database, untracked, SILENT, None, ticket_score=100, tickets_tracked=False, login_score=None)
    found = await score_on(database, new, STALE, STALE + timedelta(days=1))
    assert (parts(found), found["stale"]) == ((71, 50, 80, 50, 60, 100, 63), None)
    found = await score_on(database, untracked, STALE)
    # What had nothing to divide by keeps that; all five would leave no score at all.
    assert (parts(found), found["tickets_tracked"]) == ((None, None, None, None, 60, 15, None), True)
    empty = {component: kept(None) for component in list(Component)[:4]}
    assert found["stale"] == empty


async def test_untracked_tickets_stay_what_they_are(database: Database) -> None:
    client = await add_client(database)
    await go_silent(database, FeedKind.TICKETS, SILENT)
    for day in (SILENT, STALE, LAPSED):
        found = await score_on(database, client, day)
        assert (found["ticket_score"], found["tickets_tracked"], found["stale"]) == (100, False, None)


async def test_a_past_day_is_scored_as_its_feeds_stood_then(database: Database) -> None:
    client = await add_measured(database)
    await go_silent(database, FeedKind.LOGINS, SILENT)
    await score_on(database, client, SILENT, STALE)
    await add_deliveries(database, FeedKind.LOGINS, [STALE + timedelta(days=5)])
    later = await score_on(database, client, STALE + timedelta(days=6))
    assert later["stale"] is None
    await add_login(database, client, end_of_day(STALE))
    again = await score_on(database, client, STALE)
    assert (again["login_score"], again["stale"]) == (71, {"LOGIN": kept(71)})
    assert (await current(database, client))["stale"] is None


async def test_every_stored_score_can_be_recomputed_from_its_row(database: Database) -> None:
    client = await add_measured(database)
    for number, kind in enumerate((FeedKind.FEATURES, FeedKind.CAMPAIGNS, FeedKind.TICKETS)):
        await go_silent(database, kind, SILENT + timedelta(days=number))
    days = [SILENT + timedelta(days=number) for number in range(20)]
    await score_on(database, client, *days)
    seen = set()
    for day in days:
        row = await stored(database, client, day)
        counts = Counts(**{field.name: row[field.name] for field in fields(Counts)})
        stale = from_stored(row["stale"])
        found = assess(counts, row["previous_score"], Policy(), stale)
        assert (*found.components, found.coverage, found.score) == parts(row)
        assert (found.light, found.trend, found.risk) == (row["light"], row["trend"], row["risk"])
        seen.add(tuple(last.lapsed for last in (stale or {}).values()))
    assert seen >= {(), (False,), (False, False), (False, False, False), (True, True, True)}


async def test_alerts_are_raised_and_explained_while_a_component_is_stale(database: Database) -> None:
    client = await add_measured(database, alerts_enabled=True)
    await go_silent(database, FeedKind.LOGINS, SILENT)
    await score_on(database, client, SILENT, STALE)
    at = end_of_day(STALE) + timedelta(hours=1)
    for _ in range(8):
        await add_case(database, client, closed_at=at, sla_due_at=at - timedelta(days=1))
    await score_on(database, client, STALE + timedelta(days=1))
    # Cases fall from 50 to 10: 63.2 becomes 53.2.
    (alert,) = await alert_rows(database)
    assert (alert.score_before, alert.score_after) == (63, 53)
    causes = "SELECT component, points_after - points_before, explanation FROM alert_causes ORDER BY 2"
    assert await rows_of(database, causes) == [
        (
            "CASE_RESOLUTION",
            -10,
            "1 of 10 cases closed in the last 30 days was closed on time. "
            "Before: 1 of 2 cases closed in the last 30 days was closed on time.",
        )
    ]


async def test_the_causes_say_that_a_component_has_lapsed(database: Database) -> None:
    client = await add_measured(database, alerts_enabled=True)
    await go_silent(database, FeedKind.CAMPAIGNS, SILENT)
    await score_on(database, client, SILENT, STALE, LAST_KEPT)
    found = await score_on(database, client, LAPSED)
    # Without campaigns at 80 the others make 57.6 of 75.
    assert parts(found) == (71, 50, None, 50, 60, 75, 58)
    causes = "SELECT component, points_before, points_after, explanation FROM alert_causes ORDER BY points_after"
    rows = await rows_of(database, causes)
    assert sum(after - before for _, before, after, _ in rows) == -5
    silent = "The campaigns feed has been silent since 10 November, so "
    assert (rows[0][0], rows[0][2], rows[0][3]) == (
        "CAMPAIGN_COMPLETION",
        0,
        f"{silent}campaign completion is no longer measured. Before: {silent}this is the score of 10 November.",
    )


async def statements_of(database: Database, client: int, day: date) -> int:
    """Return how many statements a batch sends."""
    sent: list[str] = []

    def note(_1: Any, _2: Any, statement: str, *_: Any) -> None:
        sent.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        await score(database, client, as_of=end_of_day(day))
    finally:
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    return len(sent)


async def test_kept_scores_cost_one_statement_a_batch_and_only_while_something_is_stale(database: Database) -> None:
    client = await add_measured(database)
    fresh = await statements_of(database, client, SILENT)
    for kind in FeedKind:
        await go_silent(database, kind, SILENT)
    assert await statements_of(database, client, SILENT + timedelta(days=1)) == fresh
    assert await statements_of(database, client, STALE) == fresh + 1
