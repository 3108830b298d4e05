"""What an erasure has to find: the ids that somebody had before, and names however a rejected row writes them."""

import json
import re
from collections import defaultdict
from collections.abc import Collection, Iterable

# What a cell may be padded with, as it is and as JSON writes it, once or, in a line that is no JSON, twice.
_SPACE = "".join(chr(number) for number in range(0x20, 0x3001) if chr(number).isspace())
_PADDING = rf"(?:[{_SPACE}]|\\+(?:[tnrf]|u00(?:0b|1[c-f]|85|a0)))*"
# What a value comes after and before. JSON writes numbers without quotes, and CSV most values; what was too long ends
# with dots.
_BEFORE = r"""(?:^|[\[,;"']|["'] *:)"""
_AFTER = r"""(?:\\*["']|[\],;}]|\.{3}$|$)"""


def former_ids(aliases: Iterable[tuple[str, str]], ids: Collection[str]) -> set[str]:
    """Return the ids that became one of `ids`, directly or by way of others; an alias is an id and the one after it."""
    before: defaultdict[str, set[str]] = defaultdict(set)
    for previous, new in aliases:
        before[new].add(previous)
    found = set(ids)
    waiting = list(found)
    while waiting:
        more = before[waiting.pop()] - found
        found |= more
        waiting += more
    return found.difference(ids)


def written(names: Collection[str]) -> list[str]:
    """Return the forms in which rejected rows may hold the names."""
    return sorted({form for name in names for form in _forms(name)})


def mention(forms: Collection[str]) -> str:
    """Return a regular expression of PostgreSQL for a rejected row with a value that is, but for padding, a form.

    A rejected row is kept as JSON: of an object or a list of cells, or, where the line could not be read as either, of
    the whole line as one text. There must be a form at least.
    """
    return f"{_BEFORE}{_PADDING}(?:{'|'.join(re.escape(form) for form in forms)}){_PADDING}{_AFTER}"


def _forms(name: str) -> set[str]:
    inside = {name, name.replace('"', '""'), _escaped(name), json.dumps(name)[1:-1]}
    return inside | {_escaped(form) for form in inside}


def _escaped(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)[1:-1]
