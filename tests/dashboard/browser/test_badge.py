"""The number of open alerts in the navigation: right on every page, whenever an alert was raised."""

import asyncio
from datetime import UTC, datetime, timedelta

from playwright.async_api import Locator, Page, Route, expect

from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.test_alerts import number_open, some_client
from tests.dashboard.browser.test_live import HIDE
from tests.factories import add_rows
from tests.graphql.live import alert_row, change, raise_alerts


def badge(page: Page) -> Locator:
    """Return the number beside the page of alerts."""
    return page.get_by_role("navigation").get_by_role("link", name="Alerts").locator(".badge")


def told(page: Page, message: str) -> Locator:
    """Return the notice of an alert."""
    return page.get_by_role("status").get_by_text(message, exact=True)


async def expect_badge(page: Page, number: int) -> None:
    """Wait until so many alerts are open."""
    await expect(badge(page)).to_have_text(f"{number} open")


async def test_an_alert_that_an_answer_has_counted_is_not_counted_again(product: Product, visit: Open) -> None:
    before = await number_open(product)
    client, _ = await some_client(product)
    # Written so long ago that nobody is told of it, until it is written anew below.
    row = alert_row(client, 1) | {"created_at": datetime.now(UTC) - timedelta(hours=1)}
    [key] = await add_rows(product.database, "alerts", [row])
    person = await visit("/benchmarks")
    await expect_badge(person.page, before + 1)
    await person.live()
    await change(product.database, "UPDATE alerts SET created_at = clock_timestamp() WHERE id = :id", id=key)
    await expect(told(person.page, "alert 1")).to_be_visible()
    await raise_alerts(product.database, client, 2)
    await expect(told(person.page, "alert 2")).to_be_visible()
    await expect_badge(person.page, before + 2)


async def test_a_page_that_was_kept_from_before_an_alert_is_asked_for_again(product: Product, visit: Open) -> None:
    before = await number_open(product)
    client, _ = await some_client(product)
    person = await visit("/")
    await expect_badge(person.page, before)
    await person.live()
    await person.page.get_by_role("navigation").get_by_role("link", name="Benchmarks").click()
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("Benchmarks")
    await raise_alerts(product.database, client, 3)
    await expect_badge(person.page, before + 1)
    async with person.page.expect_response(lambda one: "query Portfolio(" in (one.request.post_data or "")):
        await person.page.go_back()
    await expect_badge(person.page, before + 1)


async def test_an_alert_that_is_raised_before_the_page_is_live_is_not_missed(product: Product, visit: Open) -> None:
    before = await number_open(product)
    client, _ = await some_client(product)
    raised = asyncio.Event()

    async def hold(route: Route) -> None:
        await raised.wait()
        await route.continue_()

    person = await visit("about:blank")
    await person.page.route("**/graphql/stream", hold)
    await person.page.goto("/")
    await expect_badge(person.page, before)
    await raise_alerts(product.database, client, 4)
    async with person.page.expect_response(lambda one: "query Portfolio(" in (one.request.post_data or "")):
        raised.set()
    await expect_badge(person.page, before + 1)


async def test_a_tab_that_was_opened_in_the_background_catches_up_when_it_is_seen(
    product: Product, visit: Open
) -> None:
    before = await number_open(product)
    client, _ = await some_client(product)
    person = await visit("about:blank")
    await person.page.add_init_script(f"({HIDE})(true)")
    async with person.page.expect_event("requestfinished", lambda one: one.url.endswith("/live.js")):
        await person.page.goto("/")
    await expect_badge(person.page, before)
    await raise_alerts(product.database, client, 5)
    async with person.page.expect_response(lambda one: "query Portfolio(" in (one.request.post_data or "")):
        await person.page.evaluate(HIDE, False)
    await expect_badge(person.page, before + 1)
