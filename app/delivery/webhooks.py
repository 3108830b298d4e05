"""Sending one signed request to a webhook, to an address that was looked at before, and to no other."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import cast
from urllib.parse import urlsplit

import h11

from app.delivery.channels import Channel
from app.delivery.models import AttemptOutcome
from app.delivery.outcomes import Outcome
from app.delivery.rules import is_public, parse_retry_after, signatures, without_url

# For everything together: resolving, connecting, sending, and reading the answer.
TIMEOUT_SECONDS = 10.0
# Of which one address may use up this share to connect while others are left: one that swallows what it is sent, as
# those of IPv6 do behind many a firewall, must leave time for them.
CONNECT_SHARE = 0.3
# Of an answer, and of its head.
ANSWER_BYTES, HEAD_BYTES = 500, 16_384
# Of which the body of an answer has this much, once its head is there.
BODY_SECONDS = 2.0
USER_AGENT = "Client-Health/1"

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]

_GONE = 410

# What OpenSSL calls a certificate for another host or address, in sentences of Python's that name the host.
_OTHER_NAME = {62: "it is for another name", 64: "it is for another address"}


class BlockedError(Exception):
    """The host stands for an address inside, which no webhook may reach."""


@dataclass(slots=True)
class _Heard:
    """What a receiver has said until now, kept whatever becomes of the rest."""

    url: str = field(repr=False)
    # The first 500 bytes as they came, HTTP or not.
    raw: bytearray = field(default_factory=bytearray)
    response: h11.Response | None = None
    body: bytearray = field(default_factory=bytearray)

    def answer(self) -> bytes:
        """Return the first 500 bytes of what was said: of the body if there is a head, else of whatever came."""
        said = self.raw if self.response is None else self.body
        # Many a server tells whoever asks for an unknown path what the path was.
        return without_url(bytes(said[:ANSWER_BYTES]), self.url)[:ANSWER_BYTES]


def resolver(executor: Executor | None = None) -> Resolve:
    """Return what asks the system for the addresses of a host, however the host is spelled, in the executor."""

    async def resolve(host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(
            executor, lambda: socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        )
        return list(dict.fromkeys(str(entry[4][0]) for entry in found))

    return resolve


async def send(
    channel: Channel,
    name: str,
    body: bytes,
    *,
    now: datetime,
    allowed_hosts: frozenset[str],
    resolve: Resolve,
    seconds: float = TIMEOUT_SECONDS,
) -> Outcome:
    """POST the body to the channel's URL, signed at `now`, and return what came of it; nothing is raised.

    The host is resolved once, and every address vetted unless the host is an allowed one; the connection goes to one of
    those addresses. No redirect is followed and no proxy used. `seconds` are for all of it.
    """
    heard = _Heard(channel.url)
    try:
        async with asyncio.timeout(seconds):
            response = await _send(
                channel,
                name,
                body,
                now=now,
                allowed_hosts=allowed_hosts,
                resolve=resolve,
                patience=seconds * CONNECT_SHARE,
                heard=heard,
            )
        return _judge(response, heard, now)
    except TimeoutError:
        # Only the body can be missing behind a head, which tells what was decided.
        if heard.response is not None:
            return _judge(heard.response, heard, now)
        return _unreachable(f"The receiver did not answer within {seconds:g} seconds.", heard)
    except BlockedError:
        problem = "The host stands for an internal address. ALERT_ALLOWED_HOSTS lists those that may be reached."
        return Outcome(AttemptOutcome.BLOCKED, problem=problem)
    except socket.gaierror:
        return _unreachable("The host has no address.")
    except ssl.SSLCertVerificationError as error:
        cause = _OTHER_NAME.get(error.verify_code, error.verify_message)
        return _unreachable(f"The receiver's certificate is not accepted: {cause}.")
    except ssl.SSLError as error:
        return _unreachable(f"No TLS connection: {error.reason or 'the receiver speaks no TLS'}.")
    except h11.RemoteProtocolError:
        if not heard.raw:
            return _unreachable("The receiver closed the connection without an answer.")
        return _unreachable("What the receiver answered is not HTTP.", heard)
    except (OSError, UnicodeError) as error:
        # Without the text of the error, which holds the address.
        return _unreachable(f"No connection to the receiver: {_cause(error)}.", heard)


def _unreachable(problem: str, heard: _Heard | None = None) -> Outcome:
    answer = heard.answer() if heard is not None and heard.raw else None
    return Outcome(AttemptOutcome.UNREACHABLE, answer=answer, problem=problem)


def _cause(error: OSError | UnicodeError) -> str:
    causes = {
        ConnectionRefusedError: "it was refused",
        ConnectionResetError: "it was cut",
        BrokenPipeError: "it was cut",
        asyncio.IncompleteReadError: "it was closed before an answer",
        UnicodeError: "the host is no name",
    }
    return next((text for kind, text in causes.items() if isinstance(error, kind)), "the network does not lead there")


async def _send(
    channel: Channel,
    name: str,
    body: bytes,
    *,
    now: datetime,
    allowed_hosts: frozenset[str],
    resolve: Resolve,
    patience: float,
    heard: _Heard,
) -> h11.Response:
    url = urlsplit(channel.url)
    host, tls = (url.hostname or "").lower(), url.scheme == "https"
    port = url.port or (443 if tls else 80)
    addresses = await resolve(host, port)
    if host not in allowed_hosts and (not tls or not all(is_public(address) for address in addresses)):
        raise BlockedError
    timestamp = int(now.timestamp())
    headers = {
        "Host": url.netloc,
        "User-Agent": USER_AGENT,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
        "webhook-id": name,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signatures(channel.keys, name, timestamp, body),
    }
    target = f"{url.path or '/'}{'?' + url.query if url.query else ''}"
    request = h11.Request(method="POST", target=target, headers=list(headers.items()))
    reader, writer = await _connect(addresses, port, host if tls else None, patience)
    try:
        return await _exchange(reader, writer, request, body, heard)
    finally:
        # Nothing is left to say, and a receiver that does not hang up must not be waited for.
        writer.transport.abort()


@cache
def tls_context() -> ssl.SSLContext:
    """Return what checks certificates; reading the system's authorities takes too long to be done for each request."""
    return ssl.create_default_context()


async def _connect(
    addresses: Sequence[str], port: int, server_name: str | None, patience: float
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers, with TLS for the host's own name. Raises OSError.

    Each but the last has `patience` seconds to answer.
    """
    context = None if server_name is None else tls_context()
    failure: OSError = socket.gaierror(socket.EAI_NONAME, "no address")
    for number, address in enumerate(addresses, 1):
        try:
            async with asyncio.timeout(patience if number < len(addresses) else None):
                return await asyncio.open_connection(address, port, ssl=context, server_hostname=server_name)
        except ssl.SSLError:
            raise
        except OSError as error:
            failure = error
    raise failure


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request, body: bytes, heard: _Heard
) -> h11.Response:
    """Send one request, and return the head of its answer, with the first 500 bytes of the body in `heard`.

    Raises OSError and h11.RemoteProtocolError when there is no head.
    """
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=HEAD_BYTES)
    for part in (request, h11.Data(data=body), h11.EndOfMessage()):
        writer.write(connection.send(part) or b"")
    # A receiver may answer before it has read everything, and hang up.
    with suppress(ConnectionError):
        await writer.drain()
    heard.response = response = await _read_head(reader, connection, heard)
    # The head tells what was decided: that the body breaks off or does not come changes nothing.
    try:
        async with asyncio.timeout(BODY_SECONDS):
            while len(heard.body) < ANSWER_BYTES and isinstance(
                data := await _next(reader, connection, heard), h11.Data
            ):
                heard.body += data.data
    except OSError:
        # It was cut, within TLS or without, or it took too long.
        pass
    except h11.RemoteProtocolError:
        _, ended = connection.trailing_data
        # Of a body that was cut there is a beginning; of one that is no HTTP there is only what came.
        if not (ended and heard.body):
            heard.body[:] = heard.raw
    return response


async def _read_head(reader: asyncio.StreamReader, connection: h11.Connection, heard: _Heard) -> h11.Response:
    while True:
        event = await _next(reader, connection, heard)
        if isinstance(event, h11.Response):
            return event
        if not isinstance(event, h11.InformationalResponse):
            raise h11.RemoteProtocolError("no answer")


async def _next(
    reader: asyncio.StreamReader, connection: h11.Connection, heard: _Heard
) -> h11.Event | type[h11.PAUSED]:
    while (event := connection.next_event()) is h11.NEED_DATA:
        data = await reader.read(4096)
        heard.raw += data[: ANSWER_BYTES - len(heard.raw)]
        connection.receive_data(data)
    return cast("h11.Event | type[h11.PAUSED]", event)


def _judge(response: h11.Response, heard: _Heard, now: datetime) -> Outcome:
    status, answer = response.status_code, heard.answer()
    if 200 <= status < 300:
        return Outcome(AttemptOutcome.DELIVERED, status, answer)
    asked = next((value for key, value in response.headers if key == b"retry-after"), None)
    retry_after = None if asked is None else parse_retry_after(asked.decode("latin-1"), now)
    followed = " Redirects are not followed." if 300 <= status < 400 else ""
    problem = f"The receiver answered with the status {status}.{followed}"
    return Outcome(AttemptOutcome.REFUSED, status, answer, problem, retry_after, gone=status == _GONE)
