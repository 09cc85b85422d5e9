from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import budgets, limits, looking, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Assignment, Attempt, Campaign, Command, Contact, Ledger, LoggedEvent
from dialer.calls import CallState
from dialer.errors import OutcomeUnknown, PbxRefused
from dialer.pbx.base import CallEvent, CallOutcome, Heard, Role, WaitingLeg
from tests import factories
from tests.fakes import FakePbx


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


def customer(attempt: Attempt, heard: Heard, role: Role = Role.CUSTOMER, **more: object) -> CallEvent:
    leg = {Role.CUSTOMER: "501", Role.RECEPTION: "502"}.get(role)
    return CallEvent(
        **{"heard": heard, "name": heard, "ref": attempt.ref, "call_id": "9001", "role": role, "leg_id": leg, **more}
    )


def agents_call(leg: AgentLeg, heard: Heard, role: Role = Role.AGENT, **more: object) -> CallEvent:
    ids = {Role.AGENT: "503", Role.WAITING: "504"}.get(role)
    return CallEvent(
        **{"heard": heard, "name": heard, "ref": leg.ref, "call_id": "9002", "role": role, "leg_id": ids, **more}
    )


def told(application: Application, pbx: FakePbx, *events: CallEvent) -> None:
    """Log each event and look at its call, as the receiver and the queue would."""
    for event in events:
        with application.transaction() as session:
            pbx.say(session, event)
        looking.look(application, pbx.name, event.ref, None if event.ref else event.call_id)


def settled(application: Application, call: Attempt | AgentLeg) -> None:
    """The wait for late events is over."""
    with application.transaction() as session:
        locked = reactions.locked_call(session, call.ref)
        assert locked is not None
        limits.settle(session, locked, now=database_now(session))


def fresh(session: Session, row: object) -> None:
    session.expire_all()
    session.refresh(row)


ANSWERED = (
    (Heard.CALLING, Role.CUSTOMER),
    (Heard.RINGING, Role.CUSTOMER),
    (Heard.ANSWERED, Role.CUSTOMER),
    (Heard.CALLING, Role.RECEPTION),
    (Heard.ANSWERED, Role.RECEPTION),
)


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session)
    session.commit()
    return made


def test_an_answered_customer_is_joined_to_the_agent_who_waited_longest(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.parked_agent(session, running, idle_since=factories.NOW + timedelta(minutes=5))
    longest, leg = factories.parked_agent(session, running, idle_since=factories.NOW)
    attempt = factories.attempt(session, running)
    session.commit()

    told(application, pbx, *(customer(attempt, heard, role) for heard, role in ANSWERED))

    expected = (WaitingLeg("9001", "502"), WaitingLeg(leg.pbx_call_id or "", leg.first_leg_id or ""), longest.user_id)
    assert pbx.commands("join") == [expected]
    fresh(session, longest)
    assert longest.state == "assigned"

    told(application, pbx, customer(attempt, Heard.TRANSFERRED, Role.AGENT, other_call_id=leg.pbx_call_id))
    fresh(session, attempt)
    assert (attempt.state, attempt.agent_id) == (CallState.JOINED, longest.id)
    assert session.get_one(Agent, longest.id).state == "talking"
    assert session.get_one(AgentLeg, leg.id).state == CallState.COMPLETED

    told(
        application,
        pbx,
        customer(attempt, Heard.LEFT),
        customer(attempt, Heard.ENDED, Role.OTHER, outcome=CallOutcome.OK),
    )
    fresh(session, attempt)
    assert attempt.state == CallState.COMPLETED
    assert session.get_one(Agent, longest.id).state == "wrap_up"
    assert session.get_one(Contact, attempt.contact_id).state == "closed"
    assert session.scalars(select(Assignment.result)).all() == ["talked"]


def test_the_same_events_twice_change_nothing_and_send_nothing_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.parked_agent(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    events = [customer(attempt, heard, role) for heard, role in ANSWERED]

    told(application, pbx, *events, *events)

    assert len(pbx.commands("join")) == 1
    assert session.scalars(select(Assignment.id)).all() != []
    assert session.scalars(select(LoggedEvent.id).where(LoggedEvent.handled_at.is_(None))).all() == []


def test_one_agent_and_two_answers_leave_one_customer_waiting_and_then_the_message(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.parked_agent(session, running)
    first, second = factories.attempt(session, running), factories.attempt(session, running)
    session.commit()
    told(application, pbx, *(customer(first, heard, role) for heard, role in ANSWERED))
    told(
        application,
        pbx,
        *(customer(second, heard, role, call_id="9005", leg_id="55" + role[:1]) for heard, role in ANSWERED),
    )
    assert len(pbx.commands("join")) == 1

    session.execute(text("UPDATE attempts SET answered_at = answered_at - interval '1.7 s'"))
    session.commit()
    with application.transaction() as other:
        now = database_now(other)
        assert second.ref in limits.unserved(other, now, application.settings.timing)
        call = reactions.locked_call(other, second.ref)
        assert isinstance(call, Attempt)
        commands = limits.run_out(other, pbx, call, now=now)
    looking.carry_out(application, commands)
    assert pbx.commands("play_message") == [WaitingLeg("9005", "55r")]

    session.execute(text("UPDATE attempts SET answered_at = answered_at - interval '2 s'"))
    session.commit()
    told(application, pbx, customer(second, Heard.ENDED, Role.OTHER, call_id="9005", outcome=CallOutcome.OK))
    settled(application, second)
    fresh(session, second)
    assert second.state == CallState.ABANDONED
    assert session.scalars(select(Ledger.attempt_id).where(Ledger.kind == "abandoned")).all() == [second.id]
    contact = session.get_one(Contact, second.contact_id)
    assert contact.next_at is not None
    assert contact.next_at - factories.NOW > timedelta(hours=48), "somebody abandoned is left in peace"


def test_a_refused_join_offers_the_customer_to_the_next_agent(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    bad, _ = factories.parked_agent(session, running, idle_since=factories.NOW)
    good, _ = factories.parked_agent(session, running, idle_since=factories.NOW + timedelta(seconds=1))
    attempt = factories.attempt(session, running)
    session.commit()
    refused = PbxRefused("main", "no such call")
    real_join = pbx.join

    def join(customer: WaitingLeg, agent: WaitingLeg, user_id: str) -> str:
        done = real_join(customer, agent, user_id)
        if user_id == bad.user_id:
            raise refused
        return done

    pbx.join = join  # type: ignore[method-assign]
    told(application, pbx, *(customer(attempt, heard, role) for heard, role in ANSWERED))

    assert [what[2] for what in pbx.commands("join")] == [bad.user_id, good.user_id]  # type: ignore[index]
    session.expire_all()
    assert (bad.state, good.state) == ("parked", "assigned")


def test_a_join_nobody_answered_for_is_never_sent_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.parked_agent(session, running)
    factories.parked_agent(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    pbx.answers["join"] = OutcomeUnknown("main", "no reply")

    told(application, pbx, *(customer(attempt, heard, role) for heard, role in ANSWERED))
    looking.serve_waiting(application)

    assert len(pbx.commands("join")) == 1
    assert session.scalars(select(Command.state)).all() == ["unknown"]


def test_terminated_before_its_response_waits_for_the_response(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    session.commit()
    told(application, pbx, customer(attempt, Heard.ENDED, Role.OTHER, outcome=CallOutcome.UNKNOWN))
    fresh(session, attempt)
    assert (attempt.state, attempt.ended_at) == (CallState.ENDING, None)

    told(application, pbx, customer(attempt, Heard.NOT_REACHED, outcome=CallOutcome.BUSY))
    fresh(session, attempt)
    assert attempt.state == CallState.BUSY


def test_who_hangs_up_before_the_limit_was_not_abandoned(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    session.commit()
    told(application, pbx, *(customer(attempt, heard, role) for heard, role in ANSWERED))
    told(
        application,
        pbx,
        customer(attempt, Heard.LEFT),
        customer(attempt, Heard.ENDED, Role.OTHER, outcome=CallOutcome.OK),
    )
    settled(application, attempt)
    fresh(session, attempt)
    assert attempt.state == CallState.HUNG_UP


def test_a_customer_gone_before_the_join_leaves_the_agent_parked(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, _ = factories.parked_agent(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    told(application, pbx, *(customer(attempt, heard, role) for heard, role in ANSWERED))
    told(
        application,
        pbx,
        customer(attempt, Heard.LEFT),
        customer(attempt, Heard.ENDED, Role.OTHER, outcome=CallOutcome.OK),
    )

    settled(application, attempt)
    session.expire_all()
    assert (attempt.state, agent.state) == (CallState.HUNG_UP, "parked")
    assert session.scalars(select(Assignment.ended_at)).one() is not None


def test_an_agents_call_parks_the_agent_and_serves_who_waits(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent = factories.agent(session, running, state="parking")
    leg = factories.leg(session, running, agent)
    attempt = factories.attempt(session, running)
    session.commit()
    told(application, pbx, *(customer(attempt, heard, role) for heard, role in ANSWERED))
    assert pbx.commands("join") == []

    told(
        application,
        pbx,
        agents_call(leg, Heard.CALLING),
        agents_call(leg, Heard.ANSWERED),
        agents_call(leg, Heard.CALLING, Role.WAITING),
        agents_call(leg, Heard.ANSWERED, Role.WAITING),
    )
    assert pbx.commands("join") == [(WaitingLeg("9001", "502"), WaitingLeg("9002", "503"), agent.user_id)]


def test_an_agent_who_hangs_up_while_parked_is_paused_not_called_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, leg = factories.parked_agent(session, running)
    session.commit()
    call_id = leg.pbx_call_id
    told(
        application,
        pbx,
        agents_call(leg, Heard.LEFT, call_id=call_id),
        agents_call(leg, Heard.ENDED, Role.OTHER, call_id=call_id, outcome=CallOutcome.OK),
    )
    session.expire_all()
    assert (agent.state, agent.reason) == ("paused", "hung up while parked")


def test_a_transfer_told_under_the_agents_reference_is_the_customers(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, leg = factories.parked_agent(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    told(application, pbx, *(customer(attempt, heard, role) for heard, role in ANSWERED))
    told(
        application,
        pbx,
        CallEvent(
            Heard.TRANSFERRED,
            "call_transfer",
            ref=leg.ref,
            call_id="9001",
            role=Role.AGENT,
            other_call_id=leg.pbx_call_id,
        ),
    )
    session.expire_all()
    assert (attempt.state, agent.state) == (CallState.JOINED, "talking")


def test_an_event_of_nobody_is_kept_and_says_so(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    told(application, pbx, CallEvent(Heard.ENDED, "call_terminated", ref="d0-c99", call_id="1"))
    told(application, pbx, CallEvent(Heard.ENDED, "call_terminated", ref=None, call_id="77"))
    told(application, pbx, CallEvent(Heard.ENDED, "call_terminated", ref=None, call_id=None))
    rows = session.scalars(select(LoggedEvent)).all()
    assert [row.trouble for row in rows] == [reactions.NOBODYS] * 3
    assert all(row.handled_at is not None for row in rows)


def test_fifty_answers_at_once_never_share_an_agent(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    from concurrent.futures import ThreadPoolExecutor

    for _ in range(10):
        factories.parked_agent(session, running)
    attempts = [factories.attempt(session, running) for _ in range(50)]
    for number, attempt in enumerate(attempts):
        for heard, role in ANSWERED:
            pbx.say(session, customer(attempt, heard, role, call_id=str(7000 + number)))
    session.commit()
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda row: looking.look(application, "main", row.ref, None), attempts))
    looking.serve_waiting(application)

    joins = pbx.commands("join")
    assert len(joins) == 10
    assert len({what[2] for what in joins}) == 10  # type: ignore[index]
    doubled = session.execute(
        text("SELECT agent_id FROM assignments WHERE ended_at IS NULL GROUP BY 1 HAVING count(*) > 1")
    ).all()
    assert doubled == []


def test_a_failed_command_told_before_we_know_its_number_waits_for_it(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """The PBX may say that a command failed before our own note of what it called the command is committed."""
    attempt = factories.attempt(session, running)
    session.commit()
    told(
        application,
        pbx,
        CallEvent(Heard.COMMAND_FAILED, "cmd_failed", request_id="17012345670001", note="no such gateway"),
    )
    assert session.scalars(select(LoggedEvent.handled_at)).one() is None

    attempt.request_id = "17012345670001"
    session.commit()
    looking.look(application, "main", None, None)
    settled(application, attempt)
    fresh(session, attempt)
    assert (attempt.state, attempt.trouble) == (CallState.FAILED, "no such gateway")


def test_one_pbx_cannot_speak_of_anothers_call(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    session.commit()
    other = FakePbx("other")
    application.pbxes = {"main": pbx, "other": other}
    told(application, other, customer(attempt, Heard.NOT_REACHED, outcome=CallOutcome.BUSY))
    fresh(session, attempt)
    assert attempt.state == CallState.PLACED
    assert "is on PBX main" in session.scalars(select(LoggedEvent.trouble)).one()


def test_who_answers_a_call_that_was_closed_counts_as_abandoned_everywhere(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.LOST, pbx_call_id="9001", second_leg_id="502")
    session.commit()
    told(application, pbx, customer(attempt, Heard.ANSWERED))
    assert session.scalars(select(Ledger.kind)).all() == ["abandoned"]
    (spent,) = budgets.count(session, [budgets.Span(running.id, factories.NOW - timedelta(days=1))])
    assert (spent.abandoned, spent.met) == (1, 0)
