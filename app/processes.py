"""Processes: children that never outlive the process which started them, and what a process has started with."""

import ctypes
import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

_PR_SET_PDEATHSIG = 1

# Where the kernel offers no such signal (macOS), a process of three lines waits for the end of a pipe that only
# the parent holds open, and then sends the signal itself.
_WATCHER = "import os, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), int(sys.argv[2]))"


@dataclass(frozen=True)
class Account:
    """The operating system account that a child runs as."""

    uid: int
    gid: int


@dataclass(frozen=True)
class Child:
    """A running child process, and the process that ends it with its parent where the kernel does not."""

    name: str
    process: subprocess.Popen[bytes]
    watcher: subprocess.Popen[bytes] | None


def start_child(
    name: str,
    command: Sequence[str],
    *,
    death_signal: signal.Signals,
    env: Mapping[str, str],
    account: Account | None = None,
    folder: Path | None = None,
    output: IO[bytes] | None = None,
    by_kernel: bool = sys.platform == "linux",
) -> Child:
    """Start `command` in a session of its own; it gets `death_signal` when this process dies, however it dies.

    Call this from the main thread: Linux sends the signal when the *thread* that started the child ends. A session of
    its own keeps Ctrl-C in a terminal from the child, so that the parent decides in which order its children stop.
    `output` takes standard output and standard error; None leaves them with this process's, as it does for `folder`,
    the working directory.
    """
    process = subprocess.Popen(  # noqa: S603 - the command is composed by this code.
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        cwd=folder,
        env=dict(env),
        start_new_session=True,
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        # Nothing but two system calls run there, which is safe even beside other threads.
        preexec_fn=_die_with_parent(death_signal) if by_kernel else None,  # noqa: PLW1509
    )
    if by_kernel:
        return Child(name, process, None)
    watcher = subprocess.Popen(  # noqa: S603 - the same.
        [sys.executable, "-c", _WATCHER, str(process.pid), str(int(death_signal))],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    return Child(name, process, watcher)


def stop_child(child: Child, stop_signal: signal.Signals, *, timeout: float = 10.0) -> None:
    """Ask the child to stop, wait for `timeout` seconds at most, and then end it."""
    if child.process.poll() is None:
        child.process.send_signal(stop_signal)
    reap_child(child, timeout=timeout)


def reap_child(child: Child, *, timeout: float = 10.0) -> None:
    """Wait for a child that was asked to stop, end it after `timeout` seconds, and let its watcher go."""
    try:
        child.process.wait(timeout)
    except subprocess.TimeoutExpired:
        child.process.kill()
        child.process.wait()
    if child.watcher is not None:
        # It goes before its pipe closes, or it would signal whichever process has inherited the number.
        child.watcher.kill()
        child.watcher.wait()
        if child.watcher.stdin is not None:
            child.watcher.stdin.close()


def exit_with_parent() -> None:
    """End this process, a child made by `multiprocessing`, as soon as its parent is gone; for its main module's start.

    A worker whose master was killed would otherwise go on taking messages beside its successor.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        raise RuntimeError("this process was not started by multiprocessing")

    def wait_and_exit() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=wait_and_exit, name="exit-with-parent", daemon=True).start()


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    """Return what the child calls between fork and exec; it runs after the change of account, which would undo it."""
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def ask_for_signal() -> None:
        prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        # The parent may have died before the kernel was asked.
        if os.getppid() != parent:
            os._exit(1)

    return ask_for_signal


def spare_collector() -> None:
    """Have the garbage collector leave alone what exists now, which a process that has started keeps anyway.

    It more than halves the slowest requests, and takes a third off the processor time of a recalculation.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 50)
