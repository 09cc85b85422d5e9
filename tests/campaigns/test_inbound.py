"""Agents who also take calls that come in: who is busy with one is not ours, and comes back by presence."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from sqlalchemy.orm import Session

from campaigns import agents, endings, pace_view, parking
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Campaign
from campaigns.pbx_status import poll
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.pacing import Snapshot
from dialer.pbx.base import Pbx, PbxUser, Presence
from dialer.pbx.registry import open_pbx
from dialer.pbx.simulator.chance import LogNormal
from dialer.pbx.simulator.config import AgentConfig, Behaviour, CustomerConfig, WorldConfig
from dialer.pbx.simulator.server import RunningPbx, ServerConfig
from dialer.settings import PbxSettings, TimingSettings
from tests import factories
from tests.waiting import until

NOW = factories.NOW
TALKS = Behaviour(talk=0.6, hangs_up_first=True)
WORLD = WorldConfig(
    customers=CustomerConfig(by_last_digits={"77": TALKS}),
    agents=AgentConfig(
        count=2,
        slow_pick_up=(0.05, 0.1),
        never_picks_up=0.0,
        wrap_up=LogNormal(0.3, 0.1),
        work_mean=None,
        slips_per_hour=0.0,
    ),
)


@pytest.fixture
def simulated() -> Iterator[tuple[RunningPbx, Pbx]]:
    with_pbx = RunningPbx(ServerConfig(port=0, world=WORLD)).start()
    settings = PbxSettings(
        kind="simulator", url=with_pbx.url, token_env="TOKEN", webhook_secret_env="HOOK", reception_ivr=17,
        waiting_ivr=18, abandon_ivr=19,
    )  # fmt: skip
    pbx = open_pbx("main", settings, environ={"TOKEN": "simulator", "HOOK": "w" * 32})
    yield with_pbx, pbx
    pbx.close()
    with_pbx.stop()


def seen(session: Session, campaign: Campaign) -> Snapshot:
    session.commit()
    session.expire_all()
    now = database_now(session)
    view = pace_view.read(session, campaign.id, now)
    assert view is not None
    return view.snapshot(now, view.lines([]), Budget(0, 0, 0.03))


def test_an_agent_in_a_call_that_came_in_is_not_dialled_for_and_comes_back(
    application: Application, session: Session, simulated: tuple[RunningPbx, Pbx]
) -> None:
    running, pbx = simulated
    application.pbxes = {"main": pbx}
    campaign = factories.campaign(session)
    agent = factories.agent(session, campaign, user_id="101", said_by="presence")
    session.commit()
    httpx.post(
        f"{running.address}/_control/incoming",
        json={"number": "390612345677", "called_type": 0, "called_id": 101},
    ).raise_for_status()

    def state() -> str:
        poll(application, "main")
        session.expire_all()
        return session.get_one(Agent, agent.id).state

    assert state() == "paused", "at the first look"
    assert agent.reason in ("PBX shows busy", "PBX shows ringing")
    now_seen = seen(session, campaign)
    assert (now_seen.team, now_seen.free) == (0, 0)
    assert parking.park(session, campaign, now=database_now(session), timing=TimingSettings()) == []
    session.commit()
    # The simulated agents set `absent` for a wrap-up of their own afterwards; they come back all the same.
    until(lambda: state() == "ready")


# One moment at a time ------------------------------------------------------------------------------------


@pytest.fixture
def campaign(session: Session) -> Campaign:
    return factories.campaign(session)


def shown(session: Session, agent: Agent, presence: Presence, *, at: float = 0.0) -> str:
    users = [PbxUser(agent.user_id, agent.name, agent.extension, presence)]
    agents.apply_presence(session, "main", users, now=NOW + timedelta(seconds=at), login_by_presence=True)
    return agent.state


def test_a_wrap_up_that_ends_in_a_call_that_came_in_leads_to_no_parking_call(
    session: Session, campaign: Campaign
) -> None:
    agent = factories.agent(session, campaign, state="wrap_up", until=NOW + timedelta(seconds=30), presence="busy")
    assert shown(session, agent, Presence.BUSY, at=10) == "wrap_up"
    agents.end_wrap_ups(session, NOW + timedelta(seconds=30))
    assert (agent.state, agent.reason) == ("paused", "PBX shows busy")
    assert shown(session, agent, Presence.BUSY, at=60) == "paused"
    assert shown(session, agent, Presence.AVAILABLE, at=62) == "ready"


def test_what_the_pbx_showed_during_our_own_call_does_not_count(session: Session, campaign: Campaign) -> None:
    agent = factories.agent(
        session, campaign, state="wrap_up", until=NOW + timedelta(seconds=30), presence="busy", presence_at=NOW
    )
    agents.end_wrap_ups(session, NOW + timedelta(seconds=30))
    assert agent.state == "ready"


def test_a_phone_that_was_busy_when_it_was_to_be_parked_comes_back_by_presence_after_a_rest(
    session: Session, campaign: Campaign
) -> None:
    agent = factories.agent(session, campaign, state="parking")
    leg = factories.leg(session, campaign, agent, state=CallState.PLACED)
    endings.close_leg(session, leg, CallState.BUSY, now=NOW, reason="phone: busy")
    assert (agent.state, agent.reason) == ("paused", "phone: busy")
    assert shown(session, agent, Presence.AVAILABLE, at=2) == "ready"
    soon = NOW + timedelta(seconds=14)
    assert parking.park(session, campaign, now=soon, timing=TimingSettings()) == [], "not again and again"
    assert len(parking.park(session, campaign, now=NOW + timedelta(seconds=15), timing=TimingSettings())) == 1


def test_a_call_of_ours_on_the_phone_is_never_taken_for_one_that_came_in(session: Session, campaign: Campaign) -> None:
    agent, _ = factories.parked_agent(session, campaign)
    assert shown(session, agent, Presence.BUSY) == "parked"
