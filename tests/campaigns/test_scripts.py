from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import disposing, scripts
from campaigns.models import Agent, Assignment, Attempt, Campaign, Contact, Ledger, Offer
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring")
    scripts.set_script(session, made, "Hello {first_name|there}, I am {agent}. {custom.Colour}?", now=NOW, who="x")
    scripts.set_form(session, made, ["budget*:number", "remark"], now=NOW, who="x")
    return made


@pytest.fixture
def bruno(session: Session, running: Campaign) -> Contact:
    return factories.contact(
        session, running, first_name="Bruno {agent}", custom={"Colour": "red\x1b[0m"}, phone="+390612345678"
    )


@pytest.fixture
def anna(session: Session, running: Campaign) -> Agent:
    return factories.parked_agent(session, running, name="Anna")[0]


READ = "Hello Bruno {agent}, I am Anna. red [0m?"


def talk(session: Session, running: Campaign, anna: Agent, bruno: Contact) -> Attempt:
    made = factories.attempt(session, running, contact=bruno, state=CallState.JOINED, joined_at=NOW, agent_id=anna.id)
    leg = factories.leg(session, running, factories.agent(session, running), state="held")
    session.add(Assignment(attempt_id=made.id, agent_id=anna.id, leg_id=leg.id, assigned_at=NOW))
    anna.state = "talking"
    session.flush()
    return made


def test_who_talks_reads_the_persons_script(session: Session, running: Campaign, anna: Agent, bruno: Contact) -> None:
    with pytest.raises(NotFound, match="nobody to read to"):
        scripts.for_agent(session, anna)
    made = talk(session, running, anna, bruno)
    shown = scripts.for_agent(session, anna)
    assert (shown.text, shown.call, shown.number) == (READ, made.ref, "+390612345678")
    assert [str(field) for field in shown.form] == ["budget*:number", "remark"]
    assert "sale" in shown.words


def test_who_has_an_offer_or_a_call_that_rings_reads_it_too(
    session: Session, running: Campaign, anna: Agent, bruno: Contact
) -> None:
    until = NOW + timedelta(minutes=1)
    session.add(Offer(campaign_id=running.id, contact_id=bruno.id, agent_id=anna.id, offered_at=NOW, until=until))
    session.flush()
    shown = scripts.for_agent(session, anna)
    assert (shown.text, shown.call) == (READ, None)
    ringing = factories.attempt(session, running, state=CallState.RINGING, reserved_agent_id=anna.id)
    anna.reserved_for, anna.reserved_until, anna.reserved_attempt_id = "call", until, ringing.id
    session.flush()
    assert scripts.for_agent(session, anna).call == ringing.ref


def test_answers_are_kept_with_the_call(session: Session, running: Campaign, anna: Agent, bruno: Contact) -> None:
    made = talk(session, running, anna, bruno)

    def say(code: str, **answers: str) -> None:
        disposing.dispose(session, anna, code, answers=answers, timing=TimingSettings(), now=NOW, who="x")

    say("later", remark="at lunch")
    with pytest.raises(BadInput, match="wants budget"):
        say("sale")
    with pytest.raises(BadInput, match="no field 'size'"):
        say("sale", size="1")
    say("sale", budget="9,5")
    assert made.answers == {"remark": "at lunch", "budget": 9.5}
    assert scripts.for_agent(session, anna).answers == made.answers
    disposing.correct(session, made.ref, "refusal", why="x", timing=TimingSettings(), now=NOW, who="x")
    assert made.answers == {"remark": "at lunch", "budget": 9.5}


def test_a_script_says_which_columns_nobody_has(session: Session, running: Campaign, bruno: Contact) -> None:
    assert scripts.set_script(session, running, "{custom.Colour} {custom.Size}", now=NOW, who="x") == ["Size"]
    with pytest.raises(BadInput, match="no field 'nome'"):
        scripts.set_script(session, running, "{nome}", now=NOW, who="x")
    assert running.script == "{custom.Colour} {custom.Size}"


def test_changes_are_in_the_ledger_and_an_archived_campaign_stays(session: Session, running: Campaign) -> None:
    scripts.set_form(session, running, ["budget*:number", "remark"], now=NOW, who="x")  # as it was
    session.flush()
    assert session.scalars(select(Ledger.kind).order_by(Ledger.id)).all() == ["script", "form"]
    running.state = "archived"
    for change in (
        lambda: scripts.set_script(session, running, "x", now=NOW, who="x"),
        lambda: scripts.set_form(session, running, ["x"], now=NOW, who="x"),
    ):
        with pytest.raises(BadInput, match="archived"):
            change()
