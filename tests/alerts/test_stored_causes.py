"""The causes that are stored with an alert: from real scores, in the transaction that raises it, and never again."""

from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from app.database import Database
from app.health.rules import end_of_day
from tests.alerts.helpers import add_alerted, alert_rows, day_number, score_as, weigh_campaigns_alone
from tests.factories import add_case, add_client_feature, add_login, add_member, add_score, add_ticket, rows_of
from tests.health.helpers import score

CAUSES = (
    "SELECT component, points_before, points_after, explanation FROM alert_causes ORDER BY points_after - points_before"
)
FIRST, SECOND = end_of_day(day_number(0)), end_of_day(day_number(1))


async def test_the_causes_of_an_alert_have_the_counts_of_both_days(database: Database) -> None:
    """All members were active and all cases on time; a day later two cases are late and tickets have come."""
    client = await add_alerted(database)
    member = await add_member(database, client)
    await add_login(database, client, FIRST - timedelta(days=1), member)
    await add_client_feature(database, client, first_used_at=FIRST - timedelta(days=9))
    await add_ticket(database, client, opened_at=FIRST - timedelta(days=60))
    closed = FIRST - timedelta(hours=1)
    await add_case(database, client, closed_at=closed, sla_due_at=closed)
    await score(database, client, as_of=FIRST)
    late = SECOND - timedelta(hours=1)
    for _ in range(3):
        await add_case(database, client, closed_at=late, sla_due_at=late - timedelta(hours=1))
    for _ in range(2):
        await add_ticket(database, client, opened_at=late)
    await score(database, client, as_of=SECOND)
    # 100 before; now 20, 6.25, 15 and 12 of the weights' 75, since no campaign closed: 53.25 of 75 are 71.
    (alert,) = await alert_rows(database)
    assert (alert.score_before, alert.score_after) == (100, 71)
    assert (alert.light_before, alert.light_after) == ("GREEN", "AMBER")
    assert (alert.risk_before, alert.risk_after) == ("LOW", "MEDIUM")
    found = await rows_of(database, CAUSES)
    assert found == [
        (
            "CASE_RESOLUTION",
            Decimal("33.3"),
            Decimal("8.3"),
            "1 of 4 cases closed in the last 30 days was closed on time. "
            "Before: 1 of 1 case closed in the last 30 days was closed on time.",
        ),
        (
            "TICKET_VOLUME",
            Decimal("20.0"),
            Decimal("16.0"),
            "2 support tickets were opened in the last 30 days, against a usual 2. "
            "Before: 0 support tickets were opened in the last 30 days, against a usual 2.",
        ),
    ]
    assert sum(row[2] - row[1] for row in found) == alert.score_after - alert.score_before


async def test_the_causes_are_those_against_the_latest_day_with_a_score(database: Database) -> None:
    await weigh_campaigns_alone(database)
    client = await add_alerted(database)
    for number, wanted in enumerate((90, None, 50, 20)):
        await score_as(database, client, day_number(number), wanted)
    points = "SELECT alert_id, component, points_before, points_after FROM alert_causes ORDER BY 1"
    first, second = (alert.id for alert in await alert_rows(database))
    assert await rows_of(database, points) == [
        (first, "CAMPAIGN_COMPLETION", Decimal(90), Decimal(50)),
        (second, "CAMPAIGN_COMPLETION", Decimal(50), Decimal(20)),
    ]
    # What is calculated again raises nothing, and leaves the causes as they are.
    before = await rows_of(database, "SELECT xmin::text, c::text FROM alert_causes AS c ORDER BY 2")
    await score_as(database, client, day_number(3), 20)
    assert await rows_of(database, "SELECT xmin::text, c::text FROM alert_causes AS c ORDER BY 2") == before


async def test_an_alert_whose_causes_cannot_be_written_is_not_raised(database: Database) -> None:
    await weigh_campaigns_alone(database)
    client = await add_alerted(database)
    await score_as(database, client, day_number(0), 90)
    async with database.begin() as session:
        await session.execute(text("ALTER TABLE alert_causes ADD CONSTRAINT ck_alert_causes_never CHECK (false)"))
    with pytest.raises(Exception, match="ck_alert_causes_never"):
        await score_as(database, client, day_number(1), 50)
    assert await alert_rows(database) == []
    assert await rows_of(database, "SELECT day, score FROM health_scores") == [(day_number(0), 90)]


async def test_a_fall_from_a_score_without_parts_raises_an_alert_without_causes(database: Database) -> None:
    await weigh_campaigns_alone(database)
    client = await add_alerted(database)
    await add_score(database, client, day_number(0), 90, light="GREEN", risk="LOW")
    await score_as(database, client, day_number(1), 50)
    (alert,) = await alert_rows(database)
    assert (alert.score_before, alert.score_after) == (90, 50)
    assert await rows_of(database, CAUSES) == []
