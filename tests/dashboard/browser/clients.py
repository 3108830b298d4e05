"""One client for the tests: as the API answers it, and as its page shows it."""

from datetime import date
from typing import Any

from playwright.async_api import Locator, Page

from tests.dashboard.browser.product import Product

Client = dict[str, Any]

CLIENT = """
query Client($id: ID!) {
  client(id: $id) {
    id name size industry engagementModel alertsEnabled alertsSnoozedUntil
    health {
      score trafficLight riskLevel coverage calculatedAt
      components { label weight score measured explanation }
    }
    healthHistory(days: 90) { date score trafficLight }
    usage(days: 30) {
      daily { date logins casesCreated casesResolved campaignResponses }
      summary { totalLogins uniqueUsers avgSessionMinutes peakDay }
    }
    featureAdoption { enabledCount usedCount adoptionRate }
    features { name category enabled adopted }
    recentActivity(first: 28) { edges { node { description } } }
  }
}
"""
CLIENTS = """
query ($field: ClientOrderField!) {
  clients(first: 100, orderBy: { field: $field, direction: ASC }) {
    edges { node { id name size industry engagementModel alertsEnabled
      health { score components { key contribution } } } }
  }
}
"""
WORDS = {"GREEN": "Healthy", "AMBER": "At risk", "RED": "Critical", None: "Not scored"}


async def read(product: Product, id_: str) -> Client:
    """Return the client as the API answers it."""
    client: Client = (await product.data(CLIENT, id=id_))["client"]
    return client


async def everybody(product: Product, by: str = "SCORE") -> list[Client]:
    """Return 100 clients, the worst first, or in another order of the API."""
    return [edge["node"] for edge in (await product.data(CLIENTS, field=by))["clients"]["edges"]]


def section(page: Page, name: str) -> Locator:
    """Return the section with this heading."""
    return page.get_by_role("region", name=name)


def day(value: str) -> str:
    """Return a day as people in Britain write it."""
    return f"{date.fromisoformat(value):%-d %b %Y}".replace("Sep ", "Sept ")


async def table(page: Page, name: str) -> list[list[str]]:
    """Return the figures of a chart from the table that stands beside its picture."""
    rows = page.get_by_role("table", name=name).locator("tbody tr")
    found: list[list[str]] = await rows.evaluate_all(
        "(rows) => rows.map((row) => [...row.cells].map((cell) => cell.textContent))"
    )
    return found
