"""A whole campaign on a PBX that rings the agent first: real database, real receiver, real HTTP both ways.

The scheduler, the second look and the queue's work run in this process; the peer's book is the judge.
"""

import io
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

from sqlalchemy import select, text

from campaigns import agents, disposing, importing, lifecycle, looking, placing, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.import_running import run_import
from campaigns.installation import ensure_installation
from campaigns.models import Agent, Assignment, Attempt, Contact, Disposition, LoggedEvent
from dialer.errors import DialerError
from dialer.pbx.base import Pbx
from dialer.settings import PbxSettings, Settings, TimingSettings
from tests.pbx.agent_first_peer import AgentFirstPeer
from tests.web.conftest import serve
from workers.scheduler import Scheduler
from workers.second_look import SecondLook

SECRET = "the-secret-of-the-agent-first-pbx-00"
QUICK = TimingSettings(second_look=0.1, agent_ring_limit=1, ring_limit=2, presence_poll=0.5, sweep=0.3)


class Pool:
    """The queue, in this process."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(6)
        self.application: Application | None = None

    def look(self, pbx: str, ref: str | None, call_id: str | None) -> None:
        self._pool.submit(self._quietly, looking.look, pbx, ref, call_id)

    def place(self, ref: str) -> None:
        self._pool.submit(self._quietly, placing.place, ref)

    def run_import(self, import_id: int) -> None:
        """Done by the test itself."""

    def _quietly(self, what: object, *given: object) -> None:
        with suppress(Exception):  # the second look finds it again, as it would a lost message
            what(self.application, *given)  # type: ignore[operator]

    def close(self) -> None:
        self._pool.shutdown()


@dataclass
class Result:
    """What the tables and the peer's book say afterwards."""

    states: Counter[str]
    said: Counter[str]
    rang: dict[str, int]
    numbers: list[str]
    two_on_one: int
    unhandled: int
    troubles: list[str]
    agents: dict[str, str]


@contextmanager
def running(
    application: Application, peer: AgentFirstPeer, pbx: Pbx, settings: PbxSettings
) -> Iterator[tuple[Application, Scheduler]]:
    """The application with the peer as PBX `main`, its receiver on a port, and the peer told of it."""
    pool = Pool()
    everything = Settings(
        data_dir=application.data_dir, pbx={"main": settings}, timing=QUICK, agent_login="explicit", worker_threads=4
    )
    app = replace(application, settings=everything, pbxes={"main": pbx}, doorbell=pool)
    from dialer.clock import SystemClock

    app.clock = SystemClock()
    pool.application = app
    ensure_installation(app.engine)
    with serve(app) as web:
        peer.webhook = f"http://127.0.0.1:{web.port}/webhooks/main/{SECRET}"
        yield app, Scheduler(app, "one")
    pool.close()


def run(app: Application, scheduler: Scheduler, peer: AgentFirstPeer, numbers: list[str], *, seconds: float) -> Result:
    """Import a list, log the agents in, start, dial until nobody is left to call, and count."""
    pbx = app.pbxes["main"]
    with app.transaction() as session:
        now = database_now(session)
        made = lifecycle.create(
            session, name="spring", pbx="main", features=pbx.features, caller_id="+390210001000", mode="progressive",
            country="IT", hours="always", max_attempts=1, retry_delay=1.0, wrap_up_limit=30.0, now=now, who="test",
        )  # fmt: skip
        roster.assign(session, made, roster.parse("all"), pbx.users(), now=now, who="test")
        file = io.BytesIO("\n".join(["phone", *numbers]).encode())
        job = importing.submit_import(
            session, campaign=made, source=file, file_name="spring.csv", data_dir=app.data_dir, now=now, who="test"
        ).id
    run_import(app.sessions, job, now=now, clock=app.clock, timing=app.settings.timing)
    with app.transaction() as session:
        for agent in session.scalars(select(Agent)):
            agents.login(session, agent.id, now=now, who="test")
        lifecycle.start(session, "spring", now=now, who="test")
    look = SecondLook(app)
    end, poll = time.monotonic() + seconds, 0.0
    while time.monotonic() < end and _left(app):
        scheduler.renew()
        if time.monotonic() > poll:
            poll = time.monotonic() + 0.4
            scheduler.chores.poll("main")
            scheduler.chores.sweep("main")
            scheduler.chores.people()
        scheduler.round()
        _dispose_all(app)
        look.once()
        time.sleep(0.05)
    peer.quiet()
    end = time.monotonic() + 5
    while time.monotonic() < end and _unhandled(app):  # the last call's last event may have come after the last look
        look.once()
        time.sleep(0.05)
    look.finish()
    return _count(app, peer, numbers)


def _unhandled(app: Application) -> int:
    with app.transaction() as session:
        return len(session.scalars(select(LoggedEvent.id).where(LoggedEvent.handled_at.is_(None))).all())


def _left(app: Application) -> bool:
    with app.transaction() as session:
        left = session.scalar(select(Contact.id).where(Contact.state != "closed").limit(1))
        return bool(left or session.scalar(select(Agent.id).where(Agent.state == "wrap_up").limit(1)))


def _dispose_all(app: Application) -> None:
    """Every agent in wrap-up says what came of it, and is ready."""
    with app.transaction() as session:
        done = session.scalars(select(Agent.id).where(Agent.state == "wrap_up")).all()
    for agent_id in done:
        with suppress(DialerError), app.transaction() as session:
            agent = session.get_one(Agent, agent_id)
            disposing.dispose(session, agent, "done", ready=True, timing=QUICK, now=database_now(session), who="test")


def _count(app: Application, peer: AgentFirstPeer, numbers: list[str]) -> Result:
    with app.transaction() as session:
        codes = select(Disposition.code).join(Attempt, Attempt.disposition_id == Disposition.id)
        overlaps = text(
            "SELECT count(*) FROM assignments a JOIN assignments b ON a.agent_id = b.agent_id AND a.id < b.id "
            "AND b.assigned_at < a.ended_at"
        )
        return Result(
            states=Counter(session.scalars(select(Attempt.state))),
            said=Counter(session.scalars(codes)),
            rang=peer.rang(),
            numbers=numbers,
            two_on_one=session.scalar(overlaps) or 0,
            unhandled=_unhandled(app),
            troubles=[one for one in session.scalars(select(LoggedEvent.trouble)) if one],
            agents={one.user_id: one.state for one in session.scalars(select(Agent))},
        )


def assigned_to(app: Application) -> dict[str, list[str]]:
    """The numbers each agent was given."""
    with app.transaction() as session:
        rows = session.execute(
            select(Agent.user_id, Attempt.number)
            .join(Assignment, Assignment.agent_id == Agent.id)
            .join(Attempt, Attempt.id == Assignment.attempt_id)
        )
        found: dict[str, list[str]] = {}
        for user_id, number in rows:
            found.setdefault(user_id, []).append(number)
        return found
