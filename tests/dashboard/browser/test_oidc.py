"""Signing in at an issuer on another site, in a real browser: only there do the rules of its cookies show."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from playwright.async_api import Browser, expect

from app.settings import Settings
from tests.chaos.service import free_port
from tests.dashboard.browser.visits import PATIENCE_MS, REPORT_VIOLATIONS, Look, Visit
from tests.dashboard.issuer import CLIENT_ID, SUBJECT, running_issuer
from tests.graphql.live import HOST, running_web

# What an API answers to somebody who has not signed in.
REFUSED = "status 401|status of 401"


@dataclass
class Place:
    """Where the dashboard is, and the browser before it."""

    url: str
    chromium: Browser

    async def visit(self, path: str, look: Look) -> Visit:
        """Open the dashboard in a new window."""
        context = await self.chromium.new_context(
            base_url=self.url,
            color_scheme="dark" if look.scheme == "dark" else "light",
            viewport={"width": look.width, "height": look.height},
        )
        context.set_default_timeout(PATIENCE_MS)
        await context.add_init_script(REPORT_VIOLATIONS)
        visit = Visit(context, await context.new_page())
        visit.allow(REFUSED)
        await visit.page.goto(path)
        return visit


@pytest.fixture
async def place(chromium: Browser, settings: Settings) -> AsyncIterator[Place]:
    """A dashboard whose people sign in at an issuer; a name instead of an address makes that another site."""
    with running_issuer("localhost") as issuer:
        url = f"http://{HOST}:{free_port()}"
        configured = settings.model_dump() | {
            "auth_secret": None,
            "oidc_issuer": issuer.url,
            "oidc_client_id": CLIENT_ID,
            "public_url": url,
        }
        async with running_web(Settings.model_validate(configured), port=int(url.rpartition(":")[2])):
            yield Place(url, chromium)


async def test_the_way_to_the_issuer_and_back_ends_where_the_person_wanted(place: Place, look: Look) -> None:
    visit = await place.visit("/alerts", look)
    page = visit.page
    await expect(page).to_have_url(f"{place.url}/sign-in")
    await page.get_by_role("link", name="Continue to sign in").click()
    await expect(page).to_have_title("Issuer")
    await page.get_by_role("link", name="Continue").click()
    await expect(page).to_have_url(f"{place.url}/alerts")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Alerts")
    await expect(page.get_by_label(f"Account of {SUBJECT}")).to_be_visible()
    (cookie,) = await page.context.cookies(place.url)
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    await visit.end()
    await page.context.close()


async def test_who_turns_back_is_told_and_may_try_again(place: Place, look: Look) -> None:
    visit = await place.visit("/sign-in", look)
    page = visit.page
    await page.get_by_role("link", name="Continue to sign in").click()
    await page.get_by_role("link", name="Turn back").click()
    await expect(page.get_by_role("alert")).to_contain_text("The sign-in was cancelled")
    await expect(page).to_have_url(f"{place.url}/sign-in")
    assert await page.context.cookies(place.url) == []
    await page.get_by_role("link", name="Continue to sign in").click()
    await page.get_by_role("link", name="Continue").click()
    await expect(page.get_by_text("No clients yet")).to_be_visible()
    await visit.end()
    await page.context.close()
