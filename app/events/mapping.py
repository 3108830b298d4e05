"""Which events become which facts: the vocabulary that is understood as it is, and the operator's own names."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from app.errors import InvalidInput

SETTING = "EVENT_MAPPING"
REMEMBERED_LENGTH = 100


@dataclass(frozen=True, slots=True)
class Fact:
    """What an event can become: rows of `kind`, made of parts that the event has among its properties."""

    kind: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    # Whether it is a fact of a member, who must be named then.
    of_member: bool = False

    @property
    def parts(self) -> tuple[str, ...]:
        """Every part."""
        return self.required + self.optional


FACTS: Mapping[str, Fact] = {
    "logged_in": Fact("logins", optional=("duration_minutes",), of_member=True),
    "session_ended": Fact("logins", optional=("duration_minutes", "duration_seconds", "started_at"), of_member=True),
    "case_opened": Fact("cases", required=("case",), optional=("sla_due_at",)),
    "case_resolved": Fact("cases", required=("case",), optional=("opened_at", "sla_due_at")),
    "campaign_closed": Fact("campaigns", required=("campaign",), optional=("name", "kind", "assigned", "completed")),
    "campaign_responded": Fact("campaign_responses", required=("campaign",), of_member=True),
    "feature_used": Fact("feature_uses", required=("feature",)),
    "ticket_opened": Fact("tickets", required=("ticket",), optional=("priority",)),
    "ticket_closed": Fact("tickets", required=("ticket",), optional=("priority",)),
}


@dataclass(frozen=True, slots=True)
class Rule:
    """The fact that an event becomes, and the properties that each part of it is looked for in."""

    name: str
    fact: Fact
    properties: Mapping[str, tuple[str, ...]]

    def find(self, part: str, properties: Mapping[str, object]) -> object:
        """Return the part as the event has it, None where it does not; the names of the properties are folded."""
        found = (properties.get(folded(name)) for name in self.properties[part])
        return next((value for value in found if value is not None), None)


def folded(name: str) -> str:
    """Return a name without case, spaces and punctuation, as names of events and properties are compared."""
    return _folded(name) if len(name) <= REMEMBERED_LENGTH else _fold(name)


def _fold(name: str) -> str:
    return "".join(character for character in name.casefold() if character.isalnum())


# Senders choose the names: long ones are not worth the memory.
_folded = lru_cache(maxsize=10_000)(_fold)


def read_mapping(path: Path | None) -> Mapping[str, Rule]:
    """Return the rules by the folded names of events: the vocabulary, with what the file adds or gives another meaning.

    Raises InvalidInput with the setting, the place and what would be right.
    """
    if path is None:
        return vocabulary()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise _refusal(f"{path} cannot be read: {error.strerror or type(error).__name__}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise _refusal(f"{path} is not TOML: {error}") from error
    try:
        return {**vocabulary(), **_rules(content)}
    except ValueError as error:
        raise _refusal(f"{path}: {error}") from error


@cache
def vocabulary() -> Mapping[str, Rule]:
    """Return the rules that hold without any configuration."""
    return _rules(tomllib.loads((files("app.events") / "vocabulary.toml").read_text(encoding="utf-8")))


def _rules(content: Mapping[str, Any]) -> dict[str, Rule]:
    """Raise ValueError with what is wrong."""
    tables = content.get("event", [])
    if set(content) - {"event"} or not isinstance(tables, list):
        raise ValueError("it must consist of tables named [[event]]")
    found: dict[str, Rule] = {}
    for number, table in enumerate(tables, 1):
        try:
            rule, names = _rule(table)
        except ValueError as error:
            raise ValueError(f"event {number}: {error}") from error
        for name in names:
            if name in found:
                raise ValueError(f"event {number}: another event is named like {name!r}")
            found[name] = rule
    return found


def _rule(table: object) -> tuple[Rule, list[str]]:
    if not isinstance(table, dict) or set(table) - {"fact", "names", "properties"}:
        raise ValueError("it has fact, names and properties, and nothing else")
    name = table.get("fact")
    if not isinstance(name, str) or name not in FACTS:
        raise ValueError(f"fact must be one of {', '.join(FACTS)}")
    names = [folded(one) for one in _texts(table.get("names"), "names")]
    if not all(names):
        raise ValueError("each of the names needs a letter or a digit")
    fact, given = FACTS[name], table.get("properties", {})
    if not isinstance(given, dict) or set(given) - set(fact.parts):
        raise ValueError(f"the properties of {name} are {', '.join(fact.parts)}")
    sources = {part: given.get(part, part) for part in fact.parts}
    properties = {part: tuple(_texts(source, part)) for part, source in sources.items()}
    return Rule(name, fact, properties), names


def _texts(value: object, field: str) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts or not all(isinstance(one, str) and one for one in texts):
        raise ValueError(f"{field} must be a name or a list of names")
    return texts


def _refusal(message: str) -> InvalidInput:
    return InvalidInput(SETTING, f"{SETTING}: {message}.")
