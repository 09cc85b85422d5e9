"""The rows of one call, locked: the call itself and what was heard of it that nobody has handled.

The statements are built once. They are asked for each event, and building one takes longer than asking it.
"""

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from campaigns.db import ROW_LOCK, ROW_LOCK_OR_SKIP
from campaigns.matching import is_leg
from campaigns.models import AgentLeg, Attempt, LoggedEvent

_ATTEMPT = select(Attempt).where(Attempt.ref == bindparam("ref")).with_for_update(**ROW_LOCK)
_LEG = select(AgentLeg).where(AgentLeg.ref == bindparam("ref")).with_for_update(**ROW_LOCK)
_ATTEMPT_OF_LEG = text(
    "SELECT t.id FROM assignments s JOIN agent_legs l ON l.id = s.leg_id "
    "JOIN attempts t ON t.id = s.attempt_id WHERE l.ref = :ref AND s.ended_at IS NULL FOR NO KEY UPDATE OF t"
)
_FRESH = {"populate_existing": True}

_UNHANDLED = (
    select(LoggedEvent)
    .where(LoggedEvent.pbx == bindparam("pbx"), LoggedEvent.handled_at.is_(None))
    .order_by(LoggedEvent.id)
    .with_for_update(**ROW_LOCK_OR_SKIP)
)
_BY_REF = _UNHANDLED.where(LoggedEvent.ref == bindparam("ref"))
_BY_CALL_ID = _UNHANDLED.where(
    LoggedEvent.ref.is_(None), LoggedEvent.call_id.is_not_distinct_from(bindparam("call_id"))
)


def locked_call(session: Session, ref: str) -> Attempt | AgentLeg | None:
    """Return the call `ref` with its row locked, in the order that cannot deadlock."""
    if not is_leg(ref):
        return session.scalars(_ATTEMPT, {"ref": ref}, execution_options=_FRESH).one_or_none()
    # Attempt before leg: whoever holds the attempt may be waiting for the leg.
    session.execute(_ATTEMPT_OF_LEG, {"ref": ref})
    return session.scalars(_LEG, {"ref": ref}, execution_options=_FRESH).one_or_none()


def unhandled(session: Session, pbx: str, *, ref: str | None = None, call_id: str | None = None) -> list[LoggedEvent]:
    """The events of a call that nobody has handled and nobody holds, in their order, locked."""
    if ref is not None:
        return list(session.scalars(_BY_REF, {"pbx": pbx, "ref": ref}))
    return list(session.scalars(_BY_CALL_ID, {"pbx": pbx, "call_id": call_id}))
