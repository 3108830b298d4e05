"""Write keys: what those who send events and facts prove themselves with, over HTTP's Basic authentication.

A key is 256 random bits behind a prefix that scanners of leaked secrets can look for, and a row that knows it by its
SHA-256 only. What is presented is hashed and looked up by an index: how long that takes tells of the hash, of which
nothing can be inferred about the key, so that no comparison in constant time is needed.
"""

import base64
import hashlib
import re
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from app.database import Database, fetch
from app.errors import Conflict, InvalidInput, NotFound

MAX_NAME = 100
# Seconds for which a process relies on what it has read of a key: a revoked one is refused after as long at most.
MAX_AGE = 10.0
# Keys that a process remembers, unknown ones among them.
MAX_REMEMBERED = 1_000

_PREFIX = "chw_"
_KEY = re.compile(r"chw_[A-Za-z0-9_-]{43}", re.ASCII)

_CREATE = text(
    "INSERT INTO write_keys (name, key_hash, created_at) VALUES (:name, :hash, :now) "
    "ON CONFLICT (name) DO NOTHING RETURNING id"
)
_FIND = text("SELECT id FROM write_keys WHERE key_hash = :hash AND revoked_at IS NULL")
_NAME = text("SELECT name FROM write_keys WHERE id = :id")
_EVERY = text("SELECT name, created_at, last_used_at, revoked_at FROM write_keys ORDER BY name")
# A key that is revoked again keeps the moment since which it has been refused.
_REVOKE = text("UPDATE write_keys SET revoked_at = coalesce(revoked_at, :now) WHERE name = :name RETURNING id")
# A row that somebody else has locked is being noted by them, or revoked: nobody waits for such a note.
_USED = text(
    "UPDATE write_keys SET last_used_at = date_trunc('minute', CAST(:now AS timestamptz)) WHERE id IN ("
    "SELECT id FROM write_keys WHERE id = ANY(CAST(:ids AS bigint[])) AND (last_used_at IS NULL "
    "OR last_used_at <= CAST(:now AS timestamptz) - interval '1 minute') ORDER BY id FOR NO KEY UPDATE SKIP LOCKED)"
)


def presented_key(authorization: str | None) -> str | None:
    """Return the key in an Authorization header, where it is the user name; any password counts, as does none.

    None stands for whatever is not Basic authentication, and for what cannot be a key.
    """
    scheme, _, encoded = (authorization or "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        pair = base64.b64decode(encoded.strip(), validate=True)
    except ValueError:
        return None
    user, colon, _password = pair.partition(b":")
    # Latin-1 takes every byte, and a key is plain ASCII anyway.
    key = user.decode("latin-1")
    return key if colon and _KEY.fullmatch(key) else None


async def create(session: AsyncSession, name: str, now: datetime) -> str:
    """Make a key of that name and return it; it cannot be had again.

    Raises InvalidInput unless the name is 1 to 100 printable characters, and Conflict when a key, revoked or not, has
    it already.
    """
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise InvalidInput("name", f"The name must be 1 to {MAX_NAME} printable characters, and not only spaces.")
    key = _PREFIX + secrets.token_urlsafe(32)
    if not await fetch(session, _CREATE, name=name, hash=_hash(key), now=now):
        raise Conflict(f"There is a write key named {name!r} already; revoked ones keep their names, too.")
    return key


async def name_of(session: AsyncSession, key_id: int) -> str:
    """Return the name of a key that `WriteKeys.find` has found."""
    return str((await fetch(session, _NAME, id=key_id))[0].name)


async def every(connection: AsyncConnection) -> Sequence[Row[Any]]:
    """Return the name of each key by name, and when it was created, last used and revoked."""
    return await fetch(connection, _EVERY)


async def revoke(session: AsyncSession, name: str, now: datetime) -> None:
    """Have the key refused, within `MAX_AGE` seconds by every process. Raises NotFound."""
    if not await fetch(session, _REVOKE, name=name, now=now):
        raise NotFound(f"There is no write key named {name!r}.")


async def used(session: AsyncSession, ids: Collection[int], now: datetime) -> None:
    """Note, to the minute, that these keys were used; a note younger than a minute is left alone."""
    await session.execute(_USED, {"ids": sorted(ids), "now": now})


class WriteKeys:
    """The keys as one process knows them; `clock` counts seconds and never goes backwards."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        # By hash: the id, None for a key that is not known or revoked, and when it was asked for; the oldest first.
        self._remembered: dict[str, tuple[int | None, float]] = {}

    async def find(self, key: str) -> int | None:
        """Return the id of a presented key, None when it is not known, or was revoked more than `MAX_AGE` seconds ago.

        Raises what the database raises when it does not answer.
        """
        hashed, now = _hash(key), self._clock()
        known = self._remembered.get(hashed)
        if known is not None and now - known[1] < MAX_AGE:
            return known[0]
        async with self._database.read() as connection:
            found = await fetch(connection, _FIND, hash=hashed)
        key_id = int(found[0].id) if found else None
        # What is asked for anew moves to the end, so that the first is always the oldest.
        self._remembered.pop(hashed, None)
        self._remembered[hashed] = (key_id, now)
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        return key_id


def _hash(key: str) -> str:
    # The key has 256 random bits: a slow hash would protect nothing.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
