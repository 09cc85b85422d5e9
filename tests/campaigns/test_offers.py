"""Preview: one contact, one agent, one answer; and nothing stays taken."""

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaigns import agents, dialling, gate, offers
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Assignment, Attempt, Contact, DoNotCall, Ledger, Offer, PaceDecision
from dialer.calls import CallState
from tests import factories
from tests.campaigns.modes_kit import Desk, desk, refused


@pytest.fixture
def preview(application: Application, session: Session) -> Desk:
    return desk(application, session, mode="preview", retry_delay=1800.0)


def offered(at: Desk) -> list[tuple[int, int]]:
    rows = at.session.execute(select(Offer.agent_id, Offer.contact_id).where(Offer.state == "open").order_by(Offer.id))
    return [(row.agent_id, row.contact_id) for row in rows]


def skip(at: Desk, agent: Agent, reason: str = "away") -> None:
    at.session.commit()
    with at.application.transaction() as session:
        locked = agents.locked(session, agent.id)
        offers.skip(session, locked, reason=reason, now=database_now(session), who="cli:anna")
    at.session.expire_all()


def test_each_free_agent_is_offered_one_contact_which_nobody_else_dials(preview: Desk) -> None:
    one, two = preview.agent(), preview.agent()
    contacts = [factories.contact(preview.session, preview.campaign) for _ in range(3)]
    preview.tick()
    preview.tick()
    assert offered(preview) == [(one.id, contacts[0].id), (two.id, contacts[1].id)]
    assert [contact.state for contact in contacts] == ["live", "live", "open"]
    assert (one.reserved_for, two.reserved_for) == ("offer", "offer")
    assert preview.session.scalars(select(Attempt.id)).all() == []
    first, *_ = preview.session.scalars(select(PaceDecision).order_by(PaceDecision.id))
    assert (first.calls, first.ordered, first.why) == (2, 2, "2: preview: 2 agents without an offer")
    other = factories.campaign(preview.session)
    twin = factories.contact(preview.session, other, phone=contacts[0].phone)
    assert twin.state == "open", "another campaign's contact of that number is judged by the number at its own gate"


def test_only_contacts_that_every_rule_allows_are_offered(preview: Desk) -> None:
    preview.agent()
    forbidden, good = (factories.contact(preview.session, preview.campaign) for _ in range(2))
    preview.session.add(DoNotCall(number=forbidden.phone, source="test"))
    preview.tick()
    assert [contact for _, contact in offered(preview)] == [good.id]
    assert (forbidden.state, forbidden.closed_because) == ("closed", "do not call")


def test_an_accepted_offer_is_called_for_that_agent_who_gets_the_customer(preview: Desk) -> None:
    mine = preview.agent()
    contact = factories.contact(preview.session, preview.campaign)
    preview.tick()
    preview.agent()  # one more, who is free and has waited
    made = dialling.accept(preview.application, mine.id, who="cli:anna")
    preview.session.expire_all()
    attempt = preview.session.get_one(Attempt, made.attempt)
    offer = preview.session.scalars(select(Offer)).one()
    assert (offer.state, offer.attempt_id, attempt.contact_id) == ("accepted", attempt.id, contact.id)
    assert (mine.reserved_for, mine.reserved_attempt_id, contact.state) == ("call", attempt.id, "live")
    preview.answer(attempt)
    assert preview.session.scalars(select(Assignment.agent_id)).all() == [mine.id]


def test_a_skipped_contact_comes_back_after_the_retry_delay(preview: Desk) -> None:
    mine = preview.agent()
    contact = factories.contact(preview.session, preview.campaign)
    preview.tick()
    skip(preview, mine)
    now = database_now(preview.session)
    assert contact.state == "open"
    assert contact.next_at is not None
    assert 1740 < (contact.next_at - now).total_seconds() <= 1800
    assert mine.reserved_for == ""
    told = preview.session.execute(
        select(Ledger.details["verb"].astext, Ledger.why, Ledger.who).where(Ledger.kind == "offer")
    )
    assert [tuple(row) for row in told] == [("offered", "", "scheduler:one"), ("skipped", "away", "cli:anna")]
    preview.tick()
    assert offered(preview) == [], "and not a moment before"


def test_a_skip_needs_a_reason_and_an_offer(preview: Desk) -> None:
    mine = preview.agent()
    assert "has no open offer" in refused(skip, preview, mine)
    factories.contact(preview.session, preview.campaign)
    preview.tick()
    assert refused(skip, preview, mine, " ").startswith("2: skipping a contact needs a reason")


def test_an_offer_that_is_not_answered_in_time_expires_and_the_contact_returns(preview: Desk) -> None:
    mine = preview.agent()
    contact = factories.contact(preview.session, preview.campaign)
    preview.tick()
    preview.people()
    assert len(offered(preview)) == 1
    preview.session.execute(text("UPDATE offers SET until = clock_timestamp() - interval '1 s'"))
    preview.session.commit()
    said = refused(dialling.accept, preview.application, mine.id, who="test")
    assert said.startswith("5: the offer's time is over"), "too late, even before anybody has tidied"
    preview.session.expire_all()
    assert (contact.state, mine.reserved_for) == ("open", "")
    assert preview.session.scalars(select(Offer.state)).all() == ["expired"]

    preview.tick()
    preview.session.execute(text("UPDATE offers SET until = clock_timestamp() - interval '1 s' WHERE state = 'open'"))
    preview.people()
    assert (contact.state, mine.reserved_for) == ("open", "")
    assert preview.session.scalars(select(Offer.state)).all() == ["expired", "expired"]


def test_when_a_rule_says_no_at_acceptance_the_offer_is_withdrawn_and_the_contact_put_off(preview: Desk) -> None:
    mine = preview.agent()
    contact = factories.contact(preview.session, preview.campaign)
    preview.tick()
    preview.session.add(DoNotCall(number=contact.phone, source="complaint"))
    preview.session.commit()
    assert "5: the number is on the do-not-call list" in refused(
        dialling.accept, preview.application, mine.id, who="test"
    )
    preview.session.expire_all()
    offer = preview.session.scalars(select(Offer)).one()
    assert (offer.state, offer.reason[:13], contact.state) == ("withdrawn", "the number is", "closed")
    assert mine.reserved_for == ""
    assert preview.session.scalars(select(Attempt.id)).all() == []


@pytest.mark.parametrize("change", ["logout", "pause the campaign", "other mode", "close the contact"])
def test_an_offer_that_has_come_to_nothing_is_withdrawn(preview: Desk, change: str) -> None:
    mine = preview.agent()
    contact = factories.contact(preview.session, preview.campaign)
    preview.tick()
    if change == "logout":
        with preview.application.transaction() as session:
            agents.logout(session, mine.id, now=database_now(session), who="test")
    elif change == "pause the campaign":
        preview.campaign.state = "paused"
    elif change == "other mode":
        preview.campaign.mode = "progressive"
    else:
        contact.state, contact.next_at, contact.closed_because = "closed", None, "do not call"
    preview.people()
    assert preview.session.scalars(select(Offer.state)).all() == ["withdrawn"]
    assert contact.state == ("closed" if change == "close the contact" else "open")
    assert mine.reserved_for == ""


def test_an_offered_contact_cannot_be_dialled_by_another_agent(preview: Desk) -> None:
    preview.agent()
    contact = factories.contact(preview.session, preview.campaign)
    preview.tick()
    other = preview.agent()
    said = refused(
        dialling.call, preview.application, other.id, preview.campaign.id, contact=str(contact.id), who="test"
    )
    assert said == "5: the contact is offered to an agent now"


def test_an_agent_who_reads_an_offer_is_given_no_customer_of_another_campaign(preview: Desk) -> None:
    from campaigns.models import CampaignAgent

    mine = preview.agent()
    factories.contact(preview.session, preview.campaign)
    preview.tick()
    other = factories.campaign(preview.session)
    preview.session.add(CampaignAgent(campaign_id=other.id, agent_id=mine.id))
    attempt = factories.attempt(preview.session, other)
    preview.answer(attempt)
    assert preview.session.scalars(select(Assignment.id)).all() == []


def test_after_the_call_the_contact_follows_the_retry_rules_and_the_agent_is_offered_the_next(preview: Desk) -> None:
    mine = preview.agent()
    contact = factories.contact(preview.session, preview.campaign)
    preview.tick()
    made = dialling.accept(preview.application, mine.id, who="test")
    preview.session.expire_all()
    attempt = preview.session.get_one(Attempt, made.attempt)
    preview.not_answered(attempt)
    assert (attempt.state, contact.state, mine.reserved_for) == (CallState.NO_ANSWER, "open", "")
    following = factories.contact(preview.session, preview.campaign)
    preview.tick()
    assert offered(preview) == [(mine.id, following.id)]


def test_two_leaders_cannot_offer_one_contact_twice(preview: Desk, session: Session) -> None:
    mine = preview.agent()
    contact = factories.contact(session, preview.campaign)
    preview.tick()
    other = preview.agent()
    now = database_now(session)
    for agent_id, which in ((other.id, "uq_offers_open_contact"), (mine.id, "uq_offers_open_agent")):
        another = contact if agent_id == other.id else factories.contact(session, preview.campaign)
        twice = insert(Offer).values(
            campaign_id=preview.campaign.id, contact_id=another.id, agent_id=agent_id, offered_at=now, until=now
        )
        with pytest.raises(IntegrityError, match=which), session.begin_nested():
            session.execute(twice)
    claim = gate.Claim(f"campaign:{preview.campaign.id}", "other", 99)
    with pytest.raises(gate.LeaseLost):
        offers.offer(session, preview.campaign.id, 1, claim, now=now, timing=preview.application.settings.timing)


def test_a_callback_is_offered_in_preview_like_any_contact(preview: Desk) -> None:
    mine = preview.agent()
    promised = factories.contact(preview.session, preview.campaign, due_date=factories.NOW.date())
    preview.tick()
    assert offered(preview) == [(mine.id, promised.id)]
    assert preview.session.scalars(select(Contact.state)).all() == ["live"]
