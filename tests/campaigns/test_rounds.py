"""A look at many campaigns leaves none alone for whom a tick would do something, and costs what it costs of one."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import budgets, ordering, pace_calls, pace_view, rounds
from campaigns.application import Application
from campaigns.budgets import Asked
from campaigns.db import database_now
from campaigns.deciding import Pacing
from campaigns.gate import Claim
from campaigns.models import (
    Agent,
    AgentLeg,
    Attempt,
    Campaign,
    Command,
    Ledger,
    Offer,
    PaceDecision,
)
from dialer.calls import CallState
from tests import factories
from tests.fakes import FakePbx
from tests.statements import statements

AGO = timedelta(minutes=2)


@pytest.fixture
def running(application: Application, session: Session) -> Campaign:
    """A campaign that runs, whose PBX was read just now."""
    application.pbxes = {"main": FakePbx()}
    made = factories.campaign(session)
    factories.lines(session, free=200)
    session.execute(text("UPDATE pbx_status SET read_at = clock_timestamp() + interval '20 s'"))
    factories.lease(session, made)
    session.commit()
    return made


def claim(of: Campaign) -> Claim:
    return Claim(f"campaign:{of.id}", "test", 1)


def led(application: Application, of: Campaign) -> Pacing:
    """What its leader keeps after a first tick."""
    pacing = Pacing(of.id)
    ordering.tick(application, pacing, claim(of))
    return pacing


def after(
    application: Application, session: Session, of: Campaign, arises: Callable[[Session, Campaign], None]
) -> Pacing:
    """What its leader keeps when something arises between two ticks."""
    pacing = led(application, of)
    session.refresh(of)
    arises(session, of)
    session.commit()
    return pacing


def done(session: Session) -> tuple[object, ...]:
    """Everything a tick may do but to write its decision down."""
    session.rollback()
    counts = [session.scalar(select(func.count()).select_from(table)) for table in (Attempt, AgentLeg, Command, Offer)]
    states = session.execute(select(Agent.id, Agent.state, Agent.reserved_for, Agent.campaign_id).order_by(Agent.id))
    legs = session.execute(select(AgentLeg.id, AgentLeg.campaign_id).order_by(AgentLeg.id))
    given_up = session.scalar(select(func.count()).where(Attempt.given_up_at.is_not(None)))
    told = session.scalar(select(func.count()).select_from(Ledger))
    return (*counts, given_up, told, [tuple(row) for row in states], [tuple(row) for row in legs])


def a_contact_and_an_agent(session: Session, of: Campaign) -> None:
    factories.parked_agent(session, of)
    factories.contact(session, of)


def an_agent_to_park(session: Session, of: Campaign) -> None:
    factories.agent(session, of)
    factories.contact(session, of)


def a_callback_to_come(session: Session, of: Campaign) -> None:
    soon = database_now(session) + timedelta(seconds=5)
    factories.parked_agent(session, of)
    factories.contact(session, of, next_at=soon, due_date=soon)


def an_agent_kept_for_nothing(session: Session, of: Campaign) -> None:
    until = database_now(session) + timedelta(minutes=1)
    factories.parked_agent(session, of, reserved_for="callback", reserved_until=until)


def an_agent_who_works_elsewhere(session: Session, of: Campaign) -> None:
    who, _ = factories.parked_agent(session, of)
    session.execute(text("DELETE FROM campaign_agents WHERE agent_id = :id"), {"id": who.id})


def a_stop(session: Session, of: Campaign) -> None:
    factories.parked_agent(session, of)
    of.state, of.state_at = "stopped", database_now(session) - timedelta(seconds=6)


def an_offer_to_make(session: Session, of: Campaign) -> None:
    a_contact_and_an_agent(session, of)
    of.mode = "preview"


def a_call_that_rings_too_long(session: Session, of: Campaign) -> None:
    of.min_ring = 15.0
    at = database_now(session) - timedelta(seconds=18)
    factories.attempt(session, of, state=CallState.RINGING, ordered_at=at, sent_at=at, ringing_at=at, pbx_call_id="7")


@pytest.mark.parametrize(
    "arises",
    [
        a_contact_and_an_agent,
        an_agent_to_park,
        a_callback_to_come,
        an_agent_kept_for_nothing,
        an_agent_who_works_elsewhere,
        a_stop,
        an_offer_to_make,
        a_call_that_rings_too_long,
    ],
    ids=lambda case: case.__name__,
)
def test_what_a_tick_would_see_to_is_left_to_it(
    application: Application, session: Session, running: Campaign, arises: Callable[[Session, Campaign], None]
) -> None:
    pacing = after(application, session, running, arises)
    assert rounds.look(application, [(pacing, claim(running))]) == [running.id]


def test_agents_are_let_off_the_line_when_there_was_nobody_to_call_for_a_while(
    application: Application, session: Session, running: Campaign
) -> None:
    pacing = led(application, running)
    factories.parked_agent(session, running, since=factories.NOW - AGO)
    session.commit()
    assert rounds.look(application, [(pacing, claim(running))]) == []
    assert pacing.pbxes["main"].idle_since is not None
    pacing.pbxes["main"].idle_since -= AGO
    assert rounds.look(application, [(pacing, claim(running))]) == [running.id]


def test_a_run_without_agents_lets_go_whoever_is_on_the_line(
    application: Application, session: Session, running: Campaign
) -> None:
    running.mode = "agentless"
    session.commit()
    pacing = led(application, running)
    assert rounds.look(application, [(pacing, claim(running))]) == []
    factories.parked_agent(session, running)
    session.commit()
    assert rounds.look(application, [(pacing, claim(running))]) == [running.id]


def test_a_new_leader_and_a_new_mode_learn_from_the_rows_in_a_tick(
    application: Application, session: Session, running: Campaign
) -> None:
    pacing = Pacing(running.id)
    assert rounds.look(application, [(pacing, claim(running))]) == [running.id]
    ordering.tick(application, pacing, claim(running))
    assert rounds.look(application, [(pacing, claim(running))]) == []
    running.mode = "predictive"
    session.commit()
    assert rounds.look(application, [(pacing, claim(running))]) == [running.id]


def test_who_comes_next_in_an_order_is_looked_up_in_a_tick(
    application: Application, session: Session, running: Campaign
) -> None:
    everybody_talks(session, running)
    running.contact_order = "priority"
    session.commit()
    pacing = led(application, running)
    assert rounds.look(application, [(pacing, claim(running))]) == []
    assert pacing.looked_at is not None
    pacing.looked_at -= AGO
    assert rounds.look(application, [(pacing, claim(running))]) == [running.id]


def test_a_pacer_that_could_not_be_taught_is_not_kept(
    application: Application, session: Session, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut(*_: object) -> list[object]:
        raise ConnectionError("in the middle of what it learns from")

    pacing = Pacing(running.id)
    with monkeypatch.context() as patch:
        patch.setattr(pace_calls, "remembered", cut)
        with pytest.raises(ConnectionError):
            ordering.tick(application, pacing, claim(running))
    assert pacing.pacer is None
    ordering.tick(application, pacing, claim(running))
    assert pacing.pacer is not None


def nobody_due(session: Session, of: Campaign) -> None:
    factories.parked_agent(session, of)


def nobody_at_work(session: Session, of: Campaign) -> None:
    factories.contact(session, of)


def everybody_talks(session: Session, of: Campaign) -> None:
    for _ in range(3):
        factories.contact(session, of)
        who = factories.agent(session, of, state="talking", campaign_id=of.id, since=database_now(session))
        at = database_now(session) - timedelta(seconds=9)
        factories.attempt(session, of, state=CallState.JOINED, ordered_at=at, sent_at=at, ringing_at=at,
                          answered_at=at, joined_at=at, agent_id=who.id)  # fmt: skip


def phones_ring_for_all(session: Session, of: Campaign) -> None:
    a_contact_and_an_agent(session, of)
    at = database_now(session) - timedelta(seconds=4)
    factories.attempt(session, of, state=CallState.RINGING, ordered_at=at, sent_at=at, ringing_at=at)


def a_callback_of_tomorrow(session: Session, of: Campaign) -> None:
    tomorrow = database_now(session) + timedelta(days=1)
    factories.contact(session, of, next_at=tomorrow, due_date=tomorrow)


def a_callback_that_is_taken(session: Session, of: Campaign) -> None:
    who = factories.agent(session, of, state="paused")
    at = database_now(session)
    factories.contact(session, of, next_at=at, due_date=at, kept_for=who.id, kept_as="taken",
                      kept_until=at + timedelta(minutes=5))  # fmt: skip


def a_pause_just_now(session: Session, of: Campaign) -> None:
    factories.parked_agent(session, of)
    of.state, of.state_at = "paused", database_now(session)


def a_stop_long_ago(session: Session, of: Campaign) -> None:
    of.state, of.state_at = "stopped", database_now(session) - AGO


def a_pbx_in_trouble(session: Session, of: Campaign) -> None:
    a_contact_and_an_agent(session, of)
    session.execute(text("UPDATE pbx_status SET trouble = 'refused', trouble_at = read_at + interval '1 s'"))


@pytest.mark.parametrize(
    "arises",
    [
        nobody_due,
        nobody_at_work,
        everybody_talks,
        phones_ring_for_all,
        a_callback_of_tomorrow,
        a_callback_that_is_taken,
        a_pause_just_now,
        a_stop_long_ago,
        a_pbx_in_trouble,
    ],
    ids=lambda case: case.__name__,
)
def test_where_a_look_finds_nothing_a_tick_does_nothing(
    application: Application, session: Session, running: Campaign, arises: Callable[[Session, Campaign], None]
) -> None:
    pacing = after(application, session, running, arises)
    before = done(session)
    assert rounds.look(application, [(pacing, claim(running))]) == []
    looked = done(session)
    ordering.tick(application, pacing, claim(running))
    assert before == looked == done(session)


def test_what_a_look_decides_is_written_as_a_tick_writes_it(
    application: Application, session: Session, running: Campaign
) -> None:
    """Equal decisions are one row, whoever made them; another reason is another row."""
    pacing = led(application, running)
    for _ in range(3):
        assert rounds.look(application, [(pacing, claim(running))]) == []
    ordering.tick(application, pacing, claim(running))
    rows = session.scalars(select(PaceDecision)).all()
    assert [(row.calls, row.ordered, row.fence) for row in rows] == [(0, 0, 1)]
    assert pacing.pbxes["main"].last is not None
    assert pacing.pbxes["main"].last.ticks == 5
    session.execute(text("UPDATE pbx_status SET trouble = 'refused', trouble_at = read_at + interval '1 s'"))
    session.commit()
    rounds.look(application, [(pacing, claim(running))])
    told = session.scalars(select(PaceDecision.why).order_by(PaceDecision.id)).all()
    assert len(told) == 2
    assert told[1] == "0: the PBX is in trouble: refused"


def test_a_decision_that_lasts_is_lengthened(application: Application, session: Session, running: Campaign) -> None:
    pacing = led(application, running)
    last = pacing.pbxes["main"].last
    assert last is not None
    last.until_at -= AGO
    rounds.look(application, [(pacing, claim(running))])
    (row,) = session.scalars(select(PaceDecision)).all()
    assert row.ticks == 2
    assert row.until_at > row.decided_at


def test_a_look_at_many_asks_as_often_as_a_look_at_one(
    application: Application, session: Session, running: Campaign
) -> None:
    looked = [(led(application, running), claim(running))]
    for _ in range(11):
        other = factories.campaign(session)
        factories.lease(session, other)
        everybody_talks(session, other)
        session.commit()
        looked.append((led(application, other), claim(other)))
    asked: dict[int, int] = {}
    for many in (1, 12):
        for pacing, _ in looked:
            pacing.counted_at = factories.NOW  # long ago: the dearest look there is
            pacing.forget_last()
        with statements(application.engine) as told:
            assert rounds.look(application, looked[-many:]) == []
        asked[many] = len(told)
    assert asked[12] == asked[1] <= 12


def test_views_read_together_are_those_read_one_by_one(session: Session, running: Campaign) -> None:
    other = factories.campaign(session, pbx="north")
    factories.lines(session, "north", free=3)
    for of in (running, other):
        a_contact_and_an_agent(session, of)
        phones_ring_for_all(session, of)
    third = factories.campaign(session)
    factories.attempt(session, third, sent_at=None, state=CallState.ORDERED)
    now = database_now(session)
    ids = [third.id, running.id, 0, other.id]
    together = pace_view.read_many(session, ids, now)
    assert together == {of: pace_view.read(session, of, now) for of in ids if of}
    assert together[running.id].lines([]).total == 200 - 1, "less an order of another campaign"
    assert pace_view.read(session, 0, now) is None


def test_windows_counted_together_are_those_counted_one_by_one(session: Session) -> None:
    """Of packs with other windows, of campaigns that share agents, kept and not kept."""
    packs = ("default-2026", "us-2026", "default-2026")
    ours, theirs, third = (factories.campaign(session, rule_pack=pack) for pack in packs)
    now = factories.NOW
    for n, of in enumerate((ours, theirs, third)):
        for ago in (timedelta(hours=1), timedelta(hours=30), timedelta(days=20)):
            at = now - ago
            for state in [CallState.COMPLETED] * (n + 5) + [CallState.ABANDONED] * (n + 1):
                joined = at if state is CallState.COMPLETED else None
                factories.attempt(session, of, state=state, ordered_at=at, answered_at=at, joined_at=joined,
                                  ended_at=at + timedelta(seconds=60))  # fmt: skip
    asked = [Asked(ours, {third.id}, budgets.Settled()), Asked(theirs), Asked(third, {ours.id})]
    for _ in range(2):  # the second time from what was kept
        together = budgets.all_in_force(session, asked, now)
        assert together == [budgets.in_force(session, one.campaign, now, sharing=one.sharing) for one in asked]
    assert [one.budget.abandoned for one in together] == [4, 6, 3]
