"""A receiver of webhooks as a process of its own, which is killed: `python -m tests.chaos.receiver PORT FILE`.

It writes what it was given, one line a message, before it answers.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from app.delivery import rules

KEY = b"a key of 24 bytes and so"
# Long enough for kills to hit messages that were taken and not answered.
SECONDS = 0.15


class Handler(BaseHTTPRequestHandler):
    """Takes what is signed as it should be."""

    def do_POST(self) -> None:
        """Write the message's id and its alert, and answer after a moment."""
        body = self.rfile.read(int(self.headers["content-length"]))
        name, timestamp = self.headers["webhook-id"], int(self.headers["webhook-timestamp"])
        if self.headers["webhook-signature"] != rules.signatures([KEY], name, timestamp, body):
            self.send_error(401)
            return
        with Path(sys.argv[2]).open("a", encoding="utf-8") as file:
            file.write(f"{name} {json.loads(body)['data']['id']}\n")
        time.sleep(SECONDS)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - The library's name.
        """Say nothing."""


class Server(ThreadingHTTPServer):
    """A server whose clients may hang up."""

    def handle_error(self, request: object, client_address: object) -> None:
        """Leave the client alone; it will come again."""


if __name__ == "__main__":
    Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
