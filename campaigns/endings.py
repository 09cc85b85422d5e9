"""What the end of a call brings about: the contact's next try, the agent's next state, the ledger's line.

The caller owns the transaction and holds the call's row lock; for an agent's leg with an open assignment, the
attempt's as well (order of locks: attempt, leg, agent).
"""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import agentless, agents, callback_tickets, disposing, giving, ledger, pbx_commands, planning, reserving
from campaigns.agent_states import AWAY, WORKING
from campaigns.db import ROW_LOCK
from campaigns.models import AgentLeg, Assignment, Attempt, Campaign, Contact, ContactList
from campaigns.planning import DIALLED_BY_HAND
from dialer.calls import CallState, Facts, Signal, advance, conclude, given_up
from dialer.modes import AGENTLESS
from dialer.pbx.base import CallOutcome

# An agent whose phone did this is not called again until they show a sign of life.
_AGENTS_OWN_DOING = (CallState.NO_ANSWER, CallState.REJECTED, CallState.BUSY, CallState.UNAVAILABLE, CallState.HUNG_UP)


def facts_of(call: Attempt | AgentLeg) -> Facts:
    """Everything known of how a call went, for `conclude`."""
    return Facts(
        answered_at=call.answered_at,
        joined_at=call.joined_at,
        message_at=call.message_at if isinstance(call, Attempt) else None,
        customer_left_at=call.left_at,
        ended_at=call.over_at,
        leg_outcome=CallOutcome(call.leg_outcome) if call.leg_outcome else None,
        final_outcome=CallOutcome(call.final_outcome) if call.final_outcome else None,
        agent_first=isinstance(call, Attempt) and call.agent_first,
        agent_answered_at=call.agent_answered_at if isinstance(call, Attempt) else None,
        ringing_at=call.ringing_at,
    )


def conclude_attempt(session: Session, attempt: Attempt, *, now: datetime, settled: bool) -> bool:
    """Close an attempt that is over if its facts allow; returns whether they did."""
    limit = timedelta(seconds=attempt.answer_limit)
    outcome = conclude(facts_of(attempt), limit, settled=settled, agentless=attempt.mode == AGENTLESS)
    if outcome is None:
        return False
    if attempt.given_up_at is not None:
        outcome = given_up(outcome)
    if outcome is CallState.PLAYED and attempt.message_heard_at is None:
        attempt.trouble = attempt.trouble or agentless.NO_PROOF
    close_attempt(session, attempt, outcome, now=now)
    return True


def conclude_leg(session: Session, leg: AgentLeg, *, now: datetime, settled: bool) -> bool:
    """Close an agent's leg that is over if its facts allow; returns whether they did."""
    if leg.joined_at is not None:
        # The agent hung up on a customer, whom a leg of this kind leaves behind alone.
        assignment = open_assignment_of_leg(session, leg.id)
        if assignment is not None:
            pbx_commands.order_hang_up(session, session.get_one(Attempt, assignment.attempt_id), now=now)
        close_leg(session, leg, CallState.COMPLETED, now=now, reason="")
        return True
    if leg.answered_at is not None:
        if not settled and open_assignment_of_leg(session, leg.id) is not None:
            return False  # the transfer that ends this call may be reported a moment later
        state = CallState.HUNG_UP if leg.left_at is not None else CallState.FAILED
        reason = "hung up while parked" if leg.left_at is not None else "the parking call ended"
        close_leg(session, leg, state, now=now, reason=reason)
        return True
    outcome = conclude(facts_of(leg), timedelta(0), settled=settled)
    if outcome is None:
        return False
    close_leg(session, leg, outcome, now=now, reason=f"phone: {outcome.replace('_', ' ')}")
    return True


def close_attempt(session: Session, attempt: Attempt, state: CallState, *, now: datetime) -> None:
    """Give an attempt its final state, free its agent, and say when its contact is tried next."""
    if attempt.ended_at is not None:
        return
    attempt.state, attempt.ended_at = state, now
    session.flush()
    campaign = session.get_one(Campaign, attempt.campaign_id)
    _free_agent(session, attempt, campaign, now)
    if attempt.reserved_agent_id is not None:
        reserving.release_attempt(session, attempt.id, now=now, why=f"the call ended: {state.replace('_', ' ')}")
    _plan_contact(session, attempt, campaign, now)
    callback_tickets.after_call(session, attempt, now=now)
    ledger.record(
        session,
        at=now,
        kind="abandoned" if state is CallState.ABANDONED else "call_ended",
        who="dialer",
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        agent_id=attempt.agent_id,
        why=attempt.trouble,
        state=state,
        rule_pack=attempt.rule_pack,
        answer_limit=attempt.answer_limit,
        **_timeline(attempt),
    )


def close_leg(session: Session, leg: AgentLeg, state: CallState, *, now: datetime, reason: str) -> None:
    """Give an agent's leg its final state; an agent who was waiting on it is parked anew, or paused."""
    if leg.ended_at is not None:
        return
    leg.state, leg.ended_at = state, now
    if state is CallState.COMPLETED:
        return
    # The agent first: whoever gives them a customer at this moment holds that lock.
    agent = agents.locked(session, leg.agent_id)
    assignment = open_assignment_of_leg(session, leg.id)
    if assignment is not None:
        attempt = session.get_one(Attempt, assignment.attempt_id)
        if attempt.joined_at is not None:
            return  # they talk: the conversation's end frees the agent
        assignment.ended_at, assignment.result = now, "agent lost"
        pbx_commands.withdraw_join(session, assignment.id, now=now)
    if agent.state not in WORKING:
        return
    agents.lose_leg(
        session, agent, now=now, reason=reason, by_agent=state in _AGENTS_OWN_DOING, busy=state is CallState.BUSY
    )
    if state is CallState.REFUSED:
        agent.not_before = now + timedelta(seconds=15)


def open_assignment(session: Session, attempt_id: int) -> Assignment | None:
    """The agent given to this attempt and not yet freed."""
    query = select(Assignment).where(Assignment.attempt_id == attempt_id, Assignment.ended_at.is_(None))
    return session.scalars(query).one_or_none()


def open_assignment_of_leg(session: Session, leg_id: int) -> Assignment | None:
    """The customer given to the agent parked on this leg and not yet gone."""
    query = select(Assignment).where(Assignment.leg_id == leg_id, Assignment.ended_at.is_(None))
    return session.scalars(query).one_or_none()


def release_assignment(session: Session, assignment: Assignment, result: str, *, now: datetime) -> None:
    """The customer will not be joined to this agent: the agent waits on, if still on the line."""
    leg = session.get_one(AgentLeg, assignment.leg_id, with_for_update=ROW_LOCK, populate_existing=True)
    agent = agents.locked(session, assignment.agent_id)
    assignment.ended_at, assignment.result = now, result
    pbx_commands.withdraw_join(session, assignment.id, now=now)
    if agent.state != "assigned":
        return
    if leg.ended_at is None and leg.state == CallState.HELD:
        agents.back_to_parked(session, agent, now=now)
    elif leg.ended_at is None:
        agents.move(session, agent, "parking", now=now, who="dialer")
    else:
        agents.lose_leg(session, agent, now=now, reason="the parking call ended", by_agent=False)


def _free_agent(session: Session, attempt: Attempt, campaign: Campaign, now: datetime) -> None:
    assignment = open_assignment(session, attempt.id)
    if assignment is None:
        return
    if assignment.leg_id is None:
        giving.free(session, attempt, assignment, campaign, now=now)
        return
    if attempt.joined_at is None:
        release_assignment(session, assignment, "customer gone", now=now)
        return
    assignment.ended_at, assignment.result = now, "talked"
    leg = session.get_one(AgentLeg, assignment.leg_id, with_for_update=ROW_LOCK, populate_existing=True)
    if leg.ended_at is None and leg.state == CallState.JOINED:
        leg.state, leg.joined_at = advance(CallState(leg.state), Signal.RELEASED), None
    elif leg.ended_at is None:
        leg.joined_at = leg.joined_at or attempt.joined_at
        close_leg(session, leg, CallState.COMPLETED, now=now, reason="")
    agent = agents.locked(session, assignment.agent_id)
    agents.leave_customer(session, agent, now=now, wrap_up_limit=campaign.wrap_up_limit)
    if leg.ended_at is None and agent.state in AWAY:
        pbx_commands.order_hang_up(session, leg, now=now)


def _plan_contact(session: Session, attempt: Attempt, campaign: Campaign, now: datetime) -> None:
    contact = session.get_one(Contact, attempt.contact_id, with_for_update=ROW_LOCK, populate_existing=True)
    if contact.state != "live":
        return  # closed meanwhile: undone, or put on do-not-call
    if attempt.disposition_id is not None:
        disposing.carry_out(session, attempt, contact, campaign, now=now)
    elif session.get_one(ContactList, contact.list_id).kind == "manual":
        # An agent dialled this number; the dialer never does so by itself.
        contact.state, contact.closed_because, contact.next_at = "closed", DIALLED_BY_HAND, None
    else:
        planning.replan(session, attempt, contact, campaign, now=now)


def _timeline(attempt: Attempt) -> dict[str, str | None]:
    names = ("ordered_at", "sent_at", "ringing_at", "answered_at", "join_sent_at", "joined_at", "message_at", "left_at")
    return {name: value.isoformat() for name in names if (value := getattr(attempt, name)) is not None}
