"""500 alerts go out while workers, schedulers, Valkey and the receiver die: every one arrives, each under one id."""

import asyncio
import base64
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from random import Random

from app.embedded import restart_dead
from app.graphql.pagination import global_id
from app.processes import Child, start_child
from tests.chaos import portfolio
from tests.chaos.portfolio import add_portfolio, all_finished, take_todays_slots
from tests.chaos.receiver import KEY
from tests.chaos.service import HOST, ROOT, Service, end, free_port, service, signal_all, until
from tests.chaos.test_kills import kill_one_of
from tests.factories import rows_of

ALERTS = 500
KILLS = {"worker": 2, "scheduler": 1, "valkey": 2, "receiver": 3}
# Longer than the leases of two dead workers and the pauses behind two failures.
SECONDS = 240
SETTINGS = {"PUBLIC_URL": "https://health.example.com", "ALERT_ALLOWED_HOSTS": HOST, "ALERT_STORM_SHARE": "100"}
LEFT = "SELECT id FROM deliveries WHERE status <> 'DELIVERED'"


async def test_every_alert_arrives_and_no_id_is_new_twice(seed: int, tmp_path: Path) -> None:
    port, taken, configuration = free_port(), tmp_path / "taken", tmp_path / "channels.toml"
    taken.touch()
    secret = f"whsec_{base64.b64encode(KEY).decode()}"
    configuration.write_text(
        f'[[channel]]\nname = "ops"\nkind = "webhook"\nmode = "each"\nurl = "http://{HOST}:{port}/"\n'
        f'secrets = ["{secret}"]\n'
    )
    async with service(ALERT_CHANNELS=str(configuration), **SETTINGS) as running:
        await add_portfolio(running.database, ALERTS, fallen=ALERTS)
        await take_todays_slots(running.database)
        await running.start_web()
        crew = {name: [running.start(name), running.start(name)] for name in ("worker", "scheduler")}
        receiver = [start_receiver(port, taken)]
        try:
            await running.accept(portfolio.RECALCULATE_ALL)
            await until(lambda: has_taken(taken, 20), 60, "the first alerts arrive")
            await kill(running, crew, receiver, taken, Random(seed))  # noqa: S311 - nothing here is secret.
            await until(lambda: all_finished(running.database), 60, "the run is finished")
            await until(lambda: is_all_delivered(running), SECONDS, "every alert has arrived")
        finally:
            end(receiver[-1])
        lines = [line.split() for line in taken.read_text().splitlines()]
        alerts = await rows_of(running.database, "SELECT id FROM alerts")
        deliveries = await rows_of(running.database, "SELECT message_id, alert_id, status FROM deliveries")
        [(attempts, lost)] = await rows_of(
            running.database, "SELECT count(*), count(*) FILTER (WHERE finished_at IS NULL) FROM delivery_attempts"
        )
    assert (len(alerts), len(deliveries)) == (ALERTS, ALERTS)
    expected = {(f"msg_{message_id.hex}", global_id("Alert", alert_id)) for message_id, alert_id, _ in deliveries}
    assert {(name, alert) for name, alert in lines} == expected
    # One id for each alert, and one alert for each id.
    assert len({name for name, _ in expected}) == len({alert for _, alert in expected}) == ALERTS
    # Some attempts were never heard of again, and each of them took another: the kills have hit.
    assert lost > 0
    assert attempts >= ALERTS + lost


def start_receiver(port: int, taken: Path) -> Child:
    """Start a receiver that writes what it takes to the file."""
    command = [sys.executable, "-m", "tests.chaos.receiver", str(port), str(taken)]
    return start_child("receiver", command, death_signal=signal.SIGKILL, env=os.environ, folder=ROOT)


async def has_taken(taken: Path, messages: int) -> bool:
    """Return whether the receiver has so many messages."""
    return len((await asyncio.to_thread(taken.read_text)).splitlines()) >= messages


async def is_under_way(running: Service, since: datetime) -> bool:
    """Return whether an attempt has begun since a moment and has not ended."""
    under_way = "SELECT delivery_id FROM delivery_attempts WHERE started_at > :since AND finished_at IS NULL"
    return bool(await rows_of(running.database, under_way, since=since))


async def is_all_delivered(running: Service) -> bool:
    """Return whether every alert has a delivery that has arrived."""
    return not await rows_of(running.database, LEFT)


async def kill(
    running: Service, crew: dict[str, list[Child]], receiver: list[Child], taken: Path, random: Random
) -> None:
    """Kill one after the other at random moments, and start each again as a supervisor would.

    All workers die first, at once and while a paused receiver answers nobody, so that some messages are lost for
    certain.
    """
    signal_all(receiver[-1], signal.SIGSTOP)
    paused = datetime.now(UTC)
    await until(lambda: is_under_way(running, paused), 60, "messages are under way that are not answered")
    for worker in crew["worker"]:
        end(worker)
    signal_all(receiver[-1], signal.SIGCONT)
    crew["worker"] = [running.start("worker") for _ in crew["worker"]]
    targets = [name for name, times in KILLS.items() for _ in range(times)]
    random.shuffle(targets)
    for target in targets:
        await asyncio.sleep(random.uniform(0.1, 1.0))
        if target == "valkey":
            running.valkey.process.kill()
            running.valkey.process.wait(30)
            await asyncio.sleep(random.uniform(0, 1))
            assert restart_dead(running.servers) == ["valkey"]
        elif target == "receiver":
            end(receiver[-1])
            await asyncio.sleep(random.uniform(0, 0.3))
            receiver.append(start_receiver(running_port(receiver[-1]), taken))
        else:
            place = random.randrange(len(crew[target]))
            await kill_one_of(crew[target][place], random)
            crew[target][place] = running.start(target)


def running_port(receiver: Child) -> int:
    """Return the port that a receiver was started with."""
    arguments = receiver.process.args
    assert isinstance(arguments, list)
    return int(str(arguments[-2]))
