"""The load generator, a process of its own: it reads what to send as JSON and prints how long each answer took.

It speaks plain HTTP/1.1 over connections that stay open, so that it costs the machine as little as possible.
"""

import asyncio
import json
import sys
import time
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Load:
    """How many times requests are sent, and over how many connections at once; the bodies take turns."""

    port: int
    method: str
    path: str
    headers: dict[str, str]
    bodies: list[str]
    concurrency: int
    requests: int
    warm_up: int


def as_json(load: Load) -> str:
    """Return what this process reads from standard input."""
    return json.dumps(asdict(load))


def _request(load: Load, content: str) -> bytes:
    body = content.encode()
    headers = {"Host": "127.0.0.1", "Content-Length": str(len(body)), **load.headers}
    lines = [f"{load.method} {load.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes) -> bytes:
    """Send the request and return the body of the answer. Raises RuntimeError for any status but 200."""
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
    body = await reader.readexactly(length)
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"the answer was {head[:40]!r} {body[:400]!r}")
    return body


async def run(load: Load) -> dict[str, object]:
    """Return the seconds that the requests took altogether and each of them, and the first answer."""
    prepared = [_request(load, body) for body in load.bodies]
    latencies: list[float] = []
    left = iter(range(load.requests))

    async def client(requests: int | None) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", load.port, limit=2**22)
        answer = b""
        for number in left if requests is None else range(requests):
            began = time.perf_counter()
            answer = await _ask(reader, writer, prepared[number % len(prepared)])
            if requests is None:
                latencies.append(time.perf_counter() - began)
        writer.close()
        await writer.wait_closed()
        return answer

    answers = await asyncio.gather(*(client(load.warm_up) for _ in range(load.concurrency)))
    started = time.perf_counter()
    answers += await asyncio.gather(*(client(None) for _ in range(load.concurrency)))
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "latencies": sorted(latencies), "answer": next(filter(None, answers)).decode()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(run(Load(**json.load(sys.stdin))))))
