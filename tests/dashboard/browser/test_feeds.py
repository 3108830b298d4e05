"""What the dashboard says of feeds: nothing loud while all deliver, and what it means when one has gone silent."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest
from playwright.async_api import Browser, Locator, expect

from app.database import Database
from app.embedded import Servers
from app.feeds.rules import FeedKind
from app.health.service import score_day
from tests.conftest import own_database
from tests.dashboard.browser.clients import everybody
from tests.dashboard.browser.conftest import Open, Visits
from tests.dashboard.browser.product import Product, running_product
from tests.dashboard.browser.visits import Look
from tests.feeds.helpers import go_silent

FEEDS = ["logins", "cases", "campaigns", "features", "tickets"]
# On this day, so many days ago, was the last delivery of each silent feed; after 3 days a feed is stale, and after 11
# nothing of it counts as measured.
SILENT = {FeedKind.LOGINS: 5, FeedKind.TICKETS: 12}


def day(value: date) -> str:
    """Return a day as it stands in a sentence of the page."""
    return f"{value:%-d %b}".replace("Sep", "Sept")


def spoken(value: date) -> str:
    """Return a day as it stands in an explanation."""
    return f"{value.day} {value:%B}"


@pytest.fixture(scope="module")
async def silent_product(
    chromium: Browser,
    servers: Servers,
    admin: asyncpg.Connection,
    demo_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Product]:
    """The demo portfolio, of which two feeds have gone silent, calculated today."""
    now = datetime.now(UTC)
    async with own_database(servers, admin, demo_template) as url:
        database = Database(url)
        async with database.begin() as session:
            connection = await session.connection()
            await connection.exec_driver_sql("DELETE FROM feed_days WHERE kind IN ('LOGINS', 'TICKETS')")
        for kind, days in SILENT.items():
            await go_silent(database, kind, now.date() - timedelta(days=days))
        await score_day(database, now, now)
        await database.close()
        own = replace(servers, database_url=url, redis_url=servers.redis_url.replace("db=0", "db=4"))
        async with running_product(chromium, own, tmp_path_factory.mktemp("silent")) as running:
            yield running


async def rows(panel: Locator) -> list[list[str]]:
    """Return what the panel says of each feed."""
    found: list[list[str]] = await panel.locator("dl > div").evaluate_all(
        "(rows) => rows.map((row) => [...row.children].map((cell) => cell.textContent))"
    )
    return found


async def test_while_all_feeds_deliver_one_quiet_line_says_so(visit: Open, look: Look) -> None:
    arrived = await visit(look=look)
    feeds = arrived.page.locator("details.feeds")
    await expect(feeds.locator("summary")).to_have_text("Data: all feeds current")
    await expect(arrived.page.locator(".silent-feeds")).to_have_count(0)
    assert len(arrived.asked) == 1
    await feeds.locator("summary").click()
    await expect(feeds.locator("dl > div")).to_have_count(len(FEEDS))
    assert [name for name, _ in await rows(feeds)] == [f"The {name} feed" for name in FEEDS]
    assert all(ago for _, ago in await rows(feeds))
    assert await arrived.violations() == []
    await arrived.page.keyboard.press("Escape")
    await expect(feeds.locator("dl")).to_be_hidden()


async def test_before_anything_was_delivered_there_is_nothing_to_say(empty_product: Product, visits: Visits) -> None:
    arrived = await visits(empty_product)
    await expect(arrived.page.get_by_text("No clients yet")).to_be_visible()
    await expect(arrived.page.locator(".feeds")).to_have_count(0)


async def test_a_silent_feed_is_told_of_with_what_it_means(silent_product: Product, visits: Visits, look: Look) -> None:
    arrived = await visits(silent_product, look=look)
    today = datetime.now(UTC).date()
    last = {kind: today - timedelta(days=days) for kind, days in SILENT.items()}
    until = last[FeedKind.LOGINS] + timedelta(days=9)
    await expect(arrived.page.locator(".silent-feeds li")).to_have_text(
        [
            f"The logins feed has been silent since {day(last[FeedKind.LOGINS])}. "
            f"Login scores stay as they were until {day(until)}.",
            f"The tickets feed has been silent since {day(last[FeedKind.TICKETS])}. "
            "Ticket scores are no longer measured.",
        ]
    )
    feeds = arrived.page.locator("details.feeds")
    await expect(feeds.locator("summary")).to_have_text("Data: 2 of 5 feeds silent")
    await feeds.locator("summary").click()
    assert [name for name, _ in await rows(feeds)] == [f"The {name} feed" for name in FEEDS]
    assert (await rows(feeds))[0][1] in {"5 days ago", "4 days ago"}
    # All of it can be seen, on a phone, too.
    box = await feeds.locator("dl").bounding_box()
    assert box is not None
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= look.width
    assert len(arrived.asked) == 1


async def test_a_component_that_is_kept_is_marked_on_the_card_and_on_the_clients_page(
    silent_product: Product, visits: Visits
) -> None:
    client = (await everybody(silent_product))[0]
    since = spoken(datetime.now(UTC).date() - timedelta(days=SILENT[FeedKind.LOGINS]))
    sentence = f"The logins feed has been silent since {since}, so this is the score of {since}."
    arrived = await visits(silent_product)
    card = arrived.page.locator("article.client").first
    await card.get_by_role("button", name="Components of").click()
    component = card.locator(".component").first
    await expect(component.locator(".tag")).to_have_text("Feed silent")
    await expect(component.locator(".component-why")).to_have_text(sentence)
    await expect(card.locator(".component.is-kept")).to_have_count(2)
    await arrived.page.goto(f"/clients/{client['id']}")
    part = arrived.page.locator(".part").first
    await expect(part.locator(".tag")).to_have_text("Feed silent")
    await expect(part).to_contain_text(sentence)
    await expect(arrived.page.locator(".part.is-kept")).to_have_count(2)
    lapsed = arrived.page.locator(".part").last
    await expect(lapsed).to_contain_text("Not measured")
    await expect(lapsed).to_contain_text("so ticket volume is no longer measured")
