"""What people say of alerts: one verdict a person, and the shares of useful ones as they add up."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from app.alerts import feedback
from app.alerts.feedback import Breakdown, Verdicts
from app.alerts.rules import AlertKind, AlertVerdict
from app.database import Database
from app.errors import NotFound
from app.health.rules import Component
from tests.factories import add_client, add_rows, rows_of, utc

USEFUL, KNOWN, WRONG = AlertVerdict
NOW = datetime(2026, 3, 31, 14, 30, tzinfo=UTC)
TODAY = NOW.date()


async def add_alert(
    database: Database,
    raised_at: datetime = NOW,
    kind: str = "SCORE_DROP",
    causes: dict[str, tuple[str, str]] | None = None,
) -> int:
    """Add an alert with causes, each a component with its points before and after."""
    row: dict[str, Any] = {
        "client_id": await add_client(database),
        "day": raised_at.date(),
        "kinds": [kind],
        "kind": kind,
        "status": "OPEN",
        "message": "It fell.",
        "score_before": 90,
        "score_after": 70,
        "raised_at": raised_at,
    }
    (alert,) = await add_rows(database, "alerts", [row])
    await add_rows(
        database,
        "alert_causes",
        [
            {"alert_id": alert, "component": name, "points_before": was, "points_after": now, "explanation": "So."}
            for name, (was, now) in (causes or {}).items()
        ],
    )
    return alert


async def say(
    database: Database, alert: int, verdict: AlertVerdict, subject: str = "anna", now: datetime = NOW
) -> None:
    async with database.begin() as session:
        row = await feedback.give(session, alert, verdict, subject=subject, now=now)
    assert row.id == alert


async def report(database: Database, days: int = 90) -> tuple[Breakdown, dict[date, Breakdown]]:
    async with database.read() as connection:
        whole, weeks = await feedback.report(connection, days, TODAY)
    return whole, dict(weeks)


async def stored(database: Database) -> list[tuple[Any, ...]]:
    return await rows_of(database, "SELECT alert_id, subject, verdict, given_at FROM alert_feedback ORDER BY 1, 2")


async def test_the_latest_word_of_each_person_counts(database: Database) -> None:
    alert, later = await add_alert(database), NOW + timedelta(hours=1)
    await say(database, alert, USEFUL)
    await say(database, alert, WRONG, "bob")
    await say(database, alert, KNOWN, now=later)
    assert await stored(database) == [(alert, "anna", "ALREADY_KNOWN", later), (alert, "bob", "WRONG_DATA", NOW)]
    # Saying the same again leaves no trace.
    before = await rows_of(database, "SELECT xmin::text FROM alert_feedback ORDER BY subject")
    await say(database, alert, KNOWN, now=later + timedelta(hours=1))
    assert await rows_of(database, "SELECT xmin::text FROM alert_feedback ORDER BY subject") == before
    async with database.read() as connection:
        of_anna = (await feedback.of_alerts(connection, [alert, alert + 1], "anna"))[alert]
        of_nobody = (await feedback.of_alerts(connection, [alert], "carl"))[alert]
    assert (of_anna.useful, of_anna.already_known, of_anna.wrong_data, of_anna.mine) == (0, 1, 1, "ALREADY_KNOWN")
    assert of_nobody.mine is None


async def test_nothing_is_said_of_an_alert_that_is_not_there(database: Database) -> None:
    alert = await add_alert(database)
    async with database.begin() as session:
        with pytest.raises(NotFound, match="alert"):
            await feedback.give(session, alert + 1, USEFUL, subject="anna", now=NOW)
    assert await stored(database) == []


async def test_without_a_verdict_there_is_no_share(database: Database) -> None:
    await add_alert(database)
    assert await report(database) == (Breakdown(), {})
    assert Verdicts().useful_share is None


@pytest.mark.parametrize(
    ("verdicts", "share"), [((1, 0, 0), 100.0), ((0, 1, 2), 0.0), ((1, 2, 1), 25.0), ((3, 1, 4), 37.5)]
)
def test_a_share_is_that_of_all_verdicts(verdicts: tuple[int, int, int], share: float) -> None:
    assert Verdicts(*verdicts).useful_share == share


async def test_verdicts_add_up_by_kind_by_component_and_by_week(database: Database) -> None:
    login = {"LOGIN": ("20", "10"), "TICKET_VOLUME": ("15", "14.9")}
    tickets = {"LOGIN": ("10", "20"), "TICKET_VOLUME": ("15", "9")}
    this_week = await add_alert(database, NOW, "RISK_HIGH", login)
    monday = await add_alert(database, utc("2026-03-30T00:00"), "SCORE_DROP", tickets)
    # A week ends with its Sunday.
    sunday = await add_alert(database, utc("2026-03-29T23:59"), "SCORE_DROP", login)
    # An alert of an older version has no causes.
    plain = await add_alert(database, utc("2026-03-23T00:00"), "SCORE_DROP")
    await add_alert(database, NOW, "LIGHT_WORSENED", tickets)
    for alert, verdict, subject in (
        (this_week, USEFUL, "anna"),
        (this_week, USEFUL, "bob"),
        (this_week, WRONG, "carl"),
        (monday, KNOWN, "anna"),
        (sunday, USEFUL, "anna"),
        (plain, WRONG, "bob"),
    ):
        await say(database, alert, verdict, subject)
    risk, drop = AlertKind.RISK_HIGH, AlertKind.SCORE_DROP
    whole = Breakdown(
        Verdicts(3, 1, 2),
        {risk: Verdicts(2, 0, 1), drop: Verdicts(1, 1, 1)},
        {Component.LOGIN: Verdicts(3, 0, 1), Component.TICKET_VOLUME: Verdicts(0, 1, 0)},
    )
    last = Breakdown(Verdicts(1, 0, 1), {drop: Verdicts(1, 0, 1)}, {Component.LOGIN: Verdicts(1, 0, 0)})
    this = Breakdown(
        Verdicts(2, 1, 1),
        {risk: Verdicts(2, 0, 1), drop: Verdicts(0, 1, 0)},
        {Component.LOGIN: Verdicts(2, 0, 1), Component.TICKET_VOLUME: Verdicts(0, 1, 0)},
    )
    assert await report(database) == (whole, {date(2026, 3, 23): last, date(2026, 3, 30): this})
    # The days are those in which the alerts were raised, today included.
    assert await report(database, 2) == (this, {date(2026, 3, 30): this})
    only_today = Breakdown(Verdicts(2, 0, 1), {risk: Verdicts(2, 0, 1)}, {Component.LOGIN: Verdicts(2, 0, 1)})
    assert await report(database, 1) == (only_today, {date(2026, 3, 30): only_today})
