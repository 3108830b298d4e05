"""The alerts of hundreds of random clients against the oracle, calculation by calculation."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Row, text

from app.alerts.service import acknowledge
from app.database import Database
from app.health.service import score_day
from app.ingest.service import import_path
from tests.oracle.alerts import Account, Alert, follow_everybody, open_accounts
from tests.oracle.compare import assert_no_differences
from tests.oracle.facts import Campaign, Case, Client, Facts, World
from tests.oracle.files import write_world
from tests.oracle.spec import end_of, midnight
from tests.oracle.worlds import TICK, make_world

CLIENTS = 150
SWINGING = 100
GAPS = (1, 1, 1, 3, 7, 12, 31)


def scoring_days(random: Random) -> list[date]:
    """Return nine days, some side by side and some a window apart."""
    days = [date(2024, 1, 20)]
    for _ in range(8):
        days.append(days[-1] + timedelta(days=random.choice(GAPS)))
    return days


def calculations(random: Random, days: list[date]) -> list[tuple[datetime, datetime]]:
    """Return what is calculated one after the other, each as of when, and when.

    Some days are calculated at noon as well, some twice, and some once more after a later day.
    """
    moments: list[tuple[datetime, datetime]] = []
    for number, day in enumerate(days):
        end = end_of(day)
        if random.random() < 0.5:
            noon = end - timedelta(hours=12)
            moments.append((noon, noon + timedelta(minutes=1)))
        moments.append((end, end + timedelta(hours=2)))
        if random.random() < 0.3:
            moments.append((end, end + timedelta(hours=3)))
        if number and random.random() < 0.3:
            moments.append((end_of(random.choice(days[:number])), end + timedelta(hours=4)))
    return moments


def swinging(external_id: str, random: Random, days: list[date]) -> Facts:
    """Return a client that does well on most days: what closes on each of them moves its score up or down."""
    facts = Facts(Client(external_id, f"Swinging {external_id}", alerts_enabled=random.random() < 0.9))
    for number, day in enumerate(days):
        if random.random() < 0.8:
            at = midnight(day) + timedelta(hours=random.choice((6, 18)))
            completed = random.choice((100, 100, 98, 92, 86, 80, 60, 20, 0))
            facts.campaigns.append(Campaign(external_id, f"camp-{number}", None, "OTHER", 100, completed, at))
            for case in range(random.choice((1, 2, 6))):
                late = random.random() < 0.2
                facts.cases.append(Case(external_id, f"case-{number}-{case}", None, at, at - TICK if late else None))
    return facts


async def load(database: Database, world: World, folder: Path, snoozes: Mapping[str, datetime]) -> dict[str, int]:
    """Import the world, snooze, and return the database's ids by external id."""
    await asyncio.to_thread(write_world, world, folder)
    report = await import_path(database, folder, now=datetime.now(UTC))
    assert report.exit_code == 0, report
    async with database.begin() as session:
        for external_id, until in snoozes.items():
            await session.execute(
                text("UPDATE clients SET alerts_snoozed_until = :until WHERE external_id = :id"),
                {"until": until, "id": external_id},
            )
        return {row.external_id: row.id for row in await session.execute(text("SELECT id, external_id FROM clients"))}


async def stored(database: Database) -> dict[str, list[Row[Any]]]:
    """Return the alerts of each client, in the order in which they were raised."""
    found: dict[str, list[Row[Any]]] = {}
    async with database.read() as connection:
        statement = "SELECT c.external_id, a.* FROM alerts AS a JOIN clients AS c ON c.id = client_id ORDER BY a.id"
        for row in await connection.execute(text(statement)):
            found.setdefault(row.external_id, []).append(row)
    return found


def of_oracle(alert: Alert) -> tuple[object, ...]:
    return (
        *(alert.kinds[0], alert.kinds, alert.day, alert.score_before, alert.score_after),
        *(alert.status, alert.raised_at, alert.resolved_at),
    )


def of_product(row: Row[Any]) -> tuple[object, ...]:
    return (
        *(row.kind, tuple(row.kinds), row.day, row.score_before, row.score_after),
        *(row.status, row.raised_at, row.resolved_at),
    )


def differences(accounts: Mapping[str, Account], rows: Mapping[str, list[Row[Any]]], as_of: datetime) -> list[str]:
    found = []
    for external_id, account in accounts.items():
        product = [of_product(row) for row in rows.get(external_id, [])]
        expected = [of_oracle(alert) for alert in account.alerts]
        if product != expected:
            found.append(f"{external_id} as of {as_of}: {product} expected {expected}")
    return found


async def acknowledge_some(database: Database, random: Random, accounts: Mapping[str, Account], now: datetime) -> None:
    """Acknowledge a fifth of what is open, on both sides."""
    rows = await stored(database)
    for external_id, account in accounts.items():
        for alert, row in zip(account.alerts, rows.get(external_id, []), strict=True):
            if alert.status == "OPEN" and random.random() < 0.2:
                alert.status = "ACKNOWLEDGED"
                async with database.begin() as session:
                    await acknowledge(session, row.id, note=None, actor="oracle", now=now, request_id=None)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_alert_is_the_oracles_after_every_calculation(
    database: Database, tmp_path: Path, seed: int
) -> None:
    random = Random(seed)  # noqa: S311 - A world must be repeatable, not unpredictable.
    days = scoring_days(random)
    moments = calculations(random, days)
    world = make_world(seed + 100, days, CLIENTS)
    for number in range(SWINGING):
        world.add(swinging(f"swing-{number}", random, days))
    until = [calculated_at + shift for _, calculated_at in moments for shift in (-TICK, timedelta(0), TICK)]
    snoozes = {external_id: random.choice(until) for external_id in world.clients if random.random() < 0.2}
    await load(database, world, tmp_path, snoozes)
    accounts = open_accounts(world, snoozes)
    for as_of, calculated_at in moments:
        await score_day(database, as_of, calculated_at)
        follow_everybody(world, accounts, as_of=as_of, calculated_at=calculated_at)
        assert_no_differences(differences(accounts, await stored(database), as_of))
        await acknowledge_some(database, random, accounts, calculated_at)
    # The comparison is worth something: every kind of alert came up, and every fate.
    alerts = [alert for account in accounts.values() for alert in account.alerts]
    kinds, statuses = Counter(alert.kinds for alert in alerts), Counter(alert.status for alert in alerts)
    assert {kind for kinds_ in kinds for kind in kinds_[:1]} == {"RISK_HIGH", "LIGHT_WORSENED", "SCORE_DROP"}
    assert min(statuses[status] for status in ("OPEN", "ACKNOWLEDGED", "RESOLVED")) >= 3, statuses
    assert sum(account.kept_quiet for account in accounts.values()) >= 3
    assert any(alert.light_after == "GREEN" for alert in alerts)
    assert max(len(account.alerts) for account in accounts.values()) >= 2
