"""Workers, schedulers and Valkey die again and again while runs are accepted: every run is carried out, and once."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from app.database import Database
from app.embedded import restart_dead
from app.processes import Child
from tests.chaos import portfolio
from tests.chaos.portfolio import AFTER, BEFORE, add_portfolio, all_finished, client_id, take_todays_slots
from tests.chaos.service import Service, ended, service, until
from tests.factories import rows_of
from tests.machine import descendants, ends_within

CLIENTS = 150
FALLEN = 30
METRICS_DAYS = 46
KILLS = {"worker": 6, "scheduler": 4, "valkey": 5}
# Slow enough for several long runs to be under way at every moment, so that kills hit them.
SETTINGS = {"RUN_LEASE_SECONDS": "3", "RECALCULATION_BATCH_SIZE": "10", "RECALCULATION_PAUSE_MS": "150"}
# What no mutation may exceed, although each may meet a Valkey that has just been killed.
ANSWER_SECONDS = 15.0


async def test_200_runs_survive_the_death_of_everything_that_carries_them_out(seed: int) -> None:
    async with service(**SETTINGS) as running:
        database = running.database
        clients = await add_portfolio(database, CLIENTS, fallen=FALLEN)
        await take_todays_slots(database)
        await running.start_web()
        crew = {name: [running.start(name), running.start(name)] for name in ("worker", "scheduler")}
        requests = requests_for(clients)
        killer, caller = Random(seed), Random(seed + 1)  # noqa: S311 - nothing here is secret.
        caller.shuffle(requests)
        _, accepted = await asyncio.gather(kill(running, crew, killer), accept(running, requests, caller))
        assert len(set(accepted)) == len(requests) == 200
        await until(lambda: all_finished(database), 180, "all runs are finished")
        await check_runs(database)
        await check_effects(database, clients)
        summary = await running.ask(portfolio.SUMMARY)
        tiles = {"total": CLIENTS, "green": CLIENTS - FALLEN, "amber": 0, "red": FALLEN, "unscored": 0}
        assert summary == {"data": {"portfolioSummary": tiles}}


def requests_for(clients: list[int]) -> list[tuple[str, dict[str, Any]]]:
    """Return 200 mutations: for all clients, for each one, for each of some days, and for each size."""
    last_day = datetime.now(UTC).date() - timedelta(days=1)
    days = [last_day - timedelta(days=number) for number in range(METRICS_DAYS)]
    return [
        (portfolio.RECALCULATE_ALL, {}),
        *((portfolio.RECALCULATE, {"id": client_id(number)}) for number in clients),
        *((portfolio.RECORD_METRICS, {"date": day.isoformat()}) for day in days),
        *((portfolio.SET_ALERTS, {"filter": {"size": [size]}, "enabled": True}) for size in portfolio.SIZES),
    ]


async def accept(running: Service, requests: list[tuple[str, dict[str, Any]]], random: Random) -> list[str]:
    """Send the mutations with random gaps between them, and return the ids of the runs."""
    accepted = []
    for mutation, variables in requests:
        started = time.monotonic()
        accepted.append(await running.accept(mutation, **variables))
        assert time.monotonic() - started < ANSWER_SECONDS
        await asyncio.sleep(random.uniform(0, 0.12))
    return accepted


async def kill(running: Service, crew: dict[str, list[Child]], random: Random) -> None:
    """Kill one after the other at random moments, and start each again as a supervisor would."""
    targets = [name for name, times in KILLS.items() for _ in range(times)]
    random.shuffle(targets)
    for target in targets:
        await asyncio.sleep(random.uniform(0.2, 1.5))
        if target == "valkey":
            running.valkey.process.kill()
            running.valkey.process.wait(30)
            await asyncio.sleep(random.uniform(0, 1))
            assert restart_dead(running.servers) == ["valkey"]
        else:
            place = random.randrange(len(crew[target]))
            await kill_one_of(crew[target][place], random)
            crew[target][place] = running.start(target)


async def kill_one_of(victim: Child, random: Random) -> None:
    """Kill a process or one of its children; whichever it is, the others end by themselves."""
    family = [victim.process.pid, *sorted(descendants(victim.process.pid))]
    os.kill(random.choice(family), signal.SIGKILL)
    await ended(victim, 30)
    for pid in family:
        assert await asyncio.to_thread(ends_within, pid, 30)


async def check_runs(database: Database) -> None:
    """Every run succeeded, for as many clients as it is about and not one more, and some of them only when retried."""
    groups = await rows_of(
        database,
        "SELECT kind, status, total, done, failed, count(*) FROM runs WHERE requested_by = 'ann' GROUP BY 1, 2, 3, 4, 5"
        " ORDER BY 1",
    )
    each = CLIENTS // len(portfolio.SIZES)
    assert groups == [
        ("RECALCULATE_ALL", "SUCCEEDED", CLIENTS, CLIENTS, 0, 1),
        ("RECALCULATE_ONE", "SUCCEEDED", 1, 1, 0, CLIENTS),
        ("RECORD_METRICS", "SUCCEEDED", CLIENTS, CLIENTS, 0, METRICS_DAYS),
        ("SET_ALERTS", "SUCCEEDED", each, each, 0, len(portfolio.SIZES)),
    ]
    [(unfinished,)] = await rows_of(database, "SELECT count(*) FROM runs WHERE finished_at IS NULL")
    assert unfinished == 0
    [(attempts,)] = await rows_of(database, "SELECT sum(attempt) FROM runs WHERE requested_by = 'ann'")
    assert attempts > 200, "no kill has hit a run"


async def check_effects(database: Database, clients: list[int]) -> None:
    """What the runs were to write is there once."""
    today = datetime.now(UTC).date()
    scores = await rows_of(
        database, "SELECT client_id, score, light FROM health_scores WHERE day = :day ORDER BY 1", day=today
    )
    expected = {number: (AFTER, "RED") if number in clients[:FALLEN] else (BEFORE, "GREEN") for number in clients}
    assert scores == [(number, *expected[number]) for number in clients]
    current = await rows_of(
        database, "SELECT id, score, light FROM clients WHERE scored_day = :day ORDER BY 1", day=today
    )
    assert current == scores
    alerts = await rows_of(
        database, "SELECT client_id, kinds, status, score_before, score_after FROM alerts ORDER BY 1"
    )
    kinds = ["RISK_HIGH", "LIGHT_WORSENED", "SCORE_DROP"]
    assert alerts == [(number, kinds, "OPEN", BEFORE, AFTER) for number in clients[:FALLEN]]
    metrics = await rows_of(database, "SELECT client_id, count(*) FROM daily_metrics GROUP BY 1 ORDER BY 1")
    assert metrics == [(number, METRICS_DAYS) for number in clients]
    # Each run was asked for once, and the alerts of those that had them off were switched on once.
    events = await rows_of(
        database, "SELECT run_id, count(*) FROM audit_events WHERE action = 'RUN_REQUESTED' GROUP BY 1"
    )
    assert sorted(count for _, count in events) == [1] * 200
    switched = await rows_of(
        database, "SELECT client_id, count(*) FROM audit_events WHERE action = 'ALERTS_CHANGED' GROUP BY 1 ORDER BY 1"
    )
    assert switched == [(number, 1) for number in clients[FALLEN:]]
