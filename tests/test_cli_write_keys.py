"""The commands about write keys: what they print and how they end."""

import hashlib
import re
from collections.abc import Mapping

import pytest

from app.settings import Settings
from tests.test_cli import fetch, run


@pytest.fixture
def variables(settings: Settings) -> Mapping[str, str]:
    """The environment of a command that uses this test's servers."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    return {"database_url": settings.database_url, "redis_url": settings.redis_url}


async def test_a_write_key_is_made_listed_and_revoked(variables: Mapping[str, str]) -> None:
    created = await run("write-key", "create", "web shop", **variables)
    assert created.status == 0
    assert re.fullmatch(r"chw_[A-Za-z0-9_-]{43}\n", created.output)
    assert created.errors == "It is not shown again: only its hash is kept.\n"
    hashed = hashlib.sha256(created.output.strip().encode()).hexdigest()
    assert await fetch(variables, "SELECT name, key_hash, revoked_at FROM write_keys") == [("web shop", hashed, None)]

    revoked = await run("write-key", "revoke", "web shop", **variables)
    assert (revoked.status, revoked.output) == (0, "")
    assert revoked.errors == "The write key 'web shop' is revoked.\n"
    ((created_at, revoked_at),) = await fetch(
        variables,
        "SELECT to_char(created_at, 'YYYY-MM-DD HH24:MI'), to_char(revoked_at, 'YYYY-MM-DD HH24:MI') FROM write_keys",
    )
    listed = await run("write-key", "list", **variables)
    assert (listed.status, listed.errors) == (0, "")
    heads, row = (line for line in listed.output.splitlines() if re.match("[┃│]", line))
    assert re.split(r" *┃ *", heads)[1:-1] == ["name", "created", "last used", "revoked"]
    assert re.split(r" *│ *", row)[1:-1] == ["web shop", f"{created_at} UTC", "", f"{revoked_at} UTC"]


async def test_a_taken_an_unknown_and_an_impossible_name_are_refused(variables: Mapping[str, str]) -> None:
    assert (await run("write-key", "create", "shop", **variables)).status == 0
    before = await fetch(variables, "SELECT * FROM write_keys")
    for arguments, message in {
        ("create", "shop"): "There is a write key named 'shop' already; revoked ones keep their names, too.",
        ("create", ""): "The name must be 1 to 100 printable characters, and not only spaces.",
        ("revoke", "shops"): "There is no write key named 'shops'.",
    }.items():
        refused = await run("write-key", *arguments, **variables)
        assert (refused.status, refused.output, refused.errors) == (2, "", f"client-health: {message}\n")
    assert await fetch(variables, "SELECT * FROM write_keys") == before
