"""The portfolio as a customer success manager uses it, compared with what the API answers."""

import asyncio
import contextlib
import re
from typing import Any

import pytest
from playwright.async_api import Page, expect
from playwright.async_api import TimeoutError as NotYet

from app.auth.tokens import Role
from tests.dashboard.browser.conftest import Open, Visits
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.visits import PATIENCE_MS, WIDE, Look

Card = dict[str, Any]

CLIENTS = """
query Clients($filter: ClientFilter, $orderBy: ClientOrder) {
  clients(filter: $filter, orderBy: $orderBy, first: 100) {
    totalCount
    edges { node { id name owner alertsEnabled health { score trafficLight trendDelta coverage } } }
  }
}
"""
SUMMARY = "{ portfolioSummary { total green amber red unscored } }"
WORST_FIRST = {"field": "SCORE", "direction": "ASC"}

# What a person reads on the cards that are on the page.
READ_CARDS = """
(cards) => cards.map((card) => ({
  name: card.querySelector("h3").textContent,
  score: card.querySelector(".score").getAttribute("aria-label"),
  light: card.querySelector(".light").textContent,
  trend: card.querySelector(".trend .hidden")?.textContent ?? "",
  alerts: card.querySelector(".bell").getAttribute("aria-pressed") === "true",
}))
"""
MINUS = "\N{MINUS SIGN}"
WORDS = {"GREEN": "Healthy", "AMBER": "At risk", "RED": "Critical", None: "Not scored"}


async def listed(product: Product, order: dict[str, str] = WORST_FIRST, **condition: Any) -> list[Card]:
    """Return the first clients of a list as the API answers them, 100 at most."""
    edges = (await product.data(CLIENTS, filter=condition, orderBy=order))["clients"]["edges"]
    return [edge["node"] for edge in edges]


def as_read(client: Card) -> Card:
    """Return what the card of a client has to say."""
    health = client["health"]
    score, delta = health["score"], health["trendDelta"]
    light = WORDS[health["trafficLight"]]
    return {
        "name": client["name"],
        "score": "Not scored" if score is None else f"Score {score} of 100, {light}",
        "light": light,
        "points": None if delta is None else delta,
        "alerts": client["alertsEnabled"],
    }


async def read_cards(page: Page) -> list[Card]:
    """Return what stands on the cards that are rendered."""
    read: list[Card] = await page.locator("article.client").evaluate_all(READ_CARDS)
    for card in read:
        points = re.search(rf"([+{MINUS}]?\d+) points", card.pop("trend"))
        card["points"] = None if points is None else int(points[1].replace(MINUS, "-"))
    return read


async def expect_clients(page: Page, clients: list[Card]) -> None:
    """Wait until the list begins with these clients, and not another before them."""
    names = [client["name"] for client in clients]
    await expect(page.locator("article.client h3")).to_have_text(names)


async def test_the_tiles_count_as_the_api_does_and_choose_whom_the_list_shows(
    product: Product, visit: Open, look: Look
) -> None:
    counts = (await product.data(SUMMARY))["portfolioSummary"]
    page = (await visit("/", look=look)).page
    tiles = page.get_by_role("group", name="Show clients by their light")
    for name, field in (("All clients", "total"), ("Healthy", "green"), ("At risk", "amber"), ("Critical", "red")):
        await expect(tiles.get_by_role("button", name=re.compile(rf"^{name} {counts[field]} "))).to_be_visible()
    await expect(tiles.get_by_text("Not scored")).to_be_visible()
    await expect(tiles.locator(".tile-none")).to_contain_text(str(counts["unscored"]))
    await tiles.get_by_role("button", name="Critical").click()
    await expect(page).to_have_url(re.compile(r"\?light=red$"))
    critical = await listed(product, trafficLight=["RED"])
    assert len(critical) == counts["red"]
    await expect_clients(page, critical)
    await expect(tiles.get_by_role("button", name="Critical")).to_have_attribute("aria-pressed", "true")
    # The tiles go on counting everybody: the filter's own light is not one of their conditions.
    await expect(tiles.get_by_role("button", name=re.compile(rf"^Healthy {counts['green']} "))).to_be_visible()
    await page.go_back()
    await expect(page.get_by_text(f"{counts['total']} clients")).to_be_visible()


async def test_the_cards_show_what_the_api_says(product: Product, visit: Open, look: Look) -> None:
    page = (await visit("/", look=look)).page
    clients = (await listed(product))[:50]
    await expect_clients(page, clients)
    assert await read_cards(page) == [as_read(client) for client in clients]


async def test_unscored_clients_say_so_and_why(product: Product, visit: Open, look: Look) -> None:
    everybody = await listed(product, {"field": "NAME", "direction": "ASC"})
    unscored = next(client for client in everybody if client["health"]["score"] is None)
    page = (await visit(f"/?q={unscored['name']}", look=look)).page
    card = page.get_by_role("article", name=unscored["name"])
    await expect(card).to_contain_text("Not scored")
    await expect(card).to_contain_text(f"{unscored['health']['coverage']} % measured")
    assert not re.search("Critical|risk|Healthy", await card.inner_text())
    await card.get_by_role("button", name="Components of").click()
    await expect(card).to_contain_text("a score takes at least 50 %")


async def test_a_view_is_an_address_that_a_colleague_can_open(product: Product, visit: Open) -> None:
    page = (await visit()).page
    filters = page.get_by_role("search")
    await filters.locator("summary", has_text="Size").click()
    await filters.get_by_label("Enterprise").check()
    await filters.get_by_label("Mid-market").check()
    await page.keyboard.press("Escape")
    await filters.locator("summary", has_text="Industry").click()
    await filters.get_by_label("Technology").check()
    await filters.get_by_label("Alerts", exact=True).select_option("on")
    await page.get_by_label("Sort by").select_option("name")
    await expect(page).to_have_url(re.compile(r"\?size=enterprise,midmarket&industry=technology&alerts=on&sort=name$"))
    found = await listed(
        product,
        {"field": "NAME", "direction": "ASC"},
        size=["ENTERPRISE", "MIDMARKET"],
        industry=["TECHNOLOGY"],
        alertsEnabled=True,
    )
    assert found
    await expect_clients(page, found)
    await expect(page.get_by_text(f"{len(found)} clients found")).to_be_visible()
    colleague = (await visit(page.url.removeprefix(product.url))).page
    await expect_clients(colleague, found)
    await expect(colleague.get_by_label("Sort by")).to_have_value("name")
    # Each step back takes one choice back.
    await page.go_back()
    await expect(page).to_have_url(re.compile("alerts=on$"))
    for _ in range(4):
        await page.go_back()
    await expect(page).to_have_url(f"{product.url}/")
    await expect_clients(page, (await listed(product))[:50])


async def test_owner_risk_and_trend_filter_as_the_api_does(product: Product, visit: Open) -> None:
    clients = await listed(product)
    owner = next(client["owner"] for client in clients if client["owner"])
    page = (await visit(f"/?risk=high,medium&trend=declining&owner={owner}")).page
    await expect_clients(page, await listed(product, riskLevel=["HIGH", "MEDIUM"], trend=["DECLINING"], owner=owner))
    await page.get_by_role("button", name="Clear filters").first.click()
    await expect(page).to_have_url(f"{product.url}/")


async def test_typing_asks_once_it_rests_and_finds_any_part_of_a_name(product: Product, visit: Open) -> None:
    person = await visit()
    await expect(person.page.locator("article.client")).to_have_count(50)
    person.asked.clear()
    async with person.typing():
        await person.page.get_by_role("searchbox").press_sequentially("tech", delay=40)
    found = await listed(product, search="tech")
    await expect_clients(person.page, found)
    assert [one["variables"]["filter"].get("search") for one in person.asked] == ["tech"]
    await expect(person.page).to_have_url(re.compile(r"\?q=tech$"))
    await person.page.get_by_role("searchbox").fill("nobody is called so")
    await expect(person.page.get_by_text("No client matches")).to_be_visible()
    await person.page.get_by_role("button", name="Clear filters").first.click()
    await expect(person.page.get_by_role("searchbox")).to_have_value("")
    await expect(person.page.locator("article.client")).to_have_count(50)


async def test_every_order_is_the_api_s(product: Product, visit: Open) -> None:
    fields = {
        "score": "SCORE",
        "trend": "TREND",
        "activity": "LAST_ACTIVITY",
        "renewal": "RENEWAL_DATE",
        "name": "NAME",
    }
    page = (await visit()).page
    for name, field in fields.items():
        for value, direction in ((name, "ASC"), (f"{name}-desc", "DESC")):
            await page.get_by_label("Sort by").select_option(value)
            await expect_clients(page, (await listed(product, {"field": field, "direction": direction}))[:50])


async def test_unfolding_shows_the_five_components_with_their_reasons(
    product: Product, visit: Open, look: Look
) -> None:
    worst = (await listed(product))[0]
    query = "query ($id: ID!) { client(id: $id) { health { components { label weight score explanation } } } }"
    components = (await product.data(query, id=worst["id"]))["client"]["health"]["components"]
    assert len(components) == 5
    person = await visit(look=look)
    card = person.page.get_by_role("article", name=worst["name"])
    await card.get_by_role("button", name="Components of").click()
    rows = card.get_by_role("listitem")
    await expect(rows).to_have_count(5)
    for row, component in zip(await rows.all(), components, strict=True):
        score = "Not measured" if component["score"] is None else str(component["score"])
        for words in (component["label"], f"{component['weight']} %", score, component["explanation"]):
            await expect(row).to_contain_text(words)
    await card.get_by_role("button", name="Components of").click()
    await expect(rows).to_have_count(0)


async def to_the_end(page: Page, position: int) -> None:
    """Press End until the client at this position of the list is there: cards that come stop a scroll on its way."""
    card = page.locator(f'article[aria-posinset="{position}"]')
    async with asyncio.timeout(PATIENCE_MS / 1000):
        while await card.count() == 0:
            await page.keyboard.press("End")
            with contextlib.suppress(NotYet):
                await card.wait_for(state="attached", timeout=1_000)


async def test_scrolling_goes_on_to_the_last_client_and_meets_each_once(product: Product, visit: Open) -> None:
    person = await visit("/?sort=name")
    total = (await product.data(SUMMARY))["portfolioSummary"]["total"]
    seen: dict[int, str] = {}
    read = """(cards) => cards.map((one) => [Number(one.ariaPosInSet), one.querySelector("h3").textContent])"""
    while len(seen) < total:
        await to_the_end(person.page, min(len(seen) + 50, total))
        seen |= dict(await person.page.locator("article.client").evaluate_all(read))
    assert sorted(seen) == list(range(1, total + 1))
    names = [client["name"] for client in await listed(product, {"field": "NAME", "direction": "ASC"})]
    assert [seen[place] for place in range(1, 101)] == names
    assert len(person.asked) == 3  # Of 144 clients, 50 at a time.
    await expect(person.page.get_by_role("button", name="Show more clients")).to_have_count(0)


async def test_the_bell_switches_the_alerts_of_a_client(product: Product, visit: Open, look: Look) -> None:
    client = (await listed(product))[3]
    page = (await visit(look=look)).page
    bell = page.get_by_role("button", name=f"Alerts of {client['name']}")
    for wanted in (not client["alertsEnabled"], client["alertsEnabled"]):
        await bell.click()
        await expect(bell).to_have_attribute("aria-pressed", str(wanted).lower())
        # It turns at once, and is busy until the server has agreed.
        await expect(bell).not_to_have_attribute("aria-busy", "true")
        assert (await listed(product))[3] == client | {"alertsEnabled": wanted}


async def test_back_from_a_client_leads_to_the_same_place_in_the_list(visit: Open) -> None:
    person = await visit("/?sort=name")
    card = person.page.locator("article.client").nth(30)
    await card.scroll_into_view_if_needed()
    name = await card.locator("h3").text_content() or ""
    await card.get_by_role("link", name=name).click()
    await expect(person.page.get_by_role("heading", level=1)).to_contain_text(name)
    person.asked.clear()
    await person.page.go_back()
    await expect(person.page.get_by_role("article", name=name)).to_be_in_viewport()
    assert person.asked == []


async def test_the_page_of_a_client_is_there_before_the_click(visit: Open) -> None:
    person = await visit("/")
    page = person.page
    await person.live()
    parts = ["client.js", "client-usage.js", "client-lists.css", "charts.css", "bars.js"]
    await page.wait_for_function(
        """(parts) => parts.every((part) =>
          performance.getEntriesByType("resource").some(({ name }) => name.endsWith(`/${part}`)))""",
        arg=parts,
    )
    fetched = "performance.getEntriesByType('resource').filter(({ name }) => /[.](js|css)$/.test(name)).length"
    before = await page.evaluate(fetched)
    card = page.locator("article.client").first
    name = await card.locator("h3").text_content() or ""
    await card.get_by_role("link", name=name).click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(name)
    assert await page.evaluate(fetched) == before


async def test_an_error_says_what_to_do_and_can_be_tried_again(visit: Open) -> None:
    person = await visit("/alerts")
    person.allow("ERR_CONNECTION_REFUSED")
    await person.page.route("**/graphql", lambda route: route.abort("connectionrefused"))
    await person.page.get_by_role("navigation").get_by_role("link", name="Portfolio").click()
    await expect(person.page.get_by_role("alert")).to_contain_text("The server does not answer.")
    await person.page.unroute("**/graphql")
    await person.page.get_by_role("button", name="Try again").click()
    await expect(person.page.locator("article.client")).to_have_count(50)
    await expect(person.page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("path", ["/", "/alerts", "/runs", "/benchmarks"])
async def test_the_first_morning_says_how_to_begin(empty_product: Product, visits: Visits, path: str) -> None:
    person = await visits(empty_product, path, role=Role.PLATFORM_ADMIN, look=WIDE)
    await expect(person.page.get_by_role("heading", level=1)).to_be_visible()
    words = {"/": "run import path/to/folder", "/alerts": "No alert is open.", "/runs": "Nothing has run yet."}
    if path in words:
        await expect(person.page.get_by_text(words[path])).to_be_visible()
    await expect(person.page.get_by_text("Loading")).to_have_count(0)
