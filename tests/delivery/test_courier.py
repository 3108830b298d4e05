"""A courier with a real database and real receivers: what is sent, tried again, given up, and by whom."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.database import Database
from app.delivery import rules, sending, service
from app.delivery.channels import Channel
from app.delivery.models import ChannelKind, ChannelMode
from app.errors import NotFound
from app.graphql.pagination import global_id
from tests.delivery.couriers import (
    KEY,
    PUBLIC_URL,
    attempts,
    courier,
    due_in,
    pass_time,
    queue,
    run_through,
    sent,
    statuses,
    webhook,
)
from tests.delivery.helpers import add_alert
from tests.delivery.mail import mailing
from tests.delivery.receiver import Receiver, answer, receiving
from tests.factories import add_client, add_rows, rows_of

DOWN = answer("503 Down", b"come back later")
SHORT = timedelta(milliseconds=300)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def closed_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_an_alert_arrives_with_what_happened_why_and_where_to_look(
    database: Database, receiver: Receiver
) -> None:
    client = await add_client(
        database, "Ibexia Hotels", external_id="ibx", owner="amara@csm.example", engagement_model="HIGH_TOUCH"
    )
    alert = await add_alert(database, client)
    levels = {"before": ("GREEN", "LOW"), "after": ("RED", "HIGH")}
    async with database.begin() as session:
        for when, (light, risk) in levels.items():
            await session.execute(text(f"UPDATE alerts SET light_{when} = '{light}', risk_{when} = '{risk}'"))
    causes = [("CASE_RESOLUTION", "25.0", "0.0", "0 of 4 cases."), ("LOGIN", "18.5", "3.5", "1 of 6 members.")]
    await add_rows(
        database,
        "alert_causes",
        [
            {"alert_id": alert, "component": key, "points_before": was, "points_after": now, "explanation": why}
            for key, was, now, why in causes
        ],
    )
    async with courier(database, webhook(receiver)) as running:
        await queue(database, alert)
        await run_through(running)
    [(message_id, raised_at, created_at)] = await rows_of(
        database, "SELECT d.message_id, a.raised_at, d.created_at FROM deliveries AS d JOIN alerts AS a ON true"
    )
    assert sent(receiver) == [
        {
            "type": "alert.raised",
            "timestamp": created_at.isoformat().replace("+00:00", "Z"),
            "data": {
                "id": global_id("Alert", alert),
                "client": {
                    "id": global_id("Client", client),
                    "externalId": "ibx",
                    "name": "Ibexia Hotels",
                    "owner": "amara@csm.example",
                    "engagementModel": "HIGH_TOUCH",
                },
                "score": {"before": 70, "after": 30},
                "light": {"before": "GREEN", "after": "RED"},
                "risk": {"before": "LOW", "after": "HIGH"},
                "kinds": ["RISK_HIGH", "SCORE_DROP"],
                "causes": [
                    {
                        "component": "CASE_RESOLUTION",
                        "pointsBefore": 25.0,
                        "pointsAfter": 0.0,
                        "change": -25.0,
                        "explanation": "0 of 4 cases.",
                    },
                    {
                        "component": "LOGIN",
                        "pointsBefore": 18.5,
                        "pointsAfter": 3.5,
                        "change": -15.0,
                        "explanation": "1 of 6 members.",
                    },
                ],
                "message": "Acme: its risk became high and its score fell by 40 points (score 70 before, 30 now).",
                "raisedAt": raised_at.isoformat().replace("+00:00", "Z"),
                "link": f"{PUBLIC_URL}/clients/{global_id('Client', client)}",
            },
        }
    ]
    [request] = receiver.requests
    assert request.headers["webhook-id"] == f"msg_{message_id.hex}"
    timestamp = int(request.headers["webhook-timestamp"])
    assert abs(timestamp - time.time()) < 10
    signature = rules.signatures([KEY], request.headers["webhook-id"], timestamp, request.body)
    assert request.headers["webhook-signature"] == signature
    assert await statuses(database) == [("ops", "DELIVERED", 1)]
    assert await attempts(database) == [(1, "DELIVERED", 200, "ok", None)]


async def test_what_failed_comes_again_later_with_the_same_id_and_content(
    database: Database, receiver: Receiver
) -> None:
    receiver.answers = [DOWN, b"nonsense\r\n\r\n", answer("302 Found", b"\0\xff", "Location: /x")]
    client = await add_client(database, "Before")
    async with courier(database, webhook(receiver)) as running:
        await queue(database, await add_alert(database, client))
        for number, base in enumerate((10, 60, 300), 1):
            await run_through(running)
            assert await statuses(database) == [("ops", "PENDING", number)]
            assert 0.8 * base - 1 < await due_in(database) <= 1.2 * base
            # Nothing is sent before it is due.
            await run_through(running)
            assert len(receiver.requests) == number
            await pass_time(database, timedelta(seconds=1.2 * base))
            async with database.begin() as session:
                await session.execute(text("UPDATE clients SET name = 'After'"))
        await run_through(running)
        await run_through(running)
    assert await statuses(database) == [("ops", "DELIVERED", 4)]
    assert await attempts(database) == [
        (1, "REFUSED", 503, "come back later", "The receiver answered with the status 503."),
        (2, "UNREACHABLE", None, "nonsense\r\n\r\n", "What the receiver answered is not HTTP."),
        (3, "REFUSED", 302, "\ufffd\ufffd", "The receiver answered with the status 302. Redirects are not followed."),
        (4, "DELIVERED", 200, "ok", None),
    ]
    assert len({(request.headers["webhook-id"], request.body) for request in receiver.requests}) == 1
    assert {message["data"]["client"]["name"] for message in sent(receiver)} == {"Before"}


async def test_eleven_failures_are_the_end(database: Database, receiver: Receiver) -> None:
    receiver.then = DOWN
    async with courier(database, webhook(receiver)) as running:
        await queue(database, await add_alert(database))
        for _ in range(15):
            await run_through(running)
            await pass_time(database, timedelta(hours=29))
    assert len(receiver.requests) == 11
    reason = "All 11 attempts failed. The receiver answered with the status 503."
    found = await rows_of(database, "SELECT status, attempt, reason, finished_at IS NOT NULL FROM deliveries")
    assert found == [("FAILED", 11, reason, True)]
    assert [row[0] for row in await attempts(database)] == list(range(1, 12))


async def test_a_receiver_that_asks_to_be_left_alone_is(database: Database, receiver: Receiver) -> None:
    receiver.answers = [answer("429 Slow down", b"", "Retry-After: 7200")]
    async with courier(database, webhook(receiver)) as running:
        await queue(database, await add_alert(database))
        await run_through(running)
    assert 7195 < await due_in(database) <= 7200


async def test_a_receiver_that_is_gone_disables_its_channel_and_no_other(
    database: Database, receiver: Receiver
) -> None:
    receiver.then = answer("410 Gone")
    async with receiving() as other, courier(database, webhook(receiver), webhook(other, "other")) as running:
        for _ in range(3):
            await queue(database, await add_alert(database))
            await run_through(running, "ops", "other")
            await pass_time(database, timedelta(days=1))
        assert (len(receiver.requests), len(other.requests)) == (1, 3)
        disabled = "SELECT name, disabled_at IS NOT NULL, disabled_reason FROM channels ORDER BY name"
        gone = "The receiver answered with the status 410."
        assert await rows_of(database, disabled) == [("ops", True, gone), ("other", False, None)]
        # What has been raised meanwhile waits; enabling the channel sends it.
        receiver.then = answer("200 OK")
        now = datetime.now(UTC)
        for _ in range(2):
            async with database.begin() as session:
                await service.enable(session, "ops", actor="ann", now=now, request_id=None)
        await run_through(running)
        assert len(receiver.requests) == 4
        assert await rows_of(database, "SELECT DISTINCT status FROM deliveries") == [("DELIVERED",)]
    changes = {"channel": [None, "ops"], "disabled_reason": [gone, None]}
    audited = await rows_of(database, "SELECT actor, action, changes FROM audit_events")
    assert audited == [("ann", "CHANNEL_ENABLED", changes)]


@pytest.mark.parametrize("name", ["nobody", "gone"])
async def test_only_a_configured_channel_can_be_enabled(database: Database, receiver: Receiver, name: str) -> None:
    async with courier(database, webhook(receiver, "gone")):
        pass
    async with courier(database, webhook(receiver)), database.begin() as session:
        with pytest.raises(NotFound, match="There is no channel with this name"):
            await service.enable(session, name, actor="ann", now=datetime.now(UTC), request_id=None)
    assert await rows_of(database, "SELECT count(*) FROM audit_events") == [(0,)]


async def test_another_url_enables_a_channel_and_another_routing_does_not(
    database: Database, receiver: Receiver
) -> None:
    receiver.then = answer("410 Gone")
    disabled = "SELECT mode, disabled_at IS NOT NULL FROM channels"
    async with courier(database, webhook(receiver)) as running:
        await queue(database, await add_alert(database))
        await run_through(running)
    async with courier(database, webhook(receiver, mode=ChannelMode.DIGEST)):
        assert await rows_of(database, disabled) == [("DIGEST", True)]
    async with receiving() as moved, courier(database, webhook(moved)) as running:
        assert await rows_of(database, disabled) == [("EACH", False)]
        await pass_time(database, timedelta(minutes=1))
        await run_through(running)
        assert len(moved.requests) == 1
    assert await statuses(database) == [("ops", "DELIVERED", 2)]


async def test_a_late_goodbye_of_an_old_receiver_does_not_disable_the_new_one(
    database: Database, receiver: Receiver
) -> None:
    receiver.then = answer("410 Gone")
    async with receiving() as moved, courier(database, webhook(receiver)) as old, courier(database, webhook(moved)):
        await queue(database, await add_alert(database))
        await run_through(old)
    assert len(receiver.requests) == 1
    assert await rows_of(database, "SELECT disabled_at FROM channels") == [(None,)]


async def test_a_channel_that_is_dead_delays_no_other_and_has_few_under_way(
    database: Database, receiver: Receiver
) -> None:
    async with receiving() as silent:
        silent.then, silent.linger = b"", True
        async with courier(database, webhook(silent, "dead"), webhook(receiver)) as running:
            alerts = [await add_alert(database) for _ in range(40)]
            await queue(database, *alerts)
            started = time.monotonic()
            running.nudge("dead")
            running.nudge("ops")
            while len(receiver.requests) < 40:
                assert time.monotonic() - started < 8
                await asyncio.sleep(0.01)
            leased = "SELECT channel, count(*) FROM deliveries WHERE lease_until > clock_timestamp() GROUP BY channel"
            assert dict(await rows_of(database, leased))["dead"] == sending.IN_FLIGHT
            # A second worker does not add to them.
            async with courier(database, webhook(silent, "dead"), webhook(receiver)) as second:
                await run_through(second, "dead")
            assert silent.connections == sending.IN_FLIGHT
    delivered = await rows_of(
        database, "SELECT channel, count(*) FROM deliveries WHERE status = 'DELIVERED' GROUP BY 1"
    )
    assert delivered == [("ops", 40)]


async def test_two_workers_share_and_send_nothing_twice(database: Database, receiver: Receiver) -> None:
    alerts = [await add_alert(database) for _ in range(100)]
    async with courier(database, webhook(receiver)) as first, courier(database, webhook(receiver)) as second:
        await queue(database, *alerts)
        while await rows_of(database, "SELECT id FROM deliveries WHERE status = 'PENDING' LIMIT 1"):
            await asyncio.gather(run_through(first), run_through(second))
    ids = [request.headers["webhook-id"] for request in receiver.requests]
    assert (len(ids), len(set(ids))) == (100, 100)


async def test_a_fault_in_one_message_does_not_keep_the_others_back(database: Database, receiver: Receiver) -> None:
    async with courier(database, webhook(receiver)) as running:
        await queue(database, *[await add_alert(database) for _ in range(3)])
        async with database.begin() as session:
            broken = "UPDATE deliveries SET kind = 'HELD' WHERE id = (SELECT min(id) FROM deliveries)"
            await session.execute(text(broken))
        await run_through(running)
        assert len(receiver.requests) == 2
        assert await statuses(database) == [
            ("ops", "PENDING", 1),
            ("ops", "DELIVERED", 1),
            ("ops", "DELIVERED", 1),
        ]
        assert await due_in_first(database) > 25


async def due_in_first(database: Database) -> float:
    """Return in how many seconds the first delivery is due."""
    [(seconds,)] = await rows_of(
        database,
        "SELECT extract(epoch FROM next_attempt_at - clock_timestamp())::float8 FROM deliveries ORDER BY id LIMIT 1",
    )
    return float(seconds)


async def test_a_channel_of_another_configuration_is_left_alone(database: Database, receiver: Receiver) -> None:
    async with courier(database, webhook(receiver)):
        await queue(database, await add_alert(database))
    async with courier(database, webhook(receiver, "other")) as running:
        await run_through(running, "ops", "nobody")
    assert receiver.requests == []
    assert await statuses(database) == [("ops", "PENDING", 0)]


async def test_a_nudge_goes_to_each_channel_on_which_something_is_due(database: Database, receiver: Receiver) -> None:
    async with courier(database, webhook(receiver), webhook(receiver, "idle"), webhook(receiver, "later")):
        alert = await add_alert(database)
        await queue(database, alert)
        async with database.begin() as session:
            await session.execute(text("DELETE FROM deliveries WHERE channel = 'idle'"))
            later = (
                "UPDATE deliveries SET next_attempt_at = clock_timestamp() + interval '1 hour' WHERE channel = 'later'"
            )
            await session.execute(text(later))

        async def nudged() -> list[str]:
            async with database.begin() as session:
                return await service.nudge(session, after=timedelta(minutes=1))

        assert await nudged() == ["ops"]
        assert await nudged() == []
        await pass_time(database, timedelta(minutes=2))
        assert await nudged() == ["ops"]
        await pass_time(database, timedelta(hours=2))
        async with database.begin() as session:
            await session.execute(text("UPDATE channels SET disabled_at = clock_timestamp() WHERE name = 'ops'"))
        assert await nudged() == ["later"]


@pytest.mark.parametrize("owner", ["amara@csm.example"])
async def test_an_owner_gets_a_mail(database: Database, owner: str) -> None:
    async with mailing() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example"
        channel = Channel("owners", ChannelKind.APPRISE, url, to_owner=True)
        client = await add_client(database, "Acme", owner=owner, engagement_model="HIGH_TOUCH")
        async with courier(database, channel) as running:
            await queue(database, await add_alert(database, client), await add_alert(database))
            await run_through(running, "owners")
    [mail] = mailbox.mails
    assert mail.recipients == [owner]
    assert mail.message["subject"] == "Acme: score 70 to 30"
    assert mail.message.get_content().splitlines() == [
        "Acme: its risk became high and its score fell by 40 points (score 70 before, 30 now).",
        f"{PUBLIC_URL}/clients/{global_id('Client', client)}",
    ]
    assert await statuses(database) == [("owners", "DELIVERED", 1)]


@pytest.mark.parametrize(
    ("path", "answered"),
    [
        (None, None),
        (
            "/hooks/hunter2-%7e-hunter2?key=hunter2&other=hunter2",
            "Cannot POST [url]\n[url]?key=[url]&amp;other=[url]\n[url]\n{'key': '[url]', 'other': '[url]'}",
        ),
        # The 500 bytes that are kept end in the middle of what must not be.
        (f"/hooks/{'hunter2' * 30}", "Cannot POST [url]\n[url]\n[url]"),
        (f"/hooks/{'hunter2' * 100}", "Cannot POST [url]"),
    ],
)
async def test_nothing_of_a_channels_url_reaches_the_database_or_the_log(
    database: Database, receiver: Receiver, capfd: pytest.CaptureFixture[str], path: str | None, answered: str | None
) -> None:
    receiver.echo = True
    host = f"127.0.0.1:{closed_port() if path is None else receiver.port}"
    url = f"http://{host}{path or '/hunter2?key=hunter2'}"
    secret = Channel("ops", ChannelKind.WEBHOOK, url, (KEY,), mode=ChannelMode.EACH)
    async with courier(database, secret) as running:
        await queue(database, await add_alert(database))
        await run_through(running)
    refused = (1, "UNREACHABLE", None, None, "No connection to the receiver: it was refused.")
    echoed = (1, "REFUSED", 404, answered, "The receiver answered with the status 404.")
    assert await attempts(database) == [refused if path is None else echoed]
    for table in ("channels", "deliveries", "delivery_attempts", "audit_events"):
        for row in await rows_of(database, f"SELECT row_to_json(t)::text FROM {table} AS t"):
            assert "hunter2" not in row[0]
            assert KEY.hex() not in row[0]
    output: Any = capfd.readouterr()
    assert "hunter2" not in output.out + output.err
