"""Write keys: making, finding and revoking them, and what a header presents."""

import base64
import hashlib
import re
from datetime import timedelta

import pytest

from app.auth import write_keys
from app.auth.write_keys import MAX_AGE, MAX_REMEMBERED, WriteKeys, presented_key
from app.database import Database
from app.errors import Conflict, InvalidInput, NotFound
from tests.factories import rows_of, utc

NOW = utc("2026-03-31T14:30:20")
KEY = "chw_" + "aB3-_" * 8 + "xyz"
ROWS = "SELECT name, key_hash, created_at, last_used_at, revoked_at FROM write_keys ORDER BY id"


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


async def create(database: Database, name: str) -> str:
    async with database.begin() as session:
        return await write_keys.create(session, name, NOW)


async def revoke(database: Database, name: str, after: timedelta = timedelta(0)) -> None:
    async with database.begin() as session:
        await write_keys.revoke(session, name, NOW + after)


async def used(database: Database, *ids: int, after: timedelta = timedelta(0)) -> list[object]:
    """Note the keys as used, and return when each of all keys was last used."""
    async with database.begin() as session:
        await write_keys.used(session, ids, NOW + after)
    return [row[3] for row in await rows_of(database, ROWS)]


def basic(pair: str | bytes, scheme: str = "Basic") -> str:
    content = pair.encode() if isinstance(pair, str) else pair
    return f"{scheme} {base64.b64encode(content).decode()}"


async def test_a_key_is_kept_by_its_hash_only(database: Database) -> None:
    key = await create(database, "web shop")
    assert re.fullmatch(r"chw_[A-Za-z0-9_-]{43}", key)
    assert presented_key(basic(f"{key}:")) == key
    assert await rows_of(database, ROWS) == [("web shop", hashlib.sha256(key.encode()).hexdigest(), NOW, None, None)]
    assert await create(database, "app") != key


@pytest.mark.parametrize("name", ["a", "x" * 100, "Señales — 東京"])
async def test_a_name_is_any_printable_text(database: Database, name: str) -> None:
    await create(database, name)
    assert [row[0] for row in await rows_of(database, ROWS)] == [name]


@pytest.mark.parametrize("name", ["", "  ", "x" * 101, "two\nlines", "bell\a", "\udcff"])
async def test_a_name_that_cannot_be_printed_is_refused(database: Database, name: str) -> None:
    with pytest.raises(InvalidInput, match="1 to 100 printable characters") as refused:
        await create(database, name)
    assert refused.value.field == "name"
    assert await rows_of(database, ROWS) == []


async def test_a_taken_name_is_refused_even_of_a_revoked_key(database: Database) -> None:
    await create(database, "shop")
    await revoke(database, "shop")
    before = await rows_of(database, ROWS)
    with pytest.raises(Conflict, match="There is a write key named 'shop' already"):
        await create(database, "shop")
    assert await rows_of(database, ROWS) == before


async def test_what_is_revoked_again_keeps_its_moment(database: Database) -> None:
    await create(database, "shop")
    await create(database, "app")
    await revoke(database, "shop")
    await revoke(database, "shop", after=timedelta(days=1))
    assert [(row[0], row[4]) for row in await rows_of(database, ROWS)] == [("shop", NOW), ("app", None)]
    with pytest.raises(NotFound, match="There is no write key named 'Shop'"):
        await revoke(database, "Shop")


async def test_the_keys_are_listed_by_name_without_their_hashes(database: Database) -> None:
    for name in ("shop", "app"):
        await create(database, name)
    await revoke(database, "shop")
    async with database.read() as connection:
        listed = await write_keys.every(connection)
    assert [row._asdict() for row in listed] == [
        {"name": "app", "created_at": NOW, "last_used_at": None, "revoked_at": None},
        {"name": "shop", "created_at": NOW, "last_used_at": None, "revoked_at": NOW},
    ]


async def test_a_key_is_found_and_a_strange_one_is_not(database: Database) -> None:
    first, second = await create(database, "first"), await create(database, "second")
    ids = dict(await rows_of(database, "SELECT name, id FROM write_keys"))
    keys = WriteKeys(database)
    assert [await keys.find(key) for key in (first, second, KEY, second)] == [ids["first"], ids["second"], None, 2]


async def test_a_revoked_key_is_refused_after_ten_seconds_and_at_once_by_who_does_not_know_it(
    database: Database,
) -> None:
    key, clock = await create(database, "shop"), Clock()
    knows, knows_not = WriteKeys(database, clock), WriteKeys(database, clock)
    found = await knows.find(key)
    assert found is not None
    await revoke(database, "shop")
    assert await knows_not.find(key) is None
    clock.seconds += MAX_AGE - 0.001
    assert await knows.find(key) == found
    clock.seconds += 0.001
    assert await knows.find(key) is None


async def test_a_key_that_was_not_known_is_asked_for_again_after_ten_seconds(database: Database) -> None:
    clock = Clock()
    keys = WriteKeys(database, clock)
    assert await keys.find(KEY) is None
    async with database.begin() as session:
        key = await write_keys.create(session, "shop", NOW)
        assert await keys.find(key) is None
    assert await keys.find(key) is None
    clock.seconds += MAX_AGE
    assert await keys.find(key) is not None
    assert await keys.find(KEY) is None


async def test_a_process_remembers_so_many_keys_and_forgets_the_oldest(database: Database) -> None:
    key = await create(database, "shop")
    keys = WriteKeys(database, Clock())
    found = await keys.find(key)
    await revoke(database, "shop")
    for number in range(MAX_REMEMBERED - 1):
        assert await keys.find(f"chw_{number:043d}") is None
    # It is remembered still, and with the next one it is not any more.
    assert await keys.find(key) == found
    assert await keys.find(KEY) is None
    assert await keys.find(key) is None


async def test_the_last_use_is_noted_to_the_minute(database: Database) -> None:
    for name in ("first", "second", "third"):
        await create(database, name)
    assert await used(database, 3, 1) == [utc("2026-03-31T14:30"), None, utc("2026-03-31T14:30")]
    before = await rows_of(database, "SELECT xmin::text, id FROM write_keys ORDER BY id")
    assert await used(database, 1, 3, after=timedelta(seconds=39)) == [
        utc("2026-03-31T14:30"),
        None,
        utc("2026-03-31T14:30"),
    ]
    # Nothing was written for a note of the same minute.
    assert await rows_of(database, "SELECT xmin::text, id FROM write_keys ORDER BY id") == before
    assert await used(database, 1, 2, after=timedelta(seconds=40)) == [
        utc("2026-03-31T14:31"),
        utc("2026-03-31T14:31"),
        utc("2026-03-31T14:30"),
    ]
    assert await used(database) == [utc("2026-03-31T14:31"), utc("2026-03-31T14:31"), utc("2026-03-31T14:30")]


async def test_nobody_waits_for_a_key_that_another_one_notes(database: Database) -> None:
    await create(database, "first")
    await create(database, "second")
    async with database.begin() as session:
        await write_keys.used(session, [2], NOW)
        assert await used(database, 1, 2, after=timedelta(minutes=5)) == [utc("2026-03-31T14:35"), None]
    assert await used(database) == [utc("2026-03-31T14:35"), utc("2026-03-31T14:30")]


@pytest.mark.parametrize(
    "header",
    [
        basic(f"{KEY}:"),
        basic(f"{KEY}:any password: at all"),
        basic(KEY.encode() + b":\xff\x00"),
        basic(f"{KEY}:", "basic"),
        basic(f"{KEY}:", "BASIC"),
        basic(f"{KEY}:").replace(" ", "   ") + " ",
    ],
)
def test_the_user_name_is_the_key(header: str) -> None:
    assert presented_key(header) == KEY


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Basic",
        "Basic ",
        f"Basic {KEY}",
        f"Bearer {KEY}",
        KEY,
        basic(f"{KEY}:", "Basics"),
        basic(KEY),
        basic(":" + KEY),
        basic(f" {KEY}:"),
        basic(f"{KEY}\n:"),
        basic(f"{KEY}x:"),
        basic(f"{KEY[:-1]}:"),
        basic(f"{KEY[:-1]}é:"),
        basic(f"CHW{KEY[3:]}:"),
        basic("anna:secret"),
        basic(f"{KEY}:") + "!",
        basic(f"{KEY}:p").rstrip("="),
        basic(f"{KEY}:") + "é",
    ],
)
def test_what_is_no_key_presents_none(header: str | None) -> None:
    assert presented_key(header) is None
