"""I11 while people come and go: who is needed for a ringing call that may not be lost stays for it, and not longer."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from campaigns import agents, assigning, pace_view, parking, staying
from campaigns.db import session_factory
from campaigns.models import Agent, Campaign, CampaignAgent, Command
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.pacing.staying import LONGEST, must_stay
from tests import factories
from tests.factories import NOW


@pytest.fixture
def young(session: Session) -> Campaign:
    """A campaign that has met nobody yet: one abandoned call is a rate of one."""
    return factories.campaign(session, mode="predictive")


def met(session: Session, of: Campaign, people: int) -> None:
    for _ in range(people):
        answered = {"answered_at": NOW, "joined_at": NOW + timedelta(seconds=1)}
        factories.attempt(session, of, state=CallState.COMPLETED, **answered)


def hang_ups(session: Session) -> int:
    return len(session.scalars(select(Command).where(Command.kind == "hang_up")).all())


@pytest.mark.parametrize(
    ("spent", "free", "on_the_way", "stay"),
    [
        ((0, 0), 1, 1, True),
        ((0, 32), 2, 2, True),
        ((0, 32), 2, 1, False),  # the other one is enough
        ((0, 33), 2, 2, False),  # one may be lost
        ((1, 40), 2, 5, True),
        ((0, 0), 0, 3, False),
        ((0, 40), 1, 5, True),  # one may be lost, five may answer
        ((0, 40), 1, 1, False),
        ((0, 200), 1, 20, False),  # an old window recovers
        ((6, 200), 1, 1, True),  # it has nothing left
    ],
)
def test_the_rule(spent: tuple[int, int], free: int, on_the_way: int, stay: bool) -> None:
    assert must_stay(Budget(*spent, 0.03), free=free, on_the_way=on_the_way) is stay


def test_who_asks_to_go_while_a_call_rings_for_them_serves_it_first(session: Session, young: Campaign) -> None:
    agent, _ = factories.parked_agent(session, young)
    call = factories.attempt(session, young, state=CallState.RINGING)
    agents.pause(session, agent.id, reason="lunch", now=NOW, who="cli:ada")
    assert (agent.state, agent.wanted, hang_ups(session)) == ("parked", "paused", 0)
    assert agents.let_go(session, NOW + timedelta(seconds=5)) == 0
    call.state, call.answered_at, call.pbx_call_id = CallState.HELD, NOW + timedelta(seconds=6), "77"
    call.second_leg_id = "78"
    assert assigning.serve(session, call, now=NOW + timedelta(seconds=6)) != []
    assert agent.state == "assigned"
    agents.leave_customer(session, agent, now=NOW + timedelta(seconds=90), wrap_up_limit=60)
    assert (agent.state, agent.reason) == ("paused", "lunch")


def test_they_go_as_soon_as_the_call_is_over(session: Session, young: Campaign) -> None:
    agent, _ = factories.parked_agent(session, young)
    call = factories.attempt(session, young, state=CallState.RINGING)
    agents.logout(session, agent.id, now=NOW, who="cli:ada")
    call.state, call.ended_at = CallState.NO_ANSWER, NOW + timedelta(seconds=8)
    session.flush()
    assert agents.let_go(session, NOW + timedelta(seconds=8)) == 1
    assert (agent.state, hang_ups(session)) == ("out", 1)


def test_nobody_stays_longer_than_half_a_minute_even_when_asked_twice(session: Session, young: Campaign) -> None:
    agent, _ = factories.parked_agent(session, young)
    factories.attempt(session, young, state=CallState.RINGING)
    agents.pause(session, agent.id, reason="lunch", now=NOW, who="cli:ada")
    agents.pause(session, agent.id, reason="lunch!", now=NOW + timedelta(seconds=20), who="cli:ada")
    assert agents.let_go(session, NOW + timedelta(seconds=LONGEST - 1)) == 0
    assert agents.let_go(session, NOW + timedelta(seconds=LONGEST)) == 1
    assert (agent.state, agent.reason) == ("paused", "lunch!")


def test_they_may_change_their_mind(session: Session, young: Campaign) -> None:
    agent, _ = factories.parked_agent(session, young)
    factories.attempt(session, young, state=CallState.RINGING)
    agents.pause(session, agent.id, reason="lunch", now=NOW, who="cli:ada")
    agents.ready(session, agent.id, now=NOW, who="cli:ada")
    assert agents.let_go(session, NOW + timedelta(minutes=1)) == 0
    assert (agent.state, agent.wanted) == ("parked", "")


def test_one_of_two_goes_when_one_is_enough(session: Session, young: Campaign) -> None:
    first, _ = factories.parked_agent(session, young)
    second, _ = factories.parked_agent(session, young)
    calls = [factories.attempt(session, young, state=CallState.RINGING) for _ in range(2)]
    for agent in (first, second):
        agents.logout(session, agent.id, now=NOW, who="cli:ada")
    assert [first.state, second.state] == ["parked", "parked"]
    calls[0].state, calls[0].ended_at = CallState.BUSY, NOW
    session.flush()
    assert agents.let_go(session, NOW + timedelta(seconds=1)) == 1
    assert sorted([first.state, second.state]) == ["out", "parked"]


@pytest.mark.parametrize("free", [1, 2])
def test_where_a_call_may_be_lost_or_others_are_free_people_go_at_once(session: Session, free: int) -> None:
    campaign = factories.campaign(session, mode="predictive")
    agent, _ = factories.parked_agent(session, campaign)
    if free == 1:
        met(session, campaign, 40)
    else:
        factories.parked_agent(session, campaign)
    factories.attempt(session, campaign, state=CallState.RINGING)
    agents.pause(session, agent.id, reason="lunch", now=NOW, who="cli:ada")
    assert (agent.state, agent.wanted) == ("paused", "")


def test_who_is_kept_for_a_certain_call_stays_for_it(session: Session, young: Campaign) -> None:
    call = factories.attempt(session, young, state=CallState.RINGING)
    kept = {"reserved_for": "call", "reserved_attempt_id": call.id, "reserved_until": NOW + timedelta(minutes=1)}
    agent, _ = factories.parked_agent(session, young, **kept)
    agents.logout(session, agent.id, now=NOW, who="cli:ada")
    assert (agent.state, agent.wanted) == ("parked", "out")
    call.state, call.ended_at = CallState.NO_ANSWER, NOW
    session.flush()
    assert agents.let_go(session, NOW + timedelta(seconds=1)) == 1


def test_no_new_call_is_launched_for_who_asked_to_go_and_others_are_given_first(
    session: Session, young: Campaign
) -> None:
    stays, _ = factories.parked_agent(session, young, idle_since=NOW - timedelta(minutes=5))
    call = factories.attempt(session, young, state=CallState.HELD, answered_at=NOW, pbx_call_id="77")
    call.second_leg_id = "78"
    agents.pause(session, stays.id, reason="lunch", now=NOW, who="cli:ada")
    back, _ = factories.parked_agent(session, young)
    view = pace_view.read(session, young.id, NOW)
    assert view is not None
    seen = view.snapshot(NOW, view.lines(()), Budget(0, 0, 0.03))
    assert (seen.parked, seen.leaving) == (1, 0)
    assigning.serve(session, call, now=NOW)
    session.expire_all()
    assert [session.get_one(Agent, agent.id).state for agent in (stays, back)] == ["parked", "assigned"]


def test_nobody_leaves_on_the_word_of_another_who_is_leaving(session: Session, engine: Engine, young: Campaign) -> None:
    first, _ = factories.parked_agent(session, young)
    second, _ = factories.parked_agent(session, young)
    factories.attempt(session, young, state=CallState.RINGING)
    session.commit()
    with session_factory(engine)() as one, ThreadPoolExecutor(1) as pool:
        agents.logout(one, first.id, now=NOW, who="cli:ada")

        def other() -> None:
            with session_factory(engine)() as two:
                agents.logout(two, second.id, now=NOW, who="cli:bob")
                two.commit()

        leaving = pool.submit(other)
        with pytest.raises(TimeoutError):  # it waits for the first to be done
            leaving.result(timeout=0.5)
        one.commit()
        leaving.result(timeout=30)
    session.expire_all()
    assert [session.get_one(Agent, agent.id).state for agent in (first, second)] == ["out", "parked"]


def test_nobody_leaves_between_the_look_and_the_order_of_a_tick(
    session: Session, engine: Engine, young: Campaign
) -> None:
    agent, _ = factories.parked_agent(session, young)
    session.commit()
    with session_factory(engine)() as tick, session_factory(engine)() as other, session_factory(engine)() as leaver:
        staying.nobody_goes(tick, young.id)
        staying.nobody_goes(other, young.id)  # a leader that has just taken over waits for nobody
        leaver.execute(text("SET lock_timeout = '300ms'"))
        with pytest.raises(OperationalError):
            agents.logout(leaver, agent.id, now=NOW, who="cli:ada")


def test_the_calls_of_campaigns_that_share_agents_are_counted_together(session: Session, young: Campaign) -> None:
    autumn = factories.campaign(session, name="autumn", mode="predictive")
    shared = [factories.parked_agent(session, young)[0] for _ in range(2)]
    session.add_all(CampaignAgent(campaign_id=autumn.id, agent_id=agent.id) for agent in shared)
    for campaign in (young, autumn):
        factories.attempt(session, campaign, state=CallState.RINGING)
    agents.logout(session, shared[0].id, now=NOW, who="cli:ada")
    assert (shared[0].state, shared[0].wanted) == ("parked", "out")


@pytest.mark.parametrize("calls", [0, 1, 2, 5])
def test_a_campaign_that_pauses_keeps_an_agent_for_each_call_that_rings(
    session: Session, young: Campaign, calls: int
) -> None:
    for _ in range(3):
        factories.parked_agent(session, young)
    for _ in range(calls):
        factories.attempt(session, young, state=CallState.RINGING)
    factories.attempt(session, young, state=CallState.RINGING, mode="agentless")  # needs nobody
    parking.let_go(session, young.id, now=NOW, reason="campaign paused")
    states = session.scalars(select(Agent.state)).all()
    assert states.count("parked") == min(3, calls)
    assert hang_ups(session) == 3 - min(3, calls)
