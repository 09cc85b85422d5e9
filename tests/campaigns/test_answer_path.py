"""What lies between a customer's answer and the join: no statement more than is needed, and all of it on disk."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import select, update
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from campaigns import assigning, looking, pbx_commands, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Assignment, Attempt, Command
from dialer.pbx.base import CallEvent, Heard, Role
from tests import factories
from tests.fakes import FakePbx
from tests.statements import statements

# The time, the call, its events; agent and assignment in one, and the agent's row; what has changed (agent, call,
# ledger, event), the command; its claim. Each stands between somebody who said hello and the person who answers them.
MOST_STATEMENTS = 11


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def answered(application: Application, session: Session, pbx: FakePbx) -> Attempt:
    """Somebody has just answered, the event is logged, and two agents wait."""
    running = factories.campaign(session)
    for _ in range(2):
        factories.parked_agent(session, running)
    attempt = factories.attempt(session, running)
    ids = {"ref": attempt.ref, "call_id": "7001", "leg_id": "1"}
    pbx.say(session, CallEvent(Heard.ANSWERED, "answered", role=Role.CUSTOMER, **ids))
    pbx.say(session, CallEvent(Heard.ANSWERED, "held", role=Role.RECEPTION, **{**ids, "leg_id": "2"}))
    session.commit()
    return attempt


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Threads that take turns as often as they can."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


def test_the_first_answers_of_a_worker_may_come_all_at_once(hasty_threads: None) -> None:
    """Each of its threads compiles what gives an agent, and all of them the same: what one got wrong would be kept
    for as long as the process lives, and nobody joined."""
    threads = 6
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(40):
            asked, together = assigning._assigning(), Barrier(threads, timeout=60)

            def compiled(asked: object = asked, together: Barrier = together) -> str:
                together.wait()
                return str(asked.compile(dialect=postgresql.dialect()))  # type: ignore[attr-defined]

            told = {one.result() for one in [pool.submit(compiled) for _ in range(threads)]}
            assert len(told) == 1


def test_few_statements_stand_between_an_answer_and_the_join(
    application: Application, pbx: FakePbx, answered: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    before: list[list[str]] = []
    with statements(application.engine) as asked:
        monkeypatch.setattr(pbx, "join", lambda *_: before.append(list(asked)) or "1")
        looking.look(application, "main", answered.ref, None)
    assert len(before) == 1
    assert len(before[0]) <= MOST_STATEMENTS, before[0]


def test_what_is_sent_is_on_disk_before(
    application: Application, session: Session, pbx: FakePbx, answered: Attempt, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever dies while the PBX is asked leaves a command that nobody sends again, and an agent who is taken."""
    seen: list[object] = []

    def join(*_: object) -> str:
        with application.sessions() as another:
            seen.extend(another.execute(select(Command.state, Command.sent_at.is_not(None))).one())
            seen.extend(another.execute(select(Agent.state).join(Assignment, Assignment.agent_id == Agent.id)).one())
        return "1"

    monkeypatch.setattr(pbx, "join", join)
    looking.look(application, "main", answered.ref, None)
    assert seen == ["sending", True, "assigned"]
    assert session.scalars(select(Command.state)).one() == "accepted"


def test_looking_again_gives_no_second_agent_and_sends_nothing_twice(
    application: Application, session: Session, pbx: FakePbx, answered: Attempt
) -> None:
    with application.transaction() as first:
        commands = reactions.react(first, pbx, answered.ref, None, now=database_now(first))
    with application.transaction() as second:
        assert reactions.react(second, pbx, answered.ref, None, now=database_now(second)) == []
    looking.carry_out(application, commands)
    looking.carry_out(application, commands)
    looking.look(application, "main", answered.ref, None)
    assert len(session.scalars(select(Assignment)).all()) == 1
    assert len(pbx.commands("join")) == 1


def test_a_join_that_nobody_sent_in_time_is_not_sent(
    application: Application, session: Session, pbx: FakePbx, answered: Attempt
) -> None:
    with application.transaction() as first:
        (command,) = reactions.react(first, pbx, answered.ref, None, now=database_now(first))
    with application.transaction() as later:
        overdue = timedelta(seconds=1) + pbx_commands.STALE["join"]
        later.execute(update(Command).values(due_at=database_now(later) - overdue))
    done = pbx_commands.perform(application, command)
    assert done is not None
    assert (done.state, done.answer) == ("not_sent", "too late to be of use")
    assert pbx.commands("join") == []
    kept = session.get_one(Command, command)
    assert kept.state == "not_sent"
    assert kept.done_at is not None
