"""The whole service, its real processes on servers of its own, so that a test may break any part of it."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx2

from app.auth.tokens import Role, issue_token
from app.database import Database
from app.embedded import Servers, data_folder, embedded_servers
from app.migrate import upgrade
from app.processes import Child, start_child
from tests.machine import roomy_memory

SECRET = "a secret that only these tests know, of 32 bytes and more"
ROOT = Path(__file__).parents[2]
HOST = "127.0.0.1"
START_SECONDS = 30.0

Found = TypeVar("Found")


@dataclass
class Service:
    """The servers and the processes of one test."""

    servers: Servers
    # What the processes are told beside the addresses of the servers.
    settings: dict[str, str]
    database: Database
    port: int
    http: httpx2.AsyncClient
    logs: Path
    started: list[Child] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        """What every process of the service finds in its environment."""
        return os.environ | {
            "DATABASE_URL": self.servers.database_url,
            "REDIS_URL": self.servers.redis_url,
            "AUTH_SECRET": SECRET,
            **self.settings,
        }

    def start(self, command: str, *arguments: str) -> Child:
        """Start a process of the service; call it from the main thread."""
        with self.log(len(self.started)).open("wb") as output:
            child = start_child(
                command,
                [sys.executable, "-m", "app.cli", command, *arguments],
                death_signal=signal.SIGKILL,
                env=self.environment,
                folder=ROOT,
                output=output,
            )
        self.started.append(child)
        return child

    def log(self, number: int) -> Path:
        """Return the log of the process that was started as the `number`th, from 0."""
        return self.logs / f"{number}.log"

    def log_of(self, child: Child) -> str:
        """Return what the process has logged until now."""
        return self.log(self.started.index(child)).read_text(errors="replace")

    async def start_web(self) -> Child:
        """Start the web process, and return it once it answers."""
        web = self.start("web", "--port", str(self.port))
        await until(self._answers, START_SECONDS, "the web process answers")
        return web

    async def _answers(self) -> bool:
        try:
            return (await self.http.get("/healthz")).status_code == 200
        except httpx2.TransportError:
            return False

    async def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the whole answer to a GraphQL request, errors included."""
        answer = await self.http.post("/graphql", json={"query": query, "variables": variables})
        content: dict[str, Any] = answer.json()
        return content

    async def accept(self, mutation: str, **variables: Any) -> str:
        """Return the id of the run that a mutation with one field accepts."""
        answer = await self.ask(mutation, **variables)
        assert "errors" not in answer, answer
        [result] = answer["data"].values()
        assert result["__typename"] == "Run", answer
        return str(result["id"])

    @property
    def postgres(self) -> Child:
        """The running PostgreSQL."""
        return self.servers.services[0].child

    @property
    def valkey(self) -> Child:
        """The running Valkey."""
        return self.servers.services[1].child


@asynccontextmanager
async def service(**settings: str) -> AsyncIterator[Service]:
    """Yield servers with the latest tables and no rows; at the end nothing is left of them or of the processes."""
    with own_servers() as (servers, logs):
        # Migrations run an event loop of their own, which the thread of this one does not allow.
        await asyncio.to_thread(upgrade, servers.database_url)
        port = free_port()
        headers = {"Authorization": f"Bearer {token()}"}
        async with httpx2.AsyncClient(base_url=f"http://{HOST}:{port}", headers=headers, timeout=30) as http:
            database = Database(servers.database_url, pool_size=3)
            running = Service(servers, settings, database, port, http, logs)
            try:
                yield running
            finally:
                # A server that a test has left paused could not stop.
                with suppress(ProcessLookupError):
                    signal_all(running.valkey, signal.SIGCONT)
                for child in running.started:
                    end(child)
                await database.close()


@contextmanager
def own_servers() -> Iterator[tuple[Servers, Path]]:
    """Yield new servers, and a folder for logs that are shown at the end if the test failed."""
    folder = Path(tempfile.mkdtemp(prefix="ch-chaos-", dir=roomy_memory()))
    folder.chmod(0o755)  # Root's servers run as another account, which must be able to enter it.
    logs = folder / "logs"
    logs.mkdir()
    try:
        with embedded_servers(folder, durable=False) as servers:
            yield servers, logs
    finally:
        for log in sorted(logs.iterdir(), key=lambda log: int(log.stem)):
            sys.stdout.write(f"--- {log.name}\n{log.read_text(errors='replace')[-1500:]}\n")
        for used in {folder, data_folder(folder)}:
            shutil.rmtree(used)


def signal_all(child: Child, number: signal.Signals) -> None:
    """Send a signal to a process and all its children: they are one session."""
    os.killpg(child.process.pid, number)


def end(child: Child) -> None:
    """Kill a process with its children, whatever state it is in, and collect it."""
    # The whole session may have ended already.
    with suppress(ProcessLookupError):
        signal_all(child, signal.SIGKILL)
    child.process.wait(10)


async def ended(child: Child, seconds: float) -> int:
    """Return the exit code of a process once it has ended, minus the number of the signal that ended it."""
    await until(lambda: polled(child), seconds, f"{child.name} has ended")
    code = child.process.poll()
    assert code is not None
    return code


async def polled(child: Child) -> bool:
    """Return whether the process has ended."""
    return child.process.poll() is not None


async def until(look: Callable[[], Awaitable[Found]], seconds: float, what: str) -> Found:
    """Return what `look` finds as soon as it is true; fails when that takes longer than `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := await look()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.02)
    return found


def token() -> str:
    """Return a token that allows everything."""
    return issue_token(
        SECRET,
        subject="ann",
        role=Role.PLATFORM_ADMIN,
        lifetime=timedelta(hours=1),
        now=datetime.now(UTC),
        issuer="client-health",
        audience="client-health",
    )


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
