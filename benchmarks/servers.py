"""The servers that are measured: private ones in a temporary folder, a database for each size, and web processes."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from app.embedded import Servers, data_folder, embedded_servers
from app.migrate import upgrade
from app.private_servers import DATABASE
from app.processes import start_child, stop_child
from benchmarks import data

START_SECONDS = 30.0


@contextmanager
def private_servers() -> Iterator[Servers]:
    """Yield both servers, as durable as in production; their data goes with the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="client-health-benchmarks-"))
    folder.chmod(0o755)  # Root's servers run as another account, which must be able to enter it.
    try:
        with embedded_servers(folder) as servers:
            yield servers
    finally:
        for used in {folder, data_folder(folder)}:
            shutil.rmtree(used)


def make_database(servers: Servers, name: str) -> str:
    """Make a database with the latest tables and return its URL."""

    async def create() -> None:
        connection = await asyncpg.connect(servers.database_url)
        try:
            await connection.execute(f"CREATE DATABASE {name}")
        finally:
            await connection.close()

    asyncio.run(create())
    url = servers.database_url.replace(f"/{DATABASE}?", f"/{name}?")
    upgrade(url)
    return url


def fill(url: str, clients: int, tell: Callable[[str], None]) -> None:
    """Fill a database that `make_database` has made."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await data.fill(connection, clients, tell)
        finally:
            await connection.close()

    asyncio.run(run())


def environment(servers: Servers, url: str) -> dict[str, str]:
    """Return the environment of a process of the service, in which no setting of the caller shows."""
    return {
        "PATH": os.defpath,
        "DATABASE_URL": url,
        "REDIS_URL": servers.redis_url,
        "AUTH_SECRET": servers.secret,
        "LOG_LEVEL": "warning",
    }


@contextmanager
def web_process(command: list[str], env: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """Yield the port on which `python -m command ... --port PORT` serves until the end of the block, and its number."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    root = Path(__file__).parent.parent
    child = start_child(
        command[0],
        [sys.executable, "-m", *command, "--port", str(port)],
        death_signal=signal.SIGKILL,
        env=env,
        folder=root,
    )
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _answers(port):
            if child.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"{' '.join(command)} does not start")
            time.sleep(0.05)
        yield port, child.process.pid
    finally:
        stop_child(child, signal.SIGTERM)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def peak_memory_of(pid: int) -> float:
    """Return the most memory that a running process has had, in MiB, as Linux tells it; 0 elsewhere."""
    status = Path(f"/proc/{pid}/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
