"""E-mail and Teams through apprise, to real servers on this machine."""

import asyncio
import logging
import time
from pathlib import Path

import orjson
import pytest

from app.delivery.models import AttemptOutcome
from app.delivery.notify import notify
from app.delivery.outcomes import Outcome
from tests.delivery.mail import mailing
from tests.delivery.receiver import answer, certificate, receiving

FAILED = Outcome(AttemptOutcome.UNREACHABLE, problem="The service did not accept the message, or was not reached.")


async def told(url: str, recipient: str = "", *, text: str = "It fell.\nhttps://a.example") -> Outcome:
    return await asyncio.to_thread(notify, url, recipient, "Acme: 70 to 30", text, timeout=5)


async def test_a_mail_goes_where_the_url_says() -> None:
    async with mailing() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example"
        assert await told(url) == Outcome(AttemptOutcome.DELIVERED)
        [mail] = mailbox.mails
    assert mail.recipients == ["team@a.example"]
    assert (mail.message["subject"], mail.message["to"]) == ("Acme: 70 to 30", "team@a.example")
    body = mail.message.get_body(("plain", "html"))
    assert body is not None
    assert "It fell." in body.get_content()
    assert "https://a.example" in body.get_content()
    assert list(mail.message.iter_attachments()) == []


@pytest.mark.parametrize("owner", ["amara@csm.example", "o'hara+b&to=x@csm.example", "a?cc=b@csm.example"])
async def test_a_mail_to_an_owner_goes_to_nobody_else(owner: str) -> None:
    async with mailing() as mailbox:
        url = (
            f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example&cc=c@a.example&bcc=d@a.example"
        )
        assert await told(url, owner) == Outcome(AttemptOutcome.DELIVERED)
        [mail] = mailbox.mails
    assert mail.recipients == [owner]
    assert (mail.message["to"], mail.message["cc"], mail.message["bcc"]) == (owner, None, None)


async def test_a_name_of_a_client_stays_text() -> None:
    async with mailing() as mailbox:
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example"
        hostile = "<script>alert(1)</script> \\n {app_id} :smile:"
        assert await told(url, text=hostile) == Outcome(AttemptOutcome.DELIVERED)
        [mail] = mailbox.mails
    body = mail.message.get_body(("plain",)) or mail.message.get_body(("html",))
    assert body is not None
    assert "<script>" not in body.get_content() or body.get_content_type() == "text/plain"


class Kept(logging.Handler):
    """Everything that reaches the log."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


async def test_a_mail_server_that_refuses_is_a_failure_and_nothing_of_it_is_logged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kept, root = Kept(), logging.getLogger()
    monkeypatch.setattr(root, "handlers", [kept])
    monkeypatch.setattr(root, "level", logging.DEBUG)
    async with mailing() as mailbox:
        mailbox.verdict = "550 no such user"
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example"
        assert await told(url) == FAILED
        assert mailbox.mails == []
    logging.getLogger("tests").debug("the log is read")
    assert [line for line in kept.lines if "selector" not in line] == ["the log is read"]


async def test_a_slow_mail_server_is_waited_for_step_by_step() -> None:
    async with mailing() as mailbox:
        # No step takes half of the two seconds, and all of them more than the two.
        mailbox.delay = 0.7
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example"
        started = time.monotonic()
        found = await asyncio.to_thread(notify, url, "", "Acme: 70 to 30", "It fell.", timeout=2)
        assert found == Outcome(AttemptOutcome.DELIVERED)
        assert time.monotonic() - started > 2
        assert [mail.recipients for mail in mailbox.mails] == [["team@a.example"]]


async def test_a_mail_server_that_falls_silent_is_given_up() -> None:
    async with mailing() as mailbox:
        mailbox.delay = 60
        url = f"mailto://127.0.0.1:{mailbox.port}?from=health@a.example&to=team@a.example"
        assert await asyncio.to_thread(notify, url, "", "Acme: 70 to 30", "It fell.", timeout=1) == FAILED
        assert mailbox.mails == []


async def test_a_dead_mail_server_is_a_failure() -> None:
    async with mailing() as mailbox:
        port = mailbox.port
    assert await told(f"mailto://127.0.0.1:{port}?from=health@a.example") == FAILED


async def test_teams_is_told_over_https_and_a_redirect_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, context = certificate(tmp_path, "localhost")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))
    async with receiving(context) as receiver, receiving() as elsewhere:
        # The URL itself asks for redirects, in vain.
        url = f"workflows://localhost:{receiver.port}/abc/secret-signature/?redirect=yes"
        moved = answer("307 Moved", b"", f"Location: http://127.0.0.1:{elsewhere.port}/")
        receiver.answers = [answer("202 Accepted"), moved, answer("404 Not Found")]
        text = "It fell [here](https://b.example/).\n\nhttps://a.example/clients/WyJD"
        assert await told(url, text=text) == Outcome(AttemptOutcome.DELIVERED)
        assert await told(url) == Outcome(
            AttemptOutcome.REFUSED, 307, problem="The service answered with the status 307."
        )
        assert await told(url) == Outcome(
            AttemptOutcome.REFUSED, 404, problem="The service answered with the status 404."
        )
        assert elsewhere.connections == 0
        first = receiver.requests[0]
    [card] = [attachment["content"] for attachment in orjson.loads(first.body)["attachments"]]
    title, text = [block["text"] for block in card["body"] if block["type"] == "TextBlock"]
    assert title == "Acme: 70 to 30"
    assert text == r"It fell \[here\]\(https://b\.example/\)\." + "\n\nhttps://a.example/clients/WyJD"
