"""Writes a world as the CSV files of contract/import.md."""

import csv
import dataclasses
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from tests.oracle.facts import World


def as_text(value: Any, number: int) -> str:
    """Return one cell; times take turns at the ways in which ISO 8601 can say the same moment."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        spellings = (
            value.isoformat(),
            value.isoformat().replace("+00:00", "Z"),
            value.replace(tzinfo=None).isoformat(),
            value.astimezone(timezone(timedelta(hours=5, minutes=30))).isoformat(),
            value.astimezone(timezone(timedelta(hours=-8))).isoformat(),
        )
        return spellings[number % len(spellings)]
    return str(value)


def write_rows(path: Path, rows: Iterable[Any]) -> None:
    """Write dataclass rows under a header of their field names; no file where there are no rows."""
    listed = list(rows)
    if not listed:
        return
    columns = [field.name for field in dataclasses.fields(listed[0])]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        for number, row in enumerate(listed):
            writer.writerow([as_text(getattr(row, column), number) for column in columns])


def write_world(world: World, folder: Path) -> None:
    """Write every file of the contract that has rows into `folder`, which must exist."""
    everyone = list(world.clients.values())
    write_rows(folder / "clients.csv", (facts.client for facts in everyone))
    write_rows(folder / "members.csv", (row for facts in everyone for row in facts.members))
    write_rows(folder / "logins.csv", (row for facts in everyone for row in facts.logins))
    write_rows(folder / "cases.csv", (row for facts in everyone for row in facts.cases))
    write_rows(folder / "campaigns.csv", (row for facts in everyone for row in facts.campaigns))
    write_rows(folder / "campaign_responses.csv", (row for facts in everyone for row in facts.responses))
    write_rows(folder / "features.csv", world.catalogue)
    write_rows(folder / "client_features.csv", (row for facts in everyone for row in facts.features))
    write_rows(folder / "tickets.csv", (row for facts in everyone for row in facts.tickets))
