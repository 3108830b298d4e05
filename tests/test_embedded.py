"""The private servers: they keep their data, end with their owner, and are never two on one folder."""

import json
import os
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import redis

from app.embedded import data_folder, embedded_secret, embedded_servers, find_running, restart_dead
from app.private_servers import SYSTEM_FOLDER
from tests.machine import ends_within, next_line, roomy_memory, run_python

# Owns the servers of the folder in its first argument until its standard input ends.
OWNER = """
import json, os, pathlib, signal, sys
from app.embedded import embedded_servers
# Whoever starts the tests in the background has interrupts ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
with embedded_servers(pathlib.Path(sys.argv[1]), share=sys.argv[2] == "share") as servers:
    pids = [service.child.process.pid for service in servers.services]
    print(json.dumps({"owner": servers.owner_pid, "pids": pids, "url": servers.database_url}), flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder that other accounts can enter, as in a clone below /srv, with a short path."""
    path = Path(tempfile.mkdtemp(prefix="ch-", dir=roomy_memory()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@contextmanager
def owner(folder: Path, *, share: bool = True) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """Run another process that owns the servers of `folder`; yield it with what it says of them."""
    with run_python(OWNER, str(folder), "share" if share else "alone") as process:
        yield process, json.loads(next_line(process))


async def query(url: str, statement: str) -> object:
    """Return the first value of the statement's first row."""
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_both_servers_answer_and_the_data_is_still_there_after_a_restart(folder: Path) -> None:
    with embedded_servers(folder) as servers:
        assert servers.data_dir == folder
        await query(servers.database_url, "CREATE TABLE kept (number int)")
        await query(servers.database_url, "INSERT INTO kept VALUES (42)")
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()
    pids = [service.child.process.pid for service in servers.services]
    assert len(pids) == 2
    assert all(ends_within(pid, 0) for pid in pids)

    started = time.monotonic()
    with embedded_servers(folder) as servers:
        assert await query(servers.database_url, "SELECT number FROM kept") == 42
        assert await query(servers.database_url, "SHOW fsync") == "on"
        assert await query(servers.database_url, "SHOW server_encoding") == "UTF8"
    assert time.monotonic() - started < 5


async def test_a_killed_owner_leaves_no_server_behind_and_no_row_is_lost(folder: Path) -> None:
    with owner(folder) as (process, told):
        await query(told["url"], "CREATE TABLE kept AS SELECT 7 AS number")
        process.kill()
        assert all(ends_within(pid, 10) for pid in told["pids"])
    assert find_running(folder) is None
    with embedded_servers(folder) as servers:
        assert await query(servers.database_url, "SELECT number FROM kept") == 7


async def test_a_second_process_uses_the_servers_that_run(folder: Path) -> None:
    with owner(folder) as (process, told):
        with embedded_servers(folder) as servers:
            assert servers.owner_pid == process.pid == told["owner"]
            assert servers.services == ()
            assert await query(servers.database_url, "SELECT 1") == 1
            assert restart_dead(servers) == []
        found = find_running(folder)
        assert found is not None
        assert found.owner_pid == process.pid
        assert await query(found.database_url, "SELECT 1") == 1
    assert find_running(folder) is None


def test_servers_that_are_not_shared_are_waited_for(folder: Path) -> None:
    said: list[str] = []
    with owner(folder, share=False) as (process, _told):
        assert find_running(folder) is None

        def hear(message: str) -> None:
            said.append(message)
            process.send_signal(signal.SIGTERM)

        with embedded_servers(folder, say=hear) as servers:
            assert servers.owner_pid == os.getpid()
    assert said == [f"Waiting for another command that uses {folder} ..."]


@pytest.mark.parametrize("first_line", ["1", "{sibling}", "99999999", "", "what"])
async def test_a_pid_file_that_a_crash_left_does_not_stop_the_start(folder: Path, first_line: str) -> None:
    with owner(folder) as (process, told):
        process.kill()
        assert all(ends_within(pid, 10) for pid in told["pids"])
    pid_file = folder / "postgres" / "postmaster.pid"
    left = pid_file.read_text().splitlines() if pid_file.exists() else ["1", str(folder / "postgres"), "1", "5432"]
    with run_python("input()") as sibling:
        pid_file.write_text("\n".join([first_line.format(sibling=sibling.pid), *left[1:], ""]))
        (folder / "run" / ".s.PGSQL.5432.lock").write_text(f"{sibling.pid}\n")
        with embedded_servers(folder) as servers:
            assert await query(servers.database_url, "SELECT 1") == 1
        sibling.kill()


async def test_a_server_that_died_is_started_again(folder: Path) -> None:
    with embedded_servers(folder) as servers:
        assert restart_dead(servers) == []
        for service in servers.services:
            service.child.process.kill()
            service.child.process.wait()
        assert restart_dead(servers) == ["postgres", "valkey"]
        assert await query(servers.database_url, "SELECT 1") == 1
        with redis.Redis.from_url(servers.redis_url) as client:
            assert client.ping()


async def test_an_interrupted_first_start_is_made_good(folder: Path) -> None:
    draft = folder / "postgres.new"
    draft.mkdir()
    (draft / "PG_VERSION").write_text("half")
    with embedded_servers(folder) as servers:
        assert await query(servers.database_url, "SELECT current_database()") == "client_health"
    assert not draft.exists()


async def test_a_long_path_with_blanks_gets_short_sockets_that_only_their_owner_may_use(folder: Path) -> None:
    deep = folder / ("a long, name " * 8) / ".data"
    with embedded_servers(deep) as servers:
        assert await query(servers.database_url, "SELECT 1") == 1
        sockets = servers.database_url.partition("host=")[2]
        assert len(sockets) < 80
        assert stat.S_IMODE(os.stat(sockets).st_mode) == 0o700  # noqa: PTH116 - one look at a local file.
    shutil.rmtree(sockets)


def test_the_secret_is_made_once_and_closed_to_others(folder: Path) -> None:
    first = embedded_secret(folder)
    assert len(first) >= 32
    assert embedded_secret(folder) == first
    assert stat.S_IMODE((folder / "secret").stat().st_mode) == 0o600
    assert [path.name for path in folder.iterdir()] == ["secret"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another account")
async def test_root_in_a_folder_closed_to_others_gets_another_data_folder(folder: Path) -> None:
    closed = folder / "clone"
    closed.mkdir(mode=0o700)
    moved = data_folder(closed / ".data")
    try:
        assert moved.parent == SYSTEM_FOLDER
        assert moved.name.startswith("clone-")
        with embedded_servers(closed / ".data") as servers:
            assert servers.data_dir == moved
            assert await query(servers.database_url, "SELECT 1") == 1
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
        assert list(closed.iterdir()) == []
    finally:
        shutil.rmtree(moved)


def test_the_owner_is_asked_to_stop_by_an_interrupt(folder: Path) -> None:
    with owner(folder) as (process, told):
        process.send_signal(signal.SIGINT)
        process.wait(20)
        assert all(ends_within(pid, 0) for pid in told["pids"])
        assert (folder / "lock").read_text() == ""
