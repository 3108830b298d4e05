"""What makes a test of the dashboard fail does make it fail."""

import pytest
from playwright.async_api import Browser, Route

from tests.dashboard.browser.visits import REPORT_VIOLATIONS, Visit

POLICY = "default-src 'self'; script-src 'self' 'unsafe-inline'; require-trusted-types-for 'script'"
DOCUMENT = '<!doctype html><html lang="en"><title>A page</title><main><h1>A page</h1>{}</main></html>'


async def visit_to(chromium: Browser, content: str, *, policy: str = POLICY, header: str = "") -> Visit:
    """Open a page with this in it, which no server is needed for."""
    context = await chromium.new_context(base_url="http://dashboard.test")
    await context.add_init_script(REPORT_VIOLATIONS)
    page = await context.new_page()

    async def answer(route: Route) -> None:
        if route.request.url.endswith("/gone"):
            await route.fulfill(status=410)
        elif route.request.url.endswith("/unreachable"):
            await route.abort("connectionrefused")
        else:
            headers = {header or "Content-Security-Policy": policy}
            await route.fulfill(content_type="text/html", headers=headers, body=DOCUMENT.format(content))

    await context.route("**/*", answer)
    visit = Visit(context, page)
    await page.goto("/", wait_until="networkidle")
    return visit


async def test_a_page_without_faults_passes(chromium: Browser) -> None:
    visit = await visit_to(chromium, "<p>Nothing is wrong.</p>")
    await visit.end()
    await visit.page.context.close()


async def test_whatever_goes_wrong_in_a_page_fails_the_test(chromium: Browser) -> None:
    faults = {
        "<script>console.error('oh')</script>": "console error: oh",
        "<script>console.warn('hm')</script>": "console warning: hm",
        "<script>setTimeout(() => { throw new Error('thrown'); })</script>": "uncaught: Error: thrown",
        "<script>Promise.reject(new Error('rejected'))</script>": "uncaught: Error: rejected",
        "<p style='color: red'>Red</p>": "securitypolicyviolation: style-src-attr",
        "<script>document.querySelector('h1').innerHTML = 'x'</script>": "require-trusted-types-for",
        "<script>fetch('/gone')</script>": "status 410: GET http://dashboard.test/gone",
        "<script>fetch('/unreachable').catch(() => 0)</script>": "failed: GET http://dashboard.test/unreachable",
        "<img src='/picture'>": "image-alt",
        "<b>Faint</b><script>document.querySelector('b').style.color = '#bbb'</script>": "color-contrast",
    }
    visit = await visit_to(chromium, "".join(faults))
    with pytest.raises(AssertionError) as failure:
        await visit.end()
    assert [fault for fault in faults.values() if fault not in str(failure.value)] == []
    await visit.page.context.close()


async def test_a_policy_that_only_reports_fails_the_test_as_well(chromium: Browser) -> None:
    visit = await visit_to(chromium, "<p style='color: red'>Red</p>", header="Content-Security-Policy-Report-Only")
    with pytest.raises(AssertionError, match="securitypolicyviolation: style-src-attr"):
        await visit.end()
    await visit.page.context.close()


async def test_only_what_a_test_allows_passes(chromium: Browser) -> None:
    visit = await visit_to(chromium, "<script>console.error('meant'); console.error('not meant')</script>")
    visit.allow("^console error: meant")
    with pytest.raises(AssertionError) as failure:
        await visit.end()
    assert "console error: not meant" in str(failure.value)
    assert "console error: meant" not in str(failure.value)
    await visit.page.context.close()
