"""The command that runs everything: it answers, heals, stops, and leaves nothing behind."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.machine import descendants, ends_within, roomy_memory, run_python

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

UP = "import sys; from app.cli import main; sys.argv[0] = 'client-health'; main()"
SUMMARY = "{ portfolioSummary { total green amber red unscored } }"


@dataclass
class Running:
    """A running `client-health up`, with what it printed until it was ready."""

    process: subprocess.Popen[str]
    folder: Path
    printed: str

    @property
    def address(self) -> str:
        return self._found(r"Address +(\S+)")

    @property
    def dashboard(self) -> str:
        return self._found(r"Dashboard +(\S+)")

    @property
    def token(self) -> str:
        return self._found(r"Token +(\S+)")

    @property
    def curl(self) -> str:
        return self._found(r"^ +(curl .+)$")

    def _found(self, pattern: str) -> str:
        match = re.search(pattern, self.printed, re.MULTILINE)
        assert match is not None
        return match[1]

    def ask(self, query: str) -> object:
        """Return the data of the answer to a query."""
        request = urllib.request.Request(  # noqa: S310 - this test's own server.
            self.address,
            json.dumps({"query": query}).encode(),
            {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same.
            return json.load(answer)["data"]


@contextmanager
def data_folder() -> Iterator[Path]:
    """Yield a data folder that other accounts can enter; it is gone afterwards."""
    path = Path(tempfile.mkdtemp(prefix="ch-up-", dir=roomy_memory()))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder() -> Iterator[Path]:
    """A data folder of the test's own."""
    with data_folder() as path:
        yield path


@pytest.fixture(scope="module")
def service() -> Iterator[Running]:
    """A service that several tests use: a start takes seconds."""
    with data_folder() as path, running(path) as started:
        yield started


@contextmanager
def running(folder: Path, *more: str) -> Iterator[Running]:
    """Run the command on a free port until the block ends, and yield it as soon as it is ready."""
    with run_python(UP, "up", "--port", str(free_port()), "--data-dir", str(folder), "--no-demo", *more) as process:
        assert process.stdout is not None
        printed = ""
        while "curl " not in printed:
            line = process.stdout.readline()
            assert line, f"it ended: {printed}"
            printed += line
        yield Running(process, folder, printed)
        process.terminate()


def run_command(*command: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, within 20 seconds."""
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - ours.


def free_port() -> int:
    """Return a port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_the_printed_command_and_token_are_answered(service: Running) -> None:
    nothing = {"total": 0, "green": 0, "amber": 0, "red": 0, "unscored": 0}
    assert service.ask(SUMMARY) == {"portfolioSummary": nothing}
    done = run_command("/bin/sh", "-c", service.curl)
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"data": {"portfolioSummary": nothing}}


def test_the_printed_address_signs_a_developer_in(service: Running) -> None:
    home, code = service.dashboard.split("/sign-in?code=")
    assert f"{home}/graphql" == service.address
    with urllib.request.urlopen(service.dashboard, timeout=10) as page:  # noqa: S310 - this test's own server.
        assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    own_page = {"Sec-Fetch-Site": "same-origin", "Content-Type": "application/json"}
    entering = urllib.request.Request(f"{home}/session", json.dumps({"code": code}).encode(), own_page)  # noqa: S310
    with urllib.request.urlopen(entering, timeout=10) as answer:  # noqa: S310 - the same.
        cookie = answer.headers["Set-Cookie"].partition(";")[0]
    asking = urllib.request.Request(  # noqa: S310 - the same.
        service.address, b'{"query":"{ viewer { subject role } }"}', {**own_page, "Cookie": cookie}
    )
    with urllib.request.urlopen(asking, timeout=10) as answer:  # noqa: S310 - the same.
        assert json.load(answer) == {"data": {"viewer": {"subject": "developer", "role": "PLATFORM_ADMIN"}}}


def test_a_second_one_on_the_same_folder_is_refused(service: Running) -> None:
    done = run_command(sys.executable, "-c", UP, "up", f"--port={free_port()}", f"--data-dir={service.folder}")
    assert done.returncode == 2
    assert f"as process {service.process.pid}" in " ".join(done.stderr.split())
    assert service.ask(SUMMARY) is not None


def test_what_dies_is_started_again(service: Running) -> None:
    children = descendants(service.process.pid)
    web, worker = (child_with(children, word, of=service.process.pid) for word in ("web", "dramatiq"))
    grandchildren = descendants(worker)
    for pid in (web, worker):
        os.kill(pid, signal.SIGKILL)
    assert all(ends_within(pid, 10) for pid in (web, worker, *grandchildren))
    assert answers_again(service)


def test_a_killed_launcher_leaves_nothing_behind_and_the_next_one_stops_in_good_order(folder: Path) -> None:
    with running(folder) as service:
        secret = (folder / "secret").read_text()
        started = descendants(service.process.pid)
        assert len(started) >= 5  # Both servers, the web server, the worker and a child of it.
        service.process.kill()
        assert all(ends_within(pid, 10) for pid in started)
    with running(folder) as service:
        assert service.ask(SUMMARY) is not None
        assert (folder / "secret").read_text() == secret
        started = descendants(service.process.pid)
        service.process.send_signal(signal.SIGINT)
        assert service.process.wait(30) == 0
        assert all(ends_within(pid, 0) for pid in started)
    assert not (folder / "postgres" / "postmaster.pid").exists()


def test_a_taken_port_is_refused_before_anything_starts(folder: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = run_command(sys.executable, "-c", UP, "up", f"--port={port}", f"--data-dir={folder}")
    assert done.returncode == 2
    assert f"Port {port} cannot be used" in " ".join(done.stderr.split())
    assert list(folder.iterdir()) == []


def child_with(pids: set[int], word: str, *, of: int) -> int:
    """Return the direct child of `of` that has `word` in its command line."""
    for pid in pids:
        if (
            word in Path(f"/proc/{pid}/cmdline").read_text()
            and f"\nPPid:\t{of}\n" in Path(f"/proc/{pid}/status").read_text()
        ):
            return pid
    raise AssertionError(f"no child of {of} runs {word}")


def answers_again(service: Running) -> bool:
    """Return whether the service answers within 20 seconds."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            return service.ask(SUMMARY) is not None
        except OSError:
            time.sleep(0.1)
    return False
