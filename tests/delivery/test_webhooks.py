"""One signed request to real receivers, good, broken and hostile ones; and to nobody inside."""

import asyncio
import base64
import hmac
import socket
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from app.delivery import webhooks
from app.delivery.channels import Channel
from app.delivery.models import AttemptOutcome, ChannelKind
from app.delivery.outcomes import Outcome
from app.delivery.webhooks import resolver, send
from tests.delivery.receiver import Receiver, answer, certificate, receiving
from tests.factories import utc

NOW = utc("2026-03-10T12:00")
NAME = "msg_00000000000000000000000000000001"
BODY = b'{"type":"alert.raised"}'
KEYS = (b"the newer key of 24 byte", b"the older key of 24 byte")
LOCAL = frozenset({"127.0.0.1"})
BLOCKED = Outcome(
    AttemptOutcome.BLOCKED,
    problem="The host stands for an internal address. ALERT_ALLOWED_HOSTS lists those that may be reached.",
)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as running:
        yield running


def webhook(url: str) -> Channel:
    return Channel("ops", ChannelKind.WEBHOOK, url, KEYS)


async def send_to(
    url: str,
    *,
    allowed: frozenset[str] = LOCAL,
    resolve: webhooks.Resolve | None = None,
    seconds: float = 5,
    body: bytes = BODY,
) -> Outcome:
    return await send(
        webhook(url), NAME, body, now=NOW, allowed_hosts=allowed, resolve=resolve or resolver(), seconds=seconds
    )


async def test_a_request_carries_its_id_its_time_and_a_signature_for_each_secret(receiver: Receiver) -> None:
    found = await send_to(f"http://127.0.0.1:{receiver.port}/hooks/a?b=c")
    assert found == Outcome(AttemptOutcome.DELIVERED, 200, b"ok")
    [request] = receiver.requests
    assert (request.target, request.body) == ("/hooks/a?b=c", BODY)
    signed = b"%b.%d.%b" % (NAME.encode(), NOW.timestamp(), BODY)
    both = [f"v1,{base64.b64encode(hmac.new(key, signed, sha256).digest()).decode()}" for key in KEYS]
    assert request.headers == {
        "host": f"127.0.0.1:{receiver.port}",
        "user-agent": "Client-Health/1",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "connection": "close",
        "webhook-id": NAME,
        "webhook-timestamp": str(int(NOW.timestamp())),
        "webhook-signature": " ".join(both),
    }


CHUNKED = b"HTTP/1.1 202 Accepted\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
# A good head, and a body that is no HTTP from its beginning or behind it: what came is kept as it is.
BROKEN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
BEGUN = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nnonsense\r\n"


@pytest.mark.parametrize(
    ("raw", "outcome", "status", "body"),
    [
        (answer("204 No Content"), "DELIVERED", 204, b""),
        (answer("299 Fine", b"x"), "DELIVERED", 299, b"x"),
        (CHUNKED, "DELIVERED", 202, b"abcde"),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", "DELIVERED", 200, b"until the end"),
        (b"HTTP/1.0 200 OK\r\n\r\nold", "DELIVERED", 200, b"old"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + answer("200 OK"), "DELIVERED", 200, b""),
        # Whatever happens to the body, the head has said that the message has arrived.
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut", "DELIVERED", 200, b"cut"),
        (BROKEN, "DELIVERED", 200, BROKEN),
        (BROKEN + b"x" * 600, "DELIVERED", 200, (BROKEN + b"x" * 600)[:500]),
        (BROKEN.replace(b"200", b"500"), "REFUSED", 500, BROKEN.replace(b"200", b"500")),
        (BEGUN, "DELIVERED", 200, BEGUN),
        (answer("200 OK", b"a" * 10_000_000), "DELIVERED", 200, b"a" * 500),
        (answer("500 Oops", b"<html>\xff\x00" * 100), "REFUSED", 500, (b"<html>\xff\x00" * 100)[:500]),
        (answer("404 Not Found"), "REFUSED", 404, b""),
        (answer("199 Odd"), "UNREACHABLE", None, answer("199 Odd")),
        (answer("600 Odd"), "REFUSED", 600, b""),
    ],
)
async def test_an_answer_is_what_its_status_says(
    receiver: Receiver, raw: bytes, outcome: str, status: int | None, body: bytes | None
) -> None:
    receiver.then = raw
    found = await send_to(f"http://127.0.0.1:{receiver.port}/")
    assert (found.outcome, found.http_status, found.answer) == (outcome, status, body)
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_failure_and_never_followed(receiver: Receiver, status: int) -> None:
    async with receiving() as elsewhere:
        receiver.then = answer(f"{status} Moved", b"", f"Location: http://127.0.0.1:{elsewhere.port}/")
        found = await send_to(f"http://127.0.0.1:{receiver.port}/")
        problem = f"The receiver answered with the status {status}. Redirects are not followed."
        assert found == Outcome(AttemptOutcome.REFUSED, status, b"", problem)
        assert (len(receiver.requests), elsewhere.connections) == (1, 0)


@pytest.mark.parametrize(("status", "gone"), [(410, True), (404, False), (503, False)])
async def test_gone_is_told_apart_and_so_is_the_wish_to_be_left_alone(
    receiver: Receiver, status: int, gone: bool
) -> None:
    receiver.then = answer(f"{status} X", b"", "Retry-After: 120")
    found = await send_to(f"http://127.0.0.1:{receiver.port}/")
    problem = f"The receiver answered with the status {status}."
    assert found == Outcome(AttemptOutcome.REFUSED, status, b"", problem, timedelta(seconds=120), gone)


@pytest.mark.parametrize(
    "raw",
    [
        b"<html>hi</html>",
        b"nonsense\r\n\r\n",
        b"\x00\xff\xfe" * 200,
        b"HTTP/1.1 OK 200\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nBad header\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000,
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
async def test_nonsense_is_a_failed_attempt_and_kept(receiver: Receiver, raw: bytes) -> None:
    receiver.then = raw
    found = await send_to(f"http://127.0.0.1:{receiver.port}/")
    problem = "What the receiver answered is not HTTP."
    assert found == Outcome(AttemptOutcome.UNREACHABLE, answer=raw[:500], problem=problem)


async def test_a_connection_that_is_closed_at_once_is_no_answer(receiver: Receiver) -> None:
    receiver.then = b""
    found = await send_to(f"http://127.0.0.1:{receiver.port}/")
    problem = "The receiver closed the connection without an answer."
    assert found == Outcome(AttemptOutcome.UNREACHABLE, problem=problem)


async def test_what_a_receiver_said_before_it_fell_silent_is_kept(receiver: Receiver) -> None:
    receiver.then, receiver.linger = b"SSH-2.0-OpenSSH_9.2\r\n", True
    found = await send_to(f"http://127.0.0.1:{receiver.port}/", seconds=0.3)
    problem = "The receiver did not answer within 0.3 seconds."
    assert found == Outcome(AttemptOutcome.UNREACHABLE, answer=receiver.then, problem=problem)


async def test_a_silent_receiver_is_given_up(receiver: Receiver) -> None:
    receiver.then, receiver.linger = b"", True
    started = time.monotonic()
    found = await send_to(f"http://127.0.0.1:{receiver.port}/", seconds=0.3)
    assert found == Outcome(AttemptOutcome.UNREACHABLE, problem="The receiver did not answer within 0.3 seconds.")
    assert time.monotonic() - started < 2


async def test_an_answer_that_drips_is_given_up(receiver: Receiver) -> None:
    receiver.drip = 0.05
    found = await send_to(f"http://127.0.0.1:{receiver.port}/", seconds=0.4)
    assert found.problem == "The receiver did not answer within 0.4 seconds."


async def test_a_body_that_never_ends_does_not_undo_what_the_head_said(receiver: Receiver) -> None:
    receiver.then, receiver.linger = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nfirst", True
    found = await send_to(f"http://127.0.0.1:{receiver.port}/")
    assert found == Outcome(AttemptOutcome.DELIVERED, 200, b"first")


@pytest.mark.parametrize(("status", "outcome"), [(200, "DELIVERED"), (410, "REFUSED")])
async def test_a_head_decides_though_its_body_outlasts_the_time_for_everything(
    receiver: Receiver, status: int, outcome: str
) -> None:
    receiver.then, receiver.linger = b"HTTP/1.1 %d X\r\nContent-Length: 100\r\n\r\nfirst" % status, True
    started = time.monotonic()
    found = await send_to(f"http://127.0.0.1:{receiver.port}/", seconds=0.5)
    assert (found.outcome, found.http_status, found.answer, found.gone) == (outcome, status, b"first", status == 410)
    assert 0.5 <= time.monotonic() - started < 1.5


async def test_a_closed_port_is_no_connection() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    found = await send_to(f"http://127.0.0.1:{port}/secret-path")
    assert found == Outcome(AttemptOutcome.UNREACHABLE, problem="No connection to the receiver: it was refused.")


async def test_a_name_without_an_address_is_no_connection() -> None:
    found = await send_to("https://nobody.invalid/", resolve=resolver())
    assert found == Outcome(AttemptOutcome.UNREACHABLE, problem="The host has no address.")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "0x7f.1",
        "0177.0.0.1",
        "017700000001",
        "127.1",
        "127.0.1",
        "0",
        "0.0.0.0",  # noqa: S104 - It is asked for, not listened on.
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[0:0:0:0:0:ffff:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "169.254.169.254",
        "2852039166",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "10.0.0.1",
        "192.168.0.1",
        "224.0.0.1",
    ],
)
async def test_nothing_inside_is_reached_however_it_is_spelled(receiver: Receiver, host: str) -> None:
    for scheme in ("https", "http"):
        assert await send_to(f"{scheme}://{host}:{receiver.port}/", allowed=frozenset({"other"})) == BLOCKED
    assert receiver.connections == 0


class Answers:
    """A name server whose answers differ from one time to the next."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, int]] = []

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.asked.append((host, port))
        return self.answers[min(len(self.asked), len(self.answers)) - 1]


async def test_one_internal_address_among_others_is_enough_to_refuse(receiver: Receiver) -> None:
    for found in (["8.8.8.8", "127.0.0.1"], ["127.0.0.1", "8.8.8.8"], ["2606:4700::1111", "::1"]):
        assert await send_to(f"https://a.example:{receiver.port}/", resolve=Answers(found)) == BLOCKED
    assert receiver.connections == 0


async def test_a_name_is_resolved_once_so_that_a_second_answer_leads_nowhere(receiver: Receiver) -> None:
    # The first answer is an address that nobody has: a client that asks again would connect to this machine.
    rebinding = Answers(["240.0.0.1"], ["127.0.0.1"])
    allowed = frozenset({"a.example"})
    found = await send_to(f"http://a.example:{receiver.port}/", allowed=allowed, resolve=rebinding, seconds=1)
    assert (found.outcome, found.http_status) == (AttemptOutcome.UNREACHABLE, None)
    assert rebinding.asked == [("a.example", receiver.port)]
    assert receiver.connections == 0


async def test_an_address_that_does_not_answer_leaves_the_others(receiver: Receiver) -> None:
    several = Answers(["::1", "127.0.0.1"])
    allowed = frozenset({"a.example"})
    found = await send_to(f"http://A.Example:{receiver.port}/", allowed=allowed, resolve=several)
    assert found == Outcome(AttemptOutcome.DELIVERED, 200, b"ok")
    assert [request.headers["host"] for request in receiver.requests] == [f"A.Example:{receiver.port}"]


async def test_an_address_that_swallows_everything_leaves_time_for_the_others(receiver: Receiver) -> None:
    with socket.socket() as hole, ExitStack() as queued:
        hole.bind(("127.0.0.2", receiver.port))
        hole.listen(0)
        # Nobody accepts these, and with the queue full the system drops whoever knocks next.
        for _ in range(3):
            waiting = queued.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(("127.0.0.2", receiver.port))
        several = Answers(["127.0.0.2", "127.0.0.1"])
        url, allowed = f"http://a.example:{receiver.port}/", frozenset({"a.example"})
        started = time.monotonic()
        found = await send_to(url, allowed=allowed, resolve=several, seconds=2)
        assert found == Outcome(AttemptOutcome.DELIVERED, 200, b"ok")
        assert 0.6 <= time.monotonic() - started < 2
        # The last one has all the time that is left.
        alone = await send_to(url, allowed=allowed, resolve=Answers(["127.0.0.2"]), seconds=0.5)
        assert alone.problem == "The receiver did not answer within 0.5 seconds."
    assert len(receiver.requests) == 1


async def test_no_proxy_of_the_environment_is_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        found = await send_to(f"http://127.0.0.1:{receiver.port}/")
        assert (found.http_status, proxy.connections) == (200, 0)


@pytest.fixture
def trusted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for a certificate which this process trusts as it trusts the system's authorities."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
    webhooks.tls_context.cache_clear()
    yield tmp_path
    webhooks.tls_context.cache_clear()


async def test_tls_is_for_the_name_and_the_connection_for_the_address(trusted: Path) -> None:
    _, context = certificate(trusted, "hooks.example")
    async with receiving(context) as receiver:
        local = Answers(["127.0.0.1"])
        allowed = frozenset({"hooks.example"})
        found = await send_to(f"https://hooks.example:{receiver.port}/", allowed=allowed, resolve=local)
        assert found == Outcome(AttemptOutcome.DELIVERED, 200, b"ok")
        [request] = receiver.requests
        assert (request.server_name, request.headers["host"]) == ("hooks.example", f"hooks.example:{receiver.port}")


@pytest.mark.parametrize(
    ("host", "cause"),
    [("hooks.example", "it is for another name"), ("127.0.0.1", "it is for another address")],
)
async def test_a_certificate_for_another_host_is_refused_before_anything_is_said_and_names_no_host(
    trusted: Path, host: str, cause: str
) -> None:
    _, context = certificate(trusted, "other.example")
    async with receiving(context) as receiver:
        url = f"https://{host}:{receiver.port}/"
        found = await send_to(url, allowed=frozenset({host}), resolve=Answers(["127.0.0.1"]))
        problem = f"The receiver's certificate is not accepted: {cause}."
        assert found == Outcome(AttemptOutcome.UNREACHABLE, problem=problem)
        assert receiver.requests == []


async def test_an_unknown_authority_is_refused(tmp_path: Path) -> None:
    _, context = certificate(tmp_path, "hooks.example")
    async with receiving(context) as receiver:
        allowed = frozenset({"hooks.example"})
        url = f"https://hooks.example:{receiver.port}/"
        found = await send_to(url, allowed=allowed, resolve=Answers(["127.0.0.1"]))
        assert found.problem == "The receiver's certificate is not accepted: self-signed certificate."
        assert receiver.requests == []


async def test_a_receiver_without_tls_is_told_apart() -> None:
    async def speak_first(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer("400 Bad Request"))
        writer.close()

    server = await asyncio.start_server(speak_first, "127.0.0.1", 0)
    async with server:
        found = await send_to(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert found.outcome is AttemptOutcome.UNREACHABLE
    assert (found.problem or "").startswith("No TLS connection: ")


async def test_a_name_server_that_says_nothing_is_given_up() -> None:
    async def silence(_host: str, _port: int) -> Sequence[str]:
        await asyncio.sleep(60)
        return []

    found = await send_to("https://a.example/", resolve=silence, seconds=0.2)
    assert found.problem == "The receiver did not answer within 0.2 seconds."


async def test_a_name_without_addresses_leads_nowhere() -> None:
    found = await send_to("https://a.example/", resolve=Answers([]))
    assert found == Outcome(AttemptOutcome.UNREACHABLE, problem="The host has no address.")
