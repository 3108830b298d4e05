"""What is printed: the machine, and one table of everything that was measured."""

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.data import CAMPAIGNS, CASES, FEATURES, LOGINS_OF_MEMBER, MEMBERS


@dataclass(frozen=True, slots=True)
class Result:
    """One row of the table: what was measured at which size, how fast it was, and against what."""

    what: str
    clients: int
    figures: str
    compared: str = ""


def machine(postgres: str) -> str:
    """Return one sentence about what the figures were measured on."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    software = f"Python {platform.python_version()}, {postgres}"
    return f"{os.cpu_count()} cores {_processor()}, {memory:.0f} GiB, {software}, {platform.system()}."


ABOUT = f"""\
Printed by `./dev bench`: private servers, as durable as in production and with the settings of `./dev up`; clients with
about {MEMBERS} members, {CASES} cases, {CAMPAIGNS} campaigns and {FEATURES} features each, {LOGINS_OF_MEMBER} logins a
member in the window, and tickets, all in the order of time. The recalculation is a run like any other, with current
rows, activity, alerts and progress, but without the pause between batches, by a worker that has calculated one client
before; the one statement that it is compared with stores the same scores and nothing else, and both come to the same
values. The load generator shares the machine with the servers."""


def document(machine_: str, results: Sequence[Result]) -> str:
    """Return everything that is printed, as Markdown."""
    return "\n\n".join(["# What was measured", ABOUT, f"Machine: {machine_}", table(results)])


def table(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    head = ["| measurement | clients | result | compared |", "|---|---:|---|---|"]
    return "\n".join([*head, *(f"| {r.what} | {r.clients:,} | {r.figures} | {r.compared} |" for r in results)])


def _processor() -> str:
    description = Path("/proc/cpuinfo")
    if description.exists():
        for line in description.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
