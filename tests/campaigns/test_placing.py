from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.models import Attempt, Campaign, Contact, DoNotCall
from campaigns.placing import overdue, place
from dialer.calls import CallState
from dialer.clock import ManualClock
from dialer.errors import OutcomeUnknown, PbxRefused, PbxUnavailable
from dialer.pbx.base import AgentOrder, CustomerOrder
from tests import factories
from tests.fakes import FakePbx


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def running(session: Session) -> Campaign:
    return factories.campaign(session)


def ordered(session: Session, running: Campaign, life: str = "10 s") -> Attempt:
    attempt = factories.attempt(session, running, state=CallState.ORDERED, sent_at=None)
    session.execute(
        text(
            "UPDATE attempts SET ordered_at = clock_timestamp(), "
            "not_after = clock_timestamp() + CAST(:life AS interval)"
        ),
        {"life": life},
    )
    session.commit()
    return attempt


def test_an_order_is_sent_once_however_often_it_is_asked_for(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = ordered(session, running)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: place(application, attempt.ref), range(16)))
    assert pbx.commands("call_customer") == [CustomerOrder(attempt.ref, attempt.number, "4", running.caller_id)]
    assert [result for result in results if result is not None] == [CallState.PLACED]
    session.refresh(attempt)
    assert (attempt.state, attempt.request_id) == (CallState.PLACED, "17012345678001")


@pytest.mark.parametrize(
    ("answer", "state", "contact_state"),
    [
        (PbxRefused("main", "unknown gateway"), CallState.REFUSED, "open"),
        (PbxUnavailable("main", "connection refused"), CallState.EXPIRED, "open"),
        (OutcomeUnknown("main", "no reply"), CallState.UNKNOWN, "live"),
    ],
)
def test_the_three_bad_ends_of_placing(
    application: Application,
    session: Session,
    pbx: FakePbx,
    running: Campaign,
    answer: PbxRefused | PbxUnavailable | OutcomeUnknown,
    state: CallState,
    contact_state: str,
) -> None:
    attempt = ordered(session, running)
    pbx.answers["call_customer"] = answer
    assert place(application, attempt.ref) == state
    session.refresh(attempt)
    assert (attempt.state, attempt.trouble) == (state, answer.why)
    assert session.get_one(Contact, attempt.contact_id).state == contact_state
    assert place(application, attempt.ref) is None
    assert len(pbx.sent) == 1


def test_a_late_order_is_closed_and_never_sent(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = ordered(session, running, "-1 s")
    assert place(application, attempt.ref) == CallState.EXPIRED
    assert pbx.sent == []


def test_a_worker_frozen_after_its_claim_sends_nothing(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, clock: ManualClock
) -> None:
    attempt = ordered(session, running)
    real = pbx.call_customer

    def frozen(order: CustomerOrder, *, before_send: object = None) -> str:
        clock.advance(30)  # stopped between the claim and the send
        return real(order, before_send=before_send)  # type: ignore[arg-type]

    pbx.call_customer = frozen  # type: ignore[method-assign]
    assert place(application, attempt.ref) == CallState.EXPIRED
    assert pbx.sent == []


@pytest.mark.parametrize("state", ["paused", "stopped"])
def test_stop_reaches_orders_that_passed_the_gate(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, state: str
) -> None:
    attempt = ordered(session, running)
    running.state = state
    session.commit()
    assert place(application, attempt.ref) == CallState.EXPIRED
    assert pbx.sent == []
    session.refresh(attempt)
    assert attempt.trouble == "stopped before it was sent"


def test_do_not_call_reaches_orders_that_passed_the_gate(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = ordered(session, running)
    session.add(DoNotCall(number=attempt.number, source="test"))
    session.commit()
    assert place(application, attempt.ref) == CallState.EXPIRED
    assert pbx.sent == []


def test_an_agents_leg_is_placed_as_a_call_to_the_agents_phone(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    agent = factories.agent(session, running, state="parking")
    leg = factories.leg(session, running, agent, state=CallState.ORDERED, sent_at=None)
    session.execute(text("UPDATE agent_legs SET not_after = clock_timestamp() + interval '5 s'"))
    session.commit()
    assert place(application, leg.ref) == CallState.PLACED
    assert pbx.commands("call_agent") == [AgentOrder(leg.ref, agent.user_id, agent.extension)]


def test_an_order_whose_message_was_lost_is_found(
    application: Application, session: Session, running: Campaign
) -> None:
    attempt = ordered(session, running)
    assert overdue(session, age=60) == []
    session.execute(text("UPDATE attempts SET ordered_at = ordered_at - interval '61 s'"))
    assert overdue(session, age=60) == [attempt.ref]


def test_an_order_claimed_a_while_ago_is_not_sent_any_more(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, clock: ManualClock
) -> None:
    """Within its life, but a stop may have been committed since the claim (I7)."""
    attempt = ordered(session, running)
    real = pbx.call_customer

    def slow(order: CustomerOrder, *, before_send: object = None) -> str:
        clock.advance(1.6)  # the connection took its time
        return real(order, before_send=before_send)  # type: ignore[arg-type]

    pbx.call_customer = slow  # type: ignore[method-assign]
    assert place(application, attempt.ref) == CallState.EXPIRED
    assert pbx.sent == []


def test_an_order_for_a_pbx_taken_out_of_the_settings_is_closed_not_stuck(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = ordered(session, running)
    application.pbxes = {}
    assert place(application, attempt.ref) == CallState.EXPIRED
    session.refresh(attempt)
    assert attempt.ended_at is not None
