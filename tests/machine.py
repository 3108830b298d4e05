"""What tests ask of the machine: programs to run beside them, and whether a process has ended."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path


def roomy_memory() -> Path | None:
    """Return the file system in memory if it has a gigabyte to spare, else None for the default.

    Copying and dropping a database takes 15 ms there, and up to 300 ms on a disk that frees its blocks at once.
    """
    memory = Path("/dev/shm")  # noqa: S108 - what is made in it gets a name of its own.
    return memory if memory.is_dir() and shutil.disk_usage(memory).free > 2**30 else None


def run_python(program: str, *arguments: str) -> subprocess.Popen[str]:
    """Start `program` in another interpreter, its standard input and output as pipes; the caller waits for its end."""
    return subprocess.Popen(  # noqa: S603 - the programs are literals of the tests.
        [sys.executable, "-c", program, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


def next_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that the program prints, empty if it has ended."""
    assert process.stdout is not None
    return process.stdout.readline()


def ends_within(pid: int, seconds: float) -> bool:
    """Return whether the process is gone, or only a zombie that nobody has collected, within `seconds`."""
    deadline = time.monotonic() + seconds
    while _runs(pid):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def descendants(pid: int) -> set[int]:
    """Return the running children of a process, and theirs; from /proc, so on Linux only."""
    found: set[int] = set()
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and _parent(folder) == pid and _runs(int(folder.name)):
            found |= {int(folder.name)} | descendants(int(folder.name))
    return found


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _field(Path("/proc") / str(pid), 0) != "Z" if Path("/proc/self").exists() else True


def _parent(folder: Path) -> int:
    return int(_field(folder, 1) or 0)


def _field(folder: Path, number: int) -> str:
    """Return a field of `stat` after the name in brackets, empty if the process has ended meanwhile."""
    try:
        return (folder / "stat").read_text().rpartition(")")[2].split()[number]
    except (FileNotFoundError, ProcessLookupError):
        return ""
