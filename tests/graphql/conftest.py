"""The whole application with a small portfolio, asked over HTTP, and what it does to its servers meanwhile."""

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import httpx2
import orjson
import pytest
from sqlalchemy import Engine, event, make_url
from structlog.testing import capture_logs

from app.auth.tokens import Role, issue_token
from app.database import Database
from app.embedded import Servers
from app.main import create_app
from app.settings import Settings
from tests.conftest import TEST_SECRET, own_database, url_of
from tests.graphql.portfolio import load_portfolio

Body = dict[str, Any]
# A row with the transaction that wrote it, so that even a change to the same value shows.
Rows = Mapping[str, list[tuple[str, str]]]

SUBJECT = "anna@example.com"


def token_of(role: Role, *, secret: str = TEST_SECRET, age: timedelta = timedelta(0)) -> str:
    """Return a token of `role` that was issued `age` ago and lives for an hour from then on."""
    return issue_token(
        secret,
        subject=SUBJECT,
        role=role,
        lifetime=timedelta(hours=1),
        now=datetime.now(UTC) - age,
        issuer="client-health",
        audience="client-health",
    )


@dataclass
class Api:
    """A running application.

    `statements` is every SQL statement that it executed, in order, until the list is cleared; COPY and the bounds of
    transactions are not in it.
    """

    http: httpx2.AsyncClient
    settings: Settings
    statements: list[str]

    async def send(self, content: bytes, *, token: str | None, **headers: str) -> tuple[int, Body]:
        """Send any body with the token, or without one, and return the status and the answer."""
        authorization = {} if token is None else {"Authorization": f"Bearer {token}"}
        sent = {"Content-Type": "application/json"} | authorization | headers
        response = await self.http.post("/graphql", content=content, headers=sent)
        body: Body = response.json()
        return response.status_code, body

    async def ask(
        self,
        query: str,
        variables: Mapping[str, Any] | None = None,
        role: Role | None = Role.CLIENT_SUCCESS,
        operation: str | None = None,
    ) -> tuple[int, Body]:
        """Send an operation as somebody of that role, None being nobody, and return the status and the answer."""
        content = orjson.dumps({"query": query, "variables": variables, "operationName": operation})
        return await self.send(content, token=None if role is None else token_of(role))

    async def rows(self) -> Rows:
        """Return all rows of all tables."""
        assert self.settings.database_url is not None
        # A connection of its own, so that it leaves no trace in `statements`.
        connection = await asyncpg.connect(self.settings.database_url)
        try:
            tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
            return {
                name: [tuple(row) for row in await connection.fetch(f"SELECT xmin::text, t::text FROM {name} AS t")]
                for (name,) in tables
            }
        finally:
            await connection.close()


@contextmanager
def recorded_statements(database_url: str) -> Iterator[list[str]]:
    """Yield the list that every SQL statement on this database is appended to."""
    name = make_url(database_url).database
    statements: list[str] = []

    def record(connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        if connection.engine.url.database == name:
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", record)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", record)


@asynccontextmanager
async def running_api(settings: Settings) -> AsyncIterator[Api]:
    """Yield the application while it runs; what it sends to its queue has arrived when this ends."""
    assert settings.database_url is not None
    app = create_app(settings)
    async with (
        app.router.lifespan_context(app),
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="http://api") as http,
    ):
        with recorded_statements(settings.database_url) as statements:
            yield Api(http, settings, statements)


@pytest.fixture(scope="session")
async def portfolio_template(
    servers: Servers, admin: asyncpg.Connection, template: str, tmp_path_factory: pytest.TempPathFactory
) -> str:
    """The name of a database with the portfolio, from which the tests' own are copied."""
    name = "template_portfolio"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    database = Database(url_of(servers, name))
    await load_portfolio(database, tmp_path_factory.mktemp("portfolio"))
    await database.close()
    return name


@pytest.fixture
async def portfolio_settings(
    servers: Servers, admin: asyncpg.Connection, portfolio_template: str, redis_url: str
) -> AsyncIterator[Settings]:
    """Settings for a database with the portfolio, which is the test's own, and for an empty Valkey database."""
    async with own_database(servers, admin, portfolio_template) as url:
        yield Settings(database_url=url, redis_url=redis_url, auth_secret=TEST_SECRET)


@pytest.fixture
async def api(portfolio_settings: Settings) -> AsyncIterator[Api]:
    """The application with the portfolio, which the test may change."""
    async with running_api(portfolio_settings) as running:
        yield running


@pytest.fixture
async def nothing_happens(api: Api) -> AsyncIterator[None]:
    """Check after the test that no row of any table was written, and that nothing had to be logged."""
    before = await api.rows()
    with capture_logs() as logs:
        yield
    assert await api.rows() == before
    assert logs == []
