"""Replays: the rules against what real calculations raised, the run's counts, its storms, and that nothing happens."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from app.alerts import replay
from app.alerts.rules import Standing, Thresholds
from app.alerts.rules import replay as replay_rule
from app.database import Database
from app.errors import InvalidInput, NotFound
from app.health.rules import HealthTrend, Policy, light_of, risk_of, trend_of
from app.health.service import score_day
from app.runs.execution import execute
from app.settings import Settings
from tests.factories import add_client, add_score, rows_of
from tests.oracle import alerts as oracle
from tests.oracle.alerts import Account
from tests.oracle.spec import Assessment, end_of
from tests.oracle.test_alerts_against_oracle import load, scoring_days, swinging
from tests.oracle.worlds import make_world

NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
TODAY = NOW.date()
POLICY = Policy()
DEFAULTS = Thresholds()


def days_of(*scores: int | None) -> list[tuple[date, Standing]]:
    """Return scored days side by side, the light and the risk as the policy says; None is a day without a score."""
    found: list[tuple[date, Standing]] = []
    for number, score in enumerate(scores):
        if score is not None:
            trend = trend_of(score - found[-1][1].score, POLICY) if found else HealthTrend.STABLE
            standing = Standing(score, light_of(score, POLICY), risk_of(score, trend, POLICY))
            found.append((date(2026, 3, 1) + timedelta(days=number), standing))
    return found


def raised(*scores: int | None, thresholds: Thresholds = DEFAULTS) -> list[int]:
    """Return the days of the month on which alerts are raised; the first score is the 1st's."""
    return [day.day for day in replay_rule(days_of(*scores), thresholds)]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([], []),
        ([30], []),
        ([90, 84], [2]),
        ([90, 85], []),
        ([90, 70, 65], [2]),
        ([90, 70, 64], [2, 3]),
        ([90, None, None, 70], [4]),
        ([90, 70, 80, 79], [2, 4]),
        ([96, 90, 84], [2, 3]),
        ([90, 70, 78, 65, 60, 55], [2, 6]),
    ],
)
def test_a_row_of_scores_raises_what_it_would_have(scores: list[int | None], expected: list[int]) -> None:
    assert raised(*scores) == expected


@pytest.mark.parametrize(
    ("thresholds", "expected"),
    [
        (Thresholds(), [2, 3, 4, 5]),
        (Thresholds(drop_points=6), [3, 5]),
        (Thresholds(drop_points=100), [5]),
        (Thresholds(again_points=6), [2, 3, 5]),
        (Thresholds(again_points=100), [2]),
    ],
)
def test_the_thresholds_decide(thresholds: Thresholds, expected: list[int]) -> None:
    # The light gets worse on the fifth day, whatever the drop.
    assert raised(79, 73, 66, 60, 54, thresholds=thresholds) == expected


@given(st.lists(st.none() | st.integers(0, 100), max_size=40))
def test_it_is_the_slow_oracle_day_by_day(scores: list[int | None]) -> None:
    account = Account(watched=True, snoozed_until=None, history={}, alerts=[])
    standings = dict(days_of(*scores))
    for number in range(len(scores)):
        day = date(2026, 3, 1) + timedelta(days=number)
        found = standings.get(day)
        parts = (found.score, str(found.light), str(found.risk)) if found else (None, None, None)
        new = Assessment(day, (), 100, parts[0], parts[1], None, None, parts[2])
        oracle.follow(account, new, as_of=end_of(day), calculated_at=end_of(day))
    assert replay_rule(standings.items(), DEFAULTS) == [alert.day for alert in account.alerts]


@pytest.fixture
def small(settings: Settings) -> Settings:
    """Settings for batches of seven clients without a pause."""
    return settings.model_copy(update={"recalculation_batch_size": 7, "recalculation_pause_ms": 0})


async def accept(database: Database, days: int = 90, thresholds: Thresholds = DEFAULTS, now: datetime = NOW) -> int:
    async with database.begin() as session:
        return await replay.request(session, days=days, thresholds=thresholds, requested_by="root", now=now)


async def replayed(database: Database, run_id: int) -> replay.Replay:
    async with database.read() as connection:
        return await replay.report(connection, run_id)


async def counted(database: Database) -> list[tuple[Any, ...]]:
    return await rows_of(database, "SELECT client_id, alerts FROM alert_replay_clients ORDER BY client_id")


async def add_history(database: Database, scores: list[int | None], last: date = TODAY, **values: Any) -> int:
    """Add a client with alerts on, and the scores of the days that end with `last`."""
    client = await add_client(database, **({"alerts_enabled": True} | values))
    stored = dict(days_of(*scores))
    for number, score in enumerate(scores):
        standing = stored.get(date(2026, 3, 1) + timedelta(days=number))
        day = last - timedelta(days=len(scores) - 1 - number)
        light, risk = (standing.light, standing.risk) if standing else (None, None)
        await add_score(database, client, day, score, light=light, risk=risk)
    return client


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_replay_counts_what_the_calculations_have_raised(
    database: Database, small: Settings, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - A world must be repeatable, not unpredictable.
    days = scoring_days(random)
    world = make_world(seed + 300, days, 40)
    for number in range(60):
        world.add(swinging(f"swing-{number}", random, days))
    await load(database, world, tmp_path, {})
    async with database.begin() as session:
        await session.execute(text("UPDATE clients SET alerts_enabled = false WHERE status = 'CHURNED'"))
    for day in days:
        await score_day(database, end_of(day), end_of(day) + timedelta(hours=2))
    run_id = await accept(database, (days[-1] - days[0]).days + 1, now=end_of(days[-1]))
    before = await rows_of(database, "SELECT id, status, xmin::text FROM alerts ORDER BY id")
    assert await execute(database, run_id, small)
    assert await rows_of(database, "SELECT id, status, xmin::text FROM alerts ORDER BY id") == before
    by_client = "SELECT client_id, count(*) FROM alerts GROUP BY 1 ORDER BY 1"
    assert await counted(database) == await rows_of(database, by_client)
    by_day = dict(await rows_of(database, "SELECT day, count(*) FROM alerts GROUP BY 1"))
    scored = dict(await rows_of(database, "SELECT day, count(score) FROM health_scores GROUP BY 1"))
    found = await replayed(database, run_id)
    assert {day.day: day.scored for day in found.by_day} == {day: count for day, count in scored.items() if count}
    assert Counter({day.day: day.alerts for day in found.by_day}) == Counter(by_day)
    assert found.alerts == len(before) >= 30


async def test_only_the_days_asked_for_are_counted_and_compared_with_the_day_before(
    database: Database, small: Settings
) -> None:
    client = await add_history(database, [90, 70, None, 60, 50])
    for days, expected in ((90, 3), (4, 3), (3, 2), (2, 2), (1, 1)):
        run_id = await accept(database, days)
        assert await execute(database, run_id, small)
        found = await replayed(database, run_id)
        assert (found.days, found.last_day, found.alerts) == (days, TODAY, expected)
        assert [day.scored for day in found.by_day] == [1] * min(4, days - (days == 3) - (days == 4))
        clients = await rows_of(
            database, "SELECT client_id, alerts FROM alert_replay_clients WHERE run_id = :r", r=run_id
        )
        assert clients == [(client, expected)]


async def test_clients_whose_alerts_are_off_count_among_the_scored_only(database: Database, small: Settings) -> None:
    await add_history(database, [90, 50], alerts_enabled=False)
    on = await add_history(database, [90, 50])
    gone = await add_history(database, [90, 50], status="CHURNED")
    run_id = await accept(database, 1)
    assert await execute(database, run_id, small)
    # Whoever has left since was a client then.
    assert await counted(database) == [(on, 1), (gone, 1)]
    assert (await replayed(database, run_id)).by_day == [replay.ReplayedDay(TODAY, 3, 2, held=False)]


@pytest.mark.parametrize(
    ("thresholds", "held"),
    [(DEFAULTS, True), (Thresholds(storm_share=50), False), (Thresholds(storm_minimum=12), False)],
)
async def test_a_storm_is_counted_and_said_to_be_one(
    database: Database, small: Settings, thresholds: Thresholds, *, held: bool
) -> None:
    for number in range(22):
        await add_history(database, [90, 50 if number < 11 else 90, 90])
    run_id = await accept(database, 3, thresholds)
    assert await execute(database, run_id, small)
    found = await replayed(database, run_id)
    assert [(day.scored, day.alerts, day.held) for day in found.by_day] == [
        (22, 0, False),
        (22, 11, held),
        (22, 0, False),
    ]
    assert (found.alerts, found.held, found.thresholds) == (11, 11 if held else 0, thresholds)


async def test_a_replay_that_was_interrupted_counts_nobody_twice(database: Database, small: Settings) -> None:
    clients = [await add_history(database, [90, 50]) for _ in range(20)]
    run_id = await accept(database)

    def stop(done: int, _failed: int, _total: int) -> None:
        if done == 14:
            raise RuntimeError("stopped in the middle")

    with pytest.raises(RuntimeError, match="stopped in the middle"):
        await execute(database, run_id, small, stop)
    # What is there can be read.
    assert (await replayed(database, run_id)).alerts == 14
    assert await execute(database, run_id, small)
    assert await counted(database) == [(client, 1) for client in clients]
    assert [(day.scored, day.alerts) for day in (await replayed(database, run_id)).by_day] == [(20, 0), (20, 20)]


async def test_a_batch_is_read_in_parts_that_fit(
    database: Database, small: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "SCORES_AT_ONCE", 1)
    clients = [await add_history(database, [90, 50]) for _ in range(9)]
    run_id = await accept(database)
    assert await execute(database, run_id, small)
    assert await counted(database) == [(client, 1) for client in clients]


async def test_nothing_is_raised_or_sent(database: Database, small: Settings) -> None:
    for _ in range(3):
        await add_history(database, [90, 50])
    run_id = await accept(database)
    tables = ("clients", "health_scores")
    before = [await rows_of(database, f"SELECT xmin::text, t::text FROM {name} AS t") for name in tables]
    assert await execute(database, run_id, small)
    assert [await rows_of(database, f"SELECT xmin::text, t::text FROM {name} AS t") for name in tables] == before
    for table in ("alerts", "alert_causes", "deliveries"):
        assert await rows_of(database, f"SELECT * FROM {table}") == []


async def test_those_with_most_alerts_come_first(database: Database, small: Settings) -> None:
    two = await add_history(database, [90, 80, 60, 50], name="Two")
    one_b = await add_history(database, [90, 90, 90, 70], name="b")
    one_a = await add_history(database, [90, 90, 90, 70], name="A")
    await add_history(database, [90, 90, 90, 90], name="None")
    run_id = await accept(database)
    assert await execute(database, run_id, small)
    async with database.read() as connection:
        found = [(row.client_id, row.alerts) for row in await replay.noisiest(connection, run_id, 10)]
        assert [row.client_id for row in await replay.noisiest(connection, run_id, 2)] == [two, one_a]
    assert found == [(two, 3), (one_a, 1), (one_b, 1)]


@pytest.mark.parametrize("days", [0, -1, 731])
async def test_a_replay_of_no_days_is_refused(database: Database, days: int) -> None:
    with pytest.raises(InvalidInput, match="days must be from 1 to 730"):
        await accept(database, days)
    assert await rows_of(database, "SELECT id FROM runs") == []


async def test_what_is_no_replay_has_no_result(database: Database) -> None:
    run_id = await accept(database)
    with pytest.raises(NotFound, match="replay"):
        await replayed(database, run_id + 1)


async def test_the_same_replay_is_the_same_run_and_any_other_is_another(database: Database) -> None:
    first = await accept(database)
    assert await accept(database) == first
    assert await accept(database, 30) != first
    assert await accept(database, 90, Thresholds(drop_points=6)) != first
