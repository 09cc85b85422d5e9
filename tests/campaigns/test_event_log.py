import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.engine import make_url

from campaigns.event_log import EventLog, LogFull, NotKept, RawEvent, connection_string, encoded_query
from dialer.pbx.base import EventKeys, Payload


class Watch:
    """Remembers what the log told its observer and its listener."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.failures = 0
        self.kept: list[RawEvent] = []

    def batch(self, events: int, seconds: float) -> None:
        self.batches.append(events)

    def failure(self) -> None:
        self.failures += 1

    def hear(self, events: Sequence[RawEvent]) -> None:
        self.kept += events


def event(number: int = 1, **values: Any) -> RawEvent:
    payload = Payload(**{"method": "GET", "query": f"n={number}", **values})
    return RawEvent("main", payload, EventKeys(f"d-c{number}", str(number)))


@asynccontextmanager
async def running(address: str, watch: Watch, **options: Any) -> AsyncIterator[EventLog]:
    log = EventLog(address, on_kept=watch.hear, observer=watch, **{"patience": 30.0, **options})
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


def rows(address: str, columns: str = "query") -> list[tuple[Any, ...]]:
    with psycopg.connect(address) as connection:
        return connection.execute(f"SELECT {columns} FROM logged_events ORDER BY id").fetchall()  # type: ignore[arg-type]


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.005)


def somebody_waits_for_a_lock(address: str) -> bool:
    with psycopg.connect(address) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'logged_events'::regclass"
        ).fetchone()
        return row is not None and row[0] > 0


@pytest.fixture
def address(engine: Engine) -> str:
    return connection_string(engine)


def test_an_event_is_on_disk_as_it_came_when_keep_returns(address: str) -> None:
    body = b'{"extid": "d-c7", "odd": "\x00\xff"}'

    async def main() -> list[tuple[Any, ...]]:
        async with running(address, Watch()) as log:
            await log.keep(
                event(7, method="POST", query="name=Jos%C3%A9&x=%00", body=body, content_type="application/json")
            )
            return rows(address, "pbx, method, query, body, content_type, ref, call_id, source, handled_at")

    assert asyncio.run(main()) == [
        ("main", "POST", "name=Jos%C3%A9&x=%00", body, "application/json", "d-c7", "7", "webhook", None)
    ]


def test_the_rows_are_in_the_order_the_events_came(address: str) -> None:
    async def main() -> None:
        async with running(address, Watch(), batch=7) as log:
            await asyncio.gather(*(log.keep(event(number)) for number in range(100)))

    asyncio.run(main())

    assert [query for (query,) in rows(address)] == [f"n={number}" for number in range(100)]


def test_events_that_come_together_share_a_commit(address: str) -> None:
    watch = Watch()

    async def main() -> None:
        async with running(address, watch) as log:
            await asyncio.gather(*(log.keep(event(number)) for number in range(300)))

    asyncio.run(main())

    assert sum(watch.batches) == 300
    assert len(watch.batches) < 20
    assert len(watch.kept) == 300


def test_ids_that_no_column_takes_do_not_cost_the_event(address: str) -> None:
    strange = [EventKeys("a\x00b", None), EventKeys("\ud800", "\udfff"), EventKeys("x" * 16_000, "y" * 300)]

    async def main() -> None:
        async with running(address, Watch()) as log:
            await asyncio.gather(*(log.keep(RawEvent("main", Payload("GET", "n=1"), keys)) for keys in strange))

    asyncio.run(main())

    assert rows(address, "ref, call_id") == [("ab", None), ("?", "?"), (None, None)]


@pytest.mark.parametrize(
    ("raw", "kept"),
    [
        (b"a=1&b=%20+c", "a=1&b=%20+c"),
        (b"", ""),
        (b"name=caf\xe9", "name=caf%E9"),
        (b"x=\x00\x1b[2J", "x=%00%1B[2J"),
        (b"x=%zz&\xc3\xa9", "x=%zz&%C3%A9"),
    ],
)
def test_a_query_keeps_every_byte_as_text_a_column_takes(raw: bytes, kept: str) -> None:
    assert encoded_query(raw) == kept


def test_one_event_that_cannot_be_written_does_not_sink_the_others(address: str) -> None:
    async def main() -> list[Any]:
        async with running(address, Watch()) as log:
            events = [event(1), event(2, method="G\x00T"), event(3)]
            return await asyncio.gather(*(log.keep(one) for one in events), return_exceptions=True)

    first, poisoned, last = asyncio.run(main())

    assert (first, last) == (None, None)
    assert isinstance(poisoned, NotKept)
    assert [query for (query,) in rows(address)] == ["n=1", "n=3"]


def test_a_connection_that_was_cut_is_opened_again_and_nobody_notices(address: str) -> None:
    watch = Watch()

    async def main() -> None:
        async with running(address, watch) as log:
            await log.keep(event(1))
            with psycopg.connect(address, autocommit=True) as admin:
                cut = admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                    "WHERE application_name = 'dialer event log' AND datname = current_database()"
                ).fetchall()
            assert cut == [(True,)]
            await log.keep(event(2))

    asyncio.run(main())

    assert [query for (query,) in rows(address)] == ["n=1", "n=2"]
    assert watch.failures == 1


def test_an_event_is_refused_when_the_database_stays_away(unused_port: int) -> None:
    async def main() -> tuple[Any, float]:
        away = f"postgresql://dialer@127.0.0.1:{unused_port}/none"
        async with running(away, Watch(), patience=0.3) as log:
            began = time.monotonic()
            with pytest.raises(NotKept) as refused:
                await log.keep(event())
            return refused.value, time.monotonic() - began

    refusal, took = asyncio.run(main())

    assert "PostgreSQL does not answer" in str(refusal)
    assert 0.3 <= took < 20


def test_more_events_than_may_wait_are_refused_at_once(address: str) -> None:
    async def main() -> list[Any]:
        with psycopg.connect(address) as blocker:
            blocker.execute("LOCK TABLE logged_events IN ACCESS EXCLUSIVE MODE")
            async with running(address, Watch(), capacity=2, batch=1) as log:
                waiting = [asyncio.create_task(log.keep(event(1)))]
                await until(lambda: somebody_waits_for_a_lock(address))
                waiting += [asyncio.create_task(log.keep(event(number))) for number in (2, 3)]
                await until(lambda: log.waiting == 2)
                with pytest.raises(LogFull):
                    await log.keep(event(4))
                blocker.rollback()
                return await asyncio.gather(*waiting)

    assert asyncio.run(main()) == [None, None, None]
    assert [query for (query,) in rows(address)] == ["n=1", "n=2", "n=3"]


def test_few_huge_events_fill_the_log_as_many_small_ones_do(address: str) -> None:
    async def main() -> None:
        with psycopg.connect(address) as blocker:
            blocker.execute("LOCK TABLE logged_events IN ACCESS EXCLUSIVE MODE")
            async with running(address, Watch(), capacity_bytes=100_000, batch=1) as log:
                first = asyncio.create_task(log.keep(event(1)))
                await until(lambda: somebody_waits_for_a_lock(address))
                second = asyncio.create_task(log.keep(event(2, body=b"x" * 60_000)))
                await until(lambda: log.waiting == 1)
                with pytest.raises(LogFull):
                    await log.keep(event(3, body=b"x" * 60_000))
                blocker.rollback()
                await asyncio.gather(first, second)

    asyncio.run(main())


def test_an_event_was_received_when_it_came_not_when_it_could_be_written(address: str) -> None:
    async def main() -> datetime:
        with psycopg.connect(address) as blocker:
            blocker.execute("LOCK TABLE logged_events IN ACCESS EXCLUSIVE MODE")
            async with running(address, Watch(), batch=1) as log:
                first = asyncio.create_task(log.keep(event(1)))
                await until(lambda: somebody_waits_for_a_lock(address))
                came = asyncio.create_task(log.keep(event(2)))
                await until(lambda: log.waiting == 1)
                await asyncio.sleep(0.3)  # the time it waits is what this is about
                released: datetime = blocker.execute("SELECT clock_timestamp()").fetchone()[0]  # type: ignore[index]
                blocker.rollback()
                await asyncio.gather(first, came)
                return released

    released = asyncio.run(main())

    waited = (released - rows(address, "received_at")[1][0]).total_seconds()
    assert 0.25 < waited < 20


def test_a_table_that_stays_locked_is_a_refusal_and_not_a_hang(address: str) -> None:
    async def main() -> None:
        with psycopg.connect(address) as blocker:
            blocker.execute("LOCK TABLE logged_events IN ACCESS EXCLUSIVE MODE")
            async with running(address, Watch(), patience=0.3) as log:
                with pytest.raises(NotKept):
                    await asyncio.wait_for(log.keep(event()), 30)

    asyncio.run(main())

    assert rows(address) == []


def test_a_server_that_says_nothing_any_more_is_a_refusal_and_stopping_does_not_wait_for_it(address: str) -> None:
    async def main() -> float:
        async with Relay(address) as relay:
            async with running(relay.address, Watch(), patience=0.4) as log:
                await log.keep(event(1))
                relay.freeze()
                with pytest.raises(NotKept):
                    await asyncio.wait_for(log.keep(event(2)), 30)
                began = time.monotonic()
            return time.monotonic() - began

    assert asyncio.run(main()) < 20
    assert [query for (query,) in rows(address)] == ["n=1"]


def test_stopping_writes_what_waits_and_takes_nothing_more(address: str) -> None:
    async def main() -> list[Any]:
        log = EventLog(address, on_kept=Watch().hear, observer=Watch())
        await log.start()
        waiting = [asyncio.create_task(log.keep(event(number))) for number in range(50)]
        await asyncio.sleep(0)  # each has come as far as waiting
        await log.stop()
        with pytest.raises(NotKept):
            await log.keep(event(99))
        return await asyncio.gather(*waiting)

    assert asyncio.run(main()) == [None] * 50
    assert len(rows(address)) == 50


class Relay:
    """A TCP relay to PostgreSQL that can fall silent without closing anything."""

    def __init__(self, address: str) -> None:
        self._url = make_url(address)
        self._frozen = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        relayed = self._url.set(host="127.0.0.1", port=port, query={})
        self.address = relayed.render_as_string(hide_password=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        self._frozen = True

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        socket_folder = self._url.query.get("host")
        if isinstance(socket_folder, str):
            path = f"{socket_folder}/.s.PGSQL.{self._url.port or self._url.query.get('port', 5432)}"
            behind = await asyncio.open_unix_connection(path)
        else:
            behind = await asyncio.open_connection(self._url.host, self._url.port)
        for source, target in ((reader, behind[1]), (behind[0], writer)):
            task = asyncio.create_task(self._pump(source, target))
            self._tasks.add(task)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        forward: Callable[[], Awaitable[None]] = target.drain
        while data := await source.read(65536):
            if not self._frozen:
                target.write(data)
                await forward()


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
