"""How many events a second one web process logs durably, and whether one is lost when it is killed.

    python benchmarks/receiver.py [--database-url postgresql://...] [--rounds 3] [--kills 5] [--json FILE]

The server, the load generator and PostgreSQL share this machine. Four figures are taken in turn, several times:
the receiver as fast as it answers; the event log alone (the same group commit without HTTP); the receiver at a
steady rate, for the time an event waits on a day like any other; HTTP alone (the same endpoint without the
insert). Then the server is killed with SIGKILL in the middle of the load, and every event it had answered 200 is
looked for in the table.
"""

import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _database
import psycopg
import uvloop
from sqlalchemy.engine import make_url

from campaigns.db import engine_for, session_factory
from campaigns.event_log import EventLog, RawEvent, connection_string
from dialer.pbx.base import Payload
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings, Settings

SECRET = "a-secret-of-the-benchmark-0123456789"
EVENT = (
    "event_type=1&event=4&event_name=call_response&call_id={id}&entity_call_id={id}&sender_type=2&sender_id=4"
    "&outcome=1&calling_type=2&calling_id=4&called_type=3&called_id=17&connected_type=3&connected_id=17"
    "&time=2026-03-02%2010%3A00%3A00&extid=bench-c{id}"
)


class NoLog(EventLog):
    """Says "kept" without keeping: what HTTP alone can do."""

    async def keep(self, event: RawEvent) -> None:  # noqa: ARG002
        await asyncio.sleep(0)


class Quiet:
    def kept(self, events: Sequence[RawEvent]) -> None: ...

    def batch(self, events: int, seconds: float) -> None: ...

    def failure(self) -> None: ...


# The server, as its own process -------------------------------------------------------------------------


def serve(database: str, port: int, *, keep: bool) -> None:
    """Run the product's web application."""
    import uvicorn

    import campaigns.web.app as web
    from campaigns.application import Application
    from campaigns.web.protocol import uvicorn_options

    if not keep:
        web.EventLog = NoLog  # type: ignore[misc]
    pbx = pbx_settings()
    engine = engine_for(database)
    application = Application(
        settings=Settings(pbx={"main": pbx}),
        engine=engine,
        sessions=session_factory(engine),
        pbxes={"main": open_pbx("main", pbx)},
    )
    uvicorn.run(web.create_app(application), host="127.0.0.1", port=port, loop="uvloop", **uvicorn_options())


def pbx_settings() -> PbxSettings:
    os.environ["BENCH_SECRET"] = os.environ["BENCH_TOKEN"] = SECRET
    return PbxSettings(url="http://127.0.0.1:9/", webhook_secret_env="BENCH_SECRET", token_env="BENCH_TOKEN")


@contextmanager
def server(database: str, *, keep: bool = True) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, __file__, "serve", database, str(port), "keep" if keep else "forget"],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
    )
    try:
        wait_for_port(port, process)
        yield process, port
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            process.wait(20)


# The load, as its own process ---------------------------------------------------------------------------


class Client(asyncio.Protocol):
    """One connection that sends the next event as soon as the last one was answered."""

    def __init__(self, load: "Load") -> None:
        self.load = load
        self.head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport
        self.send()

    def send(self) -> None:
        if time.perf_counter() >= self.load.until:
            self.load.finished(self)
            return
        wait = self.load.wait(self)
        if wait > 0:
            asyncio.get_running_loop().call_later(wait, self.send_now)
        else:
            self.send_now()

    def send_now(self) -> None:
        self.id = self.load.next_id()
        self.sent = time.perf_counter()
        path = f"/webhooks/main/{SECRET}?" + EVENT.format(id=self.id)
        self.transport.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: pbx\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        self.head += data
        if not self.head.endswith(b"\r\n\r\n"):
            return  # the answer to an event has no body
        status = int(self.head[9:12])
        self.head = b""
        if status == 200:
            self.load.answered.append(self.id)
            self.load.seconds.append(time.perf_counter() - self.sent)
        else:
            self.load.refused += 1
        self.send()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self.load.finished(self)


class Load:
    """So many connections, each as fast as it is answered, or all of them together at a steady rate."""

    def __init__(self, seconds: float, rate: float) -> None:
        self.rate = rate
        self._turn = time.perf_counter()
        self.until = time.perf_counter() + seconds
        self.answered: list[int] = []
        self.seconds: list[float] = []
        self.refused = 0
        self._id = 0
        self._open: set[Client] = set()
        self._done = asyncio.Event()

    def wait(self, client: Client) -> float:  # noqa: ARG002
        """How long this connection rests before its next event, so that all keep the rate."""
        if not self.rate:
            return 0.0
        self._turn = max(self._turn + 1 / self.rate, time.perf_counter() - 0.1)
        return self._turn - time.perf_counter()

    def next_id(self) -> int:
        self._id += 1
        return self._id

    def finished(self, client: Client) -> None:
        self._open.discard(client)
        if not self._open:
            self._done.set()

    async def run(self, port: int, connections: int) -> float:
        loop = asyncio.get_running_loop()
        clients = [Client(self) for _ in range(connections)]
        self._open.update(clients)
        began = time.perf_counter()
        await asyncio.gather(*(loop.create_connection(lambda c=client: c, "127.0.0.1", port) for client in clients))
        await self._done.wait()
        return time.perf_counter() - began


def load(port: int, connections: int, seconds: float, rate: float, out: str) -> None:
    async def main() -> None:
        running = Load(seconds, rate)
        took = await running.run(port, connections)
        result = {
            "events": len(running.answered),
            "seconds": took,
            "refused": running.refused,
            "ms": percentiles(running.seconds),
            "answered": running.answered,
        }
        Path(out).write_text(json.dumps(result))

    uvloop.run(main())


@contextmanager
def load_process(
    port: int, connections: int, seconds: float, rate: float = 0.0
) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "load.json"
        command = [sys.executable, __file__, "load", str(port), str(connections), str(seconds), str(rate), str(out)]
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)})
        try:
            yield process, out
        finally:
            if process.poll() is None:
                process.kill()
            process.wait(20)


# The measurements ---------------------------------------------------------------------------------------


def receiver(
    database: str, connections: int, seconds: float, *, keep: bool = True, rate: float = 0.0
) -> dict[str, Any]:
    empty(database)
    with server(database, keep=keep) as (_, port):
        for warm in (1.0, seconds):
            with load_process(port, connections, warm, rate) as (process, out):
                process.wait(warm + 30)
                result: dict[str, Any] = json.loads(out.read_text())
    result["per_second"] = result["events"] / result["seconds"]
    if keep:
        # The answered ids of the measured run, and those of the warm-up before it.
        result["answered_and_not_logged"] = len(missing(database, result["answered"]))
    del result["answered"]
    return result


def log_alone(database: str, connections: int, seconds: float) -> dict[str, Any]:
    """The same event log, fed by as many tasks as there were connections."""
    empty(database)
    took: list[float] = []

    async def feed(log: EventLog, until: float) -> None:
        pbx = open_pbx("main", pbx_settings())
        while time.perf_counter() < until:
            payload = Payload("GET", EVENT.format(id=len(took)))
            began = time.perf_counter()
            await log.keep(RawEvent("main", payload, pbx.keys(payload)))
            took.append(time.perf_counter() - began)

    async def main() -> float:
        log = EventLog(connection_string(engine), on_kept=Quiet().kept, observer=Quiet())
        await log.start()
        await asyncio.gather(*(feed(log, time.perf_counter() + 0.5) for _ in range(connections)))
        took.clear()
        began = time.perf_counter()
        await asyncio.gather(*(feed(log, began + seconds) for _ in range(connections)))
        spent = time.perf_counter() - began
        await log.stop()
        return spent

    engine = engine_for(database)
    spent = uvloop.run(main())
    engine.dispose()
    return {"events": len(took), "per_second": len(took) / spent, "ms": percentiles(took)}


def killed(database: str, connections: int, after: int) -> dict[str, Any]:
    """Kill the server once `after` events are logged; count events it had answered and did not log."""
    empty(database)
    with server(database) as (process, port), load_process(port, connections, 60.0) as (loading, out):
        while count(database) < after:
            time.sleep(0.01)
        process.kill()
        loading.wait(90)
        result = json.loads(out.read_text())
    rows = count(database)
    lost = missing(database, result["answered"])
    return {"answered": result["events"], "rows": rows, "answered_and_not_logged": len(lost)}


def missing(database: str, answered: Sequence[int]) -> set[int]:
    with psycopg.connect(database) as connection:
        logged = {row[0] for row in connection.execute("SELECT call_id::bigint FROM logged_events")}
    return set(answered) - logged


def count(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT count(*) FROM logged_events").fetchone()
        assert row is not None
        return int(row[0])


def empty(database: str) -> None:
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("TRUNCATE logged_events")


def percentiles(seconds: Sequence[float]) -> dict[str, float]:
    if len(seconds) < 2:
        return {}
    cuts = statistics.quantiles(seconds, n=1000)
    return {name: round(cuts[at] * 1000, 2) for name, at in (("p50", 499), ("p95", 949), ("p99", 989), ("p999", 998))}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise SystemExit("the server ended by itself")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise SystemExit("the server did not start")


def must_be_durable(url: str) -> None:
    with psycopg.connect(url) as connection:
        for setting in ("fsync", "synchronous_commit"):
            row = connection.execute(f"SHOW {setting}").fetchone()
            if row is None or row[0] != "on":
                raise SystemExit(f"{setting} is not on at {make_url(url).host}: the figures would mean nothing")


def main() -> None:
    parser = _database.parser(__doc__)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=500.0, help="events/s of the steady run")
    parser.add_argument("--kills", type=int, default=5)
    options = parser.parse_args()
    figures: dict[str, Any] = {"connections": options.connections, "rounds": [], "kills": []}
    with _database.database(options) as made:
        database = made.url
        must_be_durable(database)
        for _ in range(options.rounds):
            row = {
                "receiver": receiver(database, options.connections, options.seconds),
                "log alone": log_alone(database, options.connections, options.seconds),
                "steady": receiver(database, options.connections, options.seconds, rate=options.rate),
                "HTTP alone": receiver(database, options.connections, options.seconds, keep=False),
            }
            figures["rounds"].append({**row, "load average": round(os.getloadavg()[0], 1)})
            for name, result in row.items():
                print(f"{name:12} {result['per_second']:8.0f} events/s   {result['ms']} ms", flush=True)
            print(f"             answered and not logged: {row['receiver']['answered_and_not_logged']}")
        for at in range(options.kills):
            result = killed(database, options.connections, 1000 + 1777 * at)
            figures["kills"].append(result)
            print(f"kill -9      {result}", flush=True)
    _database.write(figures, options)


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve(sys.argv[2], int(sys.argv[3]), keep=sys.argv[4] == "keep")
    elif sys.argv[1:2] == ["load"]:
        load(int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), float(sys.argv[5]), sys.argv[6])
    else:
        main()
