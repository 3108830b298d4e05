"""Importing files: rows a second for logins and for cases."""

import asyncio
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from app.database import Database
from app.ingest.service import import_path
from benchmarks.data import MEMBERS, NOW, STRIDE
from benchmarks.report import Result

CLIENTS, LOGINS, CASES = 1_000, 300_000, 100_000
YEAR = timedelta(days=365)


def measure(url: str, tell: Callable[[str], None]) -> list[Result]:
    """Return how fast new logins and cases of known clients go into an empty database."""
    results = []
    files = (("clients", CLIENTS, _clients()), ("logins", LOGINS, _logins()), ("cases", CASES, _cases()))
    for name, rows, lines in files:
        tell(f"importing {rows:,} {name}")
        with TemporaryDirectory(prefix="client-health-benchmarks-") as folder:
            (Path(folder) / f"{name}.csv").write_text("\n".join(lines), encoding="utf-8")
            seconds = asyncio.run(_import(url, Path(folder), rows))
        results.append(Result(f"import of {rows:,} {name}", CLIENTS, f"{rows / seconds:,.0f} rows/s"))
    return results[1:]


async def _import(url: str, folder: Path, rows: int) -> float:
    database = Database(url, pool_size=4)
    try:
        started = time.perf_counter()
        report = await import_path(database, folder, now=NOW)
        seconds = time.perf_counter() - started
    finally:
        await database.close()
    if report.exit_code or report.files[0].new != rows:
        raise RuntimeError(f"the import did not take every row: {report}")
    return seconds


def _at(number: int, count: int) -> datetime:
    """Return the moment of a row: the rows are spread evenly over a year, in the order of time."""
    return NOW - YEAR + YEAR * number / count


def _clients() -> Iterator[str]:
    yield "external_id,name,size,industry"
    for number in range(CLIENTS):
        yield f"client-{number},Client {number},SMB,FINANCIAL"


def _logins() -> Iterator[str]:
    yield "client,member,at,duration_minutes"
    for number in range(LOGINS):
        client, member = number * STRIDE % CLIENTS, number * STRIDE % (CLIENTS * MEMBERS)
        yield f"client-{client},member-{member},{_at(number, LOGINS).isoformat()},{number % 60}"


def _cases() -> Iterator[str]:
    yield "client,external_id,opened_at,closed_at,sla_due_at"
    for number in range(CASES):
        opened = _at(number, CASES) - timedelta(days=20)
        closed, due = opened + timedelta(days=number % 20), opened + timedelta(days=10)
        client = number * STRIDE % CLIENTS
        yield f"client-{client},case-{number},{opened.isoformat()},{closed.isoformat()},{due.isoformat()}"
