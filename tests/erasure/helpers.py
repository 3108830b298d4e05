"""Clients with everything that names them, and looking for their names wherever the database keeps text."""

from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import text

from app.database import Database
from app.events.partitions import ensure
from tests.delivery.helpers import add_alert, add_channel
from tests.factories import (
    add_campaign,
    add_case,
    add_client,
    add_client_feature,
    add_login,
    add_member,
    add_response,
    add_rows,
    add_score,
    add_ticket,
    rows_of,
    utc,
)

DAY = date(2026, 3, 30)
NOON = utc("2026-03-30T12:00")
NOW = datetime(2026, 3, 31, 9, tzinfo=UTC)

TEXTS = """
    SELECT table_name, column_name FROM information_schema.columns JOIN information_schema.tables
    USING (table_schema, table_name) WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
    AND table_name <> 'alembic_version' AND data_type IN ('text', 'character varying', 'jsonb', 'ARRAY')
    ORDER BY 1, 2
"""


async def tables_naming(database: Database, *words: str) -> list[str]:
    """Return every column that holds one of the words, as `table.column`, in whatever table there is."""
    found = []
    async with database.read() as connection:
        for table, column in (await connection.execute(text(TEXTS))).all():
            query = f'SELECT count(*) FROM "{table}" WHERE strpos("{column}"::text, :word) > 0'
            counts = [(await connection.execute(text(query), {"word": word})).scalar_one() for word in words]
            if any(counts):
                found.append(f"{table}.{column}")
    return found


async def row_counts(database: Database, client_id: int) -> dict[str, int]:
    """Return how many rows each table has that names a client by its number."""
    statement = (
        "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'client_id'"
    )
    tables = [name for (name,) in await rows_of(database, f"{statement} ORDER BY 1")]
    counts = {}
    for table in tables:
        ((number,),) = await rows_of(
            database, f"SELECT count(*) FROM {table} WHERE client_id = :client_id", client_id=client_id
        )
        counts[table] = number
    return counts


async def add_event(database: Database, message_id: str, client: str | None, member: str | None) -> None:
    """Add a message of DAY, or of the day before if its id begins with `earlier`."""
    day = DAY if not message_id.startswith("earlier") else date(2026, 3, 29)
    async with database.begin() as session:
        await ensure(session, [day])
    row = {"day": day, "message_id": message_id, "at": NOON, "received_at": NOON, "type": "TRACK", "name": "Exported"}
    await add_rows(database, "events", [row | {"client": client, "member": member}])


async def add_busy_client(database: Database, external_id: str = "acme-1", name: str = "Acme Corp") -> int:
    """Add a client with two members, `ann` and `bob` behind its own id, and rows in every table that tells of it."""
    client = await add_client(
        database,
        name,
        external_id=external_id,
        size="SMB",
        industry="FINANCIAL",
        engagement_model="HIGH_TOUCH",
        owner="csm@example.com",
        customer_since=date(2025, 1, 1),
        renewal_date=date(2026, 12, 31),
        annual_value=1000,
        alerts_enabled=True,
        alerts_snoozed_until=NOW,
        last_activity_at=NOON,
        traits_at=NOON,
        scored_day=DAY,
        score=30,
        light="RED",
        risk="HIGH",
    )
    campaign = await add_campaign(database, client, external_id=f"{external_id}-C", name=f"{name} review")
    for member in ("ann", "bob"):
        key = await add_member(database, client, external_id=f"{external_id}-{member}")
        for hour in range(3):
            await add_login(database, client, NOON.replace(hour=hour), key)
        await add_response(database, client, NOON, campaign_id=campaign, member_id=key)
        await add_event(database, f"{external_id}-{member}", external_id, f"{external_id}-{member}")
        await add_event(database, f"earlier-{external_id}-{member}", None, f"{external_id}-{member}")
    await add_event(database, f"{external_id}-alone", external_id, None)
    await add_case(database, client, external_id=f"{external_id}-K", closed_at=NOON)
    await add_client_feature(database, client, first_used_at=NOON)
    await add_ticket(database, client, external_id=f"{external_id}-T", opened_at=NOON)
    await add_rows(
        database, "activity_days", [{"client_id": client, "day": DAY, "events": 3, "first_at": NOON, "last_at": NOON}]
    )
    await add_rows(database, "client_feeds", [{"client_id": client, "kind": "LOGINS", "last_received_at": NOON}])
    await add_rows(database, "late_days", [{"client_id": client, "day": DAY, "noted_at": NOON}])
    figures = ("active_users", "logins", "session_minutes", "cases_created", "cases_resolved", "cases_resolved_on_time")
    recorded = dict.fromkeys((*figures, "campaign_responses", "support_tickets"), 2)
    await add_rows(database, "daily_metrics", [recorded | {"client_id": client, "day": DAY}])
    await add_score(database, client, DAY, 30)
    await add_alerts(database, client, name)
    await add_rejected(database, external_id)
    return client


async def add_rejected(database: Database, external_id: str) -> None:
    """Add an upload whose rejected rows name the client, one of its members, and somebody else."""
    upload = {"started_at": NOON, "kind": "logins", "format": "CSV", "unknown_columns": []}
    (number,) = await add_rows(database, "uploads", [upload])
    rows = [
        {"reason": "at is missing", "content": f'["{external_id}", "{external_id}-ann", ""]'},
        {"reason": f'client "{external_id}" is not known', "content": '["'},
        {"reason": "at is missing", "content": '["other-of-no-client", "ann", ""]'},
    ]
    await add_rows(
        database, "rejected_rows", [row | {"upload_id": number, "line": line} for line, row in enumerate(rows)]
    )


async def add_alerts(database: Database, client: int, name: str) -> None:
    """Add an alert with a cause, a verdict, a note, and a delivery with an attempt, by itself and in a digest."""
    if not await rows_of(database, "SELECT name FROM channels"):
        await add_channel(database)
    alert = await add_alert(database, client, about=NOON)
    async with database.begin() as session:
        values = {"id": alert, "message": f"{name}: its risk became high.", "note": f"I called {name}."}
        await session.execute(text("UPDATE alerts SET message = :message, note = :note WHERE id = :id"), values)
    cause = {"alert_id": alert, "component": "LOGIN", "points_before": 20, "points_after": 5, "explanation": "1 of 2."}
    await add_rows(database, "alert_causes", [cause])
    verdict = {"alert_id": alert, "subject": "csm@example.com", "verdict": "USEFUL", "given_at": NOON}
    await add_rows(database, "alert_feedback", [verdict])
    sent = {"kind": "ALERT", "channel": "ops", "status": "DELIVERED", "next_attempt_at": NOON, "finished_at": NOON}
    body = {"body": f'{{"name": "{name}"}}', "attempt": 1}
    (delivery,) = await add_rows(database, "deliveries", [sent | body | {"alert_id": alert}])
    await add_rows(database, "delivery_attempts", [attempt_of(delivery, name)])
    run = {"kind": "REPLAY_ALERTS", "status": "SUCCEEDED", "requested_by": "anna", "requested_at": NOON}
    (replay,) = await add_rows(database, "runs", [run])
    await add_rows(database, "alert_replay_clients", [{"run_id": replay, "client_id": client, "alerts": 1}])


def attempt_of(delivery: int, name: str) -> dict[str, Any]:
    """Return an attempt whose receiver has repeated what it got."""
    return {
        "delivery_id": delivery,
        "number": 1,
        "started_at": NOON,
        "finished_at": NOON,
        "outcome": "DELIVERED",
        "http_status": 200,
        "answer": f"Thank you for telling us of {name}",
    }
