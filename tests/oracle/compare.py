"""Compares an answer of the API with what the oracle expects, and lists every difference."""

from collections.abc import Iterator
from datetime import date, datetime
from fractions import Fraction
from typing import Any

# JSON numbers are binary: an exact fraction is equal to what it becomes as one, give or take the last digits.
RELATIVE = Fraction(1, 10**12)


class Text:
    """Stands for any sentence that holds the given words, in this order."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def fits(self, found: object) -> bool:
        """Say whether `found` is a text with these words."""
        if not isinstance(found, str) or not found.strip():
            return False
        position = 0
        for word in self.words:
            position = found.find(word, position)
            if position < 0:
                return False
            position += len(word)
        return True

    def __repr__(self) -> str:
        return f"a text with {self.words}"


def fits(found: object, expected: object) -> bool:
    """Say whether one value of an answer is the expected one; moments and fractions are read, not spelled."""
    if isinstance(expected, Text):
        return expected.fits(found)
    if isinstance(expected, datetime):
        return isinstance(found, str) and datetime.fromisoformat(found) == expected
    if isinstance(expected, date):
        return found == expected.isoformat()
    if isinstance(expected, Fraction):
        if isinstance(found, bool) or not isinstance(found, int | float):
            return False
        return abs(Fraction(found) - expected) <= RELATIVE * max(Fraction(1), abs(expected))
    return type(found) is type(expected) and found == expected


def differences(found: Any, expected: Any, path: str = "") -> Iterator[str]:
    """Yield one line for every value of `expected` that `found` does not hold."""
    if isinstance(expected, dict) and isinstance(found, dict):
        if set(found) != set(expected):
            yield f"{path}: fields {sorted(set(found) ^ set(expected))}"
        for key in expected:
            yield from differences(found.get(key), expected[key], f"{path}.{key}")
    elif isinstance(expected, list) and isinstance(found, list):
        if len(found) != len(expected):
            yield f"{path}: {len(found)} entries, expected {len(expected)}"
        for index, (one, other) in enumerate(zip(found, expected, strict=False)):
            yield from differences(one, other, f"{path}[{index}]")
    elif not fits(found, expected):
        yield f"{path}: found {found!r}, expected {expected!r}"


def assert_no_differences(lines: list[str]) -> None:
    """Fail with the first differences and their number."""
    assert not lines, f"{len(lines)} differences:\n" + "\n".join(lines[:40])
