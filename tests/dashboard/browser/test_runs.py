"""The page of runs: for administrators, live, and honest about what went wrong."""

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from playwright.async_api import Locator, Page, expect

from app.auth.tokens import Role
from app.graphql.pagination import global_id
from app.health.requests import recalculate_all
from app.runs import service
from app.runs.models import RunKind
from tests.dashboard.browser.conftest import Open
from tests.dashboard.browser.product import SUBJECT, Product
from tests.dashboard.browser.visits import Look
from tests.factories import rows_of
from tests.graphql.live import claimed, finish, new_run

pytestmark = pytest.mark.usefixtures("ended_runs")

RUNS = "{ runs(first: 1) { edges { node { kind status total done failed requestedBy } } } }"


async def newest(product: Product) -> dict[str, Any]:
    """Return the newest run as the API answers it."""
    run: dict[str, Any] = (await product.data(RUNS))["runs"]["edges"][0]["node"]
    return run


def first_row(page: Page) -> Locator:
    """Return the row of the newest run."""
    return page.locator(".run-row").first


async def test_runs_are_for_administrators(visit: Open, look: Look) -> None:
    page = (await visit("/runs", look=look)).page
    await expect(page.get_by_text("This page is for administrators.")).to_be_visible()
    await expect(page.get_by_role("navigation").get_by_role("link", name="Runs")).to_have_count(0)
    await expect(page.get_by_role("button", name="Recalculate all")).to_have_count(0)
    await page.get_by_role("link", name="Go to the portfolio").click()
    await expect(page.get_by_role("heading", level=1)).to_have_text("Portfolio")


async def test_recalculating_all_ends_with_the_new_scores_in_place(product: Product, visit: Open, look: Look) -> None:
    admin = await visit("/", role=Role.PLATFORM_ADMIN, look=look)
    page = admin.page
    await page.get_by_role("navigation").get_by_role("link", name="Runs").click()
    rows = page.locator(".run-row")
    await expect(rows.first).to_be_visible()
    before = await rows.count()
    await page.get_by_role("button", name="Recalculate all").click()
    await expect(rows).to_have_count(before + 1)
    row = first_row(page)
    await expect(row).to_contain_text(SUBJECT)
    # The worker may have been started a moment ago, on a machine that has a lot to do.
    await expect(row).to_contain_text("Finished", timeout=45_000)
    run = await newest(product)
    assert run["status"] == "SUCCEEDED"
    assert run["requestedBy"] == SUBJECT
    assert run["done"] == run["total"] > 0
    await expect(row).to_contain_text(f"{run['done']} of {run['total']}")
    await expect(page.get_by_role("status").filter(has_text="Recalculation of all clients finished")).to_be_visible()
    await expect(page.get_by_role("button", name="Recalculate all")).to_be_enabled()


async def test_progress_is_shown_as_it_is_made(product: Product, visit: Open, look: Look) -> None:
    database = product.database
    admin = await visit("/runs", role=Role.PLATFORM_ADMIN, look=look)
    page = admin.page
    await expect(page.get_by_role("button", name="Recalculate all")).to_be_enabled()
    async with database.begin() as session:
        # Without a queue to send to, so that no worker takes it up.
        key = await recalculate_all(session, requested_by="bob@example.com", now=datetime.now(UTC))
    # The server joins whoever asks for what is under way already.
    await page.get_by_role("button", name="Recalculate all").click()
    await expect(first_row(page)).to_contain_text("Waiting")
    await expect(page.get_by_role("button", name="Recalculating all")).to_be_visible()
    claim = await claimed(database, key)
    await expect(first_row(page)).to_contain_text("Running")
    bar = first_row(page).get_by_role("progressbar")
    async with database.begin() as session:
        await service.start(session, claim, 200)
    for done, share in ((50, "25"), (150, "75")):
        await advance_to(product, claim, done)
        await expect(bar).to_have_attribute("aria-valuenow", share)
        await expect(bar).to_have_attribute("aria-valuetext", f"{done} of 200")
    # Somebody who comes only now sees the same.
    colleague = (await visit("/runs", role=Role.PLATFORM_ADMIN, look=look)).page
    await expect(first_row(colleague).get_by_role("progressbar")).to_have_attribute("aria-valuenow", "75")
    await advance_to(product, claim, 200)
    await finish(database, claim)
    for one in (page, colleague):
        await expect(first_row(one)).to_contain_text("Finished")
        await expect(first_row(one)).to_contain_text("200 of 200")
        await expect(bar).to_have_count(0)
    assert len(admin.asked) == 2  # The list, and the mutation.


async def advance_to(product: Product, claim: service.Claim, done: int) -> None:
    """Bring a run's count of what is done to this number."""
    [(so_far,)] = await rows_of(product.database, "SELECT done FROM runs WHERE id = :id", id=claim.id)
    async with product.database.begin() as session:
        await service.advance(session, claim, done=done - so_far, position=0)


async def test_a_run_that_ended_on_this_page_has_the_portfolio_asked_for_again(product: Product, visit: Open) -> None:
    page = (await visit("/", role=Role.PLATFORM_ADMIN)).page
    await expect(page.locator("article.client").first).to_be_visible()
    key, _ = await new_run(product.database)
    await page.get_by_role("navigation").get_by_role("link", name="Runs").click()
    await expect(first_row(page)).to_contain_text("Waiting")
    await finish(product.database, await claimed(product.database, key))
    await expect(first_row(page)).to_contain_text("Finished")
    async with page.expect_request(lambda request: "query Portfolio(" in (request.post_data or "")):
        await page.go_back()


async def test_failures_are_listed_by_client_with_links(product: Product, visit: Open, look: Look) -> None:
    clients = await rows_of(product.database, "SELECT id, name FROM clients ORDER BY id LIMIT 2")
    key, _ = await new_run(product.database)
    claim = await claimed(product.database, key)
    async with product.database.begin() as session:
        await service.start(session, claim, 3)
        failures = {client: f"The facts of {name} contradict each other." for client, name in clients}
        await service.advance(session, claim, done=1, position=0, failures=failures)
    await finish(product.database, claim)
    page = (await visit("/runs", role=Role.PLATFORM_ADMIN, look=look)).page
    row = first_row(page)
    await expect(row).to_contain_text("With errors")
    await expect(row).to_contain_text("1 of 3")
    await row.get_by_text("2 clients failed").click()
    for client, name in clients:
        failure = row.get_by_role("listitem").filter(has_text=f"The facts of {name} contradict each other.")
        await expect(failure.get_by_role("link", name=name)).to_have_attribute(
            "href", f"/clients/{global_id('Client', client)}"
        )
    await row.get_by_role("link", name=clients[0][1]).click()
    await expect(page.get_by_role("heading", level=1)).to_contain_text(clients[0][1])


async def test_a_run_that_failed_says_why(product: Product, visit: Open) -> None:
    key, _ = await new_run(product.database, RunKind.IMPORT)
    claim = await claimed(product.database, key)
    page = (await visit("/runs", role=Role.PLATFORM_ADMIN)).page
    await expect(first_row(page)).to_contain_text("Running")
    async with product.database.begin() as session:
        await service.fail(session, claim, "The file clients.csv could not be read.")
    await expect(first_row(page)).to_contain_text(re.compile("Failed.*Import.*clients.csv could not be read."))
    notice = page.get_by_role("status").filter(has_text="Import failed")
    await expect(notice).to_contain_text("The file clients.csv could not be read.")
    # What went wrong stays until somebody has read it.
    await notice.get_by_role("button", name="Close this message").click()
    await expect(notice).to_have_count(0)


async def test_an_import_counts_the_rows_that_it_rejected(product: Product, visit: Open, look: Look) -> None:
    key, _ = await new_run(product.database, RunKind.IMPORT)
    claim = await claimed(product.database, key)
    async with product.database.begin() as session:
        await service.start(session, claim, 300)
        await service.progress(session, claim, done=80, failed=220)
    await finish(product.database, claim)
    page = (await visit("/runs", role=Role.PLATFORM_ADMIN, look=look)).page
    row = first_row(page)
    await expect(row).to_contain_text("80 of 300")
    await expect(row.get_by_text("220 rows rejected", exact=True)).to_be_visible()
    # There is no list to unfold, and so nothing to say of its length.
    await expect(row.get_by_role("group")).to_have_count(0)
    await expect(row).not_to_contain_text("These are the first")
