"""Who said no to any campaign is left in peace by all that are under a law that asks it, and by no other."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import dispositions, gate, putting_off, why
from campaigns.gate import Claim
from campaigns.lines import Lines
from campaigns.models import Attempt, Campaign, Contact
from dialer.errors import BadInput
from dialer.settings import TimingSettings
from tests import factories

NOW = datetime(2026, 9, 1, 9, 0, tzinfo=UTC)  # a Tuesday, 11:00 in Paris
SAID = NOW - timedelta(days=20)
PEACE = datetime(2026, 10, 11, 22, 0, tzinfo=UTC)  # sixty days after 12 August are over: midnight in Paris
MONDAY = datetime(2026, 10, 12, 8, 0, tzinfo=UTC)  # the first hour of the law after that
FIXED, MOBILE = "+33142278186", "+33612345678"


def campaign(session: Session, pack: str = "fr-2026", **values: object) -> Campaign:
    made = factories.campaign(
        session, country="FR", rule_pack=pack, number_gap=0.0, hours="always", mode="progressive", **values
    )
    factories.lease(session, made)
    return made


def someone(session: Session, of: Campaign, phone: str = FIXED, **values: object) -> Contact:
    return factories.contact(session, of, phone=phone, consent=True, next_at=NOW - timedelta(hours=1), **values)


def said(session: Session, of: Campaign, number: str, code: str = "refusal", at: datetime = SAID) -> Attempt:
    past = factories.contact(session, of, phone=number, state="closed", next_at=None)
    word = dispositions.get(session, of, code)
    return factories.attempt(
        session, of, contact=past, state="completed", ordered_at=at, sent_at=at, joined_at=at, ended_at=at,
        disposition_id=word.id, disposed_at=at,
    )  # fmt: skip


def refused(session: Session, of: Campaign, now: datetime = NOW) -> dict[str, int]:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    return dict(gate.order(session, of.id, 10, Lines({"4": 50}), claim, now=now, timing=TimingSettings()).refused)


def test_a_no_to_one_client_binds_every_campaign_for_sixty_days(session: Session) -> None:
    other, of = campaign(session, "default-2026"), campaign(session)
    said(session, other, FIXED)
    contact = someone(session, of)
    assert refused(session, of) == {"refusal": 1}
    assert (contact.state, contact.next_at) == ("open", MONDAY)
    contact.next_at = NOW
    assert refused(session, of, MONDAY) == {}
    proof = session.scalars(select(Attempt.proof).where(Attempt.campaign_id == of.id)).one()
    (kept,) = [rule for rule in proof["rules"] if rule["rule"] == "refusal"]
    assert (kept["allowed"], kept["against"]["days"], kept["against"]["law"]) == (True, 60, "fr-2026")


def test_it_was_the_person_who_said_no_and_not_the_number(session: Session) -> None:
    of = campaign(session)
    said(session, of, MOBILE)
    someone(session, of, phone2=MOBILE)
    assert refused(session, of) == {"refusal": 1}


def test_a_no_on_a_number_the_contact_has_no_more_still_holds(session: Session) -> None:
    of = campaign(session)
    contact = someone(session, of)
    told = said(session, of, MOBILE)
    told.contact_id = contact.id
    assert refused(session, of) == {"refusal": 1}


def test_do_not_call_is_a_no_even_when_it_was_lifted_from_the_list(session: Session) -> None:
    of = campaign(session)
    said(session, of, FIXED, "dnc")
    someone(session, of)
    assert refused(session, of) == {"refusal": 1}


@pytest.mark.parametrize("code", ["done", "later", "machine", "callback"])
def test_other_words_are_no_refusal(session: Session, code: str) -> None:
    of = campaign(session)
    said(session, of, FIXED, code)
    someone(session, of)
    assert refused(session, of) == {}


def test_a_corrected_word_is_what_counts(session: Session) -> None:
    of = campaign(session)
    told = said(session, of, FIXED)
    someone(session, of)
    told.disposition_id = dispositions.get(session, of, "wrong").id
    assert refused(session, of) == {}


def test_a_list_under_the_law_binds_a_campaign_that_is_not(session: Session) -> None:
    of = campaign(session, "default-2026")
    said(session, of, FIXED)
    free = someone(session, of, list_id=factories.contact_list(session, of).id, phone2=FIXED, phone=MOBILE)
    assert refused(session, of) == {}
    free.state = "closed"
    someone(session, of, list_id=factories.contact_list(session, of, rule_pack="fr-2026").id)
    assert refused(session, of) == {"refusal": 1}


def test_plans_and_explanations_know_it(session: Session) -> None:
    of = campaign(session)
    said(session, of, FIXED)
    contact = someone(session, of)
    assert putting_off.next_allowed(session, of, contact, FIXED, NOW) == MONDAY
    told = {one.rule: one for one in why.explain(session, of, str(contact.id), now=NOW, ring_seconds=30).verdicts}
    assert (told["refusal"].allowed, told["refusal"].until) == (False, PEACE)
    assert "said no on 2026-08-12; fr-2026 leaves them in peace for 60 days" in told["refusal"].why


def test_a_word_that_said_no_cannot_be_given_another_meaning(session: Session) -> None:
    of = campaign(session)
    with pytest.raises(BadInput, match="retire it"):
        dispositions.change(session, of, "refusal", meaning="human", now=NOW, who="cli:anna")
    row, _ = dispositions.change(session, of, "done", meaning="refusal", now=NOW, who="cli:anna")
    assert row.meaning == "refusal"
