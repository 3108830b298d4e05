"""The benchmarks as somebody uses them who wants to know where a client stands, compared with what the API answers."""

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import orjson
import pytest
from playwright.async_api import Browser, Locator, Page, Route, expect
from sqlalchemy import text

from app.auth.tokens import Role
from app.embedded import Servers
from app.graphql.pagination import global_id, key_of
from tests.conftest import own_database
from tests.dashboard.browser.clients import Client, day, everybody, section, table
from tests.dashboard.browser.conftest import Open, Visits
from tests.dashboard.browser.product import Product, running_product
from tests.dashboard.browser.visits import NARROW, WIDE, Look

BENCHMARKS = """
query ($size: ClientSize, $industry: Industry, $clientId: ID) {
  benchmarks(size: $size, industry: $industry, clientId: $clientId) {
    peerCount available unavailableReason asOf
    metrics { label unit lowerIsBetter peerCount p25 median p75 clientValue clientPercentile }
  }
}
"""
FIGURES = ("p25", "median", "p75", "clientValue", "clientPercentile")
SIZES = {"ENTERPRISE": "Enterprise", "MIDMARKET": "Mid-market", "SMB": "SMB"}
INDUSTRIES = {
    "FINANCIAL": "Financial",
    "HEALTHCARE": "Health care",
    "TECHNOLOGY": "Technology",
    "MANUFACTURING": "Manufacturing",
    "OTHER": "Other",
}


async def group(product: Product, client: Client | None = None, **condition: str) -> dict[str, Any]:
    """Return the benchmarks as the API answers them."""
    variables = condition | ({} if client is None else {"clientId": client["id"]})
    found: dict[str, Any] = (await product.data(BENCHMARKS, **variables))["benchmarks"]
    return found


async def someone(product: Product) -> Client:
    """Return a client in the middle of the portfolio."""
    return (await everybody(product))[45]


def picker(page: Page) -> Locator:
    """Return the field in which a client is chosen."""
    return page.get_by_role("combobox", name="Client")


def written(value: float, unit: str) -> str:
    """Return a value as the page writes it."""
    number = f"{value:.1f}".removesuffix(".0")
    return f"{number} {'day' if unit == 'days' and value == 1 else unit}"


async def expect_metrics(page: Page, found: dict[str, Any], client: Client | None) -> None:
    """Compare every figure of the four metrics, in words and on the scales."""
    assert len(found["metrics"]) == 4
    for metric in found["metrics"]:
        shown = section(page, metric["label"])
        unit, peers = metric["unit"], f"{metric['peerCount']} peers"
        await expect(shown).to_contain_text("Lower is better" if metric["lowerIsBetter"] else "Higher is better")
        marks = [("25th percentile", metric["p25"]), ("Median", metric["median"]), ("75th percentile", metric["p75"])]
        if client is None:
            await expect(shown).to_contain_text(f"{written(metric['median'], unit)} median of {peers}")
        elif metric["clientValue"] is None:
            await expect(shown).to_contain_text("No value")
        else:
            value, percentile = written(metric["clientValue"], unit), metric["clientPercentile"]
            await expect(shown).to_contain_text(f"{value} better than {percentile} % of {peers}")
            marks.append((client["name"], metric["clientValue"]))
        # From the worse to the better, as the scale has it from left to right.
        marks.sort(key=lambda mark: mark[1], reverse=metric["lowerIsBetter"])
        read = await table(page, metric["label"])
        assert sorted(read) == sorted([name, written(value, unit)] for name, value in marks)
        assert [value for _, value in read] == [written(value, unit) for _, value in marks]


async def test_every_figure_is_the_api_s(product: Product, visit: Open, look: Look) -> None:
    client = await someone(product)
    found = await group(product, client, size=client["size"])
    person = await visit(f"/benchmarks?client={client['id']}&size={client['size'].lower()}", look=look)
    page = person.page
    await expect(picker(page)).to_have_value(client["name"])
    await expect(page.get_by_role("main")).to_contain_text(
        f"{found['peerCount']} peers · {SIZES[client['size']]} · any industry · scored up to {day(found['asOf'])}"
    )
    await expect(page.get_by_text(f"{client['name']} itself is not counted.")).to_be_visible()
    await expect_metrics(page, found, client)
    assert len(person.asked) == 1


async def test_a_group_without_a_client_shows_its_medians(product: Product, visit: Open) -> None:
    page = (await visit("/benchmarks")).page
    await expect(section(page, "Feature adoption")).to_be_visible()
    await expect_metrics(page, await group(product), None)


async def test_better_is_to_the_right_also_where_lower_is_better(product: Product, visit: Open, look: Look) -> None:
    page = (await visit("/benchmarks", look=look)).page
    for metric in (await group(product))["metrics"]:
        marks = section(page, metric["label"]).locator(".mark > line")
        await expect(marks).to_have_count(3)
        places = {
            name: float(await section(page, metric["label"]).locator(f".mark.{name} > line").get_attribute("x1") or 0)
            for name in ("p25", "median", "p75")
        }
        order = ["p75", "median", "p25"] if metric["lowerIsBetter"] else ["p25", "median", "p75"]
        assert sorted(places, key=places.__getitem__) == order


async def test_the_marks_are_walked_by_keyboard(product: Product, visit: Open) -> None:
    client = await someone(product)
    page = (await visit(f"/benchmarks?client={client['id']}")).page
    scale = page.get_by_role("slider", name="Feature adoption")
    await scale.focus()
    await scale.press("Home")
    rows = await table(page, "Feature adoption")
    for name, value in rows:
        await expect(scale).to_have_attribute("aria-valuetext", f"{name}: {value}")
        await expect(page.locator(".chart-tooltip")).to_have_text(f"{value} {name}")
        await scale.press("ArrowRight")


async def test_filters_live_in_the_address_and_back_takes_them_back(product: Product, visit: Open) -> None:
    client = await someone(product)
    page = (await visit(f"/benchmarks?client={client['id']}")).page
    await page.get_by_label("Size of peers").select_option(label="Enterprise")
    await page.get_by_label("Industry of peers").select_option(label="Other")
    address = f"{product.url}/benchmarks?client={client['id']}&size=enterprise&industry=other"
    await expect(page).to_have_url(address)
    found = await group(product, client, size="ENTERPRISE", industry="OTHER")
    await expect(page.get_by_text(f"{found['peerCount']} peers", exact=True)).to_be_visible()
    await expect_metrics(page, found, client)
    colleague = (await visit(address.removeprefix(product.url))).page
    await expect(colleague.get_by_label("Industry of peers")).to_have_value("OTHER")
    await expect(picker(colleague)).to_have_value(client["name"])
    await expect_metrics(colleague, found, client)
    await page.go_back()
    await expect(page).to_have_url(re.compile("size=enterprise$"))
    await page.go_back()
    await expect(page.get_by_label("Size of peers")).to_have_value("")
    await expect_metrics(page, await group(product, client), client)


async def test_a_client_is_chosen_by_typing_and_arrows(product: Product, visit: Open, look: Look) -> None:
    query = """query ($search: String) {
      clients(filter: { search: $search }, orderBy: { field: NAME, direction: ASC }, first: 8) {
        totalCount edges { node { id name } } } }"""
    data = (await product.data(query, search="bank"))["clients"]
    names = [edge["node"]["name"] for edge in data["edges"]]
    person = await visit("/benchmarks", look=look)
    page, field = person.page, picker(person.page)
    await expect(field).to_have_attribute("aria-expanded", "false")
    person.asked.clear()
    await field.focus()
    async with person.typing():
        await field.press_sequentially("bank", delay=40)
    options = page.get_by_role("listbox", name="Clients").get_by_role("option")
    await expect(options).to_have_text([re.compile(f"^{re.escape(name)}") for name in names])
    await expect(field).to_have_attribute("aria-expanded", "true")
    searches = [one["variables"]["search"] for one in person.asked]
    # The list opens with the first letter; nothing is asked for the letters in between.
    assert searches in (["", "bank"], ["bank"])
    await field.press("ArrowDown")
    await field.press("ArrowDown")
    await field.press("ArrowUp")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    active = await field.get_attribute("aria-activedescendant")
    assert active == await options.first.get_attribute("id")
    await expect(field).to_be_focused()
    assert await person.violations() == []
    await field.press("Enter")
    chosen = data["edges"][0]["node"]
    await expect(page).to_have_url(f"{product.url}/benchmarks?client={chosen['id']}")
    await expect(field).to_have_value(chosen["name"])
    await expect(field).to_have_attribute("aria-expanded", "false")
    await expect(page.get_by_text(f"{chosen['name']} itself is not counted.")).to_be_visible()
    await expect_metrics(page, await group(product, chosen), chosen)


async def test_the_picker_can_be_left_and_emptied(product: Product, visit: Open) -> None:
    client = await someone(product)
    person = await visit(f"/benchmarks?client={client['id']}")
    page, field = person.page, picker(person.page)
    await expect(field).to_have_value(client["name"])
    await field.fill("nobody is called so")
    await expect(page.get_by_text("No client's name contains “nobody is called so”.")).to_be_visible()
    assert await person.violations() == []
    await field.press("Escape")
    await expect(field).to_have_value(client["name"])
    await expect(page.get_by_role("listbox", name="Clients")).to_have_count(0)
    await field.fill("something else")
    await page.get_by_label("Size of peers").focus()
    await expect(field).to_have_value(client["name"])
    await page.get_by_role("button", name="Compare no client").click()
    await expect(page).to_have_url(f"{product.url}/benchmarks")
    await expect(field).to_have_value("")
    await expect(field).to_be_focused()


async def test_the_client_s_page_leads_to_its_own_kind(product: Product, visit: Open) -> None:
    client = await someone(product)
    page = (await visit(f"/clients/{client['id']}")).page
    await page.get_by_role("link", name="Compare with peers").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Benchmarks")
    await expect(page).to_have_url(
        f"{product.url}/benchmarks?client={client['id']}"
        f"&size={client['size'].lower()}&industry={client['industry'].lower()}"
    )
    await expect(page.get_by_text(f"· {SIZES[client['size']]} · {INDUSTRIES[client['industry']]} ·")).to_be_visible()
    await page.get_by_role("link", name=client["name"]).click()
    await expect(page).to_have_url(f"{product.url}/clients/{client['id']}")


async def test_a_client_that_does_not_exist_is_told(product: Product, visit: Open) -> None:
    page = (await visit("/benchmarks?client=nonsense&size=smb")).page
    await expect(page.get_by_text("There is no such client")).to_be_visible()
    await page.get_by_role("button", name="Show the group").click()
    await expect(page).to_have_url(f"{product.url}/benchmarks?size=smb")
    await expect(section(page, "Feature adoption")).to_be_visible()


async def test_a_metric_with_too_few_peers_has_no_figure(product: Product, visit: Open) -> None:
    scarce = None
    for size in SIZES:
        for industry in INDUSTRIES:
            found = await group(product, size=size, industry=industry)
            if found["available"] and found["metrics"][0]["peerCount"] < 5:
                scarce = size, industry, found["metrics"][0]
    assert scarce is not None
    size, industry, metric = scarce
    page = (await visit(f"/benchmarks?size={size.lower()}&industry={industry.lower()}")).page
    shown = section(page, metric["label"])
    await expect(shown).to_contain_text("it takes 5 to compare")
    assert set(re.findall(r"\d+", await shown.inner_text())) <= {str(metric["peerCount"]), "5"}
    await expect(shown.locator("svg")).to_have_count(0)


@pytest.fixture
async def lonely(
    chromium: Browser,
    servers: Servers,
    admin: asyncpg.Connection,
    demo_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[tuple[Product, Client]]:
    """The demo portfolio, and a client all but four of whose peers have left."""
    async with own_database(servers, admin, demo_template) as url:
        own = replace(servers, database_url=url, redis_url=servers.redis_url.replace("db=0", "db=3"))
        async with running_product(chromium, own, tmp_path_factory.mktemp("lonely")) as running:
            client = await someone(running)
            peers = text(
                "UPDATE clients SET status = 'CHURNED' WHERE size = :size AND industry = :industry AND id NOT IN ("
                "SELECT id FROM clients WHERE size = :size AND industry = :industry AND score IS NOT NULL "
                "AND status = 'ACTIVE' AND id <> :id ORDER BY id LIMIT 4) AND id <> :id"
            )
            async with running.database.begin() as session:
                values = {key: client[key] for key in ("size", "industry")}
                await session.execute(peers, values | {"id": key_of("id", client["id"], "Client")})
            yield running, client


@pytest.mark.parametrize("look", [WIDE, NARROW], ids=lambda look: f"{look.scheme}-{look.width}")
async def test_under_five_peers_nothing_is_sent_and_nothing_is_shown(
    lonely: tuple[Product, Client], visits: Visits, look: Look
) -> None:
    product, client = lonely
    size, industry = client["size"], client["industry"]
    person = await visits(product, "/benchmarks", role=Role.CLIENT_SUCCESS, look=look)
    page = person.page
    await expect(section(page, "Feature adoption")).to_be_visible()
    address = f"/benchmarks?client={client['id']}&size={size.lower()}&industry={industry.lower()}"
    async with page.expect_response("**/graphql") as answered:
        await page.goto(address)
    found = orjson.loads(await (await answered.value).body())["data"]["benchmarks"]
    assert (found["peerCount"], found["available"], found["asOf"]) == (4, False, None)
    assert all(metric[figure] is None for metric in found["metrics"] for figure in FIGURES)
    notice = section(page, "Too few peers to compare with")
    await expect(notice).to_contain_text(found["unavailableReason"])
    main = page.get_by_role("main")
    assert set(re.findall(r"\d+", await main.inner_text())) == {"4", "5"}
    await expect(main.locator(".chart, table")).to_have_count(0)
    # What would bring some is one step away.
    await notice.get_by_role("button", name=f"Any size in {INDUSTRIES[industry]}").click()
    await expect(page).to_have_url(f"{product.url}/benchmarks?client={client['id']}&industry={industry.lower()}")
    broader = await group(product, client, industry=industry)
    assert broader["available"]
    await expect(page.get_by_text(f"{broader['peerCount']} peers · any size")).to_be_visible()
    await expect_metrics(page, broader, client)
    await page.go_back()
    await expect(notice).to_be_visible()
    await notice.get_by_role("button", name="All clients").click()
    await expect(page).to_have_url(f"{product.url}/benchmarks?client={client['id']}")
    await expect_metrics(page, await group(product, client), client)


async def test_a_peer_that_has_left_keeps_its_page_and_is_not_recalculated(
    lonely: tuple[Product, Client], visits: Visits
) -> None:
    product, _ = lonely
    async with product.database.begin() as session:
        found = await session.execute(text("SELECT id, name FROM clients WHERE status = 'CHURNED' AND score > 0"))
        id_, name = found.first() or (0, "")
    page = (await visits(product, f"/clients/{global_id('Client', id_)}", look=WIDE)).page
    await expect(page.get_by_role("heading", level=1)).to_have_text(name)
    await expect(page.get_by_text("Churned", exact=True)).to_be_visible()
    await expect(page.locator(".chart .line")).to_be_visible()
    await expect(page.get_by_role("button", name="Recalculate")).to_have_count(0)


async def test_the_name_stands_in_the_picker_while_one_client_is_exchanged_for_another(
    product: Product, visit: Open
) -> None:
    client = await someone(product)
    person = await visit(f"/benchmarks?client={client['id']}")
    page, field = person.page, picker(person.page)
    await expect(field).to_have_value(client["name"])
    asked, looked = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        if "query Benchmarks(" in (route.request.post_data or ""):
            asked.set()
            await looked.wait()
        await route.continue_()

    await page.route("**/graphql", hold)
    await field.click()
    option = page.get_by_role("listbox", name="Clients").get_by_role("option").first
    name = await option.locator("span").first.inner_text()
    assert name != client["name"]
    await option.click()
    await asked.wait()
    await expect(field).to_have_value(name)
    looked.set()
    await expect(page.get_by_text(f"{name} itself is not counted.")).to_be_visible()
    await expect(field).to_have_value(name)
