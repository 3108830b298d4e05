"""What the README shows works: its channels are read, and its receiver takes each signed message once."""

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.delivery.channels import Channel, read_channels
from app.delivery.models import AttemptOutcome, ChannelKind
from app.delivery.rules import decode_secret
from app.delivery.webhooks import resolver, send
from tests.chaos.service import free_port

README = (Path(__file__).parents[2] / "README.md").read_text()
BODY = b'{"data": {"message": "Acme: its score fell."}}'
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def block(language: str, word: str) -> str:
    """Return the only block of a language that has this word in it."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    [found] = [one for one in blocks if word in one]
    return str(found)


def test_the_channels_are_read(tmp_path: Path) -> None:
    path = tmp_path / "channels.toml"
    path.write_text(block("toml", "channel"))
    assert list(read_channels(path, frozenset())) == ["ops", "owners", "slack"]


async def test_the_receiver_takes_what_is_signed_once(tmp_path: Path) -> None:
    port = free_port()
    program = tmp_path / "receiver.py"
    program.write_text(block("python", "webhook").replace("9000", str(port)))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(program)), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    other = b"another key of 24 bytes."

    async def told(name: str, *keys: bytes, age: timedelta = timedelta()) -> tuple[AttemptOutcome, int | None]:
        channel = Channel("ops", ChannelKind.WEBHOOK, f"http://127.0.0.1:{port}/", keys)
        outcome = await send(
            channel,
            name,
            BODY,
            now=datetime.now(UTC) - age,
            allowed_hosts=frozenset({"127.0.0.1"}),
            resolve=resolver(),
        )
        return outcome.outcome, outcome.http_status

    try:
        deadline = datetime.now(UTC) + timedelta(seconds=20)
        while (await told("msg_forged", other))[0] is AttemptOutcome.UNREACHABLE:
            assert datetime.now(UTC) < deadline
            await asyncio.sleep(0.05)
        key = decode_secret(SECRET)
        assert await told("msg_forged", other) == (AttemptOutcome.REFUSED, 401)
        assert await told("msg_old", key, age=timedelta(minutes=6)) == (AttemptOutcome.REFUSED, 401)
        for name in ("msg_1", "msg_1", "msg_2"):
            assert await told(name, key) == (AttemptOutcome.DELIVERED, 204)
        assert await told("msg_3", other, key) == (AttemptOutcome.DELIVERED, 204)
    finally:
        process.terminate()
        output, _ = await process.communicate()
    assert output.decode().splitlines() == ["Acme: its score fell."] * 3
