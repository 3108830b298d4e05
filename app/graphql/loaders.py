"""Batched loading: whatever a list of clients or runs is asked for costs one statement, not one an item."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection
from strawberry.dataloader import DataLoader

from app.alerts import feedback
from app.alerts import service as alerts
from app.clients import service as clients
from app.database import Database, fetch
from app.delivery import service as delivery
from app.feeds import service as feeds
from app.health import queries as health
from app.health.rules import Counts
from app.runs import queries as runs
from app.usage import service as usage
from app.usage.rules import MetricPoint, MetricType

Value = TypeVar("Value")
ERRORS_OF_RUN = 100


async def runs_by_ids(connection: AsyncConnection, ids: Sequence[int]) -> Mapping[int, Row[Any]]:
    """Return the runs that exist, by id."""
    return {row.id: row for row in await fetch(connection, runs.BY_IDS, ids=list(ids))}


class Loaders:
    """The loaders of one request; those with arguments exist once for each set of arguments."""

    def __init__(self, database: Database, now: datetime) -> None:
        self._database = database
        self._now = now
        self._today = now.date()
        self._loaders: dict[Hashable, DataLoader[int, Any]] = {}

    async def _load(
        self,
        key: Hashable,
        id_: int,
        load: Callable[[AsyncConnection, list[int]], Awaitable[Mapping[int, Value]]],
        missing: Value,
    ) -> Value:
        """Return one value through the loader for `key`; `missing` stands for what is not found."""
        # The executor cancels the siblings of a field that failed, and others may wait for the same value.
        value: Value = await asyncio.shield(self._loader(key, load, missing).load(id_))
        return value

    def _loader(
        self,
        key: Hashable,
        load: Callable[[AsyncConnection, list[int]], Awaitable[Mapping[int, Value]]],
        missing: Value,
    ) -> DataLoader[int, Any]:
        """Return the loader for `key`, made at first use."""

        async def load_batch(ids: list[int]) -> Sequence[Value]:
            async with self._database.read() as connection:
                found = await load(connection, ids)
            return [found.get(one, missing) for one in ids]

        if key not in self._loaders:
            self._loaders[key] = DataLoader(load_fn=load_batch)
        return self._loaders[key]

    async def client(self, client_id: int) -> Row[Any] | None:
        """Return a client's row; None when it does not exist."""
        return await self._load("client", client_id, clients.by_ids, None)

    def know_client(self, client_id: int, row: Row[Any] | None) -> None:
        """Take over a client's row that was read already."""
        self._loader("client", clients.by_ids, None).prime(client_id, row)

    async def causes(self, alert_id: int) -> list[Row[Any]]:
        """Return why the score moved that raised the alert."""
        return await self._load("causes", alert_id, alerts.causes_by_ids, list[Row[Any]]())

    async def feedback(self, alert_id: int, subject: str) -> Row[Any] | None:
        """Return what people say of an alert, and which of it the subject does; None where nobody has."""

        async def load(connection: AsyncConnection, ids: list[int]) -> Mapping[int, Row[Any]]:
            return await feedback.of_alerts(connection, ids, subject)

        return await self._load(("feedback", subject), alert_id, load, None)

    async def delivery_attempts(self, delivery_id: int) -> list[Row[Any]]:
        """Return the attempts of a delivery, the first one first."""
        return await self._load("delivery_attempts", delivery_id, delivery.attempts_by_ids, list[Row[Any]]())

    async def counts(self, client_id: int) -> Counts:
        """Return what the client's current score was computed from."""

        async def load(connection: AsyncConnection, ids: list[int]) -> dict[int, Counts]:
            found = await fetch(connection, health.INPUTS, ids=ids)
            return {row.client_id: Counts(*row[1:]) for row in found}

        return await self._load("counts", client_id, load, Counts())

    async def feeds(self, client_id: int) -> Sequence[feeds.Feed]:
        """Return the client's feeds as they stand now."""

        async def load(connection: AsyncConnection, ids: list[int]) -> Mapping[int, Sequence[feeds.Feed]]:
            return await feeds.of_clients(connection, ids, self._now)

        return await self._load("feeds", client_id, load, ())

    async def health_history(self, client_id: int, days: int) -> list[Row[Any]]:
        """Return the client's scores of the `days` that end with its scoring day, oldest first."""

        async def load(connection: AsyncConnection, ids: list[int]) -> dict[int, list[Row[Any]]]:
            found: dict[int, list[Row[Any]]] = {}
            for row in await fetch(connection, health.HISTORY, ids=ids, days=days, today=self._today):
                found.setdefault(row.client_id, []).append(row)
            return found

        return await self._load(("history", days), client_id, load, list[Row[Any]]())

    async def usage(self, client_id: int, days: int) -> usage.Usage:
        """Return the client's usage over the `days` that end with its scoring day."""

        async def load(connection: AsyncConnection, ids: list[int]) -> dict[int, usage.Usage]:
            return await usage.usage(connection, ids, days, self._today)

        return await self._load(("usage", days), client_id, load, usage.Usage([], 0, None))

    async def features(self, client_id: int) -> list[Row[Any]]:
        """Return the client's features with their use, by category and name."""

        async def load(connection: AsyncConnection, ids: list[int]) -> dict[int, list[Row[Any]]]:
            return await usage.features(connection, ids, self._today)

        return await self._load("features", client_id, load, list[Row[Any]]())

    async def metric_history(self, client_id: int, metric: MetricType, days: int) -> list[MetricPoint]:
        """Return the recorded days of one metric, oldest first."""

        async def load(connection: AsyncConnection, ids: list[int]) -> dict[int, list[MetricPoint]]:
            return await usage.metric_history(connection, ids, metric, days, self._today)

        return await self._load(("metric", metric, days), client_id, load, list[MetricPoint]())

    async def run(self, run_id: int) -> Row[Any] | None:
        """Return a run's row; None when it does not exist."""
        return await self._load("run", run_id, runs_by_ids, None)

    async def run_errors(self, run_id: int) -> list[Row[Any]]:
        """Return the first errors of a run, by client."""

        async def load(connection: AsyncConnection, ids: list[int]) -> dict[int, list[Row[Any]]]:
            found: dict[int, list[Row[Any]]] = {}
            for row in await fetch(connection, runs.ERRORS, ids=ids, limit=ERRORS_OF_RUN):
                found.setdefault(row.run_id, []).append(row)
            return found

        return await self._load("run_errors", run_id, load, list[Row[Any]]())
