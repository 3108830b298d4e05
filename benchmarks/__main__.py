"""`python -m benchmarks` measures the service on private servers and prints one table.

Nothing of the caller's databases is touched, and everything temporary goes with the end, also that of an interrupt.
"""

import argparse
import asyncio
import functools
import signal
import sys
from datetime import timedelta

import asyncpg
from rich.console import Console
from rich.status import Status

from app.embedded import Servers
from benchmarks import calculation, events, importing, report, serving
from benchmarks.data import STRIDE
from benchmarks.report import Result
from benchmarks.servers import environment, fill, make_database, private_servers

SIZES = (1_000, 10_000, 100_000)
PARTS = ("recalculation", "portfolio", "details", "import", "events")
# The size at which one client's page and its peers are measured, when it is among the sizes.
DETAILS_AT = 10_000


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(prog="./dev bench", description="Measure the service on data made for it.")
    parser.add_argument("--sizes", default=",".join(map(str, SIZES)), help="numbers of clients, with commas between")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure this part only; may be repeated")
    arguments = parser.parse_args()
    try:
        sizes = sorted({int(size) for size in arguments.sizes.split(",")})
    except ValueError:
        parser.error(f"--sizes must be whole numbers with commas between, not {arguments.sizes!r}")
    if any(size < 100 or size % STRIDE == 0 for size in sizes):
        parser.error(f"--sizes must be at least 100, and no multiples of {STRIDE}")
    console = Console(stderr=True)
    parts = set(arguments.only or PARTS)
    results: list[Result] = []
    smallest: dict[int, tuple[int, float]] = {}

    def keep(found: list[Result]) -> None:
        for result in found:
            console.print(f"{result.clients:>9,}  {result.what}: {result.figures}  {result.compared}", highlight=False)
        results.extend(found)

    # Whoever ends this process politely gets the same clean end as with Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with private_servers() as servers, console.status("starting") as status:
            for size in sizes if parts - {"import", "events"} else []:
                at_size = functools.partial(_tell, status, size)
                url = make_database(servers, f"clients_{size}")
                fill(url, size, at_size)
                env = environment(servers, url)
                at_size("calculating the day before")
                calculation.calculate(url, calculation.LAST_DAY - timedelta(days=2), env)
                if "recalculation" in parts:
                    keep(calculation.measure(url, size, env, at_size))
                asyncio.run(calculation.settle(url))
                if "portfolio" in parts:
                    keep(serving.portfolio(size, env, smallest, at_size))
                if "details" in parts and size == _nearest(sizes):
                    keep(serving.details(size, env, at_size))
            if "import" in parts:
                keep(importing.measure(make_database(servers, "importing"), status.update))
            if "events" in parts:
                url = make_database(servers, "events")
                keep(events.measure(url, environment(servers, url), status.update))
            machine = report.machine(asyncio.run(_version(servers)))
    except KeyboardInterrupt:
        console.print("Interrupted; nothing is left behind.")
        sys.exit(130)
    print(report.document(machine, results))


def _tell(status: Status, size: int, text: str) -> None:
    status.update(f"{size:,} clients: {text}")


def _nearest(sizes: list[int]) -> int:
    """Return the size at which one client's page and its peers are measured."""
    return min(sizes, key=lambda size: abs(size - DETAILS_AT))


async def _version(servers: Servers) -> str:
    connection = await asyncpg.connect(servers.database_url)
    try:
        return f"PostgreSQL {await connection.fetchval('SHOW server_version')}"
    finally:
        await connection.close()


if __name__ == "__main__":
    main()
