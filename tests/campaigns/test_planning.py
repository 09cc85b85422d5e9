"""What the end of a call makes of its contact, with the rules a manager set: number, moment, or the end of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from campaigns import retry_rules
from campaigns.endings import close_attempt
from campaigns.models import Attempt, Campaign, Contact
from dialer.calls import CallState
from tests import factories
from tests.factories import NOW

ROME, MOBILE = "+390612345678", "+393331234567"


@pytest.fixture
def running(session: Session) -> Campaign:
    return factories.campaign(session, max_attempts=9)


def rule(session: Session, of: Campaign, end: str, **given: Any) -> None:
    retry_rules.set_rule(session, of, end, now=NOW, who="test", **given)


def person(session: Session, of: Campaign, **values: Any) -> Contact:
    return factories.contact(session, of, **{"phone": ROME, "phone2": MOBILE, **values})


def call(session: Session, of: Campaign, to: Contact, end: CallState, *, at: datetime = NOW) -> Attempt:
    """One attempt at a contact, as the gate would make it, that ended so."""
    to.state, to.next_at = "live", None
    number = to.next_number or to.phone
    made = factories.attempt(session, of, contact=to, number=number, ordered_at=at, sent_at=at)
    close_attempt(session, made, end, now=at)
    return made


def test_the_next_attempt_is_planned_inside_the_hours_where_the_phone_is(session: Session, running: Campaign) -> None:
    running.hours = "mon-fri 09:00-20:00"
    to = person(session, running, phone2=None)
    call(session, running, to, CallState.NO_ANSWER, at=datetime(2026, 3, 6, 18, 30, tzinfo=UTC))  # Friday, 19:30
    assert to.next_at == datetime(2026, 3, 9, 8, 0, tzinfo=UTC), "Monday at nine, and not Friday at half past eight"


def test_the_hours_are_those_of_the_number_that_comes_next(session: Session, running: Campaign) -> None:
    running.hours = "09:00-20:00"
    rule(session, running, "busy", next_number=True)
    to = person(session, running, phone2="+12125550123")
    call(session, running, to, CallState.BUSY)  # ten in Rome, four in the morning in New York
    assert (to.next_number, to.next_at) == ("+12125550123", datetime(2026, 3, 2, 14, 0, tzinfo=UTC))


def test_the_numbers_of_a_contact_take_turns(session: Session, running: Campaign) -> None:
    running.number_gap = 0
    rule(session, running, "no_answer", next_number=True, delay=1800)
    to, at, tried = person(session, running), NOW, []
    for _ in range(4):
        tried.append((call(session, running, to, CallState.NO_ANSWER, at=at).number, (at - NOW).total_seconds()))
        assert to.next_at is not None
        at = to.next_at
    assert tried == [(ROME, 0), (MOBILE, 60), (ROME, 1860), (MOBILE, 1920)]


def test_a_number_that_is_used_up_is_left_and_the_contact_with_its_last_one(
    session: Session, running: Campaign
) -> None:
    rule(session, running, "busy", most=2)
    to = person(session, running)
    numbers = [call(session, running, to, CallState.BUSY, at=NOW + timedelta(hours=n)).number for n in range(4)]
    assert numbers == [ROME, ROME, MOBILE, MOBILE]
    assert (to.state, to.closed_because) == ("closed", "numbers used up")


def test_a_used_up_number_is_not_come_back_to(session: Session, running: Campaign) -> None:
    rule(session, running, "busy", most=1)
    rule(session, running, "no_answer", next_number=True)
    to = person(session, running)
    call(session, running, to, CallState.BUSY)
    call(session, running, to, CallState.NO_ANSWER, at=NOW + timedelta(hours=1))
    assert to.next_number == MOBILE, "the first one is used up, so there is no other to turn to"


def test_one_budget_stands_above_all_rules(session: Session, running: Campaign) -> None:
    running.max_attempts = 3
    for end in ("busy", "no_answer"):
        rule(session, running, end, next_number=True, delay=60)
    to = person(session, running)
    for n, end in enumerate((CallState.BUSY, CallState.NO_ANSWER, CallState.BUSY)):
        call(session, running, to, end, at=NOW + timedelta(hours=n))
    assert (to.state, to.closed_because) == ("closed", "attempts used up")


def test_a_cap_moves_the_next_attempt_on(session: Session, running: Campaign) -> None:
    running.number_caps, running.hours = "2/7d", "09:00-20:00"
    to = person(session, running, phone2=None)
    call(session, running, to, CallState.NO_ANSWER)
    assert to.next_at == NOW + timedelta(hours=1)
    call(session, running, to, CallState.NO_ANSWER, at=NOW + timedelta(hours=1))
    assert to.next_at == NOW + timedelta(days=7), "when the first of the two is seven days old"


def test_the_gap_moves_it_on_too(session: Session, running: Campaign) -> None:
    running.number_gap = 7200.0
    to = person(session, running, phone2=None)
    call(session, running, to, CallState.NO_ANSWER)
    assert to.next_at == NOW + timedelta(hours=2)


def test_days_between_are_kept_with_the_hours(session: Session, running: Campaign) -> None:
    running.hours = "09:00-20:00"
    rule(session, running, "no_answer", days=2, delay=60)
    to = person(session, running, phone2=None)
    call(session, running, to, CallState.NO_ANSWER)
    assert to.next_at == datetime(2026, 3, 4, 8, 0, tzinfo=UTC)
