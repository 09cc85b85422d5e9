"""A next time is planned inside what a rule pack asks: hours, holidays, caps and rest, beside the campaign's own."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from campaigns import gate, judging, putting_off
from campaigns.gate import Claim
from campaigns.judging import Known
from campaigns.lines import Lines
from campaigns.models import Campaign, Contact
from dialer.calls import CallState
from dialer.settings import TimingSettings
from tests import factories

ROME, PARIS, MIAMI = "+390612345678", "+33142278186", "+13055551234"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def campaign(session: Session, pack: str, **values: object) -> Campaign:
    made = factories.campaign(session, **{"rule_pack": pack, "number_gap": 0.0, "hours": "00:00-24:00", **values})
    factories.lease(session, made)
    return made


def called(session: Session, of: Campaign, number: str, *times: datetime, state: str = CallState.NO_ANSWER) -> None:
    past = factories.contact(session, of, phone=number, state="closed", next_at=None)
    for when in times:
        factories.attempt(session, of, contact=past, state=state, ordered_at=when, sent_at=when, ended_at=when)


def planned(session: Session, of: Campaign, contact: Contact, asked: datetime) -> datetime:
    """The next time, of which the pack's and the campaign's rules are asked once more."""
    found = putting_off.next_allowed(session, of, contact, contact.phone, asked)
    known = Known.read(session, of, [contact], found, ring_seconds=60)
    verdicts = judging.of_the_time(known, contact, contact.phone, found, with_agent=False)
    assert [verdict.why for verdict in verdicts if not verdict.allowed and verdict.rule != "consent"] == []
    return found


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ("2026-03-02T22:30", "2026-03-03T08:00"),  # after the pack's day
        ("2026-03-07T18:30", "2026-03-09T08:00"),  # Saturday evening: no calls on Sundays
        ("2026-06-01T19:00", "2026-06-03T07:00"),  # before the feast of 2 June
    ],
)
def test_a_next_time_keeps_to_the_hours_and_holidays_of_the_pack(session: Session, asked: str, expected: str) -> None:
    of = campaign(session, "it-2026")
    assert planned(session, of, factories.contact(session, of, phone=ROME), at(asked)) == at(expected)


def test_a_next_time_keeps_to_the_hours_where_the_address_is(session: Session) -> None:
    of = campaign(session, "default-2026", hours="09:00-20:00")
    here = factories.contact(session, of, phone=ROME, time_zone="America/New_York")
    assert planned(session, of, here, at("2026-03-02T10:00")) == at("2026-03-02T14:00")


def test_a_next_time_waits_for_the_caps_of_the_pack_and_of_the_campaign(session: Session) -> None:
    first = at("2026-03-02T10:00")
    of = campaign(session, "fr-2026", number_caps="1/3d")
    person = factories.contact(session, of, phone=PARIS)
    called(session, campaign(session, "default-2026"), PARIS, first)
    assert planned(session, of, person, at("2026-03-03T10:00")) == first + timedelta(days=3)
    called(session, of, PARIS, *(first + timedelta(days=n) for n in (1, 2, 3)))
    assert planned(session, of, person, at("2026-03-05T10:00")) == first + timedelta(days=30)


def test_a_next_time_waits_for_the_rest_after_an_abandoned_call(session: Session) -> None:
    of = campaign(session, "it-2026")
    called(session, of, ROME, at("2026-03-03T10:00"), state=CallState.ABANDONED)
    person = factories.contact(session, of, phone=ROME)
    assert planned(session, of, person, at("2026-03-03T12:00")) == at("2026-03-09T08:00")  # five days end on a Sunday


def test_who_is_refused_by_one_rule_comes_back_when_all_allow(session: Session) -> None:
    of = campaign(session, "it-2026", number_caps="1/day")
    saturday = at("2026-03-07T10:00")
    called(session, of, ROME, at("2026-03-07T09:30"))
    person = factories.contact(session, of, phone=ROME, next_at=saturday)
    claim = Claim(f"campaign:{of.id}", "test", 1)
    passed = gate.order(session, of.id, 5, Lines({"4": 5}), claim, now=saturday, timing=TimingSettings())
    assert dict(passed.refused) == {"number_cap": 1}
    assert person.next_at == at("2026-03-09T08:00")  # midnight lets the cap go, and Monday the pack


def test_a_consent_nobody_has_keeps_no_plan_from_being_made(session: Session) -> None:
    of = campaign(session, "default-2026", hours="09:00-20:00", needs_consent=True)
    person = factories.contact(session, of, phone=ROME)
    assert planned(session, of, person, at("2026-03-02T22:00")) == at("2026-03-03T08:00")
    claim, now = Claim(f"campaign:{of.id}", "test", 1), at("2026-03-03T09:00")
    person.next_at = now
    passed = gate.order(session, of.id, 5, Lines({"4": 5}), claim, now=now, timing=TimingSettings())
    assert dict(passed.refused) == {"consent": 1}
    assert person.next_at == now + putting_off.ASK_AGAIN_FOR_CONSENT
