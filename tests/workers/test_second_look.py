"""Everything a lost queue message meant is found again from the rows alone: Redis is never asked here (I18)."""

import time
from collections.abc import Callable
from pathlib import Path
from threading import Event
from unittest.mock import Mock

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import importing
from campaigns.application import Application
from campaigns.looking import serve
from campaigns.models import Attempt, Campaign, Command, Import, LoggedEvent
from dialer.calls import CallState
from dialer.pbx.base import CallEvent, CallOutcome, CustomerOrder, Heard, Payload, Role
from tests import factories
from tests.fakes import FakePbx
from workers.second_look import MOST_FAILURES, SecondLook


@pytest.fixture
def pbx(application: Application) -> FakePbx:
    fake = FakePbx()
    application.pbxes = {"main": fake}
    return fake


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session)
    session.commit()
    return made


def look_once(application: Application) -> None:
    looking = SecondLook(application)
    looking.clocks()
    looking.once()
    looking.finish()


def older(session: Session, seconds: float = 2) -> None:
    """Everything happened a moment ago: its queue message is surely lost."""
    for change in (
        "UPDATE logged_events SET received_at = received_at - make_interval(secs => :s)",
        "UPDATE attempts SET ordered_at = clock_timestamp() - make_interval(secs => :s), "
        "not_after = clock_timestamp() + interval '8 s'",
        "UPDATE commands SET due_at = due_at - make_interval(secs => :s)",
    ):
        session.execute(text(change), {"s": seconds})
    session.commit()


def test_an_event_nobody_was_told_of_is_handled(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    pbx.say(
        session,
        CallEvent(Heard.NOT_REACHED, "call_response", ref=attempt.ref, role=Role.CUSTOMER, outcome=CallOutcome.BUSY),
    )
    older(session)
    look_once(application)
    session.refresh(attempt)
    assert attempt.state == CallState.BUSY


def test_a_call_is_not_ended_before_its_events_that_wait_are_heard(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    """That its phone rang is told after its end, and nobody was rung for it: without it nobody was called at all."""
    attempt = factories.attempt(session, running, state=CallState.ENDING, final_outcome="unknown")
    ringing = CallEvent(Heard.RINGING, "call_progress", ref=attempt.ref, role=Role.CUSTOMER)
    pbx.say(session, ringing)
    session.execute(text("UPDATE logged_events SET can_wait = true"))
    attempt.over_at = session.scalar(text("SELECT clock_timestamp() - interval '10 s'"))
    session.commit()
    look_once(application)
    session.refresh(attempt)
    assert attempt.ringing_at is not None
    assert attempt.ended_at is not None


def test_a_call_whose_events_cannot_be_heard_is_ended_all_the_same(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number would be locked, and its line counted, for ever."""
    calls = [factories.attempt(session, running, state=CallState.ENDING, final_outcome="unknown") for _ in range(2)]
    for call, ago in zip(calls, ("10 s", "40 s"), strict=True):
        call.over_at = session.scalar(text("SELECT clock_timestamp() - CAST(:ago AS interval)"), {"ago": ago})
    session.commit()
    monkeypatch.setattr("campaigns.reactions.react", Mock(side_effect=RuntimeError("an event nobody can hear")))
    look_once(application)
    session.expire_all()
    assert [call.ended_at is not None for call in calls] == [False, True]


def test_a_young_event_is_left_to_its_queue_message(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    pbx.say(session, CallEvent(Heard.RINGING, "call_progress", ref=attempt.ref, role=Role.CUSTOMER))
    session.execute(text("UPDATE logged_events SET received_at = clock_timestamp() + interval '1 s'"))
    session.commit()
    look_once(application)
    assert session.scalars(select(LoggedEvent.handled_at)).one() is None


def test_an_order_nobody_was_told_of_is_placed(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.ORDERED, sent_at=None)
    older(session)
    look_once(application)
    session.refresh(attempt)
    assert attempt.state == CallState.PLACED
    assert len(pbx.commands("call_customer")) == 1


def test_a_command_whose_worker_died_before_sending_is_sent(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    session.add(Command(ref="d1-c1", kind="hang_up", pbx="main", arguments={"call_id": "9"}, due_at=factories.NOW))
    session.commit()
    session.execute(text("UPDATE commands SET due_at = clock_timestamp()"))
    older(session, 1)
    look_once(application)
    assert pbx.commands("hang_up") == ["9"]


def test_a_command_that_may_have_been_sent_is_not_sent_again(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    arguments = {"customer": {"call_id": "1", "leg_id": "2"}}
    session.add(
        Command(ref="d1-c1", kind="message", pbx="main", arguments=arguments, due_at=factories.NOW, state="sending")
    )
    session.commit()
    look_once(application)
    assert pbx.sent == []


def test_a_customer_whose_time_is_over_gets_the_message(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running, state=CallState.HELD, pbx_call_id="9001", second_leg_id="502")
    session.execute(text("UPDATE attempts SET answered_at = clock_timestamp() - interval '1.7 s'"))
    session.commit()
    look_once(application)
    session.refresh(attempt)
    assert attempt.state == CallState.MESSAGE
    assert len(pbx.commands("play_message")) == 1


def test_an_event_the_handlers_choke_on_is_set_aside_and_its_call_goes_on(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    pbx.say(session, CallEvent(Heard.RINGING, "poison", ref=attempt.ref, role=Role.CUSTOMER))
    older(session)
    real = pbx.read

    def choke(payload: Payload) -> CallEvent:
        event = real(payload)
        if event.name == "poison":
            raise ZeroDivisionError("a bug of ours")
        return event

    pbx.read = choke  # type: ignore[method-assign]
    looking = SecondLook(application)
    for _ in range(MOST_FAILURES):
        assert session.scalars(select(LoggedEvent.handled_at)).one() is None
        looking.once()
        session.expire_all()
    assert "ZeroDivisionError" in session.scalars(select(LoggedEvent.trouble)).one()

    pbx.say(
        session,
        CallEvent(Heard.NOT_REACHED, "call_response", ref=attempt.ref, role=Role.CUSTOMER, outcome=CallOutcome.BUSY),
    )
    older(session)
    looking.once()
    session.refresh(attempt)
    assert attempt.state == CallState.BUSY


def test_events_of_a_pbx_taken_out_of_the_settings_hold_up_nobody(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    for number in range(210):
        session.add(LoggedEvent(pbx="gone", ref=f"d0-c{number}", method="GET", query="n=0"))
    attempt = factories.attempt(session, running)
    pbx.say(
        session,
        CallEvent(Heard.NOT_REACHED, "call_response", ref=attempt.ref, role=Role.CUSTOMER, outcome=CallOutcome.BUSY),
    )
    older(session)
    look_once(application)
    session.refresh(attempt)
    assert attempt.state == CallState.BUSY


def test_a_database_that_is_away_stops_only_this_round(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    event = CallEvent(Heard.NOT_REACHED, "call_response", ref=attempt.ref, role=Role.CUSTOMER, outcome=CallOutcome.BUSY)
    pbx.say(session, event)
    older(session)
    looking, real = SecondLook(application), application.sessions

    def away() -> Session:
        raise ConnectionError("away")

    application.sessions = away  # type: ignore[assignment]
    looking.clocks()
    looking.once()
    application.sessions = real
    looking.once()
    session.refresh(attempt)
    assert attempt.state == CallState.BUSY


def test_an_import_whose_message_was_lost_is_done(
    application: Application, session: Session, pbx: FakePbx, running: Campaign, tmp_path: Path
) -> None:
    file = tmp_path / "list.csv"
    file.write_text("phone\n+390612345678\n", encoding="utf-8")
    job = importing.submit_import(
        session, campaign=running, source=file, file_name="list.csv", data_dir=tmp_path, now=factories.NOW
    )
    session.commit()
    looking = SecondLook(application)
    looking.once()
    assert looking.import_under_way is not None
    looking.import_under_way.result(timeout=30)
    session.expire_all()
    assert session.get_one(Import, job.id).state == "done"
    assert session.query(Attempt).count() == 0


def test_a_row_somebody_holds_stops_no_other_customers_clock(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    held, due = (
        factories.attempt(session, running, state=CallState.HELD, pbx_call_id=str(n), second_leg_id="5") for n in (1, 2)
    )
    session.execute(text("UPDATE attempts SET answered_at = clock_timestamp() - interval '1.7 s'"))
    session.commit()
    session.execute(text("SELECT 1 FROM attempts WHERE id = :id FOR UPDATE"), {"id": held.id})
    begun = time.monotonic()
    look_once(application)
    assert time.monotonic() - begun < 4.5  # a lock is waited for, if it is, for five
    assert [what.call_id for what in pbx.commands("play_message")] == ["2"]  # type: ignore[attr-defined]
    session.rollback()
    session.refresh(due)
    assert due.state == CallState.MESSAGE


def test_trouble_of_the_database_sets_no_event_aside(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    attempt = factories.attempt(session, running)
    pbx.say(session, CallEvent(Heard.ANSWERED, "call_response", ref=attempt.ref, role=Role.CUSTOMER))
    older(session)
    session.execute(text("SELECT 1 FROM attempts WHERE id = :id FOR UPDATE"), {"id": attempt.id})
    looking = SecondLook(application)
    for _ in range(MOST_FAILURES + 1):
        looking.once()
    session.rollback()
    assert session.scalars(select(LoggedEvent.handled_at)).one() is None
    looking.once()
    session.refresh(attempt)
    assert attempt.state == CallState.ANSWERED


def test_a_join_is_withdrawn_with_its_assignment(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    factories.parked_agent(session, running)
    attempt = factories.attempt(session, running, state=CallState.HELD, pbx_call_id="9001", second_leg_id="502")
    session.execute(text("UPDATE attempts SET answered_at = clock_timestamp() - interval '0.5 s'"))
    session.commit()
    serve(application, attempt.ref)  # the worker dies before it sends the join
    session.execute(text("UPDATE attempts SET answered_at = clock_timestamp() - interval '1.7 s'"))
    older(session, 1)
    look_once(application)
    look_once(application)
    assert [kind for kind, _ in pbx.sent] == ["play_message"]


def test_a_pbx_that_hangs_stops_no_customers_clock(
    application: Application, session: Session, pbx: FakePbx, running: Campaign
) -> None:
    for _ in range(5):
        factories.attempt(session, running, state=CallState.ORDERED, sent_at=None)
    answered = Event()
    real = pbx.call_customer

    def hang(order: CustomerOrder, *, before_send: Callable[[], None] | None = None) -> str:
        answered.wait(20)
        return real(order, before_send=before_send)

    pbx.call_customer = hang  # type: ignore[method-assign]
    older(session)
    waiting = factories.attempt(session, running, state=CallState.HELD, pbx_call_id="9001", second_leg_id="502")
    session.execute(
        text("UPDATE attempts SET answered_at = clock_timestamp() - interval '1.7 s' WHERE id = :id"),
        {"id": waiting.id},
    )
    session.commit()
    looking = SecondLook(application)
    looking.once()  # hands the orders on, and does not wait for them
    looking.clocks()
    session.refresh(waiting)
    assert waiting.state == CallState.MESSAGE
    assert not answered.is_set()
    answered.set()
    looking.finish()
    assert len(pbx.commands("play_message")) == 1
