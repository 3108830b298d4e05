"""Scoring on the database: what is stored, and what stays as it was."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.database import Database
from app.health import service
from tests.factories import (
    add_campaign,
    add_case,
    add_client,
    add_client_feature,
    add_login,
    add_member,
    add_rows,
    add_ticket,
    rows_of,
    utc,
)
from tests.health.helpers import AS_OF, CALCULATED, DAY, INSTANT, RECENTLY, START, current, score, stored


async def add_scorable(database: Database, *, on_time: int, late: int, completed: int = 0, **values: Any) -> int:
    """Add a client that closed cases and a campaign of 10 in the window: half of the weight is measured."""
    client = await add_client(database, **values)
    for number in range(on_time + late):
        due = RECENTLY if number < on_time else RECENTLY - INSTANT
        await add_case(database, client, closed_at=RECENTLY, sla_due_at=due)
    await add_campaign(database, client, closed_at=RECENTLY, assigned=10, completed=completed)
    return client


async def test_the_trend_is_against_the_latest_earlier_day_with_a_score(database: Database) -> None:
    """The unscored day in between is skipped, and a later day is not earlier."""
    client = await add_client(database)
    first, silent, last = utc("2025-01-01T12:00"), utc("2025-02-15T12:00"), utc("2025-03-14T12:00")
    for moment, completed in ((first, 9), (last, 5)):
        await add_case(database, client, closed_at=moment)
        await add_campaign(database, client, closed_at=moment, assigned=10, completed=completed)
    for moment in (first, last, silent):
        await score(database, client, as_of=moment)
    # (100 x 25 + 90 x 25 + 100 x 15) / 65 = 96.15..., and with 50 % of the campaign 80.769...
    assert (await stored(database, client, first.date()))["score"] == 96
    assert (await stored(database, client, silent.date()))["score"] is None
    assert (await stored(database, client, silent.date()))["previous_score"] == 96
    await score(database, client, as_of=last)
    found = await stored(database, client, last.date())
    assert (found["score"], found["previous_score"], found["trend"], found["risk"]) == (81, 96, "DECLINING", "MEDIUM")
    assert (await current(database, client))["trend_delta"] == -15


async def test_recalculating_replaces_that_day_and_changes_nothing_but_calculated_at(database: Database) -> None:
    """A double click, a retry after a crash and a message delivered twice are harmless."""
    client = await add_scorable(database, on_time=1, late=1, completed=8)
    yesterday = AS_OF - timedelta(days=1)
    await score(database, client, as_of=yesterday)
    await score(database, client)
    before, row, earlier = (
        await stored(database, client),
        await current(database, client),
        await stored(database, client, yesterday.date()),
    )
    later = CALCULATED + timedelta(hours=1)
    await score(database, client, calculated_at=later)
    assert await stored(database, client) == before | {"calculated_at": later}
    assert await current(database, client) == row | {"calculated_at": later}
    assert await stored(database, client, yesterday.date()) == earlier
    assert await rows_of(database, "SELECT count(*) FROM health_scores") == [(2,)]


async def test_recalculating_a_past_day_leaves_the_present_and_the_other_days_alone(database: Database) -> None:
    client = await add_scorable(database, on_time=1, late=1, completed=8)
    past = AS_OF - timedelta(days=2)
    for days in (4, 2, 0):
        await score(database, client, as_of=AS_OF - timedelta(days=days))
    row = await current(database, client)
    others = [await stored(database, client, (AS_OF - timedelta(days=days)).date()) for days in (4, 0)]
    # What came in since: the past day's score must change, and be the only one that does.
    await add_case(database, client, closed_at=RECENTLY, sla_due_at=START)
    await score(database, client, as_of=past, calculated_at=CALCULATED + timedelta(days=1))
    assert (await stored(database, client, past.date()))["cases_closed"] == 3
    assert await current(database, client) == row
    assert [await stored(database, client, (AS_OF - timedelta(days=days)).date()) for days in (4, 0)] == others


async def test_a_score_keeps_what_it_was_computed_from(database: Database) -> None:
    client = await add_scorable(database, on_time=3, late=1, completed=8)
    for number in range(4):
        await add_client_feature(database, client, first_used_at=RECENTLY if number else None)
        await add_ticket(database, client, opened_at=RECENTLY)
    for _ in range(3):
        await add_ticket(database, client, opened_at=START - INSTANT)
    await add_login(database, client, RECENTLY)
    await add_member(database, client)
    await score(database, client)
    # Logins 71 (1 of 2), cases 75, campaigns 80, features 75, tickets 40 (4 against 2): 7020 / 100 = 70.2.
    verdict: dict[str, Any] = {
        "policy_version": 1,
        "score": 70,
        "coverage": 100,
        "light": "AMBER",
        "trend": "STABLE",
        "risk": "LOW",
        "login_score": 71,
        "case_score": 75,
        "campaign_score": 80,
        "feature_score": 75,
        "ticket_score": 40,
        "tickets_tracked": True,
        "calculated_at": CALCULATED,
    }
    assert await stored(database, client) == verdict | {
        "client_id": client,
        "day": DAY,
        "as_of": AS_OF,
        "previous_score": None,
        "members": 2,
        "active_members": 1,
        "cases_closed": 4,
        "cases_on_time": 3,
        "campaigns_completed": [8],
        "campaigns_assigned": [10],
        "features_enabled": 4,
        "features_used": 3,
        "tickets_opened": 4,
        "tickets_before": 3,
        "stale": None,
    }
    found = await current(database, client)
    expected = verdict | {"scored_day": DAY, "trend_delta": 0, "last_activity_at": RECENTLY}
    assert {name: found[name] for name in expected} == expected


async def test_the_benchmark_metrics_stand_beside_the_score(database: Database) -> None:
    client = await add_client(database)
    week = utc("2025-03-08")
    for moment in (week - INSTANT, week, AS_OF):
        await add_login(database, client, moment)
    for kind, completed in (("ATTESTATION", 1), ("ATTESTATION", 2), ("OTHER", 4)):
        await add_campaign(database, client, kind=kind, assigned=4, completed=completed, closed_at=RECENTLY)
    await add_case(database, client, opened_at=RECENTLY - timedelta(days=3), closed_at=RECENTLY)
    await add_case(database, client, opened_at=RECENTLY - timedelta(hours=12), closed_at=RECENTLY)
    # A case of unknown opening has no length, and counts for no mean.
    await add_case(database, client, closed_at=RECENTLY)
    for number in range(8):
        await add_client_feature(database, client, first_used_at=RECENTLY if number else None)
    await score(database, client)
    found = await current(database, client)
    assert (found["attestation_completion"], found["case_resolution_days"]) == (37.5, 1.75)
    assert (found["weekly_login_rate"], found["feature_adoption"]) == (200 / 3, 87.5)


async def test_a_silent_client_has_no_benchmark_metric(database: Database) -> None:
    client = await add_client(database)
    await add_campaign(database, client, assigned=1, completed=1, closed_at=RECENTLY)
    await score(database, client)
    found = await current(database, client)
    metrics = ("attestation_completion", "case_resolution_days", "weekly_login_rate", "feature_adoption")
    assert [found[name] for name in metrics] == [None] * 4


async def test_contradictory_facts_fail_their_client_only_and_keep_its_earlier_score(database: Database) -> None:
    before, wrong, behind = [await add_scorable(database, on_time=1, late=0, completed=5) for _ in range(3)]
    await score(database, before, wrong, behind)
    scores = [await stored(database, client) for client in (before, wrong, behind)]
    row = await current(database, wrong)
    # The database refuses such a campaign, so that it could only come from before its check.
    found = await rows_of(database, "SELECT conname FROM pg_constraint WHERE conname LIKE '%completed_within_assigned'")
    async with database.begin() as session:
        await session.execute(text(f"ALTER TABLE campaigns DROP CONSTRAINT {found[0][0]}"))
    await add_campaign(database, wrong, assigned=3, completed=4, closed_at=RECENTLY)
    later = CALCULATED + timedelta(hours=1)
    assert await score(database, before, wrong, behind, calculated_at=later) == {
        wrong: "The facts contradict themselves: 4 of 3 is more than all."
    }
    assert [await stored(database, client) for client in (before, wrong, behind)] == [
        scores[0] | {"calculated_at": later},
        scores[1],
        scores[2] | {"calculated_at": later},
    ]
    assert await current(database, wrong) == row
    with pytest.raises(ValueError, match=f"{wrong}: 'The facts contradict themselves: 4 of 3 is more than all.'"):
        await service.score_day(database, AS_OF, later)


async def test_nobody_to_score_is_no_error(database: Database) -> None:
    assert await score(database) == {}
    await service.score_day(database, AS_OF, CALCULATED)
    assert await rows_of(database, "SELECT count(*) FROM health_scores") == [(0,)]


async def test_a_new_policy_is_used_for_new_scores_and_old_scores_keep_theirs(database: Database) -> None:
    client = await add_scorable(database, on_time=1, late=1, completed=8)
    await score(database, client, as_of=AS_OF - timedelta(days=1))
    async with database.read() as connection:
        first = dict((await connection.execute(text("SELECT * FROM health_policies"))).one()._mapping)
    await add_rows(database, "health_policies", [first | {"version": 2, "case_weight": 50, "ticket_weight": 0}])
    await score(database, client)
    # (50 x 25 + 80 x 25 + 100 x 15) / 65 = 73.07..., and (50 x 50 + 80 x 25) / 75 = 60.
    found = [await stored(database, client, day) for day in (DAY - timedelta(days=1), DAY)]
    assert [(row["policy_version"], row["score"], row["trend"]) for row in found] == [
        (1, 73, "STABLE"),
        (2, 60, "DECLINING"),
    ]
    assert (await current(database, client))["policy_version"] == 2
