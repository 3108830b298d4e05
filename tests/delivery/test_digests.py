"""Digests: once a day what waits becomes one message for each owner."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, text

from app.database import Database
from app.delivery import digests
from app.delivery.channels import Channel
from app.delivery.models import ChannelKind, ChannelMode
from app.graphql.pagination import global_id
from tests.alerts.helpers import add_alerted
from tests.delivery.couriers import PUBLIC_URL, courier, pass_time, queue, run_through, sent, webhook
from tests.delivery.helpers import add_alert
from tests.delivery.mail import mailing
from tests.delivery.receiver import Receiver, answer, receiving
from tests.factories import rows_of

ROWS = "SELECT kind, status, attempt FROM deliveries ORDER BY id"
TODAY = datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def gather(database: Database, *channels: Channel, now: datetime = TODAY) -> int:
    gathered = 0
    for channel in channels:
        async with database.begin() as session:
            gathered += await digests.gather(session, channel, now=now, zone=ZoneInfo("UTC"))
    return gathered


async def until_blocked(database: Database) -> None:
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    deadline = asyncio.get_running_loop().time() + 10
    while await rows_of(database, waiting) == [(0,)]:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)


async def test_each_owner_gets_one_message_a_day(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    owners = ["amara@csm.example", "amara@csm.example", "bo@csm.example", None]
    clients = [await add_alerted(database, f"Client {number}", owner=owner) for number, owner in enumerate(owners)]
    async with courier(database, channel) as running:
        alerts = [await add_alert(database, client) for client in clients]
        async with database.begin() as session:
            await session.execute(text("UPDATE alerts SET score_after = 20 WHERE id = :id"), {"id": alerts[1]})
        await queue(database, *alerts)
        await run_through(running)
        assert receiver.requests == []
        assert await gather(database, channel) == 3
        await run_through(running)
        # Nothing happens again that day, nor on the next one without an alert.
        assert await gather(database, channel, now=TODAY + timedelta(hours=15)) == 0
        assert await gather(database, channel, now=TODAY + timedelta(days=1)) == 0
        await run_through(running)
    messages = {message["data"]["owner"]: message for message in sent(receiver)}
    assert messages.keys() == {"amara@csm.example", "bo@csm.example", None}
    assert len(receiver.requests) == 3
    first = messages["amara@csm.example"]
    assert first["type"] == "alert.digest"
    # The lowest score comes first.
    assert [alert["id"] for alert in first["data"].pop("alerts")] == [
        global_id("Alert", alerts[1]),
        global_id("Alert", alerts[0]),
    ]
    assert first["data"] == {
        "owner": "amara@csm.example",
        "count": 2,
        "message": "2 alerts for clients of amara@csm.example.",
        "link": f"{PUBLIC_URL}/alerts",
    }
    assert messages[None]["data"]["message"] == "1 alert for clients."
    assert await rows_of(database, ROWS) == [("ALERT", "DELIVERED", 0)] * 4 + [("DIGEST", "DELIVERED", 1)] * 3


async def test_what_comes_after_the_digest_waits_for_the_next_day(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    async with courier(database, channel) as running:
        early = await add_alert(database)
        await queue(database, early)
        assert await gather(database, channel) == 1
        late = await add_alert(database)
        await queue(database, late)
        assert await gather(database, channel, now=TODAY + timedelta(hours=23, minutes=59)) == 0
        assert await gather(database, channel, now=TODAY + timedelta(days=1)) == 1
        await run_through(running)
    listed = sorted(alert["id"] for message in sent(receiver) for alert in message["data"]["alerts"])
    assert (len(receiver.requests), listed) == (2, sorted([global_id("Alert", early), global_id("Alert", late)]))


async def test_a_digest_whose_time_was_missed_is_made_up_for_once(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    async with courier(database, channel):
        await queue(database, await add_alert(database))
        assert await gather(database, channel, now=TODAY - timedelta(days=1)) == 1
        await queue(database, await add_alert(database))
        assert await gather(database, channel, now=TODAY + timedelta(days=3, hours=2)) == 1
        assert await gather(database, channel, now=TODAY + timedelta(days=3, hours=3)) == 0


async def test_what_is_green_again_is_left_out(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    async with courier(database, channel) as running:
        green, red, acknowledged = [await add_alert(database) for _ in range(3)]
        await queue(database, green, red, acknowledged)
        async with database.begin() as session:
            await session.execute(text("UPDATE alerts SET status = 'RESOLVED' WHERE id = :id"), {"id": green})
            await session.execute(
                text("UPDATE alerts SET status = 'ACKNOWLEDGED' WHERE id = :id"), {"id": acknowledged}
            )
        assert await gather(database, channel) == 1
        await run_through(running)
    [message] = sent(receiver)
    listed = [alert["id"] for alert in message["data"]["alerts"]]
    assert listed == [global_id("Alert", red), global_id("Alert", acknowledged)]
    found = await rows_of(database, "SELECT status, reason FROM deliveries WHERE alert_id = :id", id=green)
    assert found == [("DISCARDED", "The client was green again before the digest left.")]


async def test_whose_client_is_quiet_by_then_is_left_out(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    changes = [
        "alerts_enabled = false",
        "status = 'CHURNED'",
        "alerts_snoozed_until = clock_timestamp() + interval '1 hour'",
        "alerts_snoozed_until = clock_timestamp() - interval '1 second'",
        "alerts_snoozed_until = NULL",
    ]
    async with courier(database, channel) as running:
        clients = [await add_alerted(database) for _ in changes]
        alerts = [await add_alert(database, client) for client in clients]
        await queue(database, *alerts)
        async with database.begin() as session:
            for client, change in zip(clients, changes, strict=True):
                await session.execute(text(f"UPDATE clients SET {change} WHERE id = :id"), {"id": client})
        assert await gather(database, channel) == 1
        await run_through(running)
    [message] = sent(receiver)
    assert [alert["id"] for alert in message["data"]["alerts"]] == [global_id("Alert", alert) for alert in alerts[3:]]
    found = await rows_of(database, "SELECT status, reason FROM deliveries WHERE kind = 'ALERT' ORDER BY alert_id")
    quiet = ("DISCARDED", "Alerts were off or snoozed when the digest left.")
    assert found == [quiet] * 3 + [("DELIVERED", None)] * 2


async def test_a_digest_of_nothing_but_green_is_not_sent(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    async with courier(database, channel):
        await queue(database, await add_alert(database))
        async with database.begin() as session:
            await session.execute(text("UPDATE alerts SET status = 'RESOLVED'"))
        assert await gather(database, channel) == 0
    assert await rows_of(database, ROWS) == [("ALERT", "DISCARDED", 0)]


async def test_a_failed_digest_is_tried_again_and_its_alerts_share_its_fate(
    database: Database, receiver: Receiver
) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    receiver.then = answer("500 Down")
    async with courier(database, channel) as running:
        await queue(database, await add_alert(database))
        await gather(database, channel)
        await run_through(running)
        assert await rows_of(database, ROWS) == [("ALERT", "WAITING", 0), ("DIGEST", "PENDING", 1)]
        for _ in range(10):
            await pass_time(database, timedelta(hours=29))
            await run_through(running)
    assert await rows_of(database, ROWS) == [("ALERT", "FAILED", 0), ("DIGEST", "FAILED", 11)]
    reasons = await rows_of(database, "SELECT DISTINCT reason FROM deliveries")
    assert reasons == [("All 11 attempts failed. The receiver answered with the status 500.",)]


async def test_an_owner_is_mailed_once_about_all_clients(database: Database) -> None:
    async with mailing() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example"
        channel = Channel("ops", ChannelKind.APPRISE, url, to_owner=True, digest_at=time(7, 30))
        owners = ["amara@csm.example", "amara@csm.example", "bo@csm.example"]
        clients = [await add_alerted(database, f"Client {number}", owner=owner) for number, owner in enumerate(owners)]
        async with courier(database, channel) as running:
            await queue(database, *[await add_alert(database, client) for client in clients])
            assert await gather(database, channel, now=TODAY) == 2
            await run_through(running)
    titles = {mail.recipients[0]: mail.message["subject"] for mail in mailbox.mails}
    assert len(mailbox.mails) == 2
    assert titles == {
        "amara@csm.example": "2 alerts for clients of amara@csm.example",
        "bo@csm.example": "1 alert for clients of bo@csm.example",
    }


async def test_a_long_digest_loads_a_hundred_and_tells_of_the_rest(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    loaded: list[int] = []

    def count_ids(_connection: Any, _cursor: Any, _statement: str, parameters: Any, *_: Any) -> None:
        loaded.extend(len(value) for value in parameters if isinstance(value, list))

    async with courier(database, channel) as running:
        client = await add_alerted(database, owner="amara@csm.example")
        alerts = [await add_alert(database, client) for _ in range(102)]
        lowest = alerts[-1]
        async with database.begin() as session:
            await session.execute(text("UPDATE alerts SET score_after = 20 WHERE id = :id"), {"id": lowest})
        await queue(database, *alerts)
        await gather(database, channel)
        event.listen(database.engine.sync_engine, "before_cursor_execute", count_ids)
        await run_through(running)
        event.remove(database.engine.sync_engine, "before_cursor_execute", count_ids)
    [message] = sent(receiver)
    # The lowest score comes first, and what comes after the hundredth is not even read.
    listed = [alert["id"] for alert in message["data"]["alerts"]]
    assert listed == [global_id("Alert", alert) for alert in [lowest, *alerts[:99]]]
    assert (message["data"]["count"], max(loaded)) == (102, 100)


async def test_a_disabled_or_unknown_channel_gathers_nothing(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    async with courier(database, channel):
        await queue(database, await add_alert(database))
        async with database.begin() as session:
            await session.execute(text("UPDATE channels SET disabled_at = clock_timestamp()"))
        assert await gather(database, channel, webhook(receiver, "unknown")) == 0
    assert await rows_of(database, ROWS) == [("ALERT", "WAITING", 0)]


async def test_an_owner_who_changes_meanwhile_makes_no_empty_digest(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    clients = [await add_alerted(database, owner=owner) for owner in ("amara@csm.example", "bo@csm.example")]
    async with courier(database, channel):
        alerts = [await add_alert(database, client) for client in clients]
        await queue(database, *alerts)
        async with database.begin() as other:
            held = "SELECT id FROM deliveries WHERE alert_id = :id FOR UPDATE"
            await other.execute(text(held), {"id": alerts[0]})
            gathering = asyncio.create_task(gather(database, channel))
            await until_blocked(database)
            async with database.begin() as session:
                await session.execute(text("UPDATE clients SET owner = 'amara@csm.example'"))
        assert await gathering == 2
    count = "(SELECT count(*) FROM deliveries WHERE digest_id = g.id)"
    assert await rows_of(database, f"SELECT {count} FROM deliveries AS g WHERE kind = 'DIGEST'") == [(1,), (1,)]


async def test_what_stops_waiting_meanwhile_makes_no_empty_digest(database: Database, receiver: Receiver) -> None:
    channel = webhook(receiver, mode=ChannelMode.DIGEST)
    async with courier(database, channel):
        await queue(database, await add_alert(database))
        async with database.begin() as other:
            await other.execute(text("UPDATE deliveries SET status = 'FAILED'"))
            gathering = asyncio.create_task(gather(database, channel))
            await until_blocked(database)
        assert await gathering == 0
    assert await rows_of(database, ROWS) == [("ALERT", "FAILED", 0)]
