"""Every SQL statement of the import: one set-based upsert for each kind of file, of rows that come as columns."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from app.database import AdvisoryLock, column_parameter, given_rows
from app.ingest.feeds import FEEDS, deliveries
from app.ingest.formats import KINDS, FileKind
from app.ingest.targets import PARENTS, TARGETS, Target

# The moments of a row of each kind that say on which days it counts in the daily metrics.
RECORDED_BY = {
    "logins": ("at",),
    "cases": ("opened_at", "closed_at"),
    "campaigns": ("closed_at",),
    "campaign_responses": ("at",),
    "client_features": ("first_used_at", "last_used_at"),
    "feature_uses": ("first_used_at", "last_used_at"),
    "tickets": ("opened_at",),
}
# The kinds whose moments count on every day from the first of them on.
USES = {"client_features", "feature_uses"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of the rows of one upsert; `rejected` holds line numbers and reasons."""

    new: int
    changed: int
    unchanged: int
    rejected: Sequence[tuple[int, str]]


async def begin_chunk(session: AsyncSession) -> datetime:
    """Wait for other imports, settle how the chunk is joined, and return when the waiting was over.

    One chunk is stored at a time, whoever imports: two imports of the same rows neither deadlock nor overtake each
    other.
    """
    # A chunk is few rows beside the stored ones, so every join goes row by row through a key. The planner, which
    # knows neither how many rows are given nor how large the tables grow, would now and then read all logins
    # instead; and as there is one plan only, it is made once.
    begun = await session.execute(
        text(
            # What stands in FROM is evaluated first: the clock is read once the lock is held.
            "SELECT clock_timestamp(), set_config('plan_cache_mode', 'force_generic_plan', true), "
            "set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), "
            "set_config('enable_seqscan', 'off', true) FROM pg_advisory_xact_lock(:lock)"
        ),
        {"lock": AdvisoryLock.IMPORT},
    )
    moment: datetime = begun.scalar_one()
    return moment


async def driver_connection(session: AsyncSession) -> Any:
    """Return the asyncpg connection below the session, which must have begun its transaction."""
    return (await (await session.connection()).get_raw_connection()).driver_connection


async def lock_clients(driver: Any, external_ids: Sequence[object]) -> None:
    """Lock what the upsert of these clients will change."""
    await driver.execute(
        "SELECT FROM clients WHERE external_id = ANY($1::text[]) ORDER BY id FOR NO KEY UPDATE", external_ids
    )
    # A trigger counts new and changed clients one after the other, so the counts are locked as a whole, and only
    # after the clients: a recalculation at the same time takes both in the same order.
    await driver.execute("LOCK TABLE portfolio_counts IN SHARE ROW EXCLUSIVE MODE")


async def upsert(driver: Any, kind: FileKind, columns: Sequence[Sequence[object]], received_at: datetime) -> Outcome:
    """Store rows that were received at `received_at`, in which no key occurs twice, and tell what became of them.

    `columns` are the lines of the rows, and then the values of each of the kind's columns.
    """
    received = [received_at] if kind.name in FEEDS else []
    parameters = [column_parameter(column) for column in columns]
    row = await driver.fetchrow(_upsert_statement(kind.name), *parameters, *received)
    rejected = list(zip(row["lines"] or (), row["reasons"] or (), strict=True))
    return Outcome(row["new"], row["changed"], row["unchanged"], rejected)


@cache
def _upsert_statement(name: str) -> str:
    """Compose the upsert of one kind of file.

    Rows that change nothing are neither written nor locked, and a row that is refused touches nothing.
    """
    kind, target = KINDS[name], TARGETS[name]
    columns = [("line", "bigint"), *((column.name, column.sql_type) for column in kind.columns)]
    rows = given_rows((name, sql_type, f"${number}") for number, (name, sql_type) in enumerate(columns, 1))
    on_key = " AND ".join(f"t.{column} = {staged}" for column, staged in target.key.items())
    new_values = {
        **target.key,
        **{column: f"coalesce(s.{column}, {default})" for column, default in target.defaults.items()},
        **{column: new for column, (new, _) in target.derived.items()},
    }
    stored_values = {
        **{column: f"coalesce(s.{column}, t.{column})" for column in target.defaults},
        **{column: stored for column, (_, stored) in target.derived.items()},
    }
    # What the row will hold, and what it holds so far, of the columns that daily metrics are recorded from.
    compared = "".join(
        f", {stored_values[column]} AS will_{column}, t.{column} AS was_{column}"
        for column in RECORDED_BY.get(name, ())
        if column in stored_values
    )
    is_new = f"t.{next(iter(target.key))} IS NULL"
    differs = " OR ".join(f"t.{column} IS DISTINCT FROM ({value})" for column, value in stored_values.items())
    changes = ", ".join(f"{column} = {value}" for column, value in stored_values.items())
    updated = f"""
        , updated AS (
            UPDATE {target.table} t SET {changes}
            FROM judged s
            WHERE s.reason IS NULL AND NOT s.is_new AND s.differs AND {on_key}
        )"""
    return f"""
        WITH resolved AS (
            SELECT s.*{"".join(f", {parent}.id AS {parent}_id" for parent in target.parents)}
            FROM {rows} AS s
            {" ".join(_join(parent) for parent in target.parents)}
        ), judged AS MATERIALIZED (
            SELECT s.*, {is_new} AS is_new, {differs or "false"} AS differs, {_reason(target)} AS reason{compared}
            FROM resolved s {_lookup(target.table, "t", on_key)}
        ), inserted AS (
            INSERT INTO {target.table} ({", ".join(new_values)})
            SELECT {", ".join(new_values.values())} FROM judged s WHERE s.reason IS NULL AND s.is_new
            ORDER BY {", ".join(target.key.values())}
        ){updated if stored_values else ""}{_late(name) if name in RECORDED_BY else ""}
        {deliveries(name, f"${len(columns) + 1}")}
        SELECT count(*) FILTER (WHERE reason IS NULL AND is_new) AS new,
            count(*) FILTER (WHERE reason IS NULL AND NOT is_new AND differs) AS changed,
            count(*) FILTER (WHERE reason IS NULL AND NOT is_new AND NOT differs) AS unchanged,
            array_agg(line ORDER BY line) FILTER (WHERE reason IS NOT NULL) AS lines,
            array_agg(reason ORDER BY line) FILTER (WHERE reason IS NOT NULL) AS reasons
        FROM judged
        """


def _late(name: str) -> str:
    """Compose what notes the days that were recorded already and whose metrics new or changed rows may change."""
    columns = RECORDED_BY[name]
    if name in USES:
        # From the first use on the feature was adopted, and before it was not.
        will, was = (f"coalesce({when}_first_used_at, {when}_last_used_at, 'infinity')" for when in ("will", "was"))
        touched = f"""
            SELECT client_id, {_day(f"least({will}, {was})")} AS first_day,
                {_day(f"greatest({will}, {was})")} - 1 AS last_day
            FROM judged WHERE reason IS NULL AND {will} <> {was}"""
    else:
        stored = TARGETS[name].defaults
        moments = [f"{when}_{c}" for c in columns if c in stored for when in ("will", "was")] or columns
        touched = " UNION ".join(
            f"""
            SELECT DISTINCT client_id, {_day(moment)} AS first_day, {_day(moment)} AS last_day
            FROM judged WHERE reason IS NULL AND (is_new OR differs) AND {moment} IS NOT NULL
            AND EXISTS (SELECT FROM daily_metrics)"""
            for moment in moments
        )
    return f"""
        , touched AS ({touched}
        ), late AS (
            INSERT INTO late_days AS noted (client_id, day, noted_at, adoption)
            SELECT DISTINCT m.client_id, m.day, now(), {name in USES}
            FROM touched JOIN daily_metrics m
                ON m.client_id = touched.client_id AND m.day BETWEEN touched.first_day AND touched.last_day
            ON CONFLICT (day, client_id) DO UPDATE SET adoption = true WHERE excluded.adoption AND NOT noted.adoption
        )"""


def _day(moment: str) -> str:
    return f"({moment} AT TIME ZONE 'UTC')::date"


def _join(parent: str) -> str:
    table, condition = PARENTS[parent]
    return _lookup(table, parent, condition)


def _lookup(table: str, alias: str, condition: str) -> str:
    """Compose the join with the one row of a table that a unique key leads to, if there is one.

    Of a key with two columns a plain join may use the first alone while the table is small, and keep to it when a
    client has a million members.
    """
    return f"LEFT JOIN LATERAL (SELECT * FROM {table} {alias} WHERE {condition} LIMIT 1) {alias} ON true"


def _reason(target: Target) -> str:
    unknown = [
        (f"s.{parent}_id IS NULL", f"'{parent} \"' || s.{parent} || '\" is not known'") for parent in target.parents
    ]
    cases = " ".join(f"WHEN {condition} THEN {reason}" for condition, reason in (*unknown, *target.refusals))
    return f"CASE {cases} END" if cases else "NULL::text"
