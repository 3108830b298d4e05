"""A worker that stops or is killed while a slow mail server takes its time: real processes, and how many mails come."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from sqlalchemy import text

from app.database import Database
from app.delivery import sending
from app.delivery.channels import Channel
from app.delivery.courier import CLOSE_SECONDS
from app.delivery.models import ChannelKind, ChannelMode
from app.jobs import DELIVER, Job, JobQueue
from app.settings import Settings
from tests.delivery.couriers import PUBLIC_URL, attempts, courier, pass_time, queue, run_through, statuses
from tests.delivery.helpers import add_alert
from tests.delivery.mail import Mailbox, mailing
from tests.factories import rows_of
from tests.workers.test_scheduler import becomes

DEADLINE_SECONDS = 60
CONFIGURED = "SELECT name FROM channels WHERE configured"


@pytest.fixture
async def mailbox() -> AsyncIterator[Mailbox]:
    async with mailing() as running:
        yield running


def url_of(mailbox: Mailbox) -> str:
    return f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example"


@contextmanager
def worker(settings: Settings, mailbox: Mailbox, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Yield a worker with a channel that leads to the mailbox; nothing is left of it after the block."""
    path = folder / "channels.toml"
    path.write_text(f'[[channel]]\nname = "team"\nkind = "apprise"\nmode = "each"\nurl = "{url_of(mailbox)}"\n')
    env = os.environ | {
        "DATABASE_URL": settings.database_url or "",
        "REDIS_URL": settings.redis_url or "",
        "ALERT_CHANNELS": str(path),
        "PUBLIC_URL": PUBLIC_URL,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "worker"], env=env, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(DEADLINE_SECONDS)


async def send_one(database: Database, settings: Settings, mailbox: Mailbox) -> None:
    """Have a worker that is running send an alert, and return once it speaks to the mail server."""

    async def is_written_down() -> bool:
        return await rows_of(database, CONFIGURED) == [("team",)]

    assert await becomes(is_written_down)
    await queue(database, await add_alert(database))
    await tell(settings)
    async with asyncio.timeout(DEADLINE_SECONDS):
        await mailbox.called.wait()


async def tell(settings: Settings) -> None:
    """Tell the workers that something is due, as the scheduler does."""
    jobs = JobQueue(settings.redis_url or "")
    jobs.send([Job(DELIVER, ("team",))])
    await jobs.close()


async def test_a_worker_that_stops_waits_for_its_mail(
    database: Database, settings: Settings, mailbox: Mailbox, tmp_path: Path
) -> None:
    # The six replies until a mail is taken last longer together than anything else that a stopping worker waits for.
    mailbox.delay = CLOSE_SECONDS / 4
    with worker(settings, mailbox, tmp_path) as process:
        await send_one(database, settings, mailbox)
        assert mailbox.mails == []
        process.terminate()
        assert await asyncio.to_thread(process.wait, DEADLINE_SECONDS) == 0
    assert [mail.recipients for mail in mailbox.mails] == [["team@a.example"]]
    assert await statuses(database) == [("team", "DELIVERED", 1)]
    assert await attempts(database) == [(1, "DELIVERED", None, None, None)]


async def killed(
    database: Database, settings: Settings, mailbox: Mailbox, folder: Path, *, once: Callable[[], Awaitable[bool]]
) -> None:
    """Kill a worker in the middle of a mail, and have another deliver it when the lease has run out."""

    async def is_delivered() -> bool:
        return await statuses(database) == [("team", "DELIVERED", 2)]

    with worker(settings, mailbox, folder) as process:
        await send_one(database, settings, mailbox)
        assert await becomes(once)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE_SECONDS)
    mailbox.delay = mailbox.musing = 0
    assert await statuses(database) == [("team", "PENDING", 1)]
    assert await attempts(database) == [(1, None, None, None, None)]
    await pass_time(database, sending.APPRISE_LEASE)
    with worker(settings, mailbox, folder):
        await tell(settings)
        assert await becomes(is_delivered)


async def test_a_mail_that_was_not_taken_when_its_worker_died_comes_once(
    database: Database, settings: Settings, mailbox: Mailbox, tmp_path: Path
) -> None:
    async def is_called() -> bool:
        return mailbox.called.is_set()

    mailbox.delay = 1
    await killed(database, settings, mailbox, tmp_path, once=is_called)
    assert len(mailbox.mails) == 1


async def test_a_mail_that_was_taken_unheard_when_its_worker_died_comes_again(
    database: Database, settings: Settings, mailbox: Mailbox, tmp_path: Path
) -> None:
    async def has_mail() -> bool:
        return len(mailbox.mails) == 1

    mailbox.musing = 30
    await killed(database, settings, mailbox, tmp_path, once=has_mail)
    first, second = (mail.message.get_content() for mail in mailbox.mails)
    assert first == second


async def test_a_mail_belongs_to_its_worker_even_if_it_takes_longer_than_the_lease(
    database: Database, mailbox: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending, "APPRISE_LEASE", sending.APPRISE_LEASE / 60)
    mailbox.delay = 0.7
    channel = Channel("team", ChannelKind.APPRISE, url_of(mailbox), mode=ChannelMode.EACH)
    async with courier(database, channel) as first, courier(database, channel) as second:
        await queue(database, await add_alert(database))
        first.nudge("team")
        await mailbox.called.wait()
        # The pause behind the attempt is over, so that nothing but the lease is left.
        async with database.begin() as session:
            await session.execute(text("UPDATE deliveries SET next_attempt_at = clock_timestamp()"))
        while await statuses(database) != [("team", "DELIVERED", 1)]:
            await run_through(second, "team")
            assert (await statuses(database))[0][2] <= 1
    assert len(mailbox.mails) == 1
    assert await attempts(database) == [(1, "DELIVERED", None, None, None)]
