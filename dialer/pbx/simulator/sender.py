"""Sends webhooks as the PBX does: once each, in the order of each call, and never again.

A request here costs a twentieth of what a full HTTP client's does; at demo speed there are hundreds a second,
and the simulated PBX shares its machine with the dialer it is there to test.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from typing import cast
from urllib.parse import urlsplit

import httptools

from dialer.errors import BadInput
from dialer.pbx.simulator.webhooks import Webhook

_IDLE = 2.0  # seconds after which a connection is not trusted any more: the receiver may be closing it
_QUEUE = 20_000  # events that may wait in one lane


class _Connection(asyncio.Protocol):
    """One kept-alive connection, one request at a time."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._status: asyncio.Future[int] | None = None
        self.transport: asyncio.Transport | None = None
        self.last_used = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.close()

    def on_message_complete(self) -> None:
        if self._status is not None and not self._status.done():
            self._status.set_result(self._parser.get_status_code())
        if not self._parser.should_keep_alive():
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.transport = None
        if self._status is not None and not self._status.done():
            self._status.set_exception(ConnectionError("closed without an answer"))

    def send(self, request: bytes) -> "asyncio.Future[int]":
        if self.transport is None:
            raise ConnectionError("not connected")
        self._status = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._status

    def close(self) -> None:
        if self.transport is not None:
            self.transport.abort()
            self.transport = None


class _Lane:
    """Sends the webhooks given to it one after the other."""

    def __init__(self, sender: "WebhookSender") -> None:
        self._sender = sender
        self._connection: _Connection | None = None
        self.queue: deque[Webhook] = deque()
        self.task: asyncio.Task[None] | None = None

    def push(self, hook: Webhook) -> None:
        if len(self.queue) >= _QUEUE:
            self._sender.dropped += 1
            return
        self.queue.append(hook)
        if self.task is None or self.task.done():
            self.task = asyncio.get_running_loop().create_task(self._work())

    async def _work(self) -> None:
        while self.queue:
            hook = self.queue.popleft()
            try:
                async with asyncio.timeout(self._sender.timeout):
                    status = await self._send(hook)
            except (OSError, TimeoutError):
                self._sender.failed += 1
                self.disconnect()
                continue
            if 200 <= status < 300:
                self._sender.sent += 1
            else:
                self._sender.rejected += 1

    async def _send(self, hook: Webhook) -> int:
        sender, loop = self._sender, asyncio.get_running_loop()
        connection = self._connection
        if connection is None or connection.transport is None or loop.time() - connection.last_used > _IDLE:
            self.disconnect()
            _, connection = await loop.create_connection(_Connection, sender.host, sender.port, ssl=sender.ssl_context)
            self._connection = connection
        status = await connection.send(sender.head + hook.query.encode() + sender.tail)
        connection.last_used = loop.time()
        return status

    def disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


class WebhookSender:
    """The module's address for notifications, and what became of what was sent there."""

    def __init__(self, url: str, *, lanes: int = 16, timeout: float = 5.0) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadInput(f"webhook address {url!r} must be a whole one: http://host:port/webhooks/name/secret")
        self.url = url
        self.host, self.timeout = parts.hostname, timeout
        self.port = parts.port or (443 if parts.scheme == "https" else 80)
        self.ssl_context = ssl.create_default_context() if parts.scheme == "https" else None
        query = f"{parts.query}&" if parts.query else ""
        self.head = f"GET {parts.path or '/'}?{query}".encode()
        self.tail = f" HTTP/1.1\r\nhost: {parts.netloc}\r\nuser-agent: VOIspeed\r\n\r\n".encode()
        self._lanes = [_Lane(self) for _ in range(lanes)]
        self.sent = self.failed = self.rejected = self.dropped = 0

    @property
    def waiting(self) -> int:
        return sum(len(lane.queue) for lane in self._lanes)

    def push(self, hooks: Iterable[Webhook]) -> None:
        """Send these, soon; those of one call in the order given."""
        for hook in hooks:
            self._lanes[hook.lane % len(self._lanes)].push(hook)

    def forget(self) -> None:
        """Drop what has not been sent yet."""
        for lane in self._lanes:
            lane.queue.clear()

    async def close(self) -> None:
        """Stop sending; what waits is dropped."""
        self.forget()
        for lane in self._lanes:
            if lane.task is not None:
                lane.task.cancel()
                await asyncio.gather(lane.task, return_exceptions=True)
            lane.disconnect()

    def as_json(self) -> dict[str, object]:
        return {
            "sent": self.sent,
            "failed": self.failed,
            "rejected": self.rejected,
            "dropped": self.dropped,
            "waiting": self.waiting,
        }
