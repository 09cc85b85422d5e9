"""XiVO's own callback lists worked through by a campaign: real websockets both ways, judged by the peer's book."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import agents, lifecycle, listed_requests, roster
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Attempt, Callback, CallbackTicket, Contact, ListedRequest, ListedTicket
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx.agent_first_peer import Person
from tests.pbx.xuc_lists import period
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer
from tests.rig import agent_first_kit as kit
from tests.waiting import until
from tests.workers.test_listener import Listener
from workers.scheduler import Scheduler
from workers.second_look import SecondLook

PARIS = ZoneInfo("Europe/Paris")
Working = tuple[Application, Callable[..., None]]
NUMBERS = {f"r{n}": f"33230210{n:03}" for n in range(6)}


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer(wrap_up=0.2)
    today = f"{datetime.now(PARIS):%Y-%m-%d}"
    for uuid, number in NUMBERS.items():
        more = {"dueDate": today, "preferredPeriod": period("All day"), "mobilePhoneNumber": None}
        peer.lists.add(uuid, phone=f"0{number[2:]}", **more)
    yield peer
    peer.close()


@contextmanager
def working(application: Application, peer: XucPeer, attempts: int = 1) -> Iterator[Working]:
    """The campaign with its listener; yields what lets it work until a condition holds."""
    extra = {
        "agents": "1015=agent15, 1016=agent16", "callback_lists": "Liste de test=spring", "dialing_means": "customer",
        "take_within": "1", "callback_poll": "1",
    }  # fmt: skip
    settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", extra=extra)
    pbx = open_pbx("main", settings, environ={"KEY": PASSWORD})
    with kit.running(application, peer, pbx, settings) as (app, scheduler), Listener(app):
        until(lambda: len(peer.sockets) >= 2)
        with app.transaction() as session:
            now = database_now(session)
            made = lifecycle.create(
                session, name="spring", pbx="main", features=pbx.features, caller_id="+33123456789", country="FR",
                mode="progressive", hours="always", max_attempts=attempts, retry_delay=7200.0, wrap_up_limit=1.0,
                now=now, who="test",
            )  # fmt: skip
            roster.assign(session, made, roster.parse("all"), pbx.users(), now=now, who="test")
            for agent in session.scalars(select(Agent)):
                agents.login(session, agent.id, now=now, who="test")
            lifecycle.start(session, "spring", now=now, who="test")
        yield app, lambda done, seconds=60.0: _work(app, scheduler, done, seconds)
    pbx.close()


def _work(app: Application, scheduler: Scheduler, done: Callable[[], bool], seconds: float) -> None:
    look, end, slow = SecondLook(app), time.monotonic() + seconds, 0.0
    while not done():
        assert time.monotonic() < end, f"it is not done in time: {_state(app)}"
        scheduler.renew()
        if time.monotonic() > slow:
            slow = time.monotonic() + 0.4
            scheduler.chores.poll("main")
            scheduler.chores.read_lists("main")
            scheduler.chores.write_tickets("main")
            scheduler.chores.people()
        scheduler.round()
        look.once()
        time.sleep(0.05)
    look.finish()


def _state(app: Application) -> list[object]:
    with app.transaction() as session:
        calls = [(one.id, one.state, one.trouble[:60]) for one in session.scalars(select(Attempt))]
        people = [(one.id, one.state, one.next_at) for one in session.scalars(select(Contact))]
        return [calls, people, [(one.user_id, one.state, one.reason) for one in session.scalars(select(Agent))]]


def written(session: Session, count: int) -> Callable[[], bool]:
    def done() -> bool:
        session.expire_all()
        states = session.scalars(select(ListedTicket.state)).all()
        session.rollback()
        return len(states) >= count and set(states) <= {"written", "given_up"}

    return done


def test_a_list_is_called_once_each_and_every_ticket_is_in_xivo(
    application: Application, session: Session, peer: XucPeer
) -> None:
    for uuid in ("r0", "r3"):
        peer.customers[NUMBERS[uuid]] = Person(answers_after=None)
    peer.lists.open["r5"]["agentId"] = 77  # an agent who is none of ours has it
    with working(application, peer) as (_, work):
        work(written(session, 5))
        peer.quiet()
        assert peer.rang() == {number: 1 for uuid, number in NUMBERS.items() if uuid != "r5"}
        said = {one.request: one.status for one in peer.lists.tickets.values()}
        assert said == {"r0": "NoAnswer", "r1": "Answered", "r2": "Answered", "r3": "NoAnswer", "r4": "Answered"}
        assert list(peer.lists.open) == ["r5"], "what is taken by others stays theirs"
        assert {one.updates for one in peer.lists.tickets.values()} == {1}
        own = {one.status for one in session.scalars(select(CallbackTicket))}
        assert own == {"NoAnswer", "Answered"}
        results = {one.result for one in session.scalars(select(Callback).where(Callback.closed_at.is_not(None)))}
        assert results == {"kept"}
        assert session.scalars(select(Attempt.state).order_by(Attempt.state)).all() == [
            "completed", "completed", "completed", "no_answer", "no_answer",
        ]  # fmt: skip
        del peer.lists.open["r5"]
        work(lambda: gone(session))
        assert "r5" not in {one.request for one in peer.lists.tickets.values()}


def gone(session: Session) -> bool:
    session.rollback()
    return session.scalar(select(ListedRequest.id).where(ListedRequest.gone_at.is_(None))) is None


def test_who_was_not_reached_is_put_to_another_time_in_xivo_too(
    application: Application, session: Session, peer: XucPeer
) -> None:
    for uuid in list(NUMBERS)[1:]:
        del peer.lists.open[uuid]
    peer.customers[NUMBERS["r0"]] = Person(answers_after=None)
    with working(application, peer, attempts=3) as (app, work):
        work(written(session, 1))
        (ticket,) = peer.lists.tickets.values()
        assert (ticket.status, ticket.comment) == ("Callback", "not reached")
        contact = session.scalars(select(Contact)).one()
        assert contact.next_at is not None
        moved = peer.lists.open["r0"]
        assert (moved["dueDate"], moved["agentId"]) == (f"{contact.next_at.astimezone(PARIS):%Y-%m-%d}", None)
        at = contact.next_at
        for _ in range(3):
            listed_requests.read(app, "main")
        session.expire_all()
        assert session.scalars(select(Contact.next_at)).one() == at, "what we wrote there is no change of theirs"


def test_broken_connections_ended_tokens_and_refused_tickets_lose_and_double_nothing(
    application: Application, session: Session, peer: XucPeer
) -> None:
    for number in NUMBERS.values():
        peer.customers[number] = Person(talks=0.3)
    peer.lists.deaf["updateCallbackTicket"] = 2
    peer.lists.cuts = {"updateCallbackTicket": 2, "takeCallback": 2, "getCallbackLists": 2}
    over = threading.Event()

    def breaking() -> None:
        while not over.wait(2.0):
            peer.forget_tokens()
            peer.cut()

    breaker = threading.Thread(target=breaking)
    breaker.start()
    breaking_until = time.monotonic() + 25.0
    try:
        with working(application, peer) as (_, work):

            def settled() -> bool:
                if time.monotonic() > breaking_until:
                    over.set()
                return quiet(session) and all(call.ended for call in peer.book)

            work(settled, 80.0)
            over.set()
            peer.lists.deaf, peer.lists.cuts = {}, {}
            work(written(session, 1), 30.0)
    finally:
        over.set()
        breaker.join()
    assert all(times == 1 for times in peer.rang().values())
    assert len(peer.rang()) >= 3, "some were called in spite of it all"
    mine = {one.ticket_id: one.state for one in session.scalars(select(ListedTicket))}
    for one in peer.lists.tickets.values():
        assert one.status or mine.get(one.uuid) != "written"
        assert (mine.get(one.uuid) == "written") == bool(one.status), "what is there is known to be there"
    assert not session.scalars(select(ListedTicket).where(ListedTicket.state == "open")).all()


def quiet(session: Session) -> bool:
    """Nobody is called any more, nor in the next half hour."""
    session.rollback()
    ringing = session.scalar(select(Attempt.id).where(Attempt.ended_at.is_(None)).limit(1))
    soon = select(Contact.id).where(
        (Contact.state == "live") | (Contact.state == "open") & (Contact.next_at < func.now() + timedelta(minutes=30))
    )
    known = session.scalar(select(func.count()).select_from(Contact))
    return ringing is None and known == len(NUMBERS) and session.scalar(soon.limit(1)) is None
