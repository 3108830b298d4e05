"""A private PostgreSQL and a private Valkey, real and started for whoever has neither.

Whoever holds the lock of a data folder owns its two servers: they are its children and end with it. Everybody else
finds them through what the owner wrote into the lock file.
"""

import fcntl
import hashlib
import json
import os
import secrets
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO

from app.private_servers import (
    DATABASE,
    SYSTEM_FOLDER,
    EmbeddedServerError,
    Layout,
    can_be_entered,
    make_cluster,
    make_open_folder,
    settle_orphan,
    start_postgres,
    start_valkey,
    unprivileged_account,
)
from app.processes import Child, reap_child, stop_child

STOP_TIMEOUT_SECONDS = 30.0
WAIT_NOTICE_SECONDS = 1.0


@dataclass
class _Service:
    """One of the two servers: how it starts, how it is asked to stop, and the process that it runs in now."""

    start: Callable[[], Child]
    stop_signal: signal.Signals
    child: Child


@dataclass(frozen=True)
class Servers:
    """Two running servers and the folder with their data; `services` is empty if another process owns them."""

    data_dir: Path
    database_url: str
    redis_url: str
    secret: str = field(repr=False)
    owner_pid: int
    services: tuple[_Service, ...] = field(default=(), repr=False)


def _say_nothing(_message: str) -> None:
    """Keep quiet."""


@contextmanager
def embedded_servers(
    data_dir: Path | None,
    *,
    share: bool = False,
    durable: bool = True,
    say: Callable[[str], None] = _say_nothing,
) -> Iterator[Servers]:
    """Yield the servers of a data folder: those that run already, or its own for the length of the block.

    With `share` other processes may use them meanwhile; without it they wait for the end of the block. Without
    `durable` a crash of the machine may lose data. `say` is told what takes long. Call it from the main thread.
    Raises EmbeddedServerError where the servers cannot run.
    """
    folder = data_folder(data_dir)
    with _open_lock(folder) as lock:
        running = _lock_or_find(folder, lock, say)
        if running is not None:
            yield running
            return
        with _own_servers(folder, lock, share=share, durable=durable, say=say) as servers:
            yield servers


def find_running(data_dir: Path | None) -> Servers | None:
    """Return the servers of this data folder if a process runs and shares them now, else None."""
    folder = data_folder(data_dir)
    with _open_lock(folder) as lock:
        return None if _try_lock(lock) else _published(folder)


def restart_dead(servers: Servers) -> list[str]:
    """Start whichever of the own servers has died again and return their names; another owner's are left alone."""
    dead = [service for service in servers.services if service.child.process.poll() is not None]
    for service in dead:
        reap_child(service.child)
        service.child = service.start()
    return [service.child.name for service in dead]


def embedded_secret(data_dir: Path | None) -> str:
    """Return the secret that signs this data folder's tokens; made at first use, readable by its owner only."""
    folder = data_folder(data_dir)
    path = folder / "secret"
    try:
        if not path.exists():
            _make_secret(path)
        return path.read_text()
    except PermissionError as error:
        raise EmbeddedServerError(f"{path} belongs to another account; choose another data folder") from error


def data_folder(data_dir: Path | None) -> Path:
    """Return the folder that is used for `data_dir` (None: `.data` beside the code); it is made if it is missing.

    Root's servers run as an account without rights. For root in a place that this account cannot enter the folder is
    therefore another one, below /var/lib: the modes of folders which are not ours stay as they are.
    """
    folder = (data_dir or Path(__file__).parent.parent / ".data").expanduser().resolve()
    if os.geteuid() == 0 and not can_be_entered(folder):
        folder = SYSTEM_FOLDER / f"{folder.parent.name}-{_short_hash(folder)}"
    try:
        make_open_folder(folder)
    except OSError as error:
        raise EmbeddedServerError(f"{folder} cannot be made ({error.strerror}); choose another data folder") from error
    return folder


@contextmanager
def _own_servers(
    folder: Path, lock: IO[str], *, share: bool, durable: bool, say: Callable[[str], None]
) -> Iterator[Servers]:
    """Start both servers as children of this process, which holds the lock, and stop them at the end."""
    account = unprivileged_account(folder)
    sockets = _socket_folder(folder, account.uid if account else os.geteuid())
    if account is not None:
        os.chown(sockets, account.uid, account.gid)
    layout = Layout(folder / "postgres", sockets, folder, account, durable)
    if layout.cluster.exists():
        settle_orphan(layout)
    else:
        say(f"Making a private PostgreSQL in {layout.cluster} ...")
        make_cluster(layout)
    secret = embedded_secret(folder)
    services: list[_Service] = []
    try:
        for start, stop_signal in ((start_postgres, signal.SIGINT), (start_valkey, signal.SIGTERM)):
            services.append(_Service(partial(start, layout), stop_signal, start(layout)))
        if share:
            lock.write(json.dumps({"sockets": str(sockets), "pid": os.getpid()}))
            lock.flush()
        yield _servers(folder, sockets, secret, os.getpid(), tuple(services))
    finally:
        lock.truncate(0)
        for service in reversed(services):
            stop_child(service.child, service.stop_signal, timeout=STOP_TIMEOUT_SECONDS)


def _servers(folder: Path, sockets: Path, secret: str, owner_pid: int, services: tuple[_Service, ...] = ()) -> Servers:
    return Servers(
        data_dir=folder,
        database_url=f"postgresql://{DATABASE}@/{DATABASE}?host={sockets}",
        redis_url=f"unix://{sockets}/valkey.sock?db=0",
        secret=secret,
        owner_pid=owner_pid,
        services=services,
    )


def _open_lock(folder: Path) -> IO[str]:
    try:
        return (folder / "lock").open("a+")
    except PermissionError as error:
        raise EmbeddedServerError(f"{folder} belongs to another account; choose another data folder") from error


def _try_lock(lock: IO[str]) -> bool:
    """Take the lock if it is free; the system frees it when its owner's process ends, however that happens."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _lock_or_find(folder: Path, lock: IO[str], say: Callable[[str], None]) -> Servers | None:
    """Take the lock, or return the servers that its owner shares; wait as long as neither is possible."""
    started = time.monotonic()
    told = False
    while not _try_lock(lock):
        running = _published(folder)
        if running is not None:
            return running
        if not told and time.monotonic() - started > WAIT_NOTICE_SECONDS:
            say(f"Waiting for another command that uses {folder} ...")
            told = True
        time.sleep(0.05)
    lock.truncate(0)
    return None


def _published(folder: Path) -> Servers | None:
    """Return the servers that the lock file tells of, if both listen: a killed owner leaves the file as it was."""
    text = (folder / "lock").read_text()
    if not text:
        return None
    known = json.loads(text)
    sockets = Path(known["sockets"])
    if not all(_listens(sockets / name) for name in (".s.PGSQL.5432", "valkey.sock")):
        return None
    return _servers(folder, sockets, embedded_secret(folder), known["pid"])


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        try:
            connection.connect(str(path))
        except OSError:
            return False
    return True


def _socket_folder(folder: Path, uid: int) -> Path:
    """Return the folder of the sockets, open to `uid` only: in the data folder, or where its path is short and plain.

    The path of a socket has 107 bytes at most (103 on macOS) and is written into URLs and a list with commas.
    """
    sockets = folder / "run"
    plain = all(character.isascii() and (character.isalnum() or character in "/._-") for character in str(sockets))
    if not plain or len(str(sockets)) > 80:
        # TMPDIR may be just as long, as it is on macOS.
        sockets = Path("/tmp") / f"client-health-{uid}-{_short_hash(folder)}"  # noqa: S108 - checked below.
    sockets.mkdir(mode=0o700, exist_ok=True)
    found = sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o077 or found.st_uid not in {uid, os.geteuid()}:
        raise EmbeddedServerError(f"{sockets} is not a private folder of this account; remove it")
    return sockets


def _make_secret(path: Path) -> None:
    """Write a new secret; of two processes that do so at once, one's is kept."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix="secret.")  # Its mode is 600 from the start.
    draft = Path(name)
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
        with suppress(FileExistsError):
            path.hardlink_to(draft)
    finally:
        draft.unlink()


def _short_hash(folder: Path) -> str:
    return hashlib.sha256(bytes(folder)).hexdigest()[:8]
