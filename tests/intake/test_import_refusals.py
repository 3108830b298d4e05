"""What is no import is refused, with the right status, and leaves nothing behind."""

import asyncio
import gzip
import io
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from app.auth import write_keys
from app.auth.sessions import Sessions
from app.auth.tokens import Role
from app.database import Database
from app.graphql.pagination import global_id
from app.ingest import runs as file_imports
from app.intake import bodies
from app.intake.imports import MAX_UPLOADS
from app.settings import Settings
from tests.factories import utc
from tests.graphql.live import HOST, token
from tests.intake.importing import CLIENTS, JSONL, Imports, basic, bearer, counts, error_of, running_imports

MAX_BYTES = 3_000_000
STRANGE_KEY = "chw_" + "x" * 43


@pytest.fixture
async def imports(settings: Settings, database: Database) -> AsyncIterator[Imports]:
    """A web server on an empty database, with a low limit."""
    async with running_imports(settings.model_copy(update={"import_max_bytes": MAX_BYTES}), database) as running:
        yield running


@pytest.fixture
async def leaves_nothing(imports: Imports) -> AsyncIterator[None]:
    """Check after the test that no import has left a trace, and that nobody was asked to carry one out."""
    yield
    assert await imports.leaves_nothing()
    assert await imports.counted("clients") == {"clients": 0}


async def revoked(imports: Imports) -> str:
    """Return a key that was revoked."""
    async with imports.database.begin() as session:
        key = await write_keys.create(session, "old", utc("2026-03-31"))
        await write_keys.revoke(session, "old", utc("2026-04-01"))
    return key


@pytest.mark.usefixtures("leaves_nothing")
async def test_who_may_not_send_is_refused(imports: Imports) -> None:
    async def answer_to(authorization: str | None) -> httpx2.Response:
        headers = {"Content-Type": "text/csv"} | ({} if authorization is None else {"Authorization": authorization})
        return await imports.http.post("/v1/import/clients", content=CLIENTS, headers=headers)

    nobodies = (None, "", basic(STRANGE_KEY), basic(await revoked(imports)), basic("anna"), "Basic !", "Bearer",
                f"Bearer {imports.key}", f"Bearer {token(secret='of somebody else, who has 32 bytes, too')}",
                basic(token()), f"Digest {imports.key}")  # fmt: skip
    for authorization in nobodies:
        answer = await answer_to(authorization)
        assert error_of(answer) == (401, "UNAUTHENTICATED"), authorization
        assert answer.headers["www-authenticate"] == 'Basic realm="client-health"'
    assert error_of(await answer_to(bearer(Role.CLIENT_SUCCESS))) == (403, "FORBIDDEN")


async def test_a_revoked_key_is_refused_by_who_did_not_know_it(imports: Imports) -> None:
    await imports.taken("clients", CLIENTS)
    assert error_of(await imports.post("clients", CLIENTS, Authorization=basic(await revoked(imports))))[0] == 401
    assert await imports.counted("uploads", "runs") == {"uploads": 1, "runs": 1}


async def test_a_key_sees_what_it_has_sent_and_nothing_else(imports: Imports) -> None:
    async with imports.database.begin() as session:
        other = await write_keys.create(session, "other", utc("2026-03-31"))
    mine = await imports.imported("clients", CLIENTS + ",x\n")
    administrators = await imports.imported("clients", CLIENTS + ",x\n", Authorization=bearer())
    for url, authorization, status in (
        (mine["url"], basic(imports.key), 200),
        (mine["url"], bearer(), 200),
        (mine["url"], basic(other), 404),
        (mine["url"], bearer(Role.CLIENT_SUCCESS), 403),
        (mine["url"], "", 401),
        (administrators["url"], bearer(), 200),
        (administrators["url"], basic(imports.key), 404),
    ):
        for address in (url, f"{url}/rejected"):
            answer = await imports.get(address, Authorization=authorization)
            assert answer.status_code == status, (address, authorization)
            assert status == 200 or "Acme" not in answer.text


async def test_what_is_no_import_is_not_found(imports: Imports) -> None:
    async with imports.database.begin() as session:
        of_files = await file_imports.request(session, Path("/"), requested_by="anna", now=utc("2026-03-31"))
    for name in (
        global_id("Run", of_files),
        global_id("Run", of_files + 1),
        global_id("Client", 1),
        "clients",
        "1",
        "WyJSdW4iLDBd",
        "%00",
        "é",
    ):
        for url in (f"/v1/import/{name}", f"/v1/import/{name}/rejected"):
            assert error_of(await imports.get(url)) == (404, "NOT_FOUND"), url


@pytest.mark.usefixtures("leaves_nothing")
async def test_a_request_that_says_something_impossible_is_refused(imports: Imports) -> None:
    kind = await imports.post("customers", CLIENTS)
    assert error_of(kind) == (404, "NOT_FOUND")
    assert "clients, members, logins, cases, campaigns" in kind.json()["message"]
    for content_type in ("application/json", "text/plain", "", "text/csv; charset=latin-1", "application/csv"):
        answer = await imports.post("clients", CLIENTS, **{"Content-Type": content_type})
        assert error_of(answer) == (415, "UNSUPPORTED_MEDIA_TYPE"), content_type
    assert "one of text/csv, application/x-ndjson, application/jsonl." in answer.json()["message"]
    for encoding in ("br", "deflate", "gzip, gzip"):
        answer = await imports.post("clients", CLIENTS, **{"Content-Encoding": encoding})
        assert error_of(answer) == (415, "UNSUPPORTED_MEDIA_TYPE"), encoding
        assert answer.headers["accept-encoding"] == "gzip"
    for wait in ("soon", "-1", "61", "1.5", "", "1e9", "٣", "0060"):
        answer = await imports.post(f"clients?wait={wait}", CLIENTS)
        assert error_of(answer) == (400, "INVALID_INPUT"), wait
        assert answer.json()["field"] == "wait"
    for method, url, allowed in (
        ("PUT", "/v1/import/clients", "GET, POST"),
        ("DELETE", f"/v1/import/{global_id('Run', 1)}", "GET, POST"),
        ("POST", f"/v1/import/{global_id('Run', 1)}/rejected", "GET"),
    ):
        refused = await imports.http.request(method, url, headers={"Authorization": basic(imports.key)})
        assert error_of(refused) == (405, "METHOD_NOT_ALLOWED")
        assert refused.headers["allow"] == allowed


@pytest.mark.usefixtures("leaves_nothing")
async def test_a_body_that_is_not_what_it_seems_is_refused(imports: Imports) -> None:
    packed = gzip.compress(CLIENTS.encode())
    for content, headers in (
        (b"", {}),
        (b"", JSONL),
        (gzip.compress(b""), {"Content-Encoding": "gzip"}),
        (CLIENTS.encode(), {"Content-Encoding": "gzip"}),
        (packed[:-1], {"Content-Encoding": "gzip"}),
        (packed + b"more", {"Content-Encoding": "gzip"}),
        (packed[:-5] + b"\0" + packed[-4:], {"Content-Encoding": "gzip"}),
        (packed[:15] + b"\xff\xff\xff\xff" + packed[19:], {"Content-Encoding": "gzip"}),
        (zlib.compress(CLIENTS.encode()), {"Content-Encoding": "gzip"}),
    ):
        assert error_of(await imports.post("clients", content, **headers)) == (400, "BAD_REQUEST"), content


async def endless(part: bytes) -> AsyncIterator[bytes]:
    """Yield the part again and again, until the one who is sent it has had enough."""
    for _ in range(1_000):
        yield part


@pytest.mark.usefixtures("leaves_nothing")
async def test_a_body_beyond_the_limit_is_refused(imports: Imports) -> None:
    # By what it announces, as it comes, and by what it unpacks to.
    line = b"C,Ceta\n" * 2_000
    announced = await imports.post("clients", b"x" * (MAX_BYTES + 1))
    streamed = await imports.post("clients", endless(line))
    unpacked = await imports.post("clients", gzip.compress(line * 1_000), **{"Content-Encoding": "gzip"})
    for answer in (announced, streamed, unpacked):
        assert error_of(answer) == (413, "REQUEST_TOO_LARGE")
        assert "3,000,000 bytes" in answer.json()["message"]


async def test_a_body_at_the_limit_is_taken(imports: Imports) -> None:
    # Just as many bytes as there may be, in pieces that do not end where chunks do.
    content = (CLIENTS + ("C" * 99 + "\n") * 30_000).encode()[:MAX_BYTES]
    state = await imports.imported("clients", content)
    assert counts(state) == (len(content.splitlines()) - 1, 2, 0, 0, len(content.splitlines()) - 3)
    assert await imports.rows("SELECT size FROM uploads") == [(MAX_BYTES,)]


async def test_a_bomb_is_refused_before_it_is_unpacked(settings: Settings, database: Database) -> None:
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb") as stream:
        for _ in range(300):
            stream.write(b"0" * 1_000_000)
    bomb = packed.getvalue()
    assert len(bomb) < 400_000
    async with running_imports(settings, database) as imports:
        answer = await imports.post("clients", bomb, **{"Content-Encoding": "gzip"})
        assert error_of(answer) == (413, "REQUEST_TOO_LARGE")
        assert "more than 250 times its packed size" in answer.json()["message"]
        assert await imports.leaves_nothing()


async def begun(imports: Imports, stack: AsyncExitStack, content: bytes) -> asyncio.StreamWriter:
    """Begin an import over a connection that stays open, and return where the rest of it is written."""
    _, writer = await asyncio.open_connection(HOST, imports.web.port)
    stack.push_async_callback(writer.wait_closed)
    stack.callback(writer.close)
    head = (
        f"POST /v1/import/clients HTTP/1.1\r\nHost: a\r\nAuthorization: {basic(imports.key)}\r\n"
        f"Content-Type: text/csv\r\nContent-Length: {MAX_BYTES - 1}\r\n\r\n"
    )
    writer.write(head.encode() + content)
    await writer.drain()
    return writer


@pytest.mark.usefixtures("leaves_nothing")
async def test_nothing_is_left_of_an_upload_whose_sender_hangs_up(imports: Imports) -> None:
    async with AsyncExitStack() as stack:
        writer = await begun(imports, stack, CLIENTS.encode() * 50_000)
        await imports.until("SELECT count(*) FROM upload_chunks", 1)
        writer.close()
        await imports.until("SELECT count(*) FROM uploads", 0)


@pytest.mark.usefixtures("leaves_nothing")
async def test_nothing_is_left_of_an_upload_that_stops_to_come(
    imports: Imports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "IDLE_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection(HOST, imports.web.port)
    head = f"POST /v1/import/clients HTTP/1.1\r\nHost: a\r\nAuthorization: {basic(imports.key)}\r\n"
    writer.write(f"{head}Content-Type: text/csv\r\nContent-Length: 100\r\n\r\n{CLIENTS}".encode())
    async with asyncio.timeout(20):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code":"REQUEST_TIMEOUT"' in answer
    fields = answer.lower().partition(b"\r\n\r\n")[0].split(b"\r\n")
    assert {b"retry-after: 1", b"connection: close"} <= set(fields)
    writer.close()
    # Whoever sends steadily and for ever is ended as well.
    monkeypatch.setattr(bodies, "MAX_SECONDS", -1)
    assert error_of(await imports.post("clients", CLIENTS)) == (408, "REQUEST_TIMEOUT")


async def test_so_many_uploads_are_taken_at_once(imports: Imports) -> None:
    async with AsyncExitStack() as stack:
        writers = [await begun(imports, stack, b"external_id") for _ in range(MAX_UPLOADS)]
        await imports.until("SELECT count(*) FROM uploads", MAX_UPLOADS)
        answer = await imports.post("clients", CLIENTS)
        assert error_of(answer) == (429, "TOO_MANY_REQUESTS")
        assert answer.headers["retry-after"] in {"1", "2"}
        # What is asked of those that there are is answered all the same.
        assert error_of(await imports.get(f"/v1/import/{global_id('Run', 1)}"))[0] == 404
        writers[0].close()
        await imports.until("SELECT count(*) FROM uploads", MAX_UPLOADS - 1)
        assert counts(await imports.imported("clients", CLIENTS)) == (2, 2, 0, 0, 0)
    await imports.until("SELECT count(*) FROM uploads", 1)


async def test_a_fault_of_ours_tells_nothing(imports: Imports) -> None:
    await imports.rows("ALTER TABLE upload_chunks RENAME TO hidden_chunks")
    answer = await imports.post("clients", CLIENTS)
    assert error_of(answer) == (500, "INTERNAL")
    assert "chunks" not in answer.text
    assert await imports.counted("uploads", "runs") == {"uploads": 0, "runs": 0}


async def test_a_session_of_the_dashboard_is_not_enough(imports: Imports) -> None:
    sessions = Sessions(imports.database, None, timedelta(hours=1))
    cookie, _ = await sessions.start("anna", Role.PLATFORM_ADMIN, datetime.now(UTC))
    headers = {
        "Content-Type": "text/csv",
        "Sec-Fetch-Site": "same-origin",
        "Cookie": f"{sessions.cookie('session')}={cookie}",
    }
    answer = await imports.http.post("/v1/import/clients", content=CLIENTS, headers=headers)
    assert error_of(answer) == (401, "UNAUTHENTICATED")
    assert await imports.leaves_nothing()
