"""Where the files are: a folder, or a zip archive that is read without being unpacked."""

import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from app.errors import InvalidInput
from app.ingest.formats import FILE_KINDS, FileKind
from app.ingest.rules import printable

SUFFIXES = (".csv", ".jsonl", ".ndjson")
# An honest export shrinks to a tenth or a thirtieth; only a bomb shrinks to less than this part of a large size.
BOMB_RATIO = 250
BOMB_BYTES = 100_000_000


@dataclass(frozen=True, slots=True)
class Source:
    """One file to read; `size` is its unpacked size in bytes."""

    name: str
    kind: FileKind
    size: int
    open: Callable[[], IO[bytes]]

    @property
    def is_csv(self) -> bool:
        """Tell whether the rows are CSV; otherwise they are JSON Lines."""
        return self.name.lower().endswith(".csv")


@dataclass(frozen=True, slots=True)
class Sources:
    """The files to read, in reading order, and the names of CSV and JSON Lines files that are none of ours."""

    files: tuple[Source, ...]
    ignored: tuple[str, ...]


@contextmanager
def open_sources(path: Path) -> Iterator[Sources]:
    """Yield the files of a folder or a zip archive.

    Raises InvalidInput when there is no such path, when it is neither of the two, or when it holds no file to read.
    """
    with ExitStack() as stack:
        try:
            if path.is_dir():
                sources = _folder(path)
            elif path.exists():
                sources = _archive(path, stack.enter_context(zipfile.ZipFile(path)))
            else:
                raise InvalidInput("path", f"{path} does not exist: give a folder or a zip archive")
        except (zipfile.BadZipFile, OSError) as error:
            raise InvalidInput("path", f"{path} is neither a readable folder nor a zip archive: {error}") from error
        yield sources


def _folder(path: Path) -> Sources:
    entries = [
        (entry.name, entry.stat().st_size, partial(_open_file, entry))
        for entry in sorted(path.iterdir())
        if entry.is_file()
    ]
    return _ordered(path, entries)


def _archive(path: Path, archive: zipfile.ZipFile) -> Sources:
    entries, folders = [], set()
    for info in sorted(archive.infolist(), key=lambda info: info.filename):
        inner = PurePosixPath(info.filename)
        if info.is_dir() or "__MACOSX" in inner.parts:
            continue
        if _kind(inner.name) is not None:
            folders.add(inner.parent)
        entries.append((inner.name, info.file_size, partial(_open_entry, archive, info)))
    if len(folders) > 1:
        raise InvalidInput("path", f"{path} holds files in more than one folder: put them into one")
    return _ordered(path, entries)


def _open_file(path: Path) -> IO[bytes]:
    return path.open("rb")


def _open_entry(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * info.compress_size:
        raise OSError(f"it unpacks to {info.file_size} bytes, more than {BOMB_RATIO} times its packed size")
    try:
        return archive.open(info)
    except RuntimeError as error:
        # This is how zipfile refuses what is encrypted, or packed by a method that it does not know.
        raise OSError(str(error)) from error


def _kind(name: str) -> FileKind | None:
    file = PurePosixPath(name)
    if file.suffix.lower() not in SUFFIXES:
        return None
    return next((kind for kind in FILE_KINDS if kind.name == file.stem.lower()), None)


def _ordered(path: Path, entries: Iterable[tuple[str, int, Callable[[], IO[bytes]]]]) -> Sources:
    files, ignored = [], []
    for name, size, opener in entries:
        kind = _kind(name)
        if kind is not None:
            files.append(Source(name, kind, size, opener))
        elif name.lower().endswith(SUFFIXES) and not name.startswith("."):
            ignored.append(printable(name))
    if not files:
        names = ", ".join(kind.name for kind in FILE_KINDS)
        raise InvalidInput("path", f"{path} holds no file to import: expected {names}, each as .csv or .jsonl")
    order = [kind.name for kind in FILE_KINDS]
    files.sort(key=lambda source: order.index(source.kind.name))
    return Sources(tuple(files), tuple(ignored))
