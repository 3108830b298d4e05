"""The courier of a worker: a task for each channel sends what is due there, so that none waits for another."""

import asyncio
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import structlog

from app.database import Database
from app.delivery import messages, notify, sending, service, webhooks
from app.delivery.channels import Channel
from app.delivery.models import ChannelKind
from app.delivery.outcomes import Outcome
from app.errors import is_outage

log = structlog.get_logger(__name__)

# Seconds that an attempt of a webhook may take, and two steps of a dialogue with a mail server.
TIMEOUT_SECONDS = 10.0
# A worker that stops does not wait for the slow receiver of a webhook, which knows a message by its id.
CLOSE_SECONDS = 3.0
# Renewals of the lease in the time that it lasts.
BEATS = 3


@dataclass(frozen=True, slots=True)
class Route:
    """A channel, with threads of its own: a resolver or a mail server that hangs must not hold up other channels."""

    channel: Channel
    threads: ThreadPoolExecutor


async def send_message(
    route: Route, name: str, recipient: str, body: bytes, *, now: datetime, allowed_hosts: frozenset[str]
) -> Outcome:
    """Send a message on a channel, within the lease of its kind, and return what came of it."""
    channel = route.channel
    if channel.kind is ChannelKind.WEBHOOK:
        resolve = webhooks.resolver(route.threads)
        return await webhooks.send(
            channel, name, body, now=now, allowed_hosts=allowed_hosts, resolve=resolve, seconds=TIMEOUT_SECONDS
        )
    title, text = messages.title_and_text(body)
    return await asyncio.get_running_loop().run_in_executor(
        route.threads, lambda: notify.notify(channel.url, recipient, title, text, timeout=TIMEOUT_SECONDS)
    )


def route_of(channel: Channel) -> Route:
    """Return the channel with threads for as many messages as may be under way."""
    return Route(channel, ThreadPoolExecutor(sending.IN_FLIGHT, thread_name_prefix=f"channel-{channel.name}"))


class Courier:
    """Sends what is due on the channels that this process is configured with."""

    def __init__(
        self,
        database: Database,
        channels: Mapping[str, Channel],
        *,
        public_url: str,
        allowed_hosts: frozenset[str],
    ) -> None:
        self._database = database
        self._routes = {name: route_of(channel) for name, channel in channels.items()}
        self._public_url = public_url
        self._allowed_hosts = allowed_hosts
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._nudged: set[str] = set()
        self._mirrored = False
        self._closing = False

    async def mirror(self) -> None:
        """Write down the channels of the configuration once, so that alerts are queued for them.

        Raises what the database raises; the next call tries again.
        """
        if not self._mirrored:
            async with self._database.begin() as session:
                await service.mirror(session, [route.channel for route in self._routes.values()])
            self._mirrored = True

    def nudge(self, name: str) -> None:
        """Have what is due on the channel sent, and return at once. A channel of another configuration is not ours."""
        if name not in self._routes or self._closing:
            return
        self._nudged.add(name)
        if name not in self._tasks:
            task = asyncio.create_task(self._work(name))
            self._tasks[name] = task
            task.add_done_callback(lambda _: self._tasks.pop(name))

    async def _work(self, name: str) -> None:
        try:
            lease = sending.lease_of(self._routes[name].channel.kind)
            while not self._closing:
                self._nudged.discard(name)
                async with self._database.begin() as session:
                    claims = await sending.claim(session, name, lease=lease)
                # They end by themselves, whatever becomes of their sisters.
                await asyncio.gather(*(self._deliver(self._routes[name], claim, lease) for claim in claims))
                if not claims and name not in self._nudged:
                    return
        except Exception as error:
            # What was claimed is due again when its lease has run out, and the scheduler says so.
            if is_outage(error):
                log.warning("delivering_interrupted", channel=name, error=repr(error))
            else:
                log.exception("delivering_broken", channel=name)

    async def _deliver(self, route: Route, claim: sending.Claim, lease: timedelta) -> None:
        with structlog.contextvars.bound_contextvars(delivery=claim.name, channel=claim.channel, attempt=claim.attempt):
            try:
                async with self._database.begin() as session:
                    body = await sending.body_of(session, claim, self._public_url)
                async with self._kept(claim, lease):
                    outcome = await send_message(
                        route,
                        claim.name,
                        claim.recipient,
                        body,
                        now=datetime.now(UTC),
                        allowed_hosts=self._allowed_hosts,
                    )
                async with self._database.begin() as session:
                    random = secrets.randbelow(1001) / 1000
                    await sending.record(session, claim, route.channel, outcome, random)
            except Exception as error:
                if is_outage(error):
                    log.warning("delivery_interrupted", error=repr(error))
                else:
                    # A fault of ours in one message must not keep the others back; it is tried again like any other.
                    log.exception("delivery_broken")
                return
            log.info("delivery_attempted", outcome=outcome.outcome, status=outcome.http_status, problem=outcome.problem)

    @asynccontextmanager
    async def _kept(self, claim: sending.Claim, lease: timedelta) -> AsyncIterator[None]:
        """Keep the lease of the delivery while the block lasts.

        The sockets of a mail time out step by step. How many steps there are is for the server to say, and nobody else
        may send the mail before the last of them.
        """

        async def beat() -> None:
            while True:
                await asyncio.sleep(lease.total_seconds() / BEATS)
                try:
                    async with self._database.begin() as session:
                        await sending.renew(session, claim, lease)
                except Exception as error:
                    if not is_outage(error):
                        raise
                    log.warning("lease_not_renewed", error=repr(error))

        beating = asyncio.create_task(beat())
        try:
            yield
        finally:
            beating.cancel()
            [ended] = await asyncio.gather(beating, return_exceptions=True)
            if isinstance(ended, Exception):
                log.error("lease_not_renewed", exc_info=ended)

    async def idle(self) -> None:
        """Return once nothing that is due is left to send."""
        while self._tasks:
            await asyncio.gather(*self._tasks.values())

    async def close(self) -> None:
        """Claim nothing more, wait for the mails under way, and a moment for all else, which is due again later.

        The thread that sends a mail cannot be stopped. Would nobody hear what came of it, then it would come twice.
        """
        self._closing = True
        under_way: dict[ChannelKind, list[asyncio.Task[None]]] = defaultdict(list)
        for name, task in self._tasks.items():
            under_way[self._routes[name].channel.kind].append(task)
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.gather(*under_way[ChannelKind.WEBHOOK], return_exceptions=True)
        await asyncio.gather(*under_way[ChannelKind.APPRISE], return_exceptions=True)
        for route in self._routes.values():
            route.threads.shutdown(wait=False, cancel_futures=True)
