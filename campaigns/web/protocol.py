"""uvicorn's HTTP protocol with two bounds it lacks: how long a request's head may be, and how long it may take.

Without them anybody who can connect could make us remember a request line without end (I30).
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD = 64 * 1024  # request line and headers; a webhook's query may be 16 KiB of it
HEAD_SECONDS = 10.0
# A client that is still sending would never see our answer if we closed at once: the reset overtakes it.
_DRAIN = 8 * 1024 * 1024
_DRAIN_SECONDS = 2.0

_LONG_URL = ("414 URI Too Long", "The address and its query are longer than 64 KiB; no request to this server is.")
_LONG_HEAD = ("431 Request Header Fields Too Large", "The headers are longer than 64 KiB.")
_SLOW_HEAD = ("408 Request Timeout", "The request did not arrive within 10 seconds.")


class BoundedHttpProtocol(HttpToolsProtocol):
    """Give this to uvicorn as `http=`."""

    _head_bytes = 0  # of the head that is coming in
    _head_open = False  # it has begun, and is not complete
    _drained: int | None = None  # bytes thrown away since we refused; None while we listen
    _timer: asyncio.TimerHandle | None = None

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # uvicorn switches its access log on for any handler the root logger has, whatever it was told. The log
        # would hold our paths, and a webhook's secret is in the path.
        self.access_log = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._drained is not None:
            self._drained += len(data)
            if self._drained > _DRAIN:
                self.transport.close()
            return
        super().data_received(data)
        if not self._head_open:
            return
        self._head_bytes += len(data)
        if self._head_bytes > MAX_HEAD:
            self._refuse(*(_LONG_HEAD if self.headers else _LONG_URL))
        elif self._timer is None and not self.transport.is_closing():
            self._timer = self.loop.call_later(HEAD_SECONDS, self._too_slow)

    def shutdown(self) -> None:
        """The server is told to stop. A live stream never ends by itself: it is cut, and the browser comes back."""
        super().shutdown()
        if self.cycle is not None and self.cycle.chunked_encoding and not self.cycle.response_complete:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_open, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        self._head_open = False
        self._stop_timer()
        super().on_headers_complete()

    def _too_slow(self) -> None:
        self._timer = None
        if self._head_bytes and not self.transport.is_closing():
            self._refuse(*_SLOW_HEAD)
        else:
            self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: str, sentence: str) -> None:
        if self._drained is not None or self.transport.is_closing():
            return
        self._stop_timer()
        if self.cycle is not None and not self.cycle.response_complete:
            self.transport.close()  # an earlier answer is still being written: ours would land inside it
            return
        self._drained = 0
        body = sentence.encode() + b"\n"
        self.transport.write(
            f"HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode()
            + body
        )
        self.loop.call_later(_DRAIN_SECONDS, self.transport.close)

    def eof_received(self) -> Any:
        if self._drained is not None:
            self.transport.close()
        return super().eof_received()


def uvicorn_options() -> dict[str, Any]:
    """How uvicorn must run our application, whoever starts it."""
    return {
        "http": BoundedHttpProtocol,
        "ws": "none",
        "lifespan": "on",
        "access_log": False,
        "proxy_headers": False,  # a forwarded address is whatever somebody wrote
        "server_header": False,
        "log_config": None,
        "timeout_keep_alive": 30,  # a PBX sends often: a new connection for each event would cost it more
        "timeout_graceful_shutdown": 5,
        "limit_concurrency": 2_000,
        "backlog": 2_048,
    }
