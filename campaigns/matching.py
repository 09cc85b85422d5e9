"""Which of our calls an event is about: our reference first, then the PBX's own id, then the request's.

PBXs that repeat no reference and tell no id beforehand leave agent and number: `attempt_of`.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import Agent, AgentLeg, Assignment, Attempt, Command
from dialer.pbx.base import CallEvent
from dialer.pbx.same_call import Start, is_same

AGENT_MARK = "-a"
CUSTOMER_MARK = "-c"


def attempt_ref(prefix: str, number: int) -> str:
    """Our reference for attempt `number`; the prefix keeps two installations on one PBX apart."""
    return f"{prefix}{CUSTOMER_MARK}{number}"


def leg_ref(prefix: str, number: int) -> str:
    """Our reference for an agent's leg. Every leg has its own: one is never used for both sides of a call."""
    return f"{prefix}{AGENT_MARK}{number}"


def is_leg(ref: str) -> bool:
    """Whether a reference names an agent's leg."""
    return AGENT_MARK in ref


def ref_of_call(session: Session, pbx: str, call_id: str | None, request_id: str | None = None) -> str | None:
    """Find the reference of the call the PBX calls `call_id`, or of the one a request was about.

    Newest first: a PBX counts its communications from one again after a restart.
    """
    if call_id:
        for table in (Attempt, AgentLeg):
            found = session.scalar(
                select(table.ref)
                .where(table.pbx == pbx, table.pbx_call_id == call_id)
                .order_by(table.id.desc())
                .limit(1)
            )
            if found:
                return found
    if request_id:
        for source in (Command, Attempt, AgentLeg):
            found = session.scalar(
                select(source.ref)
                .where(source.pbx == pbx, source.request_id == request_id)
                .order_by(source.id.desc())
                .limit(1)
            )
            if found:
                return found
    return None


def attempt_of(session: Session, pbx: str, event: CallEvent, *, at: datetime) -> str | None:
    """Find the call that rings the agent first which this event can only be of; `at`: when it was received.

    An agent has at most one open assignment, so there is at most one candidate.
    """
    if event.user_id is None or event.number is None:
        return None
    query = (
        select(Attempt)
        .join(Assignment, (Assignment.attempt_id == Attempt.id) & Assignment.ended_at.is_(None))
        .join(Agent, Agent.id == Assignment.agent_id)
        .where(Agent.pbx == pbx, Agent.user_id == event.user_id)
        .where(Attempt.pbx == pbx, Attempt.agent_first, Attempt.ended_at.is_(None), Attempt.sent_at.is_not(None))
        .execution_options(populate_existing=True)
    )
    found = session.scalars(query).one_or_none()
    if found is None or found.sent_at is None:
        return None
    start = Start(found.ref, event.user_id, found.number, found.sent_at, heard=found.heard_at is not None)
    return found.ref if is_same(start, event, at) else None
