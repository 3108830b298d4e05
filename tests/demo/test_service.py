"""Loading the demo: complete, computed by the real rules, once, and never over somebody's own data."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Row, text

from app.database import Database
from app.demo.portfolio import generate
from app.demo.rows import COLUMNS, Portfolio, tables
from app.demo.service import HISTORY_DAYS, load_if_empty
from app.errors import Conflict
from tests.demo.slow_scores import facts_by_client, health_on

NOW = datetime(2026, 3, 4, 0, 30, tzinfo=UTC)
END = date(2026, 3, 3)


class InterruptedLoad(Exception):
    """Raised by a progress callback, to break a load off at a known point."""


class Steps:
    """A progress callback that remembers the steps, and breaks off at the first report of `step` from `done` on."""

    def __init__(self, step: str = "", done: int = 0) -> None:
        self._break_at = (step, done)
        self.seen: dict[str, tuple[int, int]] = {}

    def __call__(self, step: str, done: int, total: int) -> None:
        """Take a report."""
        self.seen[step] = (done, total)
        if step == self._break_at[0] and done >= self._break_at[1]:
            raise InterruptedLoad(step)


async def rows_of(database: Database, statement: str, **values: object) -> list[Row[Any]]:
    """Return the rows of one SELECT."""
    async with database.read() as connection:
        return list((await connection.execute(text(statement), values)).all())


async def counts(database: Database) -> dict[str, int]:
    """Return the number of rows of each table of facts, scores and metrics."""
    names = (*COLUMNS, "health_scores", "daily_metrics")
    return {name: (await rows_of(database, f"SELECT count(*) FROM {name}"))[0][0] for name in names}


async def assert_complete(database: Database, portfolio: Portfolio, end: date, history_days: int) -> None:
    """Assert that every fact is stored, and every day of the history scored and recorded."""
    stored = await counts(database)
    assert {name: stored[name] for name, _ in tables(portfolio)} == {
        name: len(rows) for name, rows in tables(portfolio)
    }
    expected = [end - timedelta(days=age) for age in range(history_days - 1, -1, -1)]
    for table in ("health_scores", "daily_metrics"):
        days = await rows_of(database, f"SELECT DISTINCT day FROM {table} ORDER BY day")
        assert [row.day for row in days] == expected


async def scores(database: Database, day: date) -> Mapping[str, Row[Any]]:
    """Return the stored scores of a day by the client's external id."""
    statement = (
        "SELECT c.external_id, s.score, s.coverage, s.light, s.trend, s.risk "
        "FROM health_scores AS s JOIN clients AS c ON c.id = s.client_id WHERE s.day = :day"
    )
    return {row.external_id: row for row in await rows_of(database, statement, day=day)}


async def assert_scores_are_the_slow_ones(database: Database, portfolio: Portfolio, day: date) -> None:
    """Assert that the scores of a day are those that counting row by row gives."""
    stored = await scores(database, day)
    expected = {}
    for external_id, facts in facts_by_client(portfolio).items():
        health = health_on(facts, day)
        if health is not None:
            expected[external_id] = (health.score, health.coverage, health.light, health.trend, health.risk)
    assert {external_id: tuple(row)[1:] for external_id, row in stored.items()} == expected


async def test_two_starts_at_once_load_one_complete_portfolio(database: Database, database_url: str) -> None:
    other = Database(database_url, pool_size=5)
    try:
        loaded = await asyncio.gather(
            load_if_empty(database, now=NOW, progress=Steps()), load_if_empty(other, now=NOW, progress=Steps())
        )
    finally:
        await other.close()
    assert sorted(loaded) == [False, True]
    portfolio = generate(1, END)
    await assert_complete(database, portfolio, END, HISTORY_DAYS)
    for age in (0, HISTORY_DAYS // 2):
        await assert_scores_are_the_slow_ones(database, portfolio, END - timedelta(days=age))
    listed = await rows_of(database, "SELECT light, trend, risk, scored_day FROM clients WHERE status <> 'CHURNED'")
    assert {row.light for row in listed} == {"GREEN", "AMBER", "RED", None}
    assert {row.trend for row in listed} == {"IMPROVING", "STABLE", "DECLINING", None}
    assert {row.risk for row in listed} == {"LOW", "MEDIUM", "HIGH", None}
    assert {row.scored_day for row in listed} == {END}

    # A week later the portfolio is still there, and still the same.
    before = await rows_of(database, "SELECT max(calculated_at), count(*) FROM health_scores")
    steps = Steps()
    assert not await load_if_empty(database, now=NOW + timedelta(days=7), progress=steps)
    assert steps.seen == {}
    assert await rows_of(database, "SELECT max(calculated_at), count(*) FROM health_scores") == before


async def test_an_interrupted_load_is_finished_with_the_dates_it_began_with(database: Database) -> None:
    with pytest.raises(InterruptedLoad):
        await load_if_empty(
            database, now=NOW, history_days=3, progress=Steps("Importing the demo portfolio", done=60_000)
        )
    half = await counts(database)
    assert half["clients"] == 150
    assert 0 < half["logins"] < 150_000
    assert half["tickets"] == half["health_scores"] == 0

    # Another seed would mix two portfolios.
    with pytest.raises(Conflict, match="another seed"):
        await load_if_empty(database, now=NOW, seed=2, history_days=3, progress=Steps())
    assert await counts(database) == half

    with pytest.raises(InterruptedLoad):
        await load_if_empty(
            database,
            now=NOW + timedelta(days=1),
            history_days=3,
            progress=Steps("Scoring the history", done=1),
        )
    assert (await counts(database))["health_scores"] > 0

    # What is scored in part was imported in full: nothing is imported again.
    steps = Steps()
    assert await load_if_empty(database, now=NOW + timedelta(days=2), history_days=3, progress=steps)
    assert steps.seen == {"Scoring the history": (3, 3)}
    portfolio = generate(1, END)
    await assert_complete(database, portfolio, END, 3)
    await assert_scores_are_the_slow_ones(database, portfolio, END)


@pytest.mark.parametrize("external_id", ["acme", "demo-001"])
async def test_a_database_with_clients_of_its_own_gets_no_demo(database: Database, external_id: str) -> None:
    insert = (
        "INSERT INTO clients (external_id, name, name_key, industry, status, engagement_model, alerts_enabled) "
        "VALUES (:external_id, 'Acme', 'acme', 'OTHER', 'ACTIVE', 'PLG', false)"
    )
    async with database.begin() as session:
        await session.execute(text(insert), {"external_id": external_id})
    steps = Steps()
    assert not await load_if_empty(database, now=NOW, progress=steps)
    assert steps.seen == {}
    assert (await counts(database))["clients"] == 1
