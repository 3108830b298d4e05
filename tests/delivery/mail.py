"""A mail server on this machine that keeps what it is given."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage


@dataclass
class Mail:
    """One message with its envelope."""

    recipients: list[str]
    message: EmailMessage


@dataclass
class Mailbox:
    """A listening mail server and what came in until now."""

    port: int = 0
    mails: list[Mail] = field(default_factory=list)
    # What recipients are answered with.
    verdict: str = "250 fine"
    # Seconds before each reply, and more of them before the one that says that a mail was taken.
    delay: float = 0.0
    musing: float = 0.0
    # Set once somebody has connected.
    called: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak as much of SMTP as a client needs."""
        self.called.set()
        recipients: list[str] = []
        await self._reply(writer, "220 mail.example ESMTP")
        while line := await reader.readline():
            command = line.decode().strip()
            match command[:4].upper():
                case "RCPT":
                    recipients.append(command[8:].strip("<>"))
                    said = self.verdict
                case "DATA":
                    await self._reply(writer, "354 go on")
                    content = await reader.readuntil(b"\r\n.\r\n")
                    message = message_from_bytes(content[:-5], policy=policy.default)
                    self.mails.append(Mail(recipients, message))
                    recipients, said = [], "250 fine"
                    await asyncio.sleep(self.musing)
                case "QUIT":
                    break
                case _:
                    said = "250 fine"
            await self._reply(writer, said)
        writer.close()

    async def _reply(self, writer: asyncio.StreamWriter, said: str) -> None:
        await asyncio.sleep(self.delay)
        writer.write(f"{said}\r\n".encode())


@asynccontextmanager
async def mailing() -> AsyncIterator[Mailbox]:
    """Yield a mail server on 127.0.0.1."""
    mailbox = Mailbox()
    server = await asyncio.start_server(mailbox.serve, "127.0.0.1", 0)
    mailbox.port = server.sockets[0].getsockname()[1]
    try:
        yield mailbox
    finally:
        server.close()
