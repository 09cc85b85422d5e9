"""What the pacer is shown: staff of this very second, groups of contacts, warm lessons after a restart."""

from datetime import timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import agents, pace_calls, pace_view, prospects
from campaigns.agents import leave_customer, locked
from campaigns.db import database_now
from campaigns.models import Agent, Assignment, Attempt, Campaign
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.pacing import Happened, PaceEvent, Snapshot
from tests import factories

BUDGET = Budget(0, 100, 0.03)


@pytest.fixture
def running(session: Session) -> Campaign:
    made = factories.campaign(session)
    factories.lines(session)
    return made


def shown(session: Session, of: Campaign, **given: object) -> Snapshot:
    now = database_now(session)
    session.flush()
    view = pace_view.read(session, of.id, now)
    assert view is not None
    return view.snapshot(now, view.lines([]), BUDGET, **given)  # type: ignore[arg-type]


def talking(session: Session, of: Campaign, **values: object) -> tuple[Agent, Attempt]:
    agent, leg = factories.parked_agent(session, of, **{"state": "talking", "campaign_id": of.id, **values})
    call = factories.attempt(session, of, state=CallState.JOINED, answered_at=factories.NOW, joined_at=factories.NOW)
    session.add(Assignment(attempt_id=call.id, agent_id=agent.id, leg_id=leg.id, assigned_at=factories.NOW))
    session.flush()
    return agent, call


def test_who_pauses_or_logs_out_is_gone_from_the_very_next_look(session: Session, running: Campaign) -> None:
    stays, _ = factories.parked_agent(session, running)
    pauses, _ = factories.parked_agent(session, running)
    leaves, _ = factories.parked_agent(session, running)
    assert shown(session, running).parked == 3
    now = database_now(session)
    agents.pause(session, pauses.id, reason="lunch", now=now, who="test")
    assert shown(session, running).parked == 2
    agents.logout(session, leaves.id, now=now, who="test")
    seen = shown(session, running)
    assert (seen.parked, seen.team, seen.leaving) == (1, 1, 0)
    agents.login(session, leaves.id, now=now, who="test")
    agents.ready(session, pauses.id, now=now, who="test")
    assert shown(session, running).parked == 1, "back at work, and not on the line yet"
    assert stays.state == "parked"


@pytest.mark.parametrize("wish", ["pause", "logout"])
def test_who_asked_to_leave_after_the_call_is_leaving_and_no_hope_for_the_next(
    session: Session, running: Campaign, wish: str
) -> None:
    agent, _ = talking(session, running)
    talking(session, running)
    assert (len(shown(session, running).talking), shown(session, running).leaving) == (2, 0)
    now = database_now(session)
    if wish == "pause":
        agents.pause(session, agent.id, reason="lunch", now=now, who="test")
    else:
        agents.logout(session, agent.id, now=now, who="test")
    seen = shown(session, running)
    assert (len(seen.talking), seen.leaving) == (1, 1)
    leave_customer(session, locked(session, agent.id), now=now, wrap_up_limit=30)
    seen = shown(session, running)
    assert (len(seen.talking), seen.leaving, seen.wrapping) == (1, 0, ())


def test_how_long_each_free_agent_has_waited(session: Session, running: Campaign) -> None:
    now = database_now(session)
    factories.parked_agent(session, running, idle_since=now - timedelta(seconds=40))
    factories.agent(session, running, state="parking", idle_since=None, since=now - timedelta(seconds=5))
    waits = sorted(shown(session, running).waits)
    assert [round(wait) for wait in waits] == [5, 40]


def test_goals_are_shown_as_they_stand(session: Session, running: Campaign) -> None:
    running.ratio, running.desired_wait, running.min_ring, running.inbound_first = 1.5, 8.0, 20.0, True
    goals = shown(session, running, least_ring=20.0).goals
    assert (goals.ratio, goals.desired_wait, goals.min_ring, goals.inbound_first) == (1.5, 8.0, 20.0, True)
    # Where no call can be ended the pacer must not count on it.
    assert shown(session, running).goals.min_ring is None


def test_ringing_calls_carry_their_group_and_a_name_only_when_they_can_be_given_up(
    session: Session, running: Campaign
) -> None:
    now = database_now(session)
    rings = {"state": CallState.RINGING, "ringing_at": now - timedelta(seconds=17), "pbx_call_id": "9001"}
    old = factories.attempt(session, running, answer_group="12/1", **rings)
    factories.attempt(session, running, answer_group="12/3", **{**rings, "ringing_at": now - timedelta(seconds=15)})
    factories.attempt(session, running, state=CallState.PLACED, answer_group="13/1")
    seen = shown(session, running, least_ring=16.0)
    by_group = dict(zip(seen.ringing_groups, seen.ringing_calls, strict=True))
    assert by_group == {"12/1": str(old.id), "12/3": "", "13/1": ""}
    assert len(seen.ringing) == 3
    assert shown(session, running).ringing_calls == (), "where calls ring out none is offered"


def test_what_a_pacer_is_told_of_a_call_begins_with_its_group(session: Session, running: Campaign) -> None:
    factories.attempt(session, running, answer_group="12/2", state=CallState.NO_ANSWER)
    session.flush()
    launched = [event for event in pace_calls.remembered(session, running.id) if event.kind is Happened.LAUNCHED]
    assert [event.group for event in launched] == ["12/2"]
    view = pace_view.read(session, running.id, factories.NOW)
    assert view is not None
    assert [pace_calls.events_of(call)[0].group for call in view.calls] == ["12/2"]


def test_a_new_leader_knows_how_long_wrap_ups_last(session: Session, running: Campaign) -> None:
    """The lengths its pacer learns from rows are those it would have learnt had it led all the while."""
    now = database_now(session)
    agent, call = talking(session, running)
    call.agent_id, call.state, call.ended_at = agent.id, CallState.COMPLETED, now
    leave_customer(session, agent, now=now, wrap_up_limit=30)
    agents.move(session, agent, "ready", now=now + timedelta(seconds=12), who="test")
    other, second = talking(session, running)
    second.agent_id, second.state, second.ended_at = other.id, CallState.COMPLETED, now
    leave_customer(session, other, now=now, wrap_up_limit=30)
    agents.pause(session, other.id, reason="lunch", now=now + timedelta(seconds=3), who="test")
    session.flush()
    told = pace_calls.remembered(session, running.id)
    assert PaceEvent(Happened.READY, now + timedelta(seconds=12), agent=str(agent.id)) in told
    assert PaceEvent(Happened.PAUSE, now + timedelta(seconds=3), agent=str(other.id)) in told
    assert sum(event.kind is Happened.READY for event in told) == 1


# Groups of contacts --------------------------------------------------------------------------------------


def test_prospects_are_the_due_contacts_by_list_and_attempt(session: Session, running: Campaign) -> None:
    one, two = factories.contact_list(session, running), factories.contact_list(session, running, name="b")
    tried = {}
    for list_id, tries in ((one.id, 0), (one.id, 0), (one.id, 1), (two.id, 2), (two.id, 5)):
        contact = factories.contact(session, running, list_id=list_id)
        tried[contact.id] = tries
        for _ in range(tries):
            factories.attempt(session, running, contact=contact, state=CallState.NO_ANSWER)
    factories.contact(session, running, list_id=one.id, next_at=factories.NOW + timedelta(seconds=1))
    factories.contact(session, running, list_id=one.id, state="closed", next_at=None)
    session.flush()
    assert dict(prospects.by_groups(session, [running.id], factories.NOW)[running.id]) == {
        f"{one.id}/1": 2, f"{one.id}/2": 1, f"{two.id}/3": 2,
    }  # fmt: skip


def test_only_so_many_contacts_are_looked_at(session: Session, running: Campaign) -> None:
    of = factories.contact_list(session, running)
    session.execute(
        text(
            "INSERT INTO contacts (campaign_id, list_id, line, phone, first_name, last_name, company, description, "
            "custom, state, next_at, closed_because) SELECT :c, :l, n, '+39' || (3000000000 + n), '', '', '', '', '{}',"
            " 'open', :now, '' FROM generate_series(1, 1000) n"
        ),
        {"c": running.id, "l": of.id, "now": factories.NOW},
    )
    assert prospects.by_groups(session, [running.id], factories.NOW)[running.id] == (
        (f"{of.id}/1", prospects.LOOKED_AT),
    )
    session.execute(text("ANALYZE contacts"))
    plan = "\n".join(
        session.scalars(
            text(f"EXPLAIN {prospects._BY_GROUP_OF_DUE.text}"), {"campaigns": [running.id], "now": factories.NOW}
        )
    )
    assert "ix_attempts_contact" in plan
    assert "Seq Scan on attempts" not in plan


def test_a_call_we_gave_up_is_told_as_that_and_not_as_somebody_who_did_not_answer(
    session: Session, running: Campaign
) -> None:
    given_up = factories.attempt(
        session,
        running,
        state=CallState.NO_ANSWER,
        ordered_at=factories.NOW - timedelta(seconds=20),
        given_up_at=factories.NOW - timedelta(seconds=2),
        ended_at=factories.NOW - timedelta(seconds=1),
    )
    session.flush()
    told = [event.kind for event in pace_calls.remembered(session, running.id) if event.call == str(given_up.id)]
    assert told == ["launched", "given_up"]
