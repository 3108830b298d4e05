"""What the page of one client shows, compared with what the API answers."""

import re
from typing import Any

import pytest
from playwright.async_api import Page, expect

from tests.dashboard.browser.clients import WORDS, Client, day, everybody, read, section, table
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.visits import Look

RISKS = {"LOW": "Low risk", "MEDIUM": "Medium risk", "HIGH": "High risk"}


async def some_scored(product: Product) -> str:
    """Return the id of a client whose health is in the middle, with something of everything."""
    return str((await everybody(product))[40]["id"])


async def test_everything_on_the_page_is_what_the_api_says(product: Product, visit: Open, look: Look) -> None:
    client = await read(product, await some_scored(product))
    person = await visit(f"/clients/{client['id']}", look=look)
    page, health = person.page, client["health"]
    await expect(page.get_by_role("heading", level=1)).to_have_text(client["name"])
    await expect(page).to_have_title(f"{client['name']} · Client Health")
    assert len(person.asked) == 1
    now = section(page, "Health").first
    light = WORDS[health["trafficLight"]]
    await expect(now.get_by_role("img", name=f"Score {health['score']} of 100, {light}")).to_be_visible()
    for words in (light, RISKS[health["riskLevel"]], "of the score's weight was measured", "calculated"):
        await expect(now).to_contain_text(words)
    assert await table(page, "Health score, last 90 days") == [
        [day(point["date"]), str(point["score"]), WORDS[point["trafficLight"]]] for point in client["healthHistory"]
    ]
    parts = section(page, "What makes the score").get_by_role("listitem")
    for part, component in zip(await parts.all(), health["components"], strict=True):
        score = "Not measured" if not component["measured"] else str(component["score"])
        for words in (component["label"], f"weight {component['weight']} %", score, component["explanation"]):
            await expect(part).to_contain_text(words)
    await expect_usage(page, client["usage"])
    await expect_features(page, client)


async def expect_usage(page: Page, usage: dict[str, Any]) -> None:
    """Compare the four figures and all bars."""
    summary, daily = usage["summary"], usage["daily"]
    peak = re.sub(r" \d{4}$", "", day(summary["peakDay"]))
    figures = section(page, "Usage, last 30 days").get_by_role("definition")
    minutes = f"{summary['avgSessionMinutes']:.1f}".removesuffix(".0")
    await expect(figures).to_have_text(
        [f"{summary['totalLogins']:,}", str(summary["uniqueUsers"]), f"{minutes} min", peak]
    )
    assert await table(page, "Logins a day") == [[day(one["date"]), str(one["logins"])] for one in daily]
    assert await table(page, "Cases a day") == [
        [day(one["date"]), str(one["casesCreated"]), str(one["casesResolved"])] for one in daily
    ]
    assert await table(page, "Campaign responses a day") == [
        [day(one["date"]), str(one["campaignResponses"])] for one in daily
    ]


async def expect_features(page: Page, client: Client) -> None:
    """Compare the grid of features by category, and how much of each is adopted."""
    features, adoption = section(page, "Features").first, client["featureAdoption"]
    await expect(features).to_contain_text(f"{round(adoption['adoptionRate'], 1):g} % adopted")
    await expect(features).to_contain_text(f"{adoption['usedCount']} of {adoption['enabledCount']} enabled features")
    for category in ("Core", "Advanced", "Integration", "Reporting"):
        members = [one for one in client["features"] if one["category"] == category.upper()]
        group = features.get_by_role("region", name=category)
        for row, feature in zip(await group.get_by_role("listitem").all(), members, strict=True):
            state = "Not enabled" if not feature["enabled"] else "Last used" if feature["adopted"] else "Never used"
            await expect(row).to_contain_text(feature["name"])
            await expect(row).to_contain_text(state)
        enabled = [one for one in members if one["enabled"]]
        if enabled:
            adopted = sum(one["adopted"] for one in enabled)
            await expect(group).to_contain_text(f"{adopted} of {len(enabled)}")


async def test_the_line_is_walked_by_keyboard_and_by_pointer(product: Product, visit: Open, look: Look) -> None:
    client = await read(product, await some_scored(product))
    history = client["healthHistory"]
    page = (await visit(f"/clients/{client['id']}", look=look)).page
    line = page.get_by_role("slider", name="Health score, last 90 days")
    tip = page.locator(".chart-tooltip")

    async def expect_day(point: dict[str, Any]) -> None:
        words = f"{day(point['date'])}: {point['score']}, {WORDS[point['trafficLight']]}"
        await expect(line).to_have_attribute("aria-valuetext", words)
        await expect(tip).to_contain_text(f"{point['score']} {WORDS[point['trafficLight']]}")
        await expect(tip).to_contain_text(day(point["date"]))

    await line.focus()
    await expect_day(history[-1])
    for key, point in (("ArrowLeft", history[-2]), ("PageDown", history[-9]), ("Home", history[0])):
        await line.press(key)
        await expect_day(point)
    await line.press("ArrowLeft")
    await expect_day(history[0])
    await line.press("Escape")
    await expect(tip).to_have_count(0)
    await line.blur()
    box = await line.bounding_box()
    assert box is not None
    # The newest day is the right end of the plot, behind which the names of the bands stand.
    await page.mouse.move(box["x"] + box["width"] - 60, box["y"] + 40)
    await expect_day(history[-1])
    await page.mouse.move(0, 0)
    await expect(tip).to_have_count(0)


async def test_recent_activity_goes_on_where_the_first_page_ends(product: Product, visit: Open) -> None:
    client = await read(product, await some_scored(product))
    descriptions = [edge["node"]["description"] for edge in client["recentActivity"]["edges"]]
    assert len(descriptions) == 28
    page = (await visit(f"/clients/{client['id']}")).page
    items = section(page, "Recent activity").get_by_role("listitem").locator("span:last-of-type")
    await expect(items).to_have_text(descriptions[:8])
    await section(page, "Recent activity").get_by_role("button", name="Show more").click()
    await expect(items).to_have_text(descriptions)


async def test_an_unscored_client_says_what_is_missing_and_is_never_critical(
    product: Product, visit: Open, look: Look
) -> None:
    unscored = next(one for one in await everybody(product, "NAME") if one["health"]["score"] is None)
    client = await read(product, unscored["id"])
    page = (await visit(f"/clients/{client['id']}", look=look)).page
    now = section(page, "Health").first
    await expect(now.get_by_role("img", name="Not scored")).to_be_visible()
    coverage = client["health"]["coverage"]
    await expect(now).to_contain_text(f"{coverage} % of the score's weight could be measured")
    await expect(now).to_contain_text("a score takes at least 50 %")
    # The line's bands have these names, too; what is said of the client does not.
    shown = (await now.locator(".health-words").inner_text()).replace("counts as neither healthy nor critical", "")
    assert not re.search("critical|at risk|high risk", shown, re.IGNORECASE)
    parts = section(page, "What makes the score").get_by_role("listitem")
    for part, component in zip(await parts.all(), client["health"]["components"], strict=True):
        await expect(part).to_contain_text(component["explanation"])
        if not component["measured"]:
            await expect(part).to_contain_text("Not measured")
        # What is written beside the name does not run into it.
        apart: bool = await part.locator(".part-head").evaluate("""(head) => {
          const [name, value] = head.children;
          return name.getBoundingClientRect().left + name.scrollWidth <= value.getBoundingClientRect().left;
        }""")
        assert apart
    await expect(page.get_by_role("button", name="Recalculate")).to_be_enabled()


@pytest.mark.parametrize("id_", ["nonsense", "WyJDbGllbnQiLDk5OTk5OTld", "%00"])
async def test_a_client_that_does_not_exist_is_not_found(visit: Open, look: Look, id_: str) -> None:
    page = (await visit(f"/clients/{id_}", look=look)).page
    await expect(page.get_by_role("heading", level=1)).to_have_text("There is no such client")
    await expect(page).to_have_title("Client not found · Client Health")
    await expect(page.get_by_role("link", name="Go to the portfolio")).to_have_attribute("href", "/")


async def test_a_page_that_cannot_be_loaded_says_so_and_tries_again(product: Product, visit: Open) -> None:
    client = await read(product, await some_scored(product))
    person = await visit("/alerts")
    person.allow("ERR_CONNECTION_REFUSED")
    await person.page.route("**/graphql", lambda route: route.abort("connectionrefused"))
    await person.page.evaluate(
        "(path) => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')) }",
        f"/clients/{client['id']}",
    )
    await expect(person.page.get_by_role("alert")).to_contain_text("The server does not answer.")
    await person.page.unroute("**/graphql")
    await person.page.get_by_role("button", name="Try again").click()
    await expect(person.page.get_by_role("heading", level=1)).to_have_text(client["name"])
