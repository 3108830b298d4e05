"""Segment's HTTP tracking API: `POST /v1/batch` and one address for each type of message."""

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from typing import Any
from uuid import uuid4

import orjson
import structlog
from prometheus_client import CollectorRegistry, Counter
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.auth.write_keys import WriteKeys, presented_key
from app.database import Database
from app.errors import Unavailable, is_outage
from app.events.facts import read
from app.events.mapping import Rule
from app.events.rules import TYPES, EventType, Message, UnusableEvent
from app.intake.answers import Answering, Refusal, json_answer
from app.intake.bodies import pieces
from app.intake.writer import Writer

log = structlog.get_logger(__name__)

# Bytes of a request, unpacked, and of one of its events, as Segment has them.
MAX_BODY_BYTES = 500 * 1024
MAX_EVENT_BYTES = 32 * 1024
# Bytes of all requests that are being read or stored. Beyond it senders are asked to wait: memory stays bounded.
MAX_PENDING_BYTES = 16_000_000
# The same for requests whose key stands in the body, which has to be read before anybody knows who sent it.
MAX_UNKNOWN_BYTES = 4 * MAX_BODY_BYTES
# Events of a request: tiny ones take more memory, and more of the process's time, than their bytes.
MAX_EVENTS = 2_000
# Senders give up on a request after 10 to 15 seconds, and send it again.
PATIENCE_SECONDS = 8
# What is read in the place of a number that JSON does not have, and cannot be written.
_NO_NUMBER = object()
# Integers have 64 bits, and larger ones are floats; none within them has more characters.
_INTEGERS, _INTEGER_LENGTH = range(-(2**63), 2**64), 20

REGISTRY = CollectorRegistry()
EVENTS = Counter("client_health_events", "Events that were sent in.", ["outcome"], registry=REGISTRY)


@dataclass(slots=True)
class _Taken:
    """What one request brought: so many events, the usable messages with their places, and the answers to the rest."""

    count: int
    messages: list[Message] = field(default_factory=list)
    places: list[int] = field(default_factory=list)
    rejected: dict[int, dict[str, object]] = field(default_factory=dict)

    def reject(self, place: int, message_id: str | None, reason: str) -> None:
        """Say of the event at a place that it will never work."""
        self.rejected[place] = {"index": place, "messageId": message_id, "reason": reason}


class _Room:
    """So many bytes of requests that one process holds at a time."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0

    @contextmanager
    def room(self, size: int) -> Iterator[None]:
        """Hold so many bytes until the end of the block. Raises Refusal where there is no room."""
        if self._taken + size > self._size:
            EVENTS.labels("deferred").inc()
            raise Refusal(429, "TOO_MANY_REQUESTS", "More events are being stored than fit; send these again.")
        self._taken += size
        try:
            yield
        finally:
            self._taken -= size


class Tracking:
    """The addresses that events are sent to."""

    def __init__(self, database: Database, keys: WriteKeys, mapping: Mapping[str, Rule], retention: timedelta) -> None:
        self._keys = keys
        self._mapping = mapping
        self._retention = retention
        self._writer = Writer(database)
        self._pending = _Room(MAX_PENDING_BYTES)
        self._unknown = _Room(MAX_UNKNOWN_BYTES)

    @property
    def routes(self) -> list[Route]:
        """The routes, all of them for POST."""
        return [Route(f"/v1/{name}", Answering(self.take), methods=["POST"]) for name in ("batch", *TYPES)]

    async def take(self, request: Request) -> Response:
        """Store the events of one request, and answer once they are in the database."""
        return json_answer({"success": True, "accepted": await self._take(request)})

    async def _take(self, request: Request) -> int:
        size = _announced(request)
        authorization = request.headers.get("authorization")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                if authorization is None:
                    # Whoever shows no key before the body is read gets none of the room of those who do.
                    with self._unknown.room(size):
                        content = _parsed(await _body(request))
                        found = content.get("writeKey") if isinstance(content, dict) else None
                        key_id = await self._key(found if isinstance(found, str) else None)
                    with self._pending.room(size):
                        return await self._store(request, content, key_id)
                key_id = await self._key(presented_key(authorization))
                with self._pending.room(size):
                    return await self._store(request, _parsed(await _body(request)), key_id)
        except TimeoutError:
            raise Unavailable("The events could not be stored in time; send them again.") from None
        except Exception as error:
            if not is_outage(error):
                raise
            log.warning("events_not_stored", error=repr(error))
            raise Unavailable("The events could not be stored now; send them again.") from error

    async def _store(self, request: Request, content: Any, key_id: int) -> int:
        name = request.url.path.rpartition("/")[2]
        taken = self._read(_batch(content), None) if name == "batch" else self._read([content], TYPES[name])
        # What is understood is a fraction of what was sent, which is not kept while the database is waited for.
        del content
        reasons = await self._writer.write(taken.messages, key_id) if taken.messages else {}
        for number, reason in reasons.items():
            taken.reject(taken.places[number], taken.messages[number].message_id, reason)
        accepted = taken.count - len(taken.rejected)
        EVENTS.labels("accepted").inc(accepted)
        if taken.rejected:
            EVENTS.labels("rejected").inc(len(taken.rejected))
            message = f"{len(taken.rejected)} of {taken.count} events will never work; {_stored(accepted)}."
            rejected = [taken.rejected[place] for place in sorted(taken.rejected)]
            raise Refusal(400, "EVENTS_REJECTED", message, accepted=accepted, rejected=rejected)
        return accepted

    async def _key(self, key: str | None) -> int:
        key_id = await self._keys.find(key) if key is not None else None
        if key_id is None:
            message = "Send a write key as the user name of Basic authentication, with no password."
            raise Refusal(401, "UNAUTHENTICATED", message)
        return key_id

    def _read(self, events: Sequence[object], event_type: EventType | None) -> _Taken:
        """Return what the events say, and why some of them will never work."""
        received_at = datetime.now(UTC)
        oldest: date = (received_at - self._retention).date()
        taken = _Taken(len(events))
        # For those without an id.
        made_id = uuid4().hex
        for place, content in enumerate(events):
            try:
                _check_size(content)
                message = read(
                    content,
                    event_type,
                    self._mapping,
                    made_id=f"{made_id}-{place}",
                    received_at=received_at,
                    oldest=oldest,
                )
            except UnusableEvent as error:
                taken.reject(place, _text(content, "messageId"), str(error))
            else:
                taken.messages.append(message)
                taken.places.append(place)
        return taken


def _announced(request: Request) -> int:
    """Return the bytes that a request may take: as many as it says, all that it may have where it does not."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or "content-encoding" in request.headers:
        return MAX_BODY_BYTES
    # What is longer is refused before it is read.
    return min(int(length), MAX_BODY_BYTES)


async def _body(request: Request) -> bytes:
    return b"".join([piece async for piece in pieces(request, size=MAX_BODY_BYTES, limit=MAX_BODY_BYTES)])


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # Python and others write NaN and halves of surrogate pairs: of all events, only those that hold them are wrong.
        try:
            return json.loads(body.decode(), parse_int=_integer, parse_float=_float, parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise Refusal(400, "BAD_REQUEST", f"The body is not JSON: {error}.") from error


def _integer(digits: str) -> object:
    if len(digits) <= _INTEGER_LENGTH and (number := int(digits)) in _INTEGERS:
        return number
    return _float(digits)


def _float(digits: str) -> object:
    number = float(digits)
    return number if isfinite(number) else _NO_NUMBER


def _no_number(_name: str) -> object:
    return _NO_NUMBER


def _check_size(event: object) -> None:
    try:
        size = len(orjson.dumps(event))
    except orjson.JSONEncodeError as error:
        raise UnusableEvent(_why_not_written(event)) from error
    if size > MAX_EVENT_BYTES:
        raise UnusableEvent(f"the event is larger than {MAX_EVENT_BYTES} bytes")


def _why_not_written(event: object) -> str:
    try:
        json.dumps(event, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "the event holds half of a surrogate pair, which is no character"
    except TypeError:
        return "the event holds NaN, Infinity or a number that is too large: JSON has none of these"
    except RecursionError:
        pass
    # What may be read is nested four times as deeply as what may be written.
    return "the event is nested too deeply"


def _batch(content: Any) -> list[object]:
    events = content.get("batch") if isinstance(content, dict) else None
    if not isinstance(events, list):
        raise Refusal(400, "BAD_REQUEST", "The body must be an object with a list named batch.")
    if len(events) > MAX_EVENTS:
        raise Refusal(413, "REQUEST_TOO_LARGE", f"A request may have {MAX_EVENTS} events: send fewer at once.")
    return events


def _stored(accepted: int) -> str:
    if accepted == 0:
        return "nothing was stored"
    return "the other was stored" if accepted == 1 else f"the other {accepted} were stored"


def _text(content: object, name: str) -> str | None:
    value = content.get(name) if isinstance(content, dict) else None
    # An answer has no half of a surrogate pair, either.
    return value[:200].encode(errors="replace").decode() if isinstance(value, str) else None
