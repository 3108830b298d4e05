"""A client with more alerts than its page lists: none is miscounted, and none that is open is hidden by others."""

from datetime import UTC, datetime, timedelta
from typing import Any

from playwright.async_api import Page, expect

from app.graphql.pagination import global_id
from tests.dashboard.browser.clients import section
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.visits import Look
from tests.factories import add_client, add_rows
from tests.graphql.live import alert_row

LISTED = 20


async def client_with(product: Product, name: str, *statuses: str) -> str:
    """Add a client with an alert in each of these states, the newest first, and return its id."""
    client = await add_client(product.database, name, size="SMB", industry="OTHER")
    now = datetime.now(UTC)
    await add_rows(
        product.database,
        "alerts",
        [alert(client, number, status, now - timedelta(days=number)) for number, status in enumerate(statuses, 1)],
    )
    return str(global_id("Client", client))


def alert(client: int, number: int, status: str, raised_at: datetime) -> dict[str, Any]:
    """Return the row of an alert that nobody is told of any more."""
    done = status == "ACKNOWLEDGED"
    return alert_row(client, number) | {
        "day": raised_at.date(),
        "raised_at": raised_at,
        "created_at": raised_at,
        "status": status,
        "acknowledged_at": raised_at if done else None,
        "acknowledged_by": "bob.miller@example.com" if done else None,
    }


async def expect_listed(page: Page, mark: str, numbers: range) -> None:
    """Wait until the list that the mark finds has these alerts and no others."""
    items = section(page, "Alerts").locator(f"{mark} .client-alert > p:first-child")
    await expect(items).to_have_text([f"Alert {number}" for number in numbers], ignore_case=True)


async def test_an_open_alert_is_not_hidden_by_newer_ones_that_are_looked_after(
    product: Product, visit: Open, look: Look
) -> None:
    statuses = ["ACKNOWLEDGED"] * (LISTED + 5) + ["OPEN"]
    id_ = await client_with(product, f"Long known {look.width}", *statuses)
    page = (await visit(f"/clients/{id_}", look=look)).page
    alerts = section(page, "Alerts")
    await expect(alerts.get_by_role("heading")).to_have_text("Alerts 1 open")
    item = alerts.locator(".client-alert.is-open")
    await expect(item).to_have_count(1)
    await expect(item).to_contain_text(f"alert {len(statuses)}")
    await alerts.get_by_text("25 acknowledged").click()
    await expect(alerts.get_by_text("The newest 20 are listed.")).to_be_visible()
    await expect_listed(page, ".client-acknowledged", range(1, LISTED + 1))


async def test_the_next_open_alert_moves_up_when_one_is_looked_after(product: Product, visit: Open) -> None:
    id_ = await client_with(product, "Much to do", *["OPEN"] * (LISTED + 2))
    page = (await visit(f"/clients/{id_}")).page
    alerts = section(page, "Alerts")
    await expect(alerts.get_by_role("heading")).to_have_text("Alerts 22 open")
    await expect(alerts.get_by_text("The newest 20 are listed.")).to_be_visible()
    items = alerts.locator(".client-alert.is-open")
    await expect(items).to_have_count(LISTED)
    for left in (21, 20):
        await items.first.get_by_role("button", name="Acknowledge").click()
        await items.first.get_by_role("button", name="Acknowledge alert").click()
        await expect(alerts.get_by_role("heading")).to_have_text(f"Alerts {left} open")
        await expect(items).to_have_count(LISTED)
    await expect(items.last).to_contain_text("alert 22")
    await expect(alerts.get_by_text("2 acknowledged")).to_be_visible()
    await expect(alerts.get_by_text("The newest 20 are listed.")).to_have_count(0)
