"""Keep every event as it came, on disk, before anyone tries to understand it (I15).

Requests wait here for one commit they share: the writer takes whatever has gathered while the last commit was
under way, so there is no timer, one slow disk makes bigger batches and not longer queues, and the order of
arrival is the order of the rows. Only after the commit does anybody hear "kept".
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar
from urllib.parse import quote_from_bytes

import psycopg
from psycopg.errors import DataError, IntegrityError, ProgramLimitExceeded
from sqlalchemy import Engine

from campaigns.event_connection import Opens, opened
from dialer.errors import TryAgainLater
from dialer.pbx.base import EventKeys, Payload

log = logging.getLogger(__name__)

# Longer than any id a PBX or we ever make, shorter than what an index entry can hold.
MAX_KEY = 200
MAX_CONTENT_TYPE = 200
_RETRY_PAUSES = (0.0, 0.05, 0.1, 0.2, 0.4)
_REHEARSED = 4  # a rehearsal may take this part of the events' patience: a quarter

_INSERT = """
INSERT INTO logged_events (pbx, received_at, ref, call_id, can_wait, method, query, body, content_type)
SELECT pbx, clock_timestamp() - make_interval(secs => waited), ref, call_id, can_wait, method, query, body, content_type
FROM unnest(
    %b::text[], %b::float8[], %b::text[], %b::text[], %b::bool[], %b::text[], %b::text[], %b::bytea[], %b::text[]
) WITH ORDINALITY AS e(pbx, waited, ref, call_id, can_wait, method, query, body, content_type, place)
ORDER BY place
"""


_T = TypeVar("_T")
Question = tuple[str, Mapping[str, Any]]  # a statement, and its values


@dataclass(frozen=True, slots=True)
class RawEvent:
    """An event as a PBX sent it, and the call it seems to be about."""

    pbx: str
    payload: Payload
    keys: EventKeys

    @property
    def size(self) -> int:
        """Roughly the memory it holds while it waits."""
        return len(self.payload.query) + len(self.payload.body) + 500


class NotKept(TryAgainLater):
    """The event is not on disk: it must not be answered 200."""


class LogFull(NotKept):
    """More events wait than may: the database is slower than the PBX."""


class AtOnce(Protocol):
    """What an event leads to in the very transaction that keeps it. It may fail; the event is kept all the same."""

    def rehearsal(self) -> Question:
        """Return such a statement that finds nothing: run on a new connection, so that nobody waits for its plan."""

    def ask(self, event: RawEvent, waited: float) -> Question | None:
        """Return the statement to run once this event is written, `waited` seconds after it came; mostly None."""

    def answer(self, event: RawEvent, row: Sequence[Any] | None) -> bool:
        """Told once for each question: the row it returned, on disk by now, if any; whether that is being seen to.

        Must return at once and never fail. Of an event that is seen to `on_kept` is not told.
        """

    def forget(self, event: RawEvent) -> None:
        """Told instead when the event could not be written, or nobody knows: it is offered again. The same holds."""


class LogObserver(Protocol):
    """Is told how the log is doing; `campaigns.web.metrics` counts it."""

    def batch(self, events: int, seconds: float) -> None:
        """One commit kept so many events and took so long."""

    def failure(self) -> None:
        """A batch could not be written; it is tried again while its events' patience lasts."""


@dataclass(slots=True)
class _Waiting:
    event: RawEvent
    since: float
    kept: "asyncio.Future[None]"


def connection_string(engine: Engine) -> str:
    """The address of the engine's database for psycopg alone."""
    return engine.url.set(drivername="postgresql").render_as_string(hide_password=False)


class EventLog:
    """The durable log of one web process: one writer, one connection, as many waiting requests as allowed.

    `on_kept` is called after each commit with what it kept; it must return at once and never fail.
    A lost connection is opened again by itself. Events wait `patience` seconds for that, because most PBXs
    send once; then whoever waits is told NotKept. An event whose commit got no answer is written again: twice
    is harmless (I16), lost is not.
    """

    def __init__(
        self,
        address: str,
        *,
        on_kept: Callable[[Sequence[RawEvent]], None],
        observer: LogObserver,
        at_once: AtOnce | None = None,
        capacity: int = 20_000,
        capacity_bytes: int = 64 * 1024 * 1024,
        batch: int = 500,
        batch_bytes: int = 4 * 1024 * 1024,
        patience: float = 3.0,
        open_connection: Opens = opened,
    ) -> None:
        self._address, self._open = address, open_connection
        self._on_kept = on_kept
        self._observer = observer
        self._at_once = at_once
        self._at_once_failed = False
        self._capacity, self._capacity_bytes = capacity, capacity_bytes
        self._batch, self._batch_bytes = batch, batch_bytes
        self._patience = patience
        self._waiting: deque[_Waiting] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()
        self._connection: psycopg.AsyncConnection[Any] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._abandoned: dict[asyncio.Task[Any], psycopg.AsyncConnection[Any]] = {}
        self._closing = False
        self._failures = 0

    @property
    def waiting(self) -> int:
        """How many events wait for their commit."""
        return len(self._waiting)

    async def start(self) -> None:
        """Begin to write. The database need not be there yet."""
        self._loop = asyncio.get_running_loop()
        self._writer = asyncio.create_task(self._write_for_ever(), name="event log")

    async def stop(self, limit: float = 5.0) -> None:
        """Take nothing more, write what waits, and close; what is not written by then is refused."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await asyncio.wait({self._writer}, timeout=limit)
            await _cancelled(self._writer)
        self._refuse(len(self._waiting), "the event log is closing")
        for task, connection in self._abandoned.items():
            connection.pgconn.finish()  # else cancelling would wait for a server that does not answer
            task.cancel()
        await self._disconnect()

    async def keep(self, event: RawEvent) -> None:
        """Return when the event is on disk; NotKept when it is not (or nobody can say)."""
        if self._closing:
            raise NotKept("the event log is closing; send the event again")
        if len(self._waiting) >= self._capacity or self._bytes + event.size > self._capacity_bytes:
            raise LogFull(f"{len(self._waiting)} events already wait to be written; send this one again in a moment")
        waiting = _Waiting(event, self._loop.time(), self._loop.create_future())
        self._waiting.append(waiting)
        self._bytes += event.size
        self._wake.set()
        await waiting.kept

    async def _write_for_ever(self) -> None:
        if self._at_once is not None:
            with contextlib.suppress(Exception):  # the first event finds the same trouble, and tells of it
                await self._connect()
        while True:
            while not self._waiting:
                if self._closing:
                    return
                self._wake.clear()
                await self._wake.wait()
            batch = self._take()
            try:
                await self._write(batch)
            except asyncio.CancelledError:
                self._put_back(batch)
                raise
            except Exception as exc:  # whatever the driver or the network comes up with, the log goes on
                await self._after_failure(batch, exc)
            else:
                self._failures = 0

    def _take(self) -> list[_Waiting]:
        batch: list[_Waiting] = []
        size = 0
        while self._waiting and len(batch) < self._batch and size < self._batch_bytes:
            waiting = self._waiting.popleft()
            size += waiting.event.size
            batch.append(waiting)
        self._bytes -= size
        return batch

    def _put_back(self, batch: Sequence[_Waiting]) -> None:
        unsettled = [waiting for waiting in batch if not waiting.kept.done()]
        self._waiting.extendleft(reversed(unsettled))
        self._bytes += sum(waiting.event.size for waiting in unsettled)

    async def _write(self, batch: Sequence[_Waiting]) -> None:
        try:
            await self._insert(batch)
        except (DataError, IntegrityError, ProgramLimitExceeded) as exc:
            # Some event holds what no column takes. The others must not suffer for it.
            if len(batch) > 1:
                for waiting in batch:
                    await self._write([waiting])
                return
            log.error("An event of PBX %s cannot be written (%s); it was refused", batch[0].event.pbx, exc.sqlstate)
            _settle(batch, NotKept("this event cannot be written"))

    async def _insert(self, batch: Sequence[_Waiting]) -> None:
        began = self._loop.time()
        if self._connection is None:
            await self._connect()
        asked = self._asked(batch, began)
        try:
            rows = await self._keep(_columns(batch, began), [question for _, question in asked])
        except BaseException:
            self._forget_asked(asked)
            raise
        seen_to = {id(one) for (one, _), row in zip(asked, rows, strict=True) if self._answered(one.event, row)}
        self._observer.batch(len(batch), self._loop.time() - began)
        self._on_kept([waiting.event for waiting in batch if id(waiting) not in seen_to])
        _settle(batch, None)

    def _asked(self, batch: Sequence[_Waiting], now: float) -> list[tuple[_Waiting, Question]]:
        if self._at_once is None:
            return []
        found = ((waiting, self._at_once.ask(waiting.event, now - waiting.since)) for waiting in batch)
        return [(waiting, question) for waiting, question in found if question is not None]

    def _forget_asked(self, asked: Sequence[tuple[_Waiting, Question]]) -> None:
        if self._at_once is not None:
            for waiting, _ in asked:
                self._at_once.forget(waiting.event)

    def _answered(self, event: RawEvent, row: Sequence[Any] | None) -> bool:
        return self._at_once is not None and self._at_once.answer(event, row)

    async def _keep(
        self, columns: tuple[list[Any], ...], questions: Sequence[Question]
    ) -> Sequence[Sequence[Any] | None]:
        assert self._connection is not None
        if questions:
            try:
                rows = await self._in_time(_kept_and_asked(self._connection, columns, questions))
            except psycopg.Error as exc:
                if self._connection.closed:
                    raise
                if not self._at_once_failed:
                    log.warning("Nothing is done at once, events are looked at as ever: %s", _first_line(exc))
                self._at_once_failed = True
            else:
                self._at_once_failed = False
                return rows
        await self._in_time(self._connection.execute(_INSERT, columns, prepare=True))
        return [None] * len(questions)

    async def _in_time(self, writing: Coroutine[Any, Any, _T]) -> _T:
        """Wait as long as events have patience, and no longer."""
        task = asyncio.ensure_future(writing)
        # Not `asyncio.timeout`: cancelling a query asks the server to stop it and then waits for the server,
        # and a server that does not answer is just what this limit is for.
        try:
            done, _ = await asyncio.wait({task}, timeout=self._patience)
        except asyncio.CancelledError:
            self._abandon(task)
            raise
        if not done:
            self._abandon(task)
            raise TimeoutError(f"PostgreSQL took longer than {self._patience:g} s to write events")
        return task.result()

    async def _after_failure(self, batch: Sequence[_Waiting], exc: Exception) -> None:
        if self._failures == 0:
            log.warning("Events cannot be written, trying again: %s", _first_line(exc))
        self._observer.failure()
        await self._disconnect()
        self._put_back(batch)
        oldest_allowed = self._loop.time() - self._patience
        late = sum(waiting.since <= oldest_allowed for waiting in self._waiting)
        self._refuse(late, "the event could not be written: PostgreSQL does not answer")
        await asyncio.sleep(_RETRY_PAUSES[min(self._failures, len(_RETRY_PAUSES) - 1)])
        self._failures += 1

    def _refuse(self, count: int, why: str) -> None:
        """Refuse the oldest `count` events that wait."""
        refused = [self._waiting.popleft() for _ in range(count)]
        self._bytes -= sum(waiting.event.size for waiting in refused)
        _settle(refused, NotKept(f"{why}; send it again"))

    def _abandon(self, task: "asyncio.Task[Any]") -> None:
        """Leave a query that does not come back to itself, with its connection."""
        assert self._connection is not None
        self._abandoned[task] = self._connection
        self._connection = None
        task.add_done_callback(self._forget)

    def _forget(self, task: "asyncio.Task[Any]") -> None:
        connection = self._abandoned.pop(task, None)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody warns of it
        if connection is not None:
            connection.pgconn.finish()

    async def _connect(self) -> None:
        self._connection = await self._open(self._address, self._patience)
        if self._at_once is None:
            return
        sql, values = self._at_once.rehearsal()
        # Planned once, and without anybody's values: a plan takes ten times as long as the answer. Events wait
        # meanwhile, so a rehearsal that hangs may take no more than a part of their patience.
        whole = int(self._patience * 1000)
        await self._set(f"SET plan_cache_mode = force_generic_plan; SET statement_timeout = {whole // _REHEARSED}")
        with contextlib.suppress(psycopg.Error):  # the question itself will tell
            await self._in_time(self._connection.execute(sql, values, prepare=True))
        await self._set(f"SET statement_timeout = {whole}")

    async def _set(self, settings: str) -> None:
        assert self._connection is not None
        await self._in_time(self._connection.execute(settings))

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                await connection.close()


async def _kept_and_asked(
    connection: psycopg.AsyncConnection[Any], columns: tuple[list[Any], ...], questions: Sequence[Question]
) -> Sequence[Sequence[Any] | None]:
    """Write events and ask what follows: one round trip, and one transaction that fails or is on disk as a whole."""
    async with connection.pipeline():
        await connection.execute(_INSERT, columns, prepare=True)
        cursors = [await connection.execute(sql, values, prepare=True) for sql, values in questions]
    return [await cursor.fetchone() for cursor in cursors]


def _columns(batch: Sequence[_Waiting], now: float) -> tuple[list[Any], ...]:
    """The rows as columns. `received_at` is the database's time less what the event has waited here."""
    events = [waiting.event for waiting in batch]
    return (
        [event.pbx for event in events],
        [now - waiting.since for waiting in batch],
        [_key(event.keys.ref) for event in events],
        [_key(event.keys.call_id) for event in events],
        [event.keys.can_wait for event in events],
        [event.payload.method for event in events],
        [event.payload.query for event in events],
        [event.payload.body for event in events],
        [storable(event.payload.content_type)[:MAX_CONTENT_TYPE] for event in events],
    )


def encoded_query(query: bytes) -> str:
    """The query as it came, still percent-encoded; bytes that should have been encoded are, so none is lost."""
    text = query.decode("latin-1")
    return text if text.isascii() and text.isprintable() else quote_from_bytes(query, safe=_PRINTABLE)


_PRINTABLE = bytes(range(0x21, 0x7F)).decode("ascii")


def storable(text: str) -> str:
    """The text without what PostgreSQL's text refuses: NUL, and halves of surrogate pairs."""
    if text.isascii():
        return text.replace("\x00", "")
    return text.replace("\x00", "").encode("utf-8", "replace").decode("utf-8")


def _key(text: str | None) -> str | None:
    """An id as a column takes it. What is longer than any id can be names no call of ours."""
    if text is None or len(text) > MAX_KEY:
        return None
    return storable(text)


def _settle(batch: Sequence[_Waiting], refusal: NotKept | None) -> None:
    for waiting in batch:
        if waiting.kept.done():
            continue  # whoever waited has gone
        if refusal is None:
            waiting.kept.set_result(None)
        else:
            waiting.kept.set_exception(refusal)


async def _cancelled(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def _first_line(exc: Exception) -> str:
    lines = str(exc).strip().splitlines()
    return lines[0] if lines else type(exc).__name__
