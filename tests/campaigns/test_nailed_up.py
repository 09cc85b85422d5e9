"""Agents whose call goes on from one customer to the next: parked, talking, wrapping up, parked, on one leg."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from campaigns import agents, budgets, dialling, limits, looking, pace_records, parking, reports, sweeping
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Assignment, Attempt, Campaign, Command
from campaigns.overview import campaign_rows
from dialer.calls import CallState
from dialer.pbx.base import CallEvent, CallOutcome, Feature, Heard, LiveCall, Role
from dialer.settings import TimingSettings
from tests import factories
from tests.fakes import FakePbx

TIMING = TimingSettings()


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    fake.features |= {Feature.NAILED_UP}
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session)
    session.commit()
    return made


def event(call: Attempt | AgentLeg, heard: Heard, role: Role, **more: object) -> CallEvent:
    ids = {"ref": call.ref, "call_id": call.ref, "leg_id": call.ref}
    return CallEvent(**{"heard": heard, "name": heard, "role": role, **ids, **more})


def tell(application: Application, pbx: FakePbx, *events: CallEvent) -> None:
    for one in events:
        with application.transaction() as session:
            pbx.say(session, one)
        looking.look(application, pbx.name, one.ref, None)


def parked(session: Session, running: Campaign) -> tuple[Agent, AgentLeg]:
    who, leg = factories.parked_agent(session, running)
    leg.pbx_call_id = leg.first_leg_id = leg.ref
    session.commit()
    return who, leg


def talk(application: Application, session: Session, pbx: FakePbx, running: Campaign, leg: AgentLeg) -> Attempt:
    attempt = factories.attempt(session, running)
    session.commit()
    tell(
        application,
        pbx,
        event(attempt, Heard.ANSWERED, Role.CUSTOMER),
        event(attempt, Heard.ANSWERED, Role.RECEPTION),
        event(attempt, Heard.BRIDGED, Role.AGENT, other_call_id=leg.ref),
    )
    session.expire_all()
    return attempt


def gone(attempt: Attempt) -> tuple[CallEvent, ...]:
    ended = event(attempt, Heard.ENDED, Role.CUSTOMER, outcome=CallOutcome.OK)
    return event(attempt, Heard.LEFT, Role.CUSTOMER), ended


def after_wrap_up(application: Application, running: Campaign) -> list[str]:
    """The wrap-up's limit is over, and the next tick parks who is ready; returns the calls it would place."""
    with application.transaction() as session:
        session.execute(update(Agent).values(until=database_now(session) - timedelta(seconds=1)))
        now = database_now(session)
        agents.end_wrap_ups(session, now)
        return parking.park(session, session.get_one(Campaign, running.id), now=now, timing=TIMING)


def test_one_leg_serves_one_customer_after_the_other(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, leg = parked(session, running)
    for served in (1, 2, 3):
        attempt = talk(application, session, pbx, running, leg)
        assert (attempt.state, attempt.agent_id) == (CallState.JOINED, who.id)
        assert (session.get_one(AgentLeg, leg.id).state, session.get_one(Agent, who.id).state) == ("joined", "talking")

        tell(application, pbx, *gone(attempt))
        session.expire_all()
        kept = session.get_one(AgentLeg, leg.id)
        assert attempt.state == CallState.COMPLETED
        assert (kept.state, kept.ended_at, kept.joined_at) == (CallState.HELD, None, None)
        assert session.get_one(Agent, who.id).state == "wrap_up"

        assert after_wrap_up(application, running) == []  # nobody is rung again
        session.expire_all()
        assert session.get_one(Agent, who.id).state == "parked"
        assert len(pbx.commands("join")) == served
    assert pbx.commands("call_agent") == pbx.commands("hang_up") == []


def test_what_is_told_of_the_leg_meanwhile_neither_frees_nor_ends_it(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, leg = parked(session, running)
    attempt = talk(application, session, pbx, running, leg)
    waits = event(leg, Heard.ANSWERED, Role.WAITING)  # entered a bridge: told late, or twice
    tell(application, pbx, waits)
    session.expire_all()
    assert (session.get_one(AgentLeg, leg.id).state, session.get_one(Agent, who.id).state) == ("joined", "talking")
    tell(application, pbx, *gone(attempt), waits)  # back to the music, in wrap-up
    session.expire_all()
    assert (session.get_one(AgentLeg, leg.id).state, session.get_one(Agent, who.id).state) == ("held", "wrap_up")
    with application.transaction() as other:
        other.execute(update(Agent).values(since=database_now(other) - timedelta(minutes=1)))
        assert limits.overlong(other, database_now(other), TIMING) == []
    assert pbx.commands("hang_up") == []


def test_an_agent_who_hangs_up_on_a_customer_leaves_nobody_in_silence(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, leg = parked(session, running)
    attempt = talk(application, session, pbx, running, leg)
    tell(application, pbx, event(leg, Heard.LEFT, Role.AGENT), event(leg, Heard.ENDED, Role.AGENT))
    session.expire_all()
    assert session.get_one(AgentLeg, leg.id).state == CallState.COMPLETED
    ordered = session.execute(select(Command.kind, Command.ref)).all()
    assert ("hang_up", attempt.ref) in [tuple(row) for row in ordered]
    tell(application, pbx, *gone(attempt))
    session.expire_all()
    assert session.get_one(Agent, who.id).state == "wrap_up"
    assert len(after_wrap_up(application, running)) == 1  # their telephone is rung again


def test_an_agent_who_hangs_up_after_a_conversation_gets_no_customer_into_an_empty_seat(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, leg = parked(session, running)
    attempt = talk(application, session, pbx, running, leg)
    tell(application, pbx, *gone(attempt))
    after_wrap_up(application, running)
    tell(application, pbx, event(leg, Heard.LEFT, Role.AGENT), event(leg, Heard.ENDED, Role.AGENT))
    session.expire_all()
    assert session.get_one(AgentLeg, leg.id).state == CallState.HUNG_UP
    assert (session.get_one(Agent, who.id).state, session.get_one(Agent, who.id).reason) == (
        "paused",
        "hung up while parked",
    )


def test_an_agent_gone_at_the_moment_of_the_join_leaves_the_customer_to_be_ended(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    _, leg = parked(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    tell(
        application,
        pbx,
        event(attempt, Heard.ANSWERED, Role.CUSTOMER),
        event(attempt, Heard.ANSWERED, Role.RECEPTION),
        event(leg, Heard.LEFT, Role.AGENT),
        event(leg, Heard.ENDED, Role.AGENT),
        event(attempt, Heard.BRIDGED, Role.AGENT, other_call_id=leg.ref),
    )
    ordered = session.execute(select(Command.kind, Command.ref)).all()
    assert ("hang_up", attempt.ref) in [tuple(row) for row in ordered]


def test_who_asked_to_go_is_let_off_the_line_after_the_customer(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, leg = parked(session, running)
    attempt = talk(application, session, pbx, running, leg)
    with application.transaction() as other:
        agents.pause(other, who.id, reason="lunch", now=database_now(other), who="test")
    tell(application, pbx, *gone(attempt))
    session.expire_all()
    assert session.get_one(Agent, who.id).state == "paused"
    ordered = session.execute(select(Command.kind, Command.ref)).all()
    assert ("hang_up", leg.ref) in [tuple(row) for row in ordered]


def test_a_leg_whose_end_is_ordered_is_not_parked_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, leg = parked(session, running)
    with application.transaction() as other:
        parking.let_go(other, running.id, now=database_now(other), reason="nothing to call")
        assert other.get_one(Agent, who.id).state == "ready"
        assert parking.park(other, other.get_one(Campaign, running.id), now=database_now(other), timing=TIMING) == []
        assert other.get_one(Agent, who.id).state == "ready"
    assert session.get_one(AgentLeg, leg.id).ended_at is None


def test_an_agent_who_dials_again_is_not_rung_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """In manual mode no tick parks anybody: the agent's own call does."""
    who, leg = parked(session, running)
    tell(application, pbx, *gone(talk(application, session, pbx, running, leg)))
    with application.transaction() as other:
        agents.ready(other, who.id, now=database_now(other), who="test")
    dialling.put_on_the_line(application, who.id, running.id)
    session.expire_all()
    assert session.get_one(Agent, who.id).state == "parked"
    assert pbx.commands("call_agent") == []


def test_a_join_nobody_told_us_of_is_seen_in_the_list_of_calls_and_keeps_the_leg(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, leg = parked(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    answered = (event(attempt, Heard.ANSWERED, Role.CUSTOMER), event(attempt, Heard.ANSWERED, Role.RECEPTION))
    tell(application, pbx, *answered)
    pbx.live = [
        LiveCall(attempt.ref, attempt.ref, connected_role=Role.AGENT, leg_id=attempt.ref),
        LiveCall(leg.ref, leg.ref, connected_role=Role.WAITING, leg_id=leg.ref),
    ]
    sweeping.sweep(application, "main")
    session.expire_all()
    assert attempt.state == CallState.JOINED
    assert (session.get_one(AgentLeg, leg.id).state, session.get_one(Agent, who.id).state) == ("joined", "talking")


def test_an_answer_nobody_told_us_of_can_be_joined_from_the_list_of_calls(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    parked(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    pbx.live = [LiveCall(attempt.ref, attempt.ref, connected_role=Role.RECEPTION, leg_id=attempt.ref)]
    sweeping.sweep(application, "main")
    assert len(pbx.commands("join")) == 1


def test_one_cause_means_two_things_and_the_ringing_tells_which(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    both = {"outcome": CallOutcome.NO_ANSWER, "unrung": CallOutcome.UNAVAILABLE}
    rang, silent = factories.attempt(session, running), factories.attempt(session, running)
    session.commit()
    tell(
        application,
        pbx,
        event(rang, Heard.RINGING, Role.CUSTOMER),
        event(rang, Heard.NOT_REACHED, Role.CUSTOMER, **both),
        event(silent, Heard.NOT_REACHED, Role.CUSTOMER, **both),
    )
    session.expire_all()
    assert (rang.state, silent.state) == (CallState.NO_ANSWER, CallState.UNAVAILABLE)


def test_a_machine_that_answered_is_nobody_reached_and_nobody_abandoned(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    who, _ = parked(session, running)
    attempt = factories.attempt(session, running)
    session.commit()
    tell(application, pbx, event(attempt, Heard.ANSWERED, Role.CUSTOMER))
    tell(application, pbx, event(attempt, Heard.NOT_REACHED, Role.CUSTOMER, outcome=CallOutcome.MACHINE))
    tell(application, pbx, event(attempt, Heard.ENDED, Role.CUSTOMER, outcome=CallOutcome.OK))
    session.expire_all()
    assert (attempt.state, attempt.leg_outcome) == (CallState.NO_ANSWER, "machine")
    assert session.get_one(Agent, who.id).state == "parked"
    assert session.scalars(select(Assignment.result)).all() == ["customer gone"]


def test_of_the_machines_a_detector_ends_a_share_is_abandoned_and_no_more(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """The answer is told before the detector has listened: by that alone each would be somebody left in silence."""
    for _ in range(34):
        attempt = factories.attempt(session, running, ordered_at=database_now(session))
        session.commit()
        tell(application, pbx, event(attempt, Heard.ANSWERED, Role.CUSTOMER))
        tell(application, pbx, event(attempt, Heard.NOT_REACHED, Role.CUSTOMER, outcome=CallOutcome.MACHINE))
        tell(application, pbx, event(attempt, Heard.ENDED, Role.CUSTOMER, outcome=CallOutcome.OK))
    session.expire_all()
    now = database_now(session)
    budget = budgets.in_force(session, running, now).budget
    assert (budget.abandoned, budget.mistaken, budget.met) == (2, 2, 0)
    days = {"since": (now - timedelta(days=1)).date(), "until": (now + timedelta(days=1)).date()}
    told = reports.make(session, "abandonment", now=now, campaign=running.name, **days)
    assert told.total is not None
    assert (told.total["answered"], told.total["detected"], told.total["abandoned"]) == (0, 34, 2)
    (shown,) = campaign_rows(session, now, name=running.name)
    assert shown.abandoned == 2
    calls = pace_records.last_calls(session, running, now + timedelta(hours=1), 100)
    assert [call.abandoned for call in calls] == [False] * 34


def test_who_comes_to_the_reception_after_their_time_is_sent_to_the_message(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """Something stood between the answer and us (a machine was listened for): nobody could be told to play before."""
    attempt = factories.attempt(session, running)
    session.commit()
    tell(application, pbx, event(attempt, Heard.ANSWERED, Role.CUSTOMER, leg_id=None, call_id=None))
    with application.transaction() as other:
        row = other.get_one(Attempt, attempt.id)
        assert limits.run_out(other, pbx, row, now=database_now(other)) == []
    tell(application, pbx, event(attempt, Heard.ANSWERED, Role.RECEPTION))
    assert session.scalars(select(Command.kind)).all() == ["message"]
