"""The web process and PostgreSQL are killed while events come in, each of them twice: every one is counted once."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

import httpx2
from sqlalchemy import text

from app.auth import write_keys
from app.embedded import restart_dead
from app.private_servers import DATABASE
from tests.chaos.event_sender import CLIENT, EVENTS
from tests.chaos.service import HOST, ROOT, Service, ended, service, signal_all, until
from tests.factories import add_client, rows_of
from tests.machine import descendants

# What each of two processes sends: the same events, from as many connections.
THREADS, COUNT = 3, 1_000
TOTAL = THREADS * COUNT
KILLS = ("web", "postgres", "web", "postgres")
SECONDS = 240
# The events of each thread are a second apart, all of them on one day.
DAY = (datetime.now(UTC) - timedelta(days=2)).replace(hour=1, minute=0, second=0, microsecond=0)


async def test_every_event_is_counted_once_whatever_dies(seed: int) -> None:
    random = Random(seed)  # noqa: S311 - nothing here is secret.
    async with service() as running:
        database = running.database
        await add_client(database, external_id=CLIENT)
        async with database.begin() as session:
            # The servers of these tests may forget what they have committed last; this one has to keep it.
            await session.execute(text(f"ALTER DATABASE {DATABASE} SET synchronous_commit = on"))
            key = await write_keys.create(session, "product", datetime.now(UTC))
        await database.engine.dispose()
        assert await rows_of(database, "SHOW synchronous_commit") == [("on",)]
        await running.start_web()
        senders = [await start_sender(running, key) for _ in range(2)]
        try:
            await kill(running, key, random)
            async with asyncio.timeout(SECONDS):
                results = [await sender.communicate() for sender in senders]
        finally:
            for sender in senders:
                if sender.returncode is None:
                    sender.kill()
                    await sender.wait()
        # The clients have given nothing up, and sent all of it twice in all.
        assert [
            (sender.returncode, json.loads(output)) for sender, (output, _) in zip(senders, results, strict=True)
        ] == [(0, [])] * 2, results
        by_name = {name: EVENTS.count(name) * TOTAL // len(EVENTS) for name in EVENTS}
        assert await rows_of(database, "SELECT name, count(*) FROM events GROUP BY 1 ORDER BY 1") == sorted(
            by_name.items()
        )
        assert await rows_of(database, "SELECT count(*) FROM logins") == [(by_name["Logged In"],)]
        assert await rows_of(database, "SELECT count(*) FROM tickets WHERE opened_at IS NOT NULL") == [
            (by_name["Ticket Opened"],)
        ]
        assert await rows_of(database, "SELECT sum(events) FROM activity_days") == [(by_name["Home"],)]
        assert await rows_of(database, "SELECT name, reason, events FROM unmapped_events") == [
            ("Home", "NOT_MAPPED", by_name["Home"])
        ]
        assert await rows_of(database, "SELECT external_id, created_at FROM members ORDER BY 1") == [
            (f"member {number}", DAY) for number in range(THREADS)
        ]


async def start_sender(running: Service, key: str) -> Process:
    """Start a process with Segment's client that sends all events."""
    address = f"http://{HOST}:{running.port}"
    arguments = [address, key, DAY.isoformat(), str(THREADS), str(COUNT)]
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.chaos.event_sender", *arguments, cwd=ROOT, stdout=PIPE, stderr=PIPE
    )


async def kill(running: Service, key: str, random: Random) -> None:
    """Kill the web process and PostgreSQL in turns, and start them again, while events are coming in."""
    web = running.started[-1]
    for number, name in enumerate(KILLS):
        beyond = TOTAL * (number + 1) // (len(KILLS) + 2)
        await until(partial(has_stored, running, beyond), 60, f"{beyond} events are stored")
        await asyncio.sleep(random.uniform(0, 0.05))
        if name == "web":
            signal_all(web, signal.SIGKILL)
            await ended(web, 30)
            web = await running.start_web()
        else:
            await kill_postgres(running, key)
        [(stored,)] = await rows_of(running.database, "SELECT count(*) FROM events")
        assert stored < TOTAL, "the kill came after the last event"
        sys.stdout.write(f"Killed {name} with {stored} events stored.\n")


async def kill_postgres(running: Service, key: str) -> None:
    """Kill PostgreSQL with all its processes, see that senders are told to wait, and start it again."""
    postmaster = running.postgres.process
    for pid in (postmaster.pid, *descendants(postmaster.pid)):
        os.kill(pid, signal.SIGKILL)
    postmaster.wait(10)
    async with httpx2.AsyncClient(base_url=f"http://{HOST}:{running.port}", timeout=30) as http:
        batch = {"batch": [{"type": "page", "messageId": "refused", "anonymousId": "x"}]}
        answer = await http.post("/v1/batch", json=batch, auth=(key, ""))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert answer.json()["code"] == "UNAVAILABLE"
    assert restart_dead(running.servers) == ["postgres"]
    # The test's own connections are lost as well.
    await running.database.engine.dispose()


async def has_stored(running: Service, least: int) -> bool:
    """Return whether so many events are stored."""
    [(count,)] = await rows_of(running.database, "SELECT count(*) FROM events")
    return int(count) >= least
