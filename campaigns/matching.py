"""Which of our calls an event is about: our reference first, then the PBX's own id, then the request's."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import AgentLeg, Attempt, Command

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
