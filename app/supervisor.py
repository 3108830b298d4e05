"""Everything at once for a developer: the servers, the latest tables, the demo portfolio, and the service's processes.

They are the same processes that run in production. This one starts them, starts those that die again, and ends with
all of them, however it ends itself.
"""

import asyncio
import http.client
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType

import typer
from rich.console import Console

from app.auth.tokens import Role, issue_token
from app.commands import load_demo, sign_in_address
from app.database import Database
from app.embedded import Servers, embedded_secret, embedded_servers, restart_dead
from app.errors import Conflict
from app.migrate import upgrade
from app.processes import Child, reap_child, start_child
from app.settings import Settings, get_settings

HOST = "127.0.0.1"
TOKEN_LIFETIME = timedelta(days=30)
DEVELOPER = "developer"
# Longer than the web server and the worker take for what they have begun.
STOP_TIMEOUT_SECONDS = 30.0
FIRST_DELAY_SECONDS = 0.5
LONGEST_DELAY_SECONDS = 30.0
# A process that ran for this long and then died did not die of its start: its next start is not delayed further.
STEADY_SECONDS = 60.0

# The processes run where Python finds this code, and no other package of the same name.
_CODE = Path(__file__).parent.parent
_LOOK_EVERY_SECONDS = 0.2
_SUMMARY = '{"query":"{ portfolioSummary { total green amber red unscored } }"}'


@dataclass
class _Process:
    """One of the service's processes: how it is started, and when it was or will be."""

    name: str
    command: Sequence[str]
    env: Mapping[str, str]
    child: Child | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    delay: float = FIRST_DELAY_SECONDS


def up(port: int, data_dir: Path | None, *, demo: bool) -> None:
    """Run the whole service on `port` of this machine until a signal asks for its end; call it from the main thread.

    Raises Conflict when the port or the data folder is in use, EmbeddedServerError where the private servers cannot
    run, and whatever stops the migrations or the demo portfolio.
    """
    settings = get_settings()
    data_dir = data_dir or settings.data_dir
    _refuse_taken_port(port)
    with _ended_by_signals(), ExitStack() as stack:
        servers: Servers | None = None
        if settings.database_url is None or settings.redis_url is None:
            servers = stack.enter_context(embedded_servers(data_dir, share=True, say=typer.echo))
            if servers.owner_pid != os.getpid():
                raise Conflict(
                    f"The service runs from {servers.data_dir} already, as process {servers.owner_pid}; "
                    "stop it, or choose another folder with --data-dir."
                )
        settings = _complete(settings, servers, data_dir)
        assert settings.database_url is not None  # noqa: S101 - _complete has filled it in.
        upgrade(settings.database_url)
        if demo:
            asyncio.run(_load_demo(settings.database_url))
        processes = _processes(settings, port)
        # From here on the processes are stopped before the servers that they use.
        stack.callback(_stop, processes)
        _keep_running(processes, servers, ready=lambda: _announce(settings, servers, port), port=port)


def _complete(settings: Settings, servers: Servers | None, data_dir: Path | None) -> Settings:
    """Return the settings with what was not set: the private servers, and the secret of the data folder."""
    missing: dict[str, str] = {}
    if servers is not None:
        missing = {"database_url": servers.database_url, "redis_url": servers.redis_url}
    if settings.auth_secret is None and settings.oidc_issuer is None:
        missing["auth_secret"] = embedded_secret(data_dir)
    unset = {name: value for name, value in missing.items() if getattr(settings, name) is None}
    return settings.model_copy(update=unset)


def _processes(settings: Settings, port: int) -> list[_Process]:
    """Return the service's processes, not started yet; they read the completed settings from their environment."""
    env = dict(os.environ)
    for name in ("database_url", "redis_url", "auth_secret"):
        value = getattr(settings, name)
        if value is not None:
            env[name.upper()] = value
    program = [sys.executable, "-m", "app.cli"]
    return [
        _Process("web", [*program, "web", "--port", str(port)], env),
        _Process("worker", [*program, "worker"], env),
        _Process("scheduler", [*program, "scheduler"], env),
    ]


async def _load_demo(database_url: str) -> None:
    database = Database(database_url, pool_size=4)
    try:
        await load_demo(database, Console(stderr=True))
    finally:
        await database.close()


async def _sign_in_address(database_url: str, url: str) -> str:
    database = Database(database_url, pool_size=1)
    try:
        return await sign_in_address(database, url, subject=DEVELOPER, role=Role.PLATFORM_ADMIN)
    finally:
        await database.close()


def _keep_running(
    processes: Sequence[_Process], servers: Servers | None, *, ready: Callable[[], None], port: int
) -> None:
    """Start the processes, start those that die again, and call `ready` once when the web server answers."""
    announced = False
    while True:
        for name in restart_dead(servers) if servers else []:
            typer.echo(f"{name} had died and was started again.", err=True)
        for process in processes:
            _look_after(process, time.monotonic())
        if not announced and _answers(port):
            ready()
            announced = True
        time.sleep(_LOOK_EVERY_SECONDS)


def _look_after(process: _Process, now: float) -> None:
    """Start the process if its time has come, or give it a time if it has died."""
    if process.child is None:
        if now >= process.start_at:
            # A signal that it could handle would let it outlive the servers; what it was doing survives in the rows.
            process.child = start_child(
                process.name, process.command, death_signal=signal.SIGKILL, env=process.env, folder=_CODE
            )
            process.started_at = now
        return
    code = process.child.process.poll()
    if code is None:
        return
    reap_child(process.child)
    process.child = None
    if now - process.started_at >= STEADY_SECONDS:
        process.delay = FIRST_DELAY_SECONDS
    process.start_at = now + process.delay
    typer.echo(f"{process.name} ended with code {code}; it is started again in {process.delay:g} s.", err=True)
    process.delay = min(process.delay * 2, LONGEST_DELAY_SECONDS)


def _stop(processes: Sequence[_Process]) -> None:
    """Ask all processes to stop at once, then wait for each."""
    running = [process.child for process in processes if process.child is not None]
    for child in running:
        if child.process.poll() is None:
            child.process.terminate()
    for child in running:
        reap_child(child, timeout=STOP_TIMEOUT_SECONDS)


def _announce(settings: Settings, servers: Servers | None, port: int) -> None:
    """Print where the service is, how to get into it, and a command that asks it something."""
    assert settings.database_url is not None  # noqa: S101 - _complete has filled it in.
    home = settings.public_url or f"http://{HOST}:{port}"
    address = f"http://{HOST}:{port}/graphql"
    typer.echo("\nClient Health is running; Ctrl-C stops it.\n")
    typer.echo(f"  Dashboard  {asyncio.run(_sign_in_address(settings.database_url, home))}")
    typer.echo("             (signs you in once, within ten minutes; client-health sign-in prints another)")
    typer.echo(f"  Address    {address}")
    if servers is not None:
        typer.echo(f"  Data       {servers.data_dir}")
    token = "$TOKEN"  # noqa: S105 - where an issuer signs the tokens, the reader fills one in.
    if settings.auth_secret is None:
        typer.echo(f"  Token      one that {settings.oidc_issuer} issues, as TOKEN in the environment")
    else:
        token = issue_token(
            settings.auth_secret,
            subject=DEVELOPER,
            role=Role.PLATFORM_ADMIN,
            lifetime=TOKEN_LIFETIME,
            now=datetime.now(UTC),
            issuer=settings.auth_issuer,
            audience=settings.auth_audience,
            role_claim=settings.auth_role_claim,
        )
        typer.echo(f"  Token      {token}")
    headers = f'-H "Authorization: Bearer {token}" -H "Content-Type: application/json"'
    typer.echo(f"\n  curl -s {address} {headers} -d '{_SUMMARY}'\n")


def _answers(port: int) -> bool:
    """Return whether the web server is ready for requests."""
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _refuse_taken_port(port: int) -> None:
    with socket.socket() as probe:
        # What the last run's closed connections leave behind for a minute does not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise Conflict(f"Port {port} cannot be used ({error.strerror}); choose another with --port.") from error


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and a closed terminal end the block in good order; further signals do not disturb that."""
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(_number: int, _frame: FrameType | None) -> None:
        for number in signals:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in signals}
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped.")
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
