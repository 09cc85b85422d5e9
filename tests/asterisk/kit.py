"""A whole dialer beside a real Asterisk: every process real, SIP calls on the loopback, SIPp's own log the judge."""

import contextlib
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select, text

from campaigns import lifecycle, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Attempt, Contact
from dialer.settings import Settings
from dialer.settings_reading import load_settings
from tests.asterisk.real_pbx import PASSWORD, RealPbx
from workers import demo
from workers.ports import free_port
from workers.wiring import wire

PATIENCE = 240.0  # seconds; five processes that start beside a dozen others on two cores took more than one minute
# A dialer whose test is killed outright goes with it.
TIED = ("setpriv", "--pdeathsig", "TERM")
ANSWERED = ("completed", "abandoned", "hung_up", "played")


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


Surroundings = Callable[[RealPbx, Path], AbstractContextManager[Application]]


@contextmanager
def dialer(
    pbx: RealPbx,
    folder: Path,
    *,
    web_port: int | None = None,
    port: int | None = None,
    extra: str = "",
    timing: str = "",
    listeners: int = 1,
) -> Iterator[Running]:
    """Start everything against `pbx`, or through a wire on `port`; it ends with the block."""
    folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        web_port = web_port or free_port()
        os.environ[PASSWORD] = pbx.password
        written = settings(folder, web_port, port or pbx.http_port, extra, timing)
        wired = stack.enter_context(wire(written, process="demo"))
        env = {
            **os.environ,
            "DIALER_CONFIG": str(folder / "demo.toml"),
            "DIALER_DATABASE_URL": wired.database_url,
            "DIALER_REDIS_URL": wired.redis_url,
        }
        env.pop("DIALER_DATA_DIR", None)
        plan = demo.DemoPlan(contacts=folder / "none", folder=folder)
        stack.enter_context(demo._process(plan, "up", [*TIED, sys.executable, "-m", "workers.command", "up"], env))
        for number in range(1, listeners):
            argv = [sys.executable, "-m", "workers.command", "listener"]
            stack.enter_context(demo._process(plan, f"listener-{number}", [*TIED, *argv], env))
        running = Running(wired.application, folder)
        address = f"{written.web.address}/readyz"
        demo._until(lambda: demo._answers(address), PATIENCE, "the web process did not come up", plan)
        demo._until(lambda: bool(running.listener().get("connected")), PATIENCE, "nobody listens", plan)
        yield running


def settings(folder: Path, web_port: int, ari_port: int, extra: str = "", timing: str = "") -> Settings:
    """Write the settings of a dialer in `folder`, and read them."""
    (folder / "demo.toml").write_text(
        f"""data_dir = "{folder / "data"}"

[web]
port = {web_port}

[timing]
presence_poll = 0.5
sweep = 1.0
{timing}

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
timeout = 5.0
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
    on: Running,
    called: Sequence[str],
    *,
    mode: str = "predictive",
    agents: str = "all",
    wrap_up: float = 0.5,
    beside: Sequence[str] = (),
) -> None:
    """Create a campaign on Asterisk and the PBXs `beside` it, import the numbers, and start it."""
    application = on.application
    pbx = application.pbx("main")
    users = pbx.users()
    others = {name: application.pbx(name).users() for name in beside}
    with application.transaction() as session:
        now = database_now(session)
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
            more_pbxes=list(beside),
            now=now,
            who="test",
        )
        roster.assign(session, made, roster.parse(agents), users, others=others, now=now, who="test")
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


def rest(on: Running, pbx: RealPbx, within: float = 120.0) -> dict[str, object]:
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


Said = dict[str, list[str]]  # number -> a word for each of its calls


def outcomes(on: Running) -> Said:
    """What the dialer says became of each call through Asterisk: number -> words, as the telephones say them."""
    found: dict[str, list[str]] = defaultdict(list)
    with on.application.transaction() as session:
        rows = session.execute(
            select(Attempt.number, Attempt.state, Attempt.leg_outcome).where(
                Attempt.sent_at.is_not(None), Attempt.pbx == "main"
            )
        ).all()
    for number, state, leg in rows:
        word = "answered" if state in ANSWERED else "invalid" if leg == "invalid" else str(state)
        found[number.removeprefix("+")].append(word)
    return found


def compared(on: Running, pbx: RealPbx, after: int, within: float = 15.0) -> tuple[Said, Said]:
    """What the dialer says became of each call, and what the telephones say, when they have written it down."""
    end = time.monotonic() + within
    while differences(ours := outcomes(on), theirs := judged(pbx, after)) and time.monotonic() < end:
        time.sleep(0.2)
    return ours, theirs


def judged(pbx: RealPbx, after: int) -> Said:
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


def only_what_was_missed(ours: Said, theirs: Said, *, most: int) -> None:
    """Of calls whose end nobody could tell us, the end is unknown, and not guessed; every other is right."""
    for number, (said, told) in differences(ours, theirs).items():
        guessed = [word for word in said if word not in ("failed", "lost", "expired", "refused", *told)]
        # A phone that rang, and was cut off by the restart, says that it was cancelled.
        assert guessed in ([], ["no_answer"], ["answered"]), (number, said, told)
        most -= 1
    assert most >= 0, "too many calls whose end is unknown"


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
