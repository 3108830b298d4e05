"""A receiver of webhooks on this machine, plain or with TLS, that answers what a test tells it to."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """Return a whole answer."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass
class Request:
    """What came in."""

    target: str
    headers: dict[str, str]
    body: bytes
    # The name that the client asked for during the TLS handshake.
    server_name: str | None


@dataclass
class Receiver:
    """A listening receiver and what came in until now."""

    port: int = 0
    connections: int = 0
    requests: list[Request] = field(default_factory=list)
    # What is sent for the first requests, in order, and for all others.
    answers: list[bytes] = field(default_factory=list)
    then: bytes = OK
    # Whether all others are answered with where they went, as common servers do for an unknown path.
    echo: bool = False
    # Seconds between the bytes of an answer.
    drip: float = 0.0
    # Whether the connection stays open behind the answer.
    linger: bool = False
    server_names: list[str | None] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        self.connections += 1
        try:
            request = await self._read(reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        self.requests.append(request)
        sent = self.answers.pop(0) if self.answers else self._echo(request) if self.echo else self.then
        try:
            for byte in [sent] if not self.drip else [bytes([number]) for number in sent]:
                writer.write(byte)
                await writer.drain()
                await asyncio.sleep(self.drip)
            if self.linger:
                await reader.read()
        except ConnectionError:
            # The client has heard enough.
            pass
        finally:
            writer.close()

    def _echo(self, request: Request) -> bytes:
        target = request.target
        lines = f"Cannot POST {target}", escape(target), unquote(target), str(dict(parse_qsl(urlsplit(target).query)))
        return answer("404 Not Found", "\n".join(lines).encode())

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        name = self.server_names[-1] if self.server_names else None
        return Request(head[0].split(" ")[1], headers, body, name)


@asynccontextmanager
async def receiving(context: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """Yield a receiver on 127.0.0.1."""
    receiver = Receiver()
    if context is not None:

        def note(_socket: ssl.SSLObject, name: str | None, _context: ssl.SSLContext) -> None:
            receiver.server_names.append(name)

        context.sni_callback = note
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=context)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()


def certificate(folder: Path, host: str) -> tuple[Path, ssl.SSLContext]:
    """Make a certificate for a host; return its file, to be trusted by the client, and the server's context."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, key_path = folder / "certificate.pem", folder / "key.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key_path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, key_path)
    return path, context
