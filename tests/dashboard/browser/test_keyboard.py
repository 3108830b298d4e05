"""A morning without a mouse: everything that the tests beside this one click is reached and worked by keyboard."""

import re
from collections.abc import Sequence

from playwright.async_api import Locator, Page, expect

from app.auth.tokens import Role
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import SUBJECT, Product
from tests.dashboard.browser.test_alerts import expect_open, number_open
from tests.dashboard.browser.visits import Look

# What a person sees of the focus: an outline around the element that has it. Behind the last one it is the window's.
OUTLINE = """() => {
  const one = document.activeElement;
  if (one === document.body) return true;
  const { outlineStyle, outlineWidth } = getComputedStyle(one);
  return outlineStyle !== "none" && parseFloat(outlineWidth) >= 2;
}"""


async def tab_to(page: Page, wanted: Locator, *, at_most: int = 60) -> None:
    """Press Tab until the wanted element has the focus, which can be seen at every stop."""
    for _ in range(at_most):
        await page.keyboard.press("Tab")
        assert await page.evaluate(OUTLINE), await page.evaluate("() => document.activeElement.outerHTML")
        if await wanted.evaluate("(one) => one === document.activeElement"):
            return
    raise AssertionError(f"{at_most} stops do not lead to {wanted}")


async def press(page: Page, keys: Sequence[str]) -> None:
    """Press keys one after the other."""
    for key in keys:
        await page.keyboard.press(key)


async def test_the_first_stop_skips_the_navigation(visit: Open, look: Look) -> None:
    page = (await visit("/alerts", look=look)).page
    await expect(page.get_by_role("region", name="Open")).to_be_visible()
    skip = page.get_by_role("link", name="Skip to the content")
    await tab_to(page, skip, at_most=1)
    await expect(skip).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await tab_to(page, page.get_by_label("Owner"), at_most=1)


async def test_a_morning_without_a_mouse(product: Product, visit: Open) -> None:
    before = await number_open(product)
    page = (await visit("/", role=Role.PLATFORM_ADMIN)).page
    await expect(page.locator("article.client")).to_have_count(50)
    # Who is critical, and why is the worst of them so?
    tiles = page.get_by_role("group", name="Show clients by their light")
    await tab_to(page, tiles.get_by_role("button", name="Critical"))
    await page.keyboard.press("Enter")
    await expect(page.get_by_text(re.compile("clients? found"))).to_be_visible()
    await tab_to(page, page.get_by_role("searchbox"))
    size = page.get_by_role("search").locator("summary", has_text="Size")
    await tab_to(page, size)
    await press(page, ["Enter", "Tab", "Space"])
    await expect(page.get_by_role("search").get_by_label("Enterprise")).to_be_checked()
    await page.keyboard.press("Escape")
    await expect(size).to_be_focused()
    await expect(page.get_by_role("search").get_by_label("Enterprise")).to_be_hidden()
    card = page.locator("article.client").first
    await expect(card).to_contain_text("Enterprise")
    unfold = card.get_by_role("button", name="Components of")
    await tab_to(page, unfold)
    await page.keyboard.press("Enter")
    await expect(card.get_by_role("listitem")).to_have_count(5)
    # On to the client itself.
    name = await card.locator("h3").inner_text()
    await press(page, ["Shift+Tab", "Shift+Tab"])
    await expect(card.get_by_role("link", name=name)).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    await expect(page.get_by_role("heading", level=1)).to_be_focused()
    # The newest alert is acknowledged.
    await page.goto("/alerts")
    await expect_open(page, before)
    await tab_to(page, page.get_by_role("button", name="Acknowledge the alert").first)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Note for your colleagues")).to_be_focused()
    await page.keyboard.type("Without a mouse.")
    await press(page, ["Tab", "Enter"])
    await expect_open(page, before - 1)
    await expect(page.get_by_role("heading", name="Open")).to_be_focused()
    # All clients are calculated once more.
    await page.goto("/runs")
    recalculate = page.get_by_role("button", name="Recalculate all")
    await tab_to(page, recalculate)
    await page.keyboard.press("Enter")
    await expect(page.locator(".run-row").first).to_contain_text(f"by {SUBJECT}")
    await expect(page.locator(".run-row").first).to_contain_text("Finished", timeout=45_000)
    # And home.
    await tab_to(page, page.get_by_label(f"Account of {SUBJECT}"))
    await page.keyboard.press("Enter")
    await tab_to(page, page.get_by_role("button", name="Sign out"), at_most=1)


async def test_the_focus_is_not_lost_in_a_list_that_goes_on_loading(visit: Open) -> None:
    page = (await visit("/?sort=name")).page
    await expect(page.locator("article.client")).to_have_count(50)
    last = page.locator('article[aria-posinset="50"]').get_by_role("button", name="Components of")
    await last.focus()
    await expect(page.locator('article[aria-posinset="100"]')).to_be_attached()
    await expect(last).to_be_focused()
    await tab_to(page, page.locator('article[aria-posinset="51"]').get_by_role("link"), at_most=1)
