"""Deliveries under a lease: whoever dies in the middle leaves them to the next, and nobody has them tried for ever."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import orjson
import pytest
from sqlalchemy import text

from app.database import Database
from app.delivery import rules, sending, service
from app.delivery.channels import Channel
from app.delivery.models import AttemptOutcome, ChannelKind, ChannelMode
from app.delivery.outcomes import Outcome
from tests.delivery.couriers import (
    PUBLIC_URL,
    attempts,
    courier,
    due_in,
    pass_time,
    queue,
    run_through,
    statuses,
    webhook,
)
from tests.delivery.helpers import add_alert
from tests.delivery.mail import mailing
from tests.delivery.receiver import Receiver, receiving
from tests.factories import add_client, rows_of


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


async def test_a_worker_that_dies_in_the_middle_leaves_its_delivery_to_the_next(
    database: Database, receiver: Receiver
) -> None:
    async with courier(database, webhook(receiver)) as running:
        await queue(database, await add_alert(database))
        async with database.begin() as session:
            [lost] = await sending.claim(session, "ops")
        await run_through(running)
        assert receiver.requests == []
        assert await attempts(database) == [(1, None, None, None, None)]
        await pass_time(database, sending.LEASE)
        await run_through(running)
        assert await statuses(database) == [("ops", "DELIVERED", 2)]
        # The first one comes back and believes that it has failed.
        async with database.begin() as session:
            failure = Outcome(AttemptOutcome.UNREACHABLE, problem="No connection.")
            await sending.record(session, lost, webhook(receiver), failure, 0.5)
    assert await statuses(database) == [("ops", "DELIVERED", 2)]
    assert [row[:2] for row in await attempts(database)] == [(1, "UNREACHABLE"), (2, "DELIVERED")]


async def test_an_older_attempt_that_failed_does_not_move_the_newer_one(database: Database, receiver: Receiver) -> None:
    async with courier(database, webhook(receiver)):
        await queue(database, await add_alert(database))
        async with database.begin() as session:
            [older] = await sending.claim(session, "ops")
        await pass_time(database, sending.LEASE)
        async with database.begin() as session:
            [newer] = await sending.claim(session, "ops")
        before = await rows_of(database, "SELECT status, attempt, next_attempt_at, lease_until FROM deliveries")
        failure = Outcome(AttemptOutcome.UNREACHABLE, problem="No connection.")
        async with database.begin() as session:
            await sending.record(session, older, webhook(receiver), failure, 0.5)
        assert await rows_of(database, "SELECT status, attempt, next_attempt_at, lease_until FROM deliveries") == before
        # But what it has delivered is delivered.
        async with database.begin() as session:
            await sending.record(session, older, webhook(receiver), Outcome(AttemptOutcome.DELIVERED), 0.5)
            await sending.record(session, newer, webhook(receiver), failure, 0.5)
    assert await statuses(database) == [("ops", "DELIVERED", 2)]


async def test_attempts_that_overlap_say_the_same(database: Database, receiver: Receiver) -> None:
    async with courier(database, webhook(receiver)):
        client = await add_client(database, "Before")
        await queue(database, await add_alert(database, client))
        claims: list[sending.Claim] = []
        for _ in range(2):
            async with database.begin() as session:
                claims += await sending.claim(session, "ops")
            await pass_time(database, sending.LEASE)
        assert [(claim.attempt, claim.body) for claim in claims] == [(1, None), (2, None)]
        bodies = []
        for claim in claims:
            async with database.begin() as session:
                bodies.append(await sending.body_of(session, claim, PUBLIC_URL))
                await session.execute(text("UPDATE clients SET name = 'After'"))
    assert orjson.loads(bodies[0])["data"]["client"]["name"] == "Before"
    assert bodies[1] == bodies[0]
    assert await rows_of(database, "SELECT body FROM deliveries") == [(bodies[0].decode(),)]


async def test_a_mail_belongs_to_its_worker_for_as_long_as_it_can_be_sent(database: Database) -> None:
    async with mailing() as mailbox:
        mailbox.delay = 0.2
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example"
        channel = Channel("team", ChannelKind.APPRISE, url, mode=ChannelMode.EACH)
        async with courier(database, channel) as running:
            await queue(database, await add_alert(database))
            running.nudge("team")
            lease = "SELECT extract(epoch FROM lease_until - clock_timestamp())::float8 FROM deliveries"
            async with asyncio.timeout(60):
                await mailbox.called.wait()
            assert mailbox.mails == []
            [(seconds,)] = await rows_of(database, lease)
            assert 170 < seconds <= 180
            # Should its worker die, then the pause is no shorter.
            assert 170 < await due_in(database) <= 180
            await running.idle()
    assert len(mailbox.mails) == 1
    assert await statuses(database) == [("team", "DELIVERED", 1)]


async def test_workers_that_always_die_use_up_the_attempts(database: Database, receiver: Receiver) -> None:
    async with courier(database, webhook(receiver)):
        await queue(database, await add_alert(database))
        for number in range(1, 13):
            async with database.begin() as session:
                claimed = await sending.claim(session, "ops")
                assert len(claimed) == int(number <= 11)
            # The pauses are those of failures, though nobody was there to set them.
            pause = max(rules.DELAYS[min(number, 10) - 1], sending.LEASE).total_seconds()
            if number <= 11:
                assert pause - 2 < await due_in(database) <= pause
            await pass_time(database, timedelta(hours=24))
        async with database.begin() as session:
            assert await service.give_up(session) == 1
            assert await service.give_up(session) == 0
    found = await rows_of(database, "SELECT status, reason FROM deliveries")
    assert found == [("FAILED", "None of the 11 attempts came to an end; the log has the details.")]
    assert receiver.requests == []


@pytest.mark.parametrize(
    ("state", "why"),
    [
        ("configured = false", "since ALERT_CHANNELS names its channel no longer."),
        ("disabled_at = now()", "since its receiver has disabled the channel and nobody enabled it."),
        ("nudged_at = now()", "since no worker or scheduler was running that knows its channel."),
    ],
)
async def test_what_nobody_could_send_for_a_week_is_given_up(
    database: Database, receiver: Receiver, state: str, why: str
) -> None:
    async with courier(database, webhook(receiver), webhook(receiver, "daily", ChannelMode.DIGEST)):
        await queue(database, await add_alert(database))
        async with database.begin() as session:
            await session.execute(text(f"UPDATE channels SET {state}"))
        await pass_time(database, timedelta(days=6, hours=23))
        async with database.begin() as session:
            assert await service.give_up(session) == 0
        await pass_time(database, timedelta(hours=2))
        async with database.begin() as session:
            assert await service.give_up(session) == 2
            assert await service.give_up(session) == 0
    found = await rows_of(database, "SELECT channel, status, reason FROM deliveries ORDER BY channel")
    reason = f"It was not sent within a week, {why}"
    assert found == [("daily", "FAILED", reason), ("ops", "FAILED", reason)]
    assert receiver.requests == []
