"""The real product with the demo portfolio, and a real browser before it.

The web server and the worker are processes as in production, on the run's embedded servers; everybody who visits has
signed in through a one-time address. The tests of a file share one product: a test that looks for a number asks the API
for it, and does not know it beforehand. Tests that need another portfolio start a product of their own.
"""

import os
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import pytest
import redis
from playwright.async_api import Browser, Playwright, async_playwright, expect

from app.auth.tokens import Role
from app.database import Database
from app.demo.service import load_if_empty
from app.embedded import Servers
from tests.conftest import own_database, url_of
from tests.dashboard.browser.product import Product, running_product
from tests.dashboard.browser.visits import LOOKS, PATIENCE_MS, REPORT_VIOLATIONS, WIDE, Look, Visit
from tests.graphql.live import change

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = "there is no browser: install Debian's package chromium, or run .venv/bin/playwright install chromium"
# Enough for a full window of every client, its trend and a line of a month.
HISTORY_DAYS = 30

# Opens a window on the shared product: `await visit("/alerts", role=Role.PLATFORM_ADMIN, look=look)`.
Open = Callable[..., Awaitable[Visit]]
# The same on any product: `await visits(product, "/alerts")`.
Visits = Callable[..., Awaitable[Visit]]


@pytest.fixture(scope="session")
async def playwright() -> AsyncIterator[Playwright]:
    """The driver of the browser."""
    expect.set_options(timeout=PATIENCE_MS)
    async with async_playwright() as driver:
        yield driver


@pytest.fixture(scope="session")
async def chromium(playwright: Playwright) -> AsyncIterator[Browser]:
    """A real browser without a window: the machine's, or else Playwright's own."""
    browser = await playwright.chromium.launch(executable_path=browser_path(playwright))
    yield browser
    await browser.close()


def browser_path(playwright: Playwright) -> str:
    """Return the program to run; without one the test is skipped, or fails where everything has to be tested."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None) or playwright.chromium.executable_path
    if Path(found).exists():
        return found
    if os.environ.get("CI"):
        pytest.fail(NO_BROWSER)
    pytest.skip(NO_BROWSER)


@pytest.fixture(scope="session")
async def demo_template(servers: Servers, admin: asyncpg.Connection, template: str) -> str:
    """The name of a database with the demo portfolio."""
    name = "template_demo"
    await admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
    database = Database(url_of(servers, name), pool_size=4)
    await load_if_empty(
        database, now=datetime.now(UTC), history_days=HISTORY_DAYS, progress=lambda _step, _done, _total: None
    )
    await database.close()
    return name


@pytest.fixture(scope="module")
async def product(
    chromium: Browser,
    servers: Servers,
    admin: asyncpg.Connection,
    demo_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Product]:
    """The product with the demo portfolio and a worker, which the tests of a file share."""
    async with own_database(servers, admin, demo_template) as url:
        own = with_databases(servers, url, 1)
        async with running_product(chromium, own, tmp_path_factory.mktemp("product")) as running:
            running.start("worker")
            yield running


@pytest.fixture(scope="module")
async def empty_product(
    chromium: Browser,
    servers: Servers,
    admin: asyncpg.Connection,
    template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Product]:
    """The product on the day of its installation, without a single client."""
    async with own_database(servers, admin, template) as url:
        own = with_databases(servers, url, 2)
        async with running_product(chromium, own, tmp_path_factory.mktemp("empty")) as running:
            yield running


def with_databases(servers: Servers, url: str, number: int) -> Servers:
    """Return the servers with the PostgreSQL database at `url`, and the Valkey database of this number, emptied."""
    own = replace(servers, database_url=url, redis_url=servers.redis_url.replace("db=0", f"db={number}"))
    with redis.Redis.from_url(own.redis_url) as client:
        client.flushdb()
    return own


@pytest.fixture
async def visits(chromium: Browser) -> AsyncIterator[Visits]:
    """Opens windows on any product; at the test's end every one of them is looked through."""
    async with opened(chromium) as visit:
        yield visit


@pytest.fixture
def visit(visits: Visits, product: Product) -> Open:
    """Opens a window on the shared product: `await visit("/alerts", look=look)`."""

    async def open_page(path: str = "/", *, role: Role | None = Role.CLIENT_SUCCESS, look: Look = WIDE) -> Visit:
        return await visits(product, path, role=role, look=look)

    return open_page


@asynccontextmanager
async def opened(chromium: Browser) -> AsyncIterator[Visits]:
    """Yield what opens a window for a person, signed in unless the role is None, and check all of them at the end."""
    everybody: list[Visit] = []

    async def visit(
        product: Product, path: str = "/", *, role: Role | None = Role.CLIENT_SUCCESS, look: Look = WIDE
    ) -> Visit:
        context = await chromium.new_context(
            base_url=product.url,
            storage_state=None if role is None else await product.signed_in(role),
            color_scheme="dark" if look.scheme == "dark" else "light",
            viewport={"width": look.width, "height": look.height},
            locale="en-GB",
            timezone_id="Europe/Berlin",
        )
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(REPORT_VIOLATIONS)
        page = await context.new_page()
        arrived = Visit(context, page)
        everybody.append(arrived)
        await page.goto(path)
        return arrived

    try:
        yield visit
        for one in everybody:
            await one.end()
    finally:
        for one in everybody:
            await one.page.context.close()


@pytest.fixture
async def ended_runs(product: Product) -> AsyncIterator[None]:
    """End the runs that a test has begun by hand and left unfinished when it failed: others would wait for them."""
    yield
    await change(
        product.database,
        "UPDATE runs SET status = 'FAILED', finished_at = now(), reason = 'left over' "
        "WHERE status IN ('QUEUED', 'RUNNING')",
    )


@pytest.fixture(params=LOOKS, ids=lambda look: f"{look.scheme}-{look.width}")
def look(request: pytest.FixtureRequest) -> Look:
    """Light and wide, then dark and narrow."""
    found: Look = request.param
    return found
