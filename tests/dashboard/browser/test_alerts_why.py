"""Why an alert was raised and what people say of it, in the list of alerts and on the client's page."""

from typing import Any

from playwright.async_api import Locator, Page, expect
from sqlalchemy import insert

from app.graphql.pagination import key_of
from app.tables import metadata
from tests.chaos.service import until
from tests.dashboard.browser.clients import section
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import SUBJECT, Product
from tests.dashboard.browser.test_alerts import some_client
from tests.dashboard.browser.test_pages import overflow
from tests.dashboard.browser.visits import ALL_LOOKS, Look
from tests.factories import rows_of
from tests.graphql.live import alert_row, change, raise_alerts

Alert = dict[str, Any]

ALERTS = """
query ($filter: AlertFilter, $first: Int!) {
  alerts(filter: $filter, first: $first) {
    edges { node { id scoreBefore scoreAfter client { id name }
      causes { component pointsBefore pointsAfter change explanation }
      feedback { verdicts { useful alreadyKnown wrongData } } } }
  }
}
"""
GIVE = """
mutation ($id: ID!, $verdict: AlertVerdict!) {
  giveAlertFeedback(input: { id: $id, verdict: $verdict }) { __typename }
}
"""
OPEN = {"status": ["OPEN"]}
EARLIER = {"status": ["ACKNOWLEDGED", "RESOLVED"]}
NAMES = {
    "LOGIN": "Login activity",
    "CASE_RESOLUTION": "Case resolution",
    "CAMPAIGN_COMPLETION": "Campaign completion",
    "FEATURE_ADOPTION": "Feature adoption",
    "TICKET_VOLUME": "Support tickets",
}
LISTS = (("Open", OPEN, 30), ("Acknowledged and resolved", EARLIER, 20))


async def listed(product: Product, filter_: dict[str, Any], first: int = 100) -> list[Alert]:
    """Return the newest alerts as the API answers them."""
    data = await product.data(ALERTS, filter=filter_, first=first)
    return [edge["node"] for edge in data["alerts"]["edges"]]


def signed(value: float) -> str:
    """Return a difference as it is written: with its sign, and a true minus."""
    return f"{value:+g}".replace("-", "\N{MINUS SIGN}")


def line(alert: Alert) -> str:
    """Return the line that says why."""
    parts = [f"{NAMES[cause['component']]} {signed(cause['change'])}" for cause in alert["causes"]]
    return f"Why{' · '.join(parts)}"


def unfolded(alert: Alert) -> list[list[str]]:
    """Return what the line unfolds into: each component, and the score, which is their sum."""
    causes = [
        [
            NAMES[cause["component"]],
            f"{cause['pointsBefore']:g} to → {cause['pointsAfter']:g}",
            signed(cause["change"]),
            cause["explanation"],
        ]
        for cause in alert["causes"]
    ]
    before, after = alert["scoreBefore"], alert["scoreAfter"]
    return [*causes, ["Score", f"{before} to → {after}", signed(after - before)]]


async def figures(causes: Locator) -> list[list[str]]:
    """Return what the page has unfolded."""
    found: list[list[str]] = await causes.locator("dl > div").evaluate_all("""(rows) => rows.map((row) =>
      [...row.children].map((cell) => cell.textContent.replaceAll(/\\s+/g, " ").trim()))""")
    return found


def rows(page: Page, name: str) -> Locator:
    """Return the rows of one of the lists."""
    return page.get_by_role("region", name=name).get_by_role("listitem")


def verdict(place: Locator, words: str) -> Locator:
    """Return the button of a verdict on the alert in this place."""
    return place.get_by_role("group", name="What the alert of").get_by_role("button", name=words)


async def given(product: Product, alert: Alert) -> list[tuple[str, str]]:
    """Return who has said what of an alert."""
    statement = "SELECT subject, verdict FROM alert_feedback WHERE alert_id = :id ORDER BY subject"
    return [tuple(row) for row in await rows_of(product.database, statement, id=key_of("id", alert["id"], "Alert"))]


async def until_given(product: Product, alert: Alert, expected: list[tuple[str, str]]) -> None:
    """Wait until people have said this of an alert and nothing else."""

    async def is_given() -> bool:
        return await given(product, alert) == expected

    await until(is_given, 30, f"{expected} is what was given")


async def test_a_line_says_why_and_unfolds_into_what_adds_up(product: Product, visit: Open, look: Look) -> None:
    page = (await visit("/alerts", look=look)).page
    for name, filter_, first in LISTS:
        alerts = await listed(product, filter_, first)
        lines = rows(page, name).locator(".causes > summary")
        await expect(lines).to_have_text([line(alert) for alert in alerts])
        place, alert = max(enumerate(alerts), key=lambda one: len(one[1]["causes"]))
        assert len(alert["causes"]) > (1 if name == "Open" else 0)
        assert round(sum(cause["change"] for cause in alert["causes"]), 1) == alert["scoreAfter"] - alert["scoreBefore"]
        await lines.nth(place).press("Enter")
        causes = rows(page, name).nth(place).locator(".causes")
        await expect(causes.get_by_text(alert["causes"][0]["explanation"])).to_be_visible()
        assert await figures(causes) == unfolded(alert)


async def test_what_is_unfolded_fits_and_is_accessible_in_light_and_dark(product: Product, visit: Open) -> None:
    alert = max(await listed(product, OPEN, 30), key=lambda one: len(one["causes"]))
    for path in ("/alerts", f"/clients/{alert['client']['id']}"):
        person = await visit(path)
        await expect(person.page.locator(".causes").first).to_be_visible()
        await person.page.evaluate("for (const one of document.querySelectorAll('.causes')) one.open = true")
        for look in ALL_LOOKS:
            await person.show(look)
            assert await person.violations() == [], (path, look)
            assert await overflow(person.page) == [], (path, look)


async def test_an_alert_comes_with_its_causes_as_it_is_raised(product: Product, visit: Open) -> None:
    client, name = await some_client(product)
    person = await visit("/alerts")
    await expect(person.page.get_by_role("heading", name="Open")).to_be_visible()
    cause = {"component": "LOGIN", "points_before": "18.5", "points_after": "6", "explanation": "2 of 6 were active."}
    alerts, causes = metadata.tables["alerts"], metadata.tables["alert_causes"]
    async with product.database.begin() as session:
        row = alert_row(client, 7)
        key = (await session.scalars(insert(alerts).returning(alerts.c.id), [row])).one()
        await session.execute(insert(causes), [cause | {"alert_id": key}])
    first = rows(person.page, "Open").first
    await expect(first).to_contain_text("alert 7")
    await expect(first.locator("summary")).to_have_text(f"WhyLogin activity {signed(-12.5)}")
    await expect(verdict(first, "Useful")).to_have_attribute("aria-pressed", "false")
    assert person.asked_beyond("Alerts") == []
    # One from before causes were kept says nothing of them, and can be judged all the same.
    await raise_alerts(product.database, client, 8)
    await expect(first).to_contain_text("alert 8")
    await expect(first.get_by_text("Why")).to_have_count(0)
    await expect(verdict(first, "Wrong data")).to_be_visible()
    assert person.asked_beyond("Alerts") == []
    assert name in await first.inner_text()
    await change(product.database, "DELETE FROM alerts WHERE client_id = :id AND message LIKE 'alert %'", id=client)


async def test_one_click_says_what_an_alert_was_worth_and_another_changes_it(
    product: Product, visit: Open, look: Look
) -> None:
    for name, filter_, first in LISTS:
        alerts = await listed(product, filter_, first)
        place, alert = next((place, one) for place, one in enumerate(alerts) if not any(verdicts(one)))
        await product.data(GIVE, id=alert["id"], verdict="ALREADY_KNOWN")
        person = await visit("/alerts", look=look)
        row = rows(person.page, name).nth(place)
        await expect(verdict(row, "Already known said by 1")).to_have_attribute("aria-pressed", "false")
        for words, constant in (("Useful", "USEFUL"), ("Wrong data", "WRONG_DATA")):
            await verdict(row, words).click()
            await expect(verdict(row, f"{words} said by 1")).to_have_attribute("aria-pressed", "true")
            await expect(row.get_by_role("button", pressed=True)).to_have_count(1)
            # It shows at once, and is stored a moment later.
            await until_given(product, alert, [("ann", "ALREADY_KNOWN"), (SUBJECT, constant)])
        # What was said before is taken back, and saying the same again asks nothing.
        await expect(verdict(row, "Useful")).to_have_text("Useful")
        await verdict(row, "Wrong data").click()
        await verdict(row, "Already known").press("Enter")
        await expect(verdict(row, "Already known said by 2")).to_have_attribute("aria-pressed", "true")
        assert len(person.asked_beyond("Alerts")) == 3
        await person.page.reload()
        await expect(verdict(row, "Already known said by 2")).to_have_attribute("aria-pressed", "true")
        (after,) = [one for one in await listed(product, filter_, first) if one["id"] == alert["id"]]
        assert verdicts(after) == [0, 2, 0]


def verdicts(alert: Alert) -> list[int]:
    """Return how many have found an alert useful, known already, and wrong."""
    found = alert["feedback"]["verdicts"]
    return [found["useful"], found["alreadyKnown"], found["wrongData"]]


async def test_what_was_said_goes_with_an_alert_that_is_acknowledged(product: Product, visit: Open) -> None:
    alert = (await listed(product, OPEN))[2]
    name = alert["client"]["name"]
    page = (await visit("/alerts")).page
    row = rows(page, "Open").nth(2)
    await verdict(row, "Useful").click()
    await expect(verdict(row, "Useful")).to_have_attribute("aria-pressed", "true")
    await row.get_by_role("button", name=f"Acknowledge the alert of {name}").click()
    note = f"Said of {name}."
    await row.get_by_label("Note for your colleagues").fill(note)
    await row.get_by_role("button", name="Acknowledge alert").click()
    done = rows(page, "Acknowledged and resolved").filter(has_text=note)
    await expect(verdict(done, "Useful")).to_have_attribute("aria-pressed", "true")
    await expect(done.locator("summary")).to_have_text(line(alert))


async def test_a_verdict_that_does_not_arrive_is_told_and_not_shown(product: Product, visit: Open) -> None:
    alert = (await listed(product, OPEN))[3]
    before = await given(product, alert)
    person = await visit("/alerts")
    person.allow("ERR_CONNECTION_REFUSED")
    row = rows(person.page, "Open").nth(3)
    await expect(verdict(row, "Wrong data")).to_have_attribute("aria-pressed", "false")
    await person.page.route("**/graphql", lambda route: route.abort("connectionrefused"))
    await verdict(row, "Wrong data").click()
    await expect(row.get_by_role("alert")).to_contain_text("The server does not answer.")
    await expect(verdict(row, "Wrong data")).to_have_attribute("aria-pressed", "false")
    assert await given(product, alert) == before
    await person.page.unroute("**/graphql")
    await verdict(row, "Wrong data").click()
    await expect(verdict(row, "Wrong data")).to_have_attribute("aria-pressed", "true")
    await expect(row.get_by_role("alert")).to_have_count(0)
    await until_given(product, alert, sorted([*before, (SUBJECT, "WRONG_DATA")]))


async def test_the_page_of_a_client_says_why_and_asks_what_it_was_worth(
    product: Product, visit: Open, look: Look
) -> None:
    alert = next(one for one in await listed(product, OPEN) if len(one["causes"]) > 1 and not any(verdicts(one)))
    client = alert["client"]
    person = await visit(f"/clients/{client['id']}", look=look)
    alerts = section(person.page, "Alerts")
    own = await listed(product, OPEN | {"clientId": client["id"]})
    items = alerts.get_by_role("listitem")
    await expect(items.locator("summary")).to_have_text([line(one) for one in own])
    item = items.nth([one["id"] for one in own].index(alert["id"]))
    await item.locator("summary").click()
    await expect(item.get_by_text(alert["causes"][0]["explanation"])).to_be_visible()
    assert await figures(item.locator(".causes")) == unfolded(alert)
    await verdict(item, "Useful").click()
    await expect(verdict(item, "Useful said by 1")).to_have_attribute("aria-pressed", "true")
    await until_given(product, alert, [(SUBJECT, "USEFUL")])
    # It is the same on the way to the list of all, and after it was acknowledged.
    note = f"Looked at in the {look.scheme}."
    await item.get_by_role("button", name="Acknowledge").click()
    await item.get_by_label("Note for your colleagues").fill(note)
    await item.get_by_role("button", name="Acknowledge alert").click()
    done = items.filter(has_text=note)
    await verdict(done, "Already known").click()
    await expect(verdict(done, "Already known said by 1")).to_have_attribute("aria-pressed", "true")
    await expect(done.locator("summary")).to_have_text(line(alert))
    await until_given(product, alert, [(SUBJECT, "ALREADY_KNOWN")])
    await person.page.get_by_role("navigation").get_by_role("link", name="Alerts").click()
    row = rows(person.page, "Acknowledged and resolved").filter(has_text=note)
    await expect(verdict(row, "Already known said by 1")).to_have_attribute("aria-pressed", "true")
