"""Health of PBXs, standbys, and agents with a phone on two."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import agents, pbx_health, pbx_status, phones, pools, pools_view, roster, why
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Assignment, Command, Ledger, PbxStatus
from dialer.calls import CallState
from dialer.errors import BadInput, PbxUnavailable, TryAgainLater
from dialer.pbx.base import Gateway, PbxUser, Presence
from dialer.settings import TimingSettings
from tests import factories
from tests.campaigns.test_several_pbxes import House

TIMING = TimingSettings()


@pytest.fixture
def house(application: Application, session: Session) -> House:
    return House(application, session)


def user(user_id: str) -> PbxUser:
    return PbxUser(id=user_id, name=f"User {user_id}", extension=f"2{user_id}", presence=Presence.AVAILABLE)


def is_out(house: House, pbx: str, seconds: float = 20.0) -> None:
    """It was seen to be out, so long ago."""
    now = database_now(house.session)
    pbx_health.note(house.session, pbx, "it is away", now=now - timedelta(seconds=seconds), timing=TIMING)
    house.session.commit()


def is_well(house: House, pbx: str, seconds: float = 0.0) -> None:
    """A good read, and another when so long has passed."""
    now = database_now(house.session)
    pbx_health.note(house.session, pbx, "", now=now, timing=TIMING)
    if seconds:
        earlier = "UPDATE pbx_status SET out_since = out_since - make_interval(secs => :s), "
        earlier += "back_since = back_since - make_interval(secs => :s) WHERE pbx = :pbx"
        house.session.execute(text(earlier), {"s": seconds, "pbx": pbx})
        pbx_health.note(house.session, pbx, "", now=now, timing=TIMING)
    house.session.commit()


def with_second_phone(house: House, **values: object) -> Agent:
    made = house.agent("main", **values)
    now = database_now(house.session)
    phones.add(house.session, made, "second", user(f"s{made.id}"), who="cli:anna", now=now)
    house.session.commit()
    return made


def follow(house: House) -> int:
    house.session.commit()
    moved = phones.follow(house.application)
    house.session.expire_all()
    return moved


# Health ---------------------------------------------------------------------------------------------------


def test_a_pbx_that_is_out_gets_no_order_and_its_share_goes_to_the_other(house: House) -> None:
    house.contacts(6)
    house.agent("main")
    house.agent("second")
    is_out(house, "second")
    house.tick()
    assert house.ordered() == {"main": 1}
    assert "out of use (it is away): its share goes to main" in house.why("second")
    assert any("it is away" in told for told in why.holding(house.session, house.campaign, now=factories.NOW))


def test_since_when_a_pbx_is_out_and_who_may_still_talk_there_is_said_with_the_remedy(house: House) -> None:
    house.agent("second", user_id="7", state="talking")
    house.agent("second", user_id="8", state="ready")
    house.agent("main", user_id="9", state="talking")
    is_out(house, "second")
    since = house.session.get_one(PbxStatus, "second").out_since
    assert since is not None
    told = why.holding(house.session, house.campaign, now=factories.NOW)
    assert any(f"PBX second is out of use since {since:%H:%M:%S} UTC: it is away" in one for one in told), told
    assert [one for one in told if "agent ready" in one] == [
        "7 may still be talking on PBX second: whose line is dead says so, `dialer agent ready 7 --pbx second`"
    ]
    part = pools_view.parts(house.session, [house.campaign.id], factories.NOW)[house.campaign.id][1]
    assert part.in_words() == f"out of use since {since:%H:%M:%S} UTC: it is away"


def test_a_hiccup_is_no_outage_and_one_that_lasted_is_watched_before_it_is_over(house: House) -> None:
    is_out(house, "second", seconds=2.0)
    is_well(house, "second")
    assert pbx_health.outages(house.session, ["second"])["second"].since is None
    is_out(house, "second")
    is_well(house, "second")
    now = database_now(house.session)
    kept = pbx_health.outages(house.session, ["second"])["second"]
    times = {"after": TIMING.failover_after, "back_for": TIMING.failback_after}
    assert kept.lasts(now, **times), "back this instant"
    assert not kept.lasts(now + timedelta(seconds=31), **times)
    pbx_health.note(house.session, "second", "away again", now=now + timedelta(seconds=10), timing=TIMING)
    assert pbx_health.outages(house.session, ["second"])["second"].back is None
    later = now + timedelta(seconds=60)
    for at in (later, later + timedelta(seconds=31)):
        pbx_health.note(house.session, "second", "", now=at, timing=TIMING)
    assert pbx_health.outages(house.session, ["second"])["second"].since is None


def test_unreachable_without_a_line_and_refusing_are_each_seen_by_the_poll(house: House) -> None:
    session, pbx = house.session, house.pbx["second"]

    def polled() -> str:
        session.commit()
        pbx_status.poll(house.application, "second")
        session.expire_all()
        return pbx_health.outages(session, ["second"])["second"].why

    session.execute(text("UPDATE pbx_status SET read_at = NULL"))
    assert polled() == ""
    pbx.answers["gateways"] = PbxUnavailable("second", "connection refused")
    assert "connection refused" in polled()
    del pbx.answers["gateways"]
    assert polled() == "", "a hiccup"
    pbx.lines = [Gateway("4", "trunk", True, False, 30, 0)]
    assert polled() == "no gateway of it is enabled and registered"
    pbx.lines = [Gateway("4", "trunk", True, True, 30, 0)]
    assert polled() == ""
    now = database_now(session)
    for _ in range(5):
        factories.attempt(session, house.campaign, pbx="second", state=CallState.REFUSED, ordered_at=now, sent_at=now)
    assert polled() == "it refused the last 5 orders"
    factories.attempt(
        session, house.campaign, pbx="second", state=CallState.BUSY, ordered_at=now + timedelta(seconds=1)
    )
    assert polled() == ""


def test_a_standby_is_called_on_only_while_one_of_the_pool_is_out(house: House) -> None:
    now = database_now(house.session)
    pools.add(house.session, house.campaign, "second", standby=True, who="cli:anna", now=now)
    house.contacts(9)
    house.agent("main")
    house.agent("second")
    house.tick()
    assert house.ordered() == {"main": 1}
    assert "stands by" in house.why("second")
    is_out(house, "main")
    house.tick()
    assert house.ordered() == {"main": 1, "second": 1}


def test_the_contact_of_a_call_on_a_lost_pbx_is_called_nowhere_else(house: House) -> None:
    """I3: nobody knows whether that phone rings."""
    lost = factories.contact(house.session, house.campaign, state="live", next_at=None)
    factories.attempt(house.session, house.campaign, contact=lost, pbx="main", state=CallState.UNKNOWN)
    twin = factories.contact(house.session, house.campaign, phone=lost.phone)
    house.agent("second")
    is_out(house, "main")
    for _ in range(3):
        house.tick()
    assert house.ordered() == {"main": 1}
    assert (lost.state, twin.state) == ("live", "open")


# Second phones --------------------------------------------------------------------------------------------


def test_agents_move_to_their_other_phone_and_back_when_their_own_pbx_has_been_well(house: House) -> None:
    agent = with_second_phone(house)
    first, ident = agent.user_id, agent.id
    leg = house.session.scalars(select(AgentLeg)).one()
    assert follow(house) == 0
    is_out(house, "main")
    assert follow(house) == 1
    assert (agent.pbx, agent.user_id, agent.home_pbx, agent.state) == ("second", f"s{ident}", "main", "ready")
    assert (leg.state, leg.ended_at is not None) == (CallState.LOST, True)
    spare = house.session.scalars(select(Agent).where(Agent.spare_of == ident)).one()
    assert (spare.pbx, spare.user_id) == ("main", first)
    house.contacts(3)
    house.tick()
    parked = house.session.scalars(select(AgentLeg).where(AgentLeg.ended_at.is_(None))).one()
    assert (parked.pbx, agent.state) == ("second", "parking")
    is_well(house, "main")
    assert follow(house) == 0, "not at once"
    is_well(house, "main", seconds=31)
    house.session.execute(text("UPDATE contacts SET state = 'closed', next_at = NULL WHERE state = 'open'"))
    house.session.execute(text("UPDATE attempts SET state = 'busy', ended_at = now() WHERE ended_at IS NULL"))
    assert follow(house) == 1
    assert (agent.pbx, agent.user_id, agent.home_pbx) == ("main", first, None)
    moves = house.session.scalars(select(Ledger).where(Ledger.kind == "phone").order_by(Ledger.id)).all()
    assert [row.details["verb"] for row in moves] == ["add", "move", "move"]


def test_the_parking_call_left_behind_is_ended_when_the_pbx_is_back(house: House) -> None:
    with_second_phone(house)
    is_out(house, "main")
    follow(house)
    house.session.execute(text("UPDATE commands SET state = 'not_sent', due_at = due_at - interval '1 minute'"))
    assert house.session.scalars(select(Command.id).where(Command.state == "due")).all() == []
    follow(house)
    assert house.session.scalars(select(Command.id).where(Command.state == "due")).all() == [], "it is still away"
    is_well(house, "main")
    follow(house)
    follow(house)
    assert [one.kind for one in house.session.scalars(select(Command).where(Command.state == "due"))] == ["hang_up"]


def test_nobody_is_moved_out_of_a_call_and_who_says_they_are_free_is(house: House) -> None:
    agent = with_second_phone(house, state="talking")
    leg = house.session.scalars(select(AgentLeg)).one()
    now = database_now(house.session)
    attempt = factories.attempt(
        house.session, house.campaign, state=CallState.JOINED, answered_at=now, joined_at=now, agent_id=agent.id
    )
    made = Assignment(attempt_id=attempt.id, agent_id=agent.id, leg_id=leg.id, assigned_at=now, joined_at=now)
    house.session.add(made)
    house.session.commit()
    assert not phones.free_by_word(house.session, agent.id, timing=TIMING, now=now), "their PBX is well"
    is_out(house, "main")
    assert follow(house) == 0
    assert (agent.pbx, agent.state) == ("main", "talking")
    assert phones.free_by_word(house.session, agent.id, timing=TIMING, now=now)
    assert follow(house) == 1
    assert (agent.pbx, agent.state, made.result) == ("second", "ready", "pbx out of use")
    assert (attempt.state, attempt.ended_at) == (CallState.JOINED, None), "what became of it is asked later"


def test_nobody_goes_back_while_a_call_rings_for_them(house: House) -> None:
    agent = with_second_phone(house)
    is_out(house, "main")
    follow(house)
    agent.state = "parked"
    ringing = factories.attempt(house.session, house.campaign, pbx="second", state=CallState.RINGING)
    is_well(house, "main")
    is_well(house, "main", seconds=31)
    assert follow(house) == 0
    ringing.state, ringing.ended_at = "busy", database_now(house.session)
    assert follow(house) == 1
    assert agent.pbx == "main"


def test_who_has_nowhere_to_go_stays(house: House) -> None:
    agent = with_second_phone(house)
    is_out(house, "main")
    is_out(house, "second")
    assert follow(house) == 0
    is_well(house, "second", seconds=31)
    pools.remove(house.session, house.campaign, "second", who="cli:anna", now=factories.NOW)
    assert follow(house) == 0, "no campaign of theirs calls from there"
    assert agent.pbx == "main"


def test_a_second_phone_is_no_agent_of_its_own(house: House) -> None:
    session, now = house.session, factories.NOW
    agent = with_second_phone(house)
    other = f"s{agent.id}"
    roster.assign(
        session, house.campaign, roster.parse("all"), [user(agent.user_id)],
        others={"second": [user(other), user("9")]},
        now=now, who="cli:anna",
    )  # fmt: skip
    assert {one.user_id for one in roster.members(session, house.campaign)} == {agent.user_id, "9"}
    assert roster.find_agent(session, other) is agent
    assert [one.id for one, _ in roster.listing(session, house.campaign)].count(agent.id) == 1
    agents.apply_presence(session, "second", [user(other), user("9")], now=now, login_by_presence=True)
    spare = session.scalars(select(Agent).where(Agent.spare_of == agent.id)).one()
    assert (spare.state, spare.presence) == ("out", "available")
    is_out(house, "main")
    follow(house)
    for name, users in (("main", [user(spare.user_id)]), ("second", [user(other), user("9")])):
        assert roster.refresh_groups(session, name, users) == [], "moved, they are who they were"


def test_a_phone_is_given_and_taken_with_a_clear_word(house: House) -> None:
    session, now = house.session, factories.NOW
    agent = with_second_phone(house)
    taken = house.agent("second")
    with pytest.raises(BadInput, match="has a phone on PBX second already"):
        phones.add(session, agent, "second", user("77"), who="cli:anna", now=now)
    somebody = house.agent("main")
    with pytest.raises(TryAgainLater, match="at work as an agent of their own"):
        phones.add(session, somebody, "second", user(taken.user_id), who="cli:anna", now=now)
    with pytest.raises(BadInput, match="another agent with two"):
        phones.add(session, somebody, "second", user(f"s{agent.id}"), who="cli:anna", now=now)
    session.execute(text("UPDATE agent_legs SET ended_at = now(), state = 'completed'"))
    taken.state = "out"
    phones.add(session, somebody, "second", user(taken.user_id), who="cli:anna", now=now)
    assert taken not in roster.members(session, house.campaign)
    phones.remove(session, somebody, "second", who="cli:anna", now=now)
    assert taken.spare_of is None
    with pytest.raises(BadInput, match="works on it now"):
        phones.remove(session, agent, "main", who="cli:anna", now=now)


def test_a_campaign_of_one_pbx_is_not_held_by_an_outage_that_is_over(
    application: Application, session: Session
) -> None:
    house = House(application, session)
    pools.remove(session, house.campaign, "second", who="cli:anna", now=factories.NOW)
    session.execute(text("DELETE FROM campaign_pbxes"))
    house.contacts(3)
    house.agent("main")
    is_out(house, "main")
    is_well(house, "main")
    assert not [one for one in why.holding(session, house.campaign, now=factories.NOW) if "PBX" in one]
    house.tick()
    assert house.ordered() == {"main": 1}, "as ever: a good read is enough"
