"""What can be done on the page of one client: recalculating it, and its alerts."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from playwright.async_api import Locator, Page, Route, expect
from sqlalchemy import text

from app.graphql.pagination import key_of
from tests.chaos.service import end, until
from tests.dashboard.browser.clients import WORDS, Client, everybody, read, section, table
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import SUBJECT, Product
from tests.dashboard.browser.visits import Look, Visit

LATEST_RUN = "{ runs(first: 1) { edges { node { kind status } } } }"
ALERTS = """
query ($filter: AlertFilter) { alerts(filter: $filter, first: 100) {
  totalCount edges { node { id status message note acknowledgedBy client { id name alertsEnabled } } } } }
"""
# The zone that the harness gives the browser.
BERLIN = ZoneInfo("Europe/Berlin")


async def about_to_change(product: Product) -> Client:
    """Return a client whose next score is certain to be another: its logins are taken away."""
    client = next(
        one
        for one in await everybody(product)
        if one["health"]["score"] is not None
        for part in one["health"]["components"]
        if part["key"] == "LOGIN" and (part["contribution"] or 0) > 10
    )
    async with product.database.begin() as session:
        key = key_of("id", client["id"], "Client")
        await session.execute(text("DELETE FROM logins WHERE client_id = :id"), {"id": key})
    return await read(product, client["id"])


async def open_page(visit: Open, client: Client, look: Look | None = None) -> Visit:
    """Open the client's page, marked so that loading it again would be noticed."""
    person = await visit(f"/clients/{client['id']}", **({} if look is None else {"look": look}))
    await expect(person.page.get_by_role("heading", level=1)).to_have_text(client["name"])
    await person.page.evaluate("window.untouched = true")
    return person


async def expect_new_score(product: Product, page: Page, before: Client) -> None:
    """Wait for the new score in place, without the page having been loaded again."""
    words = page.get_by_role("status").filter(has_text="Done. The score is")
    # The worker may have been started a moment ago, on a machine that has a lot to do.
    await expect(words).to_be_visible(timeout=45_000)
    after = await read(product, before["id"])
    score, light = after["health"]["score"], WORDS[after["health"]["trafficLight"]]
    assert score < before["health"]["score"]
    change = f"\N{MINUS SIGN}{before['health']['score'] - score}"
    await expect(words).to_have_text(f"Done. The score is {score}, {light.lower()}, {change}.")
    await expect(page.get_by_role("img", name=f"Score {score} of 100, {light}")).to_be_visible()
    assert (await table(page, "Health score, last 90 days"))[-1][1] == str(score)
    assert await page.evaluate("window.untouched")
    await expect(page.get_by_role("button", name="Recalculate")).to_be_enabled()


async def run_is_over(product: Product) -> bool:
    """Return whether the latest run is a recalculation of one client that is over."""
    run = (await product.data(LATEST_RUN))["runs"]["edges"][0]["node"]
    return bool(run == {"kind": "RECALCULATE_ONE", "status": "SUCCEEDED"})


async def test_recalculating_ends_with_the_new_score_in_place(product: Product, visit: Open, look: Look) -> None:
    client = await about_to_change(product)
    page = (await open_page(visit, client, look)).page
    button = page.get_by_role("button", name="Recalculate")
    await button.focus()
    # The request is held until what the button says meanwhile has been seen.
    seen = asyncio.Event()

    async def hold(route: Route) -> None:
        await seen.wait()
        await route.continue_()

    await page.route("**/graphql", hold)
    await button.press("Enter")
    await expect(page.get_by_role("button", name="Recalculating")).to_be_disabled()
    seen.set()
    await expect_new_score(product, page, client)
    # Whoever pressed it by keyboard is where they were.
    await expect(button).to_be_focused()


async def test_going_back_shows_the_new_score_in_the_portfolio(product: Product, visit: Open) -> None:
    client = await about_to_change(product)
    page = (await visit(f"/?q={client['name']}")).page
    card = page.get_by_role("article", name=client["name"])
    await expect(card.locator(".score")).to_contain_text(str(client["health"]["score"]))
    await card.get_by_role("link", name=client["name"]).click()
    await page.evaluate("window.untouched = true")
    await page.get_by_role("button", name="Recalculate").click()
    await expect_new_score(product, page, client)
    await page.go_back()
    score = (await read(product, client["id"]))["health"]["score"]
    await expect(card.locator(".score")).to_contain_text(str(score))


async def test_a_run_that_is_over_before_anybody_watches_ends_with_the_new_score(product: Product, visit: Open) -> None:
    client = await about_to_change(product)
    page = (await open_page(visit, client)).page

    async def once_over(route: Route) -> None:
        if "runProgress" in (route.request.post_data or ""):
            await until(lambda: run_is_over(product), 45, "the run is over")
        await route.continue_()

    await page.route("**/graphql/stream", once_over)
    await page.get_by_role("button", name="Recalculate").click()
    await expect_new_score(product, page, client)


async def test_a_run_that_ends_while_the_connection_is_down_ends_with_the_new_score(
    product: Product, visit: Open
) -> None:
    client = await about_to_change(product)
    person = await open_page(visit, client)
    person.allow("ERR_CONNECTION_REFUSED")
    page = person.page

    async def refuse(route: Route) -> None:
        await route.abort("connectionrefused")

    await page.route("**/graphql/stream", refuse)
    await page.get_by_role("button", name="Recalculate").click()
    await expect(page.get_by_text("Offline, reconnecting")).to_be_visible()
    await until(lambda: run_is_over(product), 45, "the run is over")
    await expect(page.get_by_role("button", name="Recalculating")).to_be_visible()
    await page.unroute("**/graphql/stream")
    await expect_new_score(product, page, client)
    await expect(page.get_by_text("Offline, reconnecting")).to_have_count(0)


async def test_a_run_that_nobody_takes_up_says_so(product: Product, visit: Open) -> None:
    client = await about_to_change(product)
    page = (await open_page(visit, client)).page
    worker = next(child for child in reversed(product.started) if child.name == "worker")
    end(worker)
    try:
        await page.get_by_role("button", name="Recalculate").click()
        await expect(page.get_by_role("status").filter(has_text="Waiting for its turn")).to_be_visible()
        await expect(page.get_by_text("No worker has taken it up yet.")).to_be_visible(timeout=15_000)
    finally:
        product.start("worker")
    await expect_new_score(product, page, client)


async def test_the_switch_turns_alerts_on_and_off(product: Product, visit: Open, look: Look) -> None:
    client = next(
        one for one in await everybody(product) if one["engagementModel"] == "PLG" and not one["alertsEnabled"]
    )
    page = (await open_page(visit, client, look)).page
    switch = section(page, "Alerts").get_by_role("switch")
    await expect(switch).to_have_accessible_name("Alerts off: product-led account")
    await expect(section(page, "Alerts").get_by_text("Snooze for")).to_have_count(0)
    await switch.press("Space")
    await expect(switch).to_have_accessible_name("You will be notified when the score drops")
    await expect(switch).to_be_checked()
    assert (await read(product, client["id"]))["alertsEnabled"] is True
    await switch.click()
    await expect(switch).not_to_be_checked()
    assert (await read(product, client["id"]))["alertsEnabled"] is False


async def snoozed_until(product: Product, client: Client) -> datetime | None:
    """Return until when the API says that the client is snoozed."""
    value = (await read(product, client["id"]))["alertsSnoozedUntil"]
    return None if value is None else datetime.fromisoformat(value)


async def test_a_snooze_lasts_as_long_as_chosen_and_can_be_ended(product: Product, visit: Open, look: Look) -> None:
    client = next(one for one in await everybody(product) if one["alertsEnabled"])
    page = (await open_page(visit, client, look)).page
    alerts = section(page, "Alerts")
    for name, days in (("1 day", 1), ("1 week", 7)):
        await alerts.get_by_role("button", name=name).click()
        await expect_snoozed(alerts)
        found = await snoozed_until(product, client)
        assert found is not None
        assert abs(found - datetime.now(UTC) - timedelta(days=days)) < timedelta(minutes=1)
        await expect(alerts).to_contain_text(
            f"Snoozed until {found.astimezone(BERLIN):%-d %b %Y, %H:%M}".replace("Sep ", "Sept ")
        )
        await alerts.get_by_role("button", name="End the snooze").press("Enter")
        await expect(alerts.get_by_text("Snooze for")).to_be_visible()
        assert await snoozed_until(product, client) is None
    chosen = (datetime.now(BERLIN) + timedelta(days=20)).replace(hour=0, minute=0, second=0, microsecond=0)
    await alerts.get_by_label("or until").fill(f"{chosen:%Y-%m-%d}")
    await alerts.get_by_role("button", name="Snooze", exact=True).click()
    await expect_snoozed(alerts)
    assert await snoozed_until(product, client) == chosen
    await page.reload()
    await expect_snoozed(alerts)
    await alerts.get_by_role("button", name="End the snooze").click()
    await expect(alerts.get_by_text("Snooze for")).to_be_visible()


async def expect_snoozed(alerts: Locator) -> None:
    """Wait until the section says that it is snoozed, and offers no other snooze."""
    await expect(alerts.get_by_text("Snoozed until")).to_be_visible()
    await expect(alerts.get_by_text("Snooze for")).to_have_count(0)


async def open_alerts(product: Product, **condition: Any) -> list[dict[str, Any]]:
    """Return open alerts, the newest first."""
    data = await product.data(ALERTS, filter={"status": ["OPEN"]} | condition)
    return [edge["node"] for edge in data["alerts"]["edges"]]


async def test_an_open_alert_is_acknowledged_with_a_note(product: Product, visit: Open, look: Look) -> None:
    everything = await open_alerts(product)
    alert = everything[0]
    client = alert["client"]
    own = await open_alerts(product, clientId=client["id"])
    page = (await open_page(visit, client, look)).page
    alerts = section(page, "Alerts")
    await expect(alerts.get_by_role("heading", name=f"Alerts {len(own)} open")).to_be_visible()
    links = page.get_by_role("navigation").get_by_role("link", name=re.compile("^Alerts"))
    await expect(links).to_contain_text(str(len(everything)))
    item = alerts.get_by_role("listitem").first
    # On its own page the client's name goes without saying.
    words = alert["message"].removeprefix(f"{client['name']}: ")
    await expect(item).to_contain_text(words[0].upper() + words[1:])
    await item.get_by_role("button", name="Acknowledge").click()
    note = item.get_by_label("Note for your colleagues")
    await expect(note).to_be_focused()
    await note.press("Escape")
    await expect(item.get_by_role("button", name="Acknowledge")).to_be_focused()
    await item.get_by_role("button", name="Acknowledge").press("Enter")
    await note.fill("They moved offices.\nBack next week.")
    await item.get_by_role("button", name="Acknowledge alert").click()
    done = alerts.get_by_role("listitem").filter(has_text="They moved offices.")
    await expect(done).to_contain_text("Acknowledged by Anna")
    await expect(done).to_be_focused()
    await expect(done.get_by_role("button", name="Acknowledge")).to_have_count(0)
    await expect(links).to_contain_text(str(len(everything) - 1))
    data = await product.data(ALERTS, filter={"clientId": client["id"], "status": ["ACKNOWLEDGED"]})
    found = next(edge["node"] for edge in data["alerts"]["edges"] if edge["node"]["id"] == alert["id"])
    assert (found["note"], found["acknowledgedBy"]) == ("They moved offices.\nBack next week.", SUBJECT)


async def test_a_refused_change_is_told_and_changes_nothing(product: Product, visit: Open) -> None:
    client = (await everybody(product))[5]
    person = await open_page(visit, client)
    person.allow("ERR_CONNECTION_REFUSED")
    await person.page.route("**/graphql", lambda route: route.abort("connectionrefused"))
    switch = section(person.page, "Alerts").get_by_role("switch")
    await switch.click()
    await expect(section(person.page, "Alerts").get_by_role("alert")).to_contain_text("The server does not answer.")
    await expect(switch).to_be_checked(checked=client["alertsEnabled"])
    await person.page.get_by_role("button", name="Recalculate").click()
    await expect(person.page.get_by_role("status").filter(has_text="The server does not answer.")).to_be_visible()
