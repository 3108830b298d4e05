"""Which deliveries an alert gets, and what becomes of those that are held."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from app.database import Database
from app.delivery import service
from tests.delivery.helpers import add_alert, add_channel
from tests.factories import add_client, add_rows, rows_of

ROWS = "SELECT channel, recipient, digest, status FROM deliveries ORDER BY channel, recipient, id"
HELD = "SELECT kind, channel, run_id, details, status FROM deliveries ORDER BY channel"


async def queue(database: Database, *alert_ids: int, held: bool = False) -> int:
    async with database.begin() as session:
        return await service.queue(session, alert_ids, held=held)


@pytest.mark.parametrize(
    ("routing", "taken"),
    [
        ({}, True),
        ({"engagement_models": ["HIGH_TOUCH"]}, True),
        ({"engagement_models": ["PLG"]}, False),
        ({"engagement_models": ["PLG", "HIGH_TOUCH"]}, True),
        ({"risks": ["HIGH"]}, True),
        ({"risks": ["LOW", "MEDIUM"]}, False),
        ({"engagement_models": ["HIGH_TOUCH"], "risks": ["LOW"]}, False),
        ({"configured": False}, False),
        # A disabled channel goes on collecting what it is to be told when it is enabled again.
        ({"disabled_at": datetime(2026, 1, 1, tzinfo=UTC)}, True),
    ],
)
async def test_a_channel_takes_what_is_routed_to_it(database: Database, routing: dict[str, Any], taken: bool) -> None:
    await add_channel(database, **routing)
    client = await add_client(database, engagement_model="HIGH_TOUCH", risk="HIGH")
    assert await queue(database, await add_alert(database, client)) == int(taken)
    assert await rows_of(database, ROWS) == [("ops", "", False, "PENDING")] * taken


@pytest.mark.parametrize(
    ("mode", "engagement_model", "digest"),
    [
        ("EACH", "HIGH_TOUCH", False),
        ("EACH", "PLG", False),
        ("DIGEST", "HIGH_TOUCH", True),
        ("DIGEST", "PLG", True),
        (None, "HIGH_TOUCH", False),
        (None, "PLG", True),
    ],
)
async def test_product_led_accounts_wait_for_the_digest_unless_the_channel_says_otherwise(
    database: Database, mode: str | None, engagement_model: str, digest: bool
) -> None:
    await add_channel(database, mode=mode)
    alert = await add_alert(database, await add_client(database, engagement_model=engagement_model))
    assert await queue(database, alert, held=True) == 1
    assert await rows_of(database, ROWS) == [("ops", "", digest, "HELD")]
    async with database.begin() as session:
        assert await service.release(session, [alert]) == 1
    assert await rows_of(database, ROWS) == [("ops", "", digest, "WAITING" if digest else "PENDING")]


@pytest.mark.parametrize(
    ("owner", "told"),
    [
        ("amara@csm.example", True),
        (None, False),
        ("", False),
        ("Amara", False),
        ("a@b.example,c@d.example", False),
        ("a@b.example\nBcc: c@d.example", False),
        ("a b@c.example", False),
        ('"a"@b.example', False),
    ],
)
async def test_only_one_address_is_an_owner_that_can_be_told(database: Database, owner: str | None, told: bool) -> None:
    await add_channel(database, to_owner=True)
    alert = await add_alert(database, await add_client(database, owner=owner))
    assert await queue(database, alert) == int(told)
    assert await rows_of(database, ROWS) == [("ops", owner, False, "PENDING")] * told


async def test_several_alerts_go_to_several_channels_once_each(database: Database) -> None:
    await add_channel(database, "a")
    await add_channel(database, "b", mode="DIGEST")
    alerts = [await add_alert(database) for _ in range(3)]
    assert await queue(database, *alerts) == 6
    assert await queue(database, *alerts) == 0
    assert await rows_of(database, ROWS) == [("a", "", False, "PENDING")] * 3 + [("b", "", True, "WAITING")] * 3
    assert await rows_of(database, "SELECT count(DISTINCT message_id), max(attempt) FROM deliveries") == [(6, 0)]


async def test_an_alert_about_a_day_long_gone_is_nobodys_news(database: Database) -> None:
    await add_channel(database)
    now = datetime.now(UTC)
    old = await add_alert(database, about=now - timedelta(days=3, minutes=1))
    new = await add_alert(database, about=now - timedelta(days=2, hours=23))
    assert await queue(database, old, new) == 1
    assert await rows_of(database, "SELECT alert_id FROM deliveries") == [(new,)]


async def test_what_the_transaction_loses_is_not_delivered(database: Database) -> None:
    await add_channel(database)
    alert = await add_alert(database)

    async def fail_after_queueing() -> None:
        async with database.begin() as session:
            assert await service.queue(session, [alert], held=False) == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_queueing()
    assert await rows_of(database, ROWS) == []


async def test_only_what_is_held_is_released_or_discarded_and_only_once(database: Database) -> None:
    await add_channel(database)
    held, other, sent = [await add_alert(database) for _ in range(3)]
    await queue(database, held, other, held=True)
    await queue(database, sent)
    async with database.begin() as session:
        await session.execute(text("UPDATE deliveries SET status = 'DELIVERED' WHERE alert_id = :id"), {"id": sent})
        assert await service.discard(session, [held, sent], reason="No news.") == 1
        assert await service.release(session, [held, sent, other]) == 1
        assert await service.discard(session, [held, sent, other], reason="Late.") == 0
    found = await rows_of(
        database, "SELECT alert_id, status, finished_at IS NOT NULL, reason FROM deliveries ORDER BY 1"
    )
    assert found == [
        (held, "DISCARDED", True, "No news."),
        (other, "PENDING", False, None),
        (sent, "DELIVERED", False, None),
    ]


async def test_who_takes_all_is_told_once_that_a_runs_alerts_are_held(database: Database) -> None:
    await add_channel(database, "all")
    await add_channel(database, "digest", mode="DIGEST")
    await add_channel(database, "gone", configured=False)
    await add_channel(database, "owners", to_owner=True)
    await add_channel(database, "risky", risks=["HIGH"])
    await add_channel(database, "touched", engagement_models=["HIGH_TOUCH"])
    run = {"kind": "RECALCULATE_ALL", "status": "RUNNING", "requested_by": "ann", "requested_at": datetime.now(UTC)}
    [run_id] = await add_rows(database, "runs", [run])
    for expected in (2, 0):
        async with database.begin() as session:
            assert await service.tell_held(session, run_id, alerts=30, clients=100) == expected
    details = {"alerts": 30, "clients": 100}
    assert await rows_of(database, HELD) == [
        ("HELD", "all", run_id, details, "PENDING"),
        ("HELD", "digest", run_id, details, "PENDING"),
    ]
