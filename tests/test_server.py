"""The web server's own limits, over a real connection."""

import asyncio

from app.server import MAX_HEAD_BYTES
from app.settings import Settings
from tests.graphql.live import HOST, running_web

PATIENCE = 10.0
RESET = b"reset"


async def answer_to(port: int, *parts: bytes) -> bytes:
    """Return all that comes back on a connection that sends the parts, until the server closes it.

    A server that closes while parts are under way resets the connection, and its last words may be lost.
    """
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        for part in parts:
            writer.write(part)
            await writer.drain()
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    except ConnectionError:
        return RESET
    finally:
        writer.close()


async def test_headers_without_an_end_are_cut_off(settings: Settings) -> None:
    async with running_web(settings) as web:
        line = b"X-Long: " + b"x" * 8_000 + b"\r\n"
        head = [b"GET /healthz HTTP/1.1\r\nHost: a\r\n", *[line] * (MAX_HEAD_BYTES // len(line) + 1)]
        # Without the limit the server would wait for the end of the headers.
        assert (await answer_to(web.port, *head)).startswith((b"HTTP/1.1 431 ", RESET))
        assert (await answer_to(web.port, b"GET /" + b"a" * 2 * MAX_HEAD_BYTES)).startswith((b"HTTP/1.1 431 ", RESET))


async def test_headers_within_the_limit_and_long_bodies_are_served(settings: Settings) -> None:
    async with running_web(settings) as web:
        cookie = b"Cookie: " + b"x" * 60_000 + b"\r\n"
        get = b"GET /healthz HTTP/1.1\r\nHost: a\r\n" + cookie + b"\r\n"
        # The second request on the connection has a head of its own to fill.
        last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + cookie + b"\r\n"
        assert (await answer_to(web.port, get, last)).count(b"HTTP/1.1 200 ") == 2
        body = b"x" * 300_000
        post = b"POST /graphql HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nConnection: close\r\n"
        post += f"Content-Length: {len(body)}\r\n\r\n".encode()
        assert (await answer_to(web.port, post, body)).startswith(b"HTTP/1.1 413 ")
