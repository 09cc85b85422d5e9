"""Listening to one PBX: lead by a lease, connect, settle what was missed, log what comes.

The reader only queues; the log keeps every event on disk before anybody looks at it, and is asked again while the
database is away. After a lost connection the PBX is asked what there is, and its new events wait until that is known:
who waits in silence comes first.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from campaigns import leases, settling
from campaigns.application import Application
from campaigns.event_log import EventLog, NotKept, RawEvent
from campaigns.pbx_status import note_trouble
from dialer.errors import DialerError, PbxError
from dialer.pbx.base import EventStream, Pbx, StreamEnded, Streaming, Told

log = structlog.get_logger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 5.0
REPLACED_PAUSE = 10.0  # somebody else uses our application's name: taking it back at once would go on for ever
LOOK_AROUND = 5.0
MOST_AT_ONCE = 200  # of one commit
MOST_UNKEPT = 2 * MOST_AT_ONCE  # that are being written while more is read
MOST_WAITING = 50_000  # events; more and the connection is given up, to be settled anew


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

    def __init__(
        self, application: Application, name: str, event_log: EventLog, holder: str, *, answers: EventLog | None = None
    ) -> None:
        """`answers`: the log for those who have answered and wait, who pass by what else is being written."""
        pbx = application.pbxes[name]
        assert isinstance(pbx, Streaming)
        self._application = application
        self.name = name
        self._pbx: Streaming = pbx
        self._adapter: Pbx = application.pbxes[name]
        self._log = event_log
        self._answers = answers or event_log
        self._keeping: dict[asyncio.Task[None], int] = {}
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
            session = asyncio.create_task(self._listen(), name=f"listen {self.name}")
            renewing = asyncio.create_task(self._renew(), name=f"lease {self.name}")
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
                pbx=self.name,
                remedy=f"give it, or us, another application's name (pbx.{self.name}.app)",
            )
        elif isinstance(trouble, PbxError | DialerError | StreamEnded):
            why = str(trouble)
            if why != self._said:
                log.warning("events of the PBX are interrupted", pbx=self.name, why=why[:300])
                self._said = why
            if isinstance(trouble, PbxError):
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(note_trouble, self._application, self.name, trouble.why)
        else:
            log.error("the listener failed", pbx=self.name, kind=type(trouble).__name__, error=str(trouble)[:300])
        await _wait(stop, pause)

    # leading ------------------------------------------------------------------------------------------

    async def _claim(self) -> bool:
        try:
            held = await asyncio.to_thread(self._claim_now)
        except Exception as exc:  # without the database there is no log to write to either
            log.warning("lease not renewed", pbx=self.name, error=type(exc).__name__)
            held = False
        if held != self.figures.leads:
            log.info("leading" if held else "standing by", pbx=self.name, process="listener")
        self.figures.leads = held
        return held

    def _claim_now(self) -> bool:
        with self._application.transaction() as session:
            return bool(leases.claim(session, [f"listener:{self.name}"], self._holder, self._ttl))

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
                log.warning("lease not renewed", pbx=self.name, error=type(exc).__name__)
        self.figures.leads = False
        log.warning("lease lost", pbx=self.name)

    # one connection -----------------------------------------------------------------------------------

    async def _listen(self) -> None:
        stream = await self._pbx.open_stream()
        incoming = _Incoming()
        reader = asyncio.create_task(_read(stream, incoming), name=f"read {self.name}")
        chores = _Chores(self._pbx)
        tidying: asyncio.Task[None] | None = None
        self.figures.connections += 1
        try:
            await self._settle(incoming, chores)
            self.figures.connected = True
            self._pause, self._said = FIRST_PAUSE, ""
            log.info("listening", pbx=self.name)
            tidying = asyncio.create_task(self._tidy(chores), name=f"tidy {self.name}")
            while True:
                while incoming.messages:
                    await self._take(self._read_out(incoming), chores)
                if incoming.ended:
                    raise StreamEnded(incoming.ended)
                incoming.came.clear()
                await incoming.came.wait()
        finally:
            reader.cancel()
            if tidying is not None:
                tidying.cancel()
            chores.stop()
            await self._let_go()
            with contextlib.suppress(Exception):
                await stream.close()

    async def _tidy(self, chores: "_Chores") -> None:
        """Now and then, see to what a chore that failed has left."""
        while True:
            await asyncio.sleep(LOOK_AROUND)
            try:
                found = await asyncio.to_thread(self._pbx.look_around)
            except PbxError as exc:
                log.info("not looked around", pbx=self.name, why=exc.why[:200])
                continue
            for chore in found.chores:
                chores.add(chore, None)

    async def _take(self, messages: Sequence[Told], chores: "_Chores") -> None:
        """Log what is news, in the order it came, and see to what the PBX leaves to us."""
        for told in messages:
            if told.replaced:
                raise _Replaced
            if told.chore:
                chores.add(told.chore, told.ref)
        news = [told for told in messages if told.payload is not None]
        self.figures.events += len(news)
        while sum(self._keeping.values()) >= MOST_UNKEPT:
            await asyncio.wait(self._keeping, return_when=asyncio.FIRST_COMPLETED)
            self._look_after_keeping()
        self._look_after_keeping()
        if news:
            # Nobody waits here for a commit: the next message may be of somebody who has just answered.
            self._keeping[asyncio.create_task(self._keep(news), name=f"keep {self.name}")] = len(news)

    def _look_after_keeping(self) -> None:
        for task in [task for task in self._keeping if task.done()]:
            del self._keeping[task]
            task.result()

    async def _let_go(self) -> None:
        """A moment for what is being written; the log writes on by itself what it has taken."""
        if self._keeping:
            _, late = await asyncio.wait(self._keeping, timeout=1.0)
            for task in late:
                task.cancel()
        self._keeping.clear()

    def _read_out(self, incoming: _Incoming) -> list[Told]:
        """Take what has come, each message once: the PBX's double telling is seen by who asks."""
        taken: list[Told] = []
        while incoming.messages and len(taken) < MOST_AT_ONCE:
            taken.append(self._pbx.told(incoming.messages.popleft()))
        return taken

    async def _keep(self, news: Sequence[Told]) -> None:
        """Write events down. Nobody sends them again, so they are offered until they are taken."""
        waiting = [RawEvent(self.name, told.payload, self._adapter.keys(told.payload)) for told in news if told.payload]
        while waiting:
            results = await asyncio.gather(*map(self._keep_one, waiting), return_exceptions=True)
            left = []
            for event, result in zip(waiting, results, strict=True):
                if isinstance(result, NotKept) and "cannot be written" not in str(result):
                    left.append(event)
                elif isinstance(result, BaseException) and not isinstance(result, NotKept):
                    raise result
            if left:
                await asyncio.sleep(0.2)
            waiting = left

    async def _keep_one(self, event: RawEvent) -> None:
        await (self._answers if event.keys.joinable else self._log).keep(event)

    # after a lost connection --------------------------------------------------------------------------

    async def _settle(self, incoming: _Incoming, chores: "_Chores") -> None:
        """Compare what the PBX shows with what we know, before its new events are let through."""
        expected = await asyncio.to_thread(self._in_transaction, settling.at_the_pbx, self.name)
        settled = await asyncio.to_thread(self._pbx.settle)
        early = self._read_out(incoming)
        while incoming.messages:
            early += self._read_out(incoming)
        speaking = {told.ref for told in early if told.payload is not None}
        gone = [ref for ref in expected if ref not in settled.present and ref not in speaking and not settled.unsure]
        if settled.restarted:
            log.warning("the PBX was restarted: no call of before is left", pbx=self.name)
        if gone or settled.waiting:
            log.info("settled", pbx=self.name, gone=len(gone), waiting=len(settled.waiting))
        self.figures.found_gone += len(gone)
        self.figures.found_waiting += len(settled.waiting)
        await self._keep(settled.waiting)
        for chore in settled.chores:
            chores.add(chore, None)
        await self._keep([Told(self._pbx.gone(ref), ref=ref) for ref in gone])
        await self._take(early, chores)
        for ref in await asyncio.to_thread(self._in_transaction, settling.strangers, settled.present):
            log.warning("a call that nobody knows is hung up", pbx=self.name, ref=ref)
            self.figures.hung_up += 1
            with contextlib.suppress(PbxError):
                await asyncio.to_thread(self._adapter.hang_up, ref)

    def _in_transaction(self, ask: Callable[..., list[str]], about: object) -> list[str]:
        with self._application.transaction() as session:
            return ask(session, about)


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


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)
