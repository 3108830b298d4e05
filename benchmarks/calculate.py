"""One recalculation of everybody in a process of its own: `python -m benchmarks.calculate URL DAY` prints JSON."""

import asyncio
import json
import resource
import sys
import time
from datetime import date

from sqlalchemy import text

from app.database import Database
from app.health import requests
from app.logs import configure_logging
from app.processes import spare_collector
from app.runs.execution import execute
from app.settings import Settings
from benchmarks.data import NOW


def peak_memory() -> float:
    """Return the most memory that this process has had, in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


async def calculate(url: str, day: date) -> dict[str, float]:
    """Accept the run and carry it out as a worker does, but without the pause between two batches.

    A worker has started long before a night's run: its connections are open, and it has sent every statement once.
    """
    settings = Settings(database_url=url, recalculation_pause_ms=0)
    database = Database(url, pool_size=settings.database_pool_size)
    try:
        async with database.begin() as session:
            first = (await session.execute(text("SELECT min(id) FROM clients"))).scalar_one()
            warm_up = await requests.recalculate_one(session, first, requested_by="benchmark", now=NOW, day=day)
        await execute(database, warm_up, settings)
        spare_collector()
        async with database.begin() as session:
            run_id = await requests.recalculate_all(session, requested_by="benchmark", now=NOW, day=day)
        before = peak_memory()
        started = time.perf_counter()
        finished = await execute(database, run_id, settings)
        seconds = time.perf_counter() - started
    finally:
        await database.close()
    if not finished:
        raise RuntimeError(f"run {run_id} was not carried out")
    return {"seconds": seconds, "peak": peak_memory(), "grown": peak_memory() - before}


if __name__ == "__main__":
    configure_logging("warning")
    print(json.dumps(asyncio.run(calculate(sys.argv[1], date.fromisoformat(sys.argv[2])))))
