"""Two people who look at the same alert: whoever comes second is told who was first, and keeps what they wrote."""

from playwright.async_api import expect

from app.graphql.pagination import key_of
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.test_alerts import expect_open, listed, number_open
from tests.dashboard.browser.visits import Look
from tests.factories import rows_of
from tests.graphql.live import change

NOTE = "Called them.\nMeeting on Monday."
SAVED = "SELECT status, acknowledged_by, note FROM alerts WHERE id = :id"


async def acknowledge_first(product: Product, id_: str) -> int:
    """Acknowledge the alert as a colleague, and return its key."""
    key = key_of("id", id_, "Alert")
    await change(
        product.database,
        "UPDATE alerts SET status = 'ACKNOWLEDGED', acknowledged_at = now(), "
        "acknowledged_by = 'bob.miller@example.com', note = 'Known since Friday.' WHERE id = :id",
        id=key,
    )
    return key


async def test_a_note_that_comes_second_is_told_and_shown_in_the_list(
    product: Product, visit: Open, look: Look
) -> None:
    before = await number_open(product)
    alert = (await listed(product, "OPEN"))[0]
    page = (await visit("/alerts", look=look)).page
    row = page.get_by_role("region", name="Open").get_by_role("listitem").first
    await row.get_by_role("button", name="Acknowledge the alert").click()
    await row.get_by_label("Note for your colleagues").fill(NOTE)
    key = await acknowledge_first(product, alert["id"])
    await row.get_by_role("button", name="Acknowledge alert").click()
    notice = page.get_by_role("status").filter(has_text="had been acknowledged already")
    await expect(notice).to_contain_text(alert["client"]["name"])
    await expect(notice).to_contain_text(f"Bob Miller was first. Your note was not saved: “{NOTE}”")
    await expect_open(page, before - 1)
    await expect(page.get_by_text("You find it below")).to_have_count(0)
    assert await rows_of(product.database, SAVED, id=key) == [
        ("ACKNOWLEDGED", "bob.miller@example.com", "Known since Friday.")
    ]


async def test_who_was_first_is_told_on_the_page_of_the_client(product: Product, visit: Open) -> None:
    before = await number_open(product)
    alert = (await listed(product, "OPEN"))[0]
    page = (await visit(f"/clients/{alert['client']['id']}")).page
    item = page.get_by_role("region", name="Alerts").get_by_role("listitem").first
    await item.get_by_role("button", name="Acknowledge").click()
    await item.get_by_label("Note for your colleagues").fill(NOTE)
    await acknowledge_first(product, alert["id"])
    await item.get_by_role("button", name="Acknowledge alert").click()
    notice = page.get_by_role("status").filter(has_text="had been acknowledged already")
    await expect(notice).to_contain_text(f"Bob Miller was first. Your note was not saved: “{NOTE}”")
    badge = page.get_by_role("navigation").get_by_role("link", name="Alerts").locator(".badge")
    await expect(badge).to_have_text(f"{before - 1} open")
    done = page.get_by_role("region", name="Alerts").get_by_role("listitem").filter(has_text="Known since Friday.")
    await expect(done).to_contain_text("Acknowledged by Bob Miller")
