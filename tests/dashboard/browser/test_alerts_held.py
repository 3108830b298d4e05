"""Held alerts: marked wherever they are shown, and decided about by administrators, without a reload."""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from app.alerts import holding
from app.auth.tokens import Role
from app.graphql.pagination import global_id
from tests.dashboard.browser.clients import section
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import Product
from tests.dashboard.browser.test_alerts import expect_open, number_open, some_client
from tests.dashboard.browser.test_pages import overflow
from tests.dashboard.browser.visits import ALL_LOOKS, Look
from tests.factories import add_rows, rows_of
from tests.graphql.live import alert_row, change, claimed, finish, new_run, raise_alerts

# More than one page of them.
NUMBER = 25
BROKEN = "A feed has probably broken, and nobody has been told."
MARK = "Held: nobody has been told of it yet"
STATES = (
    "SELECT held, status, discarded_at IS NOT NULL, count(*) FROM alerts WHERE message LIKE 'alert %' GROUP BY 1, 2, 3"
)
HELD = [(True, "OPEN", False, NUMBER)]
DECIDE = "mutation { %s(input: {}) { __typename ... on HeldAlerts { count } } }"


@pytest.fixture
async def client(product: Product) -> AsyncIterator[int]:
    """A client with alerts that a recalculation yesterday raised and that are held, for as long as a test lasts."""
    key, _ = await some_client(product)
    yesterday = datetime.now(UTC) - timedelta(days=1)
    run = {"kind": "RECALCULATE_ALL", "status": "SUCCEEDED", "requested_by": "schedule", "requested_at": yesterday}
    (run_id,) = await add_rows(product.database, "runs", [run | {"finished_at": yesterday}])
    rows = [alert_row(key, number) for number in range(NUMBER)]
    held = {"held": True, "run_id": run_id, "raised_at": yesterday}
    await add_rows(product.database, "alerts", [row | held for row in rows])
    yield key
    await change(product.database, "DELETE FROM alerts WHERE client_id = :id AND message LIKE 'alert %'", id=key)


@pytest.fixture
async def told(product: Product, client: int) -> int:
    """The number of open alerts that people have been told of, beside those that are held."""
    return await number_open(product) - NUMBER


def held_section(page: Page) -> Locator:
    """Return the section of held alerts."""
    return page.get_by_role("region", name=re.compile(r"held$"))


async def states(product: Product) -> list[tuple[Any, ...]]:
    """Return whether the test's alerts are held, their status, and whether they were discarded, with their number."""
    return [tuple(row) for row in await rows_of(product.database, STATES)]


async def confirm(page: Page, decision: str) -> Locator:
    """Ask for a decision and return the dialog, which asks whether it is meant."""
    await held_section(page).get_by_role("button", name=decision).click()
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text(f"{NUMBER} alerts?")
    return dialog


async def expect_decided(page: Page, words: str) -> None:
    """Wait until nothing is held, the decision is told, and the focus is where the work goes on."""
    await expect(held_section(page)).to_have_count(0)
    await expect(page.get_by_role("status").filter(has_text=words)).to_be_visible()
    await expect(page.get_by_role("heading", name="Open")).to_be_focused()


async def test_held_alerts_are_told_apart_with_the_reason(product: Product, visit: Open, told: int, look: Look) -> None:
    person = await visit("/alerts", role=Role.PLATFORM_ADMIN, look=look)
    page = person.page
    # Nobody was told of them: they are not among the open ones, nor do they count as such.
    await expect_open(page, told)
    held = held_section(page)
    await expect(held.get_by_role("heading", level=2)).to_have_text(f"{NUMBER} alerts held")
    await expect(held).to_contain_text(BROKEN)
    await expect(page.get_by_role("region").nth(1)).to_have_accessible_name(re.compile("^Open"))
    await expect(page.get_by_role("region", name="Open").get_by_text("alert 1")).to_have_count(0)
    await expect(held.get_by_role("listitem")).to_have_count(0)
    await held.get_by_text("Which alerts").click()
    await expect(held.get_by_role("listitem")).to_have_count(20)
    assert person.asked_beyond("Alerts") == []
    await held.get_by_role("button", name="Show more held alerts").click()
    await expect(held.get_by_role("listitem")).to_have_count(NUMBER)
    await expect(held.get_by_role("button", name="Acknowledge")).to_have_count(0)
    assert await states(product) == HELD


async def test_held_alerts_fit_and_are_accessible_in_light_and_dark(visit: Open, told: int) -> None:
    person = await visit("/alerts", role=Role.PLATFORM_ADMIN)
    await expect_open(person.page, told)
    await held_section(person.page).get_by_text("Which alerts").click()
    for look in ALL_LOOKS:
        await person.show(look)
        for asking in (False, True):
            if asking:
                await confirm(person.page, "Discard")
            assert await person.violations() == [], (look, asking)
            assert await overflow(person.page) == [], (look, asking)
        await person.page.keyboard.press("Escape")
        await expect(person.page.get_by_role("dialog")).to_have_count(0)


async def test_others_are_told_that_alerts_are_held_and_cannot_decide(
    product: Product, visit: Open, told: int, look: Look
) -> None:
    page = (await visit("/alerts", look=look)).page
    await expect_open(page, told)
    await expect(held_section(page)).to_contain_text(BROKEN)
    await expect(held_section(page)).to_contain_text("An administrator decides whether they are right.")
    await expect(held_section(page).get_by_role("button")).to_have_count(0)
    # They are everybody's concern, whoever's alerts are looked at.
    owner = (await page.get_by_label("Owner").locator("option").nth(1).get_attribute("value")) or ""
    await page.get_by_label("Owner").select_option(owner)
    await expect(page).to_have_url(re.compile("owner="))
    await expect(held_section(page).get_by_role("heading", level=2)).to_have_text(f"{NUMBER} alerts held")


async def test_released_alerts_are_open_at_once_for_everybody(
    product: Product, visit: Open, client: int, told: int, look: Look
) -> None:
    administrator = await visit("/alerts", role=Role.PLATFORM_ADMIN, look=look)
    colleague, elsewhere = await visit("/alerts"), await visit("/benchmarks")
    for person in (administrator, colleague):
        await expect_open(person.page, told)
    await elsewhere.live()
    page = administrator.page
    dialog = await confirm(page, "Release")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(dialog).to_have_count(0)
    assert await states(product) == HELD
    await (await confirm(page, "Release")).get_by_role("button", name="Release alerts").click()
    await expect_decided(page, f"{NUMBER} alerts were released.")
    assert await states(product) == [(False, "OPEN", False, NUMBER)]
    for person in (administrator, colleague):
        await expect_open(person.page, told + NUMBER)
        await expect(held_section(person.page)).to_have_count(0)
    await expect(elsewhere.page.get_by_role("navigation").get_by_role("link", name="Alerts")).to_contain_text(
        str(told + NUMBER)
    )
    # What comes afterwards is counted once, too.
    await raise_alerts(product.database, client, 99)
    for person in (administrator, colleague):
        await expect_open(person.page, told + NUMBER + 1)
        await expect(person.page.get_by_role("region", name="Open").get_by_role("listitem").first).to_contain_text(
            "alert 99"
        )


async def test_very_many_are_released_in_batches_and_are_nobodys_to_decide_meanwhile(
    product: Product, visit: Open, client: int, told: int, look: Look
) -> None:
    [(run_id, raised_at)] = await rows_of(
        product.database, "SELECT run_id, max(raised_at) FROM alerts WHERE held GROUP BY 1"
    )
    held_too = {"held": True, "run_id": run_id, "raised_at": raised_at - timedelta(hours=1)}
    many = holding.RELEASED_AT_ONCE
    await add_rows(
        product.database, "alerts", [alert_row(client, number + NUMBER) | held_too for number in range(many)]
    )
    page = (await visit("/alerts", role=Role.PLATFORM_ADMIN, look=look)).page
    await expect_open(page, told)
    held = held_section(page)
    await expect(held).to_contain_text(BROKEN)
    await held.get_by_role("button", name="Release").click()
    await page.get_by_role("dialog").get_by_role("button", name="Release alerts").click()
    await expect(page.get_by_role("status").filter(has_text="1,025 alerts were released.")).to_be_visible()
    await expect(held.get_by_role("heading", level=2)).to_have_text(f"{NUMBER} alerts held")
    await expect(held).to_contain_text("They are being released")
    await expect(held).not_to_contain_text(BROKEN)
    await expect(held.get_by_role("button")).to_have_count(0)
    opened = page.get_by_role("heading", name="Open")
    await expect(opened).to_be_focused()
    await expect(opened).to_have_text(f"Open {told + many:,}")
    # The turn of the others comes without a reload, and takes the focus from nobody.
    await page.get_by_label("Owner").focus()
    async with product.database.begin() as session:
        assert await holding.release_next(session) == NUMBER
    await expect(held).to_have_count(0)
    await expect(opened).to_have_text(f"Open {told + NUMBER + many:,}")
    await expect(page.get_by_label("Owner")).to_be_focused()


async def test_discarded_alerts_say_that_nobody_was_told(product: Product, visit: Open, told: int, look: Look) -> None:
    person = await visit("/alerts", role=Role.PLATFORM_ADMIN, look=look)
    page = person.page
    await expect_open(page, told)
    await (await confirm(page, "Discard")).get_by_role("button", name="Discard alerts").press("Enter")
    await expect_decided(page, f"{NUMBER} alerts were discarded.")
    await expect_open(page, told)
    assert await states(product) == [(False, "RESOLVED", True, NUMBER)]
    row = (
        page.get_by_role("region", name="Acknowledged and resolved").get_by_role("listitem").filter(has_text="alert 7")
    )
    await page.get_by_role("button", name="Show more earlier alerts").click()
    await expect(row).to_contain_text("Discarded just now: a feed had broken, and nobody was told")
    await expect(row).not_to_contain_text("healthy again")


async def test_a_decision_that_does_not_arrive_is_told_and_changes_nothing(
    product: Product, visit: Open, told: int
) -> None:
    person = await visit("/alerts", role=Role.PLATFORM_ADMIN)
    person.allow("ERR_CONNECTION_REFUSED")
    await expect_open(person.page, told)
    dialog = await confirm(person.page, "Release")
    await person.page.route("**/graphql", lambda route: route.abort("connectionrefused"))
    await dialog.get_by_role("button", name="Release alerts").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("The server does not answer.")
    await dialog.get_by_role("button", name="Cancel").click()
    await expect(held_section(person.page).get_by_role("heading", level=2)).to_have_text(f"{NUMBER} alerts held")
    assert await states(product) == HELD


async def test_whoever_decides_second_is_told_so(product: Product, visit: Open, told: int) -> None:
    person = await visit("/alerts", role=Role.PLATFORM_ADMIN)
    await expect_open(person.page, told)
    dialog = await confirm(person.page, "Release")
    answer = await product.data(DECIDE % "discardHeldAlerts")
    assert answer == {"discardHeldAlerts": {"__typename": "HeldAlerts", "count": NUMBER}}
    await dialog.get_by_role("button", name="Release alerts").click()
    await expect_decided(person.page, "Somebody else has decided about them already.")
    await expect_open(person.page, told)
    assert await states(product) == [(False, "RESOLVED", True, NUMBER)]


async def test_while_all_are_recalculated_nothing_is_to_be_decided(
    product: Product, visit: Open, told: int, ended_runs: None
) -> None:
    key, _ = await new_run(product.database)
    claim = await claimed(product.database, key)
    person = await visit("/alerts", role=Role.PLATFORM_ADMIN)
    await expect_open(person.page, told)
    held = held_section(person.page)
    await expect(held).to_contain_text("All clients are being recalculated.")
    await expect(held.get_by_role("button")).to_have_count(0)
    await finish(product.database, claim)
    await expect(held).to_contain_text(BROKEN)
    await expect(held.get_by_role("button", name="Release")).to_be_visible()
    assert len(person.asked) >= 2
    assert person.asked_beyond("Alerts") == []


async def test_the_page_of_a_client_marks_what_is_held(product: Product, visit: Open, client: int, look: Look) -> None:
    await change(product.database, "DELETE FROM alerts WHERE message LIKE 'alert _%' AND message <> 'alert 1'")
    id_ = global_id("Client", client)
    person = await visit(f"/clients/{id_}", look=look)
    page = person.page
    item = section(page, "Alerts").get_by_role("listitem").filter(has_text="alert 1")
    await expect(item).to_contain_text(MARK)
    await expect(item.get_by_role("button", name="Acknowledge")).to_have_count(0)
    await person.live()
    await product.data(DECIDE % "releaseHeldAlerts")
    # The release comes by itself.
    await expect(item.get_by_text(MARK)).to_have_count(0)
    await expect(item.get_by_role("button", name="Acknowledge")).to_be_visible()
