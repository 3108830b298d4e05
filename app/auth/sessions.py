"""Sessions of the dashboard: how they start, which requests may use them, and how they end.

A session is a row, and a cookie with a random token that the row knows by its hash only. Reading the database lets
nobody in, and a session that is deleted is over at once, in every process.
"""

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.auth.models import Session, SignInCode
from app.auth.tokens import Role, Viewer
from app.database import Database, fetch
from app.errors import Forbidden, InvalidInput, Unauthenticated

CODE_LIFETIME = timedelta(minutes=10)

_FIND = text("SELECT subject, role, expires_at FROM sessions WHERE token_hash = :hash AND expires_at > :now")
_END = text("DELETE FROM sessions WHERE token_hash = :hash")
# The row can be deleted once only, whoever else tries to at the same moment.
_CLAIM = text("DELETE FROM sign_in_codes WHERE code_hash = :hash AND expires_at > :now RETURNING subject, role")
_FORGET_SESSIONS = text("DELETE FROM sessions WHERE expires_at <= :now")
_FORGET_CODES = text("DELETE FROM sign_in_codes WHERE expires_at <= :now")


def cookie_in(lines: Iterable[str], name: str) -> str | None:
    """Return the value of a cookie in the Cookie headers of a request, None if it is not there.

    Values that this service gives out are never quoted. Python's own parser would take quotes off, in a time that grows
    with the square of the length: one request of a stranger would hold the process up for minutes.
    """
    found = None
    for line in lines:
        for part in line.split(";"):
            key, _, value = part.partition("=")
            if key.strip() == name:
                found = value.strip()
    return found


async def issue_code(session: AsyncSession, *, subject: str, role: Role, now: datetime) -> str:
    """Return a code that signs `subject` in once, within ten minutes. Raises InvalidInput for an empty subject."""
    if not subject.strip() or not subject.isprintable():
        raise InvalidInput("subject", "The subject must be printable text, and not empty.")
    code = secrets.token_urlsafe(32)
    await session.execute(_FORGET_CODES, {"now": now})
    session.add(SignInCode(code_hash=_hash(code), subject=subject, role=role, expires_at=now + CODE_LIFETIME))
    return code


class Sessions:
    """The sessions of one deployment, which is at `public_url` or at whatever address it is asked by."""

    def __init__(self, database: Database, public_url: str | None, lifetime: timedelta) -> None:
        self._database = database
        self._public_url = public_url
        self.lifetime = lifetime
        # Over plain HTTP a browser would not keep a cookie that is marked secure.
        self.secure = public_url is not None and public_url.startswith("https://")

    def cookie(self, name: str) -> str:
        """Return the name of a cookie of this service; the prefix keeps other hosts of the domain from setting it."""
        return f"__Host-client-health-{name}" if self.secure else f"client-health-{name}"

    def require_same_origin(self, headers: Mapping[str, str], own_origin: str) -> None:
        """Raise Forbidden unless a page of this very service sent the request.

        `own_origin` is the scheme and the host that the request was sent to.
        """
        site = headers.get("sec-fetch-site")
        if site is not None:
            same = site == "same-origin"
        else:
            # Browsers leave the header out over plain HTTP, but send their origin with everything that is no GET.
            same = headers.get("origin", "").lower() in {self._public_url, own_origin.lower()}
        if not same:
            raise Forbidden("A session can be used from the dashboard's own pages only.")

    async def find(self, token: str, now: datetime) -> Viewer:
        """Return who the session's token belongs to. Raises Unauthenticated when it has ended, or never began."""
        async with self._database.read() as connection:
            found = await fetch(connection, _FIND, hash=_hash(token), now=now)
        if not found:
            raise Unauthenticated("The session has ended; sign in again.")
        return Viewer(found[0].subject, Role(found[0].role), found[0].expires_at)

    async def start_by_code(self, code: str, now: datetime) -> tuple[str, Viewer]:
        """Start the session that a code is for; return its token and whose it is.

        Raises Unauthenticated when the code is not known, used or too old; nothing has changed then.
        """
        async with self._database.begin() as session:
            found = await fetch(session, _CLAIM, hash=_hash(code), now=now)
            if not found:
                raise Unauthenticated("This sign-in address has been used already, or is too old; get a new one.")
            return await self._start(session, found[0].subject, Role(found[0].role), now)

    async def start(self, subject: str, role: Role, now: datetime) -> tuple[str, Viewer]:
        """Start a session for somebody whose identity has been proved; return its token and whose it is."""
        async with self._database.begin() as session:
            return await self._start(session, subject, role, now)

    async def _start(self, session: AsyncSession, subject: str, role: Role, now: datetime) -> tuple[str, Viewer]:
        token = secrets.token_urlsafe(32)
        viewer = Viewer(subject, role, now + self.lifetime)
        # Nothing else clears away what has expired.
        await session.execute(_FORGET_SESSIONS, {"now": now})
        session.add(
            Session(token_hash=_hash(token), subject=subject, role=role, created_at=now, expires_at=viewer.expires_at)
        )
        return token, viewer

    async def end(self, token: str) -> None:
        """End the session, if there is one."""
        async with self._database.begin() as session:
            await session.execute(_END, {"hash": _hash(token)})


def _hash(secret: str) -> bytes:
    # The secret has 256 random bits: a slow hash would protect nothing.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
