from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import agents, parking
from campaigns.models import Agent, AgentLeg, Campaign, CampaignAgent, Command, Ledger
from dialer.calls import CallState
from dialer.errors import BadInput
from dialer.pbx.base import PbxUser, Presence
from dialer.settings import TimingSettings
from tests import factories

NOW = factories.NOW


@pytest.fixture
def running(session: Session) -> Campaign:
    return factories.campaign(session)


def shows(session: Session, agent: Agent, presence: Presence, now: datetime = NOW, *, by_presence: bool = True) -> str:
    users = [PbxUser(agent.user_id, agent.name, agent.extension, presence)]
    agents.apply_presence(session, "main", users, now=now, login_by_presence=by_presence)
    return agent.state


def test_presence_logs_in_the_agents_of_a_running_campaign(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="out")
    assert shows(session, agent, Presence.ABSENT) == "out"
    assert shows(session, agent, Presence.AVAILABLE) == "ready"


def test_presence_logs_in_nobody_when_people_log_in_themselves(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="out")
    assert shows(session, agent, Presence.AVAILABLE, by_presence=False) == "out"


def test_who_logged_out_stays_out_whatever_the_pbx_shows(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running)
    agents.logout(session, agent.id, now=NOW, who="cli:ada")
    assert shows(session, agent, Presence.AVAILABLE) == "out"
    agents.login(session, agent.id, now=NOW, who="cli:ada")
    assert agent.state == "ready"


def test_a_ready_agent_the_pbx_shows_away_is_paused_and_returns_with_them(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running)
    assert shows(session, agent, Presence.DO_NOT_DISTURB) == "paused"
    assert "do_not_disturb" in agent.reason
    assert shows(session, agent, Presence.AVAILABLE) == "ready"


@pytest.mark.parametrize("state", ["parking", "parked", "assigned", "talking"])
def test_presence_which_may_lag_touches_nobody_on_a_call(session: Session, running: Campaign, state: str) -> None:
    agent = factories.agent(session, running, state=state)
    assert shows(session, agent, Presence.ABSENT) == state


def test_wrap_up_ends_with_the_agents_own_sign(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="wrap_up", until=NOW + timedelta(seconds=30))
    assert shows(session, agent, Presence.AVAILABLE) == "wrap_up", "available all along: the limit decides"
    assert shows(session, agent, Presence.ABSENT) == "wrap_up"
    assert shows(session, agent, Presence.AVAILABLE) == "ready"


def test_an_agent_in_wrap_up_is_looked_for_while_the_pbx_may_show_them_back(
    session: Session, running: Campaign
) -> None:
    later = NOW + agents.SHOWN_AWAY_BY
    assert not agents.may_come_back(session, "main", NOW)
    agent = factories.agent(session, running, state="wrap_up", since=NOW, until=NOW + timedelta(minutes=5))
    assert agents.may_come_back(session, "main", later - timedelta(seconds=1))
    assert not agents.may_come_back(session, "main", later), "never shown away: the limit ends it"
    shows(session, agent, Presence.ABSENT)
    assert agents.may_come_back(session, "main", later)
    assert not agents.may_come_back(session, "other", later)
    shows(session, agent, Presence.AVAILABLE)
    assert not agents.may_come_back(session, "main", later)


def test_a_wrap_up_too_short_to_be_seen_is_over_for_who_tells_of_the_others(
    session: Session, running: Campaign
) -> None:
    agent = factories.agent(session, running, state="wrap_up", since=NOW, until=NOW + timedelta(minutes=5))
    tellers: set[int] = set()

    def read(presence: Presence, seconds: float) -> str:
        users = [PbxUser(agent.user_id, agent.name, agent.extension, presence)]
        at = NOW + timedelta(seconds=seconds)
        agents.apply_presence(session, "main", users, now=at, login_by_presence=True, asked_at=at, tellers=tellers)
        return agent.state

    assert read(Presence.AVAILABLE, 9) == "wrap_up", "may be somebody who tells of none: the limit decides"
    assert read(Presence.ABSENT, 10) == "wrap_up"
    assert read(Presence.AVAILABLE, 20) == "ready"
    assert tellers == {agent.id}
    agents.move(session, agent, "wrap_up", now=NOW + timedelta(seconds=100), who="dialer")
    assert read(Presence.AVAILABLE, 104) == "wrap_up", "there is time to say so"
    assert read(Presence.AVAILABLE, 105) == "ready"
    agents.move(session, agent, "wrap_up", now=NOW + timedelta(seconds=200), who="dialer")
    assert [read(Presence.ABSENT, 204), read(Presence.ABSENT, 209)] == ["wrap_up", "wrap_up"]


def test_wrap_up_ends_at_its_limit(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="wrap_up", until=NOW + timedelta(seconds=30))
    assert agents.end_wrap_ups(session, NOW + timedelta(seconds=29)) == 0
    assert agents.end_wrap_ups(session, NOW + timedelta(seconds=30)) == 1
    assert agent.state == "ready"


def test_who_hung_up_while_parked_returns_by_a_sign_of_life(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="parked")
    agents.lose_leg(session, agent, now=NOW, reason="hung up while parked", by_agent=True)
    assert shows(session, agent, Presence.AVAILABLE) == "paused"
    assert shows(session, agent, Presence.BUSY) == "paused", "our own call, still shown"
    assert shows(session, agent, Presence.AVAILABLE) == "paused"
    assert shows(session, agent, Presence.ABSENT) == "paused"
    assert shows(session, agent, Presence.AVAILABLE) == "ready"


def test_a_pause_waits_for_the_customer_on_the_line(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="talking")
    agents.pause(session, agent.id, reason="lunch", now=NOW, who="cli:ada")
    assert agent.state == "talking"
    agents.leave_customer(session, agent, now=NOW, wrap_up_limit=30)
    assert (agent.state, agent.reason) == ("paused", "lunch")
    assert shows(session, agent, Presence.AVAILABLE) == "paused", "a person said so; only a person takes it back"


def test_a_pause_takes_a_parked_agent_off_the_line(session: Session, running: Campaign) -> None:
    agent, leg = factories.parked_agent(session, running)
    agents.pause(session, agent.id, reason="lunch", now=NOW, who="cli:ada")
    assert agent.state == "paused"
    assert session.scalars(select(Command.ref).where(Command.kind == "hang_up")).all() == [leg.ref]


def test_a_pause_without_a_reason_is_refused(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running)
    with pytest.raises(BadInput, match="reason"):
        agents.pause(session, agent.id, reason=" ", now=NOW, who="cli:ada")


def test_every_change_of_state_is_in_the_ledger(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running, state="out")
    agents.login(session, agent.id, now=NOW, who="cli:ada")
    agents.pause(session, agent.id, reason="lunch", now=NOW + timedelta(seconds=60), who="cli:ada")
    session.flush()
    rows = session.scalars(select(Ledger).where(Ledger.kind == "agent").order_by(Ledger.id)).all()
    assert [(row.details["from"], row.details["to"], row.why) for row in rows] == [
        ("out", "ready", ""),
        ("ready", "paused", "lunch"),
    ]
    assert rows[1].details["seconds"] == 60


def test_ready_agents_are_parked_once(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running)
    factories.agent(session, running, state="paused")
    factories.agent(session, running, not_before=NOW + timedelta(seconds=1))
    refs = parking.park(session, running, now=NOW, timing=TimingSettings())
    assert parking.park(session, running, now=NOW, timing=TimingSettings()) == []
    assert refs == list(session.scalars(select(AgentLeg.ref)))
    assert (agent.state, agent.campaign_id) == ("parking", running.id)


def test_parked_agents_are_let_off_the_line(session: Session, running: Campaign) -> None:
    agent, leg = factories.parked_agent(session, running)
    talking = factories.agent(session, running, state="talking")
    commands = parking.let_go(session, running.id, now=NOW, reason="campaign paused")
    assert session.scalars(select(Command.id)).all() == commands
    assert (agent.state, talking.state) == ("ready", "talking")
    assert parking.park(session, running, now=NOW, timing=TimingSettings()) == [], "the old call is not over yet"
    leg.state, leg.ended_at = CallState.COMPLETED, NOW
    session.flush()
    assert len(parking.park(session, running, now=NOW, timing=TimingSettings())) == 1


def test_nobody_stays_at_work_for_a_campaign_that_is_over(session: Session, running: Campaign) -> None:
    by_presence = factories.agent(session, running, said_by="presence")
    by_word = factories.agent(session, running, said_by="person")
    assert agents.send_home(session, now=NOW) == 0
    running.state = "stopped"
    session.flush()
    assert agents.send_home(session, now=NOW) == 1
    assert (by_presence.state, by_word.state) == ("out", "ready")


def test_two_campaigns_may_share_an_agent_who_is_parked_for_one(session: Session, running: Campaign) -> None:
    agent = factories.agent(session, running)
    other = factories.campaign(session)
    session.add(CampaignAgent(campaign_id=other.id, agent_id=agent.id))
    session.flush()
    assert len(parking.park(session, running, now=NOW, timing=TimingSettings())) == 1
    assert parking.park(session, other, now=NOW, timing=TimingSettings()) == []
