"""Two simulated PBXs in one campaign, every process real; either can be killed and started again."""

import os
import secrets
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import func, select, text

from campaigns import lifecycle, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Contact
from dialer.settings_reading import load_settings
from tests.rig import kit
from workers import demo
from workers.demo import Book, DemoPlan
from workers.ports import free_port
from workers.wiring import wire

NAMES = ("main", "second")
Mischief = Callable[["House", float], bool | None]


@dataclass
class House:
    """The product running beside two PBXs, and what each has done before it was killed."""

    plan: DemoPlan
    application: Application
    ports: dict[str, int]
    arguments: dict[str, list[str]]
    env: dict[str, str]
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    before: list[dict[str, object]] = field(default_factory=list)  # books of those that were killed

    def book(self, name: str) -> Book:
        return Book(f"http://127.0.0.1:{self.ports[name]}")

    def start(self, name: str) -> None:
        log = (self.plan.folder / f"pbx-{name}.log").open("ab")
        self.running[name] = subprocess.Popen(
            self.arguments[name], env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        log.close()

    def up(self, name: str) -> bool:
        return demo._answers(f"http://127.0.0.1:{self.ports[name]}/_control/state")

    def kill(self, name: str) -> None:
        """A power cut: what it knew is gone, but for what the judge had read."""
        self.before.append(self.read(name))
        self.running[name].send_signal(signal.SIGKILL)
        self.running[name].wait()

    def read(self, name: str) -> dict[str, object]:
        client = self.book(name)._client
        return dict(client.get("/_control/book", params={"calls": "1"}).json())

    def state(self) -> dict[str, Counter[str]]:
        """Agents by state, for each PBX."""
        with self.application.transaction() as session:
            rows = session.execute(select(Agent.pbx, Agent.state).where(Agent.spare_of.is_(None))).all()
        found: dict[str, Counter[str]] = {}
        for pbx, state in rows:
            found.setdefault(pbx, Counter())[state] += 1
        return found

    def joined(self, name: str) -> int:
        """Customers of one PBX who met an agent."""
        with self.application.transaction() as session:
            query = select(func.count()).where(Attempt.pbx == name, Attempt.joined_at.is_not(None))
            return session.scalar(query) or 0

    def orders(self, since: float) -> Counter[str]:
        """Orders that left for each PBX in the last so many seconds."""
        with self.application.transaction() as session:
            query = select(Attempt.pbx, func.count()).where(
                Attempt.sent_at > func.clock_timestamp() - text(f"interval '{since} s'")
            )
            return Counter({row[0]: row[1] for row in session.execute(query.group_by(Attempt.pbx))})


@dataclass(frozen=True)
class Seen:
    """The run, as the books of both PBXs and the rows have it."""

    joined: dict[str, int]
    rung_again: dict[str, int]  # numbers that more calls rang than attempts were written for
    double_dials: int
    silent_calls: int
    two_on_one: int
    across: int  # customers of one PBX given to an agent parked on another
    abandoned: int
    met: int
    stuck: int
    ended: dict[str, int]

    @property
    def trouble(self) -> dict[str, object]:
        """What must be empty after every run."""
        found = {name: getattr(self, name) for name in ("rung_again", "double_dials", "silent_calls", "two_on_one",
                                                        "across", "stuck")}  # fmt: skip
        return {name: count for name, count in found.items() if count}


@contextmanager
def house(plan: DemoPlan, timing: str = "") -> Iterator[House]:
    """Start everything; both PBXs have the same users, as two of one company would."""
    plan.folder.mkdir(parents=True, exist_ok=True)
    web = free_port()
    ports = {name: free_port() for name in NAMES}
    given = {"DEMO_PBX_TOKEN": secrets.token_hex(16), "DEMO_WEBHOOK_SECRET": secrets.token_hex(16)}
    demo._settings(plan, web, ports["main"])
    file = plan.folder / "demo.toml"
    one = file.read_text(encoding="utf-8")
    one = one.replace("[timing]\n", f"[timing]\n{timing}\n")
    section = one[one.index("[pbx.main]") :]
    other = section.replace("[pbx.main]", "[pbx.second]").replace(str(ports["main"]), str(ports["second"]))
    file.write_text(f"{one}\n{other}", encoding="utf-8")
    os.environ.update(given)
    with wire(load_settings(file, {}), process="demo") as wired:
        env = {
            **os.environ, "DIALER_CONFIG": str(file), "DIALER_DATABASE_URL": wired.database_url,
            "DIALER_REDIS_URL": wired.redis_url,
        }  # fmt: skip
        env.pop("DIALER_DATA_DIR", None)
        arguments = {
            name: demo._simulator(
                plan, port, f"http://127.0.0.1:{web}/webhooks/{name}/{given['DEMO_WEBHOOK_SECRET']}", given
            )
            for name, port in ports.items()
        }
        made = House(plan, wired.application, ports, arguments, env)
        try:
            for name in NAMES:
                made.start(name)
            with demo._process(plan, "up", [sys.executable, "-m", "workers.command", "up"], env):
                demo._until(lambda: demo._answers(f"http://127.0.0.1:{web}/readyz"), 60.0, "no web process", plan)
                for name in NAMES:
                    demo._until(lambda name=name: made.up(name), 60.0, f"PBX {name} did not come up", plan)
                yield made
        finally:
            for child in made.running.values():
                child.kill()
                child.wait()


def run(
    plan: DemoPlan,
    mischief: Mischief | None = None,
    *,
    agents: str = "all",
    standby: bool = False,
    timing: str = "",
    prepare: Callable[[House], None] | None = None,
    most_lines: int | None = None,
    seconds: float = 120.0,
) -> Seen:
    """One campaign through both, from its list to rest, with `mischief(house, seconds since the start)`.

    It is stopped before its list is done when mischief says that there is nothing more to see.
    """
    with house(plan, timing) as made:
        app = made.application
        pbx = app.pbx("main")
        users = {name: app.pbx(name).users() for name in NAMES}
        with app.transaction() as session:
            now = database_now(session)
            others = {"standbys": ["second"]} if standby else {"more_pbxes": ["second"]}
            campaign = lifecycle.create(
                session, name=demo.CAMPAIGN, pbx="main", features=pbx.features, caller_id="+390210001000",
                mode=plan.mode, country="IT", hours="always", max_attempts=2, number_gap=5.0, retry_delay=10.0,
                wrap_up_limit=max(2.0, 60.0 / plan.speed), max_lines=most_lines, now=now, who="test", **others,
            )  # fmt: skip
            more = {"second": users["second"]}
            roster.assign(session, campaign, roster.parse(agents), users["main"], others=more, now=now, who="test")
        demo.import_contacts(plan, app, demo.unwatched)
        if prepare is not None:
            prepare(made)
        with app.transaction() as session:
            lifecycle.start(session, demo.CAMPAIGN, now=database_now(session), who="test")
        begun = time.monotonic()
        while time.monotonic() - begun < seconds and _left(app):
            if mischief is not None and mischief(made, time.monotonic() - begun):
                break
            time.sleep(0.25)
        with app.transaction() as session:
            lifecycle.stop(session, demo.CAMPAIGN, now=database_now(session), who="test")
        for name in NAMES:
            demo._come_to_rest(app, made.book(name))
        return _judge(made)


def _left(app: Application) -> bool:
    with app.transaction() as session:
        soon = func.clock_timestamp() + text("interval '20 s'")
        waits = (Contact.state == "live") | ((Contact.state == "open") & (Contact.next_at < soon))
        open_calls = select(func.count()).select_from(Attempt).where(Attempt.ended_at.is_(None))
        left = session.scalar(select(func.count()).select_from(Contact).where(waits))
        return bool(left or session.scalar(open_calls))


def _judge(made: House) -> Seen:
    books = [*made.before, *(made.read(name) for name in NAMES)]
    rang: Counter[str] = Counter()
    for book in books:
        for call in book["call_list"]:  # type: ignore[attr-defined]
            rang["+" + str(call["number"]).lstrip("+0")] += 1
    with made.application.transaction() as session:
        tried = Counter(session.scalars(select(Attempt.number).where(Attempt.sent_at.is_not(None))))
        across = text(
            "SELECT count(*) FROM assignments s JOIN attempts t ON t.id = s.attempt_id "
            "JOIN agent_legs l ON l.id = s.leg_id WHERE l.pbx <> t.pbx"
        )
        counted = text(
            "SELECT count(*) FILTER (WHERE state = 'abandoned') AS lost, "
            "count(*) FILTER (WHERE joined_at IS NOT NULL) AS met FROM attempts"
        )
        stuck = text(
            "SELECT (SELECT count(*) FROM attempts WHERE ended_at IS NULL) "
            "+ (SELECT count(*) FROM agent_legs WHERE ended_at IS NULL) AS n"
        )
        totals = session.execute(counted).one()
        joined = {
            row[0]: row[1]
            for row in session.execute(
                select(Attempt.pbx, func.count()).where(Attempt.joined_at.is_not(None)).group_by(Attempt.pbx)
            )
        }
        ended = dict(session.execute(select(Attempt.state, func.count()).group_by(Attempt.state)).all())
        return Seen(
            joined=joined,
            rung_again={number: n - tried[number] for number, n in rang.items() if n > tried[number]},
            double_dials=sum(int(book["double_dials"]) for book in books),  # type: ignore[call-overload]
            silent_calls=sum(int(book["silent_calls"]) for book in books),  # type: ignore[call-overload]
            two_on_one=sum(int(book["two_on_one"]) for book in books),  # type: ignore[call-overload]
            across=session.scalar(across) or 0,
            abandoned=totals.lost,
            met=totals.met,
            stuck=session.scalar(stuck) or 0,
            ended={str(state): int(n) for state, n in ended.items()},
        )


plan = kit.plan
