"""Erasing a client or a member: facts and names go, figures that tell of nobody stay.

An erasure is a run. Each of its steps is one transaction with its progress, does nothing where it was done before,
and facts wait for it, so that none comes while what it refers to goes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Protocol
from uuid import uuid4

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncSession

from app.audit import service as audit
from app.audit.models import AuditAction
from app.clients import service as clients
from app.clients.rules import ERASED, name_key
from app.database import Database, fetch
from app.delivery import service as delivery
from app.erasure import queries, rules
from app.errors import InvalidInput, NotFound
from app.events import partitions
from app.ingest import service as ingest
from app.ingest.rules import text_problem
from app.runs import service as runs
from app.runs.batches import Pace, Progress
from app.runs.models import RunKind
from app.runs.service import Claim

# Rows that one transaction deletes at most.
ROWS = 10_000
_ALL = 2**62
# Names that rejected rows are searched for at once: a regular expression may not become too long.
_NAMES = 100
# What is shown of a client that was erased.
NAME = "Erased client"

# Deletes up to so many rows and returns how many it has deleted.
Step = Callable[[AsyncSession, int], Awaitable[int]]


class Advance(Protocol):
    """Records in a step's transaction how many pieces are done, and up to which position."""

    async def __call__(self, session: AsyncSession, pieces: int, position: int = 0) -> None:
        """Record it. Raises LeaseLostError when another attempt took over."""


async def client_of(session: AsyncSession, external_id: str) -> int:
    """Return the id of the client that has this external id, or had it until an erasure that is not done.

    Raises NotFound.
    """
    try:
        return await clients.id_of(session, external_id)
    except NotFound:
        found = (
            [] if text_problem([external_id]) else await fetch(session, queries.ONCE_KNOWN_AS, external_id=external_id)
        )
        if not found:
            raise
        return int(found[0].client_id)


async def request(
    session: AsyncSession,
    client_id: int,
    member: str | None = None,
    *,
    requested_by: str,
    now: datetime,
    request_id: str | None = None,
) -> int:
    """Accept the erasure of a client, or of its member with this external id, and return the run's id.

    Until the run is done it holds the names. Raises NotFound for an unknown client or member, and InvalidInput for an
    external id that none can have.
    """
    if member is not None and text_problem([member]):
        raise InvalidInput("memberExternalId", "memberExternalId must be text without the NUL character.")
    found = await fetch(session, queries.CLIENT, client_id=client_id)
    if not found:
        raise NotFound("There is no client with this id.")
    if member is None:
        # An erasure that goes on or broke off is the one that is asked for.
        found = await fetch(session, queries.KNOWN_AS, client_id=client_id) or found
    parameters = {"client": found[0].external_id}
    if member is None:
        # Rejected rows may have it without the id.
        parameters["name"] = found[0].name
    else:
        if not await fetch(session, queries.MEMBER, client_id=client_id, member=member):
            raise NotFound("The client has no member with this external id.")
        parameters["member"] = member
    return await runs.request(
        session,
        RunKind.ERASE,
        requested_by=requested_by,
        now=now,
        client_id=client_id,
        parameters=parameters,
        request_id=request_id,
    )


async def erase(database: Database, run: Claim, pace: Pace, progress: Progress | None = None) -> None:
    """Erase the run's client or member. Raises LeaseLostError when another attempt took over."""
    if run.client_id is None or run.parameters is None:
        raise ValueError("an erasure needs the client that it is of")
    member = run.parameters.get("member")
    async with database.begin() as session:
        keys, names, called = await _begin(session, run.client_id, member)
        days = await partitions.attached(session)
        tables = queries.OF_CLIENT if member is None else queries.OF_MEMBER
        total = run.total
        if total is None:
            counted = await fetch(session, queries.count(tables, member=member is not None), **keys)
            total = int(counted[0].number) + len(days)
            await runs.start(session, run, total)
    done = run.done

    async def advance(session: AsyncSession, pieces: int, position: int = 0) -> None:
        nonlocal done
        await runs.advance(session, run, done=pieces, position=position)
        done += pieces
        if progress:
            # What has come since it was counted goes as well.
            progress(done, 0, max(done, total))

    async def repeat(step: Step) -> None:
        deleted = ROWS
        while deleted >= ROWS:
            async with database.begin() as session:
                await ingest.begin(session)
                deleted = await step(session, ROWS)
                await advance(session, deleted)
            await asyncio.sleep(pace.pause.total_seconds())

    for table in tables:
        await repeat(partial(_delete, queries.delete(table, member=member is not None), keys))
    if member is None:
        await repeat(partial(_delete_alerts, run.client_id))
    aliases = await _aliases(database, sorted(days), names, advance)
    ids = await _ids(database, run.client_id, member, set().union(*aliases.values()))
    values = {"client_id": run.client_id, "names": names, "ids": ids}
    statement = queries.delete_events(member=member is not None, aliases=False)
    for day in sorted(days):
        # The position tells which days an earlier attempt has been through.
        if day.toordinal() > run.position:
            async with database.begin() as session:
                await session.execute(statement, {**values, "day": day})
                await advance(session, 1, day.toordinal())
            await asyncio.sleep(pace.pause.total_seconds())
    await _delete_rejected(database, called if member is None else ids, advance)
    statement = queries.delete_events(member=member is not None, aliases=True)
    async with database.begin() as session:
        # All at once: what is left of them would lead the next attempt to some of the ids only.
        for day in aliases:
            await advance(session, await _deleted(session, statement, {**values, "day": day}))
    if member is None:
        await repeat(partial(_delete, queries.delete("members", member=False), keys))
    async with database.begin() as session:
        await _finish(session, run, keys, member)


async def _begin(
    session: AsyncSession, client_id: int, member: str | None
) -> tuple[Mapping[str, int], Sequence[str], Sequence[str]]:
    """Take the client's names from it, if it is to go.

    Returns the keys of the rows, the client's external ids, and, if it is to go, all that it was called.

    From here on nothing new belongs to the client: facts that come for its external id are of nobody, or of a new one.
    """
    await ingest.begin(session)
    found = await fetch(session, queries.NAMES, client_id=client_id)
    names = sorted({row.client for row in found})
    if member is None:
        called = sorted({*names, *(row.name for row in found if row.name)})
        # Nobody can send anything for an id that nobody can guess.
        values = {"external_id": f"{ERASED}{uuid4().hex}", "name": NAME, "name_key": name_key(NAME)}
        await session.execute(queries.ANONYMISE, {**values, "client_id": client_id})
        await session.execute(queries.FORGET_LATE_DAYS, {"client_id": client_id})
        return {"client_id": client_id}, names, called
    found = await fetch(session, queries.MEMBER, client_id=client_id, member=member)
    # No row has the number of a member that is gone already.
    return {"client_id": client_id, "member_id": found[0].id if found else 0}, names, ()


async def _aliases(
    database: Database, days: Sequence[date], names: Sequence[str], advance: Advance
) -> Mapping[date, set[tuple[str, str]]]:
    """Return the aliases of the client, or of no client, on each day that has any: an id and the one after it."""
    aliases = {}
    for day in days:
        async with database.begin() as session:
            if found := await fetch(session, queries.ALIASES, day=day, names=names):
                aliases[day] = {(row.previous, row.member) for row in found}
            await advance(session, 0)
    return aliases


async def _ids(
    database: Database, client_id: int, member: str | None, aliases: Collection[tuple[str, str]]
) -> Sequence[str]:
    """Return the member's id with those that became it, or those alone that became an id of the client's members."""
    if member is not None:
        return [member, *sorted(rules.former_ids(aliases, [member]))]
    async with database.read() as connection:
        values = {"client_id": client_id, "ids": sorted({new for _, new in aliases})}
        members = [row.external_id for row in await fetch(connection, queries.MEMBERS_AMONG, **values)]
    return sorted(rules.former_ids(aliases, members))


async def _delete_rejected(database: Database, called: Sequence[str], advance: Advance) -> None:
    for start in range(0, len(called), _NAMES):
        forms = rules.written(called[start : start + _NAMES])
        values = {"forms": forms, "mention": rules.mention(forms)}
        async with database.begin() as session:
            await advance(session, await _deleted(session, queries.DELETE_REJECTED, values))


async def _deleted(session: AsyncSession, statement: TextClause, values: Mapping[str, object]) -> int:
    deleted = await session.execute(statement, values)
    return int(deleted.rowcount)  # type: ignore[attr-defined]


async def _delete(statement: TextClause, keys: Mapping[str, int], session: AsyncSession, limit: int) -> int:
    return await _deleted(session, statement, {**keys, "limit": limit})


async def _delete_alerts(client_id: int, session: AsyncSession, limit: int) -> int:
    """Delete alerts with all that was said and sent of them."""
    ids = [row.id for row in await fetch(session, queries.LOCK_ALERTS, client_id=client_id, limit=limit)]
    await delivery.erase(session, ids)
    await session.execute(queries.DELETE_ALERTS, {"ids": ids})
    return len(ids)


async def _finish(session: AsyncSession, run: Claim, keys: Mapping[str, int], member: str | None) -> None:
    """Delete the member, with what has come for it meanwhile, and have the trail tell of the erasure without names."""
    await ingest.begin(session)
    if member is not None:
        for table in queries.OF_MEMBER:
            await _delete(queries.delete(table, member=True), keys, session, _ALL)
        await session.execute(queries.DELETE_MEMBER, {"member_id": keys["member_id"]})
    await runs.finish(session, run)
    await session.execute(queries.FORGET_NAMES, {"client_id": run.client_id, "member": member, "run_id": run.id})
    audit.record(
        session,
        AuditAction.CLIENT_ERASED if member is None else AuditAction.MEMBER_ERASED,
        actor=run.requested_by,
        now=datetime.now(UTC),
        request_id=run.request_id,
        client_id=run.client_id,
        run_id=run.id,
    )
