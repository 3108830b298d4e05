"""The web server and the worker as processes, on a database of the tests, and the ways into it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from playwright.async_api import Browser, StorageState, expect

from app.auth.tokens import Role
from app.commands import sign_in_address
from app.database import Database
from app.embedded import Servers
from tests.chaos.service import HOST, Service, end, free_port, token

SUBJECT = "anna@example.com"


@dataclass
class Product(Service):
    """The processes of one product, and a browser to sign in with."""

    browser: Browser = field(kw_only=True)
    # The cookie of each role, once somebody has signed in with it.
    sessions: dict[Role, StorageState] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"http://{HOST}:{self.port}"

    async def data(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data of the answer to a request with a bearer token, which has no errors."""
        answer = await self.ask(query, **variables)
        assert "errors" not in answer, answer
        data: dict[str, Any] = answer["data"]
        return data

    async def sign_in_address(self, role: Role, subject: str = SUBJECT) -> str:
        """Return a one-time address such as `client-health sign-in` prints."""
        return await sign_in_address(self.database, self.url, subject=subject, role=role)

    async def signed_in(self, role: Role) -> StorageState:
        """Return the cookies of somebody who has signed in with a one-time address."""
        if role not in self.sessions:
            context = await self.browser.new_context()
            page = await context.new_page()
            await page.goto(await self.sign_in_address(role))
            await expect(page.get_by_role("heading", level=1)).to_be_visible()
            await page.wait_for_url(f"{self.url}/")
            self.sessions[role] = await context.storage_state()
            await context.close()
        return self.sessions[role]


@asynccontextmanager
async def running_product(browser: Browser, servers: Servers, logs: Path) -> AsyncIterator[Product]:
    """Yield a product whose web server answers; at the end nothing is left of its processes."""
    port = free_port()
    url = f"http://{HOST}:{port}"
    async with httpx2.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {token()}"}, timeout=30) as http:
        database = Database(servers.database_url, pool_size=3)
        product = Product(servers, {"PUBLIC_URL": url}, database, port, http, logs, browser=browser)
        try:
            await product.start_web()
            yield product
        finally:
            for child in product.started:
                end(child)
            await database.close()
