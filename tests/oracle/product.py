"""The product, loaded with a world by its own import, scored day by day, and asked over HTTP."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
from sqlalchemy import text

from app.auth.tokens import Role, issue_token
from app.database import Database
from app.graphql.pagination import global_id
from app.main import create_app
from app.settings import Settings
from tests.oracle.facts import World
from tests.oracle.loading import load
from tests.oracle.operations import PORTFOLIO
from tests.oracle.portfolio import Card, cards
from tests.oracle.spec import Assessment, score_days
from tests.oracle.worlds import last_moments

Answer = dict[str, Any]


@dataclass
class Product:
    """A running product beside what the oracle makes of the same world."""

    world: World
    days: list[date]
    histories: Mapping[str, Mapping[date, Assessment]]
    # The database's id and the API's id of each client, by external id.
    ids: Mapping[str, int]
    global_ids: Mapping[str, str]
    http: httpx2.AsyncClient

    def cards(self) -> list[Card]:
        """Return what the oracle expects the portfolio to list."""
        return cards(self.world, self.histories, self.ids)

    async def ask(self, document: str, **variables: object) -> Answer:
        """Send one operation and return its data; any error of the answer fails the test."""
        response = await self.http.post("/graphql", json={"query": document, "variables": variables})
        body = response.json()
        assert response.status_code == 200, body
        assert "errors" not in body, body["errors"]
        data: Answer = body["data"]
        return data

    async def pages(self, first: int, **variables: object) -> list[Answer]:
        """Return the edges of all pages of the portfolio, having checked what each says about its place."""
        edges: list[Answer] = []
        after: str | None = None
        totals = set()
        while True:
            connection = (await self.ask(PORTFOLIO, first=first, after=after, **variables))["clients"]
            page, info = connection["edges"], connection["pageInfo"]
            totals.add(connection["totalCount"])
            edges += page
            assert info["hasPreviousPage"] is (after is not None)
            assert info["startCursor"] == (page[0]["cursor"] if page else None)
            assert info["endCursor"] == (page[-1]["cursor"] if page else None)
            if not info["hasNextPage"]:
                assert totals == {len(edges)}
                return edges
            assert len(page) == first
            after = info["endCursor"]


@asynccontextmanager
async def running(settings: Settings, world: World, days: list[date], folder: Path) -> AsyncIterator[Product]:
    """Yield the product on an empty database with the latest tables, loaded and listening."""
    assert settings.database_url is not None
    assert settings.auth_secret is not None
    database = Database(settings.database_url)
    try:
        await load(database, world, days, folder)
        async with database.read() as connection:
            rows = await connection.execute(text("SELECT external_id, id FROM clients"))
            ids = {row.external_id: row.id for row in rows}
    finally:
        await database.close()
    token = issue_token(
        settings.auth_secret,
        subject="oracle",
        role=Role.CLIENT_SUCCESS,
        lifetime=timedelta(hours=1),
        now=datetime.now(UTC),
        issuer=settings.auth_issuer,
        audience=settings.auth_audience,
    )
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(
            transport=httpx2.ASGITransport(app=app),
            base_url="http://oracle",
            headers={"Authorization": f"Bearer {token}"},
        ) as http,
    ):
        yield Product(
            world=world,
            days=days,
            histories=score_days(world, last_moments(days)),
            ids=ids,
            global_ids={external_id: global_id("Client", key) for external_id, key in ids.items()},
            http=http,
        )
