"""Storing messages: each is remembered once, its facts go the way of the import, and what they amount to is kept."""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Row, TextClause
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.clients import service as clients
from app.clients.rules import ERASED
from app.database import column_parameter, fetch
from app.events import queries
from app.events.facts import Facts, facts_of, feature_form
from app.events.rules import EventType, Message, UnmappedReason
from app.ingest import service as ingest
from app.ingest.formats import KINDS

# The order in which rows are stored: what refers to something comes after it.
STORED = (
    "clients",
    "seen_members",
    "members",
    "logins",
    "cases",
    "campaigns",
    "campaign_responses",
    "features",
    "feature_uses",
    "tickets",
)
# Names of unmapped events that are told apart.
MAX_NAMES = 1_000
# A login belongs to a session that, by its length, began up to so much later.
LOGIN_TOLERANCE = timedelta(minutes=5)
# By so much at least a client's moment of activity moves.
ACTIVITY_STEP = timedelta(minutes=1)
# For so long at least a message is known again.
REMEMBERED = timedelta(days=30)


class EventsRefused(Exception):
    """Messages contradict what is stored; `reasons` has why, by their place. Nothing may be committed."""

    def __init__(self, reasons: Mapping[int, str]) -> None:
        super().__init__(f"{len(reasons)} events are refused")
        self.reasons = reasons


async def store(session: AsyncSession, messages: Sequence[Message], *, now: datetime) -> int:
    """Store messages and return how many were new: one that was stored before changes nothing.

    The partitions of the messages' days must be there. Raises EventsRefused, after which the transaction has to be
    rolled back; without those messages it can be done again.
    """
    received_at = await ingest.begin(session)
    found: Sequence[Sequence[Any]] = await _known(session, [m.client for m in messages if m.client is not None])
    # By their places: looking up the names of a row's columns takes longer than all the rest of this.
    known = {row[0]: row[1] for row in found}
    active_at = {row[1]: row[2] for row in found}
    messages = await _attribute(session, messages, known, active_at)
    fresh = await _remember(session, messages, now)
    if not fresh:
        return 0
    groups = {message.client for _, message in fresh if message.type is EventType.GROUP}
    of_client = [(number, message) for number, message in fresh if message.client in known or message.client in groups]
    traits_at = {row.external_id: row.traits_at for row in await _of(session, queries.TRAITS_AT, groups)}
    features = await _features(session, of_client)
    facts = facts_of(of_client, known=known, traits_at=traits_at, features=features)
    if groups:
        # Whoever takes the counts of the portfolio holds the clients that it will change: see ingest.queries.
        await clients.lock(session, known.values())
    await _store_facts(session, facts, now=now, received_at=received_at)
    if groups - known.keys():
        known |= {row.external_id: row.id for row in await _known(session, groups - known.keys())}
    taken = {client: at for client, at in facts.traits_at.items() if traits_at.get(client) != at}
    if taken:
        values = {"clients": list(taken), "moments": list(taken.values())}
        await session.execute(queries.TAKE_TRAITS, values)
    for _, message in fresh:
        if message.type is EventType.ALIAS:
            await _alias(session, message, known)
    await _keep_activity(session, fresh, facts, known, active_at, now=now)
    await _count_unmapped(session, fresh, facts, known)
    return len(fresh)


async def unmapped(
    connection: AsyncConnection, reasons: Collection[UnmappedReason] | None, first: int
) -> Sequence[Row[Any]]:
    """Return the most frequent events that no fact became of, for any reason or one of these."""
    values = {"reasons": None if reasons is None else list(reasons), "limit": first}
    return await fetch(connection, queries.UNMAPPED, **values)


async def forget_unmapped(session: AsyncSession, *, before: datetime, limit: int) -> int:
    """Delete up to `limit` counts of events that have not come since `before`, and return how many."""
    deleted = await session.execute(queries.FORGET_UNMAPPED, {"before": before, "limit": limit})
    return int(deleted.rowcount)  # type: ignore[attr-defined]


async def _attribute(
    session: AsyncSession,
    messages: Sequence[Message],
    known: dict[str, int],
    active_at: dict[int, datetime | None],
) -> Sequence[Message]:
    """Return the messages with the client of those that name their member only, and add what is known of it."""
    unattributed = {m.member for m in messages if m.client is None and m.member is not None}
    if not unattributed:
        return messages
    aliases = [m for m in messages if m.type is EventType.ALIAS and m.client is None]
    asked = unattributed.union(alias.previous for alias in aliases)
    groups = {message.client for message in messages if message.type is EventType.GROUP}
    # An identify or a group call that came with them says it as well as what is stored.
    found: defaultdict[str | None, set[str]] = defaultdict(set)
    for message in messages:
        client = message.client
        if client is not None and message.member in asked and (client in known or client in groups):
            found[message.member].add(client)
    for row in await _clients_of(session, asked):
        found[row.member].add(row.client)
        known[row.client], active_at[row.id] = row.id, row.last_activity_at
    for alias in aliases:
        # A new id that nobody knows is of the client that knows the one of before.
        if not found[alias.member] and len(found[alias.previous]) == 1:
            found[alias.member] |= found[alias.previous]
    # Nobody guesses between several clients of a member.
    clients = {member: next(iter(names)) for member, names in found.items() if len(names) == 1}
    return [m._replace(client=clients[m.member]) if m.client is None and m.member in clients else m for m in messages]


async def _clients_of(session: AsyncSession, members: Collection[str | None]) -> Sequence[Row[Any]]:
    """Return every client that has one of the members, with the member's id."""
    return await fetch(session, queries.CLIENTS_OF_MEMBERS, members=list(members), erased=ERASED)


async def _remember(session: AsyncSession, messages: Sequence[Message], now: datetime) -> list[tuple[int, Message]]:
    """Return the messages, with their places, that were not known before, and remember them."""
    first: dict[tuple[date, str], int] = {}
    came_along: set[str] = set()
    for number, message in enumerate(messages):
        # One that does not say when it happened may have been received on two days.
        if message.dated or message.message_id not in came_along:
            first.setdefault((message.day, message.message_id), number)
        came_along.add(message.message_id)
    undated = [messages[number].message_id for number in first.values() if not messages[number].dated]
    if undated:
        days: defaultdict[str, set[date]] = defaultdict(set)
        for row in await fetch(session, queries.SEEN, message_ids=undated, since=now.date() - REMEMBERED):
            days[row.message_id].add(row.day)
        first = {key: n for key, n in first.items() if messages[n].dated or not days[key[1]] - {key[0]}}
    kept = [messages[number] for number in first.values()]
    if not kept:
        return []
    columns = {column: [getattr(message, column) for message in kept] for column, _ in queries.REMEMBERED}
    # An erasure has to find what a member was called before.
    columns["name"] = [message.previous or message.name for message in kept]
    parameters = {column: column_parameter(values) for column, values in columns.items()}
    inserted: Sequence[Sequence[Any]] = await fetch(session, queries.REMEMBER, received_at=now, **parameters)
    return [(number, messages[number]) for number in sorted(first[row[0], row[1]] for row in inserted)]


async def _known(session: AsyncSession, clients: Collection[str | None]) -> Sequence[Row[Any]]:
    return await _of(session, queries.KNOWN_CLIENTS, set(clients))


async def _of(session: AsyncSession, statement: TextClause, clients: Collection[str | None]) -> Sequence[Row[Any]]:
    return await fetch(session, statement, clients=list(clients)) if clients else ()


async def _features(session: AsyncSession, messages: Sequence[tuple[int, Message]]) -> Mapping[str, str]:
    """Return the features' keys by their folded keys and names, a key before a name that looks the same."""
    if not any(message.type not in {EventType.GROUP, EventType.IDENTIFY} for _, message in messages):
        return {}
    found = await fetch(session, queries.FEATURES)
    return {feature_form(row.name): row.key for row in found} | {feature_form(row.key): row.key for row in found}


async def _store_facts(session: AsyncSession, facts: Facts, *, now: datetime, received_at: datetime) -> None:
    """Store the rows of every kind. Raises EventsRefused with the messages behind the rows that cannot be."""
    refused: dict[int, str] = {}
    await _begin_sessions(session, facts)
    for name in STORED:
        rows = list(facts.rows.get(name, {}).values())
        if not rows:
            continue
        staged = [(number, row.values) for number, row in enumerate(rows)]
        for outcome in await ingest.store(session, KINDS[name], staged, now=now, received_at=received_at):
            for number, _ in outcome.rejected:
                # Not everything that was merged into the row has to be wrong: one after the other tells what is.
                alone = rows[number].messages
                for single in await ingest.store(session, KINDS[name], alone, now=now, received_at=received_at):
                    refused |= dict(single.rejected)
    if refused:
        raise EventsRefused(refused)


async def _begin_sessions(session: AsyncSession, facts: Facts) -> None:
    """Give each ended session to the login that it began with; without one it is a login of its own."""
    if not facts.sessions:
        return
    found = await fetch(
        session,
        queries.LOGINS_OF_SESSIONS,
        number=[one.number for one in facts.sessions],
        client=[one.client for one in facts.sessions],
        member=[one.member for one in facts.sessions],
        earliest=[one.begun_at - LOGIN_TOLERANCE for one in facts.sessions],
        latest=[one.ended_at for one in facts.sessions],
    )
    stored: defaultdict[int, list[datetime]] = defaultdict(list)
    for login in found:
        stored[login.number].append(login.at)
    came_along: defaultdict[tuple[object, object], list[datetime]] = defaultdict(list)
    for (client, member, at), row in facts.rows.get("logins", {}).items():
        if row.values[-1] is None and isinstance(at, datetime):
            came_along[client, member].append(at)
    taken: set[tuple[str, str, datetime]] = set()
    for one in facts.sessions:
        near = [at for at in came_along[one.client, one.member] if one.begun_at - LOGIN_TOLERANCE <= at <= one.ended_at]
        free = [at for at in (*near, *stored[one.number]) if (one.client, one.member, at) not in taken]
        at = max(free, default=one.begun_at)
        taken.add((one.client, one.member, at))
        facts.add("seen_members", one.number, one.client, one.member, at)
        facts.add("logins", one.number, one.client, one.member, at, one.minutes)


async def _alias(session: AsyncSession, message: Message, known: Mapping[str, int]) -> None:
    """Have a member go by its new id, within its client: members of others may be called the same."""
    client_id = known.get(message.client or "")
    if client_id is None:
        clients = await _clients_of(session, [message.previous])
        # Nobody guesses between several.
        client_id = clients[0].id if len(clients) == 1 else None
    if client_id is None or message.previous == message.member:
        return
    ids = {"client_id": client_id, "previous": message.previous, "member": message.member}
    await session.execute(queries.RENAME_MEMBER, ids)
    for row in await fetch(session, queries.MEMBERS_TO_MERGE, **ids):
        for statement in queries.MERGE_MEMBERS:
            await session.execute(statement, {"old_id": row.old_id, "new_id": row.new_id})


async def _keep_activity(
    session: AsyncSession,
    messages: Sequence[tuple[int, Message]],
    facts: Facts,
    known: Mapping[str, int],
    active_at: Mapping[int, datetime | None],
    *,
    now: datetime,
) -> None:
    """Count the days' activity, and move the clients' latest moment of it from where it was, if it was known."""
    latest: dict[int, datetime] = {}
    days: dict[tuple[int, date], list[datetime]] = {}
    for number, message in messages:
        client_id = known.get(message.client or "")
        if client_id is None or message.type in {EventType.GROUP, EventType.IDENTIFY, EventType.ALIAS}:
            continue
        # What a clock ahead of ours dates in the future is of now.
        moment = min(message.at, now)
        latest[client_id] = max(latest.get(client_id, moment), moment)
        if number in facts.activity:
            days.setdefault((client_id, message.day), []).append(message.at)
    if days:
        ordered = sorted(days.items())
        values = {
            "client_id": [client_id for (client_id, _), _ in ordered],
            "day": [day for (_, day), _ in ordered],
            "events": [len(times) for _, times in ordered],
            "first_at": [min(times) for _, times in ordered],
            "last_at": [max(times) for _, times in ordered],
        }
        await session.execute(queries.COUNT_ACTIVITY, values)
    moved = {client_id: at for client_id, at in latest.items() if _is_outdated(active_at.get(client_id), at)}
    if moved:
        moments = {"client_id": list(moved), "at": list(moved.values())}
        outdated = {row.id: row.at for row in await fetch(session, queries.LOCK_OUTDATED, **moments)}
        if outdated:
            await session.execute(queries.MOVE_ACTIVITY, {"client_id": list(outdated), "at": list(outdated.values())})


def _is_outdated(active_at: datetime | None, at: datetime) -> bool:
    """Return whether a client's moment of activity moves: once a minute at most, however much its people do.

    Every move writes the indexes of the portfolio, and the next calculation makes it exact.
    """
    return active_at is None or at >= active_at + ACTIVITY_STEP


async def _count_unmapped(
    session: AsyncSession, messages: Sequence[tuple[int, Message]], facts: Facts, known: Mapping[str, int]
) -> None:
    """Count what no fact became of, so that nobody wonders where their events went."""
    counts: Counter[tuple[EventType, str, UnmappedReason]] = Counter()
    for number, message in messages:
        if message.type is EventType.ALIAS:
            continue
        for trait in message.unusable:
            counts[message.type, trait, UnmappedReason.UNUSABLE_TRAIT] += 1
        if message.client not in known:
            counts[message.type, message.name or "", UnmappedReason.NO_CLIENT] += 1
        elif number in facts.activity:
            counts[message.type, message.name or "", UnmappedReason.NOT_MAPPED] += 1
    if not counts:
        return
    ordered = sorted(counts.items())
    received_at = max(message.received_at for _, message in messages)
    values = {
        "type": [event_type for (event_type, _, _), _ in ordered],
        "name": [name for (_, name, _), _ in ordered],
        "reason": [reason for (_, _, reason), _ in ordered],
        "events": [events for _, events in ordered],
        "received_at": [received_at] * len(ordered),
        "names": MAX_NAMES,
    }
    await session.execute(queries.COUNT_UNMAPPED, values)
