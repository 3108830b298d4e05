"""What people are told of the days that an outage has left out, once they are calculated."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from app.database import Database
from app.delivery import digests
from app.delivery.models import ChannelMode
from app.graphql.pagination import global_id
from app.health import requests
from app.health.rules import end_of_day
from app.runs.execution import execute
from app.runs.rules import SlotJob
from app.runs.schedule import daily, take_next_slot
from app.settings import Settings
from tests.alerts.helpers import add_alerted, weigh_campaigns_alone
from tests.delivery.couriers import courier, run_through, sent, webhook
from tests.delivery.receiver import receiving
from tests.factories import add_campaign, rows_of

UTC_ZONE = ZoneInfo("UTC")
SCHEDULE = daily(time(1), time(2), UTC_ZONE)
OUTAGE = timedelta(days=5)
DELIVERIES = "SELECT alert_id, digest, status FROM deliveries WHERE kind = 'ALERT' ORDER BY alert_id"


async def catch_up(database: Database, settings: Settings, now: datetime) -> list[date]:
    """Take and carry out the slots that are due, and return the days of the calculations among them."""
    days: list[date] = []
    while True:
        async with database.begin() as session:
            slot = await take_next_slot(session, SCHEDULE, now=now)
        if slot is None:
            return days
        if slot.job is SlotJob.RECALCULATE_ALL:
            days.append(slot.day)
        for (run_id,) in await rows_of(database, "SELECT id FROM runs WHERE status = 'QUEUED' ORDER BY id"):
            assert await execute(database, run_id, settings)


async def add_outage(database: Database, settings: Settings, now: datetime) -> tuple[int, int]:
    """Add two clients that fall on the first of the days left out; return the one that stays low, and the other one."""
    await weigh_campaigns_alone(database)
    last = (now - OUTAGE - timedelta(days=1)).date()
    low, recovering = [await add_alerted(database, name, engagement_model="HIGH_TOUCH") for name in ("Low", "High")]
    for client in (low, recovering):
        await add_campaign(database, client, assigned=100, completed=90, closed_at=end_of_day(last - timedelta(days=3)))
    [day] = await catch_up(database, settings, now - OUTAGE - timedelta(days=1))
    # A calculation is about what had happened until 02:00 of its day.
    for client in (low, recovering):
        await add_campaign(database, client, assigned=100, completed=10, closed_at=end_of_day(day))
    # The score is the mean of all campaigns: these lift it above 90 a day later.
    for _ in range(10):
        closed_at = end_of_day(day + timedelta(days=1))
        await add_campaign(database, recovering, assigned=100, completed=100, closed_at=closed_at)
    return low, recovering


async def alerts(database: Database) -> list[tuple[Any, ...]]:
    statement = "SELECT client_id, status, created_at - raised_at > interval '3 days' FROM alerts ORDER BY client_id"
    return await rows_of(database, statement)


async def test_the_alerts_of_days_that_are_caught_up_leave_with_the_next_digest(
    database: Database, settings: Settings
) -> None:
    now = datetime.now(UTC)
    async with receiving() as receiver:
        channel = webhook(receiver, mode=ChannelMode.EACH)
        async with courier(database, channel) as running:
            low, recovering = await add_outage(database, settings, now)
            assert len(await catch_up(database, settings, now)) == OUTAGE.days + 1
            assert await alerts(database) == [(low, "OPEN", True), (recovering, "RESOLVED", True)]
            # Nothing leaves while the days after may still tell that it is over.
            await run_through(running)
            assert receiver.requests == []
            [(told,)] = await rows_of(database, "SELECT id FROM alerts WHERE client_id = :id", id=low)
            async with database.begin() as session:
                moment = now + timedelta(days=1)
                assert await digests.gather(session, channel, now=moment, zone=UTC_ZONE) == 1
            await run_through(running)
    [message] = sent(receiver)
    assert (message["type"], message["data"]["count"]) == ("alert.digest", 1)
    assert [alert["id"] for alert in message["data"]["alerts"]] == [global_id("Alert", told)]
    found = await rows_of(database, DELIVERIES)
    assert found == [(told, True, "DELIVERED"), (found[1][0], True, "DISCARDED")]


async def test_who_calculates_days_long_gone_by_hand_tells_nobody(database: Database, settings: Settings) -> None:
    now = datetime.now(UTC)
    async with receiving() as receiver, courier(database, webhook(receiver)):
        low, _ = await add_outage(database, settings, now)
        day = (now - OUTAGE).date()
        # Whatever a token calls its owner.
        async with database.begin() as session:
            run_id = await requests.recalculate_all(session, requested_by="schedule", now=now, day=day)
        assert await execute(database, run_id, settings)
    # By the end of that day the other one had recovered.
    assert await alerts(database) == [(low, "OPEN", True)]
    assert await rows_of(database, DELIVERIES) == []
