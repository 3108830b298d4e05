"""The web server of one process: uvicorn, with an end for subscriptions and a limit on what precedes a body."""

from socket import socket

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.graphql.live import Hub
from app.main import create_app
from app.settings import Settings

# Bytes of a request line and headers; httptools would collect any number of them.
MAX_HEAD_BYTES = 65_536

_TOO_LARGE = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
)


class HeadLimit(HttpToolsProtocol):
    """HTTP/1.1 that ends a connection whose request has not come to its body after MAX_HEAD_BYTES."""

    _in_head = False
    _head_bytes = 0

    def on_message_begin(self) -> None:
        """Begin to count."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._in_head = False
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Read on, unless the head grows beyond its limit."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._in_head = False
                self.transport.write(_TOO_LARGE)
                self.transport.close()


class Server(uvicorn.Server):
    """A web server that ends the subscriptions when it is asked to stop; it would wait for them instead."""

    def __init__(self, config: uvicorn.Config, live: Hub) -> None:
        super().__init__(config)
        self._live = live

    async def shutdown(self, sockets: list[socket] | None = None) -> None:
        """Finish the requests in flight and stop."""
        self._live.end()
        await super().shutdown(sockets)


def server(settings: Settings, *, host: str, port: int) -> Server:
    """Return the web server of one process. Raises ValueError when a setting is missing."""
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=HeadLimit,
        ws_max_size=settings.max_request_bytes,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=20,
        # Longer than people think between two clicks, and than proxies keep a connection that nobody uses.
        timeout_keep_alive=75,
    )
    return Server(config, app.state.live)
