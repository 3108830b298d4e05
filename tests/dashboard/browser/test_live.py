"""The live connection: lost, said so, taken up again, and nothing missing afterwards."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import Locator, Page, Route, expect

from app.auth.tokens import Role
from app.processes import stop_child
from app.runs import service
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.test_alerts import expect_open, number_open, some_client
from tests.dashboard.browser.visits import NARROW, WIDE, Look
from tests.graphql.live import claimed, finish, new_run, raise_alerts

# What the browser says of a server that is not there.
GONE = "ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE"

# A browser without windows hides no tab: the document is told that it is.
HIDE = """(hidden) => {
  Object.defineProperty(document, "hidden", { configurable: true, get: () => hidden });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


class WebServer:
    """The web server of a product, to be stopped and started."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self.stopped = False

    def stop(self, number: signal.Signals) -> None:
        """End it: SIGKILL is a crash, and SIGTERM what an upgrade does."""
        web = [child for child in self._product.started if child.name == "web"][-1]
        stop_child(web, number)
        self.stopped = True

    async def start(self) -> None:
        """Start it again at the same address, and wait until it answers."""
        await self._product.start_web()
        self.stopped = False


@pytest.fixture
async def web(product: Product) -> AsyncIterator[WebServer]:
    """The web server of the shared product, which runs again after the test."""
    server = WebServer(product)
    yield server
    if server.stopped:
        await server.start()


# The longest pause between two attempts of a page to reach the server is 15 seconds.
AGAIN_MS = 30_000


def offline(page: Page) -> Locator:
    """Return where the page says that the connection is lost."""
    return page.get_by_role("status").filter(has_text="Offline, reconnecting")


@pytest.mark.parametrize(("number", "look"), [(signal.SIGKILL, WIDE), (signal.SIGTERM, NARROW)])
async def test_no_alert_is_lost_while_the_server_is_gone(
    product: Product, visit: Open, web: WebServer, number: signal.Signals, look: Look
) -> None:
    before = await number_open(product)
    client, name = await some_client(product)
    person = await visit("/alerts", look=look)
    person.allow(GONE)
    await expect_open(person.page, before)
    await person.live()
    await expect(offline(person.page)).to_have_count(0)
    web.stop(number)
    await expect(offline(person.page)).to_be_visible()
    # What was there stays there.
    await expect_open(person.page, before)
    assert await person.violations() == []
    await raise_alerts(product.database, client, 7)
    await web.start()
    await expect(offline(person.page)).to_have_count(0, timeout=AGAIN_MS)
    await expect_open(person.page, before + 1)
    row = person.page.get_by_role("region", name="Open").get_by_role("listitem").first
    await expect(row).to_contain_text(name)
    await expect(row).to_contain_text("alert 7")
    # And it is live again, not only once.
    await raise_alerts(product.database, client, 8)
    await expect(row).to_contain_text("alert 8")


@pytest.mark.usefixtures("ended_runs")
async def test_a_run_that_ends_while_the_server_is_gone_is_shown_as_it_ended(
    product: Product, visit: Open, web: WebServer
) -> None:
    key, _ = await new_run(product.database)
    claim = await claimed(product.database, key)
    async with product.database.begin() as session:
        await service.start(session, claim, 40)
        await service.advance(session, claim, done=10, position=0)
    admin = await visit("/runs", role=Role.PLATFORM_ADMIN)
    admin.allow(GONE)
    row = admin.page.locator(".run-row").first
    await expect(row.get_by_role("progressbar")).to_have_attribute("aria-valuetext", "10 of 40")
    await admin.live()
    web.stop(signal.SIGKILL)
    await expect(offline(admin.page)).to_be_visible()
    async with product.database.begin() as session:
        await service.advance(session, claim, done=30, position=0)
    await finish(product.database, claim)
    await web.start()
    await expect(row).to_contain_text("Finished", timeout=AGAIN_MS)
    await expect(row).to_contain_text("40 of 40")
    await expect(offline(admin.page)).to_have_count(0)


async def test_a_server_that_is_gone_before_the_page_is_live_is_found_again(
    product: Product, visit: Open, web: WebServer
) -> None:
    before = await number_open(product)
    client, _ = await some_client(product)
    person = await visit("about:blank")
    person.allow(GONE)
    # The live connection's module is the last to be loaded.
    await person.page.route("**/frame-live.js", lambda route: route.abort("connectionrefused"))
    await person.page.goto("/benchmarks")
    await expect(person.page.get_by_text("No live updates")).to_be_visible()
    await raise_alerts(product.database, client, 10)
    await person.page.unroute("**/frame-live.js")
    await person.live()
    await expect(person.page.get_by_text("No live updates")).to_have_count(0)
    badge = person.page.get_by_role("navigation").get_by_role("link", name="Alerts")
    await expect(badge).to_contain_text(str(before + 1))
    await raise_alerts(product.database, client, 11)
    await expect(badge).to_contain_text(str(before + 2))


async def test_a_network_that_is_gone_is_noticed_at_once_and_found_again(product: Product, visit: Open) -> None:
    before = await number_open(product)
    client, _ = await some_client(product)
    person = await visit("/alerts")
    person.allow("ERR_INTERNET_DISCONNECTED")
    await expect_open(person.page, before)
    await person.live()
    await person.page.context.set_offline(True)
    await expect(offline(person.page)).to_be_visible()
    await raise_alerts(product.database, client, 12)
    await person.page.context.set_offline(False)
    await expect(offline(person.page)).to_have_count(0)
    await expect_open(person.page, before + 1)


async def test_what_was_typed_is_kept_until_the_server_takes_it(product: Product, visit: Open, web: WebServer) -> None:
    before = await number_open(product)
    person = await visit("/alerts")
    person.allow(GONE)
    row = person.page.get_by_role("region", name="Open").get_by_role("listitem").first
    await row.get_by_role("button", name="Acknowledge the alert").click()
    await expect(row.get_by_label("Note for your colleagues")).to_be_focused()
    await person.page.keyboard.type("Spoke with their director.")
    web.stop(signal.SIGKILL)
    await row.get_by_role("button", name="Acknowledge alert").click()
    await expect(row.get_by_role("alert")).to_contain_text("The server does not answer.")
    await expect(row.get_by_label("Note for your colleagues")).to_have_value("Spoke with their director.")
    await web.start()
    await expect(offline(person.page)).to_have_count(0, timeout=AGAIN_MS)
    await row.get_by_role("button", name="Acknowledge alert").click()
    await expect_open(person.page, before - 1)
    await expect(person.page.get_by_text("Spoke with their director.")).to_be_visible()


async def test_a_hidden_tab_holds_no_connection_and_catches_up_when_it_is_seen(product: Product, visit: Open) -> None:
    before = await number_open(product)
    client, _ = await some_client(product)
    person = await visit("/alerts")
    await expect_open(person.page, before)
    await person.live()
    async with person.page.expect_event("requestfailed", lambda request: request.url.endswith("/graphql/stream")):
        await person.page.evaluate(HIDE, True)
    await raise_alerts(product.database, client, 9)
    await person.page.evaluate(HIDE, False)
    await expect_open(person.page, before + 1)
    assert len(person.subscribed) == 2


async def test_a_list_that_was_asked_for_before_a_change_is_asked_for_again(product: Product, visit: Open) -> None:
    before = await number_open(product)
    person = await visit("/alerts")
    await expect_open(person.page, before)
    await person.live()
    asked, acknowledged = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        if asked.is_set() or "query Alerts(" not in (route.request.post_data or ""):
            await route.continue_()
            return
        answer = await route.fetch()
        asked.set()
        await acknowledged.wait()
        await route.fulfill(response=answer)

    await person.page.route("**/graphql", hold)
    # The tab is looked at again, and its list asked for; the answer comes after the alert was acknowledged.
    await person.page.evaluate(HIDE, True)
    await person.page.evaluate(HIDE, False)
    await asked.wait()
    row = person.page.get_by_role("region", name="Open").get_by_role("listitem").first
    await row.get_by_role("button", name="Acknowledge the alert").click()
    async with person.page.expect_response(lambda answer: "query Alerts(" in (answer.request.post_data or "")):
        async with person.page.expect_response(lambda answer: "Acknowledge" in (answer.request.post_data or "")):
            await row.get_by_role("button", name="Acknowledge alert").click()
        acknowledged.set()
    await expect_open(person.page, before - 1)


async def test_a_tab_whose_session_has_ended_leads_to_the_sign_in(product: Product, visit: Open) -> None:
    person = await visit(await product.sign_in_address(Role.CLIENT_SUCCESS), role=None)
    person.allow("status 401|the server responded with a status of 401")
    await expect(person.page.locator("article.client")).to_have_count(50)
    await person.page.get_by_role("navigation").get_by_role("link", name="Alerts").click()
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("Alerts")
    # Signed out in another tab. The live connection may find out before the click does, and lead the way by itself.
    await person.page.evaluate(
        "void fetch('/session', {method: 'DELETE'})"
        ".then(() => document.querySelector('nav a[href=\"/benchmarks\"]').click())"
    )
    await expect(person.page).to_have_url(f"{product.url}/sign-in")
