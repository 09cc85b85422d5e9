"""Live numbers for browsers: one question to the database per second and campaign, however many look on.

A client that is slow gets the newest state when it is ready for it, and never a queue of old ones.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor

from fastapi.sse import format_sse_event
from pydantic import TypeAdapter
from sqlalchemy.exc import SQLAlchemyError

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.live import LiveState, live_state
from campaigns.tallies import TallyCache
from campaigns.web.metrics import WebMetrics
from dialer.errors import DialerError, NotFound, TryAgainLater

log = logging.getLogger(__name__)

MAX_CLIENTS = 200
HEARTBEAT = 15.0
_RETRY_MS = 2000
_AS_JSON = TypeAdapter(LiveState)


class _Channel:
    """What one campaign's watchers share."""

    def __init__(self) -> None:
        self.watchers = 0
        self.number = 0
        self.latest = b""
        self.changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def publish(self, event: str, data: str) -> None:
        self.number += 1
        self.latest = format_sse_event(event=event, data_str=data, id=str(self.number))
        self.changed.set()
        self.changed = asyncio.Event()


class LiveStream:
    """Reads the live state while somebody watches, and hands it to all who do."""

    def __init__(self, application: Application, metrics: WebMetrics, *, period: float = 1.0) -> None:
        self._application = application
        self._metrics = metrics
        self._period = period
        self._tallies = TallyCache()
        # One thread: the tallies are not shared, and a dashboard never takes a second connection.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="live")
        self._channels: dict[str | None, _Channel] = {}
        self._closed = False

    def read(self, campaign: str | None) -> LiveState:
        """Return the live state, now. Blocks; `state` does not."""
        with self._application.transaction() as session:
            return live_state(session, database_now(session), campaign, tallies=self._tallies)

    async def state(self, campaign: str | None) -> LiveState:
        """Return the live state, read in the thread that reads them all."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self.read, campaign)

    def close(self) -> None:
        """End every stream; the web process is about to stop."""
        self._closed = True
        for channel in self._channels.values():
            if channel.task is not None:
                channel.task.cancel()
            channel.changed.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def admit(self) -> None:
        """TryAgainLater when nobody more can be fed."""
        if self._closed:
            raise TryAgainLater("this web process is stopping; the browser will try another time")
        watchers = sum(channel.watchers for channel in self._channels.values())
        if watchers >= MAX_CLIENTS:
            raise TryAgainLater(f"{watchers} browsers are being fed already; close a tab that nobody looks at")

    async def watch(self, campaign: str | None, may_go_on: Callable[[], bool]) -> AsyncIterator[bytes]:
        """Yield server-sent events until the client leaves, its session ends, or we close."""
        channel = self._join(campaign)
        self._metrics.live_clients.inc()
        try:
            yield format_sse_event(retry=_RETRY_MS, comment="live")
            seen = 0
            while not self._closed and may_go_on():
                changed = channel.changed
                if channel.number == seen:
                    try:
                        await asyncio.wait_for(changed.wait(), HEARTBEAT)
                    except TimeoutError:
                        yield b": still here\n\n"
                if channel.number != seen:
                    seen = channel.number
                    yield channel.latest
        finally:
            self._metrics.live_clients.dec()
            self._leave(campaign, channel)

    def _join(self, campaign: str | None) -> _Channel:
        channel = self._channels.setdefault(campaign, _Channel())
        channel.watchers += 1
        if channel.task is None:
            channel.task = asyncio.create_task(self._feed(campaign, channel), name="live")
        return channel

    def _leave(self, campaign: str | None, channel: _Channel) -> None:
        channel.watchers -= 1
        if channel.watchers == 0:
            if channel.task is not None:
                channel.task.cancel()
            self._channels.pop(campaign, None)

    async def _feed(self, campaign: str | None, channel: _Channel) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                state = await self.state(campaign)
                channel.publish("live", _AS_JSON.dump_json(state).decode())
            except NotFound as exc:
                channel.publish("gone", _AS_TEXT.dump_json(str(exc)).decode())
            except (DialerError, SQLAlchemyError) as exc:
                # The sentence is for people who were let in; a driver's own words may hold more than they should.
                told = str(exc) if isinstance(exc, DialerError) else "PostgreSQL does not answer as it should"
                channel.publish("trouble", _AS_TEXT.dump_json(told).decode())
            except Exception:
                log.exception("The live state cannot be read")
                channel.publish("trouble", _AS_TEXT.dump_json("the live state cannot be read").decode())
            due = max(due + self._period, loop.time())
            await asyncio.sleep(due - loop.time())


_AS_TEXT = TypeAdapter(str)
