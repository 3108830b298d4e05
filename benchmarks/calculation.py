"""Recalculating everybody, against one SQL statement that computes and stores the same scores."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from statistics import median

import asyncpg

from app.health.rules import end_of_day
from benchmarks import plain
from benchmarks.data import NOW
from benchmarks.report import Result

REPEATS = 3

# The last day whose facts are all there.
LAST_DAY = NOW.date() - timedelta(days=1)


def measure(url: str, clients: int, env: dict[str, str], tell: Callable[[str], None]) -> list[Result]:
    """Return how long a new day, the same day again, and the one statement take.

    Raises RuntimeError when the two ways to calculate come to different results.
    """
    days, repeats, plains = [], [], []
    for day in (LAST_DAY - timedelta(days=1), LAST_DAY):
        tell(f"calculating {day}")
        asyncio.run(settle(url))
        days.append(calculate(url, day, env))
    for number in range(REPEATS):
        tell(f"calculating {LAST_DAY} again, and in one statement ({number + 1} of {REPEATS})")
        asyncio.run(settle(url))
        repeats.append(calculate(url, LAST_DAY, env))
        plains.append(asyncio.run(_insert_select(url, LAST_DAY)))
    one_statement = median(plains)
    return [
        _result("recalculate all, a new day", clients, days, one_statement),
        _result("recalculate all, the same day again", clients, repeats, one_statement),
        Result("one INSERT ... SELECT of the same scores", clients, f"{clients / one_statement:,.0f} clients/s"),
    ]


def _result(what: str, clients: int, runs: list[dict[str, float]], one_statement: float) -> Result:
    seconds = median(run["seconds"] for run in runs)
    peak, grown = (max(run[name] for run in runs) for name in ("peak", "grown"))
    figures = f"{clients / seconds:,.0f} clients/s, peak {peak:.0f} MiB ({grown:.0f} of them for the run)"
    return Result(what, clients, figures, f"{one_statement / seconds:.2f} of one INSERT ... SELECT")


def calculate(url: str, day: date, env: dict[str, str]) -> dict[str, float]:
    """Calculate everybody for the day, and return what `benchmarks.calculate` measured of it."""
    done = subprocess.run(  # noqa: S603 - the command is composed right here.
        [sys.executable, "-m", "benchmarks.calculate", url, day.isoformat()],
        env=env,
        cwd=Path(__file__).parent.parent,
        stdout=subprocess.PIPE,
        check=True,
        # Ctrl-C in a terminal is this process's alone, which then ends the other one.
        start_new_session=True,
    )
    return dict(json.loads(done.stdout))


async def settle(url: str) -> None:
    """Do what the server does by itself between two nights: clean up, and write what was changed."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("VACUUM ANALYZE clients")
        await connection.execute("VACUUM ANALYZE health_scores")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _insert_select(url: str, day: date) -> float:
    """Return how many seconds the one statement takes, after a check that it computes the same."""
    settings = {"jit": "off", "timezone": "UTC"}
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        await connection.execute("DROP TABLE IF EXISTS plain_scores")
        await connection.execute(plain.MAKE_TABLE)
        started = time.perf_counter()
        await connection.execute(plain.INSERT_SCORES, day, end_of_day(day))
        seconds = time.perf_counter() - started
        differences = await connection.fetchval(plain.COUNT_DIFFERENCES, day)
        if differences:
            raise RuntimeError(f"{differences} scores of {day} differ between the run and the one statement")
        return seconds
    finally:
        await connection.close()
