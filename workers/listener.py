"""The listener: holds the connection on which a PBX tells its events, and logs them as the receiver would.

One listener leads each such PBX by a lease; the others stand by. The reader only queues; the log keeps every event on
disk before anybody looks at it, and is asked again while the database is away. After a lost connection the PBX is asked
what there is, and its new events wait until that is known: who waits in silence comes first.
"""

import asyncio
import contextlib
import os
import secrets
import signal
import socket
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import structlog
from sqlalchemy import select

from campaigns import leases
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.event_log import EventLog, NotKept, RawEvent, connection_string
from campaigns.models import AgentLeg, Attempt, Installation
from campaigns.pbx_status import note_trouble
from campaigns.web.ringing import Ringer
from dialer.calls import CallState
from dialer.errors import DialerError, PbxError
from dialer.pbx.base import EventStream, Pbx, Settled, StreamEnded, Streaming, Told
from dialer.settings import Settings
from workers.beat import Beat
from workers.wiring import settle_memory, wire

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
REPLACED_PAUSE = 10.0  # somebody else uses our application's name: taking it back at once would go on for ever
MOST_WAITING = 50_000  # events; more and the connection is given up, to be settled anew
# Their channels exist if anything does; what is on its way to the PBX is for the sweep.
_KNOWN = tuple(
    str(state)
    for state in (
        CallState.PLACED,
        CallState.RINGING,
        CallState.ANSWERED,
        CallState.HELD,
        CallState.JOINED,
        CallState.MESSAGE,
    )
)


@dataclass
class Figures:
    """What one PBX's listener tells of itself."""

    leads: bool = False
    connected: bool = False
    events: int = 0
    connections: int = 0
    found_gone: int = 0
    found_waiting: int = 0
    hung_up: int = 0

    def as_json(self) -> dict[str, object]:
        return dict(vars(self))


@dataclass
class _Incoming:
    """What the reader has queued."""

    messages: deque[str] = field(default_factory=deque)
    came: asyncio.Event = field(default_factory=asyncio.Event)
    ended: str = ""


class _Replaced(Exception):
    """Another connection of the same application took ours over."""


class PbxListener:
    """Listens to one PBX while its lease is ours."""

    def __init__(self, application: Application, name: str, event_log: EventLog, holder: str) -> None:
        pbx = application.pbxes[name]
        assert isinstance(pbx, Streaming)
        self._application = application
        self._name = name
        self._pbx: Streaming = pbx
        self._adapter: Pbx = application.pbxes[name]
        self._log = event_log
        self._holder = holder
        self._ttl = application.settings.timing.lease
        self._pause = FIRST_PAUSE
        self._said = ""
        self.figures = Figures()

    async def run(self, stop: asyncio.Event) -> None:
        """Lead and listen, or stand by, until told to stop."""
        while not stop.is_set():
            if not await self._claim():
                await _wait(stop, self._ttl / 3)
                continue
            session = asyncio.create_task(self._listen(), name=f"listen {self._name}")
            renewing = asyncio.create_task(self._renew(), name=f"lease {self._name}")
            stopping = asyncio.create_task(stop.wait())
            done, _ = await asyncio.wait({session, renewing, stopping}, return_when=asyncio.FIRST_COMPLETED)
            for task in (session, renewing, stopping):
                task.cancel()
            await asyncio.gather(session, renewing, stopping, return_exceptions=True)
            self.figures.connected = False
            if session in done:
                await self._after(session.exception(), stop)

    async def _after(self, trouble: BaseException | None, stop: asyncio.Event) -> None:
        """Say why the connection is over, and wait before the next."""
        pause = self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        if isinstance(trouble, _Replaced):
            pause = REPLACED_PAUSE
            log.error(
                "another program took our events over",
                pbx=self._name,
                remedy=f"give it, or us, another application's name (pbx.{self._name}.app)",
            )
        elif isinstance(trouble, PbxError | DialerError | StreamEnded):
            why = str(trouble)
            if why != self._said:
                log.warning("events of the PBX are interrupted", pbx=self._name, why=why[:300])
                self._said = why
            if isinstance(trouble, PbxError):
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(note_trouble, self._application, self._name, trouble.why)
        else:
            log.error("the listener failed", pbx=self._name, kind=type(trouble).__name__, error=str(trouble)[:300])
        await _wait(stop, pause)

    # leading ------------------------------------------------------------------------------------------

    async def _claim(self) -> bool:
        try:
            held = await asyncio.to_thread(self._claim_now)
        except Exception as exc:  # without the database there is no log to write to either
            log.warning("lease not renewed", pbx=self._name, error=type(exc).__name__)
            held = False
        if held != self.figures.leads:
            log.info("leading" if held else "standing by", pbx=self._name, process="listener")
        self.figures.leads = held
        return held

    def _claim_now(self) -> bool:
        with self._application.transaction() as session:
            return bool(leases.claim(session, [f"listener:{self._name}"], self._holder, self._ttl))

    async def _renew(self) -> None:
        """Return when the lease is lost. A database that is away for a moment is not a lost lease."""
        loop = asyncio.get_running_loop()
        renewed = loop.time()
        while loop.time() - renewed < self._ttl:
            await asyncio.sleep(self._ttl / 3)
            began = loop.time()
            try:
                if not await asyncio.to_thread(self._claim_now):
                    break
                renewed = began
            except Exception as exc:
                log.warning("lease not renewed", pbx=self._name, error=type(exc).__name__)
        self.figures.leads = False
        log.warning("lease lost", pbx=self._name)

    # one connection -----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        stream = await self._pbx.open_stream()
        incoming = _Incoming()
        reader = asyncio.create_task(_read(stream, incoming), name=f"read {self._name}")
        chores = _Chores(self._pbx)
        self.figures.connections += 1
        try:
            await self._settle(incoming, chores)
            self.figures.connected = True
            self._pause, self._said = FIRST_PAUSE, ""
            log.info("listening", pbx=self._name)
            while True:
                while incoming.messages:
                    await self._take(_up_to(incoming.messages, 200), chores)
                if incoming.ended:
                    raise StreamEnded(incoming.ended)
                incoming.came.clear()
                await incoming.came.wait()
        finally:
            reader.cancel()
            chores.stop()
            with contextlib.suppress(Exception):
                await stream.close()

    async def _take(self, messages: Sequence[str], chores: "_Chores") -> None:
        """Log what is news, in the order it came, and see to what the PBX leaves to us."""
        news: list[Told] = []
        for message in messages:
            told = self._pbx.told(message)
            if told.replaced:
                raise _Replaced
            if told.chore:
                chores.add(told.chore, told.ref)
            if told.payload is not None:
                news.append(told)
        self.figures.events += len(news)
        await self._keep(news)

    async def _keep(self, news: Sequence[Told]) -> None:
        """Write events down. Nobody sends them again, so they are offered until they are taken."""
        waiting = [
            RawEvent(self._name, told.payload, self._adapter.keys(told.payload)) for told in news if told.payload
        ]
        while waiting:
            results = await asyncio.gather(*(self._log.keep(event) for event in waiting), return_exceptions=True)
            left = []
            for event, result in zip(waiting, results, strict=True):
                if isinstance(result, NotKept) and "cannot be written" not in str(result):
                    left.append(event)
                elif isinstance(result, BaseException) and not isinstance(result, NotKept):
                    raise result
            if left:
                await asyncio.sleep(0.2)
            waiting = left

    # after a lost connection --------------------------------------------------------------------------

    async def _settle(self, incoming: _Incoming, chores: "_Chores") -> None:
        """Compare what the PBX shows with what we know, before its new events are let through."""
        began = await asyncio.to_thread(self._known)
        settled = await asyncio.to_thread(self._pbx.settle)
        speaking = {told.ref for told in map(self._pbx.told, incoming.messages) if told.payload is not None}
        gone = [ref for ref in began if ref not in settled.present and ref not in speaking]
        if settled.restarted:
            log.warning("the PBX was restarted: no call of before is left", pbx=self._name)
        self.figures.found_gone += len(gone)
        self.figures.found_waiting += len(settled.waiting)
        if gone or settled.waiting:
            log.info("settled", pbx=self._name, gone=len(gone), waiting=len(settled.waiting))
        await self._keep(settled.waiting)
        for chore in settled.chores:
            chores.add(chore, None)
        await self._keep([Told(self._pbx.gone(ref), ref=ref) for ref in gone])
        await self._hang_up_strangers(settled)

    def _known(self) -> list[str]:
        found: list[str] = []
        with self._application.transaction() as session:
            for table in (Attempt, AgentLeg):
                query = select(table.ref).where(
                    table.ended_at.is_(None), table.pbx == self._name, table.state.in_(_KNOWN)
                )
                found += session.scalars(query)
        return found

    async def _hang_up_strangers(self, settled: Settled) -> None:
        """End channels with our mark that no open call of ours has: nobody would ever serve or end them."""
        for ref in await asyncio.to_thread(self._strangers, settled.present):
            log.warning("a call nobody knows is hung up", pbx=self._name, ref=ref)
            self.figures.hung_up += 1
            with contextlib.suppress(PbxError):
                await asyncio.to_thread(self._adapter.hang_up, ref)

    def _strangers(self, present: frozenset[str]) -> list[str]:
        if not present:
            return []
        with self._application.transaction() as session:
            prefix = session.get_one(Installation, 1).prefix
            ours = [ref for ref in present if ref.startswith(f"{prefix}-")]  # others may share this Asterisk
            known: set[str] = set()
            for table in (Attempt, AgentLeg):
                known.update(session.scalars(select(table.ref).where(table.ref.in_(ours), table.ended_at.is_(None))))
        return [ref for ref in ours if ref not in known]


class _Chores:
    """What the PBX leaves to us, off the reader's path; of one call in order."""

    def __init__(self, pbx: Streaming) -> None:
        self._pbx = pbx
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, chore: str, ref: str | None) -> None:
        key = chore.split(" ")[1] if " " in chore else ref or ""
        before = self._tasks.get(key)
        task = asyncio.create_task(self._do(chore, before), name=chore)
        self._tasks[key] = task
        task.add_done_callback(lambda done: self._forget(key, done))

    def stop(self) -> None:
        for task in list(self._tasks.values()):
            task.cancel()

    def _forget(self, key: str, done: "asyncio.Task[None]") -> None:
        if self._tasks.get(key) is done:
            del self._tasks[key]

    async def _do(self, chore: str, before: "asyncio.Task[None] | None") -> None:
        if before is not None and not before.done():
            await asyncio.wait({before})
        try:
            await asyncio.to_thread(self._pbx.see_to, chore)
        except PbxError as exc:
            log.warning("a chore was not done", chore=chore, why=exc.why[:200])
        except Exception as exc:
            log.error("a chore failed", chore=chore, kind=type(exc).__name__, error=str(exc)[:200])


async def _read(stream: EventStream, incoming: _Incoming) -> None:
    """Queue, and do nothing else: a PBX drops whoever reads slowly."""
    try:
        while len(incoming.messages) < MOST_WAITING:
            incoming.messages.append(await stream.receive())
            incoming.came.set()
        incoming.ended = f"{MOST_WAITING} events wait to be written: the database is slower than the PBX"
    except StreamEnded as exc:
        incoming.ended = str(exc) or "it ended"
    incoming.came.set()


def _up_to(messages: deque[str], most: int) -> list[str]:
    return [messages.popleft() for _ in range(min(most, len(messages)))]


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


class _Unobserved:
    """The log's figures are told by the beat; its own observer has nothing to add."""

    def batch(self, events: int, seconds: float) -> None:
        """Written."""

    def failure(self) -> None:
        """Tried again by the log itself."""


async def listen(
    application: Application, names: Sequence[str], stop: asyncio.Event, holder: str | None = None
) -> None:
    """Listen to these PBXs until told to stop."""
    holder = holder or f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    ringer = Ringer(application.doorbell, lost=lambda _: None)
    event_log = EventLog(connection_string(application.engine), on_kept=ringer.look, observer=_Unobserved())
    listeners = [PbxListener(application, name, event_log, holder) for name in names]
    beat = Beat(
        application,
        "listener",
        lambda: {one._name: one.figures.as_json() for one in listeners},
    )
    ringer.start()
    await event_log.start()
    beat.start()
    try:
        await asyncio.gather(*(one.run(stop) for one in listeners))
    finally:
        await event_log.stop()
        ringer.stop()
        with contextlib.suppress(Exception):
            await asyncio.to_thread(_release, application, holder)
        await asyncio.to_thread(beat.stop)


def _release(application: Application, holder: str) -> None:
    with application.transaction() as session:
        database_now(session)
        leases.release(session, holder)


def run_listener(settings: Settings) -> int:
    """Listen until SIGTERM or SIGINT; nothing to listen to is said, and is no fault."""
    from dialer.pbx.registry import STREAMING

    names = [name for name, pbx in settings.pbx.items() if pbx.kind in STREAMING]
    with wire(settings, process="listener") as wired:
        settle_memory()
        if not names:
            log.warning("no PBX in the settings tells its events by websocket: nothing to listen to")

        async def main() -> None:
            stop = asyncio.Event()
            loop = asyncio.get_running_loop()
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.add_signal_handler(number, stop.set)
            if not names:
                await stop.wait()
                return
            log.info("listener ready", pbxes=names)
            await listen(wired.application, names, stop)

        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(main())
    return 0
