"""Somebody who sits before the dashboard in a real browser, and what the browser complains about meanwhile."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any, NamedTuple

import orjson
from playwright.async_api import BrowserContext, ConsoleMessage, Page, Request, Response, WebError

PATIENCE_MS = 10_000

# A violation is an event of the document in every mode, also where the console stays silent.
REPORT_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`securitypolicyviolation: ${event.effectiveDirective} ${event.blockedURI} ${event.sample}`));
"""

AXE = (files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
# What is halfway through a transition has colours that nobody chose: axe looks at the page when it has come to rest.
# It would put style sheets that others import into the page to read them (`preload`), which the page's policy forbids.
RUN_AXE = """
async () => {
  const finite = document.getAnimations().filter((one) => one.effect.getComputedTiming().endTime !== Infinity);
  await Promise.allSettled(finite.map((one) => one.finished));
  const { violations } = await window.axe.run(document, { preload: false, resultTypes: ["violations"] });
  return violations.flatMap(({ id, help, nodes }) =>
    nodes.map((node) => `${id} (${help}) at ${node.target.join(" ")}: ${node.failureSummary}`));
}
"""

# A request that the page itself gives up, since a newer one takes its place or the page goes, did not fail.
GIVEN_UP = "net::ERR_ABORTED"


class Look(NamedTuple):
    """What the page is shown with."""

    scheme: str
    width: int

    @property
    def height(self) -> int:
        """The height of a window of this width: a phone's, or a laptop's."""
        return 780 if self.width < 600 else 900


WIDE = Look("light", 1440)
NARROW = Look("dark", 360)
# Two of the four show what each colour scheme and each width does; the accessibility tests go through all of them.
LOOKS = [WIDE, NARROW]
ALL_LOOKS = [Look(scheme, width) for scheme in ("light", "dark") for width in (1440, 360)]


class Visit:
    """One person's browser window: the page, what it asked of the API, and what went wrong in it."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.page = page
        # Every GraphQL request of the page as it was posted, subscriptions and those of the frame around it left out.
        self.asked: list[dict[str, Any]] = []
        # Every request for what the frame alone shows.
        self.recounted: list[dict[str, Any]] = []
        # Every subscription that the page opened.
        self.subscribed: list[dict[str, Any]] = []
        self.faults: list[str] = []
        self._live = asyncio.Event()
        self._allowed: list[re.Pattern[str]] = []
        context.on("console", self._on_console)
        context.on("weberror", self._on_error)
        context.on("request", self._on_request)
        context.on("requestfailed", self._on_failed)
        context.on("response", self._on_response)

    def allow(self, pattern: str) -> None:
        """Let faults pass that the test brings about on purpose, as those of a server that it stops."""
        self._allowed.append(re.compile(pattern))

    async def live(self) -> None:
        """Wait until this page is told of alerts, which is what every page listens for last."""
        async with asyncio.timeout(PATIENCE_MS / 1000):
            await self._live.wait()

    def asked_beyond(self, name: str) -> list[str]:
        """Return what the page has asked for beyond the query of this name.

        A list of alerts that was shown before the page was live is asked for once more when it is.
        """
        documents: list[str] = [one["query"].strip() for one in self.asked]
        return [document for document in documents if not document.startswith(f"query {name}(")]

    @asynccontextmanager
    async def typing(self) -> AsyncIterator[None]:
        """Hold the page's clock, so that however long the letters take on a busy machine, they come without a rest."""
        await self.page.clock.install()
        # The page's clock may be a little ahead of this process's.
        await self.page.clock.pause_at(datetime.now(UTC) + timedelta(seconds=10))
        yield
        await self.page.clock.resume()

    async def violations(self) -> Sequence[str]:
        """Return what axe finds in the page as it stands now."""
        if not await self.page.evaluate("() => 'axe' in window"):
            # Through the debugger: neither the policy of scripts nor that of trusted types has a say there.
            await self.page.evaluate(AXE)
        found: list[str] = await self.page.evaluate(RUN_AXE)
        return found

    async def show(self, look: Look) -> None:
        """Show the page in another scheme and width."""
        await self.page.emulate_media(color_scheme="dark" if look.scheme == "dark" else "light")
        await self.page.set_viewport_size({"width": look.width, "height": look.height})

    async def end(self) -> None:
        """Fail if the page has a violation now, or if anything went wrong in it at any time."""
        violations = await self.violations() if self.page.url.startswith("http") else []
        unexpected = [fault for fault in self.faults if not any(one.search(fault) for one in self._allowed)]
        problems = [*unexpected, *violations]
        assert not problems, "\n".join(problems)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Violations of a policy that only reports come as ordinary messages in some versions.
        if message.type in {"error", "warning"} or "Content Security Policy" in message.text:
            self.faults.append(f"console {message.type}: {message.text} ({message.location['url']})")

    def _on_error(self, error: WebError) -> None:
        self.faults.append(f"uncaught: {error.error.stack or error.error.message}")

    def _on_request(self, request: Request) -> None:
        if request.method == "POST" and "/graphql" in request.url:
            posted = orjson.loads(request.post_data_buffer or b"null")
            if request.url.endswith("/graphql/stream"):
                self.subscribed.append(posted)
            elif posted["query"].strip().startswith("query FrameAlone"):
                self.recounted.append(posted)
            else:
                self.asked.append(posted)

    def _on_failed(self, request: Request) -> None:
        if request.failure != GIVEN_UP:
            self.faults.append(f"failed: {request.method} {request.url} {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.ok and "alertRaised" in (response.request.post_data or "") and "/stream" in response.url:
            self._live.set()
        if response.status >= 400:
            self.faults.append(f"status {response.status}: {response.request.method} {response.url}")
