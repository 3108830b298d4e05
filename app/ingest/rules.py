"""What a cell of a file may hold: pure functions from its text to a value.

Every parser takes the stripped, non-empty text of one cell and returns the value that is stored. It raises ValueError
with the rest of a sentence that starts with the column's name: what is wrong, and what would be right.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache

# Texts are keys and parts of indexes, and an index entry of PostgreSQL holds 2,704 bytes.
MAX_TEXT = 400
FIRST_YEAR, LAST_YEAR = 1970, 2200
MAX_COUNT = 2_147_483_647
MAX_AMOUNT = Decimal("999999999999.99")
MAX_MINUTES = Decimal(1_000_000_000)
MAX_DECIMALS = 20
SHOWN = 60

_DATE_LENGTH = len("2025-03-31")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


def text(value: str) -> str:
    """Return `value` as it is; at most 400 characters."""
    if len(value) > MAX_TEXT:
        raise ValueError(f"is longer than {MAX_TEXT} characters")
    return value


def timestamp(value: str) -> datetime:
    """Return an ISO 8601 time in UTC, from 1970 to 2200; without an offset it is UTC, a bare date is its midnight."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("is not a time: write it as 2025-03-31T14:05:00Z") from None
    # Python takes any character between date and time; "2025-03-31-10:00" could mean an offset, so it is refused.
    if len(value) > _DATE_LENGTH and not ("T" in value or " " in value or "t" in value):
        raise ValueError("is not a time: write it as 2025-03-31T14:05:00Z")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    elif moment.tzinfo is not UTC:
        if not FIRST_YEAR <= moment.year <= LAST_YEAR + 1:
            raise ValueError(f"is outside the years {FIRST_YEAR} to {LAST_YEAR}")
        moment = moment.astimezone(UTC)
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError(f"is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment


def day(value: str) -> date:
    """Return an ISO 8601 date from 1970 to 2200; a full time counts with its UTC date."""
    try:
        found = date.fromisoformat(value) if len(value) <= _DATE_LENGTH else timestamp(value).date()
    except ValueError as error:
        if "outside" in str(error):
            raise
        raise ValueError("is not a date: write it as 2025-03-31") from None
    if not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise ValueError(f"is outside the years {FIRST_YEAR} to {LAST_YEAR}")
    return found


def boolean(value: str) -> bool:
    """Return true or false, in any case."""
    lowered = value.lower()
    if lowered not in {"true", "false"}:
        raise ValueError("is not a boolean: write true or false")
    return lowered == "true"


def _number(value: str) -> Decimal:
    if _NUMBER.fullmatch(value) is None:
        raise ValueError("is not a number: write it as 1234.5, without separators of thousands")
    number = Decimal(value)
    if number < 0:
        raise ValueError("is negative: it must be 0 or more")
    return abs(number)


@lru_cache(maxsize=4096)
def count(value: str) -> int:
    """Return a whole number from 0 to 2,147,483,647; 12.0 is 12."""
    number = _number(value)
    if number > MAX_COUNT:
        raise ValueError(f"is too large: at most {MAX_COUNT}")
    whole = int(number)
    if whole != number:
        raise ValueError("is not a whole number")
    return whole


@lru_cache(maxsize=4096)
def minutes(value: str) -> Decimal:
    """Return a length in minutes, exactly as written: from 0 to below 1,000,000,000, with at most 20 decimals."""
    number = _number(value)
    if number >= MAX_MINUTES:
        raise ValueError(f"is too large: below {MAX_MINUTES}")
    number = number.normalize()
    exponent = number.as_tuple().exponent
    if isinstance(exponent, int) and exponent < -MAX_DECIMALS:
        raise ValueError(f"has more than {MAX_DECIMALS} decimals")
    return number


def amount(value: str) -> Decimal:
    """Return an amount of money from 0 to 999,999,999,999.99, half up to two decimals."""
    number = _number(value)
    if number > MAX_AMOUNT:
        raise ValueError(f"is too large: at most {MAX_AMOUNT}")
    return number.quantize(Decimal("0.01"), ROUND_HALF_UP)


def choice(names: Iterable[str], *, otherwise: str | None = None) -> Callable[[str], str]:
    """Return a parser for one of `names` (in capitals), written in any case; `otherwise` stands for an unlisted one."""
    known = {str(name): str(name) for name in names}

    def parse(value: str) -> str:
        name = known.get(value.upper(), otherwise)
        if name is None:
            raise ValueError(f"is not one of {', '.join(known)}")
        return name

    return parse


def printable(value: str, length: int = SHOWN) -> str:
    """Return `value` fit for a terminal and a report: at most `length` characters, none of them a control character."""
    shown = value if len(value) <= length else value[: length - 3] + "..."
    return "".join(character if character.isprintable() else "?" for character in shown)


def text_problem(cells: Iterable[str]) -> str | None:
    """Return why these cells cannot be stored as text at all, or None: undecodable bytes and NUL characters."""
    joined = "".join(cells)
    if "\x00" in joined:
        return "the row holds a NUL character"
    if not joined.isascii():
        try:
            joined.encode()
        except UnicodeEncodeError:
            return "the row is not valid UTF-8"
    return None
