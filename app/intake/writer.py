"""Storing what many requests bring in few transactions: while one commits, the next gathers whatever comes."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import structlog

from app.auth import write_keys
from app.database import Database
from app.errors import Unavailable, is_outage
from app.events import partitions, service
from app.events.rules import Message

log = structlog.get_logger(__name__)

# Messages of one transaction, unless a single request brings more.
GATHERED = 5_000
# How often a key's last use is written down.
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(slots=True, eq=False)
class _Batch:
    """What one request brought, and who waits for it to be stored."""

    messages: Sequence[Message]
    key_id: int
    stored: asyncio.Future[Mapping[int, str]] = field(default_factory=asyncio.Future)


class Writer:
    """Stores batches of messages in the order in which they came, for one process."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[_Batch] = []
        self._writing: asyncio.Task[None] | None = None
        # The days whose partitions are known to be there, and when the use of each key was last written down.
        self._days: set[date] = set()
        self._noted: dict[int, datetime] = {}

    async def write(self, messages: Sequence[Message], key_id: int) -> Mapping[int, str]:
        """Return once the messages are stored, with the reason for each, by its place, that will never work.

        Raises Unavailable when the database does not take them now: all of them may be sent again.
        """
        batch = _Batch(messages, key_id)
        self._waiting.append(batch)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write_all())
        try:
            # Whoever gives up waiting does not keep the others' messages from being stored.
            return await asyncio.shield(batch.stored)
        except asyncio.CancelledError:
            # What is not begun yet is not stored, either, and does not fill the memory: it will be sent again.
            with suppress(ValueError):
                self._waiting.remove(batch)
            raise

    async def _write_all(self) -> None:
        while self._waiting:
            gathered, count = 1, len(self._waiting[0].messages)
            while gathered < len(self._waiting) and count + len(self._waiting[gathered].messages) <= GATHERED:
                count += len(self._waiting[gathered].messages)
                gathered += 1
            batches, self._waiting = self._waiting[:gathered], self._waiting[gathered:]
            await self._settle(batches)
        self._writing = None

    async def _settle(self, batches: Sequence[_Batch]) -> None:
        """Store batches and tell those who wait; what nobody expected fails the batch that brought it alone."""
        try:
            reasons = await self._store(batches)
        except Exception as error:  # noqa: BLE001 - it is raised where the requests wait.
            self._days.clear()
            if is_outage(error):
                log.warning("events_not_stored", error=repr(error))
                _fail(batches, Unavailable("The events could not be stored now; send them again."))
            elif len(batches) == 1:
                _fail(batches, error)
            else:
                for batch in batches:
                    await self._settle([batch])
            return
        place = 0
        for batch in batches:
            end = place + len(batch.messages)
            found = {number - place: reason for number, reason in reasons.items() if place <= number < end}
            batch.stored.set_result(found)
            place = end

    async def _store(self, batches: Sequence[_Batch]) -> Mapping[int, str]:
        """Store all of it in one transaction but for the messages that are refused, and return why those are."""
        left = list(enumerate(message for batch in batches for message in batch.messages))
        reasons: dict[int, str] = {}
        now = datetime.now(UTC)
        await self._ensure({message.day for _, message in left})
        used = {batch.key_id for batch in batches if now - self._noted.get(batch.key_id, _NEVER) >= _NOTED_EVERY}
        while left:
            try:
                async with self._database.begin() as session:
                    await service.store(session, [message for _, message in left], now=now)
                    if used:
                        await write_keys.used(session, used, now)
                break
            except service.EventsRefused as error:
                # Copies of a message would be refused one after the other, each in a transaction of its own.
                refused = {_identity(left[place][1]): reason for place, reason in error.reasons.items()}
                reasons |= {n: refused[_identity(one)] for n, one in left if _identity(one) in refused}
                left = [(n, one) for n, one in left if _identity(one) not in refused]
        self._noted |= dict.fromkeys(used, now)
        return reasons

    async def _ensure(self, days: set[date]) -> None:
        missing = days - self._days
        if missing:
            async with self._database.begin() as session:
                await partitions.ensure(session, missing)
            self._days |= missing


_NEVER = datetime.min.replace(tzinfo=UTC)


def _identity(message: Message) -> tuple[date, str]:
    return message.day, message.message_id


def _fail(batches: Sequence[_Batch], error: Exception) -> None:
    for batch in batches:
        batch.stored.set_exception(error)
        # It counts as seen also where nobody waits any more.
        batch.stored.exception()
