"""Writing small folders of files, importing them, and looking at what the database then holds."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from app.database import Database
from app.ingest.service import FileReport, ImportReport, import_path

NOW = datetime(2025, 7, 1, tzinfo=UTC)

TABLES = [
    "clients",
    "members",
    "logins",
    "cases",
    "campaigns",
    "campaign_responses",
    "features",
    "client_features",
    "tickets",
    "portfolio_counts",
]


def write(folder: Path, **files: str) -> Path:
    """Write each file, `clients_csv` being clients.csv, into a new or existing folder and return the folder."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        stem, _, suffix = name.rpartition("_")
        (folder / f"{stem}.{suffix}").write_text(content, encoding="utf-8", newline="")
    return folder


async def load(database: Database, path: Path, *, chunk_rows: int = 5_000) -> ImportReport:
    """Import `path` as of NOW."""
    return await import_path(database, path, now=NOW, chunk_rows=chunk_rows)


def counts(report: FileReport) -> tuple[int, int, int, int, int]:
    """Return read, new, changed, unchanged and rejected."""
    return (report.read, report.new, report.changed, report.unchanged, report.rejected)


async def rows(database: Database, sql: str) -> list[tuple[Any, ...]]:
    """Return the rows of a query."""
    async with database.read() as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def versions(database: Database) -> dict[str, list[tuple[object, ...]]]:
    """Return the place and the writing transaction of every row: what changes when a row is written again."""
    return {table: await rows(database, f"SELECT ctid::text, xmin::text FROM {table} ORDER BY 1") for table in TABLES}
