"""`client-health erase`: what it asks, what it prints, and how it ends."""

import asyncio
import os
import sys
from collections.abc import Mapping

import pytest
from sqlalchemy import text

from app.database import Database
from app.settings import Settings
from tests.erasure.helpers import add_busy_client, row_counts, tables_naming
from tests.factories import rows_of
from tests.test_cli import run


@pytest.fixture
def servers_of(settings: Settings) -> Mapping[str, str]:
    """The environment of a command on this test's servers."""
    assert settings.database_url is not None
    assert settings.redis_url is not None
    return {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url}


async def test_a_client_is_erased_here_and_now(database: Database, servers_of: Mapping[str, str]) -> None:
    await add_busy_client(database)
    ended = await run("erase", "--client", "acme-1", "--yes", **servers_of)
    assert ended.status == 0, ended.errors
    assert "22 pieces done, 0 failed." in ended.errors
    assert await tables_naming(database, "acme-1", "Acme") == []
    actors = "SELECT actor, action FROM audit_events ORDER BY id"
    assert await rows_of(database, actors) == [("command line", "RUN_REQUESTED"), ("command line", "CLIENT_ERASED")]
    again = await run("erase", "--client", "acme-1", "--yes", **servers_of)
    assert again.status != 0
    assert "There is no client with the external id 'acme-1'." in again.errors


async def test_a_member_is_erased_here_and_now(database: Database, servers_of: Mapping[str, str]) -> None:
    await add_busy_client(database)
    ended = await run("erase", "--client", "acme-1", "--member", "acme-1-ann", "--yes", **servers_of)
    assert ended.status == 0, ended.errors
    assert await tables_naming(database, "acme-1-ann") == []
    assert await rows_of(database, "SELECT external_id FROM members") == [("acme-1-bob",)]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        # Nobody is there to answer.
        (("--client", "acme-1"), "Erase the client 'acme-1'? This cannot be undone."),
        (("--client", "acme-1", "--member", "acme-1-ann"), "Erase the member 'acme-1-ann' of the client 'acme-1'?"),
        (("--client", "acme-2", "--yes"), "There is no client with the external id 'acme-2'."),
        (("--client", "acme-1", "--member", "eve", "--yes"), "The client has no member with this external id."),
        (("--member", "acme-1-ann", "--yes"), "--client"),
    ],
)
async def test_without_a_yes_or_with_nobody_to_erase_nothing_happens(
    database: Database, servers_of: Mapping[str, str], arguments: tuple[str, ...], said: str
) -> None:
    client = await add_busy_client(database)
    before = await row_counts(database, client)
    ended = await run("erase", *arguments, **servers_of)
    assert ended.status != 0
    assert said in ended.errors
    assert "Traceback" not in ended.errors
    assert await row_counts(database, client) == before
    assert await rows_of(database, "SELECT id FROM runs WHERE kind = 'ERASE'") == []


async def test_an_erasure_that_was_killed_is_completed_by_the_same_command(
    database: Database, servers_of: Mapping[str, str]
) -> None:
    """The process is killed between two of its steps, when nobody finds the client by its id any more."""
    await add_busy_client(database)
    arguments = ("erase", "--client", "acme-1", "--yes")
    lock = "SELECT count(*) FROM pg_locks WHERE relation = 'tickets'::regclass AND NOT granted"
    async with database.begin() as session:
        await session.execute(text("LOCK TABLE tickets IN SHARE MODE"))
        environment = os.environ | servers_of | {"RUN_LEASE_SECONDS": "2"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.cli", *arguments, env=environment, stderr=asyncio.subprocess.DEVNULL
        )
        try:
            while (await rows_of(database, lock))[0][0] == 0:
                assert process.returncode is None
                await asyncio.sleep(0.02)
        finally:
            process.kill()
            await process.wait()
    assert await rows_of(database, "SELECT name FROM clients") == [("Erased client",)]
    assert await rows_of(database, "SELECT count(*) FROM logins") == [(0,)]
    assert await rows_of(database, "SELECT count(*) FROM tickets") == [(1,)]
    assert await tables_naming(database, "acme-1") != []
    ended = await run(*arguments, **servers_of)
    assert ended.status == 0, ended.errors
    assert "22 pieces done, 0 failed." in ended.errors
    assert await tables_naming(database, "acme-1", "Acme") == []
    runs = "SELECT kind, status, attempt, done, total FROM runs WHERE kind = 'ERASE'"
    assert await rows_of(database, runs) == [("ERASE", "SUCCEEDED", 2, 22, 22)]
