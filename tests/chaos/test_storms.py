"""Workers die again and again while a broken feed is calculated: its alerts are held, all of them, and told of once."""

import asyncio
import base64
import os
import signal
from pathlib import Path
from random import Random

from tests.chaos import portfolio
from tests.chaos.portfolio import add_portfolio, all_finished, take_todays_slots
from tests.chaos.service import ended, free_port, service, until
from tests.factories import rows_of

CLIENTS, FALLEN = 120, 60
KILLS = 4
SETTINGS = {
    "RUN_LEASE_SECONDS": "3",
    "RECALCULATION_BATCH_SIZE": "10",
    "RECALCULATION_PAUSE_MS": "400",
    "PUBLIC_URL": "https://health.example.com",
    "ALERT_ALLOWED_HOSTS": "127.0.0.1",
}
RELEASE = "mutation { releaseHeldAlerts(input: {}) { __typename ... on HeldAlerts { count } } }"
FATES = (
    "SELECT a.held, d.status = 'HELD', count(DISTINCT a.client_id), count(*) FROM alerts AS a "
    "JOIN deliveries AS d ON d.alert_id = a.id GROUP BY 1, 2"
)
TOLD = "SELECT details FROM deliveries WHERE kind = 'HELD'"


async def test_a_storm_is_held_and_told_of_once_whoever_dies_meanwhile(tmp_path: Path, seed: int) -> None:
    random = Random(seed)  # noqa: S311 - nothing here is secret.
    configuration = tmp_path / "channels.toml"
    secret = f"whsec_{base64.b64encode(bytes(32)).decode()}"
    # Nobody listens there: what is delivered is another test's business.
    configuration.write_text(
        f'[[channel]]\nname = "ops"\nkind = "webhook"\nurl = "http://127.0.0.1:{free_port()}/"\n'
        f'secrets = ["{secret}"]\nmode = "each"\n'
    )
    async with service(ALERT_CHANNELS=str(configuration), **SETTINGS) as running:
        database = running.database
        await add_portfolio(database, CLIENTS, fallen=FALLEN)
        await take_todays_slots(database)
        await running.start_web()
        running.start("scheduler")
        worker = running.start("worker")

        async def has_channel() -> bool:
            return await rows_of(database, "SELECT name FROM channels WHERE configured") == [("ops",)]

        async def has_alerts() -> bool:
            return await rows_of(database, "SELECT id FROM alerts LIMIT 1") != []

        await until(has_channel, 60, "the channel is known")
        await running.accept(portfolio.RECALCULATE_ALL)
        await until(has_alerts, 60, "the first alerts are raised")
        for _ in range(KILLS):
            # None has left, and nobody was told, while it is not known whether it is a storm.
            assert [row[:2] for row in await rows_of(database, FATES)] == [(True, True)]
            assert await rows_of(database, TOLD) == []
            os.kill(worker.process.pid, signal.SIGKILL)
            await ended(worker, 30)
            worker = running.start("worker")
            await asyncio.sleep(random.uniform(0.5, 2))
        await until(lambda: all_finished(database), 60, "the run is finished")
        ((attempts,),) = await rows_of(database, "SELECT attempt FROM runs WHERE requested_by = 'ann'")
        assert attempts > 1, "no kill has hit the run"
        assert await rows_of(database, FATES) == [(True, True, FALLEN, FALLEN)]
        assert await rows_of(database, TOLD) == [({"alerts": FALLEN, "clients": CLIENTS},)]
        answer = await running.ask(RELEASE)
        assert answer == {"data": {"releaseHeldAlerts": {"__typename": "HeldAlerts", "count": FALLEN}}}
        assert await rows_of(database, FATES) == [(False, False, FALLEN, FALLEN)]
