"""A running web server that rows are sent to, and what becomes of them once somebody imports them."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx2

from app.auth import write_keys
from app.auth.tokens import Role
from app.database import Database
from app.graphql.pagination import key_of
from app.runs.execution import execute
from app.settings import Settings
from tests.graphql.live import HOST, PATIENCE, Web, running_web, token

CSV = {"Content-Type": "text/csv"}
JSONL = {"Content-Type": "application/x-ndjson"}
CLIENTS = "external_id,name\nA,Acme\nB,Beta\n"
# What an import leaves behind, beside the facts.
TRACES = ("uploads", "upload_chunks", "rejected_rows", "runs", "audit_events")


@dataclass
class Imports:
    """A web server with a write key."""

    web: Web
    http: httpx2.AsyncClient
    key: str
    database: Database
    settings: Settings

    async def post(self, name: str, content: Any, **headers: str) -> httpx2.Response:
        """Send rows, which are CSV unless the headers say otherwise, with the key unless they say who sends them."""
        sent = CSV | {header.replace("_", "-"): value for header, value in headers.items()}
        return await self.http.post(f"/v1/import/{name}", content=content, headers=self._signed(sent))

    async def get(self, url: str, **headers: str) -> httpx2.Response:
        """Ask for something, with the key unless the headers say who asks."""
        return await self.http.get(url, headers=self._signed(headers))

    def _signed(self, headers: Mapping[str, str]) -> dict[str, str]:
        return {"Authorization": basic(self.key), **headers}

    async def taken(self, name: str, content: Any, **headers: str) -> Mapping[str, Any]:
        """Send rows that are accepted, and return the answer."""
        answer = await self.post(name, content, **headers)
        assert answer.status_code == 202, answer.text
        body: Mapping[str, Any] = answer.json()
        assert answer.headers["location"] == body["url"]
        return body

    async def carry_out(self, accepted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Carry the run out, as a worker does, and return what has become of the rows."""
        assert await execute(self.database, key_of("id", accepted["runId"], "Run"), self.settings)
        return await self.state(accepted)

    async def state(self, accepted: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what has become of the rows, which an administrator may ask whoever has sent them."""
        answer = await self.get(accepted["url"], Authorization=bearer())
        assert answer.status_code == 200, answer.text
        body: Mapping[str, Any] = answer.json()
        return body

    async def imported(self, name: str, content: Any, **headers: str) -> Mapping[str, Any]:
        """Send rows, have them imported, and return what has become of them."""
        return await self.carry_out(await self.taken(name, content, **headers))

    @asynccontextmanager
    async def worker(self) -> AsyncIterator[None]:
        """Carry out whatever run is accepted within the block."""

        async def work() -> None:
            while True:
                for (run_id,) in await self.rows("SELECT id FROM runs WHERE status = 'QUEUED' ORDER BY id"):
                    await execute(self.database, run_id, self.settings)
                await asyncio.sleep(0.02)

        working = asyncio.create_task(work())
        try:
            yield
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, on a connection of its own."""
        assert self.settings.database_url is not None
        connection = await asyncpg.connect(self.settings.database_url)
        try:
            return [tuple(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def counted(self, *tables: str) -> dict[str, int]:
        """Return how many rows the tables have."""
        return {table: (await self.rows(f"SELECT count(*) FROM {table}"))[0][0] for table in tables}

    async def leaves_nothing(self) -> bool:
        """Return whether no import has left a trace."""
        return not any((await self.counted(*TRACES)).values())

    async def until(self, statement: str, value: object) -> None:
        """Return once a query gives that one value; fails when that takes too long."""
        deadline = time.monotonic() + PATIENCE
        while (found := await self.rows(statement)) != [(value,)]:
            assert time.monotonic() < deadline, found
            await asyncio.sleep(0.02)


def basic(key: str) -> str:
    """Return the header of a key."""
    return f"Basic {base64.b64encode(f'{key}:'.encode()).decode()}"


def bearer(role: Role = Role.PLATFORM_ADMIN) -> str:
    """Return the header of a person of that role."""
    return f"Bearer {token(role=role)}"


def counts(state: Mapping[str, Any]) -> tuple[int, ...]:
    """Return read, new, changed, unchanged and rejected."""
    return tuple(state[name] for name in ("read", "new", "changed", "unchanged", "rejected"))


def error_of(answer: httpx2.Response) -> tuple[int, str]:
    """Return the status and the code of a refusal, which has a sentence, too."""
    body = answer.json()
    assert body.keys() >= {"code", "message"}
    assert body["message"].endswith("."), body
    return answer.status_code, body["code"]


@asynccontextmanager
async def running_imports(settings: Settings, database: Database) -> AsyncIterator[Imports]:
    """Yield a web server on a database, with a new key."""
    async with database.begin() as session:
        key = await write_keys.create(session, "warehouse", datetime.now(UTC))
    async with (
        running_web(settings) as web,
        httpx2.AsyncClient(base_url=f"http://{HOST}:{web.port}", timeout=30, trust_env=False) as http,
    ):
        yield Imports(web, http, key, database, settings)
