"""The rows that the demo portfolio consists of, one type per file of the import format."""

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from pathlib import Path
from typing import Any, NamedTuple


class ClientRow(NamedTuple):
    """A row of `clients`; whether alerts are on is left to the default of the engagement model."""

    external_id: str
    name: str
    size: str
    industry: str
    status: str
    engagement_model: str
    owner: str | None
    customer_since: date
    churned_at: datetime | None
    renewal_date: date | None
    annual_value: int | None


class MemberRow(NamedTuple):
    """A row of `members`."""

    client: str
    external_id: str
    created_at: datetime
    deactivated_at: datetime | None


class LoginRow(NamedTuple):
    """A row of `logins`."""

    client: str
    member: str
    at: datetime
    duration_minutes: float | None


class CaseRow(NamedTuple):
    """A row of `cases`."""

    client: str
    external_id: str
    opened_at: datetime
    closed_at: datetime | None
    sla_due_at: datetime | None


class CampaignRow(NamedTuple):
    """A row of `campaigns`."""

    client: str
    external_id: str
    name: str
    kind: str
    assigned: int
    completed: int
    closed_at: datetime | None


class ResponseRow(NamedTuple):
    """A row of `campaign_responses`."""

    client: str
    campaign: str
    member: str
    at: datetime


class FeatureRow(NamedTuple):
    """A row of `features`."""

    key: str
    name: str
    category: str


class ClientFeatureRow(NamedTuple):
    """A row of `client_features`."""

    client: str
    feature: str
    enabled: bool
    first_used_at: datetime | None
    last_used_at: datetime | None


class TicketRow(NamedTuple):
    """A row of `tickets`."""

    client: str
    external_id: str
    opened_at: datetime
    closed_at: datetime | None
    priority: str


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Every fact of the demo; the fields are named after the files of the import format, in its order."""

    clients: list[ClientRow]
    members: list[MemberRow]
    logins: list[LoginRow]
    cases: list[CaseRow]
    campaigns: list[CampaignRow]
    campaign_responses: list[ResponseRow]
    features: list[FeatureRow]
    client_features: list[ClientFeatureRow]
    tickets: list[TicketRow]


COLUMNS: dict[str, tuple[str, ...]] = {
    "clients": ClientRow._fields,
    "members": MemberRow._fields,
    "logins": LoginRow._fields,
    "cases": CaseRow._fields,
    "campaigns": CampaignRow._fields,
    "campaign_responses": ResponseRow._fields,
    "features": FeatureRow._fields,
    "client_features": ClientFeatureRow._fields,
    "tickets": TicketRow._fields,
}


def stream(seed: int, *purpose: str) -> random.Random:
    """Return the random numbers for one purpose; no other purpose's draws shift them."""
    return random.Random("/".join((str(seed), *purpose)))  # noqa: S311 - Invented data needs no secrecy, only repetition.


def tables(portfolio: Portfolio) -> Iterator[tuple[str, Sequence[tuple[Any, ...]]]]:
    """Yield the name and the rows of each file, in the order in which they are to be imported."""
    for field in fields(portfolio):
        yield field.name, getattr(portfolio, field.name)


def write_files(portfolio: Portfolio, folder: Path) -> None:
    """Write one CSV file per kind into `folder`, which must exist.

    Raises OSError when the folder cannot be written to.
    """
    for name, rows in tables(portfolio):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS[name])
            writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value.isoformat() if isinstance(value, date) else str(value)
