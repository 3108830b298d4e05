"""What holds on every page: accessible in light and dark, at every width, by keyboard, and with one request."""

from collections.abc import Mapping

import pytest
from playwright.async_api import Page, expect

from app.auth.tokens import Role
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import SUBJECT, Product
from tests.dashboard.browser.visits import ALL_LOOKS, NARROW, Look, Visit

# Each page by its name, with its address.
PAGES: Mapping[str, str] = {
    "portfolio": "/?light=red",
    "client": "/clients/{id}",
    "benchmarks": "/benchmarks?client={id}",
    "alerts": "/alerts",
    "runs": "/runs",
}
# A television on the wall of the office, at the other end.
HUGE = Look("light", 3840)


async def open_page(product: Product, visit: Open, name: str, look: Look) -> Visit:
    """Open one of the pages as an administrator, who sees all of them, and wait for its data."""
    query = "{ clients(first: 1, filter: {trafficLight: [RED]}) { edges { node { id } } } }"
    client = (await product.data(query))["clients"]["edges"][0]["node"]
    person = await visit(PAGES[name].format(id=client["id"]), role=Role.PLATFORM_ADMIN, look=look)
    await at_rest(person.page)
    return person


async def at_rest(page: Page) -> None:
    """Wait until the page shows its data."""
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.get_by_label(f"Account of {SUBJECT}")).to_be_visible()
    await expect(page.locator(".skeleton, .skeleton-line, [aria-busy=true]")).to_have_count(0)


async def overflow(page: Page) -> list[str]:
    """Return what makes the page scroll sideways."""
    found: list[str] = await page.evaluate("""() => {
      const width = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= width) return [];
      return [...document.querySelectorAll("body *")]
        .filter((one) => one.getBoundingClientRect().right > width)
        .map((one) => `${one.tagName}.${one.className}`);
    }""")
    return found


@pytest.mark.parametrize("name", PAGES)
async def test_a_page_is_accessible_and_fits_in_light_and_dark_at_every_width(
    product: Product, visit: Open, name: str
) -> None:
    person = await open_page(product, visit, name, ALL_LOOKS[0])
    for look in (*ALL_LOOKS, HUGE):
        await person.show(look)
        assert await person.violations() == [], look
        assert await overflow(person.page) == [], look


async def test_the_navigation_shows_every_page_on_the_narrowest_phone(product: Product, visit: Open) -> None:
    person = await open_page(product, visit, "runs", NARROW)
    # Words in full, up to the padding of the last one, which alone may be cut.
    spare: float = await person.page.get_by_role("navigation").evaluate("""(nav) => {
      const range = document.createRange();
      range.selectNodeContents(nav.lastElementChild);
      return nav.getBoundingClientRect().right - range.getBoundingClientRect().right;
    }""")
    assert spare >= 5


@pytest.mark.parametrize("name", PAGES)
async def test_the_data_of_a_page_comes_with_one_request(product: Product, visit: Open, name: str) -> None:
    person = await open_page(product, visit, name, NARROW)
    await person.live()
    asked = len(person.asked)
    assert asked == 1 or (name == "alerts" and person.asked_beyond("Alerts") == [])
    # What has been seen of the page so far is all that it needs: the next one takes one more.
    await (
        person.page.get_by_role("navigation")
        .get_by_role("link", name="Benchmarks" if name == "runs" else "Runs")
        .click()
    )
    await at_rest(person.page)
    assert len(person.asked) == asked + 1


async def test_the_document_is_guarded_by_strict_headers(product: Product, visit: Open) -> None:
    person = await visit("/")
    response = await person.page.goto("/")
    assert response is not None
    headers = await response.all_headers()
    policy = dict(part.strip().partition(" ")[::2] for part in headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert policy["frame-ancestors"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    # And they are in force.
    refused = await person.page.evaluate("""() => {
      try { document.body.insertAdjacentHTML("beforeend", "<p>"); return "" } catch (error) { return error.name }
    }""")
    assert refused == "TypeError"
    person.allow("securitypolicyviolation: require-trusted-types-for|This document requires 'TrustedHTML'")


async def test_an_address_that_does_not_exist_says_so(visit: Open, look: Look) -> None:
    person = await visit("/nowhere", look=look)
    person.allow("status 404|the server responded with a status of 404")
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("There is no such page")
    await person.page.get_by_role("button", name="Go to the portfolio").click()
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("Portfolio")


async def test_a_client_that_does_not_exist_says_so(visit: Open) -> None:
    person = await visit("/clients/nobody")
    await expect(person.page.get_by_role("heading", level=1)).to_be_visible()
    await expect(person.page.locator(".skeleton, .skeleton-line")).to_have_count(0)


async def test_titles_name_the_page_and_the_focus_follows(product: Product, visit: Open) -> None:
    page = (await visit("/", role=Role.PLATFORM_ADMIN)).page
    await at_rest(page)
    await expect(page).to_have_title("Client Health")
    for name in ("Benchmarks", "Alerts", "Runs"):
        await page.get_by_role("navigation").get_by_role("link", name=name).click()
        await expect(page).to_have_title(f"{name} · Client Health")
        await expect(page.get_by_role("heading", level=1)).to_be_focused()
        await expect(page.get_by_role("navigation").get_by_role("link", name=name)).to_have_attribute(
            "aria-current", "page"
        )
        await at_rest(page)
    await page.go_back()
    await expect(page).to_have_title("Alerts · Client Health")
