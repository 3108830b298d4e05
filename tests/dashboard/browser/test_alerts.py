"""The page of alerts: open ones first, acknowledged with a note, and live."""

import re
from typing import Any

from playwright.async_api import Page, expect

from app.graphql.pagination import key_of
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import SUBJECT, Product
from tests.dashboard.browser.visits import Look
from tests.graphql.live import change, raise_alerts

Alert = dict[str, Any]

ALERTS = """
query Alerts($status: [AlertStatus!]!, $owner: String) {
  alerts(filter: { status: $status, owner: $owner }, first: 100) {
    totalCount
    edges { node { id status message note acknowledgedBy client { id name owner } } }
  }
}
"""
EARLIER = ["ACKNOWLEDGED", "RESOLVED"]


async def listed(product: Product, *status: str, owner: str | None = None) -> list[Alert]:
    """Return the newest alerts as the API answers them."""
    connection = (await product.data(ALERTS, status=list(status), owner=owner))["alerts"]
    return [edge["node"] for edge in connection["edges"]]


async def number_open(product: Product) -> int:
    """Return how many alerts are open."""
    found: int = (await product.data(ALERTS, status=["OPEN"]))["alerts"]["totalCount"]
    return found


async def some_client(product: Product) -> tuple[int, str]:
    """Return the key and the name of a client."""
    query = "{ clients(first: 1, orderBy: {field: NAME, direction: ASC}) { edges { node { id name } } } }"
    client = (await product.data(query))["clients"]["edges"][0]["node"]
    return key_of("id", client["id"], "Client"), client["name"]


async def expect_open(page: Page, number: int) -> None:
    """Wait until the list and the navigation say that so many alerts are open."""
    await expect(page.get_by_role("heading", name=re.compile(rf"^Open {number}$"))).to_be_visible()
    await expect(page.get_by_role("navigation").get_by_role("link", name="Alerts")).to_contain_text(str(number))


def said(alert: Alert) -> str:
    """Return the sentence of an alert without the name, which is its heading."""
    message: str = alert["message"]
    rest = message.removeprefix(f"{alert['client']['name']}: ")
    return message if rest == message else rest[0].upper() + rest[1:]


async def test_open_alerts_come_first_and_the_newest_of_them_first(product: Product, visit: Open, look: Look) -> None:
    page = (await visit("/alerts", look=look)).page
    await expect_open(page, await number_open(product))
    for name, status, most in (("Open", ["OPEN"], 30), ("Acknowledged and resolved", EARLIER, 20)):
        alerts = (await listed(product, *status))[:most]
        rows = page.get_by_role("region", name=name).get_by_role("listitem")
        await expect(rows.get_by_role("heading")).to_have_text([alert["client"]["name"] for alert in alerts])
        texts = await rows.all_inner_texts()
        assert [said(alert) for alert, text in zip(alerts, texts, strict=True) if said(alert) not in text] == []
    regions = page.get_by_role("region")
    await expect(regions.first).to_have_accessible_name(re.compile("^Open"))


async def test_more_alerts_are_shown_when_asked_for(product: Product, visit: Open) -> None:
    client, _ = await some_client(product)
    # How many the demo portfolio has depends on the day.
    await raise_alerts(product.database, client, *range(70 - await number_open(product)))
    alerts = await listed(product, "OPEN")
    assert len(alerts) > 60
    page = (await visit("/alerts")).page
    rows = page.get_by_role("region", name="Open").get_by_role("listitem")
    for shown in (*range(30, len(alerts), 30), len(alerts)):
        await expect(rows).to_have_count(shown)
        if shown < len(alerts):
            await page.get_by_role("button", name="Show more open alerts").click()
    await expect(rows).to_have_count(len(alerts))
    await expect(page.get_by_role("button", name="Show more open alerts")).to_have_count(0)
    await change(product.database, "DELETE FROM alerts WHERE client_id = :id AND message LIKE 'alert %'", id=client)


async def test_an_alert_is_acknowledged_with_a_note(product: Product, visit: Open, look: Look) -> None:
    before = await number_open(product)
    alert = (await listed(product, "OPEN"))[1]
    note = f"Called them on a {look.scheme} day.\nMeeting on Monday."
    person = await visit("/alerts", look=look)
    page = person.page
    row = page.get_by_role("region", name="Open").get_by_role("listitem").nth(1)
    await row.get_by_role("button", name=f"Acknowledge the alert of {alert['client']['name']}").click()
    await expect(row.get_by_label("Note for your colleagues")).to_be_focused()
    await page.keyboard.type(note)
    await row.get_by_role("button", name="Acknowledge alert").click()
    await expect_open(page, before - 1)
    await expect(page.get_by_role("heading", name="Open")).to_be_focused()
    done = page.get_by_role("region", name="Acknowledged and resolved").get_by_role("listitem").filter(has_text=note)
    await expect(done).to_contain_text(f"{alert['client']['name']}")
    await expect(done).to_contain_text("Acknowledged by Anna")
    stored = next(one for one in await listed(product, *EARLIER) if one["id"] == alert["id"])
    assert stored == alert | {"status": "ACKNOWLEDGED", "note": note, "acknowledgedBy": SUBJECT}
    assert await number_open(product) == before - 1
    # It is there for everybody, and after a reload.
    await page.reload()
    await expect(done).to_be_visible()
    await expect_open(page, before - 1)


async def test_escape_leaves_an_alert_as_it_is(product: Product, visit: Open) -> None:
    before = await number_open(product)
    page = (await visit("/alerts")).page
    button = page.get_by_role("button", name="Acknowledge the alert").first
    await button.click()
    await expect(page.get_by_label("Note for your colleagues")).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_label("Note for your colleagues")).to_have_count(0)
    await expect(button).to_be_focused()
    assert await number_open(product) == before


async def test_an_alert_that_was_resolved_meanwhile_is_refused_with_a_way_on(product: Product, visit: Open) -> None:
    alert = (await listed(product, "OPEN"))[0]
    page = (await visit("/alerts")).page
    row = page.get_by_role("region", name="Open").get_by_role("listitem").first
    await row.get_by_role("button", name="Acknowledge the alert").click()
    await change(
        product.database,
        "UPDATE alerts SET status = 'RESOLVED', resolved_at = now() WHERE id = :id",
        id=key_of("id", alert["id"], "Alert"),
    )
    await row.get_by_role("button", name="Acknowledge alert").click()
    await expect(row.get_by_role("alert")).to_contain_text("The alert is resolved already")
    await row.get_by_role("button", name="Reload the list").click()
    await expect_open(page, await number_open(product))
    names = [one["client"]["name"] for one in (await listed(product, "OPEN"))[:30]]
    await expect(page.get_by_role("region", name="Open").get_by_role("listitem").get_by_role("heading")).to_have_text(
        names
    )


async def test_an_alert_appears_as_it_is_raised(product: Product, visit: Open, look: Look) -> None:
    before = await number_open(product)
    client, name = await some_client(product)
    person = await visit("/alerts", look=look)
    await expect_open(person.page, before)
    await raise_alerts(product.database, client, 1)
    await expect_open(person.page, before + 1)
    first = person.page.get_by_role("region", name="Open").get_by_role("listitem").first
    await expect(first).to_contain_text("alert 1")
    await expect(first.get_by_role("heading")).to_have_text(name)
    # It came by itself, and the score with it.
    assert person.asked_beyond("Alerts") == []
    await expect(first.get_by_role("img")).to_have_accessible_name(re.compile(r"^Score \d+ of 100|^Not scored$"))


async def test_many_alerts_at_once_are_told_on_any_page_without_a_storm(product: Product, visit: Open) -> None:
    before = await number_open(product)
    client, name = await some_client(product)
    person = await visit()
    await expect(person.page.locator("article.client")).to_have_count(50)
    badge = person.page.get_by_role("navigation").get_by_role("link", name="Alerts")
    await expect(badge).to_contain_text(str(before))
    await person.live()
    await raise_alerts(product.database, client, *range(30))
    await expect(badge).to_contain_text(str(before + 30))
    await expect(person.page.get_by_role("status").filter(has_text=name).first).to_be_visible()
    assert len(person.asked) <= 3


async def test_alerts_are_shown_for_one_owner_who_stands_in_the_address(product: Product, visit: Open) -> None:
    owner = next(one["client"]["owner"] for one in await listed(product, "OPEN") if one["client"]["owner"])
    page = (await visit("/alerts")).page
    await page.get_by_label("Owner").select_option(owner)
    await expect(page).to_have_url(re.compile(rf"/alerts\?owner={re.escape(owner)}$"))
    alerts = (await listed(product, "OPEN", owner=owner))[:30]
    rows = page.get_by_role("region", name="Open").get_by_role("listitem")
    await expect(rows.get_by_role("heading")).to_have_text([alert["client"]["name"] for alert in alerts])
    await page.go_back()
    await expect(page.get_by_label("Owner")).to_have_value("")
    await expect(rows).to_have_count(min(30, await number_open(product)))
