"""One kept connection to ARI: a request out, its answer in, and one deadline over all of it.

An HTTP time-out counts from the last byte, so a PBX that sends one byte every four seconds would hold a worker for
ever; here every wait draws on what is left of the request's time. Answers are bounded.
"""

import contextlib
import http.client
import io
import json
import select
import socket
import time
from dataclasses import dataclass, field
from typing import Any

from dialer.pbx.sockets import KEEP_ALIVE

MAX_ANSWER = 4 * 1024 * 1024  # a thousand channels


@dataclass(frozen=True, slots=True)
class Answer:
    """What ARI said: its status, and its JSON when it sent any."""

    status: int
    value: Any = field(repr=False, default=None)
    readable: bool = True  # the body was JSON, or there was none

    @property
    def message(self) -> str:
        """The reason it gives for a refusal; empty when it gives none."""
        if isinstance(self.value, dict):
            told = self.value.get("message") or self.value.get("error")
            return told if isinstance(told, str) else ""
        return ""


class TooLong(Exception):
    """The answer is longer than we take."""


class Line:
    """One connection. Used by one thread; `close` may come from another."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._timed = _Timed(connected)
        self._reader = io.BufferedReader(self._timed, 65536)
        self._used = time.monotonic()
        self._open = True

    @property
    def fit(self) -> bool:
        """Whether another request may go out on it: young enough, and nothing came that nobody asked for."""
        if not self._open or time.monotonic() - self._used > KEEP_ALIVE:
            return False
        try:
            return not select.select([self._socket], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    def exchange(self, written: bytes, method: str, until: float) -> Answer:
        self._timed.until = until
        self._socket.settimeout(left(until))
        self._socket.sendall(written)
        response = http.client.HTTPResponse(self, method=method)  # type: ignore[arg-type]
        response.begin()
        body = response.read(MAX_ANSWER + 1)
        if len(body) > MAX_ANSWER:
            raise TooLong
        if response.length:
            raise http.client.IncompleteRead(b"")
        self._used = time.monotonic()
        if response.will_close:
            self.close()
        value, readable = _json(body) if body else (None, response.status == 204)
        return Answer(response.status, value, readable)

    def makefile(self, _mode: str) -> "_Borrowed":
        """What http.client asks a socket for; the reader outlives each response."""
        return _Borrowed(self._reader)

    def close(self) -> None:
        self._open = False
        with contextlib.suppress(OSError):
            self._socket.close()


class _Timed(io.RawIOBase):
    """A socket whose every read draws on what is left of the request's time."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self.until = 0.0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._socket.settimeout(left(self.until))
        return self._socket.recv_into(buffer)


class _Borrowed(io.BufferedIOBase):
    """The line's reader, which http.client must not close with a response."""

    def __init__(self, reader: "io.BufferedReader[_Timed]") -> None:
        self._reader = reader

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        return self._reader.read(-1 if size is None else size)

    def read1(self, size: int = -1) -> bytes:
        return self._reader.read1(size)

    def readinto(self, buffer: Any) -> int:
        return self._reader.readinto(buffer)

    def readline(self, size: int | None = -1) -> bytes:
        return self._reader.readline(-1 if size is None else size)

    def close(self) -> None:
        """Nothing: the next answer is read from the same reader."""


def left(until: float) -> float:
    """Return how long one wait of a request may take; TimeoutError when its time is used up."""
    seconds = until - time.monotonic()
    if seconds <= 0:
        raise TimeoutError("the time for this request is used up")
    return seconds


def _json(body: bytes) -> tuple[Any, bool]:
    try:
        return json.loads(body), True
    except (ValueError, RecursionError):
        return None, False
