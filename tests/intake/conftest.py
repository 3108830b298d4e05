"""The running application with a write key, and events to send to it."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest

from app.auth import write_keys
from app.database import Database
from app.main import create_app
from app.settings import Settings

Event = dict[str, Any]


@dataclass
class Intake:
    """A running application, and the key that events are sent to it with."""

    http: httpx2.AsyncClient
    key: str
    database: Database

    async def send(self, name: str, content: object, **headers: str) -> httpx2.Response:
        """Post JSON to an address of the tracking API."""
        return await self.http.post(
            f"/v1/{name}", content=orjson.dumps(content), auth=(self.key, ""), headers=dict(headers)
        )

    async def batch(self, *events: Event) -> Mapping[str, Any]:
        """Send events that are all taken, and return the answer."""
        answer = await self.send("batch", {"batch": events})
        assert answer.status_code == 200, answer.text
        body: Mapping[str, Any] = answer.json()
        return body

    async def rejected(self, *events: Event) -> dict[int, str]:
        """Send events of which some are not taken, and return the reasons by their index."""
        answer = await self.send("batch", {"batch": events})
        assert answer.status_code == 400, answer.text
        body = answer.json()
        assert body["code"] == "EVENTS_REJECTED"
        assert body["accepted"] == len(events) - len(body["rejected"])
        return {one["index"]: one["reason"] for one in body["rejected"]}

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query."""
        url = self.database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        connection = await asyncpg.connect(url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()


@pytest.fixture
async def intake(settings: Settings, database: Database) -> AsyncIterator[Intake]:
    """The application with an empty database."""
    async with database.begin() as session:
        key = await write_keys.create(session, "product", datetime.now(UTC))
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://intake") as http,
    ):
        yield Intake(http, key, database)
