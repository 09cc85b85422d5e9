"""Leaders, their leases, and what one tick does."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import rounds
from campaigns.application import Application
from campaigns.deciding import Pacing
from campaigns.gate import Claim
from campaigns.models import Agent, AgentLeg, Attempt, Campaign, Command, PaceDecision
from campaigns.pbx_status import note_trouble
from dialer.calls import CallState
from dialer.errors import PbxUnavailable
from dialer.pbx.base import PbxUser, Presence
from tests import factories
from tests.fakes import FakePbx
from workers.outliving import outlive
from workers.scheduler import Scheduler


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, mode="progressive")
    factories.lines(session)
    session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp()"))
    session.commit()
    return made


def leading(application: Application, holder: str = "one") -> Scheduler:
    made = Scheduler(application, holder)
    made.renew()
    return made


def tick(scheduler: Scheduler, campaign: Campaign) -> None:
    scheduler._tick(campaign.id)


def run_out(session: Session) -> None:
    session.execute(text("UPDATE leases SET expires_at = clock_timestamp() - interval '1 s'"))
    session.commit()


def test_one_leads_and_the_other_stands_by_until_the_lease_runs_out(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    first, second = leading(application, "one"), leading(application, "two")
    assert (list(first.leading.claims), list(second.leading.claims)) == ([running.id], [])
    run_out(session)
    second.renew()
    assert second.leading.claims[running.id].fence == first.leading.claims[running.id].fence + 1
    first.renew()
    assert first.leading.claims == {}


def campaigns(session: Session, count: int) -> list[int]:
    made = [factories.campaign(session, name=f"campaign {number}").id for number in range(count)]
    session.commit()
    return made


def led(*schedulers: Scheduler) -> list[list[int]]:
    return [sorted(one.leading.claims) for one in schedulers]


def test_schedulers_share_the_campaigns_out(application: Application, session: Session, pbx: FakePbx) -> None:
    ids = campaigns(session, 5)
    first = leading(application, "one")
    assert led(first) == [ids]
    second = leading(application, "two")
    assert led(first, second) == [ids, []], "nothing is taken from who leads"
    first.renew()
    assert led(first, second) == [ids[:3], []], "it is left to who has come"
    second.renew()
    assert led(first, second) == [ids[:3], ids[3:]]
    assert {second.leading.claims[one].fence for one in ids[3:]} == {2}, "under a fence of its own"
    third = leading(application, "three")
    for _ in range(2):
        for one in (first, second, third):
            one.renew()
            every = [campaign for claims in led(first, second, third) for campaign in claims]
            assert len(every) == len(set(every)), "nobody leads what another leads"
    assert led(first, second, third) == [ids[:2], ids[3:], [ids[2]]]
    for one in (first, second, third):
        one.renew()
    assert led(first, second, third) == [ids[:2], ids[3:], [ids[2]]], "and nothing changes hands any more"


def test_who_goes_leaves_all_to_the_others(application: Application, session: Session, pbx: FakePbx) -> None:
    ids = campaigns(session, 4)
    first, second = leading(application, "one"), leading(application, "two")
    first.renew()
    second.renew()
    assert led(first, second) == [ids[:2], ids[2:]]
    first.leading.release()
    second.renew()
    assert led(second) == [ids]
    assert session.scalars(text("SELECT name FROM leases WHERE name LIKE 'present:%' ORDER BY name")).all() == [
        "present:one",
        "present:two",
    ]
    session.execute(text("UPDATE leases SET expires_at = expires_at - interval '1 hour' WHERE holder = 'one'"))
    session.commit()
    second.renew()
    assert session.scalars(text("SELECT name FROM leases WHERE name LIKE 'present:%'")).all() == ["present:two"]


def test_what_was_given_back_can_be_ordered_for_no_more(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """The scheduler that gave it back does not tick it; with the claim it had, the gate refuses it."""
    before = factories.campaign(session, name="before")
    session.execute(text("UPDATE campaigns SET id = 0 WHERE id = :id"), {"id": before.id})
    session.commit()
    factories.parked_agent(session, running)
    factories.contact(session, running)
    session.commit()
    first = leading(application, "one")
    old = first.leading.claims[running.id]
    second = leading(application, "two")
    first.renew()
    assert led(first) == [[0]]
    first.leading.claims[running.id] = old
    first._tick(running.id)
    assert session.scalars(select(Attempt)).all() == []
    assert running.id not in first.leading.claims
    second.renew()
    second._tick(running.id)
    assert len(session.scalars(select(Attempt)).all()) == 1, "whoever has it now orders"


def test_a_scheduler_that_was_asleep_orders_nothing_under_its_old_claim(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.parked_agent(session, running)
    factories.contact(session, running)
    session.commit()
    asleep = leading(application, "one")
    run_out(session)
    leading(application, "two")
    tick(asleep, running)
    assert session.scalars(select(Attempt.id)).all() == []
    assert asleep.leading.claims == {}, "and it knows now"


def test_a_scheduler_that_could_not_renew_is_not_confident(application: Application, pbx: FakePbx) -> None:
    scheduler = leading(application)
    assert scheduler.leading.confident
    application.clock.sleep(application.settings.timing.lease)
    assert not scheduler.leading.confident


def test_a_tick_calls_one_contact_for_each_parked_agent(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    for _ in range(2):
        factories.parked_agent(session, running)
    for _ in range(5):
        factories.contact(session, running)
    session.commit()
    scheduler = leading(application)
    tick(scheduler, running)
    tick(scheduler, running)
    assert len(session.scalars(select(Attempt.id)).all()) == 2
    decisions = session.scalars(select(PaceDecision).order_by(PaceDecision.id)).all()
    assert [(decision.calls, decision.ordered) for decision in decisions] == [(2, 2), (0, 0)]
    assert "2 agents free" in decisions[0].why
    assert decisions[0].snapshot["parked"] == 2


def test_equal_decisions_in_a_row_are_one_row(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    scheduler = leading(application)
    for _ in range(5):
        tick(scheduler, running)
    decision = session.scalars(select(PaceDecision)).one()
    assert (decision.calls, decision.why) == (0, "0: no contact is due")


def test_ready_agents_are_parked_when_there_is_somebody_to_call(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.agent(session, running)
    session.commit()
    scheduler = leading(application)
    tick(scheduler, running)
    assert session.scalars(select(AgentLeg.id)).all() == [], "nobody to call: nobody is rung"
    factories.contact(session, running)
    session.commit()
    tick(scheduler, running)
    assert session.scalars(select(AgentLeg.state)).all() == [CallState.ORDERED]


def test_an_agent_being_parked_is_dialled_for_in_the_same_tick(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.agent(session, running)
    factories.contact(session, running)
    session.commit()
    tick(leading(application), running)
    decision = session.scalars(select(PaceDecision)).one()
    assert (decision.ordered, decision.snapshot["idle"], decision.snapshot["parked"]) == (1, 1, 0)


def test_between_two_polls_the_agents_are_read_only_for_somebody_in_wrap_up(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent = factories.agent(session, running, state="wrap_up", since=factories.NOW, presence_left=True)
    pbx.people = [PbxUser(agent.user_id, agent.name, agent.extension, Presence.AVAILABLE)]
    session.commit()
    scheduler = leading(application)
    pbx.lists_read.clear()
    scheduler.chores.look_at_people("main")
    assert pbx.lists_read == ["gateways", "users"], "a poll was due"
    session.expire_all()
    assert agent.state == "ready"
    scheduler.chores.look_at_people("main")
    assert pbx.lists_read == ["gateways", "users"], "nobody is in wrap-up"
    session.execute(text("UPDATE agents SET state = 'wrap_up', presence_left = true"))
    session.commit()
    scheduler.chores.look_at_people("main")
    assert pbx.lists_read == ["gateways", "users", "users"]
    session.expire_all()
    assert agent.state == "ready"
    application.clock.sleep(application.settings.timing.presence_poll)
    scheduler.chores.look_at_people("main")
    assert pbx.lists_read[3:] == ["gateways", "users"]


def test_a_pbx_that_could_not_be_read_is_not_asked_more_often(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.agent(session, running, state="wrap_up", since=factories.NOW, presence_left=True)
    session.commit()
    scheduler = leading(application)
    pbx.answers["users"] = PbxUnavailable("main", "no answer")
    scheduler.chores.look_at_people("main")
    scheduler.chores.look_at_people("main")
    assert pbx.lists_read == ["gateways", "users"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ("UPDATE pbx_status SET read_at = clock_timestamp() - interval '61 s'", "last said"),
        ("UPDATE pbx_status SET read_at = NULL", "not said yet"),
        (
            "INSERT INTO logged_events (pbx, method, query, received_at) "
            "VALUES ('main', 'GET', '', clock_timestamp() - interval '11 s')",
            "not handled yet",
        ),
    ],
)
def test_what_is_not_known_is_not_dialled_on(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, change: str, reason: str
) -> None:
    factories.parked_agent(session, running)
    factories.contact(session, running)
    session.execute(text(change))
    session.commit()
    tick(leading(application), running)
    assert session.scalars(select(Attempt.id)).all() == []
    assert reason in session.scalars(select(PaceDecision.why)).one()


def test_a_pbx_in_trouble_is_left_alone_and_the_reason_is_shown(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.parked_agent(session, running)
    factories.contact(session, running)
    session.commit()
    note_trouble(application, "main", "answered HTML")
    tick(leading(application), running)
    assert session.scalars(select(Attempt.id)).all() == []
    assert "answered HTML" in session.scalars(select(PaceDecision.why)).one()


def test_orders_without_a_reply_stop_the_next_ones(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    for _ in range(3):
        factories.parked_agent(session, running)
        factories.attempt(session, running, state=CallState.UNKNOWN)
    factories.contact(session, running)
    session.commit()
    tick(leading(application), running)
    assert "no reply" in session.scalars(select(PaceDecision.why)).one()


def test_a_stopped_campaign_lets_its_agents_off_the_line(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, leg = factories.parked_agent(session, running)
    running.state = "stopped"
    session.execute(text("UPDATE campaigns SET state = 'stopped', state_at = clock_timestamp() - interval '1 min'"))
    session.commit()
    tick(leading(application), running)
    session.expire_all()
    command = session.scalars(select(Command)).one()
    assert (command.kind, command.ref, command.state) == ("hang_up", leg.ref, "due")
    assert pbx.sent == [], "a slow PBX must not hold up the ticks: the second look sends it"
    assert session.get_one(Agent, agent.id).state == "ready"


def test_a_step_that_fails_does_not_end_the_scheduler(application: Application, pbx: FakePbx) -> None:
    scheduler = leading(application)
    outlive("nonsense", lambda: 1 / 0)
    scheduler.renew()
    assert scheduler.leading.confident


def test_who_works_for_the_campaign_no_more_is_let_off_the_line(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent, _ = factories.parked_agent(session, running)
    stays, _ = factories.parked_agent(session, running)
    session.execute(text("DELETE FROM campaign_agents WHERE agent_id = :id"), {"id": agent.id})
    session.commit()
    tick(leading(application), running)
    session.expire_all()
    assert (agent.state, stays.state) == ("ready", "parked")


def rounds_of(scheduler: Scheduler, monkeypatch: pytest.MonkeyPatch) -> tuple[list[int], list[int]]:
    """Note which campaigns are looked at, and which are ticked."""
    looked: list[int] = []
    ticked: list[int] = []
    look, tick = rounds.look, scheduler._tick

    def note_look(application: Application, led: list[tuple[Pacing, Claim]]) -> list[int]:
        looked.extend(pacing.campaign_id for pacing, _ in led)
        return look(application, led)

    def note_tick(campaign_id: int) -> None:
        ticked.append(campaign_id)
        tick(campaign_id)

    monkeypatch.setattr(rounds, "look", note_look)
    monkeypatch.setattr(scheduler, "_tick", note_tick)
    return looked, ticked


def test_a_round_ticks_only_whom_there_is_something_to_do_for(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle, *_ = campaigns(session, 3)
    scheduler = leading(application)
    looked, ticked = rounds_of(scheduler, monkeypatch)
    scheduler.round()
    assert sorted(ticked) == sorted(scheduler.leading.claims), "a new leader learns in a tick of each"
    factories.parked_agent(session, running)
    factories.contact(session, running)
    session.commit()
    looked.clear()
    ticked.clear()
    scheduler.round()
    assert sorted(looked) == sorted(scheduler.leading.claims)
    assert idle in looked
    assert ticked == [running.id]
    assert scheduler.ticks == len(scheduler.late) == 8
    assert len(session.scalars(select(Attempt)).all()) == 1


def test_who_orders_in_every_round_is_not_looked_at_first_until_one_orders_nothing(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = leading(application)
    looked, ticked = rounds_of(scheduler, monkeypatch)
    for orders in (True, True, True, False, False):
        if orders:
            factories.parked_agent(session, running)
            factories.contact(session, running)
            session.commit()
        scheduler.round()
    assert len(session.scalars(select(Attempt)).all()) == 3
    assert looked == [running.id] * 3, "at the first, the second, and the last"
    assert ticked == [running.id] * 4


def test_when_campaigns_cannot_be_looked_at_together_each_is_ticked_by_itself(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    factories.parked_agent(session, running)
    factories.contact(session, running)
    session.commit()
    other = campaigns(session, 1)
    scheduler = leading(application)
    _, ticked = rounds_of(scheduler, monkeypatch)

    def fails(*_: object) -> list[int]:
        raise RuntimeError("one of them cannot be read")

    monkeypatch.setattr(rounds, "look", fails)
    scheduler.round()
    assert sorted(ticked) == sorted([running.id, *other])
    assert len(session.scalars(select(Attempt)).all()) == 1


def test_a_campaign_that_always_fails_harms_no_other(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its rule pack is of a newer release: it fails the first look, and is looked at with the others no more."""
    (other,) = campaigns(session, 1)
    scheduler = leading(application)
    scheduler.round()
    session.execute(text("UPDATE campaigns SET rule_pack = 'us-2099' WHERE id = :id"), {"id": other})
    session.commit()
    for pacing in scheduler._pacing.values():
        assert pacing.counted_at is not None
        pacing.counted_at -= timedelta(minutes=1)
    looked, ticked = rounds_of(scheduler, monkeypatch)
    for _ in range(3):
        scheduler.round()
    assert looked == [*looked[:2], running.id, running.id]
    assert sorted(ticked) == sorted([running.id, other, other, other])
    session.execute(text("UPDATE campaigns SET rule_pack = 'it-2026' WHERE id = :id"), {"id": other})
    session.commit()
    scheduler.round()
    scheduler.round()
    assert looked[-2:] == list(scheduler.leading.claims), "well again, and looked at with the others"


def test_nothing_is_looked_at_under_leases_that_were_not_renewed_for_too_long(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    scheduler = leading(application)
    looked, ticked = rounds_of(scheduler, monkeypatch)
    application.clock.sleep(application.settings.timing.lease)
    scheduler.round()
    assert looked == ticked == []
