"""A person dials: the same gate, the same rules, and the agent on the line before the customer's phone rings."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import dialling
from campaigns.application import Application
from campaigns.models import Agent, AgentLeg, Attempt, Contact, ContactList, DoNotCall, Ledger
from campaigns.pbx_status import note_trouble
from dialer.calls import CallState
from tests import factories
from tests.campaigns.modes_kit import Desk, desk, refused


@pytest.fixture
def manual(application: Application, session: Session) -> Desk:
    return desk(application, session, mode="manual")


def dial(at: Desk, agent: Agent, **what: str) -> dialling.Dialled:
    at.session.commit()
    made = dialling.call(at.application, agent.id, at.campaign.id, who="cli:anna", **what)
    at.session.expire_all()
    return made


def no(at: Desk, agent: Agent, **what: str) -> str:
    at.session.commit()
    said = refused(dialling.call, at.application, agent.id, at.campaign.id, who="cli:anna", **what)
    at.session.expire_all()
    return said


def test_a_contact_is_called_for_the_agent_and_keeps_the_proof_of_every_rule(manual: Desk) -> None:
    agent, contact = manual.agent(), factories.contact(manual.session, manual.campaign)
    made = dial(manual, agent, contact=str(contact.id))
    attempt = manual.session.get_one(Attempt, made.attempt)
    assert (made.number, made.contact, attempt.mode, attempt.fence) == (contact.phone, contact.id, "manual", 0)
    assert {rule["rule"] for rule in attempt.proof["rules"]} == {
        "campaign",
        "do_not_call",
        "attempts",
        "number_open",
        "hours",
        "number_gap",
        "not_before",
    }
    ordered = manual.session.scalars(select(Ledger).where(Ledger.kind == "ordered")).one()
    assert (ordered.who, ordered.agent_id, ordered.details["number"]) == ("cli:anna", agent.id, contact.phone)
    assert contact.state == "live"


@pytest.mark.parametrize("mode", ["manual", "preview", "progressive", "power", "predictive"])
def test_it_works_in_every_mode_that_has_agents(application: Application, session: Session, mode: str) -> None:
    at = desk(application, session, mode=mode)
    contact = factories.contact(session, at.campaign)
    assert dial(at, at.agent(), contact=str(contact.id)).contact == contact.id


def test_nobody_dials_in_an_agentless_campaign(application: Application, session: Session) -> None:
    at = desk(application, session, mode="agentless")
    contact = factories.contact(session, at.campaign)
    assert "is agentless: nobody dials in it" in no(at, at.agent(), contact=str(contact.id))


def test_do_not_call_is_a_refusal_with_its_sentence(manual: Desk) -> None:
    agent, contact = manual.agent(), factories.contact(manual.session, manual.campaign)
    manual.session.add(DoNotCall(number=contact.phone, source="complaint"))
    assert no(manual, agent, contact=str(contact.id)).startswith("5: the number is on the do-not-call list of any")
    assert manual.session.scalars(select(Attempt.id)).all() == []


def test_the_hours_the_gap_the_cap_and_the_contacts_time_are_asked_too(manual: Desk) -> None:
    agent, session = manual.agent(), manual.session
    contact = factories.contact(session, manual.campaign)
    contact.next_at = session.scalar(text("SELECT now() + interval '1 hour'"))
    assert "5: not before" in no(manual, agent, contact=str(contact.id))
    contact.next_at = factories.NOW
    past = factories.attempt(session, manual.campaign, contact=contact, state=CallState.NO_ANSWER)
    session.execute(text("UPDATE attempts SET sent_at = now() WHERE id = :i"), {"i": past.id})
    assert "must lie between two calls" in no(manual, agent, contact=str(contact.id))
    manual.campaign.number_gap, manual.campaign.max_attempts = 0, 1
    assert no(manual, agent, contact=str(contact.id)) == "5: all 1 attempts are used up"
    manual.campaign.max_attempts, manual.campaign.hours = 9, "00:00-00:01"
    assert no(manual, agent, contact=str(contact.id)).startswith("5: ")
    manual.campaign.hours = "always"
    dial(manual, agent, contact=str(contact.id))


def test_a_number_that_is_in_a_call_elsewhere_is_refused(manual: Desk) -> None:
    agent, contact = manual.agent(), factories.contact(manual.session, manual.campaign)
    other = factories.campaign(manual.session)
    factories.attempt(manual.session, other, contact=factories.contact(manual.session, other, phone=contact.phone))
    assert no(manual, agent, contact=str(contact.id)) == (
        "5: a call to the number is open since 09:00:00 UTC, for another contact"
    )


@pytest.mark.parametrize(("state", "stands"), [("paused", "paused"), ("stopped", "stopped"), ("draft", "a draft")])
def test_a_campaign_that_does_not_run_calls_nobody_and_rings_no_agent(manual: Desk, state: str, stands: str) -> None:
    agent = factories.agent(manual.session, manual.campaign)
    contact = factories.contact(manual.session, manual.campaign)
    manual.campaign.state = state
    assert f"the campaign is {stands}, not running" in no(manual, agent, contact=str(contact.id))
    assert manual.session.scalars(select(AgentLeg.id)).all() == []


def test_a_number_nobody_listed_is_kept_apart_and_never_dialled_by_itself(manual: Desk) -> None:
    agent = manual.agent()
    made = dial(manual, agent, number="02 1234 5678")
    contact = manual.session.get_one(Contact, made.contact)
    assert (contact.phone, manual.session.get_one(ContactList, contact.list_id).kind) == ("+390212345678", "manual")
    attempt = manual.session.get_one(Attempt, made.attempt)
    manual.not_answered(attempt)
    assert (contact.state, contact.closed_because, contact.next_at) == ("closed", "dialled by hand", None)
    manual.campaign.number_gap = 0
    again = dial(manual, agent, number="+390212345678")
    assert again.contact == contact.id, "by hand it may be dialled again, and it is the same contact"


def test_a_number_of_a_contact_is_that_contact(manual: Desk) -> None:
    contact = factories.contact(manual.session, manual.campaign)
    assert dial(manual, manual.agent(), number=contact.phone).contact == contact.id


def test_what_is_no_number_is_wrong_use(manual: Desk) -> None:
    assert no(manual, manual.agent(), number="hello").startswith("2: 'hello' cannot be dialled")


def test_an_agent_who_is_ready_is_put_on_the_line_first_and_the_customer_is_called_only_then(manual: Desk) -> None:
    agent = factories.agent(manual.session, manual.campaign)
    contact = factories.contact(manual.session, manual.campaign)
    seen: list[int] = []

    def answers(seconds: float) -> None:
        with manual.application.transaction() as session:
            seen.append(len(session.scalars(select(Attempt.id)).all()))
            leg = session.scalars(select(AgentLeg)).one()
            leg.state, leg.pbx_call_id, leg.first_leg_id = "held", "9", "5"
            session.get_one(Agent, agent.id).state = "parked"

    manual.application.clock.sleep = answers  # type: ignore[method-assign]
    dial(manual, agent, contact=str(contact.id))
    assert seen == [0], "no customer was ordered while the agent's phone rang"
    assert agent.reserved_for == "call"


def test_a_phone_that_is_not_answered_costs_the_customer_nothing(manual: Desk) -> None:
    agent = factories.agent(manual.session, manual.campaign)
    contact = factories.contact(manual.session, manual.campaign)
    assert no(manual, agent, contact=str(contact.id)).startswith("75: the phone of agent")
    assert manual.session.scalars(select(Attempt.id)).all() == []


@pytest.mark.parametrize(
    ("state", "says"),
    [("out", "2: {} is out"), ("paused", "2: {} is paused"), ("talking", "75: {} is talking"),
     ("wrap_up", "75: {} is in wrap-up: after this call")],
)  # fmt: skip
def test_an_agent_who_is_not_free_is_told_so(manual: Desk, state: str, says: str) -> None:
    agent = factories.agent(manual.session, manual.campaign, state=state)
    contact = factories.contact(manual.session, manual.campaign)
    assert no(manual, agent, contact=str(contact.id)).startswith(says.format(f"agent {agent.name}"))


def test_an_agent_of_another_campaign_is_refused(manual: Desk) -> None:
    other = factories.campaign(manual.session)
    agent, _ = factories.parked_agent(manual.session, other)
    contact = factories.contact(manual.session, manual.campaign)
    assert "does not work for campaign" in no(manual, agent, contact=str(contact.id))


def test_one_call_at_a_time(manual: Desk) -> None:
    agent = manual.agent()
    one, two = (factories.contact(manual.session, manual.campaign) for _ in range(2))
    dial(manual, agent, contact=str(one.id))
    assert "75: agent" in no(manual, agent, contact=str(two.id))


def test_nothing_is_ordered_on_dead_knowledge_in_trouble_or_without_a_line(manual: Desk) -> None:
    agent, contact = manual.agent(), factories.contact(manual.session, manual.campaign)
    manual.campaign.max_lines = 1
    open_call = factories.attempt(manual.session, manual.campaign)
    assert no(manual, agent, contact=str(contact.id)) == "75: no call now: no line is free"
    manual.session.execute(text("UPDATE attempts SET ended_at = now(), state = 'failed'"))
    manual.session.execute(text("UPDATE pbx_status SET read_at = now() - interval '2 minutes'"))
    assert "75: no call now: the PBX last said 12" in no(
        manual, agent, contact=str(contact.id)
    )  # 120 s ago, or a few more
    manual.session.execute(text("UPDATE pbx_status SET read_at = now()"))
    manual.session.commit()
    note_trouble(manual.application, "main", "it burns")
    assert "it burns" in no(manual, agent, contact=str(contact.id))
    assert manual.session.scalars(select(Attempt.id)).all() == [open_call.id]


def test_a_manual_campaign_orders_nothing_by_itself_and_says_so(manual: Desk) -> None:
    from campaigns.models import PaceDecision

    manual.agent()
    factories.contact(manual.session, manual.campaign)
    manual.tick()
    assert manual.session.scalars(select(Attempt.id)).all() == []
    assert manual.session.scalars(select(PaceDecision.why)).one() == "0: manual: agents place their own calls"


def test_in_manual_mode_agents_are_not_parked_ahead_and_one_fetched_for_a_call_has_a_moment(manual: Desk) -> None:
    ready = factories.agent(manual.session, manual.campaign)
    factories.contact(manual.session, manual.campaign)
    fetched = manual.agent()
    now = manual.session.scalar(text("SELECT clock_timestamp()"))
    assert now is not None
    fetched.since = now
    manual.tick()
    manual.tick()
    assert (ready.state, fetched.state) == ("ready", "parked")
    fetched.since = now - timedelta(minutes=1)
    manual.tick()
    manual._scheduler._pacing[manual.campaign.id].pbxes["main"].idle_since = now - timedelta(minutes=1)
    manual.tick()
    assert fetched.state == "ready", "let off the line when no call came of it"
