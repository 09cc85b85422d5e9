"""A whole dialer beside a real Asterisk: every process real, SIP calls on the loopback, SIPp's own log the judge."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, text

from campaigns import lifecycle, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Attempt, Contact
from dialer.pbx.asterisk import AsteriskPbx
from dialer.settings import PbxSettings, Settings, load_settings
from workers import demo
from workers.wiring import wire

HERE = Path(__file__).parent
ANSWERED = ("completed", "abandoned", "hung_up", "played")
PASSWORD = "DIALER_TEST_ARI_PASSWORD"


class NotHere(Exception):
    """There is no Asterisk to test with; the text says why."""


class Broken(Exception):
    """It is there and does not do as it should: never a reason to skip a test."""


class RealPbx:
    """Asterisk, customers behind its trunk and agents' telephones, below one folder."""

    def __init__(self, home: Path, *, install: bool = False, **settings: str) -> None:
        self.home = home
        self._env = {**os.environ, "PBX_HOME": str(home), "RING_MIN": "200", "RING_SPAN": "800", **settings}
        self._env.setdefault("TALK_MIN", "800")
        self._env.setdefault("TALK_SPAN", "1700")
        if install:
            try:
                self._script("install.sh", within=300)
            except Broken as exc:
                raise NotHere(f"no Asterisk can be installed here: {exc}") from None
        elif not (home / "bin" / "asterisk").exists():
            raise NotHere(f"no Asterisk in {home}: tests/asterisk/install.sh puts one there (Debian, 15 seconds)")

    def start(self, *parts: str) -> None:
        try:
            self._script("run.sh", *parts)
        except Broken:  # a port of the last run may be held for a moment
            time.sleep(2)
            self._script("run.sh", *parts)

    def stop(self, *parts: str) -> None:
        self._script("stop.sh", *parts)

    def restart(self) -> None:
        """Asterisk itself, with everything that was on it. Telephones have to register anew."""
        self.stop("pbx")
        self.start("pbx")
        self._script("agents.sh", "on")
        self.start("customers")  # they run; this makes the trunk be looked at

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def facts(self) -> Mapping[str, str]:
        lines = (self.run / "env").read_text("utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    @property
    def http_port(self) -> int:
        return int(self.facts["PBX_HTTP_PORT"])

    @property
    def password(self) -> str:
        return self.facts["ARI_PASSWORD"]

    def settings(self, **more: object) -> PbxSettings:
        return PbxSettings.model_validate(
            {
                "kind": "asterisk",
                "url": self.facts["ARI_URL"],
                "user": "dialer",
                "token_env": PASSWORD,
                "trunks": {"trunk": 100},
                "agent_endpoints": ["agent*"],
                **more,
            }
        )

    def open(self, **more: object) -> AsteriskPbx:
        return AsteriskPbx("main", self.settings(**more), environ={PASSWORD: self.password})

    def told(self, after: int = 0) -> list[tuple[str, str]]:
        """What the customers' telephones say became of each call: (number, word), from byte `after` of their log on."""
        path = self.run / "log" / "customers.told"
        if not path.exists():
            return []
        rows = path.read_bytes()[after:].decode("ascii", "replace").splitlines()
        return [(number, word) for number, _, word in (row.partition(" ") for row in rows) if number and word]

    def told_so_far(self) -> int:
        path = self.run / "log" / "customers.told"
        return path.stat().st_size if path.exists() else 0

    def left_over(self) -> dict[str, list[str]]:
        """Channels and bridges that are there."""
        pbx = self.open()
        try:
            found = {what: [str(one["id"]) for one in pbx._wire.read(f"/{what}")] for what in ("channels", "bridges")}
        finally:
            pbx.close()
        return {what: ids for what, ids in found.items() if ids}

    def _script(self, name: str, *arguments: str, within: float = 60.0) -> None:
        done = subprocess.run(
            [str(HERE / name), *arguments], env=self._env, capture_output=True, text=True, timeout=within
        )
        if done.returncode:
            raise Broken(f"{name} failed: {done.stderr.strip()[-400:]}")


class Between:
    """A wire between the dialer and Asterisk that can be cut."""

    def __init__(self, port: int) -> None:
        self._far = port
        self._pairs: set[socket.socket] = set()
        self._cut_until = 0.0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Drop every connection, and take no new one for a while."""
        self._cut_until = time.monotonic() + seconds
        for one in list(self._pairs):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._server.close()
        self.cut(1e9)

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._server.accept()
            except OSError:
                return
            if time.monotonic() < self._cut_until:
                near.close()
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self._far), timeout=5)
            except OSError:
                near.close()
                continue
            far.settimeout(None)
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._pairs.add(one)
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        for one in (source, target):
            self._pairs.discard(one)
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
                one.close()


@dataclass(frozen=True)
class Running:
    """The dialer, started."""

    application: Application
    folder: Path

    def pids(self, kind: str) -> list[int]:
        with self.application.transaction() as session:
            names = session.scalars(
                text(
                    "SELECT name FROM process_beats WHERE kind = :kind AND beat_at > clock_timestamp() - interval '3 s'"
                ),
                {"kind": kind},
            ).all()
        return [int(name.rsplit(":", 1)[1]) for name in names]

    def kill(self, kind: str, number: signal.Signals = signal.SIGKILL) -> int:
        found = self.pids(kind)
        for pid in found:
            os.kill(pid, number)
        return len(found)

    def listener(self) -> dict[str, object]:
        """What the listener that leads tells of itself."""
        with self.application.transaction() as session:
            rows = session.scalars(text("SELECT details FROM process_beats WHERE kind = 'listener'")).all()
        figures = [row["main"] for row in rows if row.get("main")]
        return next((one for one in figures if one["leads"]), {})


@contextmanager
def dialer(
    pbx: RealPbx, folder: Path, *, port: int | None = None, extra: str = "", listeners: int = 1
) -> Iterator[Running]:
    """Start everything against `pbx`, or through a wire on `port`; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        web_port = demo._free_port()
        os.environ[PASSWORD] = pbx.password
        settings = _settings(folder, web_port, port or pbx.http_port, extra)
        wired = stack.enter_context(wire(settings, process="demo"))
        env = {
            **os.environ,
            "DIALER_CONFIG": str(folder / "demo.toml"),
            "DIALER_DATABASE_URL": wired.database_url,
            "DIALER_REDIS_URL": wired.redis_url,
        }
        env.pop("DIALER_DATA_DIR", None)
        plan = demo.DemoPlan(contacts=folder / "none", folder=folder)
        stack.enter_context(demo._process(plan, "up", [sys.executable, "-m", "workers.command", "up"], env))
        for number in range(1, listeners):
            argv = [sys.executable, "-m", "workers.command", "listener"]
            stack.enter_context(demo._process(plan, f"listener-{number}", argv, env))
        running = Running(wired.application, folder)
        address = f"{settings.web.address}/readyz"
        demo._until(lambda: demo._answers(address), 60.0, "the web process did not come up", plan)
        demo._until(lambda: bool(running.listener().get("connected")), 30.0, "nobody listens", plan)
        yield running


def _settings(folder: Path, web_port: int, ari_port: int, extra: str) -> Settings:
    (folder / "demo.toml").write_text(
        f"""data_dir = "{folder / "data"}"

[web]
port = {web_port}

[timing]
presence_poll = 0.5
sweep = 1.0

[log]
format = "json"

[pbx.main]
kind = "asterisk"
url = "http://127.0.0.1:{ari_port}/ari"
user = "dialer"
token_env = "{PASSWORD}"
trunks = {{ "trunk" = 100 }}
agent_endpoints = ["agent*"]
ring_limit = 5
timeout = 2.0
{extra}
""",
        encoding="utf-8",
    )
    return load_settings(folder / "demo.toml", {})


def numbers(count: int, *, endings: Sequence[str] = (), first: int = 0) -> list[str]:
    """Numbers in Berlin. What their telephones do follows from the last two digits: `endings`, or chance below 91."""
    found = []
    for at in range(first, first + count):
        ending = endings[at % len(endings)] if endings else f"{at * 7 % 91:02}"
        found.append(f"+49302{at:05}{ending}")
    return found


def start(
    on: Running, called: Sequence[str], *, mode: str = "predictive", agents: str = "all", wrap_up: float = 0.5
) -> None:
    """Create a campaign, import the numbers, and start it."""
    application = on.application
    pbx = application.pbx("main")
    users = pbx.users()
    with application.transaction() as session:
        made = lifecycle.create(
            session,
            name=demo.CAMPAIGN,
            pbx="main",
            features=pbx.features,
            caller_id="+4930555000",
            mode=mode,
            country="DE",
            hours="always",
            max_attempts=1,
            retry_delay=600.0,
            wrap_up_limit=wrap_up,
            now=database_now(session),
            who="test",
        )
        roster.assign(session, made, roster.parse(agents), users, now=database_now(session), who="test")
    file = on.folder / "contacts.csv"
    rows = [f"{number},Contact {at}" for at, number in enumerate(called)]
    file.write_text("\n".join(["phone,first_name", *rows]) + "\n", encoding="utf-8")
    demo.import_contacts(demo.DemoPlan(contacts=file, folder=on.folder), application, demo.unwatched)
    with application.transaction() as session:
        lifecycle.start(session, demo.CAMPAIGN, now=database_now(session), who="test")


def look_on(on: Running, within: float, mischief: Callable[[float], None] | None = None) -> float:
    """Wait until everybody was tried and no call is open; returns the seconds it took."""
    began = time.monotonic()
    while (took := time.monotonic() - began) < within:
        if mischief is not None:
            mischief(took)
        with on.application.transaction() as session:
            due = session.scalar(
                select(func.count())
                .select_from(Contact)
                .where((Contact.state == "live") | ((Contact.state == "open") & (Contact.next_at < func.now())))
            )
            calls = session.scalar(select(func.count()).select_from(Attempt).where(Attempt.ended_at.is_(None)))
        if not due and not calls:
            return took
        time.sleep(0.2)
    raise AssertionError(f"not everybody was tried within {within:.0f} s: {due} contacts left, {calls} calls open")


def rest(on: Running, pbx: RealPbx, within: float = 40.0) -> dict[str, object]:
    """Stop the campaign and wait until nothing is left; returns what is left all the same, which should be nothing."""
    with on.application.transaction() as session:
        lifecycle.stop(session, demo.CAMPAIGN, now=database_now(session), who="test")
    end = time.monotonic() + within
    left: dict[str, object] = {}
    while time.monotonic() < end:
        left = dict(pbx.left_over())
        with on.application.transaction() as session:
            for table in (Attempt, AgentLeg):
                rows = session.scalars(select(table.ref).where(table.ended_at.is_(None))).all()
                if rows:
                    left[table.__tablename__] = list(rows)
            busy = session.execute(
                select(Agent.user_id, Agent.state).where(
                    Agent.state.in_(("parking", "parked", "assigned", "talking", "wrap_up"))
                )
            ).all()
            if busy:
                left["agents"] = [tuple(row) for row in busy]
        if not left:
            break
        time.sleep(0.25)
    return left


def outcomes(on: Running) -> dict[str, list[str]]:
    """What the dialer says became of each call: number -> words, as the telephones say them."""
    found: dict[str, list[str]] = defaultdict(list)
    with on.application.transaction() as session:
        rows = session.execute(
            select(Attempt.number, Attempt.state, Attempt.leg_outcome).where(Attempt.sent_at.is_not(None))
        ).all()
    for number, state, leg in rows:
        word = "answered" if state in ANSWERED else "invalid" if leg == "invalid" else str(state)
        found[number.removeprefix("+")].append(word)
    return found


def judged(pbx: RealPbx, after: int) -> dict[str, list[str]]:
    """What the telephones say became of each call."""
    found: dict[str, list[str]] = defaultdict(list)
    for number, word in pbx.told(after):
        found[number].append(word)
    return found


def differences(
    ours: Mapping[str, list[str]], theirs: Mapping[str, list[str]]
) -> dict[str, tuple[list[str], list[str]]]:
    """Numbers about which the two disagree: (ours, theirs)."""
    every = sorted({*ours, *theirs})
    pairs = {number: (sorted(ours.get(number, [])), sorted(theirs.get(number, []))) for number in every}
    return {number: pair for number, pair in pairs.items() if pair[0] != pair[1]}


def figures(on: Running) -> dict[str, object]:
    """Answer to joined in milliseconds, by the events' receipt, and what came of the calls."""
    with on.application.transaction() as session:
        waits = sorted(
            session.scalars(
                text(
                    "SELECT 1000 * extract(epoch FROM joined_at - answered_at)::float FROM attempts "
                    "WHERE joined_at IS NOT NULL AND answered_at IS NOT NULL"
                )
            ).all()
        )
        states = Counter(session.scalars(select(Attempt.state)).all())

    def at(share: float) -> float | None:
        return round(waits[min(len(waits) - 1, int(share * len(waits)))], 1) if waits else None

    return {
        "states": dict(states),
        "joined": len(waits),
        "join_ms": {"p50": at(0.5), "p95": at(0.95), "p99": at(0.99), "max": at(1.0)},
        "listener": on.listener(),
    }
