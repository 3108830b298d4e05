"""Events as they come in through `POST /v1/batch`, against COPY of the same rows and a server that inserts each."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import asyncpg
import orjson

from app.auth import write_keys
from app.database import Database
from app.ingest.service import import_path
from benchmarks.handwritten import EVENT
from benchmarks.load import Load
from benchmarks.report import Result
from benchmarks.servers import peak_memory_of, web_process
from benchmarks.serving import send

CLIENTS, MEMBERS = 1_000, 20
EVENTS, OF_A_BATCH, CONNECTIONS = 100_000, 100, 8
# Single inserts are so slow that fewer of them tell as much.
SINGLE_EVENTS = 10_000
# What is sent has just happened.
SENT_WITHIN = timedelta(minutes=1)
# What a product sends: how many of 20 events are of each name, and the property that names their object.
MIX = (
    ("Page Viewed", 7, None),
    ("Feature Used", 5, "feature"),
    ("Logged In", 4, None),
    ("Case Opened", 1, "case_id"),
    ("Case Resolved", 1, "case_id"),
    ("Ticket Opened", 1, "ticket_id"),
    ("Campaign Responded", 1, "campaign_id"),
)
NAMES = [(name, part) for name, times, part in MIX for _ in range(times)]
# A case is resolved so many cases later, which is more than is on its way at once: the row of before is changed.
RESOLVED_AFTER = 2 * CONNECTIONS * OF_A_BATCH // len(NAMES)


def measure(url: str, env: dict[str, str], tell: Callable[[str], None]) -> list[Result]:
    """Return how fast events of known clients and members are stored, durably, with everything that they amount to."""
    tell("making clients and members")
    key = asyncio.run(_prepare(url))
    now = datetime.now(UTC)
    tell(f"copying {EVENTS:,} events into a table without an index")
    copied = asyncio.run(_copy(url, now))
    asyncio.run(_make_simple(url))
    with web_process(["benchmarks.handwritten"], env) as (port, _):
        tell(f"sending {SINGLE_EVENTS:,} events to a simple server")
        simple = send(_load(port, _bodies("single", SINGLE_EVENTS, now, key))).rate * OF_A_BATCH
        tell(f"sending {EVENTS:,} events to one that only copies them")
        most = send(_load(port, _bodies("most", EVENTS, now, key), "/v1/copy")).rate * OF_A_BATCH
    with web_process(["app.cli", "web"], env) as (port, pid):
        tell("warming up")
        send(_load(port, _bodies("warm", 10_000, now, key)))
        tell(f"sending {EVENTS:,} events in batches of {OF_A_BATCH}")
        speed = send(_load(port, _bodies("event", EVENTS, now, key)))
        peak = peak_memory_of(pid)
    stored = asyncio.run(_stored(url))
    if stored != EVENTS + 10_000:
        raise RuntimeError(f"{stored} events were stored")
    sent = speed.rate * OF_A_BATCH
    ratios = f"{sent / copied:.2f} of COPY, {sent / simple:.1f} times a simple server"
    latency = f"p50 {speed.p50:.0f} ms, p95 {speed.p95:.0f} ms a batch, peak memory {peak:.0f} MiB"
    what = f"{EVENTS:,} events, {OF_A_BATCH} a batch, {CONNECTIONS} connections"
    return [
        Result(what, CLIENTS, f"{sent:,.0f} events/s, {latency}", ratios),
        Result("the same rows by COPY, one connection, no index", CLIENTS, f"{copied:,.0f} rows/s"),
        Result("the same sent to a simple server: one INSERT each, no facts", CLIENTS, f"{simple:,.0f} events/s"),
        Result("the same sent to one that only parses and copies them", CLIENTS, f"{most:,.0f} events/s"),
    ]


def _load(port: int, bodies: list[str], path: str = "/v1/batch") -> Load:
    return Load(port, "POST", path, {"Content-Type": "application/json"}, bodies, CONNECTIONS, len(bodies), 0)


def _events(prefix: str, count: int, now: datetime) -> Iterator[dict[str, Any]]:
    """Yield events in the order of time, of many clients in turn."""
    for number in range(count):
        name, part = NAMES[number % len(NAMES)]
        # A case is opened and resolved under one number, by one client.
        thing = number // len(NAMES) - (RESOLVED_AFTER if name == "Case Resolved" else 0)
        client, member = (thing if part == "case_id" else number) * 7919 % CLIENTS, number * 31 % MEMBERS
        at = now - SENT_WITHIN * (1 - number / count)
        properties = {} if part is None else {part: f"{part}-{number % 17 if part == 'feature' else thing}"}
        yield {
            "type": "track",
            "messageId": f"{prefix}-{number}-4f7c1a52-8f0e-4a36",
            "timestamp": at.isoformat(timespec="milliseconds"),
            "userId": f"member-{client}-{member}",
            "event": name,
            "context": {"groupId": f"client-{client}", "library": {"name": "benchmark", "version": "1"}},
            "properties": properties,
            "integrations": {},
        }


def _bodies(prefix: str, count: int, now: datetime, key: str) -> list[str]:
    events = list(_events(prefix, count, now))
    return [
        orjson.dumps({"batch": events[first : first + OF_A_BATCH], "writeKey": key}).decode()
        for first in range(0, count, OF_A_BATCH)
    ]


def _rows(prefix: str, count: int, now: datetime) -> list[tuple[object, ...]]:
    return [
        (
            (at := datetime.fromisoformat(event["timestamp"])).date(),
            event["messageId"],
            at,
            now,
            "TRACK",
            event["event"],
            event["context"]["groupId"],
            event["userId"],
        )
        for event in _events(prefix, count, now)
    ]


async def _prepare(url: str) -> str:
    """Make the clients and members that the events are of, and return a write key."""
    database = Database(url, pool_size=2)
    try:
        with TemporaryDirectory(prefix="client-health-benchmarks-") as folder:
            clients = ["external_id,name", *(f"client-{number},Client {number}" for number in range(CLIENTS))]
            members = ["client,external_id"]
            members += [f"client-{c},member-{c}-{m}" for c in range(CLIENTS) for m in range(MEMBERS)]
            (Path(folder) / "clients.csv").write_text("\n".join(clients))
            (Path(folder) / "members.csv").write_text("\n".join(members))
            await import_path(database, Path(folder), now=datetime.now(UTC))
        async with database.begin() as session:
            return await write_keys.create(session, "benchmark", datetime.now(UTC))
    finally:
        await database.close()


async def _copy(url: str, now: datetime) -> float:
    """Return the rows a second."""
    rows = _rows("copied", EVENTS, now)
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE copied (LIKE events)")
        started = time.perf_counter()
        await connection.copy_records_to_table("copied", records=rows, columns=EVENT)
        return EVENTS / (time.perf_counter() - started)
    finally:
        await connection.close()


async def _make_simple(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("CREATE TABLE simple_events (LIKE events INCLUDING ALL)")
        await connection.execute("CREATE TABLE copied_events (LIKE events)")
    finally:
        await connection.close()


async def _stored(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return int(await connection.fetchval("SELECT count(*) FROM events"))
    finally:
        await connection.close()
