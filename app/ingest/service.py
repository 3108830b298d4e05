"""Importing a folder or an archive of files into the database."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.database import Database
from app.ingest import queries
from app.ingest.formats import KINDS, FileKind
from app.ingest.queries import Outcome
from app.ingest.reading import Reader, SourceRow, UnreadableFile
from app.ingest.rejected import RejectedRows
from app.ingest.rules import printable
from app.ingest.sources import open_sources

CHUNK_ROWS = 5_000

# A row to store: its line, or any number that its caller knows it by, and its values in the order of the columns.
Row = tuple[int, tuple[object, ...]]

EXIT_COMPLETE, EXIT_UNREADABLE, EXIT_REJECTED = 0, 2, 3


@dataclass(frozen=True, slots=True)
class ImportProgress:
    """How far one file is: rows and unpacked bytes read, and rows rejected, each of this file alone."""

    file: str
    rows: int
    bytes_read: int
    bytes_total: int
    rejected: int


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """What became of some rows of a file; `rejected` holds those that could not be used, each with the reason."""

    new: int
    changed: int
    unchanged: int
    rejected: Sequence[tuple[SourceRow, str]]


@dataclass(slots=True)
class FileReport:
    """What became of one file; `read` is the sum of the other four counts."""

    file: str
    kind: str
    read: int = 0
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    rejected: int = 0
    # Columns of the file that its kind does not have.
    unknown_columns: tuple[str, ...] = ()
    # Why the file, or the rest of it, could not be read.
    unreadable: str | None = None


@dataclass(slots=True)
class ImportReport:
    """What became of an import."""

    files: list[FileReport] = field(default_factory=list)
    # CSV and JSON Lines files whose name is not that of a kind.
    ignored: tuple[str, ...] = ()
    # The report of rejected rows; None when no row was rejected, or when it could not be written.
    rejected_path: Path | None = None
    # Why that report could not be written, or not completely.
    rejected_problem: str | None = None

    @property
    def exit_code(self) -> int:
        """Return 0 when all rows went in, 3 when some were rejected, 2 when a file could not be read."""
        if any(file.unreadable is not None for file in self.files):
            return EXIT_UNREADABLE
        return EXIT_REJECTED if any(file.rejected for file in self.files) else EXIT_COMPLETE


async def import_path(
    database: Database,
    path: Path,
    *,
    now: datetime,
    progress: Callable[[ImportProgress], None] | None = None,
    chunk_rows: int = CHUNK_ROWS,
) -> ImportReport:
    """Import the files of a folder or a zip archive, each in chunks of `chunk_rows` rows and one transaction.

    What was stored before an interruption stays; importing again completes it. `now` decides whether a client that
    churns at a given time, and whose status is not given, has churned already.

    Raises InvalidInput when `path` is no folder or archive with at least one file to import.
    """
    with open_sources(path) as sources, RejectedRows(path) as rejected:
        report = ImportReport(ignored=sources.ignored)
        for source in sources.files:
            reader = Reader(source)
            file = FileReport(printable(source.name), source.kind.name)
            report.files.append(file)
            _tell(progress, reader, file)
            try:
                # A thread that reads ahead was tried and made it slower: it holds the interpreter's lock in turns.
                for chunk in reader.chunks(chunk_rows):
                    await _import_chunk(database, source.kind, chunk, report=file, rejected=rejected, now=now)
                    _tell(progress, reader, file)
            except UnreadableFile as error:
                file.unreadable = printable(str(error), 500)
            file.unknown_columns = tuple(reader.unknown_columns)
    report.rejected_path = rejected.written
    report.rejected_problem = rejected.problem
    return report


def _tell(progress: Callable[[ImportProgress], None] | None, reader: Reader, file: FileReport) -> None:
    if progress is not None:
        progress(ImportProgress(file.file, file.read, reader.bytes_read, reader.source.size, file.rejected))


async def _import_chunk(
    database: Database,
    kind: FileKind,
    chunk: Sequence[SourceRow],
    *,
    report: FileReport,
    rejected: RejectedRows,
    now: datetime,
) -> None:
    """Store one chunk in one transaction, and only then count it and report what was rejected of it."""
    async with database.begin() as session:
        stored = await store_chunk(session, kind, chunk, now=now)
    report.read += len(chunk)
    report.new += stored.new
    report.changed += stored.changed
    report.unchanged += stored.unchanged
    report.rejected += len(stored.rejected)
    for row, reason in stored.rejected:
        rejected.add(report.file, row.line, reason, row.content)


async def store_chunk(
    session: AsyncSession, kind: FileKind, chunk: Sequence[SourceRow], *, now: datetime
) -> StoredChunk:
    """Store what can be used of some rows that were read, and tell what became of them; `now` is that of `store`."""
    reasons = {row.line: row.problem for row in chunk if row.problem is not None}
    usable = [(row.line, row.values) for row in chunk if row.problem is None]
    outcomes: Sequence[Outcome] = ()
    if usable:
        received_at = await begin(session)
        if kind.name == "logins":
            # Members that only logins tell of exist since their first one.
            await store(session, KINDS["seen_members"], _seen(usable), now=now, received_at=received_at)
        outcomes = await store(session, kind, usable, now=now, received_at=received_at)
    for outcome in outcomes:
        reasons.update(outcome.rejected)
    return StoredChunk(
        new=sum(outcome.new for outcome in outcomes),
        changed=sum(outcome.changed for outcome in outcomes),
        unchanged=sum(outcome.unchanged for outcome in outcomes),
        rejected=[(row, reasons[row.line]) for row in chunk if row.line in reasons],
    )


def _seen(logins: Sequence[Row]) -> Sequence[Row]:
    """Return the members that logged in, each once, with when they first did."""
    first_at: dict[tuple[object, object], Any] = {}
    for _, (client, member, at, *_) in logins:
        first_at[client, member] = min(first_at.get((client, member), at), at)
    return [(number, (*key, at)) for number, (key, at) in enumerate(first_at.items())]


async def begin(session: AsyncSession) -> datetime:
    """Let this transaction be the one that stores facts: there is one at a time, whoever stores them.

    Returns since when it is: no calculation as of an earlier moment has seen what it stores.
    """
    return await queries.begin_chunk(session)


async def store(
    session: AsyncSession, kind: FileKind, rows: Sequence[Row], *, now: datetime, received_at: datetime
) -> Sequence[Outcome]:
    """Store rows of one kind in a transaction that has begun with `begin`, and tell what became of them.

    A key that comes again counts as it would in a later file. `now` decides whether a client that churns at a given
    time, and whose status is not given, has churned already. At `received_at`, which `begin` returned, the rows' feed
    delivered; a calculation between an earlier moment, as that of a request, and this one would not have seen them.
    """
    if kind.name == "clients":
        rows = [(line, _settled(kind, values, now)) for line, values in rows]
    driver = await queries.driver_connection(session)
    if kind.name == "clients":
        await queries.lock_clients(driver, [values[0] for _, values in rows])
    return [await queries.upsert(driver, kind, columns, received_at) for columns in _rounds(kind, rows)]


def _settled(kind: FileKind, values: tuple[object, ...], now: datetime) -> tuple[object, ...]:
    """Return a client's values with the status that `churned_at` tells where nothing else does."""
    given = dict(zip((column.name for column in kind.columns), values, strict=True))
    churned_at = given["churned_at"]
    if given["status"] is None and isinstance(churned_at, datetime) and churned_at <= now:
        given["status"] = "CHURNED"
    return tuple(given.values())


def _rounds(kind: FileKind, rows: Sequence[Row]) -> list[list[Sequence[object]]]:
    """Return the columns of the rows, the lines first, in rounds.

    A key that comes again goes into a later round, so that each round stores a key once and a repeated key means
    within a chunk what it means across chunks and files: what the later row gives wins, what it leaves out stays.
    """
    width = len(kind.key)
    if len({values[:width] for _, values in rows}) == len(rows):
        return [_columns(rows)]
    times: Counter[tuple[object, ...]] = Counter()
    rounds: list[list[Row]] = []
    for line, values in rows:
        key = values[:width]
        if times[key] == len(rounds):
            rounds.append([])
        rounds[times[key]].append((line, values))
        times[key] += 1
    return [_columns(round_) for round_ in rounds]


def _columns(rows: Sequence[Row]) -> list[Sequence[object]]:
    lines, values = zip(*rows, strict=True)
    return [lines, *zip(*values, strict=True)]
