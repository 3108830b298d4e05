"""From messages to the rows of an import: which facts each of them tells, merged so that every key has one row."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from app.clients.models import Industry
from app.clients.rules import name_key
from app.events.mapping import Rule, folded
from app.events.rules import (
    NOTHING,
    EventType,
    Message,
    UnusableEvent,
    cell_of,
    check_length,
    message_of,
    session_length,
)
from app.ingest import rules as cells
from app.ingest.formats import KINDS

_PARSERS: Mapping[str, Callable[[str], object]] = {
    "duration_minutes": cells.minutes,
    "duration_seconds": cells.minutes,
    "started_at": cells.timestamp,
    "opened_at": cells.timestamp,
    "sla_due_at": cells.timestamp,
    "assigned": cells.count,
    "completed": cells.count,
    "kind": next(column.parse for column in KINDS["campaigns"].values if column.name == "kind"),
}

# The columns of a client by the folded names of traits; Segment's own names among them. Who switches alerts is written
# down, so that no trait does.
_TRAITS = {
    **{
        folded(column): column for column in KINDS["clients"].sources if column not in {"external_id", "alerts_enabled"}
    },
    "createdat": "customer_since",
}
_CLIENT_PARSERS = {column.name: column.parse for column in KINDS["clients"].values}
# An industry that is not listed says nothing here: it would take the place of one that is.
_TRAIT_PARSERS = {**_CLIENT_PARSERS, "industry": cells.choice(Industry)}
_SIZE = list(_CLIENT_PARSERS).index("size")
# Names of features beyond which events add none: a sender may make up a new one for each event.
MAX_FEATURES = 1_000
# From so many employees on.
_SIZES = ((1000, "ENTERPRISE"), (100, "MIDMARKET"), (0, "SMB"))


def read(
    content: object,
    event_type: EventType | None,
    mapping: Mapping[str, Rule],
    *,
    made_id: str,
    received_at: datetime,
    oldest: date,
) -> Message:
    """Return what one message says, in the values that are stored; see `rules.message_of`.

    Raises UnusableEvent where it will never work.
    """
    message = message_of(content, event_type, made_id=made_id, received_at=received_at, oldest=oldest)
    match message.type:
        case EventType.TRACK:
            rule = mapping.get(folded(message.name or ""))
            if rule is None:
                return message._replace(details=NOTHING)
            return message._replace(details=NOTHING, fact=rule.name, parts=_parts(message, rule))
        case EventType.GROUP | EventType.IDENTIFY:
            traits = _Traits(message.details)
            parts = traits.of_client() if message.type is EventType.GROUP else traits.of_member()
            return message._replace(details=NOTHING, parts=parts, unusable=tuple(traits.unusable))
        case _:
            return message._replace(details=NOTHING)


def _parts(message: Message, rule: Rule) -> dict[str, Any]:
    """Return the parts of a fact; raise UnusableEvent where one is missing or says nothing usable."""
    if rule.fact.of_member and message.member is None:
        raise UnusableEvent(f"userId is missing: {message.name} is of a member")
    properties = {folded(name): value for name, value in message.details.items()}
    found: dict[str, Any] = {}
    for part in rule.fact.parts:
        cell = cell_of(rule.find(part, properties))
        name = rule.properties[part][0]
        if cell is None:
            if part in rule.fact.required:
                raise UnusableEvent(f"properties.{name} is missing: {message.name} needs it")
            found[part] = None
            continue
        try:
            found[part] = _parse(_PARSERS.get(part, cells.text), cell)
        except ValueError as error:
            raise UnusableEvent(f"properties.{name} {error}") from error
    if rule.name == "session_ended":
        found["begun_at"], found["minutes"] = session_length(found, message.at)
    elif found.get("duration_minutes") is not None:
        check_length(found["duration_minutes"])
    return found


class _Traits:
    """The traits of one message, and those of them that say nothing they could: they are written for many readers."""

    def __init__(self, details: Mapping[str, Any]) -> None:
        self._details = {folded(name): (name, value) for name, value in details.items()}
        self.unusable: list[str] = []

    def of_client(self) -> dict[str, Any]:
        """Return the columns of a client that the traits give."""
        given: dict[str, Any] = {}
        for trait, column in _TRAITS.items():
            value = self._read(trait, _TRAIT_PARSERS[column])
            if value is not None:
                given.setdefault(column, value)
        employees = self._read("employees", cells.count)
        if isinstance(employees, int):
            given["size_by_employees"] = next(size for least, size in _SIZES if employees >= least)
        if "name" in given:
            given["name_key"] = name_key(str(given["name"]))
        return given

    def of_member(self) -> dict[str, Any]:
        """Return when the member was created, where the traits say so."""
        created_at = self._read("createdat", cells.timestamp)
        return {} if created_at is None else {"created_at": created_at}

    def _read(self, trait: str, parse: Callable[[str], object]) -> object:
        name, value = self._details.get(trait, ("", None))
        cell = cell_of(value)
        try:
            return None if cell is None else _parse(parse, cell)
        except ValueError:
            self.unusable.append(cells.printable(name, cells.MAX_TEXT))
            return None


def _parse(parse: Callable[[str], object], cell: str) -> object:
    if cells.text_problem((cell,)) is not None:
        raise ValueError("holds a character that no text has")
    # Parsers of numbers remember what they have parsed.
    return parse(cells.text(cell))


Values = tuple[Any, ...]


class Session(NamedTuple):
    """A session of a member that ended; `number` is its message's, and its length is in minutes."""

    number: int
    client: str
    member: str
    begun_at: datetime
    ended_at: datetime
    minutes: Decimal


@dataclass(slots=True)
class MergedRow:
    """The values of one key, and the messages that they come from: their numbers, and what each of them gave."""

    values: Values
    messages: list[tuple[int, Values]]


@dataclass(slots=True)
class Facts:
    """What messages tell: rows by kind and key, and what no fact became of."""

    rows: dict[str, dict[tuple[object, ...], MergedRow]] = field(default_factory=dict)
    # Sessions that ended, whose login is still to be found.
    sessions: list[Session] = field(default_factory=list)
    # The numbers of the messages that count as activity and nothing else.
    activity: set[int] = field(default_factory=set)
    # The latest group call that each client's columns are taken from.
    traits_at: dict[str, datetime] = field(default_factory=dict)

    def add(self, kind: str, number: int, *values: object) -> None:
        """Add a row of values in the order of the kind's columns; what they leave out stays as it was."""
        rows = self.rows.setdefault(kind, {})
        key = values[: _WIDTHS[kind]]
        row = rows.get(key)
        if row is None:
            rows[key] = MergedRow(values, [(number, values)])
            return
        merge = _MERGES.get(kind, _merge_given)
        row.values = merge(row.values, values)
        row.messages.append((number, values))


_WIDTHS = {name: len(kind.key) for name, kind in KINDS.items()}


def _merge_given(row: Values, new: Values) -> Values:
    return tuple(known if value is None else value for known, value in zip(row, new, strict=True))


def _merge_seen(row: Values, new: Values) -> Values:
    return (*row[:2], min(row[2], new[2]))


def _merge_uses(row: Values, new: Values) -> Values:
    return (*row[:2], min(row[2], new[2]), max(row[3], new[3]))


# What does not follow the rule that the later row wins.
_MERGES: Mapping[str, Callable[[Values, Values], Values]] = {
    "seen_members": _merge_seen,
    "feature_uses": _merge_uses,
}


def facts_of(
    messages: Iterable[tuple[int, Message]],
    *,
    known: Mapping[str, int],
    traits_at: Mapping[str, datetime],
    features: Mapping[str, str],
) -> Facts:
    """Return what the messages, each of a known client or of a group, tell.

    `known` are the clients by external id, `traits_at` the moments of the group calls that they were taken from, and
    `features` the keys of the features by their folded keys and names.
    """
    facts, features = Facts(traits_at=dict(traits_at)), dict(features)
    for number, message in messages:
        client, member = message.client, message.member
        if message.type is EventType.GROUP:
            _add_group(facts, number, message, is_known=client in known)
        elif message.fact == "feature_used" and not _may_use(message.parts["feature"], features):
            facts.activity.add(number)
        elif message.fact is not None:
            _add_fact(facts, number, message, features)
        elif message.type in {EventType.TRACK, EventType.PAGE, EventType.SCREEN}:
            facts.activity.add(number)
            key = features.get(feature_form(message.name)) if message.name else None
            if key is not None:
                facts.add("feature_uses", number, client, key, message.at, message.at)
        if member is not None and message.type is not EventType.ALIAS:
            facts.add("seen_members", number, client, member, message.at)
            if message.type is EventType.IDENTIFY and message.parts:
                facts.add("members", number, client, member, message.parts["created_at"], None)
    for row in facts.rows.get("clients", {}).values():
        external_id, name = row.values[:2]
        if external_id not in known and name is None:
            # Senders often name a group by its id alone.
            row.values = (external_id, external_id, name_key(external_id), *row.values[3:])
    return facts


def _add_group(facts: Facts, number: int, message: Message, *, is_known: bool) -> None:
    client, parts = str(message.client), message.parts
    if message.at < facts.traits_at.get(client, message.at):
        # A phone that was offline tells of what was, not of what is.
        return
    facts.traits_at[client] = message.at
    values = [parts.get(name) for name in _CLIENT_PARSERS]
    if values[_SIZE] is None and not is_known:
        # A guess, which takes the place of nothing that somebody has said.
        values[_SIZE] = parts.get("size_by_employees")
    facts.add("clients", number, client, *values)


def _may_use(feature: str, features: Mapping[str, str]) -> bool:
    return feature_form(feature) in features or len(features) < MAX_FEATURES


def feature_form(name: str) -> str:
    """Return the form in which keys and names of features are compared; what has no letter is compared as it is."""
    return folded(name) or name


def _add_fact(facts: Facts, number: int, message: Message, features: dict[str, str]) -> None:
    client, member, at, parts = message.client, message.member, message.at, message.parts
    match message.fact:
        case "logged_in":
            facts.add("logins", number, client, member, at, parts["duration_minutes"])
        case "session_ended":
            session = Session(number, str(client), str(member), parts["begun_at"], at, parts["minutes"])
            facts.sessions.append(session)
        case "case_opened":
            facts.add("cases", number, client, parts["case"], at, None, parts["sla_due_at"])
        case "case_resolved":
            facts.add("cases", number, client, parts["case"], parts["opened_at"], at, parts["sla_due_at"])
        case "campaign_closed":
            values = (parts[part] for part in ("campaign", "name", "kind", "assigned", "completed"))
            facts.add("campaigns", number, client, *values, at)
        case "campaign_responded":
            # A response may be the first that is heard of its campaign.
            facts.add("campaigns", number, client, parts["campaign"], None, None, None, None, None)
            facts.add("campaign_responses", number, client, parts["campaign"], member, at)
        case "feature_used":
            form = feature_form(parts["feature"])
            if form not in features:
                # A feature that nobody knew is known from here on, so that the next event finds it.
                features[form] = parts["feature"]
                facts.add("features", number, parts["feature"], None, None)
            key = features[form]
            facts.add("feature_uses", number, client, key, at, at)
        case "ticket_opened":
            facts.add("tickets", number, client, parts["ticket"], at, None, parts["priority"])
        case "ticket_closed":
            facts.add("tickets", number, client, parts["ticket"], None, at, parts["priority"])
