from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaigns import gate, leases
from campaigns.application import Application
from campaigns.db import database_now, session_factory
from campaigns.gate import Claim, LeaseLost
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact, DoNotCall, Ledger
from dialer.calls import CallState
from dialer.settings import TimingSettings
from tests import factories

TIMING = TimingSettings()


def claim(of: Campaign, fence: int = 1) -> Claim:
    return Claim(f"campaign:{of.id}", "test", fence)


def order(
    session: Session, of: Campaign, wanted: int = 10, *, now: datetime = factories.NOW, fence: int = 1
) -> gate.Passed:
    return gate.order(session, of.id, wanted, Lines({"4": 50}), claim(of, fence), now=now, timing=TIMING)


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session)
    factories.lease(session, made)
    return made


def test_a_due_contact_becomes_an_attempt_that_keeps_the_proof(session: Session, running: Campaign) -> None:
    contact = factories.contact(session, running)
    passed = order(session, running)
    attempt = session.scalars(select(Attempt)).one()
    assert passed.refs == [attempt.ref]
    assert (attempt.state, attempt.number, attempt.contact_id) == (CallState.ORDERED, contact.phone, contact.id)
    assert attempt.not_after - attempt.ordered_at == timedelta(seconds=10)
    assert {rule["rule"] for rule in attempt.proof["rules"]} == {
        "campaign",
        "do_not_call",
        "attempts",
        "number_open",
        "hours",
        "rest",
        "number_gap",
        "not_before",
    }
    assert all(rule["allowed"] for rule in attempt.proof["rules"])
    assert session.get_one(Contact, contact.id).state == "live"
    assert session.scalars(select(Ledger.kind)).all() == ["ordered"]


def test_nothing_is_ordered_beyond_the_wish_or_the_lines(session: Session, running: Campaign) -> None:
    for _ in range(6):
        factories.contact(session, running)
    few = gate.order(session, running.id, 5, Lines({"4": 2, "5": 1}), claim(running), now=factories.NOW, timing=TIMING)
    assert len(few.refs) == 3
    assert sorted(session.scalars(select(Attempt.gateway))) == ["4", "4", "5"]


def test_a_number_on_do_not_call_closes_its_contact(session: Session, running: Campaign) -> None:
    contact = factories.contact(session, running)
    session.add(DoNotCall(number=contact.phone, source="test"))
    session.flush()
    passed = order(session, running)
    assert (passed.refs, dict(passed.refused)) == ([], {"do_not_call": 1})
    assert (contact.state, contact.closed_because) == ("closed", "do not call")


def test_do_not_call_of_another_campaign_is_not_ours(session: Session, running: Campaign) -> None:
    contact = factories.contact(session, running)
    session.add(DoNotCall(number=contact.phone, source="test", campaign_id=factories.campaign(session).id))
    session.flush()
    assert len(order(session, running).refs) == 1


def test_outside_the_phones_hours_the_contact_waits_for_the_morning(session: Session) -> None:
    night = datetime(2026, 3, 2, 21, 30, tzinfo=UTC)  # 22:30 in Rome
    campaign = factories.campaign(session, hours="09:00-20:00")
    factories.lease(session, campaign)
    contact = factories.contact(session, campaign)
    assert order(session, campaign, now=night).refs == []
    assert contact.next_at == datetime(2026, 3, 3, 8, 0, tzinfo=UTC)


def test_a_number_called_lately_by_any_campaign_is_left_alone(session: Session, running: Campaign) -> None:
    contact = factories.contact(session, running)
    other = factories.campaign(session)
    same = factories.contact(session, other, phone=contact.phone, state="closed", next_at=None)
    factories.attempt(session, other, contact=same, state=CallState.NO_ANSWER)
    assert order(session, running).refs == []
    assert contact.next_at == factories.NOW + timedelta(seconds=running.number_gap)


def test_attempts_that_may_have_rung_use_up_the_cap_and_others_do_not(session: Session, running: Campaign) -> None:
    running.number_gap = 0
    contact = factories.contact(session, running)
    for state in (CallState.EXPIRED, CallState.REFUSED, CallState.NO_ANSWER, CallState.BUSY):
        factories.attempt(session, running, contact=contact, state=state)
    assert len(order(session, running).refs) == 1
    other = factories.contact(session, running)
    for _ in range(3):
        factories.attempt(session, running, contact=other, state=CallState.NO_ANSWER)
    passed = order(session, running)
    assert (passed.refs, other.closed_because) == ([], "attempts used up")


@pytest.mark.parametrize("state", ["draft", "paused", "stopped", "archived"])
def test_a_campaign_that_does_not_run_orders_nothing(session: Session, running: Campaign, state: str) -> None:
    factories.contact(session, running)
    running.state = state
    session.flush()
    assert order(session, running).refs == []


def test_an_old_fence_orders_nothing(session: Session, running: Campaign) -> None:
    factories.contact(session, running)
    with pytest.raises(LeaseLost):
        order(session, running, fence=7)


def test_a_lease_that_ran_out_gets_a_new_fence_even_for_its_old_holder(session: Session) -> None:
    assert leases.claim(session, ["campaign:1"], "a", 60) == {"campaign:1": 1}
    assert leases.claim(session, ["campaign:1"], "a", 60) == {"campaign:1": 1}
    assert leases.claim(session, ["campaign:1"], "b", 60) == {}
    session.execute(text("UPDATE leases SET expires_at = clock_timestamp() - interval '1 s'"))
    assert leases.claim(session, ["campaign:1"], "a", 60) == {"campaign:1": 2}
    session.execute(text("UPDATE leases SET expires_at = clock_timestamp() - interval '1 s'"))
    assert leases.claim(session, ["campaign:1"], "b", 60) == {"campaign:1": 3}
    assert not leases.holds(session, "campaign:1", "a", 2)


def test_the_database_itself_refuses_a_second_open_attempt_at_a_number(session: Session, running: Campaign) -> None:
    first = factories.attempt(session, running)
    other = factories.campaign(session)
    with pytest.raises(IntegrityError, match="uq_attempts_open_number"):
        factories.attempt(session, other, contact=factories.contact(session, other, phone=first.number))


def test_two_gates_at_once_ring_a_shared_number_once(engine: Engine, application: Application) -> None:
    """The same number in two campaigns, both gates at the same moment, again and again."""
    sessions = session_factory(engine)
    with sessions() as session, session.begin():
        campaigns = [factories.campaign(session, number_gap=3600) for _ in range(2)]
        for campaign in campaigns:
            factories.lease(session, campaign)
        for number in range(40):
            for campaign in campaigns:
                factories.contact(session, campaign, phone=f"+39029900{number:04}")
    barrier = Barrier(2)

    def run(campaign: Campaign) -> None:
        barrier.wait(60)
        for _ in range(12):
            with sessions() as session, session.begin():
                order(session, campaign, 5, now=database_now(session))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, campaigns))
    with sessions() as session:
        numbers = list(session.scalars(select(Attempt.number)))
    assert len(numbers) == len(set(numbers)) == 40
