"""Bodies of any length, unpacked while they arrive and never held as a whole."""

import asyncio
import zlib
from collections.abc import AsyncIterator
from time import monotonic

from starlette.requests import Request

from app.ingest.sources import BOMB_BYTES, BOMB_RATIO
from app.intake.answers import Refusal

# Senders that say nothing for as long have gone, whatever the network thinks.
IDLE_SECONDS = 30
# Nobody may take longer, however steadily.
MAX_SECONDS = 3600


def is_gzip(request: Request) -> bool:
    """Return whether the body is packed. Raises Refusal where it is packed in another way than gzip's."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return False
    if encoding in {"gzip", "x-gzip"}:
        return True
    message = f"The Content-Encoding {encoding[:60]!r} is not supported: send the body as it is, or packed with gzip."
    raise Refusal(415, "UNSUPPORTED_MEDIA_TYPE", message, headers={"Accept-Encoding": "gzip"})


async def pieces(request: Request, *, size: int, limit: int) -> AsyncIterator[bytes]:
    """Yield the unpacked body in pieces of `size` bytes, the last of which may be shorter.

    Raises Refusal for a body that is longer than `limit`, packed or unpacked, is not what its headers say, or does not
    come any more; ClientDisconnect when its sender hangs up.
    """
    packed = is_gzip(request)
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    piece, total = bytearray(), 0
    async for part in _unpacked(request, size, limit) if packed else _received(request, limit):
        total += len(part)
        if total > limit:
            raise _too_large(limit)
        piece += part
        while len(piece) >= size:
            yield bytes(piece[:size])
            del piece[:size]
    if piece:
        yield bytes(piece)


async def _received(request: Request, limit: int) -> AsyncIterator[bytes]:
    stream, length, ends_at = request.stream(), 0, monotonic() + MAX_SECONDS
    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                part = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise _too_slow(f"Nothing has arrived for {IDLE_SECONDS} seconds; send it again.") from None
        if monotonic() > ends_at:
            raise _too_slow(f"An import has to arrive within {MAX_SECONDS // 60} minutes; send it in several.")
        length += len(part)
        if length > limit:
            raise _too_large(limit)
        if part:
            yield part


async def _unpacked(request: Request, size: int, limit: int) -> AsyncIterator[bytes]:
    """Yield what a gzip stream holds, `size` bytes at a time at most; it may consist of several members."""
    member = zlib.decompressobj(wbits=31)
    received = unpacked = 0
    async for part in _received(request, limit):
        received += len(part)
        rest = part
        while rest:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            try:
                plain = member.decompress(rest, size)
            except zlib.error as error:
                raise Refusal(
                    400, "BAD_REQUEST", "The body is not valid gzip, as its Content-Encoding says."
                ) from error
            rest = member.unused_data if member.eof else member.unconsumed_tail
            unpacked += len(plain)
            if unpacked > BOMB_BYTES and unpacked > BOMB_RATIO * received:
                message = f"The body unpacks to more than {BOMB_RATIO} times its packed size: send it as it is."
                raise Refusal(413, "REQUEST_TOO_LARGE", message)
            yield plain
    if not member.eof:
        raise Refusal(400, "BAD_REQUEST", "The body ends in the middle of its gzip stream.")


def _too_slow(message: str) -> Refusal:
    return Refusal(408, "REQUEST_TIMEOUT", message, headers={"Connection": "close"})


def _too_large(limit: int) -> Refusal:
    message = f"The body must not be longer than {limit:,} bytes, unpacked: send it in several."
    return Refusal(413, "REQUEST_TOO_LARGE", message)
