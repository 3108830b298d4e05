"""Channels and alerts that a test needs, past their configuration and the scores."""

from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy import insert

from app.database import Database
from app.tables import metadata
from tests.factories import add_client, add_rows


async def add_channel(database: Database, name: str = "ops", **values: Any) -> None:
    """Add a webhook that takes every alert by itself."""
    row = {
        "name": name,
        "kind": "WEBHOOK",
        "mode": "EACH",
        "to_owner": False,
        "digest_at": time(8),
        "fingerprint": b"",
        "configured": True,
    }
    async with database.begin() as session:
        await session.execute(insert(metadata.tables["channels"]), [row | values])


async def add_alert(database: Database, client_id: int | None = None, *, about: datetime | None = None) -> int:
    """Add an open alert, raised now about now, and return its id; without a client given, the client is new."""
    client = client_id
    if client is None:
        client = await add_client(database, risk="HIGH", light="RED", score=30, alerts_enabled=True)
    raised_at = about or datetime.now(UTC)
    row = {
        "client_id": client,
        "day": raised_at.date(),
        "kinds": ["RISK_HIGH", "SCORE_DROP"],
        "kind": "RISK_HIGH",
        "status": "OPEN",
        "message": "Acme: its risk became high and its score fell by 40 points (score 70 before, 30 now).",
        "score_before": 70,
        "score_after": 30,
        "raised_at": raised_at,
    }
    return (await add_rows(database, "alerts", [row]))[0]
