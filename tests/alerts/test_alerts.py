"""Alerts as scores raise and resolve them, on the database."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from app.alerts import service as alerts
from app.alerts.rules import DEFAULTS, AlertKind
from app.database import Database
from app.health import service as health
from app.health.rules import end_of_day
from tests.alerts.helpers import Told, add_alerted, alert_rows, day_number, score_as, told, weigh_campaigns_alone
from tests.delivery.test_digests import until_blocked
from tests.factories import add_campaign, add_client, add_rows, rows_of
from tests.graphql.live import alert_row
from tests.health.helpers import INSTANT
from tests.ingest.helpers import load, write

ALL = "RISK_HIGH LIGHT_WORSENED SCORE_DROP"
LIGHT, DROP, RISK = "LIGHT_WORSENED", "SCORE_DROP", "RISK_HIGH"
LIGHT_DROP = f"{LIGHT} {DROP}"


@pytest.fixture
async def alerted(database: Database) -> int:
    """A client with alerts on, whose score the test decides."""
    await weigh_campaigns_alone(database)
    return await add_alerted(database)


async def scored(database: Database, client: int, *scores: int | None, first: int = 0) -> None:
    """Calculate day after day, so that the client has these scores."""
    for number, wanted in enumerate(scores, start=first):
        await score_as(database, client, day_number(number), wanted)


DAYS: dict[str, tuple[list[int | None], list[Told]]] = {
    "the first score": ([30], []),
    "the first score after a silence": ([None, 30], []),
    "no score": ([None, None], []),
    "five points": ([90, 85], []),
    "six points": ([90, 84], [Told(DROP, 90, 84, "OPEN")]),
    "little by little": ([95, 90, 85, 80], []),
    "the light alone": ([81, 79], [Told(LIGHT, 81, 79, "OPEN")]),
    "the light from amber to red": ([61, 59], [Told(LIGHT, 61, 59, "OPEN")]),
    "the risk alone": ([44, 39], [Told(RISK, 44, 39, "OPEN")]),
    "all at once": ([90, 30], [Told(ALL, 90, 30, "OPEN")]),
    "high from the beginning": ([30, 28], []),
    "against the latest score, not the latest day": ([90, None, 70], [Told(LIGHT_DROP, 90, 70, "OPEN")]),
    "the same score again": ([90, 70, 70, 70], [Told(LIGHT_DROP, 90, 70, "OPEN")]),
    "five more": ([90, 70, 65], [Told(LIGHT_DROP, 90, 70, "OPEN")]),
    "six more": ([90, 70, 64], [Told(LIGHT_DROP, 90, 70, "OPEN"), Told(DROP, 70, 64, "OPEN")]),
    "worse in a graver way, but by five": ([70, 62, 57], [Told(DROP, 70, 62, "OPEN")]),
    "up and down within five": ([90, 70, 78, 65], [Told(LIGHT_DROP, 90, 70, "OPEN")]),
    "up and further down": ([90, 70, 78, 64], [Told(LIGHT_DROP, 90, 70, "OPEN"), Told(DROP, 78, 64, "OPEN")]),
    "six below the first, but not below the second": (
        [90, 70, 60, 69, 58],
        [Told(LIGHT_DROP, 90, 70, "OPEN"), Told(DROP, 70, 60, "OPEN")],
    ),
    "six since, though five in a day": ([90, 70, 67, 64], [Told(LIGHT_DROP, 90, 70, "OPEN")]),
    "amber is not enough": ([90, 50, 79], [Told(f"{RISK} {LIGHT_DROP}", 90, 50, "OPEN")]),
    "green again": ([90, 70, 80], [Told(LIGHT_DROP, 90, 70, "RESOLVED")]),
    "green again, both": ([90, 70, 60, 80], [Told(LIGHT_DROP, 90, 70, "RESOLVED"), Told(DROP, 70, 60, "RESOLVED")]),
    "a silence resolves nothing": ([90, 70, None], [Told(LIGHT_DROP, 90, 70, "OPEN")]),
    "once more after green": ([90, 70, 80, 79], [Told(LIGHT_DROP, 90, 70, "RESOLVED"), Told(LIGHT, 80, 79, "OPEN")]),
    "green on the next day too": ([96, 90, 90], [Told(DROP, 96, 90, "RESOLVED")]),
    "green and falling": ([96, 90, 84], [Told(DROP, 96, 90, "RESOLVED"), Told(DROP, 90, 84, "OPEN")]),
}


@pytest.mark.parametrize("name", DAYS)
async def test_what_a_row_of_days_raises(database: Database, alerted: int, name: str) -> None:
    scores, expected = DAYS[name]
    await scored(database, alerted, *scores)
    assert await told(database) == expected


async def test_an_alert_says_what_it_is_about_and_when_it_was(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90, 37)
    (alert,) = await alert_rows(database)
    day = day_number(1)
    assert (alert.client_id, alert.day, alert.kind) == (alerted, day, AlertKind.RISK_HIGH)
    # The day was over when it was calculated, and the alarm is the day's.
    assert alert.raised_at == end_of_day(day)
    assert (alert.acknowledged_at, alert.acknowledged_by, alert.note, alert.resolved_at) == (None, None, None, None)
    assert alert.message == (
        "Acme: its risk became high, its light went from green to red and its score fell by 53 points "
        "(score 90 before, 37 now)."
    )


async def test_an_alert_of_the_running_day_is_raised_when_it_is_calculated(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90)
    noon = end_of_day(day_number(1)) - timedelta(hours=12)
    await score_as(database, alerted, day_number(1), 70, as_of=noon, calculated_at=noon + timedelta(seconds=3))
    assert [row.raised_at for row in await alert_rows(database)] == [noon]


async def test_a_resolved_alert_says_since_when(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90, 70, 80)
    (alert,) = await alert_rows(database)
    assert alert.resolved_at == end_of_day(day_number(2))


async def test_an_alert_comes_and_goes_with_its_score(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90)
    as_of = end_of_day(day_number(1))

    async def score_and_fail(completed: int) -> None:
        await add_campaign(database, alerted, assigned=100, completed=completed, closed_at=as_of)
        async with database.begin() as session:
            policy = await health.current_policy(session)
            await health.score_clients(session, [alerted], as_of=as_of, calculated_at=as_of, policy=policy)
            inside = await session.execute(text("SELECT count(*) FROM alerts"))
            assert inside.scalar_one() == 1
            raise RuntimeError("the batch is lost")

    with pytest.raises(RuntimeError, match="the batch is lost"):
        await score_and_fail(0)
    assert await told(database) == []
    assert await rows_of(database, "SELECT day FROM health_scores") == [(day_number(0),)]


async def test_a_score_that_cannot_be_told_is_not_stored(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90)
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE alerts ADD CONSTRAINT ck_alerts_never CHECK (score_after > 100)"))
    with pytest.raises(Exception, match="ck_alerts_never"):
        await scored(database, alerted, 70, first=1)
    assert await rows_of(database, "SELECT day, score FROM health_scores") == [(day_number(0), 90)]
    assert await rows_of(database, "SELECT score FROM clients") == [(90,)]


async def test_a_whole_day_is_told_client_by_client(database: Database) -> None:
    await weigh_campaigns_alone(database)
    clients = [await add_alerted(database, name) for name in ("Falling", "Steady", "Silent", "Recovered")]
    falling, steady, _, recovered = clients
    scores = {falling: (90, 50), steady: (70, 70), recovered: (90, 90)}
    for number in (0, 1):
        for client, wanted in scores.items():
            async with database.begin() as session:
                await session.execute(text("DELETE FROM campaigns WHERE client_id = :id"), {"id": client})
            closed_at = end_of_day(day_number(number))
            await add_campaign(database, client, assigned=100, completed=wanted[number], closed_at=closed_at)
        if number == 1:
            await _open_alert(database, recovered)
        moment = end_of_day(day_number(number))
        await health.score_day(database, moment, moment + timedelta(hours=1))
    rows = await alert_rows(database)
    assert [(row.client_id, row.score_before, row.score_after, row.status) for row in rows] == [
        (recovered, 80, 70, "RESOLVED"),
        (falling, 90, 50, "OPEN"),
    ]
    assert rows[1].message.startswith("Falling: ")


async def _open_alert(database: Database, client: int) -> None:
    async with database.begin() as session:
        await session.execute(
            text(
                "INSERT INTO alerts "
                "(client_id, day, kinds, kind, status, message, score_before, score_after, raised_at) "
                "VALUES (:id, :day, '{SCORE_DROP}', 'SCORE_DROP', 'OPEN', 'It fell.', 80, 70, :at)"
            ),
            {"id": client, "day": day_number(0), "at": end_of_day(day_number(0))},
        )


async def test_no_alert_is_raised_while_alerts_are_off(database: Database) -> None:
    await weigh_campaigns_alone(database)
    client = await add_client(database, alerts_enabled=False)
    await scored(database, client, 90, 30)
    assert await told(database) == []
    # Switched on later, the client is not told of what it slept through.
    await _change(database, "alerts_enabled = true")
    await scored(database, client, 30, first=2)
    assert await told(database) == []
    await scored(database, client, 24, first=3)
    assert await told(database) == [Told(DROP, 30, 24, "OPEN")]


async def _change(database: Database, assignment: str, **values: object) -> None:
    async with database.begin() as session:
        await session.execute(text(f"UPDATE clients SET {assignment}"), values)


@pytest.mark.parametrize(("left", "raised"), [(INSTANT, 0), (timedelta(0), 1), (-INSTANT, 1), (timedelta(days=9), 0)])
async def test_a_snoozed_client_raises_none_until_the_snooze_is_over(
    database: Database, alerted: int, left: timedelta, raised: int
) -> None:
    calculated_at = end_of_day(day_number(1)) + timedelta(hours=5)
    await scored(database, alerted, 90)
    await _change(database, "alerts_snoozed_until = :until", until=calculated_at + left)
    await score_as(database, alerted, day_number(1), 30, calculated_at=calculated_at)
    assert len(await told(database)) == raised


@pytest.mark.parametrize("quiet", ["alerts_enabled = false", "alerts_snoozed_until = '2030-01-01'"])
async def test_who_is_not_told_of_new_alerts_has_old_ones_resolved(
    database: Database, alerted: int, quiet: str
) -> None:
    await scored(database, alerted, 90, 70)
    await _change(database, quiet)
    await scored(database, alerted, 64, 80, first=2)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, "RESOLVED")]


async def test_nobody_is_alarmed_about_a_client_that_has_left_since(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90)
    await _change(database, "status = 'CHURNED', churned_at = '2026-01-01'")
    await scored(database, alerted, 30, first=1)
    assert await told(database) == []
    assert await rows_of(database, "SELECT score FROM health_scores ORDER BY day") == [(90,), (30,)]


async def test_calculating_a_day_again_raises_nothing_twice(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90, 70)
    before = await alert_rows(database)
    for hours in (3, 4):
        later = end_of_day(day_number(1)) + timedelta(hours=hours)
        await score_as(database, alerted, day_number(1), 70, calculated_at=later)
    assert await alert_rows(database) == before


async def test_a_green_alert_outlives_its_own_day(database: Database, alerted: int) -> None:
    await scored(database, alerted, 96, 90)
    for wanted in (90, 85, 95):
        await score_as(database, alerted, day_number(1), wanted)
        assert await told(database) == [Told(DROP, 96, 90, "OPEN")], wanted
    await scored(database, alerted, 95, first=2)
    assert await told(database) == [Told(DROP, 96, 90, "RESOLVED")]


async def test_a_day_that_turns_out_green_resolves_its_own_alert(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90, 70)
    await score_as(database, alerted, day_number(1), 88)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, "RESOLVED")]
    await score_as(database, alerted, day_number(1), 70)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, "RESOLVED"), Told(LIGHT_DROP, 90, 70, "OPEN")]


async def test_a_day_that_gets_worse_by_more_than_five_is_told_again(database: Database, alerted: int) -> None:
    await scored(database, alerted, 90, 70)
    await score_as(database, alerted, day_number(1), 65)
    assert len(await told(database)) == 1
    await score_as(database, alerted, day_number(1), 64)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, "OPEN"), Told(LIGHT_DROP, 90, 64, "OPEN")]


@pytest.mark.parametrize("today", [70, None])
async def test_a_past_day_raises_and_resolves_nothing(database: Database, alerted: int, today: int | None) -> None:
    await scored(database, alerted, 90, 70, today)
    before = await alert_rows(database)
    await score_as(database, alerted, day_number(1), 20)
    await score_as(database, alerted, day_number(1), 100)
    await score_as(database, alerted, day_number(-3), 10)
    assert await alert_rows(database) == before
    # The next day counts from the history as it is now.
    await scored(database, alerted, 63, first=3)
    last = (await told(database))[-1]
    assert (last.before, last.after) == (100 if today is None else 70, 63)


@pytest.mark.parametrize("acknowledged", [False, True])
async def test_an_unresolved_alert_keeps_others_away_until_it_is_resolved(
    database: Database, alerted: int, *, acknowledged: bool
) -> None:
    await scored(database, alerted, 90, 70)
    at = end_of_day(day_number(1)) + timedelta(hours=9)
    (alert,) = await alert_rows(database)
    if acknowledged:
        async with database.begin() as session:
            await alerts.acknowledge(session, alert.id, note="on it", actor="anna", now=at, request_id=None)
    status = "ACKNOWLEDGED" if acknowledged else "OPEN"
    await scored(database, alerted, 78, 65, first=2)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, status)]
    await scored(database, alerted, 75, 64, first=4)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, status), Told(DROP, 75, 64, "OPEN")]
    await scored(database, alerted, 80, first=6)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, "RESOLVED"), Told(DROP, 75, 64, "RESOLVED")]
    first = (await alert_rows(database))[0]
    assert first.resolved_at == end_of_day(day_number(6))
    # Who looked after it stays on record.
    seen = (at, "anna", "on it") if acknowledged else (None, None, None)
    assert (first.acknowledged_at, first.acknowledged_by, first.note) == seen


async def test_another_client_s_alert_keeps_nobody_quiet(database: Database, alerted: int) -> None:
    other = await add_alerted(database, "Other")
    for client in (alerted, other):
        await scored(database, client, 90, 70)
    assert await told(database) == [Told(LIGHT_DROP, 90, 70, "OPEN")] * 2


async def test_alerts_are_on_by_default_for_high_touch_only(database: Database, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "export",
        clients_csv="external_id,name,engagement_model,alerts_enabled\na,A,HIGH_TOUCH,\nb,B,PLG,\nc,C,,\n"
        "d,D,HIGH_TOUCH,false\ne,E,PLG,true\n",
    )
    assert (await load(database, folder)).exit_code == 0
    found = await rows_of(database, "SELECT external_id, alerts_enabled FROM clients ORDER BY 1")
    assert found == [("a", True), ("b", False), ("c", False), ("d", False), ("e", True)]


async def test_alerts_are_resolved_in_the_order_of_their_ids(database: Database) -> None:
    """Whoever decides about held alerts locks them in that order, and the two must not wait in a circle."""
    clients = [await add_alerted(database) for _ in range(2)]
    # Neither the order of the clients nor that in the table is that of the ids.
    rows = [alert_row(clients[0]) | {"id": 20}, alert_row(clients[1]) | {"id": 10}]
    for row in rows:
        await add_rows(database, "alerts", [row])

    async def resolve() -> None:
        async with database.begin() as session:
            await alerts.follow_scores(
                session,
                {},
                green=clients,
                green_from=80,
                day=rows[0]["day"] + timedelta(days=1),
                raised_at=rows[0]["raised_at"],
                now=rows[0]["raised_at"],
                thresholds=DEFAULTS,
                run_id=None,
            )

    lock = text("SELECT id FROM alerts WHERE id = :id FOR NO KEY UPDATE NOWAIT")
    async with database.begin() as session:
        await session.execute(lock, {"id": 10})
        resolving = asyncio.create_task(resolve())
        await until_blocked(database)
        # It waits for the first one and has none of the others.
        await session.execute(lock, {"id": 20})
    await resolving
    assert [(row.id, row.status) for row in await alert_rows(database)] == [(10, "RESOLVED"), (20, "RESOLVED")]
