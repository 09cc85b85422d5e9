"""Joins sent by the process that heard the answer: as many at once as it has threads, and none waits in a queue.

Whoever the commit of their answer could not give an agent is looked at by the same process.
"""

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import looking
from campaigns.application import Application
from campaigns.event_log import RawEvent
from campaigns.models import Assignment, Attempt, Command
from dialer.errors import OutcomeUnknown
from dialer.pbx.base import WaitingLeg
from tests import factories
from tests.campaigns.test_assigning_at_once import Hears, Reads, answer, keep
from workers.joining import Joins


class Slow(Reads):
    """Answers a join when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.go = threading.Event()
        self.asked = threading.Semaphore(0)

    def join(self, customer: WaitingLeg, agent: WaitingLeg, user_id: str) -> str:
        self.asked.release()
        assert self.go.wait(60)
        return super().join(customer, agent, user_id)


class Looks:
    """Whoever is told of an event whose join is done with."""

    def __init__(self) -> None:
        self.at: list[RawEvent] = []
        self.came = threading.Semaphore(0)

    def __call__(self, events: Any) -> None:
        self.at += events
        self.came.release()


@pytest.fixture
def pbx(application: Application) -> Slow:
    slow = Slow()
    application.pbxes = {"main": slow}
    return slow


@pytest.fixture
def looks() -> Looks:
    return Looks()


@pytest.fixture
def joins(application: Application, looks: Looks, pbx: Slow) -> Iterator[Joins]:
    made = Joins(application, looks, threads=2)
    yield made
    pbx.go.set()
    made.stop()


def log(application: Application, joins: Joins, *events: RawEvent) -> list[RawEvent]:
    """Log events with `joins` at hand; returns those that are left to the workers."""
    hears = Hears()
    hears.ask, hears.answer, hears.forget = joins.ask, joins.answer, joins.forget  # type: ignore[method-assign]
    keep(application, *events, hears=hears)
    return hears.left


def called(session: Session) -> Attempt:
    """A customer who is being called, and an agent who waits for them."""
    running = factories.campaign(session)
    factories.parked_agent(session, running)
    call = factories.attempt(session, running)
    session.commit()
    return call


def held(session: Session, call: Attempt) -> Session:
    """Somebody else who holds the call's row; rolled back, it is free."""
    other = Session(session.get_bind())
    other.get_one(Attempt, call.id, with_for_update={"key_share": True})
    return other


def test_a_join_is_sent_at_once_and_the_call_is_looked_at_afterwards(
    application: Application, session: Session, pbx: Slow, joins: Joins, looks: Looks
) -> None:
    call = called(session)
    assert log(application, joins, answer(call)) == []
    assert pbx.asked.acquire(timeout=60)
    assert looks.at == []  # there is nothing for a worker to do yet
    assert session.scalars(select(Command.state)).one() == "sending"
    session.rollback()
    pbx.go.set()
    assert looks.came.acquire(timeout=60)
    assert [event.keys.ref for event in looks.at] == [call.ref]
    assert session.scalars(select(Command.state)).one() == "accepted"


def test_where_nobody_is_at_hand_to_send_nothing_is_claimed(
    application: Application, session: Session, pbx: Slow, joins: Joins
) -> None:
    """A PBX that hangs holds two threads; the third customer is left to the workers, with no claim that ages."""
    running = factories.campaign(session)
    for _ in range(3):
        factories.parked_agent(session, running)
    calls = [factories.attempt(session, running) for _ in range(3)]
    session.commit()
    for call in calls[:2]:
        assert log(application, joins, answer(call)) == []
        assert pbx.asked.acquire(timeout=60)
    event = answer(calls[2])
    assert log(application, joins, event) == [event]
    assert len(session.scalars(select(Assignment)).all()) == 2
    pbx.go.set()
    looking.look(application, "main", calls[2].ref, None)  # as a worker does
    session.rollback()
    assert len(session.scalars(select(Assignment)).all()) == 3


def test_a_place_is_free_again_after_a_join_and_after_an_answer_that_got_none(
    application: Application, session: Session, pbx: Slow, joins: Joins, looks: Looks
) -> None:
    pbx.go.set()
    running = factories.campaign(session)
    empty = factories.campaign(session)
    nobody_free = [factories.attempt(session, empty, answered_at=factories.NOW) for _ in range(3)]
    for _ in range(4):
        factories.parked_agent(session, running)
    calls = [factories.attempt(session, running) for _ in range(4)]
    session.commit()
    for event in map(answer, nobody_free):
        log(application, joins, event)  # their time is over
    for call in calls:
        assert log(application, joins, answer(call)) == []
        assert looks.came.acquire(timeout=60)
    assert len(pbx.commands("join")) == 4


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody here is in such a hurry that a slow machine decides what comes of it."""
    monkeypatch.setattr("campaigns.application._IN_A_HURRY", text("SET LOCAL lock_timeout = '60s'"))


@pytest.mark.usefixtures("patient")
def test_whose_row_somebody_held_for_an_instant_is_looked_at_here_and_joined(
    application: Application, session: Session, pbx: Slow, joins: Joins, looks: Looks
) -> None:
    """The commit of the answer waits for no lock; the way through the queue would take longer than this one is held."""
    call = called(session)
    holding = held(session, call)
    assert log(application, joins, answer(call)) == []
    assert not pbx.asked.acquire(timeout=0.02)
    holding.rollback()
    pbx.go.set()
    assert pbx.asked.acquire(timeout=60)
    joins.stop()
    session.rollback()
    assert session.scalars(select(Command.state)).one() == "accepted"
    assert looks.at == []  # a worker has nothing to do for it


def test_whose_row_stays_held_is_left_to_the_workers(
    application: Application, session: Session, pbx: Slow, joins: Joins, looks: Looks
) -> None:
    pbx.go.set()
    call = called(session)
    holding = held(session, call)
    assert log(application, joins, answer(call)) == []
    assert looks.came.acquire(timeout=60)
    assert [event.keys.ref for event in looks.at] == [call.ref]
    holding.rollback()
    looking.look(application, "main", call.ref, None)  # as a worker does
    session.rollback()
    assert session.scalars(select(Command.state)).one() == "accepted"


@pytest.mark.usefixtures("patient")
def test_where_nobody_is_at_hand_to_look_the_workers_do(
    application: Application, session: Session, pbx: Slow, looks: Looks
) -> None:
    joins = Joins(application, looks, lookers=1)
    running = factories.campaign(session)
    for _ in range(2):
        factories.parked_agent(session, running)
    calls = [factories.attempt(session, running) for _ in range(2)]
    session.commit()
    holding = [held(session, call) for call in calls]
    assert log(application, joins, answer(calls[0])) == []
    event = answer(calls[1])
    assert log(application, joins, event) == [event]
    for one in holding:
        one.rollback()
    pbx.go.set()
    joins.stop()
    assert [command.arguments for command in session.scalars(select(Command))]  # the first was served meanwhile


def test_of_an_answer_that_is_not_on_disk_nothing_follows_and_a_place_is_free_again(
    application: Application, session: Session, pbx: Slow, joins: Joins, looks: Looks
) -> None:
    call = called(session)
    for _ in range(5):  # more often than there are threads
        assert joins.ask(answer(call), 0.0) is not None
        joins.forget(answer(call))
    assert not pbx.asked.acquire(timeout=0.05)
    assert looks.at == []


def test_what_an_agent_s_own_call_tells_is_left_to_the_workers(
    application: Application, session: Session, pbx: Slow, joins: Joins
) -> None:
    """A shift that comes on the line at once must not take the threads of those who wait."""
    running = factories.campaign(session)
    agent = factories.agent(session, running, state="parking")
    leg = factories.leg(session, running, agent)
    session.commit()
    event = answer(leg)  # type: ignore[arg-type]
    assert log(application, joins, event) == [event]


def test_a_join_without_a_usable_answer_is_unknown_and_is_not_sent_again(
    application: Application, session: Session, pbx: Slow, joins: Joins, looks: Looks
) -> None:
    pbx.go.set()
    pbx.answers["join"] = OutcomeUnknown("main", "no answer")
    call = called(session)
    assert log(application, joins, answer(call)) == []
    assert looks.came.acquire(timeout=60)
    looking.look(application, "main", call.ref, None)
    assert session.scalars(select(Command.state)).one() == "unknown"
    assert len(session.scalars(select(Assignment)).all()) == 1
    assert len(pbx.commands("join")) == 1
