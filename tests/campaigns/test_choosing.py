"""Which contacts the gate takes, and how many a second: wishes and limits, never permissions."""

import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.orm import Session

from campaigns import due_contacts, gate, gateway_rates, ordering, prospects
from campaigns.application import Application
from campaigns.db import database_now, session_factory
from campaigns.deciding import Pacing
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact, DoNotCall, PaceDecision
from dialer.calls import CallState
from dialer.settings import TimingSettings
from tests import factories
from tests.campaigns.test_giving_up import Wishes
from tests.factories import NOW
from tests.fakes import FakePbx

TIMING = TimingSettings()


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, number_gap=0.0)
    factories.lease(session, made)
    return made


def order(
    session: Session, of: Campaign, wanted: int, *, choose: tuple[str, ...] = (), lines: Lines | None = None,
    now: object = NOW,
) -> gate.Passed:  # fmt: skip
    claim = Claim(f"campaign:{of.id}", "test", 1)
    lines = lines or Lines({"4": 50})
    return gate.order(session, of.id, wanted, lines, claim, now=now, timing=TIMING, choose=choose)  # type: ignore[arg-type]


def taken(session: Session) -> list[tuple[str, int]]:
    return [(row.answer_group, row.contact_id) for row in session.scalars(select(Attempt).order_by(Attempt.id))]


def listed(session: Session, of: Campaign, count: int, *, minutes: int = 0) -> tuple[str, list[Contact]]:
    """A list whose contacts have been due for so long; its group, and the contacts in the order they fell due."""
    made = factories.contact_list(session, of)
    due = NOW - timedelta(minutes=minutes)
    contacts = [
        factories.contact(session, of, list_id=made.id, next_at=due + timedelta(seconds=n)) for n in range(count)
    ]
    return prospects.group_of(made.id, 1), contacts


def test_contacts_come_as_they_fall_due_when_nothing_is_wished(session: Session, running: Campaign) -> None:
    _, young = listed(session, running, 3, minutes=1)
    _, old = listed(session, running, 3, minutes=5)
    order(session, running, 4)
    assert [contact for _, contact in taken(session)] == [one.id for one in [*old, young[0]]]


def test_the_groups_wished_for_are_taken_first_in_their_order_and_then_the_rest(
    session: Session, running: Campaign
) -> None:
    first, ones = listed(session, running, 3, minutes=9)
    second, twos = listed(session, running, 2, minutes=5)
    third, threes = listed(session, running, 2, minutes=1)
    order(session, running, 6, choose=(third, second))
    assert taken(session) == [
        (third, threes[0].id), (third, threes[1].id), (second, twos[0].id), (second, twos[1].id),
        (first, ones[0].id), (first, ones[1].id),
    ]  # fmt: skip


def test_a_wish_opens_no_gate(session: Session, running: Campaign) -> None:
    group, contacts = listed(session, running, 3, minutes=1)
    session.add(DoNotCall(number=contacts[0].phone, source="test"))
    contacts[1].next_at = NOW + timedelta(seconds=1)
    contacts[2].state, contacts[2].next_at = "closed", None
    session.flush()
    passed = order(session, running, 3, choose=(group, "99/1", "nonsense", "'; DROP"))
    assert (passed.refs, dict(passed.refused)) == ([], {"do_not_call": 1})


def test_the_group_says_which_attempt_it_is_up_to_the_third(session: Session, running: Campaign) -> None:
    running.max_attempts = 9
    _, contacts = listed(session, running, 4, minutes=1)
    for contact, tries in zip(contacts, (0, 1, 2, 5), strict=True):
        for _ in range(tries):
            factories.attempt(session, running, contact=contact, state=CallState.NO_ANSWER, answer_group="old")
    before = {row.id for row in session.scalars(select(Attempt))}
    order(session, running, 4)
    new = [row for row in session.scalars(select(Attempt).order_by(Attempt.id)) if row.id not in before]
    assert [(row.answer_group.split("/")[1], row.attempt_no) for row in new] == [("1", 1), ("2", 2), ("3", 3), ("3", 6)]


def test_a_contact_somebody_holds_is_passed_over(engine: Engine, session: Session, running: Campaign) -> None:
    group, contacts = listed(session, running, 2, minutes=1)
    session.commit()
    with session_factory(engine)() as other, other.begin():
        other.execute(select(Contact.id).where(Contact.id == contacts[0].id).with_for_update())
        order(session, running, 2, choose=(group,))
    assert [contact for _, contact in taken(session)] == [contacts[1].id]


# Calls per second ----------------------------------------------------------------------------------------


def test_no_gateway_is_sent_more_than_its_calls_a_second(session: Session, running: Campaign) -> None:
    running.calls_per_second = 3.0
    listed(session, running, 30, minutes=5)
    passed = order(session, running, 20, lines=Lines({"4": 50, "5": 1}))
    assert (len(passed.refs), passed.held_back) == (4, ["calls per second"])
    again = order(session, running, 20, now=NOW + timedelta(seconds=0.9))
    assert (again.refs, again.held_back) == ([], ["calls per second"])
    assert len(order(session, running, 20, now=NOW + timedelta(seconds=1.01)).refs) == 3


def test_the_calls_of_every_campaign_on_the_pbx_count_and_no_others(session: Session, running: Campaign) -> None:
    running.calls_per_second = 3.0
    listed(session, running, 9, minutes=5)
    beside, elsewhere = factories.campaign(session), factories.campaign(session, pbx="branch")
    factories.attempt(session, beside, ordered_at=NOW - timedelta(seconds=0.5))
    factories.attempt(session, beside, ordered_at=NOW - timedelta(seconds=0.5), state=CallState.BUSY)
    factories.attempt(session, beside, ordered_at=NOW - timedelta(seconds=1.5))
    factories.attempt(session, beside, ordered_at=NOW - timedelta(seconds=0.5), gateway="5")
    factories.attempt(session, elsewhere, ordered_at=NOW - timedelta(seconds=0.5))
    assert len(order(session, running, 9).refs) == 1


def test_a_rate_below_one_is_a_call_in_some_seconds(session: Session, running: Campaign) -> None:
    running.calls_per_second = 0.5
    listed(session, running, 9, minutes=5)
    assert [len(order(session, running, 9, now=NOW + timedelta(seconds=s)).refs) for s in (0, 1, 1.9, 2.1)] == [
        1, 0, 0, 1,
    ]  # fmt: skip


@given(st.floats(0.01, 1_000))
def test_a_window_never_lets_through_more_than_the_rate(rate: float) -> None:
    most, length = gateway_rates.window(rate)
    assert most >= 1
    assert most <= rate * length.total_seconds() + 1e-3


def test_two_campaigns_at_once_share_one_gateways_rate(engine: Engine, application: Application) -> None:
    sessions = session_factory(engine)
    with sessions() as session, session.begin():
        campaigns = [factories.campaign(session, calls_per_second=5.0) for _ in range(2)]
        for campaign in campaigns:
            factories.lease(session, campaign)
            listed(session, campaign, 40, minutes=5)
    barrier = Barrier(2)

    def run(campaign: Campaign) -> None:
        for _ in range(4):
            barrier.wait(60)
            with sessions() as session, session.begin():
                order(session, campaign, 5, now=database_now(session))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(run, campaigns))
    with sessions() as session:
        times = sorted(session.scalars(select(Attempt.ordered_at)))
    assert times
    for at in times:
        assert sum(at - timedelta(seconds=0.99) < other <= at for other in times) <= 5


def test_the_decision_says_that_the_gateways_were_the_limit(
    application: Application, session: Session, running: Campaign
) -> None:
    application.pbxes = {"main": FakePbx()}
    running.calls_per_second = 2.0
    group, _ = listed(session, running, 9, minutes=5)
    factories.lines(session)
    session.commit()
    pacer = Wishes(calls=4, choose=(group,))
    pacing = Pacing(running.id, mode="progressive", pacer=pacer)
    assert len(ordering.tick(application, pacing, Claim(f"campaign:{running.id}", "test", 1))) == 2
    assert dict(pacer.seen[0].prospects) == {group: 9}
    decision = session.scalars(select(PaceDecision)).one()
    assert decision.limits["bound_by"] == ["wish", "calls per second"]
    assert decision.why == "as wished; 2 ordered, the most of calls per second"


def test_threads_that_choose_for_the_first_time_at_once_ask_the_same() -> None:
    """What asks for contacts is built once for a process, and compiled by whichever of its threads comes first."""
    threads, usual = 6, sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(threads) as pool:
            for which in [*due_contacts.Which] * 4:
                due_contacts._in_turn.cache_clear()
                together = Barrier(threads, timeout=60)

                def asked(which: due_contacts.Which = which, together: Barrier = together) -> str:
                    together.wait()
                    return str(due_contacts._in_turn(which, False).compile(dialect=postgresql.dialect()))

                assert len({one.result() for one in [pool.submit(asked) for _ in range(threads)]}) == 1
    finally:
        sys.setswitchinterval(usual)
