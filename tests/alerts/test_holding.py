"""The storm guard: when the alerts of a recalculation are held, what releases them, and what discards them."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from app.alerts import holding
from app.alerts import service as alerts
from app.alerts.rules import Thresholds
from app.database import Database
from app.errors import Conflict, NotFound
from app.health import requests
from app.health import service as health
from app.health.rules import end_of_day
from app.runs import sweeping
from app.runs.execution import execute
from app.settings import Settings
from tests.alerts.helpers import alert_rows
from tests.alerts.storms import YESTERDAY, accept, add_portfolio, fates, recalculate, set_scores, told_operators
from tests.delivery.helpers import add_channel
from tests.factories import add_score, rows_of

NOW = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
Decide = Callable[..., Awaitable[int]]


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Settings for batches of five clients without a pause, and for storms from three clients on."""
    return settings.model_copy(
        update={"recalculation_batch_size": 5, "recalculation_pause_ms": 0, "alert_storm_minimum": 3}
    )


async def decide(database: Database, decision: Decide, run_id: int | None = None) -> int:
    async with database.begin() as session:
        return await decision(session, run_id, actor="root@example.com", now=NOW, request_id="r-9")


async def audited(database: Database) -> list[tuple[object, ...]]:
    statement = "SELECT action, actor, run_id, changes FROM audit_events WHERE action LIKE 'HELD%' ORDER BY id"
    return await rows_of(database, statement)


@pytest.mark.parametrize(
    ("clients", "falling", "thresholds", "held"),
    [
        (50, 10, {}, False),
        (50, 11, {}, True),
        (10, 9, {}, False),
        (10, 10, {}, True),
        (20, 4, {"alert_storm_minimum": 1}, False),
        (20, 5, {"alert_storm_minimum": 1}, True),
        (20, 5, {"alert_storm_minimum": 1, "alert_storm_share": 25}, False),
        (20, 1, {"alert_storm_minimum": 1, "alert_storm_share": 0}, True),
    ],
)
async def test_more_than_a_share_of_the_clients_and_at_least_a_number_are_held(
    database: Database, settings: Settings, clients: int, falling: int, thresholds: dict[str, int], *, held: bool
) -> None:
    await add_portfolio(database, clients, falling)
    chosen = settings.model_copy(
        update={"recalculation_batch_size": 7, "recalculation_pause_ms": 0, "alert_storm_minimum": 10} | thresholds
    )
    run_id = await recalculate(database, chosen)
    assert await fates(database) == [(held, "OPEN", "HELD" if held else "PENDING", falling)]
    expected = [(run_id, "PENDING", {"alerts": falling, "clients": clients})] if held else []
    assert await told_operators(database) == expected


@pytest.mark.parametrize(
    ("others", "told"),
    [
        # A channel that takes all is enough.
        ([{"name": "all"}, {"name": "plg", "engagement_models": ["PLG"]}], ["all", "ops"]),
        # Without an enabled one the others are told, and the disabled one when it is enabled again.
        (
            [
                {"name": "plg", "engagement_models": ["PLG"]},
                {"name": "high", "risks": ["HIGH"]},
                {"name": "owners", "to_owner": True},
                {"name": "gone", "risks": ["HIGH"], "configured": False},
                {"name": "down", "risks": ["HIGH"], "disabled_at": NOW},
            ],
            ["high", "ops", "plg"],
        ),
        ([{"name": "owners", "to_owner": True}], ["ops"]),
    ],
)
async def test_a_storm_is_told_to_somebody(
    database: Database, small: Settings, others: list[dict[str, Any]], told: list[str]
) -> None:
    await add_portfolio(database, 20, 6)
    for channel in others:
        await add_channel(database, **channel)
    if not any(channel["name"] == "all" for channel in others):
        async with database.begin() as session:
            await session.execute(text("UPDATE channels SET disabled_at = :now WHERE name = 'ops'"), {"now": NOW})
    with capture_logs() as logs:
        run_id = await recalculate(database, small)
    found = await rows_of(database, "SELECT channel FROM deliveries WHERE kind = 'HELD' ORDER BY channel")
    assert found == [(name,) for name in told]
    errors = [entry for entry in logs if entry["log_level"] == "error"]
    untold = {"event": "held_alerts_untold", "log_level": "error", "run_id": run_id, "alerts": 6, "clients_scored": 20}
    assert errors == ([untold] if told == ["ops"] else [])


async def test_a_share_is_one_of_the_clients_that_have_a_score(database: Database, small: Settings) -> None:
    """Four of 20 would be no storm; four of 19 are."""
    ids = await add_portfolio(database, 20, 4)
    async with database.begin() as session:
        await session.execute(text("DELETE FROM campaigns WHERE client_id = :id"), {"id": ids[-1]})
    await recalculate(database, small)
    assert await fates(database) == [(True, "OPEN", "HELD", 4)]


async def test_alerts_are_raised_at_once_and_leave_when_the_run_is_over(database: Database, small: Settings) -> None:
    await add_portfolio(database, 20, 4)
    run_id = await accept(database)

    def stop(done: int, _failed: int, _total: int) -> None:
        if done == 10:
            raise RuntimeError("stopped in the middle")

    with pytest.raises(RuntimeError, match="stopped in the middle"):
        await execute(database, run_id, small, stop)
    assert await fates(database) == [(True, "OPEN", "HELD", 4)]
    # Nobody can decide about a run that is not over.
    assert await decide(database, holding.release_held) == 0
    assert await decide(database, holding.discard_held, run_id) == 0
    assert await fates(database) == [(True, "OPEN", "HELD", 4)]
    assert await execute(database, run_id, small)
    assert await fates(database) == [(False, "OPEN", "PENDING", 4)]
    assert await told_operators(database) == []
    assert await audited(database) == []


@pytest.mark.parametrize(("falling", "fate"), [(4, (False, "OPEN", "PENDING", 4)), (5, (True, "OPEN", "HELD", 5))])
async def test_the_alerts_of_a_run_that_failed_for_good_are_judged_as_well(
    database: Database, small: Settings, falling: int, fate: tuple[object, ...]
) -> None:
    await add_portfolio(database, 20, falling)
    run_id = await accept(database)

    def stop(done: int, _failed: int, _total: int) -> None:
        if done == 20:
            raise RuntimeError("never")

    with pytest.raises(RuntimeError, match="never"):
        await execute(database, run_id, small, stop)
    async with database.begin() as session:
        await session.execute(text("UPDATE runs SET fruitless_attempts = 3"))
    async with database.begin() as session:
        thresholds = Thresholds(storm_minimum=3)
        assert await sweeping.give_up(session, max_attempts=3, thresholds=thresholds) == [run_id]
    assert await fates(database) == [fate]
    assert len(await told_operators(database)) == (1 if fate[0] else 0)


async def test_a_share_is_one_of_the_clients_that_this_run_scored(database: Database, small: Settings) -> None:
    """Three of 20 would be no storm; a run that is given up after ten clients knows of ten."""
    ids = await add_portfolio(database, 20, 0)
    await recalculate(database, small)
    await set_scores(database, dict.fromkeys(ids[:3], 50))
    run_id = await accept(database)

    def stop(done: int, _failed: int, _total: int) -> None:
        if done == 10:
            raise RuntimeError("never")

    with pytest.raises(RuntimeError, match="never"):
        await execute(database, run_id, small, stop)
    async with database.begin() as session:
        await session.execute(text("UPDATE runs SET fruitless_attempts = 3 WHERE id = :id"), {"id": run_id})
    async with database.begin() as session:
        thresholds = Thresholds(storm_minimum=3)
        assert await sweeping.give_up(session, max_attempts=3, thresholds=thresholds) == [run_id]
    assert await fates(database) == [(True, "OPEN", "HELD", 3)]
    assert await told_operators(database) == [(run_id, "PENDING", {"alerts": 3, "clients": 10})]


async def test_one_client_alone_is_never_held(database: Database, small: Settings) -> None:
    (client,) = await add_portfolio(database, 1, 1)
    async with database.begin() as session:
        run_id = await requests.recalculate_one(session, client, requested_by="anna", now=NOW, day=YESTERDAY)
    assert await execute(database, run_id, small.model_copy(update={"alert_storm_minimum": 1}))
    assert await fates(database) == [(False, "OPEN", "PENDING", 1)]


async def test_released_alerts_leave_once_and_who_released_them_is_on_record(
    database: Database, small: Settings
) -> None:
    await add_portfolio(database, 20, 6)
    run_id = await recalculate(database, small)
    raised = {row.id: row.created_at for row in await alert_rows(database)}
    assert await decide(database, holding.release_held, run_id) == 6
    assert await fates(database) == [(False, "OPEN", "PENDING", 6)]
    # Subscribers are told of what was written or released since they looked last.
    assert all(row.created_at > raised[row.id] for row in await alert_rows(database))
    assert await audited(database) == [("HELD_ALERTS_RELEASED", "root@example.com", run_id, {"held": [6, 0]})]
    before = await rows_of(database, "SELECT xmin::text, a::text FROM alerts AS a ORDER BY id")
    for decision in (holding.release_held, holding.discard_held):
        assert await decide(database, decision, run_id) == 0
        assert await decide(database, decision) == 0
    assert await rows_of(database, "SELECT xmin::text, a::text FROM alerts AS a ORDER BY id") == before
    assert len(await audited(database)) == 1


async def test_discarded_alerts_are_resolved_and_sent_to_nobody(database: Database, small: Settings) -> None:
    await add_portfolio(database, 20, 6)
    run_id = await recalculate(database, small)
    assert await decide(database, holding.discard_held) == 6
    assert await fates(database) == [(False, "RESOLVED", "DISCARDED", 6)]
    rows = await alert_rows(database)
    assert {(row.discarded_at, row.resolved_at) for row in rows} == {(NOW, NOW)}
    assert await audited(database) == [("HELD_ALERTS_DISCARDED", "root@example.com", run_id, {"held": [6, 0]})]
    assert await decide(database, holding.release_held, run_id) == 0
    async with database.begin() as session:
        with pytest.raises(Conflict, match="discarded"):
            await alerts.acknowledge(session, rows[0].id, note=None, actor="anna", now=NOW, request_id=None)


async def test_a_discarded_alert_keeps_no_real_one_away(database: Database, small: Settings) -> None:
    ids = await add_portfolio(database, 20, 6)
    await recalculate(database, small)
    await decide(database, holding.discard_held)
    # The feed is repaired, and one client has really fallen, if by less than the broken feed had said.
    await set_scores(database, dict.fromkeys(ids, 90) | {ids[0]: 70})
    await recalculate(database, small)
    assert await fates(database) == [(False, "OPEN", "PENDING", 1), (False, "RESOLVED", "DISCARDED", 6)]


async def test_an_undecided_alert_keeps_no_real_one_away_but_itself(database: Database, small: Settings) -> None:
    ids = await add_portfolio(database, 20, 6)
    await recalculate(database, small)
    await recalculate(database, small)
    assert await fates(database) == [(True, "OPEN", "HELD", 6)]
    # The feed is repaired before anybody has decided, and one client has really fallen.
    await set_scores(database, dict.fromkeys(ids, 90) | {ids[0]: 70})
    await recalculate(database, small)
    assert await fates(database) == [
        (False, "OPEN", "PENDING", 1),
        (True, "OPEN", "HELD", 1),
        (True, "RESOLVED", "HELD", 5),
    ]
    assert [row.score_after for row in await alert_rows(database) if not row.held] == [70]


async def test_what_is_green_again_is_released_to_nobody(database: Database, small: Settings) -> None:
    ids = await add_portfolio(database, 20, 6)
    run_id = await recalculate(database, small)
    await set_scores(database, dict.fromkeys(ids[:2], 90))
    moment = end_of_day(YESTERDAY)
    await health.score_day(database, moment, moment + timedelta(hours=5))
    assert await decide(database, holding.release_held, run_id) == 6
    assert await fates(database) == [(False, "OPEN", "PENDING", 4), (False, "RESOLVED", "DISCARDED", 2)]
    reasons = await rows_of(database, "SELECT DISTINCT reason FROM deliveries WHERE status = 'DISCARDED'")
    assert reasons == [("The light was green again before the alert was released.",)]


async def test_who_was_snoozed_or_switched_off_since_is_released_to_nobody(database: Database, small: Settings) -> None:
    ids = await add_portfolio(database, 20, 6)
    run_id = await recalculate(database, small)
    changes = [
        "alerts_enabled = false",
        "alerts_snoozed_until = clock_timestamp() + interval '1 hour'",
        "status = 'CHURNED'",
        "alerts_snoozed_until = clock_timestamp() - interval '1 second'",
    ]
    async with database.begin() as session:
        for client, change in zip(ids, changes, strict=False):
            await session.execute(text(f"UPDATE clients SET {change} WHERE id = :id"), {"id": client})
    assert await decide(database, holding.release_held, run_id) == 6
    assert await fates(database) == [(False, "OPEN", "DISCARDED", 3), (False, "OPEN", "PENDING", 3)]
    statement = (
        "SELECT a.client_id, d.reason FROM deliveries AS d JOIN alerts AS a ON a.id = d.alert_id "
        "WHERE d.status = 'DISCARDED' ORDER BY 1"
    )
    reason = "Alerts were off or snoozed when the alert was released."
    assert await rows_of(database, statement) == [(client, reason) for client in ids[:3]]


async def test_of_two_decisions_at_once_one_is_made(database: Database, small: Settings) -> None:
    await add_portfolio(database, 20, 6)
    await recalculate(database, small)
    made = await asyncio.gather(decide(database, holding.release_held), decide(database, holding.discard_held))
    assert sorted(made) == [0, 6]
    released = made[0] == 6
    assert await fates(database) == [(False, "OPEN", "PENDING", 6) if released else (False, "RESOLVED", "DISCARDED", 6)]
    assert len(await audited(database)) == 1


async def test_a_decision_is_about_one_run_or_all(database: Database, small: Settings) -> None:
    ids = await add_portfolio(database, 20, 6)
    first = await recalculate(database, small)
    await set_scores(database, dict.fromkeys(ids, 30))
    second = await recalculate(database, small)
    assert second != first
    assert await fates(database) == [(True, "OPEN", "HELD", 26)]
    assert await decide(database, holding.discard_held, first) == 6
    assert await fates(database) == [(False, "RESOLVED", "DISCARDED", 6), (True, "OPEN", "HELD", 20)]
    assert await decide(database, holding.release_held) == 20
    assert [event[2] for event in await audited(database)] == [first, second]


async def test_an_unknown_run_is_not_found_and_nothing_is_decided(database: Database, small: Settings) -> None:
    await add_portfolio(database, 20, 6)
    run_id = await recalculate(database, small)
    for decision in (holding.release_held, holding.discard_held):
        with pytest.raises(NotFound, match="run"):
            await decide(database, decision, run_id + 1)
    assert await fates(database) == [(True, "OPEN", "HELD", 6)]
    assert await audited(database) == []


async def test_an_old_day_is_judged_without_a_storm(database: Database, small: Settings) -> None:
    """Clients that are scored for a later day already raise nothing, whatever the old day was like."""
    ids = await add_portfolio(database, 20, 20)
    for client in ids:
        await add_score(database, client, YESTERDAY + timedelta(days=1), 90)
    async with database.begin() as session:
        await session.execute(text("UPDATE clients SET scored_day = :day"), {"day": YESTERDAY + timedelta(days=1)})
    await recalculate(database, small)
    assert await fates(database) == []
