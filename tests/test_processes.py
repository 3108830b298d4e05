"""Children end with the process that started them, also where only a watcher can see to that."""

import os
import signal
import sys
from pathlib import Path

import pytest

from app.processes import start_child, stop_child
from tests.machine import ends_within, next_line, run_python

# Starts one child, says its number, and waits. The argument says whether the kernel or a watcher ends the child, or
# that it is another account's; that one may not be able to read this interpreter.
PARENT = """
import os, signal, sys
from app.processes import Account, start_child
child = start_child(
    "sleeper",
    ["/bin/sleep", "60"],
    death_signal=signal.SIGKILL,
    env=os.environ,
    account=Account(65534, 65534) if sys.argv[1] == "nobody" else None,
    by_kernel=sys.argv[1] != "watcher",
)
print(child.process.pid, child.watcher.pid if child.watcher else child.process.pid, flush=True)
sys.stdin.read()
"""

# A master with two workers made by multiprocessing, as dramatiq has them.
MASTER = """
import multiprocessing, signal
from app.processes import exit_with_parent

def work(pipe):
    exit_with_parent()
    pipe.send("ready")
    signal.pause()

if __name__ == "__main__":
    fork = multiprocessing.get_context("fork")
    for _ in range(2):
        here, there = fork.Pipe()
        worker = fork.Process(target=work, args=(there,))
        worker.start()
        here.recv()
        print(worker.pid, flush=True)
    signal.pause()
"""

SLEEPER = [sys.executable, "-c", "import signal; signal.pause()"]


@pytest.mark.parametrize(
    "way", [pytest.param("kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="Linux only")), "watcher"]
)
@pytest.mark.parametrize("last_signal", [signal.SIGKILL, signal.SIGTERM])
def test_a_child_ends_with_its_parent(way: str, last_signal: signal.Signals) -> None:
    with run_python(PARENT, way) as parent:
        pids = [int(number) for number in next_line(parent).split()]
        assert not ends_within(pids[0], 0)
        parent.send_signal(last_signal)
        parent.wait(10)
        assert all(ends_within(pid, 10) for pid in pids)


def test_the_workers_of_a_killed_master_end() -> None:
    with run_python(MASTER) as master:
        workers = [int(next_line(master)) for _ in range(2)]
        assert not any(ends_within(pid, 0) for pid in workers)
        master.kill()
        assert all(ends_within(pid, 10) for pid in workers)


@pytest.mark.parametrize("by_kernel", [sys.platform == "linux", False])
def test_a_stopped_child_is_gone_and_so_is_its_watcher(by_kernel: bool) -> None:
    child = start_child("sleeper", SLEEPER, death_signal=signal.SIGKILL, env=os.environ, by_kernel=by_kernel)
    assert (child.watcher is None) == by_kernel
    stop_child(child, signal.SIGTERM)
    assert child.process.returncode == -signal.SIGTERM
    assert child.watcher is None or child.watcher.returncode == -signal.SIGKILL


def test_a_child_that_ignores_the_request_is_ended() -> None:
    deaf = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); signal.pause()"
    read, write = os.pipe()
    with os.fdopen(read) as output, os.fdopen(write, "wb") as there:
        child = start_child(
            "deaf", [sys.executable, "-c", deaf], death_signal=signal.SIGKILL, env=os.environ, output=there
        )
        assert output.readline() == "deaf\n"
        stop_child(child, signal.SIGTERM, timeout=0.1)
    assert child.process.returncode == -signal.SIGKILL


def test_a_child_leads_a_session_of_its_own() -> None:
    child = start_child("sleeper", SLEEPER, death_signal=signal.SIGKILL, env=os.environ)
    try:
        assert os.getsid(child.process.pid) == child.process.pid
    finally:
        stop_child(child, signal.SIGKILL)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may change the account")
def test_a_child_of_another_account_has_none_of_roots_rights_and_ends_with_its_parent() -> None:
    with run_python(PARENT, "nobody") as parent:
        pid = int(next_line(parent).split()[0])
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Uid"].split() == ["65534"] * 4
        assert status["Groups"].split() == []
        parent.kill()
        assert ends_within(pid, 10)
