"""A database that is slow, cut off or away, and requests that never end: senders are told to wait, nothing is lost."""

import asyncio
import base64
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import asyncpg
import httpx2
import orjson
import pytest

from app.auth import write_keys
from app.database import Database
from app.intake import tracking
from app.main import create_app
from app.settings import Settings
from tests.chaos.service import free_port, until
from tests.graphql.live import HOST, running_web
from tests.intake.conftest import Event, Intake

STORED = "SELECT message_id FROM events ORDER BY 1"
UNAVAILABLE = {"code": "UNAVAILABLE", "message": "The events could not be stored now; send them again."}
TOO_LATE = {"code": "UNAVAILABLE", "message": "The events could not be stored in time; send them again."}
# How many requests of unknown length are taken at once.
FITTING = tracking.MAX_PENDING_BYTES // tracking.MAX_BODY_BYTES
# Whoever waits for the table, and what it was that waits.
WAITING = "SELECT pid FROM pg_locks WHERE NOT granted AND relation = CAST($1 AS regclass)"


def page(message_id: str) -> Event:
    """Return an event of nobody."""
    return {"type": "page", "messageId": message_id, "anonymousId": "x"}


@asynccontextmanager
async def held(database: Database, table: str = "events") -> AsyncIterator[asyncpg.Connection]:
    """Keep everybody from storing an event, or from using another table, until the end of the block."""
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute(f"LOCK TABLE {table}")
            yield connection
    finally:
        await connection.close()


async def waits(connection: asyncpg.Connection) -> int:
    """Return the process that waits for the table, once there is one."""
    return int(await until(lambda: connection.fetchval(WAITING, "events"), 60, "somebody waits for the table"))


async def packed(intake: Intake, message_id: str) -> httpx2.Response:
    """Send one event in a body that does not say how long it is unpacked."""
    body = gzip.compress(orjson.dumps({"batch": [page(message_id)]}))
    return await intake.http.post(
        "/v1/batch", content=body, auth=(intake.key, ""), headers={"Content-Encoding": "gzip"}, timeout=120
    )


async def test_more_than_fits_has_to_wait_and_nothing_is_lost(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    # The database takes as long as the test needs.
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 100)
    await intake.batch(page("first"))
    names = [f"m{number:02}" for number in range(FITTING + 9)]
    async with held(intake.database) as connection:
        sent = {asyncio.create_task(packed(intake, name)): name for name in names}
        await waits(connection)
        refused: set[asyncio.Task[httpx2.Response]] = set()
        while len(refused) < 9:
            done, _ = await asyncio.wait(set(sent) - refused, return_when=asyncio.FIRST_COMPLETED)
            refused |= done
        for task in refused:
            answer = task.result()
            assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
            assert answer.json() == {
                "code": "TOO_MANY_REQUESTS",
                "message": "More events are being stored than fit; send these again.",
            }
        # A request that says that it is short still fits, and one that says nothing does not.
        assert (await packed(intake, "late")).status_code == 429
        short = asyncio.create_task(intake.send("batch", {"batch": [page("short")]}))
    taken = [await task for task in sent if task not in refused]
    assert [answer.status_code for answer in (*taken, await short)] == [200] * (FITTING + 1)
    expected = {"first", "short", *(name for task, name in sent.items() if task not in refused)}
    assert {name for (name,) in await intake.rows(STORED)} == expected
    # What was put off is sent again, and then all is there.
    for task in refused:
        assert (await packed(intake, sent[task])).status_code == 200
    assert {name for (name,) in await intake.rows(STORED)} == {"first", "short", *names}


async def test_bodies_of_senders_without_a_key_have_room_until_it_is_found(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 100)
    fitting = tracking.MAX_UNKNOWN_BYTES // tracking.MAX_BODY_BYTES

    async def keyed(message_id: str) -> httpx2.Response:
        body = gzip.compress(orjson.dumps({"batch": [page(message_id)], "writeKey": intake.key}))
        return await intake.http.post("/v1/batch", content=body, headers={"Content-Encoding": "gzip"}, timeout=120)

    async with held(intake.database, "write_keys") as connection:
        sent = [asyncio.create_task(keyed(f"m{number}")) for number in range(fitting)]

        async def all_wait() -> bool:
            waiting = await connection.fetchval(f"SELECT count(*) FROM ({WAITING}) AS waiting", "write_keys")
            return int(waiting) == fitting

        await until(all_wait, 60, "the key of every body is looked for")
        late = await keyed("late")
        assert (late.status_code, late.headers["retry-after"]) == (429, "1")
    assert [(await task).status_code for task in sent] == [200] * fitting
    assert await intake.rows(STORED) == [(f"m{number}",) for number in range(fitting)]
    # Their room is free again.
    assert (await keyed("late")).status_code == 200


async def test_a_slow_database_is_told_of_and_the_same_events_may_be_sent_again(
    intake: Intake, monkeypatch: pytest.MonkeyPatch
) -> None:
    await intake.batch(page("first"))
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 2)
    async with held(intake.database) as connection:
        being_written = asyncio.create_task(intake.send("batch", {"batch": [page("a")]}))
        await waits(connection)
        waiting = asyncio.create_task(intake.send("batch", {"batch": [page("b")]}))
        for task in (being_written, waiting):
            answer = await task
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
            assert answer.json() == TOO_LATE
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 100)
    # What was being written is there all the same, and what only waited is not: it would fill the memory.
    await intake.batch(page("c"))
    assert await intake.rows(STORED) == [("a",), ("c",), ("first",)]
    await intake.batch(page("a"), page("b"))
    assert await intake.rows(STORED) == [("a",), ("b",), ("c",), ("first",)]


async def test_a_connection_that_is_cut_loses_nothing(intake: Intake) -> None:
    await intake.batch(page("first"))
    async with held(intake.database) as connection:
        sent = [asyncio.create_task(intake.send("batch", {"batch": [page(name)]})) for name in ("a", "b")]
        await connection.execute("SELECT pg_terminate_backend($1)", await waits(connection))
        answer = await sent[0]
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json() == UNAVAILABLE
    codes = {task: (await task).status_code for task in sent}
    names = {name for (name,) in await intake.rows(STORED)}
    # Exactly what was answered with 200 is there.
    assert names == {"first", *(name for name, code in zip("ab", codes.values(), strict=True) if code == 200)}
    await intake.batch(page("a"), page("b"))
    assert await intake.rows(STORED) == [("a",), ("b",), ("first",)]


async def test_a_database_that_is_away_is_told_of(redis_url: str) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/nothing"
    app = create_app(Settings(database_url=url, redis_url=redis_url, auth_secret="x" * 32))
    key = f"chw_{'x' * 43}"
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://intake") as http,
    ):
        answer = await http.post("/v1/batch", json={"batch": [page("a")]}, auth=(key, ""))
        assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (503, "2", UNAVAILABLE)
        answer = await http.post("/v1/page", json={**page("a"), "writeKey": key})
        assert (answer.status_code, answer.headers["retry-after"], answer.json()) == (503, "2", UNAVAILABLE)
        # Whoever shows no key is told so without the database.
        assert (await http.post("/v1/batch", json={"batch": [page("a")]})).status_code == 401


async def write_key(database: Database) -> str:
    """Return a new write key."""
    async with database.begin() as session:
        return await write_keys.create(session, "product", datetime.now(UTC))


def head(key: str, *lines: str) -> bytes:
    """Return the head of a request with a batch."""
    authorization = f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"
    return "\r\n".join(
        ["POST /v1/batch HTTP/1.1", "Host: a", f"Authorization: {authorization}", *lines, "", ""]
    ).encode()


async def test_a_body_without_a_length_is_taken_as_it_comes(settings: Settings, database: Database) -> None:
    key = await write_key(database)
    body = orjson.dumps({"batch": [page(f"m{number}") for number in range(100)]})

    async def pieces(content: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(content), 1_000):
            yield content[start : start + 1_000]

    async with running_web(settings) as web, httpx2.AsyncClient(base_url=f"http://{HOST}:{web.port}") as http:
        answer = await http.post("/v1/batch", content=pieces(body), auth=(key, ""))
        assert (answer.status_code, answer.json()["accepted"]) == (200, 100)
        packed_body = gzip.compress(orjson.dumps({"batch": [page("packed")]}))
        headers = {"Content-Encoding": "gzip"}
        answer = await http.post("/v1/batch", content=pieces(packed_body), auth=(key, ""), headers=headers)
        assert answer.status_code == 200


async def test_a_body_that_stops_is_not_stored_and_frees_its_place(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = await write_key(database)
    intake = Intake(httpx2.AsyncClient(), key, database)
    body = orjson.dumps({"batch": [page("a")]})
    monkeypatch.setattr(tracking, "MAX_PENDING_BYTES", tracking.MAX_BODY_BYTES)
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 1)
    async with running_web(settings) as web, httpx2.AsyncClient(base_url=f"http://{HOST}:{web.port}") as http:
        # One that never ends is given up.
        reader, writer = await asyncio.open_connection(HOST, web.port)
        writer.write(head(key, "Transfer-Encoding: chunked") + b"5\r\n" + body[:5] + b"\r\n")
        async with asyncio.timeout(60):
            answer = await reader.readuntil(b"again.")
        assert answer.startswith(b"HTTP/1.1 503 ")
        writer.close()
        # One whose sender goes away in the middle is none.
        _, writer = await asyncio.open_connection(HOST, web.port)
        writer.write(head(key, f"Content-Length: {len(body)}") + body[:-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 100)

        # There is room for the whole of it again.
        async def taken() -> bool:
            answer = await http.post(
                "/v1/batch",
                content=gzip.compress(orjson.dumps({"batch": [page("b")]})),
                auth=(key, ""),
                headers={"Content-Encoding": "gzip"},
            )
            assert answer.status_code in {200, 429}
            return answer.status_code == 200

        await until(taken, 60, "the place is free again")
    assert await intake.rows(STORED) == [("b",)]
    await intake.http.aclose()


async def endless(begun: asyncio.Event) -> AsyncIterator[bytes]:
    """Yield the beginning of a body that never comes to its end."""
    yield b'{"batch": ['
    begun.set()
    await asyncio.Event().wait()


async def test_senders_without_a_key_leave_the_room_of_those_with_one(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking, "PATIENCE_SECONDS", 100)
    async with database.begin() as session:
        key = await write_keys.create(session, "product", datetime.now(UTC))
    async with (
        running_web(settings) as web,
        httpx2.AsyncClient(base_url=f"http://{HOST}:{web.port}", timeout=60) as http,
    ):
        begun = [asyncio.Event() for _ in range(tracking.MAX_UNKNOWN_BYTES // tracking.MAX_BODY_BYTES)]
        hanging = [asyncio.create_task(http.post("/v1/batch", content=endless(one))) for one in begun]
        await asyncio.gather(*(one.wait() for one in begun))

        async def no_more_fits() -> bool:
            answer = await http.post("/v1/batch", json={"batch": [], "writeKey": "x" * 100_000})
            return answer.status_code == 429

        await until(no_more_fits, 30, "those without a key are told to wait")
        body = gzip.compress(orjson.dumps({"batch": [page("m1")]}))
        answer = await http.post("/v1/batch", content=body, auth=(key, ""), headers={"Content-Encoding": "gzip"})
        assert answer.status_code == 200
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
