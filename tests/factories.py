"""Rows for tests: each function inserts one, with defaults for what a test does not care about, and returns its id.

The rows go past the import on purpose: a test says what stands in the database, not how it came there.
"""

from collections.abc import Iterable
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from sqlalchemy import insert, text

from app.clients.rules import name_key
from app.database import Database, fetch
from app.tables import metadata

# Numbers that make external ids unique, so that a test names only those it looks at. They are as long as each other:
# the order of the ids as texts is that of the numbers, however many other tests have run.
_numbers = (f"{number:06}" for number in count(1))


def utc(moment: str) -> datetime:
    """Return the UTC time written in ISO format, `2025-03-14T10:00` for example."""
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


async def add_rows(database: Database, table: str, rows: Iterable[dict[str, Any]]) -> list[int]:
    """Insert rows that name the same columns and return their ids in the same order; 0 where the table has none."""
    target, values = metadata.tables[table], list(rows)
    if not values:
        return []
    async with database.begin() as session:
        if "id" not in target.c:
            await session.execute(insert(target), values)
            return [0] * len(values)
        statement = insert(target).returning(target.c.id, sort_by_parameter_order=True)
        return list((await session.scalars(statement, values)).all())


async def add_client(database: Database, name: str = "Acme", **values: Any) -> int:
    """Add a client; the columns of its latest health may be given like any other."""
    row = {"external_id": f"client {next(_numbers)}", "name": name, "name_key": name_key(name)} | values
    return (await add_rows(database, "clients", [row]))[0]


async def add_member(database: Database, client_id: int, **values: Any) -> int:
    """Add a member that has always been there."""
    row = {"client_id": client_id, "external_id": f"member {next(_numbers)}"} | values
    return (await add_rows(database, "members", [row]))[0]


async def add_login(
    database: Database, client_id: int, at: datetime, member_id: int | None = None, **values: Any
) -> int:
    """Add a login and return the member's id: without one given, the member is new."""
    member = await add_member(database, client_id) if member_id is None else member_id
    await add_rows(database, "logins", [{"client_id": client_id, "member_id": member, "at": at} | values])
    return member


async def add_case(database: Database, client_id: int, **values: Any) -> str:
    """Add a case and return its external id."""
    return await _add_named(database, "cases", "case", client_id, values)


async def add_campaign(database: Database, client_id: int, **values: Any) -> int:
    """Add a campaign that nobody is assigned to."""
    row = {"client_id": client_id, "external_id": f"campaign {next(_numbers)}"} | values
    return (await add_rows(database, "campaigns", [row]))[0]


async def add_response(
    database: Database, client_id: int, at: datetime, *, campaign_id: int | None = None, member_id: int | None = None
) -> None:
    """Add a response to a campaign; without one given, the campaign and the member are new."""
    campaign = await add_campaign(database, client_id) if campaign_id is None else campaign_id
    member = await add_member(database, client_id) if member_id is None else member_id
    row = {"client_id": client_id, "campaign_id": campaign, "member_id": member, "at": at}
    await add_rows(database, "campaign_responses", [row])


async def add_feature(database: Database, **values: Any) -> int:
    """Add a feature to the catalogue."""
    number = next(_numbers)
    row = {"key": f"feature-{number}", "name": f"Feature {number}"} | values
    return (await add_rows(database, "features", [row]))[0]


async def add_client_feature(database: Database, client_id: int, feature_id: int | None = None, **values: Any) -> int:
    """Enable a feature, never used, and return its id: without one given, the feature is new."""
    feature = await add_feature(database) if feature_id is None else feature_id
    await add_rows(database, "client_features", [{"client_id": client_id, "feature_id": feature} | values])
    return feature


async def add_ticket(database: Database, client_id: int, **values: Any) -> str:
    """Add a support ticket and return its external id."""
    return await _add_named(database, "tickets", "ticket", client_id, values)


async def add_score(database: Database, client_id: int, day: date, score: int | None, **values: Any) -> None:
    """Add the stored score of a day, calculated at the day's end from nothing in particular."""
    counts = ("members", "active_members", "cases_closed", "cases_on_time", "features_enabled", "features_used")
    end = datetime(day.year, day.month, day.day, 23, 59, 59, 999_999, UTC)
    row: dict[str, Any] = dict.fromkeys((*counts, "tickets_opened", "tickets_before"), 0) | {
        "client_id": client_id,
        "day": day,
        "as_of": end,
        "calculated_at": end,
        "policy_version": 1,
        "score": score,
        "coverage": 100,
        "campaigns_completed": [],
        "campaigns_assigned": [],
        "tickets_tracked": True,
    }
    await add_rows(database, "health_scores", [row | values])


async def rows_of(database: Database, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return every row of a statement as a plain tuple."""
    async with database.read() as connection:
        return [tuple(row) for row in await fetch(connection, text(statement), **values)]


async def _add_named(database: Database, table: str, noun: str, client_id: int, values: dict[str, Any]) -> str:
    row = {"client_id": client_id, "external_id": f"{noun} {next(_numbers)}"} | values
    await add_rows(database, table, [row])
    return str(row["external_id"])
