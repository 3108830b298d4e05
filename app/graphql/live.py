"""What subscribers are told: one look at the database for all of them, and only while there are any.

There is no message bus. Every web process looks by itself, so that any number of them works, and a lost Redis is not
noticed. A subscriber that takes its time never holds up another: of a run it gets the latest state, and alerts wait
for it up to a limit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

import structlog
from sqlalchemy import Row
from sqlalchemy.ext.asyncio import AsyncConnection

from app.alerts import service as alerts
from app.clients import service as clients
from app.errors import ExpectedError, NotFound
from app.graphql.errors import expected_error
from app.graphql.loaders import runs_by_ids

# Alerts that may wait for one subscriber. All who wait share the rows, and one recalculation may raise thousands.
MAX_WAITING = 10_000

# How long an alert may have been written before it can be seen. A release is over in ten seconds in the scheduler. In
# the web process four statements follow each other from there to the end, each of which has STATEMENT_TIMEOUT_SECONDS.
# No timeout bounds a worker's batch, which has its locks by then and only its own rows to write.
OVERLAP = timedelta(minutes=1)

AnyInbox = TypeVar("AnyInbox", "RunInbox", "AlertInbox")

_log = structlog.get_logger(__name__)


class Interrupted(ExpectedError):
    """The subscription ends before its time, and may be asked for again."""

    code = "INTERRUPTED"


@dataclass(frozen=True, slots=True)
class Raised:
    """A new alert, with its client for everybody who asks for it."""

    alert: Row[Any]
    client: Row[Any] | None


class Inbox:
    """What one subscriber has not taken yet."""

    def __init__(self) -> None:
        self._waiting: deque[Any] = deque()
        self._filled = asyncio.Event()
        self._error: Exception | None = None
        # Set by the first look for this subscriber, or by its failure: from then on nothing is missed.
        self.looked = asyncio.Event()

    @property
    def fresh(self) -> bool:
        """Whether no look has been finished for this subscriber yet."""
        return not self.looked.is_set()

    def _add(self, item: object) -> None:
        self._waiting.append(item)
        self._filled.set()

    def fail(self, error: Exception) -> None:
        """End the subscription with an error; what still waits is not delivered."""
        self._error = error
        self._filled.set()
        self.looked.set()

    async def _take(self) -> Any:
        while not self._waiting and self._error is None:
            self._filled.clear()
            await self._filled.wait()
        if self._error is not None:
            raise self._error
        return self._waiting.popleft()


class RunInbox(Inbox):
    """The states of one run."""

    def __init__(self, run_id: int) -> None:
        super().__init__()
        self.run_id = run_id
        self._told: Row[Any] | None = None

    def tell(self, state: Row[Any] | None) -> None:
        """Say how the run stands; a state that was not taken yet is replaced."""
        self.looked.set()
        if state is None:
            self.fail(NotFound("There is no run with this id."))
        elif state != self._told:
            self._told = state
            self._waiting.clear()
            self._add(state)

    async def take(self) -> Row[Any]:
        """Wait for the next state of the run. Raises NotFound, Interrupted, or why the first look failed."""
        state: Row[Any] = await self._take()
        return state


class AlertInbox(Inbox):
    """The alerts raised after the subscription."""

    def tell(self, raised: Sequence[Raised]) -> None:
        """Say what is new; the first look only finds out what is not."""
        if self.fresh:
            self.looked.set()
            return
        if len(self._waiting) + len(raised) > MAX_WAITING:
            self.fail(Interrupted("More alerts were raised than you have taken; subscribe again and read the list."))
            return
        for one in raised:
            self._add(one)

    async def take(self) -> Raised:
        """Wait for the next alert. Raises Interrupted, or why the first look failed."""
        raised: Raised = await self._take()
        return raised


class Hub:
    """The subscribers of one web process, and the task that looks for them. `read` opens a connection."""

    def __init__(self, read: Callable[[], AbstractAsyncContextManager[AsyncConnection]], *, every: timedelta) -> None:
        self._read = read
        self._every = every.total_seconds()
        self._inboxes: set[RunInbox | AlertInbox] = set()
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        # The database's time of the last look for alerts, and the alerts seen then; None while nobody asks for them.
        self._looked_at: datetime | None = None
        self._seen: set[int] = set()
        # Set when the server is about to stop.
        self.closing = asyncio.Event()

    @property
    def idle(self) -> bool:
        """Whether nobody subscribes, and nothing looks."""
        return not self._inboxes and (self._task is None or self._task.done())

    @property
    def settled(self) -> int:
        """How many subscribers have been part of a look."""
        return sum(not inbox.fresh for inbox in self._inboxes)

    @contextmanager
    def run(self, run_id: int) -> Iterator[RunInbox]:
        """Watch a run: its present state first, then every change."""
        with self._watched(RunInbox(run_id)) as inbox:
            yield inbox

    @contextmanager
    def alerts(self) -> Iterator[AlertInbox]:
        """Watch for alerts that cannot be seen yet."""
        with self._watched(AlertInbox()) as inbox:
            yield inbox

    @contextmanager
    def _watched(self, inbox: AnyInbox) -> Iterator[AnyInbox]:
        if self.closing.is_set():
            raise _stopping()
        self._inboxes.add(inbox)
        if self._task is None or self._task.done():
            # Its log lines do not belong to the request that it happens to begin with.
            self._task = asyncio.create_task(self._keep_looking(), context=Context())
        # A newcomer need not wait for the next turn, and after the last one has left there is none.
        self._wake.set()
        try:
            yield inbox
        finally:
            self._inboxes.discard(inbox)
            if not self._inboxes:
                self._wake.set()

    def end(self) -> None:
        """End every subscription, because the server is about to stop."""
        self.closing.set()
        self._wake.set()
        for inbox in self._inboxes:
            inbox.fail(_stopping())

    async def close(self) -> None:
        """End every subscription and the task behind them."""
        self.end()
        if self._task is not None:
            await self._task

    async def _keep_looking(self) -> None:
        failing = False
        while self._inboxes and not self.closing.is_set():
            self._wake.clear()
            try:
                await self._look()
            except Exception as error:  # noqa: BLE001 - Whatever it is, the subscribers who wait must not wait for ever.
                if not failing:
                    _log_failure(error)
                failing = True
                for inbox in [inbox for inbox in self._inboxes if inbox.fresh]:
                    inbox.fail(error)
            else:
                if failing:
                    _log.info("live_updates_resumed")
                failing = False
            with suppress(TimeoutError):
                async with asyncio.timeout(self._every):
                    await self._wake.wait()
        self._looked_at = None

    async def _look(self) -> None:
        """Look once for everybody who was there when it began."""
        runs = [inbox for inbox in self._inboxes if isinstance(inbox, RunInbox)]
        listeners = [inbox for inbox in self._inboxes if isinstance(inbox, AlertInbox)]
        async with self._read() as connection:
            states = await runs_by_ids(connection, sorted({inbox.run_id for inbox in runs})) if runs else {}
            raised = await self._raised(connection) if listeners else []
            # Told before the connection is given back, which may fail: what was seen is not told again.
            for run in runs:
                run.tell(states.get(run.run_id))
            for listener in listeners:
                listener.tell(raised)
        if not listeners:
            self._looked_at = None

    async def _raised(self, connection: AsyncConnection) -> list[Raised]:
        """Return the alerts that could not be seen at the last look; none at the first."""
        last = self._looked_at
        if last is None:
            last, _ = await alerts.written_since(connection, None)
        now, ids = await alerts.written_since(connection, last - OVERLAP)
        unseen = [] if self._looked_at is None else [id_ for id_ in ids if id_ not in self._seen]
        rows = await alerts.by_ids(connection, unseen) if unseen else {}
        new = [rows[id_] for id_ in unseen if id_ in rows]
        of_clients = await clients.by_ids(connection, sorted({row.client_id for row in new})) if new else {}
        # All alerts that the next look can find and this one has seen are among these. A clock that was set back must
        # not bring up older ones again.
        self._looked_at, self._seen = max(now, last), set(ids)
        return [Raised(row, of_clients.get(row.client_id)) for row in new]


def _log_failure(error: Exception) -> None:
    if expected_error(error):
        _log.warning("live_updates_interrupted", reason=f"{type(error).__name__}: {error}")
    else:
        _log.error("live_updates_failed", exc_info=error)


def _stopping() -> Interrupted:
    return Interrupted("The server is about to stop; subscribe again.")
