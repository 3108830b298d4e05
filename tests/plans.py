"""How PostgreSQL carries out the statement that a service sends: what it scans, sorts and reads."""

import json
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncConnection

from app.database import Database

Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan that was executed, with the rows that went through each of its nodes."""

    root: Node

    def nodes(self) -> Iterator[Node]:
        """Yield every node of the plan that was executed."""
        waiting = [self.root]
        while waiting:
            node = waiting.pop()
            if node["Actual Loops"]:
                yield node
            waiting += node.get("Plans", [])

    def scans(self, table: str) -> list[Node]:
        """Return the nodes that scan the table."""
        return [node for node in self.nodes() if node.get("Relation Name") == table]

    def rows_read(self, table: str) -> int:
        """Return how many rows of the table were visited, those that a filter threw away included."""
        return sum(
            node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Filter", 0))
            for node in self.scans(table)
        )

    def rows_sorted(self) -> int:
        """Return how many rows went into sorts."""
        sorts = (node for node in self.nodes() if node["Node Type"] in ("Sort", "Incremental Sort"))
        return sum(child["Actual Loops"] * child["Actual Rows"] for node in sorts for child in node["Plans"])


async def plans(database: Database, query: Callable[[AsyncConnection], Awaitable[object]]) -> tuple[Plan, Plan]:
    """Run a query of one statement and return its two plans: for these very values, and for any.

    A driver that prepares its statements sees either, whichever PostgreSQL takes for the cheaper one, so that a
    statement is only as good as the worse of the two.
    """
    sent: list[tuple[str, tuple[Any, ...]]] = []

    def note(_1: Any, _2: Any, statement: str, parameters: tuple[Any, ...], _3: Any, _4: Any) -> None:
        sent.append((statement, parameters))

    async with database.read() as connection:
        assert connection.sync_connection is not None
        event.listen(connection.sync_connection, "before_cursor_execute", note)
        await query(connection)
        [(statement, parameters)] = sent
        driver = (await connection.get_raw_connection()).driver_connection
        assert driver is not None
        await driver.execute(f"PREPARE explained AS {statement}")
        values = f"({', '.join(map(_literal, parameters))})" if parameters else ""
        found = []
        for mode in ("force_custom_plan", "force_generic_plan"):
            await driver.execute(f"SET plan_cache_mode = {mode}")
            answer = await driver.fetchval(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) EXECUTE explained{values}")
            found.append(Plan((json.loads(answer) if isinstance(answer, str) else answer)[0]["Plan"]))
        await driver.execute("RESET plan_cache_mode")
        await driver.execute("DEALLOCATE explained")
    return found[0], found[1]


def _literal(value: object) -> str:
    """Return an SQL literal that PostgreSQL reads as the type of the parameter."""
    if isinstance(value, list):
        return "'{" + ",".join("NULL" if item is None else f'"{item}"' for item in value) + "}'"
    return "NULL" if value is None else "'" + str(value).replace("'", "''") + "'"
