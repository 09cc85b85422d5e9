"""Calls with no agent behind them: everybody who answers hears the message, and nobody is counted as abandoned."""

import random
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import budgets, overview
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, AgentLeg, Attempt, Contact, Ledger, PaceDecision
from campaigns.report_shape import Period
from campaigns.reports_abandonment import abandonment
from dialer.calls import CallState
from dialer.pbx.base import Heard, Role, WaitingLeg
from tests import factories
from tests.campaigns.modes_kit import Desk, desk


@pytest.fixture
def machine(application: Application, session: Session) -> Desk:
    return desk(application, session, mode="agentless")


def ordered(at: Desk) -> Attempt:
    factories.contact(at.session, at.campaign)
    at.tick()
    return at.session.scalars(select(Attempt).order_by(Attempt.id.desc()).limit(1)).one()


def test_with_nobody_at_work_the_lines_are_filled_up_to_the_campaigns_limit(machine: Desk) -> None:
    machine.campaign.max_lines = 4
    for _ in range(9):
        factories.contact(machine.session, machine.campaign)
    machine.tick()
    machine.tick()
    assert len(machine.session.scalars(select(Attempt.id)).all()) == 4
    decisions = machine.session.scalars(select(PaceDecision).order_by(PaceDecision.id)).all()
    assert (decisions[0].calls, decisions[0].limits["bound_by"]) == (4, ["campaign lines"])


def test_who_answers_hears_the_message_at_once_and_the_contact_is_closed(machine: Desk) -> None:
    attempt = ordered(machine)
    machine.answer(attempt)
    assert machine.pbx.commands("play_message") == [WaitingLeg(f"9{attempt.id}", f"2{attempt.id}")]
    assert machine.pbx.commands("join") == []
    assert attempt.state == CallState.MESSAGE
    assert attempt.message_at is not None
    assert attempt.answered_at is not None
    assert attempt.message_at - attempt.answered_at < timedelta(seconds=attempt.answer_limit - 0.35)  # not at the last
    machine.say(attempt, Heard.ANSWERED, Role.MESSAGE)
    machine.ended(attempt)
    assert (attempt.state, attempt.trouble) == (CallState.PLAYED, "")
    contact = machine.session.get_one(Contact, attempt.contact_id)
    assert (contact.state, contact.closed_because) == ("closed", "message played")
    kinds = machine.session.scalars(
        select(Ledger.kind).where(Ledger.attempt_id == attempt.id).order_by(Ledger.id)
    ).all()
    assert "abandoned" not in kinds
    assert "message" in kinds


def test_a_message_nobody_heard_of_is_told_in_the_row(machine: Desk) -> None:
    attempt = ordered(machine)
    machine.answer(attempt)
    machine.ended(attempt)
    assert (attempt.state, attempt.trouble) == (CallState.PLAYED, "no event told that the message began")


def test_who_hangs_up_before_the_message_is_tried_again(machine: Desk) -> None:
    attempt = ordered(machine)
    machine.send(attempt)
    machine.say(attempt, Heard.ANSWERED)
    machine.ended(attempt)
    assert attempt.state == CallState.HUNG_UP
    assert machine.session.get_one(Contact, attempt.contact_id).state == "open"
    assert machine.pbx.commands("play_message") == []


def test_no_agent_is_parked_and_those_parked_are_let_go(machine: Desk) -> None:
    ready, parked = factories.agent(machine.session, machine.campaign), machine.agent()
    factories.contact(machine.session, machine.campaign)
    machine.tick()
    assert (ready.state, parked.state) == ("ready", "ready")
    assert machine.session.scalars(select(AgentLeg.id).where(AgentLeg.state == "ordered")).all() == []


def test_a_parked_agent_is_not_given_to_who_answers_an_agentless_call(machine: Desk) -> None:
    attempt = ordered(machine)
    agent = machine.agent()
    machine.answer(attempt)
    assert machine.session.get_one(Agent, agent.id).state == "parked"


def test_what_an_attempt_was_ordered_as_counts_and_not_the_mode_of_now(machine: Desk) -> None:
    attempt = ordered(machine)
    machine.campaign.mode = "predictive"
    machine.answer(attempt)
    machine.ended(attempt)
    assert attempt.state == CallState.PLAYED
    assert budget(machine) == (0, 0)


def test_a_call_that_shows_life_after_it_was_closed_is_no_abandoned_one(machine: Desk) -> None:
    attempt = ordered(machine)
    machine.not_answered(attempt)
    machine.session.execute(text("UPDATE attempts SET over_at = NULL"))
    machine.say(attempt, Heard.ANSWERED)
    assert attempt.answered_at is not None
    assert budget(machine) == (0, 0)
    assert "abandoned" not in machine.session.scalars(select(Ledger.kind)).all()


def budget(at: Desk) -> tuple[int, int]:
    (counted,) = budgets.count(at.session, [budgets.Span(at.campaign.id, factories.NOW - timedelta(days=999))])
    return counted.abandoned, counted.met


def test_budget_report_overview_and_ledger_agree_with_a_recount_that_leaves_agentless_calls_out(
    machine: Desk, session: Session
) -> None:
    """Every mixture of modes and ends, counted by the product and again here from the rows alone."""
    chance = random.Random(11)
    now = database_now(session) - timedelta(minutes=5)
    for n in range(120):
        mode = chance.choice(["agentless", "predictive"])
        ends = {
            "agentless": [CallState.PLAYED, CallState.HUNG_UP, CallState.MESSAGE, CallState.NO_ANSWER],
            "predictive": [CallState.COMPLETED, CallState.ABANDONED, CallState.HUNG_UP, CallState.MESSAGE],
        }[mode]
        state = chance.choice(ends)
        times: dict[str, object] = {"ordered_at": now, "sent_at": now, "number": f"+3906{n:07}", "mode": mode}
        if state is not CallState.NO_ANSWER:
            times["answered_at"] = now
        if state is CallState.COMPLETED:
            times["joined_at"] = now + timedelta(seconds=chance.choice([1, 16]))  # 16 s is after the limit
        if state in (CallState.PLAYED, CallState.ABANDONED, CallState.MESSAGE):
            times["message_at"] = now + timedelta(seconds=1)
        if state is not CallState.MESSAGE:
            times["ended_at"] = now + timedelta(seconds=30)
        factories.attempt(session, machine.campaign, state=state, **times)
    session.commit()

    rows = session.scalars(select(Attempt)).all()
    lost = met = played = 0
    for row in rows:
        late = (
            row.joined_at is not None
            and row.answered_at is not None
            and (row.joined_at - row.answered_at > timedelta(seconds=row.answer_limit))
        )
        if row.mode == "agentless":
            played += row.state in ("played", "message")
        else:
            lost += row.state in ("abandoned", "message") or late
            met += row.state == "completed" and not late
    assert played > 20
    assert lost > 10
    assert budget(machine) == (lost, met)
    day = timedelta(days=1)
    period = Period(machine.campaign.id, machine.campaign.name, now - day, now + day, ZoneInfo("UTC"), now)
    total = abandonment(session, period).total
    assert total is not None
    assert (total["abandoned"], total["joined"], total["played"]) == (lost, met, played)
    row = overview.campaign_rows(session, database_now(session), name=machine.campaign.name)[0]
    ended = [r for r in rows if r.ended_at is not None and r.mode == "predictive"]
    assert row.abandoned == sum(
        r.state == "abandoned"
        or (
            r.state == "completed" and r.joined_at is not None and r.joined_at - now > timedelta(seconds=r.answer_limit)
        )
        for r in ended
    )
    assert row.hung_up == sum(r.state == "hung_up" for r in ended)
