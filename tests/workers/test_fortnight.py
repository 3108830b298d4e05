"""Four schedulers over a fortnight in which the clocks change: killed at random, and all gone for two days."""

import asyncio
import random
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from app.database import Database
from app.jobs import JobQueue
from app.runs.execution import execute
from app.settings import Settings
from tests.factories import add_client, rows_of, utc
from workers.scheduler import keep_going

SCHEDULERS = 4
START, END = utc("2026-03-22T12:00"), utc("2026-04-05T12:00")
GONE_FROM, GONE_TO = utc("2026-03-31T12:00"), utc("2026-04-02T12:00")
# In Berlin the clock goes from 02:00 to 03:00 on this day, so that half past two is half past three.
CHANGE = date(2026, 3, 29)


def expected_slots() -> list[tuple[str, date, datetime, date, datetime | None]]:
    """Return each slot of the fortnight with its moment and the day and moment of its run, in order."""
    slots: list[tuple[str, date, datetime, date, datetime | None]] = []
    for number in range((END.date() - START.date()).days + 1):
        day = START.date() + timedelta(days=number)
        midnight = datetime.combine(day, time(), UTC)
        # In summer 01:00 is an hour before midnight UTC, when the day before is not over yet.
        summer = day > CHANGE
        metrics = midnight - timedelta(hours=1) if summer else midnight
        slots.append(("RECORD_METRICS", day, metrics, day - timedelta(days=2 if summer else 1), None))
        scores = midnight + (timedelta(minutes=30) if summer else timedelta(minutes=90))
        slots.append(("RECALCULATE_ALL", day, scores, day, scores))
    return slots


class Schedulers:
    """The schedulers that are alive, each with its own connections, and the one clock that they read."""

    def __init__(self, settings: Settings, now: datetime) -> None:
        assert settings.database_url is not None
        assert settings.redis_url is not None
        self.database_url, self.redis_url, self.settings = settings.database_url, settings.redis_url, settings
        self.now = now
        self._alive: dict[int, tuple[asyncio.Task[None], Database, JobQueue]] = {}
        self._turns = [0] * SCHEDULERS
        self._turned = asyncio.Event()

    def start(self, number: int) -> None:
        queue = JobQueue(self.redis_url)
        database = Database(self.database_url, pool_size=1, send_jobs=queue.send)
        going = keep_going(database, queue, self.settings, clock=self._clock(number), period=timedelta(0))
        self._alive[number] = (asyncio.create_task(going), database, queue)

    def _clock(self, number: int) -> Callable[[], datetime]:
        def read() -> datetime:
            self._turns[number] += 1
            self._turned.set()
            return self.now

        return read

    async def kill(self, number: int) -> None:
        task, database, queue = self._alive.pop(number)
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
        assert isinstance(ended, asyncio.CancelledError)
        await queue.close()
        await database.close()

    async def kill_all(self) -> None:
        for number in list(self._alive):
            await self.kill(number)

    def missing(self) -> list[int]:
        return [number for number in range(SCHEDULERS) if number not in self._alive]

    async def settle(self) -> None:
        """Wait until each that is alive has done a whole turn with the present time."""
        wanted = {number: self._turns[number] + 2 for number in self._alive}
        async with asyncio.timeout(20):
            while any(self._turns[number] < turns for number, turns in wanted.items()):
                self._turned.clear()
                await self._turned.wait()


async def test_every_slot_is_taken_once_and_in_order(database: Database, settings: Settings) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")  # noqa: T201 - it is shown when the test fails.
    dice = random.Random(seed)  # noqa: S311 - nothing here is secret.
    local = settings.model_copy(
        update={
            "schedule_time_zone": ZoneInfo("Europe/Berlin"),
            "recalculation_time": time(2, 30),
            "recalculation_pause_ms": 0,
        }
    )
    client_id = await add_client(database)
    schedulers = Schedulers(local, START)

    async def turn() -> None:
        await schedulers.settle()
        # No slot is taken while the run of an earlier one is unfinished, which only this test finishes.
        unfinished = await rows_of(database, "SELECT id FROM runs WHERE status <> 'SUCCEEDED'")
        assert len(unfinished) <= 1
        if dice.random() < 0.7:
            for (run_id,) in unfinished:
                assert await execute(database, run_id, local)

    kills = 0
    while schedulers.now < END:
        if not GONE_FROM <= schedulers.now < GONE_TO:
            for number in schedulers.missing():
                schedulers.start(number)
            await turn()
            if dice.random() < 0.3:
                # In the middle of whatever they are doing.
                await asyncio.sleep(dice.uniform(0, 0.02))
                for number in dice.sample(range(SCHEDULERS), dice.randint(1, SCHEDULERS)):
                    await schedulers.kill(number)
                    kills += 1
        else:
            await schedulers.kill_all()
        schedulers.now += timedelta(minutes=dice.randint(20, 300))
    schedulers.now = END
    expected = expected_slots()
    for number in schedulers.missing():
        schedulers.start(number)
    for _ in range(200):
        await turn()
        done = await rows_of(
            database, "SELECT count(*) FROM slots s JOIN runs r ON r.id = run_id WHERE finished_at IS NOT NULL"
        )
        if done == [(len(expected),)]:
            break
    await schedulers.kill_all()
    assert kills > 0
    found = await rows_of(
        database,
        "SELECT s.job, s.day, s.due_at, r.day, r.as_of FROM slots s JOIN runs r ON r.id = s.run_id ORDER BY r.id",
    )
    assert found == expected
    assert await rows_of(database, "SELECT count(*), count(DISTINCT run_id) FROM slots") == [(30, 30)]
    assert await rows_of(database, "SELECT count(*), max(attempt), min(status) FROM runs") == [(30, 1, "SUCCEEDED")]
    scored = await rows_of(
        database, "SELECT day, as_of FROM health_scores WHERE client_id = :id ORDER BY 1", id=client_id
    )
    assert scored == [(day, as_of) for _, _, _, day, as_of in expected if as_of]
