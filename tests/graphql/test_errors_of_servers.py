"""Real servers that are down, busy or cut off: UNAVAILABLE, and nothing of what they said."""

import asyncio
from typing import Any, cast

import pytest
import redis.asyncio
from sqlalchemy import text
from structlog.testing import capture_logs

from app.database import Database
from app.errors import Unavailable
from app.graphql.errors import (
    INTERNAL_MESSAGE,
    UNAVAILABLE_MESSAGE,
)
from tests.graphql.failing import MUTATION, Action, failure, raising, run


async def _unreachable_database() -> None:
    database = Database("postgresql://nobody@127.0.0.1:1/nothing")
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))


async def _unreachable_socket() -> None:
    database = Database("postgresql://nobody@/nothing?host=/nowhere")
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))


async def _unreachable_redis() -> None:
    async with redis.asyncio.Redis.from_url("redis://127.0.0.1:1/0") as client:
        await client.ping()


@pytest.mark.parametrize(
    "action",
    [
        _unreachable_database,
        _unreachable_socket,
        _unreachable_redis,
        raising(TimeoutError()),
        raising(ConnectionResetError("peer")),
    ],
)
async def test_a_server_that_does_not_answer_is_unavailable(action: Action) -> None:
    with capture_logs() as logs:
        assert await failure("{ act }", action) == (UNAVAILABLE_MESSAGE, {"code": "UNAVAILABLE"})
        data, errors = await run(MUTATION, action)
    assert data == {"act": {"__typename": "UnavailableError", "code": "UNAVAILABLE", "message": UNAVAILABLE_MESSAGE}}
    assert errors == []
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("unavailable", "warning")] * 2


async def test_unavailable_keeps_the_sentence_it_was_raised_with() -> None:
    assert (await failure("{ act }", raising(Unavailable("The keys cannot be fetched."))))[0] == (
        "The keys cannot be fetched."
    )


async def test_a_cut_connection_and_a_cancelled_statement_are_unavailable(database: Database) -> None:
    async def cut() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))

    async def slow() -> None:
        async with database.begin() as session:
            await session.execute(text("SET LOCAL statement_timeout = 20"))
            await session.execute(text("SELECT pg_sleep(10)"))

    for action in (cut, slow):
        assert await failure("{ act }", action) == (UNAVAILABLE_MESSAGE, {"code": "UNAVAILABLE"})


async def test_a_pool_without_a_free_connection_is_unavailable(database_url: str) -> None:
    database = Database(database_url, pool_size=1)
    cast("Any", database.engine.pool)._timeout = 0.05

    async def read() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))

    async with database.read():
        assert await failure("{ act }", read) == (UNAVAILABLE_MESSAGE, {"code": "UNAVAILABLE"})
    await database.close()


async def test_a_deadlock_is_unavailable(database: Database) -> None:
    first_has_locked, second_has_locked = asyncio.Event(), asyncio.Event()

    async def lock(mine: int, other: int, done: asyncio.Event, wait_for: asyncio.Event) -> None:
        async with database.begin() as session:
            await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": mine})
            done.set()
            await wait_for.wait()
            await session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": other})

    answers = await asyncio.gather(
        run("{ act }", lambda: lock(1, 2, first_has_locked, second_has_locked)),
        run("{ act }", lambda: lock(2, 1, second_has_locked, first_has_locked)),
    )
    [error] = [error for _, errors in answers for error in errors]
    assert error["extensions"] == {"code": "UNAVAILABLE"}


async def test_a_nul_character_in_text_is_a_mistake_of_the_input(database: Database) -> None:
    async def search() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT CAST(:text AS text)"), {"text": "a\0b"})

    message, extensions = await failure("{ act }", search)
    assert (message, extensions["code"]) == ("Text must not contain the NUL character.", "INVALID_INPUT")


async def test_a_wrong_statement_is_a_fault_of_ours_and_not_shown(database: Database) -> None:
    async def wrong() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT secret FROM nowhere"))

    with capture_logs() as logs:
        message, extensions = await failure("{ act }", wrong)
        assert (await failure(MUTATION, wrong))[0] == INTERNAL_MESSAGE
    assert (message, extensions["code"]) == (INTERNAL_MESSAGE, "INTERNAL")
    assert [entry["event"] for entry in logs] == ["internal_error"] * 2
