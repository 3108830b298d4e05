"""The report of the rows that could not be used: a CSV file beside the input."""

import csv
import json
from pathlib import Path
from types import TracebackType
from typing import IO, Self


def rejected_path(path: Path) -> Path:
    """Return where the rejected rows of the import of `path` are written: beside it, as NAME.rejected.csv."""
    resolved = path.resolve()
    name = resolved.name if resolved.is_dir() else resolved.stem
    return resolved.parent / f"{name or 'import'}.rejected.csv"


class RejectedRows:
    """The report while it is written; the file exists only if there is a rejected row.

    A folder that cannot be written to costs the report and not the import: `problem` then says why.
    """

    def __init__(self, path: Path) -> None:
        self.path = rejected_path(path)
        self.problem: str | None = None
        self._stream: IO[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:
            self.problem = f"{self.path} is of an earlier import and could not be removed: {error.strerror}"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._stream is not None:
            try:
                self._stream.close()
            except OSError as failure:
                self._give_up(failure)

    @property
    def written(self) -> Path | None:
        """The path of the report, or None when there is none."""
        return None if self._stream is None else self.path

    def add(self, file: str, line: int, reason: str, content: object) -> None:
        """Write one rejected row: the file, the number of its line, why, and what it held as JSON."""
        if self.problem is not None:
            return
        try:
            if self._stream is None:
                # What the file held may be no Unicode at all; it is shown escaped.
                self._stream = self.path.open("w", encoding="utf-8", errors="backslashreplace", newline="")
                csv.writer(self._stream).writerow(("file", "line", "reason", "row"))
            row = (file, line, reason, json.dumps(content, ensure_ascii=False))
            csv.writer(self._stream).writerow(row)
        except OSError as error:
            self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.problem = f"{self.path} could not be written: {error.strerror}"
