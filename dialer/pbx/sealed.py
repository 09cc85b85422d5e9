"""What travels below httpx: the query and headers with their secrets, and the last look before the first byte.

httpx writes whole URLs into its log, its exceptions and the reprs of its requests. It is therefore given a bare
address; this transport, the last layer of ours before the socket, adds the query and the secret headers.
"""

import logging
from collections.abc import Callable, Mapping

import httpx

Look = Callable[[], None]


def _without_headers(record: logging.LogRecord) -> bool:
    """Keep a PBX's headers out of the debug log: a redirect's `Location` repeats our query, secret and all."""
    return not str(record.msg).startswith(("receive_response_headers.complete", "receive_response_headers.failed"))


logging.getLogger("httpcore.http11").addFilter(_without_headers)


class Sealed:
    """The query and secret headers of one request, and its last look. No repr tells them."""

    __slots__ = ("_look", "headers", "query", "stopped")

    def __init__(self, query: str, look: Look | None, headers: Mapping[str, str] | None = None) -> None:
        self.query = _Opaque(query)
        self.headers = {name: _Opaque(value) for name, value in (headers or {}).items()}
        self._look = look
        self.stopped: BaseException | None = None

    def look(self) -> None:
        if self._look is None:
            return
        try:
            self._look()
        except BaseException as exc:
            # Carried past httpx and raised again by the client: no frame of the library, which holds the query,
            # becomes part of the caller's traceback.
            self.stopped = exc
        if self.stopped is not None:
            raise Stopped


class Stopped(Exception):
    """The last look said no."""


class _Opaque(str):
    """Text that no repr shows."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class SealedTransport(httpx.BaseTransport):
    """Adds the query below httpx, and has the last look taken when the connection stands."""

    def __init__(self, inner: httpx.BaseTransport, *, looks_first: bool) -> None:
        self._inner = inner
        self._looks_first = looks_first  # a transport from outside has no "about to write"

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        sealed: Sealed = request.extensions["sealed"]
        headers = request.headers.copy()
        # A session cookie sent back would make PHP serve our requests one after the other.
        headers.pop("cookie", None)
        headers.update(sealed.headers)
        extensions = {key: value for key, value in request.extensions.items() if key != "sealed"}
        if self._looks_first:
            sealed.look()
        else:
            extensions["trace"] = lambda event, _info: _look_when_writing(event, sealed)
        return self._inner.handle_request(
            httpx.Request(
                request.method,
                request.url.copy_with(query=sealed.query.encode("ascii") if sealed.query else None),
                headers=headers,
                stream=request.stream,
                extensions=extensions,
            )
        )

    def close(self) -> None:
        self._inner.close()


def _look_when_writing(event: str, sealed: Sealed) -> None:
    if event == "http11.send_request_headers.started":
        sealed.look()
