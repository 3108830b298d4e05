"""Events to store in a test's database, and what stands there afterwards."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.database import Database
from app.events import partitions, service
from app.events.facts import read
from app.events.mapping import vocabulary
from app.events.rules import Message
from tests.factories import rows_of

Event = dict[str, Any]

# When the tests' events come in, unless a test says otherwise.
NOW = datetime(2026, 3, 15, 12, 0, tzinfo=UTC)

# What events may write, with every reference by name; the columns of each are in the order of its table.
STORED = {
    "clients": "SELECT external_id, name, name_key, size, industry, owner, customer_since FROM clients",
    "members": "SELECT c.external_id, m.external_id, m.created_at, m.created_at_inferred FROM members AS m "
    "JOIN clients AS c ON c.id = m.client_id",
    "logins": "SELECT c.external_id, m.external_id, l.at, l.duration_minutes FROM logins AS l "
    "JOIN clients AS c ON c.id = l.client_id JOIN members AS m ON m.id = l.member_id",
    "cases": "SELECT c.external_id, f.external_id, f.opened_at, f.closed_at, f.sla_due_at FROM cases AS f "
    "JOIN clients AS c ON c.id = f.client_id",
    "campaigns": "SELECT c.external_id, f.external_id, f.name, f.kind, f.assigned, f.completed, f.closed_at "
    "FROM campaigns AS f JOIN clients AS c ON c.id = f.client_id",
    "campaign_responses": "SELECT c.external_id, f.external_id, m.external_id, r.at FROM campaign_responses AS r "
    "JOIN clients AS c ON c.id = r.client_id JOIN campaigns AS f ON f.id = r.campaign_id "
    "JOIN members AS m ON m.id = r.member_id",
    "features": "SELECT key, name, category FROM features",
    "client_features": "SELECT c.external_id, f.key, u.enabled, u.first_used_at, u.last_used_at "
    "FROM client_features AS u JOIN clients AS c ON c.id = u.client_id JOIN features AS f ON f.id = u.feature_id",
    "tickets": "SELECT c.external_id, f.external_id, f.opened_at, f.closed_at, f.priority FROM tickets AS f "
    "JOIN clients AS c ON c.id = f.client_id",
    "activity_days": "SELECT c.external_id, a.day, a.events, a.first_at, a.last_at FROM activity_days AS a "
    "JOIN clients AS c ON c.id = a.client_id",
    "unmapped_events": "SELECT type, name, reason, events FROM unmapped_events",
    "events": "SELECT day, message_id, at, type, name, client, member FROM events",
}
# Whatever a message may write, with the transaction that wrote each row.
WRITTEN = (*STORED, "feed_days", "client_feeds", "late_days")


def track(event: str, at: datetime = NOW, **content: Any) -> Event:
    """Return what "ann" of the client "acme" did, unless something else is said; `properties` among it."""
    who = {"userId": "ann", "context": {"groupId": "acme"}}
    return _event("track", at, who | {"event": event} | content)


def page(name: str | None = None, at: datetime = NOW, **content: Any) -> Event:
    """Return a page that "ann" of "acme" looked at."""
    return _event("page", at, {"userId": "ann", "context": {"groupId": "acme"}, "name": name} | content)


def identify(member: str, client: str | None = None, at: datetime = NOW, **traits: Any) -> Event:
    """Return what is said of a member."""
    return _event("identify", at, {"userId": member, "groupId": client, "traits": traits})


def group(client: str, at: datetime = NOW, **traits: Any) -> Event:
    """Return what is said of a client."""
    return _event("group", at, {"groupId": client, "traits": traits})


def alias(previous: str, member: str, at: datetime = NOW) -> Event:
    """Return that a member has another id from now on."""
    return _event("alias", at, {"userId": member, "previousId": previous})


def _event(event_type: str, at: datetime, content: dict[str, Any]) -> Event:
    return {"type": event_type, "timestamp": at.isoformat(), **content}


def understood(events: Sequence[Event], now: datetime = NOW) -> list[Message]:
    """Return the messages of events; those without an id get the number of their place."""
    oldest = (now - timedelta(days=400)).date()
    return [
        read(event, None, vocabulary(), made_id=f"m{number}", received_at=now, oldest=oldest)
        for number, event in enumerate(events)
    ]


async def store(database: Database, *events: Event, now: datetime = NOW) -> int:
    """Store events in one transaction, as those of one request, and return how many were new."""
    messages = understood(events, now)
    async with database.begin() as session:
        await partitions.ensure(session, {message.day for message in messages})
    async with database.begin() as session:
        return await service.store(session, messages, now=now)


async def send(database: Database, *events: Event, now: datetime = NOW) -> int:
    """Store events that come after others: they get ids of their own."""
    [(known,)] = await rows_of(database, "SELECT count(*) FROM events")
    numbered = [{"messageId": f"m{known + number}", **event} for number, event in enumerate(events)]
    return await store(database, *numbered, now=now)


async def stored(database: Database, table: str) -> list[tuple[Any, ...]]:
    """Return the rows of a table, in the order of their columns."""
    return await rows_of(database, f"{STORED[table]} ORDER BY 1, 2, 3, 4" if table != "features" else STORED[table])


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return the rows of every table that events are stored in."""
    return {table: sorted(await rows_of(database, statement), key=repr) for table, statement in STORED.items()}


async def written(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Return every row that events may write, with the transaction that wrote it."""
    return {
        table: await rows_of(database, f"SELECT xmin::text, t::text FROM {table} AS t ORDER BY 2") for table in WRITTEN
    }
