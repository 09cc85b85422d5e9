"""An agent kept for one certain call gets that customer and no other, and is free again when it comes to nothing."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaigns import agents, dialling, gate, pace_view, placing, reserving
from campaigns.application import Application
from campaigns.db import database_now, session_factory
from campaigns.gate import Author
from campaigns.lines import Lines
from campaigns.models import Agent, Assignment, Attempt, Ledger
from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.errors import RefusedByRule
from tests import factories
from tests.campaigns.modes_kit import Desk, desk


@pytest.fixture
def manual(application: Application, session: Session) -> Desk:
    return desk(application, session, mode="manual")


def ordered_for(at: Desk, agent: Agent) -> Attempt:
    """A call of this agent's own."""
    contact = factories.contact(at.session, at.campaign)
    at.session.commit()
    made = dialling.call(at.application, agent.id, at.campaign.id, contact=str(contact.id), who="test")
    at.session.expire_all()
    return at.session.get_one(Attempt, made.attempt)


def assigned(session: Session) -> list[tuple[int, int]]:
    query = select(Assignment.attempt_id, Assignment.agent_id).where(Assignment.ended_at.is_(None))
    return [(row.attempt_id, row.agent_id) for row in session.execute(query)]


def test_who_answers_a_reserved_call_gets_that_very_agent_however_long_others_waited(manual: Desk) -> None:
    manual.agent(idle_since=factories.NOW - timedelta(hours=1))
    mine = manual.agent(idle_since=factories.NOW)
    attempt = ordered_for(manual, mine)
    assert (mine.reserved_for, mine.reserved_attempt_id, attempt.reserved_agent_id) == ("call", attempt.id, mine.id)

    manual.answer(attempt)

    assert assigned(manual.session) == [(attempt.id, mine.id)]
    assert (mine.state, mine.reserved_for, mine.reserved_until) == ("assigned", "", None)
    assert len(manual.pbx.commands("join")) == 1


def test_nobody_else_is_given_a_reserved_agent(manual: Desk) -> None:
    mine = manual.agent()
    ordered_for(manual, mine)
    other = factories.attempt(manual.session, manual.campaign)
    manual.answer(other)
    assert assigned(manual.session) == []
    assert mine.state == "parked"


def test_a_reservation_ends_with_a_call_that_nobody_answers(manual: Desk) -> None:
    mine = manual.agent()
    attempt = ordered_for(manual, mine)
    manual.not_answered(attempt)
    assert (attempt.state, mine.state, mine.reserved_for) == (CallState.NO_ANSWER, "parked", "")
    waiting = factories.attempt(manual.session, manual.campaign)
    manual.answer(waiting)
    assert assigned(manual.session) == [(waiting.id, mine.id)], "and the agent is anybody's again"
    kinds = manual.session.execute(
        select(Ledger.kind, Ledger.why).where(Ledger.kind.in_(("reserved", "released"))).order_by(Ledger.id)
    ).all()
    assert [tuple(row) for row in kinds] == [("reserved", "call"), ("released", "the call ended: no answer")]


@pytest.mark.parametrize("leaves", [agents.logout, lambda *args, **kw: agents.pause(*args, reason="lunch", **kw)])
def test_when_the_reserved_agent_leaves_the_customer_is_served_by_anyone(
    manual: Desk, leaves: Callable[..., Agent]
) -> None:
    mine = manual.agent()
    attempt = ordered_for(manual, mine)
    manual.send(attempt)
    other = manual.agent()  # free: whose call it was may go
    with manual.application.transaction() as session:
        leaves(session, mine.id, now=database_now(session), who="test")
    manual.session.expire_all()
    assert mine.reserved_for == ""
    manual.answer(attempt)
    assert assigned(manual.session) == [(attempt.id, other.id)]


def test_a_reserved_agent_who_is_not_on_the_line_at_the_answer_is_released_when_another_serves(manual: Desk) -> None:
    mine = manual.agent()
    attempt = ordered_for(manual, mine)
    mine.state = "parking"  # the parking call was lost and is placed anew
    other = manual.agent()
    manual.answer(attempt)
    assert assigned(manual.session) == [(attempt.id, other.id)]
    assert (mine.state, mine.reserved_for) == ("parking", "")


def test_a_call_whose_agent_left_before_it_was_sent_rings_nobody(manual: Desk) -> None:
    mine = manual.agent()
    attempt = ordered_for(manual, mine)
    with manual.application.transaction() as session:
        agents.logout(session, mine.id, now=database_now(session), who="test")
    assert placing.place(manual.application, attempt.ref) is CallState.EXPIRED
    assert manual.pbx.commands("call_customer") == []


def test_a_call_whose_agent_waits_is_sent(manual: Desk) -> None:
    attempt = ordered_for(manual, manual.agent())
    assert placing.place(manual.application, attempt.ref) is CallState.PLACED
    assert len(manual.pbx.commands("call_customer")) == 1


def test_a_reservation_that_outlives_its_deadline_is_released_by_the_sweep(manual: Desk) -> None:
    mine = manual.agent()
    ordered_for(manual, mine)
    manual.people()
    assert mine.reserved_for == "call"
    manual.session.execute(text("UPDATE agents SET reserved_until = clock_timestamp() - interval '1 s'"))
    manual.people()
    assert (mine.reserved_for, mine.reserved_attempt_id) == ("", None)


def test_the_pacer_sees_a_reserved_agent_and_the_call_apart_from_the_others(manual: Desk) -> None:
    manual.agent()
    ordered_for(manual, manual.agent())
    factories.attempt(manual.session, manual.campaign)
    now = database_now(manual.session)
    view = pace_view.read(manual.session, manual.campaign.id, now)
    assert view is not None
    seen = view.snapshot(now, view.lines([]), Budget(0, 0, 0.03))
    assert (seen.parked, seen.reserved, len(seen.ringing)) == (1, 1, 1)


def test_the_database_refuses_two_agents_for_one_call_and_a_reservation_without_an_end(
    manual: Desk, session: Session
) -> None:
    attempt = ordered_for(manual, manual.agent())
    second = manual.agent()
    with pytest.raises(IntegrityError, match="uq_agents_reserved"), session.begin_nested():
        session.execute(
            text(
                "UPDATE agents SET reserved_for = 'call', reserved_until = now(), reserved_attempt_id = :a "
                "WHERE id = :i"
            ),
            {"a": attempt.id, "i": second.id},
        )
    with pytest.raises(IntegrityError, match="ck_agents_reserved_until"), session.begin_nested():
        session.execute(text("UPDATE agents SET reserved_for = 'offer' WHERE id = :i"), {"i": second.id})


def test_fifty_answers_at_the_instant_of_a_reservation_never_take_the_agent_it_got(
    manual: Desk, engine: Engine
) -> None:
    """Gate and assignment race for one agent, again and again: whoever comes second gets nobody (I9)."""
    session, campaign = manual.session, manual.campaign
    factory = session_factory(engine)
    for _ in range(25):
        agent = manual.agent()
        contact = factories.contact(session, campaign)
        waiting = factories.attempt(session, campaign, state=CallState.HELD, pbx_call_id="7", second_leg_id="8")
        session.execute(text("UPDATE attempts SET answered_at = clock_timestamp() WHERE id = :i"), {"i": waiting.id})
        session.commit()
        start = Barrier(2)

        def reserve(agent_id: int = agent.id, contact_id: int = contact.id, start: Barrier = start) -> int | None:
            with factory() as own, own.begin():
                start.wait()
                locked = agents.locked(own, agent_id)
                if locked.state != "parked":
                    return None
                from campaigns.models import Campaign, Contact

                made = gate.order_one(
                    own,
                    own.get_one(Campaign, campaign.id),
                    own.get_one(Contact, contact_id, with_for_update=True),
                    Lines({"4": 9}),
                    Author("test"),
                    now=database_now(own),
                    timing=manual.application.settings.timing,
                    agent=locked,
                )
                assert isinstance(made, Attempt)
                return made.id

        def answer(ref: str = waiting.ref, start: Barrier = start) -> None:
            from campaigns import looking

            start.wait()
            looking.serve(manual.application, ref)

        with ThreadPoolExecutor(2) as pool:
            reserved, _ = pool.submit(reserve), pool.submit(answer)
            attempt_id = reserved.result()
        session.expire_all()
        taken = [who for _, who in assigned(session)]
        assert (attempt_id is not None) != (agent.id in taken), "one of the two got the agent, and never both"
        with manual.application.transaction() as tidy:
            tidy.execute(text("UPDATE assignments SET ended_at = now()"))
            tidy.execute(text("UPDATE agents SET state = 'out', reserved_for = '', reserved_until = NULL, "
                              "reserved_attempt_id = NULL"))  # fmt: skip
            tidy.execute(text("UPDATE attempts SET ended_at = now(), state = 'failed' WHERE ended_at IS NULL"))


def test_reserved_agents_are_not_let_off_the_line_while_their_call_rings(manual: Desk) -> None:
    mine = manual.agent(since=factories.NOW - timedelta(hours=1))
    ordered_for(manual, mine)
    manual.campaign.state = "paused"
    manual.session.execute(text("UPDATE campaigns SET state_at = now() - interval '1 minute'"))
    manual.tick()
    assert mine.state == "parked"


def test_a_rule_that_says_no_reserves_nobody(manual: Desk) -> None:
    mine = manual.agent()
    contact = factories.contact(manual.session, manual.campaign)
    manual.campaign.hours = "00:00-00:01"
    manual.session.commit()
    with pytest.raises(RefusedByRule):
        dialling.call(manual.application, mine.id, manual.campaign.id, contact=str(contact.id), who="test")
    manual.session.expire_all()
    assert (mine.reserved_for, manual.session.scalars(select(Attempt.id)).all()) == ("", [])


def test_reserving_passes_over_agents_who_want_to_leave_or_are_kept(manual: Desk) -> None:
    free, leaving, kept = manual.agent(), manual.agent(), manual.agent()
    leaving.wanted = "out"
    kept.reserved_for, kept.reserved_until = "offer", factories.NOW
    manual.session.commit()
    assert [agent.id for agent in reserving.parked(manual.session, manual.campaign, 9)] == [free.id]
