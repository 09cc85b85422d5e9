"""Hold a PBX's event stream for the length of a conformance run, when no listener does.

It leads by the listener's own lease, so no listener connects meanwhile and takes the stream over; what comes is
written to the event log as the listener writes it, and what the PBX leaves to us is done.
"""

import asyncio
import contextlib
import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from campaigns import leases
from campaigns.application import Application
from campaigns.conformance_ears import LogEar
from campaigns.conformance_rules import running_on
from campaigns.event_log import storable
from campaigns.models import LoggedEvent
from dialer.errors import DialerError, PbxError, TryAgainLater
from dialer.pbx.base import EventStream, Payload, Pbx, StreamEnded, Streaming

log = logging.getLogger(__name__)

OPEN_WITHIN = 20.0
AGAIN = 0.5
_SPEECHLESS = "the event stream cannot be opened"


@contextmanager
def held(application: Application, ear: LogEar) -> Iterator[None]:
    """Hear the stream inside the block: through the listener that leads, or on a connection of our own.

    TryAgainLater when a campaign runs and no listener does: its events would come to us.
    """
    pbx = application.pbxes[ear.pbx]
    if not isinstance(pbx, Streaming):
        yield
        return
    holder, ttl = f"conformance:{secrets.token_hex(4)}", application.settings.timing.lease
    with application.transaction() as session:
        ours = bool(leases.claim(session, [f"listener:{ear.pbx}"], holder, ttl))
        campaigns = running_on(session, ear.pbx) if ours else 0
        if campaigns:
            leases.release(session, holder)
    if campaigns:
        raise TryAgainLater(
            f"{campaigns} campaigns run on PBX {ear.pbx} and no listener does: start `dialer listener`, or pause them"
        )
    if not ours:
        yield
        return
    own = _Stream(application, ear, pbx, holder, ttl)
    try:
        own.start()
        yield
    finally:
        own.stop()
        with application.transaction() as session:
            leases.release(session, holder)


class _Stream:
    """One connection, in a thread with a loop of its own."""

    def __init__(self, application: Application, ear: LogEar, pbx: Streaming, holder: str, ttl: float) -> None:
        self._application, self._ear, self._pbx = application, ear, pbx
        self._adapter: Pbx = application.pbxes[ear.pbx]
        self._holder, self._ttl = holder, ttl
        self._opened = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()), name="event stream", daemon=True)

    def start(self) -> None:
        """Connect, and return when that has worked or failed; the ear knows which."""
        self._ear.how = "they come on a connection that this run holds: no listener is running"
        self._thread.start()
        if not self._opened.wait(OPEN_WITHIN):
            self._ear.why_none = (f"{_SPEECHLESS} within {OPEN_WITHIN:.0f} s", "see `dialer pbx check`")

    def stop(self) -> None:
        """Close the connection."""
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _main(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        tasks = [asyncio.create_task(one) for one in (self._listen(), self._renew(), self._stop.wait())]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(self._ttl / 3)
            with contextlib.suppress(DialerError):
                await asyncio.to_thread(self._claim)

    def _claim(self) -> None:
        with self._application.transaction() as session:
            leases.claim(session, [f"listener:{self._ear.pbx}"], self._holder, self._ttl)

    async def _listen(self) -> None:
        """Connect, and again whenever the connection is lost."""
        while True:
            why = ""
            try:
                stream = await self._pbx.open_stream()
                try:
                    await self._take(stream)
                finally:
                    await stream.close()
            except StreamEnded as exc:
                why = f"the event stream ended: {exc}"
            except PbxError as exc:
                why = f"{_SPEECHLESS}: {exc.why}"
            except DialerError as exc:
                why = f"what the PBX tells cannot be kept: {exc}"
            self._ear.why_none = (why, "see `dialer pbx check`, and what is between us and the PBX")
            self._opened.set()
            await asyncio.sleep(AGAIN)

    async def _take(self, stream: EventStream) -> None:
        chores: asyncio.Queue[str] = asyncio.Queue()
        worker = asyncio.create_task(self._see_to(chores))
        # The answers to what `settle` asks may come on this very stream, so it is read meanwhile.
        settling = asyncio.create_task(asyncio.to_thread(self._pbx.settle))
        settling.add_done_callback(self._settled)
        try:
            while True:
                told = self._pbx.told(await stream.receive())
                if told.replaced:
                    raise StreamEnded("another program uses our application's name")
                if told.payload is not None:
                    await asyncio.to_thread(self._keep, told.payload)
                if told.chore:
                    chores.put_nowait(told.chore)
        finally:
            worker.cancel()
            settling.cancel()
            await asyncio.gather(worker, settling, return_exceptions=True)

    def _settled(self, done: "asyncio.Task[object]") -> None:
        if done.cancelled():
            return
        trouble = done.exception()
        if trouble is None:
            self._ear.why_none = None
        else:
            told = trouble.why if isinstance(trouble, PbxError) else type(trouble).__name__
            self._ear.why_none = (f"{_SPEECHLESS}: {told}", "see `dialer pbx check`")
        self._opened.set()

    async def _see_to(self, chores: "asyncio.Queue[str]") -> None:
        while True:
            chore = await chores.get()
            try:
                await asyncio.to_thread(self._pbx.see_to, chore)
            except PbxError as exc:
                log.warning("%s was not done: %s", chore, exc.why[:200])

    def _keep(self, payload: Payload) -> None:
        keys = self._adapter.keys(payload)
        with self._application.transaction() as session:
            session.add(
                LoggedEvent(
                    pbx=self._ear.pbx,
                    ref=keys.ref,
                    call_id=keys.call_id,
                    can_wait=keys.can_wait,
                    method=payload.method,
                    query=payload.query,
                    body=payload.body,
                    content_type=storable(payload.content_type),
                )
            )
