"""Words that come from outside fit everywhere, and those for a length of time are right."""

from datetime import UTC, datetime, timedelta

from playwright.async_api import expect

from app.graphql.pagination import global_id, key_of
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.test_alerts import listed, number_open
from tests.dashboard.browser.test_pages import overflow
from tests.dashboard.browser.visits import NARROW, WIDE, Look
from tests.factories import add_client, add_rows
from tests.graphql.live import alert_row, change, raise_alerts

PHONE = Look("light", NARROW.width)
# What has words beyond its edge, unless they are meant for screen readers alone.
CUT = """(all) => all
  .filter((one) => !one.matches(".hidden") && one.scrollWidth > one.clientWidth + 1)
  .map((one) => one.outerHTML)"""


async def test_a_long_name_without_a_space_fits_the_narrowest_phone(product: Product, visit: Open) -> None:
    name = ("Donaudampfschifffahrt" * 6)[:120]
    client = await add_client(product.database, name, size="SMB", industry="OTHER")
    await raise_alerts(product.database, client, 1)
    id_ = global_id("Client", client)
    paths = [f"/?q={name}", "/alerts", f"/clients/{id_}", f"/benchmarks?client={id_}"]
    for path in paths:
        for look in (PHONE, WIDE):
            page = (await visit(path, look=look)).page
            await expect(page.get_by_text(name).first).to_be_visible()
            assert await overflow(page) == [], (path, look)
            cut = await page.get_by_text(name).evaluate_all(CUT)
            assert cut == [], (path, look)


async def test_a_length_of_time_is_told_by_a_number(product: Product, visit: Open) -> None:
    ages = {"1 day ago": timedelta(hours=45), "1 month ago": timedelta(days=57), "1 year ago": timedelta(days=700)}
    client = await add_client(product.database, "Long ago")
    now = datetime.now(UTC)
    rows = [
        alert_row(client, number) | {"raised_at": now - age, "created_at": now - age, "day": (now - age).date()}
        for number, age in enumerate(ages.values())
    ]
    await add_rows(product.database, "alerts", rows)
    page = (await visit(f"/clients/{global_id('Client', client)}")).page
    items = page.get_by_role("region", name="Alerts").get_by_role("listitem")
    await expect(items.locator("time")).to_have_text(list(ages))


async def test_an_owner_of_any_spelling_leads_to_their_alerts(product: Product, visit: Open) -> None:
    alert = (await listed(product, "OPEN"))[0]
    owner = "anna+west&north@example.com"
    await change(
        product.database,
        "UPDATE clients SET owner = :owner WHERE id = :id",
        owner=owner,
        id=key_of("id", alert["client"]["id"], "Client"),
    )
    own = await listed(product, "OPEN", owner=owner)
    assert 0 < len(own) < await number_open(product)
    page = (await visit("/?owner=anna%2Bwest%26north%40example.com")).page
    await page.locator(".morning").get_by_role("link", name="open").click()
    await expect(page.get_by_label("Owner")).to_have_value(owner)
    await expect(page.get_by_role("region", name="Open").get_by_role("listitem")).to_have_count(len(own))
