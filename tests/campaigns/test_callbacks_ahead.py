"""A promised callback is called when it is due, for an agent who is kept for it, and the team is not emptied for it."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import callbacks, callbacks_ahead
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Assignment, Attempt, Contact, Ledger, PaceDecision
from dialer.calls import CallState
from tests import factories
from tests.campaigns.modes_kit import Desk, desk


def at_desk(application: Application, session: Session, **campaign: object) -> Desk:
    return desk(application, session, **{"mode": "progressive", **campaign})


@pytest.fixture
def office(application: Application, session: Session) -> Desk:
    return at_desk(application, session)


def promised(at: Desk, seconds: float = -1.0) -> Contact:
    """A callback due so many seconds from now."""
    due = database_now(at.session) + timedelta(seconds=seconds)
    return factories.contact(at.session, at.campaign, due_date=due.date(), next_at=due)


def kept(at: Desk) -> dict[str, int]:
    at.session.expire_all()
    counts: dict[str, int] = {}
    for what in at.session.scalars(select(Agent.reserved_for)):
        counts[what] = counts.get(what, 0) + 1
    return counts


@pytest.mark.parametrize("mode", ["progressive", "power", "predictive"])
def test_a_due_callback_is_called_with_an_agent_reserved_in_the_same_transaction(
    application: Application, session: Session, mode: str
) -> None:
    office = at_desk(application, session, mode=mode)
    for _ in range(2):
        office.agent()
    contact = promised(office)
    office.tick()
    attempt = session.scalars(select(Attempt)).one()
    assert (attempt.contact_id, attempt.mode) == (contact.id, mode)
    agent = session.get_one(Agent, attempt.reserved_agent_id)
    assert (agent.reserved_for, agent.reserved_attempt_id) == ("call", attempt.id)
    assert "besides 1 callback, an agent kept for each" in session.scalars(select(PaceDecision.why)).one()
    assert {"hours", "do_not_call"} <= {rule["rule"] for rule in attempt.proof["rules"]}


def test_a_callback_is_never_called_without_an_agent_to_keep(office: Desk) -> None:
    contact = promised(office)
    factories.agent(office.session, office.campaign, state="talking")
    for _ in range(3):
        office.tick()
    assert office.session.scalars(select(Attempt.id)).all() == []
    assert contact.state == "open"
    office.agent()
    office.tick()
    assert office.session.scalars(select(Attempt.contact_id)).all() == [contact.id]


def test_an_agent_is_kept_ahead_when_a_callback_is_nearly_due_and_used_when_it_is(office: Desk) -> None:
    office.agent()
    contact = promised(office, 15.0)
    office.tick()
    assert kept(office) == {"callback": 1}
    customer = factories.attempt(office.session, office.campaign)
    office.answer(customer)
    assert office.session.scalars(select(Assignment.id)).all() == [], "kept means kept"
    office.session.execute(text("UPDATE attempts SET ended_at = now(), state = 'failed'"))

    contact.next_at = database_now(office.session)
    office.tick()
    attempt = office.session.scalars(select(Attempt).where(Attempt.contact_id == contact.id)).one()
    assert kept(office) == {"call": 1}
    office.answer(attempt)
    assert office.session.scalars(select(Assignment.attempt_id)).all() == [attempt.id]


def test_no_agent_is_kept_for_a_callback_that_is_far_away(office: Desk) -> None:
    office.agent()
    promised(office, 25.0)
    office.tick()
    assert kept(office) == {"": 1}


def test_who_is_kept_for_nothing_is_let_go(office: Desk) -> None:
    office.agent()
    contact = promised(office, 15.0)
    office.tick()
    contact.next_at = database_now(office.session) + timedelta(hours=1)
    office.tick()
    assert kept(office) == {"": 1}
    contact.next_at = database_now(office.session) + timedelta(seconds=15)
    office.tick()
    office.session.execute(text("UPDATE agents SET reserved_until = now() - interval '1 s'"))
    office.campaign.state = "paused"  # its leader keeps nobody any more
    office.people()
    assert kept(office) == {"": 1}


def test_at_most_half_the_team_is_kept_at_once_and_at_least_one(office: Desk) -> None:
    for _ in range(5):
        office.agent()
    for _ in range(4):
        promised(office)
    office.tick()
    office.tick()
    assert kept(office) == {"call": 2, "": 3}
    assert len(office.session.scalars(select(Attempt.id)).all()) == 2, "the free agents' calls are not the promised"
    assert [callbacks_ahead.most_reserved(team) for team in (0, 1, 2, 3, 10)] == [1, 1, 1, 1, 5]


def test_an_ordinary_call_does_not_take_the_agent_a_callback_needs(office: Desk) -> None:
    office.agent()
    promised(office)
    factories.contact(office.session, office.campaign)
    office.tick()
    assert len(office.session.scalars(select(Attempt.id)).all()) == 1, "one agent, one call: the callback"
    assert office.session.scalars(select(Attempt.reserved_agent_id)).one() is not None


def test_somebody_who_waits_on_the_line_comes_before_a_callback(office: Desk) -> None:
    waiting = factories.attempt(office.session, office.campaign)
    office.answer(waiting)
    agent = office.agent()
    promised(office)
    office.tick()
    assert agent.reserved_for == ""
    assert len(office.session.scalars(select(Attempt.id)).all()) == 1


def test_a_callback_that_is_not_answered_frees_the_agent_and_stays_a_callback(office: Desk) -> None:
    office.agent()
    contact = promised(office)
    office.tick()
    attempt = office.session.scalars(select(Attempt)).one()
    office.not_answered(attempt)
    assert (attempt.state, contact.state, kept(office)) == (CallState.NO_ANSWER, "open", {"": 1})


def test_rules_hold_for_callbacks_too(application: Application, session: Session) -> None:
    office = at_desk(application, session, hours="00:00-00:01")
    office.agent()
    contact = promised(office)
    office.tick()
    assert session.scalars(select(Attempt.id)).all() == []
    assert contact.next_at is not None
    assert contact.next_at > database_now(session)


def test_on_dead_knowledge_no_callback_is_ordered(office: Desk) -> None:
    office.agent()
    promised(office)
    office.session.execute(text("UPDATE pbx_status SET read_at = now() - interval '2 minutes'"))
    office.tick()
    assert office.session.scalars(select(Attempt.id)).all() == []


def test_an_agentless_campaign_never_answers_a_promise_with_a_recording(
    application: Application, session: Session
) -> None:
    office = at_desk(application, session, mode="agentless")
    promised(office)
    office.tick()
    assert session.scalars(select(Attempt.id)).all() == []


def test_agents_are_put_on_the_line_for_a_callback_that_is_nearly_due(office: Desk) -> None:
    ready = factories.agent(office.session, office.campaign)
    promised(office, 15.0)
    office.tick()
    assert ready.state == "parking"


def test_every_reservation_is_in_the_ledger(office: Desk) -> None:
    agent = office.agent()
    promised(office, 15.0)
    office.tick()
    row = office.session.scalars(select(Ledger).where(Ledger.kind == "reserved")).one()
    assert (row.agent_id, row.why, row.who) == (agent.id, "callback", "scheduler:one")


@pytest.mark.parametrize("order", ["", "priority,freshest", "best-time"])
def test_an_owner_is_given_their_callback_in_a_campaign_with_an_order_of_its_own(
    application: Application, session: Session, order: str
) -> None:
    office = at_desk(application, session, contact_order=order)
    owner, _ = office.agent(), office.agent()
    contact = promised(office)
    contact.kept_as, contact.kept_for = callbacks.OWNER, owner.id
    contact.kept_until = contact.next_at + timedelta(minutes=5)
    office.tick()
    attempt = session.scalars(select(Attempt)).one()
    assert (attempt.contact_id, attempt.reserved_agent_id) == (contact.id, owner.id)


@pytest.mark.parametrize("order", ["", "due"])
def test_a_preview_agent_is_offered_the_callback_they_own_whatever_the_order(
    application: Application, session: Session, order: str
) -> None:
    office = at_desk(application, session, mode="preview", contact_order=order)
    owner = office.agent()
    contact = promised(office)
    contact.kept_as, contact.kept_for = callbacks.OWNER, owner.id
    contact.kept_until = contact.next_at + timedelta(minutes=5)
    office.tick()
    assert owner.reserved_for == "offer"
    assert contact.state == "live"
