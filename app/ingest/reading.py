"""From the bytes of one file to its rows, one at a time: CSV and JSON Lines, whichever lines are broken."""

import csv
import io
import json
import zipfile
import zlib
from collections import deque
from collections.abc import Iterator
from typing import IO, NamedTuple

from app.ingest.formats import FileKind
from app.ingest.rules import printable, text_problem
from app.ingest.sources import Source

# A line or a quoted record beyond these is a broken file, which must not fill the memory.
MAX_LINE = 1_000_000
MAX_RECORD_LINES = 1_000
MAX_UNKNOWN_COLUMNS = 100


# Bytes of a file after which a chunk ends, however few rows it has.
MAX_CHUNK_BYTES = 4_000_000


class UnreadableFile(Exception):
    """The file, or what follows in it, could not be read; the message says why."""


class SourceRow(NamedTuple):
    """One row of a file: values in the order of the kind's columns, None where not known, or what is wrong with it."""

    line: int
    values: tuple[object, ...]
    problem: str | None
    # What the file said, for the report of rejected rows.
    content: object


class Reader:
    """One file being read, with what is known about it so far."""

    def __init__(self, source: Source) -> None:
        self.source = source
        # Columns that this kind of file does not have, as they were met.
        self.unknown_columns: dict[str, None] = {}
        # Bytes of the unpacked file that were read so far.
        self.bytes_read = 0

    def chunks(self, size: int) -> Iterator[list[SourceRow]]:
        """Yield the rows in lists of at most `size`.

        Raises UnreadableFile when the file, or the rest of it, cannot be read, after yielding the rows before.
        """
        chunk: list[SourceRow] = []
        begun_at = 0
        failure: UnreadableFile | None = None
        try:
            with self.source.open() as stream, self._text(stream) as text:
                for row in self._csv_rows(text) if self.source.is_csv else self._json_rows(text):
                    chunk.append(row)
                    # A few very long rows are a chunk of their own, so that memory stays bounded.
                    if len(chunk) == size or stream.tell() - begun_at > MAX_CHUNK_BYTES:
                        self.bytes_read = begun_at = stream.tell()
                        yield chunk
                        chunk = []
                self.bytes_read = stream.tell()
        except UnreadableFile as error:
            failure = error
        except (OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            failure = UnreadableFile(str(error) or type(error).__name__)
        if chunk:
            yield chunk
        if failure is not None:
            raise failure

    def _text(self, stream: IO[bytes]) -> io.TextIOWrapper:
        # Undecodable bytes become lone surrogates, so that they cost their own row and not the file.
        newline = "" if self.source.is_csv else "\n"
        return io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline=newline)

    def _note_unknown(self, column: str) -> None:
        if len(self.unknown_columns) < MAX_UNKNOWN_COLUMNS:
            self.unknown_columns[printable(column)] = None

    def _csv_rows(self, text: io.TextIOWrapper) -> Iterator[SourceRow]:
        kind = self.source.kind
        lines = _Lines(text)
        records = csv.reader(lines, strict=True)
        header = self._header(lines, records)
        positions = [header.index(source) if source in header else None for source in kind.sources]
        parse = _Parser(kind)
        while True:
            lines.start_record()
            try:
                fields = next(records, None)
            except csv.Error as error:
                content = lines.keep_first_line()
                yield SourceRow(lines.number, (), f"the line is not valid CSV: {error}", content)
                continue
            if fields is None:
                return
            if not fields:
                continue
            problem = text_problem(fields)
            values: tuple[object, ...] = ()
            if problem is None and len(fields) != len(header):
                problem = f"the row has {len(fields)} fields where the header has {len(header)}"
            if problem is None:
                values, problem = parse([None if at is None else fields[at].strip() for at in positions])
            yield SourceRow(lines.first, values, problem, fields)

    def _header(self, lines: "_Lines", records: Iterator[list[str]]) -> list[str]:
        try:
            header = [name.strip() for name in next(records, [])]
        except csv.Error as error:
            raise UnreadableFile(f"its header is not valid CSV: {error}") from error
        known = set(self.source.kind.sources)
        missing = [column.name for column in self.source.kind.key if column.name not in header]
        if missing:
            raise UnreadableFile(f"its header has no column {', '.join(missing)}")
        for position, name in enumerate(header):
            if name not in known:
                if name:
                    self._note_unknown(name)
            elif name in header[:position]:
                raise UnreadableFile(f"its header has the column {name} twice")
        return header

    def _json_rows(self, text: io.TextIOWrapper) -> Iterator[SourceRow]:
        sources = self.source.kind.sources
        known = set(sources)
        parse = _Parser(self.source.kind)
        # Numbers stay as they are written, so that 0.1 is not first made binary and an id of digits stays an id.
        decode = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str).decode
        lines = _Lines(text)
        objects = broken = 0
        for line in lines:
            lines.start_record()
            if not line.strip():
                continue
            content: object = line.strip()
            values: tuple[object, ...] = ()
            problem = text_problem((line,))
            if problem is None:
                try:
                    content = decode(line)
                except (ValueError, RecursionError):
                    problem = "the line is not valid JSON"
                else:
                    if not isinstance(content, dict):
                        problem = "the line is not a JSON object"
            if isinstance(content, dict):
                objects += 1
                for name in content.keys() - known:
                    self._note_unknown(name)
                cells = [content.get(source) for source in sources]
                problem = _plain_problem(sources, cells) or text_problem(c for c in cells if isinstance(c, str))
                if problem is None:
                    values, problem = parse([_cell(cell) for cell in cells])
            else:
                broken += 1
            yield SourceRow(lines.number, values, problem, content)
        if broken and not objects:
            raise UnreadableFile("none of its lines is a JSON object")


def _plain_problem(sources: tuple[str, ...], cells: list[object]) -> str | None:
    for source, cell in zip(sources, cells, strict=True):
        if not isinstance(cell, str | bool | None):
            return f"{source} is a list or an object: it must be a plain value"
    return None


def _cell(value: object) -> str | None:
    """Return the text of one JSON value, as a CSV file would hold it."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "true" if value else "false"
    return None


class _Parser:
    """Turns the stripped cells of one kind of file into values, or says what is wrong with them."""

    def __init__(self, kind: FileKind) -> None:
        self._kind = kind
        self._parsers = tuple(column.parse for column in kind.columns)
        self._keys = len(kind.key)

    def __call__(self, cells: list[str | None]) -> tuple[tuple[object, ...], str | None]:
        try:
            values = tuple([parse(cell) if cell else None for parse, cell in zip(self._parsers, cells, strict=True)])
        except ValueError:
            return (), self._problem(cells)
        if None in values[: self._keys]:
            return (), self._problem(cells)
        return values, None

    def _problem(self, cells: list[str | None]) -> str:
        """Return the first thing that is wrong; only rows that are rejected pay for finding it."""
        for column, source, cell in zip(self._kind.columns, self._kind.sources, cells, strict=True):
            if cell:
                try:
                    column.parse(cell)
                except ValueError as error:
                    return f'{source} "{printable(cell)}" {error}'
            elif column in self._kind.key:
                return f"{source} is missing: every row needs one"
        raise AssertionError("a row without a fault was taken for a faulty one")


class _Lines:
    """The lines of a file with their numbers, and with a way back to the second line of a broken record.

    A quote that is never closed would otherwise swallow every row up to the next quote, or the end of the file.
    """

    def __init__(self, stream: io.TextIOWrapper) -> None:
        self._stream = stream
        self._again: deque[str] = deque()
        self._record: list[str] = []
        # The number of the line that was read last.
        self.number = 0

    def __iter__(self) -> "_Lines":
        return self

    def __next__(self) -> str:
        if len(self._record) >= MAX_RECORD_LINES:
            raise csv.Error(f"a quoted field spans more than {MAX_RECORD_LINES} lines")
        line = self._again.popleft() if self._again else self._stream.readline(MAX_LINE + 1)
        if not line:
            raise StopIteration
        self.number += 1
        if len(line) > MAX_LINE:
            raise UnreadableFile(f"line {self.number} is longer than {MAX_LINE} characters")
        self._record.append(line)
        return line

    @property
    def first(self) -> int:
        """The number of the line that the current record began with."""
        return self.number - len(self._record) + 1

    def start_record(self) -> None:
        """Begin a record with the next line."""
        self._record.clear()

    def keep_first_line(self) -> str:
        """Return the first line of the current record and read the others again, as records of their own."""
        first, *others = self._record
        self._again.extendleft(reversed(others))
        self.number -= len(others)
        return first.rstrip("\r\n")
