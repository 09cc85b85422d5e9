"""Agents that campaigns share: seen by each, parked once, given to whoever's customer answers."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import looking, pace_view, parking, sharing
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Assignment, Campaign, CampaignAgent, Command, PaceDecision
from campaigns.sharing import Other
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.pacing import Snapshot
from dialer.pbx.base import CallEvent, Heard, Role
from dialer.settings import TimingSettings
from tests import factories
from tests.fakes import FakePbx


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def two(session: Session) -> tuple[Campaign, Campaign]:
    """A and B, weights 3 and 1, with somebody to call each."""
    made = (factories.campaign(session, weight=3.0), factories.campaign(session, weight=1.0))
    factories.lines(session)
    for campaign in made:
        factories.contact(session, campaign)
    session.commit()
    return made


def also_works_for(session: Session, agent: Agent, campaign: Campaign) -> None:
    session.add(CampaignAgent(campaign_id=campaign.id, agent_id=agent.id))
    session.flush()


def shown(session: Session, of: Campaign) -> Snapshot:
    session.flush()
    now = database_now(session)
    view = pace_view.read(session, of.id, now)
    assert view is not None
    return view.snapshot(now, view.lines([]), Budget(0, 100, 0.03))


def test_ten_shared_agents_are_seen_by_both_and_weighed_three_to_one(
    session: Session, two: tuple[Campaign, Campaign]
) -> None:
    a, b = two
    for n in range(10):
        agent, _ = factories.parked_agent(session, a if n % 2 else b)
        also_works_for(session, agent, b if n % 2 else a)
    mine, theirs = shown(session, a), shown(session, b)
    assert (mine.parked, theirs.parked) == (10, 10)
    assert (mine.share, theirs.share) == (0.75, 0.25)


def test_who_has_nobody_to_call_takes_no_share(session: Session, two: tuple[Campaign, Campaign]) -> None:
    a, b = two
    agent, _ = factories.parked_agent(session, a)
    also_works_for(session, agent, b)
    session.execute(text("UPDATE contacts SET state = 'closed', next_at = NULL WHERE campaign_id = :b"), {"b": b.id})
    assert shown(session, a).share == 1.0


@pytest.mark.parametrize("change", ["state = 'paused'", "state = 'stopped'", "state = 'draft'"])
def test_only_campaigns_that_run_count(session: Session, two: tuple[Campaign, Campaign], change: str) -> None:
    a, b = two
    agent, _ = factories.parked_agent(session, a)
    also_works_for(session, agent, b)
    factories.attempt(session, b, state=CallState.RINGING)
    assert (shown(session, a).share, len(shown(session, a).others_ringing)) == (0.75, 1)
    session.execute(text(f"UPDATE campaigns SET {change} WHERE id = :b"), {"b": b.id})
    assert (shown(session, a).share, shown(session, a).others_ringing) == (1.0, ())


def test_campaigns_without_common_agents_do_not_meet(session: Session, two: tuple[Campaign, Campaign]) -> None:
    a, b = two
    factories.parked_agent(session, a)
    factories.parked_agent(session, b)
    factories.attempt(session, b, state=CallState.RINGING)
    seen = shown(session, a)
    assert (seen.parked, seen.share, seen.others_ringing, seen.others_waiting) == (1, 1.0, (), 0)


def test_the_others_calls_count_by_the_part_of_their_team_that_is_ours(
    session: Session, two: tuple[Campaign, Campaign]
) -> None:
    a, b = two
    agent, _ = factories.parked_agent(session, a)
    also_works_for(session, agent, b)
    for _ in range(3):
        factories.parked_agent(session, b)  # b has four at work, one of them ours
    now = database_now(session)
    for seconds in range(8):
        factories.attempt(session, b, state=CallState.RINGING, ordered_at=now - timedelta(seconds=seconds))
    for _ in range(4):
        factories.attempt(session, b, state=CallState.HELD, answered_at=now)
    seen = shown(session, a)
    assert (len(seen.others_ringing), seen.others_waiting) == (2, 1)
    assert 0 <= min(seen.others_ringing) < 4 <= max(seen.others_ringing) < 8.5, "young ones and old ones"
    assert (seen.waiting, seen.ringing) == (0, ())
    agent.state = "out"
    assert shown(session, a).others_ringing == (), "who is at home answers for nobody"


def test_the_others_calls_are_worth_what_their_pacer_said_last(
    session: Session, two: tuple[Campaign, Campaign]
) -> None:
    a, b = two
    agent, _ = factories.parked_agent(session, a)
    also_works_for(session, agent, b)
    for _ in range(3):
        factories.attempt(session, b, state=CallState.RINGING)
    assert (len(shown(session, a).others_ringing), shown(session, a).others_chances) == (3, ()), "it has said nothing"
    for seconds, said in ((20, {"answer_chance": 0.5}), (10, {"answer_chance": 0.125})):
        at = database_now(session) - timedelta(seconds=seconds)
        session.add(
            PaceDecision(
                campaign_id=b.id, decided_at=at, until_at=at, calls=0, ordered=0, why="", snapshot={}, limits={},
                reckoned=said, fence=1,
            )
        )  # fmt: skip
    assert shown(session, a).others_chances == (0.125,) * 3
    assert shown(session, b).others_chances == ()


def test_an_agent_with_anothers_customer_is_elsewhere_and_on_no_line_of_ours(
    session: Session, two: tuple[Campaign, Campaign]
) -> None:
    a, b = two
    for state, wanted in (("talking", ""), ("assigned", ""), ("talking", "out")):
        agent, leg = factories.parked_agent(session, a, state=state, wanted=wanted)  # parked for a, serves b
        also_works_for(session, agent, b)
        call = factories.attempt(session, b, state=CallState.HELD, answered_at=factories.NOW)
        session.add(Assignment(attempt_id=call.id, agent_id=agent.id, leg_id=leg.id, assigned_at=factories.NOW))
    mine, theirs = shown(session, a), shown(session, b)
    assert (len(mine.elsewhere), mine.talking, mine.leaving) == (2, (), 0)
    assert (len(theirs.talking), theirs.elsewhere, theirs.leaving) == (2, (), 1)
    assert (mine.team, mine.others_waiting) == (2, 0)


def test_an_answered_customer_of_one_gets_an_agent_parked_for_the_other(
    application: Application, session: Session, pbx: FakePbx, two: tuple[Campaign, Campaign]
) -> None:
    a, b = two
    agents = [factories.parked_agent(session, a)[0] for _ in range(10)]
    for agent in agents:
        also_works_for(session, agent, b)
    call = factories.attempt(session, b)
    session.commit()
    for heard, role in (
        (Heard.ANSWERED, Role.CUSTOMER), (Heard.CALLING, Role.RECEPTION), (Heard.ANSWERED, Role.RECEPTION),
    ):  # fmt: skip
        leg_id = "501" if role is Role.CUSTOMER else "502"
        with application.transaction() as writing:
            pbx.say(writing, CallEvent(heard, heard, call.ref, "9001", role, leg_id=leg_id))
        looking.look(application, "main", call.ref, None)
    assert len(pbx.commands("join")) == 1
    assert session.scalars(select(Assignment.attempt_id)).all() == [call.id]
    session.expire_all()
    assert (len(shown(session, a).elsewhere), shown(session, a).parked) == (1, 9)
    assert (len(shown(session, b).talking), shown(session, b).parked) == (1, 9)


# Parking -------------------------------------------------------------------------------------------------


def test_one_agent_is_parked_once_whoever_asks(session: Session, two: tuple[Campaign, Campaign]) -> None:
    a, b = two
    agent = factories.agent(session, a)
    also_works_for(session, agent, b)
    now, timing = database_now(session), TimingSettings()
    assert len(parking.park(session, a, now=now, timing=timing)) == 1
    assert parking.park(session, b, now=now, timing=timing) == []
    assert (shown(session, a).idle, shown(session, b).idle) == (1, 1)


@pytest.mark.parametrize("reason", ["nobody to call", "campaign paused"])
def test_who_the_other_campaign_wants_stays_on_the_line_as_its_own(
    session: Session, two: tuple[Campaign, Campaign], reason: str
) -> None:
    a, b = two
    shared, leg = factories.parked_agent(session, a)
    also_works_for(session, shared, b)
    own, _ = factories.parked_agent(session, a)
    now = database_now(session)
    parking.let_go(session, a.id, now=now, reason=reason)
    assert (shared.state, shared.campaign_id, leg.campaign_id) == ("parked", b.id, b.id)
    assert own.state == "ready"
    assert len(session.scalars(select(Command.id)).all()) == 1
    parking.let_go(session, b.id, now=now, reason="works elsewhere", strangers_only=True)
    assert shared.state == "parked", "and there they are no stranger"


def test_who_works_for_neither_any_more_is_let_off(session: Session, two: tuple[Campaign, Campaign]) -> None:
    a, b = two
    stranger, leg = factories.parked_agent(session, a)
    session.execute(text("DELETE FROM campaign_agents"))
    also_works_for(session, stranger, b)
    now = database_now(session)
    parking.let_go(session, a.id, now=now, reason="works elsewhere", strangers_only=True)
    assert (stranger.state, leg.campaign_id) == ("parked", b.id), "handed over"
    session.execute(text("DELETE FROM campaign_agents"))
    parking.let_go(session, b.id, now=now, reason="works elsewhere", strangers_only=True)
    assert stranger.state == "ready"


def test_nobody_is_kept_on_the_line_for_a_campaign_without_work(
    session: Session, two: tuple[Campaign, Campaign]
) -> None:
    a, b = two
    agent, _ = factories.parked_agent(session, a)
    also_works_for(session, agent, b)
    session.execute(text("UPDATE contacts SET state = 'closed', next_at = NULL"))
    parking.let_go(session, a.id, now=database_now(session), reason="nobody to call")
    assert agent.state == "ready"
    assert session.scalars(select(AgentLeg.campaign_id)).all() == [a.id]


# The arithmetic ------------------------------------------------------------------------------------------


others = st.builds(
    Other,
    id=st.integers(1, 9),
    weight=st.floats(0.01, 100),
    shared=st.integers(0, 20),
    at_work=st.integers(0, 20),
    ringing=st.lists(st.floats(0, 60), max_size=40).map(tuple),
    waiting=st.integers(0, 10),
    due=st.booleans(),
)


@given(st.lists(others, max_size=4))
def test_nothing_is_counted_that_is_not_there_and_all_of_it_where_all_agents_are_ours(found: list[Other]) -> None:
    taken = sharing.ringing(found)
    assert len(taken) <= sum(len(other.ringing) for other in found)
    assert set(taken) <= {elapsed for other in found for elapsed in other.ringing}
    assert sharing.waiting(found) <= sum(other.waiting for other in found)
    whole = [other for other in found if other.at_work and other.shared >= other.at_work]
    assert sorted(sharing.ringing(whole)) == sorted(elapsed for other in whole for elapsed in other.ringing)
    assert sharing.waiting(whole) == sum(other.waiting for other in whole)


@given(st.floats(0.01, 100), st.lists(others, max_size=4))
def test_shares_are_parts_of_a_whole(weight: float, found: list[Other]) -> None:
    mine = sharing.share(weight, found)
    assert 0 < mine <= 1
    due = [other for other in found if other.due]
    assert mine + sum(other.weight for other in due) / (weight + sum(other.weight for other in due)) == pytest.approx(1)
