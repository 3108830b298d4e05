"""Relay's pages: opaque ids and cursors, and the bounds of what one request may ask for."""

import base64
import binascii
from typing import Any

import orjson
import strawberry

from app.errors import InvalidInput

MAX_PAGE = 100
MAX_DAYS = 730
_MAX_ID = 2**63 - 1


@strawberry.interface(description="An object that a front end may hold by its id and ask for again.")
class Node:
    """Everything that has a global id."""

    id: strawberry.ID = strawberry.field(description="The object's global id, which says nothing to anybody else.")


@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    """Relay's page information."""

    has_next_page: bool = strawberry.field(description="Whether there are items behind this page.")
    has_previous_page: bool = strawberry.field(description="Whether there are items before this page.")
    start_cursor: str | None = strawberry.field(description="The cursor of the first item, null on an empty page.")
    end_cursor: str | None = strawberry.field(description="The cursor of the last item, null on an empty page.")


def page_info(cursors: list[str], *, more: bool, after: str | None) -> PageInfo:
    """Return the page information of a forward page that began behind `after`."""
    return PageInfo(
        has_next_page=more,
        has_previous_page=after is not None,
        start_cursor=cursors[0] if cursors else None,
        end_cursor=cursors[-1] if cursors else None,
    )


def check_first(first: int) -> int:
    """Return `first` if a page may have that many items. Raises InvalidInput."""
    if not 1 <= first <= MAX_PAGE:
        raise InvalidInput("first", f"first must be from 1 to {MAX_PAGE}, not {first}.")
    return first


def check_days(days: int) -> int:
    """Return `days` if a series may be that long. Raises InvalidInput."""
    if not 1 <= days <= MAX_DAYS:
        raise InvalidInput("days", f"days must be from 1 to {MAX_DAYS}, not {days}.")
    return days


def encode(value: list[Any]) -> str:
    """Return a list of JSON values as opaque, URL-safe text."""
    return base64.urlsafe_b64encode(orjson.dumps(value)).decode().rstrip("=")


def decode(field: str, text: str) -> list[Any]:
    """Return the list that `encode` made the text of. Raises InvalidInput naming `field`."""
    try:
        value = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        value = None
    # No id and no cursor holds a truth value, which Python would take for a number.
    if not isinstance(value, list) or any(isinstance(item, bool) for item in value):
        raise InvalidInput(field, f"{field} is not a value that this API has given out.")
    return value


def global_id(type_name: str, key: int) -> strawberry.ID:
    """Return the global id of the object of a type with a key."""
    return strawberry.ID(encode([type_name, key]))


def split_id(field: str, text: str) -> tuple[str, int]:
    """Return the type and key of a global id. Raises InvalidInput naming `field`."""
    match decode(field, text):
        case [str(type_name), int(key)] if 0 < key <= _MAX_ID:
            return type_name, key
        case _:
            raise InvalidInput(field, f"{field} is not an id that this API has given out.")


def key_of(field: str, text: str, type_name: str) -> int:
    """Return the key of a global id of the wanted type. Raises InvalidInput naming `field`."""
    found, key = split_id(field, text)
    if found != type_name:
        raise InvalidInput(field, f"{field} is the id of a {found}, not of a {type_name}.")
    return key
