"""Getting in and out: a one-time address, a session that scripts cannot read, and signing out."""

import re

from playwright.async_api import expect

from app.auth.tokens import Role
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import SUBJECT, Product
from tests.dashboard.browser.visits import Look

REFUSED = "status 40[0-9]|Failed to load resource: the server responded with a status of 40[0-9]"


async def test_a_one_time_address_signs_in_once(product: Product, visit: Open, look: Look) -> None:
    address = await product.sign_in_address(Role.CLIENT_SUCCESS)
    first = await visit(address, role=None, look=look)
    await expect(first.page.get_by_role("heading", level=1)).to_have_text("Portfolio")
    await expect(first.page).to_have_url(f"{product.url}/")
    # The code is nowhere in the history, and the cookie is out of the scripts' reach.
    assert await first.page.evaluate("document.cookie") == ""
    (cookie,) = await first.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/")
    second = await visit(address, role=None, look=look)
    second.allow(REFUSED)
    await expect(second.page.get_by_role("alert")).to_contain_text("This address did not sign you in")
    assert await second.page.context.cookies() == []


async def test_without_a_session_every_page_leads_to_the_sign_in_and_back(
    product: Product, visit: Open, look: Look
) -> None:
    stranger = await visit("/alerts", role=None, look=look)
    stranger.allow(REFUSED)
    await expect(stranger.page).to_have_url(f"{product.url}/sign-in")
    await expect(stranger.page.get_by_role("heading", level=1)).to_have_text("Sign in")
    await expect(stranger.page.get_by_text("client-health sign-in")).to_be_visible()
    await stranger.page.goto(await product.sign_in_address(Role.CLIENT_SUCCESS))
    await expect(stranger.page).to_have_url(f"{product.url}/alerts")
    await expect(stranger.page.get_by_role("heading", level=1)).to_have_text("Alerts")


async def test_signing_in_leads_to_no_other_site(product: Product, visit: Open, look: Look) -> None:
    """A path that begins with two slashes would, as a link, lead to the site that it names."""
    stranger = await visit(f"{product.url}//strange.invalid/", role=None, look=look)
    stranger.allow(REFUSED)
    await stranger.page.evaluate("""async () => {
        const { signedOutOr } = await import(document.querySelector("link[href$='/api.js']").href);
        signedOutOr({ code: "UNAUTHENTICATED" });
    }""")
    await expect(stranger.page).to_have_url(f"{product.url}/sign-in")
    await stranger.page.goto(await product.sign_in_address(Role.CLIENT_SUCCESS))
    await expect(stranger.page).to_have_url(f"{product.url}//strange.invalid/")


async def test_signing_out_ends_the_session_for_good(product: Product, visit: Open, look: Look) -> None:
    person = await visit(await product.sign_in_address(Role.CLIENT_SUCCESS), role=None, look=look)
    await expect(person.page.get_by_role("heading", level=1)).to_have_text("Portfolio")
    (cookie,) = await person.page.context.cookies()
    await person.page.get_by_label(f"Account of {SUBJECT}").click()
    await person.page.get_by_role("button", name="Sign out").click()
    await expect(person.page).to_have_url(f"{product.url}/sign-in")
    assert await person.page.context.cookies() == []
    # Whoever has kept the cookie has nothing: the server has forgotten it.
    await person.page.context.add_cookies([{"name": cookie["name"], "value": cookie["value"], "url": product.url}])
    person.allow(REFUSED)
    await person.page.goto("/")
    await expect(person.page).to_have_url(re.compile("/sign-in$"))
