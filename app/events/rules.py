"""What a message of the tracking API says: pure functions from its JSON to values, whoever sent it.

Each raises UnusableEvent where the message could never be taken.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple

from app.ingest import rules as cells


class UnusableEvent(ValueError):
    """The event will never work; the message names the field and says what would be right."""


class EventType(StrEnum):
    """The kinds of messages of Segment's tracking API, as they are written there but in capitals."""

    IDENTIFY = "IDENTIFY"
    GROUP = "GROUP"
    TRACK = "TRACK"
    PAGE = "PAGE"
    SCREEN = "SCREEN"
    ALIAS = "ALIAS"


class UnmappedReason(StrEnum):
    """Why no fact became of an event."""

    # The mapping has no such event: it counts as activity of its client.
    NOT_MAPPED = "NOT_MAPPED"
    # Nothing says which client the event is of, or no such client is known.
    NO_CLIENT = "NO_CLIENT"
    # A trait of a client or a member says nothing that it could: it was left out, and the rest taken.
    UNUSABLE_TRAIT = "UNUSABLE_TRAIT"


NOTHING: Mapping[str, Any] = MappingProxyType({})
MAX_MESSAGE_ID = 200
_MINUTE_STEP = Decimal("0.000001")
# Nobody sits there for longer: what says so was measured wrongly, and would swamp the mean.
MAX_SESSION_MINUTES = 7 * 24 * 60
# A sender's clock may be wrong by as much; what lies further ahead did not happen.
MAX_AHEAD = timedelta(hours=24)
TYPES = {event_type.value.lower(): event_type for event_type in EventType}


class Message(NamedTuple):
    """One usable message."""

    type: EventType
    message_id: str
    at: datetime
    received_at: datetime
    # Whether the message says itself when it happened: sent again on another day, it would otherwise look new.
    dated: bool
    # The name of a tracked event, a page or a screen.
    name: str | None
    # The external ids of the client and the member, as far as the message gives them.
    client: str | None
    member: str | None
    # The id that an alias replaces.
    previous: str | None
    # The traits of identify and group, the properties of the others; empty once they are understood.
    details: Mapping[str, Any]
    # The fact that a tracked event becomes, and its parts; of a group the columns of its client.
    fact: str | None = None
    parts: Mapping[str, Any] = NOTHING
    # The traits that say nothing they could.
    unusable: tuple[str, ...] = ()

    @property
    def day(self) -> date:
        """The UTC day on which it happened."""
        return self.at.date()


def message_of(
    content: object, event_type: EventType | None, *, made_id: str, received_at: datetime, oldest: date
) -> Message:
    """Return the message, of the type that the address named or else of its own.

    `made_id` stands for the id of a message without one, and `oldest` is the first day that is remembered.
    """
    if not isinstance(content, dict):
        raise UnusableEvent("the event is not an object")
    event_type = event_type or _type(content)
    at = _at(content, received_at, oldest)
    context = content.get("context")
    context = context if isinstance(context, dict) else {}
    details = content.get("traits" if event_type in {EventType.IDENTIFY, EventType.GROUP} else "properties")
    if details is not None and not isinstance(details, dict):
        raise UnusableEvent("traits and properties must be objects")
    return Message(
        event_type,
        _message_id(content) or made_id,
        at or received_at,
        received_at,
        at is not None,
        _name(content, event_type),
        _client(content, context, details or NOTHING, event_type),
        _member(content, event_type),
        _required_id(content, "previousId") if event_type is EventType.ALIAS else None,
        details or NOTHING,
    )


def _type(content: Mapping[str, Any]) -> EventType:
    name = content.get("type")
    found = TYPES.get(name) if isinstance(name, str) else None
    if found is None:
        raise UnusableEvent(f"type must be one of {', '.join(TYPES)}")
    return found


def _at(content: Mapping[str, Any], received_at: datetime, oldest: date) -> datetime | None:
    value = content.get("timestamp")
    if value is None:
        # RudderStack's clients leave `timestamp` to the server, and say here when it happened.
        value = content.get("originalTimestamp")
    if value is None:
        return None
    if not isinstance(value, str):
        raise UnusableEvent("timestamp is not a time: write it as 2025-03-31T14:05:00Z")
    try:
        at = cells.timestamp(value.strip())
    except ValueError as error:
        raise UnusableEvent(f"timestamp {error}") from error
    if at > received_at + MAX_AHEAD:
        raise UnusableEvent("timestamp lies more than 24 hours ahead: check the sender's clock")
    if at.date() < oldest:
        raise UnusableEvent(f"timestamp is before {oldest}, the first day that is kept: import what is older")
    return at


def _message_id(content: Mapping[str, Any]) -> str | None:
    value = content.get("messageId")
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_MESSAGE_ID or "\0" in value:
        raise UnusableEvent(f"messageId must be a text of 1 to {MAX_MESSAGE_ID} characters")
    return value


def _name(content: Mapping[str, Any], event_type: EventType) -> str | None:
    if event_type is EventType.TRACK:
        value = content.get("event")
        if not isinstance(value, str) or not value.strip():
            raise UnusableEvent("event is missing: a track message names what was done")
        return _text(value.strip(), "event")
    if event_type in {EventType.PAGE, EventType.SCREEN}:
        value = content.get("name")
        return _text(value.strip(), "name") if isinstance(value, str) and value.strip() else None
    return None


def _client(
    content: Mapping[str, Any], context: Mapping[str, Any], details: Mapping[str, Any], event_type: EventType
) -> str | None:
    """Return the group: of a group call its own, of the others what context.groupId or a trait `company` says."""
    if event_type is EventType.GROUP:
        return _required_id(content, "groupId")
    found = _id(content, "groupId") or _id(context, "groupId")
    if found is None and event_type is EventType.IDENTIFY:
        company = details.get("company")
        found = _id(company, "id") if isinstance(company, dict) else None
    return found


def _member(content: Mapping[str, Any], event_type: EventType) -> str | None:
    if event_type in {EventType.IDENTIFY, EventType.ALIAS}:
        return _required_id(content, "userId")
    found = _id(content, "userId")
    if found is None and _id(content, "anonymousId") is None and event_type is not EventType.GROUP:
        raise UnusableEvent("userId is missing, and anonymousId as well: one of them is needed")
    return found


def _required_id(content: Mapping[str, Any], name: str) -> str:
    found = _id(content, name)
    if found is None:
        raise UnusableEvent(f"{name} is missing")
    return found


def _id(content: Mapping[str, Any], name: str) -> str | None:
    """Return an external id, which senders write as a text or a whole number; None where it is missing or empty."""
    value = content.get(name)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UnusableEvent(f"{name} must be a text")
    return _text(str(value).strip(), name) or None


def _text(value: str, name: str) -> str:
    if "\0" in value:
        raise UnusableEvent(f"{name} holds a NUL character")
    try:
        return cells.text(value)
    except ValueError as error:
        raise UnusableEvent(f"{name} {error}") from error


def cell_of(value: object) -> str | None:
    """Return a property or trait as the text of an import's cell; None where it says nothing that a cell could."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float | Decimal):
        return repr(value) if isinstance(value, float) else str(value)
    if isinstance(value, str):
        return value.strip() or None
    return None


def session_length(parts: Mapping[str, object], ended_at: datetime) -> tuple[datetime, Decimal]:
    """Return when a session that ended at `ended_at` began, and its length in minutes.

    Raises UnusableEvent where neither its length nor its beginning is given, it ended before it began, or it is longer
    than seven days, by its length or from its beginning to its end.
    """
    started_at, minutes, seconds = (parts.get(part) for part in ("started_at", "duration_minutes", "duration_seconds"))
    if minutes is None and isinstance(seconds, Decimal):
        minutes = _minutes(seconds)
    if isinstance(started_at, datetime):
        if started_at > ended_at:
            raise UnusableEvent("started_at is after the session's end")
        elapsed = _minutes(Decimal((ended_at - started_at) // timedelta(microseconds=1)) / 1_000_000)
        # A length that is given says nothing of when the login was, which is the beginning.
        check_length(elapsed)
        if not isinstance(minutes, Decimal):
            minutes = elapsed
    if not isinstance(minutes, Decimal):
        raise UnusableEvent("duration_minutes is missing, and so are duration_seconds and started_at: give one of them")
    check_length(minutes)
    begun_at = started_at if isinstance(started_at, datetime) else ended_at - timedelta(seconds=float(minutes * 60))
    return begun_at, minutes


def check_length(minutes: Decimal) -> None:
    """Raise UnusableEvent where a session of so many minutes is longer than anybody's."""
    if minutes > MAX_SESSION_MINUTES:
        raise UnusableEvent(f"the session is longer than {MAX_SESSION_MINUTES} minutes")


def _minutes(seconds: Decimal) -> Decimal:
    return (seconds / 60).quantize(_MINUTE_STEP, ROUND_HALF_UP)
