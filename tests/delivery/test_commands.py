"""The sample that an operator sends, and processes that do not start with a channel that is wrong."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from app.delivery import rules
from tests.conftest import TEST_SECRET
from tests.delivery.mail import mailing
from tests.delivery.receiver import Receiver, answer, receiving
from tests.test_cli import run

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def configured(folder: Path, *channels: str) -> dict[str, str]:
    """Return settings that name a file of these channels."""
    path = folder / "channels.toml"
    path.write_text("".join(f"[[channel]]\n{channel}\n" for channel in channels))
    return {
        "alert_channels": str(path),
        "public_url": "https://health.example.com",
        "alert_allowed_hosts": "127.0.0.1",
    }


def webhook(port: int) -> str:
    return f'name = "ops"\nkind = "webhook"\nurl = "http://127.0.0.1:{port}/hunter2"\nsecrets = ["{SECRET}"]'


async def test_a_sample_arrives_signed_and_is_told_of(receiver: Receiver, tmp_path: Path) -> None:
    receiver.then = answer("202 Accepted", b"thanks \x1b[31m")
    ended = await run("alerts", "test", "ops", **configured(tmp_path, webhook(receiver.port)))
    [request] = receiver.requests
    name = request.headers["webhook-id"]
    assert (ended.status, ended.errors.splitlines()) == (
        0,
        ["It answered: thanks \ufffd[31m", f"The sample {name} was accepted with the status 202."],
    )
    message = orjson.loads(request.body)
    assert message["type"] == "alert.sample"
    assert message["data"]["message"].startswith("This is a sample.")
    assert message["data"]["link"] == "https://health.example.com/clients/WyJDbGllbnQiLDFd"
    changes = [cause["change"] for cause in message["data"]["causes"]]
    assert sum(changes) == message["data"]["score"]["after"] - message["data"]["score"]["before"]
    signed = rules.signatures(
        [rules.decode_secret(SECRET)], name, int(request.headers["webhook-timestamp"]), request.body
    )
    assert request.headers["webhook-signature"] == signed


async def test_a_sample_that_is_refused_says_why_and_not_where(receiver: Receiver, tmp_path: Path) -> None:
    receiver.then = answer("401 Unauthorized", b"who are you?")
    ended = await run("alerts", "test", "ops", **configured(tmp_path, webhook(receiver.port)))
    said, told = ended.errors.splitlines()
    assert (ended.status, said) == (1, "It answered: who are you?")
    assert told.endswith(" did not arrive. The receiver answered with the status 401.")
    assert "hunter2" not in ended.errors


async def test_a_receiver_that_does_not_answer_is_waited_for_visibly(receiver: Receiver, tmp_path: Path) -> None:
    receiver.then, receiver.linger = b"", True
    settings = {name.upper(): value for name, value in configured(tmp_path, webhook(receiver.port)).items()}
    terminal, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app.cli", "alerts", "test", "ops"),
        env=os.environ | {"TERM": "xterm", "COLUMNS": "250"} | settings,
        stdin=asyncio.subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        async with asyncio.timeout(30):
            while b"waiting for an answer" not in shown:
                shown += await asyncio.to_thread(os.read, terminal, 1000)
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()
        os.close(terminal)
    assert b" on the channel ops, and waiting for an answer." in shown
    assert b"hunter2" not in shown


async def test_a_sample_goes_to_nobody_inside(receiver: Receiver, tmp_path: Path) -> None:
    settings = configured(tmp_path, webhook(receiver.port).replace("http://127.0.0.1", "https://localhost"))
    ended = await run("alerts", "test", "ops", **settings)
    assert ended.status == 1
    assert "did not arrive. The host stands for an internal address. ALERT_ALLOWED_HOSTS lists" in ended.errors
    assert receiver.connections == 0


async def test_a_sample_can_be_mailed_to_somebody(tmp_path: Path) -> None:
    async with mailing() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example"
        channel = f'name = "owners"\nkind = "apprise"\nto_owner = true\nurl = "{url}"'
        settings = configured(tmp_path, channel)
        ended = await run("alerts", "test", "owners", "--to", "amara@csm.example", **settings)
        assert ended.status == 0, ended.errors
        [mail] = mailbox.mails
        assert (mail.recipients, mail.message["subject"]) == (["amara@csm.example"], "Sample client: score 82 to 57")
        ended = await run("alerts", "test", "owners", **settings)
        told = "client-health: The channel owners writes to owners: give an address with --to."
        assert (ended.status, ended.errors.strip()) == (2, told)
        assert len(mailbox.mails) == 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nobody"], "There is no channel 'nobody'; there are: ops."),
        (["ops", "--to", "amara@csm.example"], "The channel ops goes where its url leads."),
    ],
)
async def test_what_cannot_be_tried_is_one_sentence(
    receiver: Receiver, tmp_path: Path, arguments: list[str], problem: str
) -> None:
    ended = await run("alerts", "test", *arguments, **configured(tmp_path, webhook(receiver.port)))
    assert (ended.status, ended.errors.strip()) == (2, f"client-health: {problem}")
    assert receiver.connections == 0


@pytest.mark.parametrize("command", [["web"], ["worker"], ["scheduler"], ["up"], ["alerts", "test", "ops"]])
async def test_nothing_starts_with_a_channel_that_is_wrong(tmp_path: Path, command: list[str]) -> None:
    settings = configured(tmp_path, webhook(1).replace("whsec_", "hunter2_"))
    servers = {"database_url": "postgresql://127.0.0.1:1/none", "redis_url": "redis://127.0.0.1:1/0"}
    ended = await run(*command, auth_secret=TEST_SECRET, **servers, **settings)
    problem = "ALERT_CHANNELS: channel ops: a secret must be whsec_ and base64 of 24 to 64 bytes."
    assert (ended.status, ended.errors.strip()) == (2, f"client-health: {problem}")
