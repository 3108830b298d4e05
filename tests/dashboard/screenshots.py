"""Takes the README's pictures of the dashboard from a service with the demo portfolio.

    ./dev up --data-dir /tmp/pictures        # prints an address that signs in once
    .venv/bin/python -m tests.dashboard.screenshots ADDRESS

They show the day on which they are taken, and go to docs/images/.
"""

import asyncio
import sys
from pathlib import Path
from urllib.parse import urljoin

from playwright.async_api import Browser, Page, StorageState, async_playwright, expect

from tests.dashboard.browser.conftest import browser_path
from tests.dashboard.browser.visits import NARROW, WIDE, Look

IMAGES = Path(__file__).parents[2] / "docs" / "images"
MAX_BYTES = 300_000
# The page keeps room for a scroll bar, which a picture does not have.
NO_SCROLL_BAR = "html { scrollbar-gutter: auto !important; }"
WIDE_DARK = Look("dark", 1440)


async def main(address: str) -> None:
    """Sign in and take the pictures."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=browser_path(playwright))
        page = await browser.new_page()
        await page.goto(address)
        await expect(page.locator("article.client").first).to_be_visible()
        session = await page.context.storage_state()

        portfolio = await opened(browser, session, urljoin(address, "/"), WIDE)
        await portfolio.get_by_role("button", name="Components of").nth(1).click()
        await expect(portfolio.locator(".component")).to_have_count(5)
        await take(portfolio, "portfolio")

        alerts = await opened(browser, session, urljoin(address, "/alerts"), NARROW)
        await take(alerts, "alerts")

        # The client of the newest alert has something to tell.
        client = await alerts.locator(".alert-row a").first.get_attribute("href")
        await take(await opened(browser, session, urljoin(address, client), WIDE_DARK), "client")
        await browser.close()


async def opened(browser: Browser, session: StorageState, url: str, look: Look) -> Page:
    """Return a page once everything that loads is there."""
    page = await browser.new_page(
        storage_state=session,
        color_scheme="dark" if look.scheme == "dark" else "light",
        viewport={"width": look.width, "height": look.height},
        device_scale_factor=1 if look.width > 600 else 2,
        locale="en-GB",
        bypass_csp=True,  # For NO_SCROLL_BAR.
    )
    await page.goto(url)
    await expect(page.get_by_role("heading", level=1)).to_be_visible()
    await expect(page.locator(".skeleton, .skeleton-line, [aria-busy=true]")).to_have_count(0)
    return page


async def take(page: Page, name: str) -> None:
    """Take a picture, once it has come to rest, that a page can carry."""
    await page.evaluate("Promise.allSettled(document.getAnimations().map((one) => one.finished))")
    picture = IMAGES / f"{name}.png"
    await page.screenshot(path=picture, style=NO_SCROLL_BAR)
    size = picture.stat().st_size
    assert size < MAX_BYTES, f"{picture} has {size:,} bytes"
    sys.stdout.write(f"{picture}: {size:,} bytes\n")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
