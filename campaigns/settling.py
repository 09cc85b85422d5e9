"""After an event stream was interrupted: which calls the PBX should still have, and which it has are nobody's."""

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import AgentLeg, Attempt, Installation
from dialer.calls import CallState

# Their channels exist if anything does; what is on its way to the PBX is for the sweep, after its cool-down.
_AT_THE_PBX = (
    CallState.PLACED,
    CallState.RINGING,
    CallState.ANSWERED,
    CallState.HELD,
    CallState.JOINED,
    CallState.MESSAGE,
)


def at_the_pbx(session: Session, pbx: str) -> list[str]:
    """References of the calls that PBX `pbx` has told us of, or taken, and that have not ended."""
    found: list[str] = []
    for table in (Attempt, AgentLeg):
        query = select(table.ref).where(table.ended_at.is_(None), table.pbx == pbx, table.state.in_(_AT_THE_PBX))
        found += session.scalars(query)
    return found


def strangers(session: Session, present: Collection[str]) -> list[str]:
    """Of the references a PBX shows, those of this installation that no open call has: nobody would ever end them."""
    prefix = session.get_one(Installation, 1).prefix
    ours = sorted(ref for ref in present if ref.startswith(f"{prefix}-"))  # another installation may share the PBX
    known: set[str] = set()
    for table in (Attempt, AgentLeg):
        known.update(session.scalars(select(table.ref).where(table.ref.in_(ours), table.ended_at.is_(None))))
    return [ref for ref in ours if ref not in known]
