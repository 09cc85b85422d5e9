"""What the PBX tells of a call that rings the agent first: the agent's phone, the customer's, talk, end.

Whoever answers hears the agent at once: answered and joined are one moment, and nothing can be abandoned. The caller
owns the transaction and holds the attempt's lock.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from campaigns import agents, endings, ledger, own_calls
from campaigns.facts import first, step
from campaigns.models import Attempt
from dialer.calls import FINAL, CallState, Signal
from dialer.pbx.base import CallEvent, CallOutcome, Heard, Role


def apply(session: Session, attempt: Attempt, event: CallEvent, *, at: datetime, now: datetime) -> None:
    """Apply one event; `at`: when it was heard. Late, repeated and swapped ones end in the same place (I16)."""
    attempt.heard_at = max(attempt.heard_at or at, at)
    attempt.pbx_call_id = attempt.pbx_call_id or event.call_id
    if attempt.state in FINAL:
        _stray(session, attempt, event, at)
        return
    match event.heard, event.role:
        case ((Heard.CALLING | Heard.RINGING), Role.AGENT):
            step(attempt, Signal.CALLING)
        case Heard.ANSWERED, Role.AGENT:
            first(attempt, "agent_answered_at", at)
            step(attempt, Signal.CALLING)
        case ((Heard.CALLING | Heard.RINGING), Role.CUSTOMER):
            first(attempt, "ringing_at", at)
            step(attempt, Signal.RINGING)
        case (Heard.ANSWERED, Role.CUSTOMER) | (Heard.TRANSFERRED, _):
            _met(session, attempt, at, now)
        case Heard.NOT_REACHED, Role.CUSTOMER:
            attempt.leg_outcome = attempt.leg_outcome or str(event.outcome or CallOutcome.UNKNOWN)
            _over(attempt, at)
        case Heard.NOT_REACHED, Role.AGENT:
            attempt.final_outcome = attempt.final_outcome or str(CallOutcome.UNKNOWN)
            _over(attempt, at)
        case Heard.ENDED, _:
            ended(session, attempt, event.outcome or CallOutcome.UNKNOWN, event.talked, at=at, now=now)
        case Heard.COMMAND_FAILED, _:
            attempt.trouble = (event.note or "the PBX could not carry it out")[:500]
            attempt.final_outcome = attempt.final_outcome or str(CallOutcome.UNKNOWN)
            _over(attempt, at)
        case _:
            pass
    if attempt.state == CallState.ENDING:
        endings.conclude_attempt(session, attempt, now=now, settled=False)


def ended(
    session: Session, attempt: Attempt, outcome: CallOutcome, talked: float | None, *, at: datetime, now: datetime
) -> None:
    """The call is over. Who talked, and of whose answer nothing was heard, is known by it; `talked` in seconds."""
    attempt.final_outcome = attempt.final_outcome or str(outcome)
    if outcome is CallOutcome.OK and attempt.joined_at is None:
        _met(session, attempt, at - timedelta(seconds=max(0.0, talked or 0.0)), now)
    _over(attempt, at)


def _over(attempt: Attempt, at: datetime) -> None:
    first(attempt, "over_at", at)
    step(attempt, Signal.ENDED)


def _met(session: Session, attempt: Attempt, at: datetime, now: datetime) -> None:
    told = attempt.joined_at is not None
    first(attempt, "answered_at", at)
    first(attempt, "joined_at", at)
    step(attempt, Signal.JOINED)
    assignment = endings.open_assignment(session, attempt.id)
    if told or assignment is None:
        return
    assignment.joined_at = at
    attempt.agent_id = assignment.agent_id
    agent = agents.locked(session, assignment.agent_id)
    agents.move(session, agent, "talking", now=now, who=f"pbx:{attempt.pbx}")
    _record(session, attempt, "answered", at, heard_after=round((now - at).total_seconds(), 4))
    _record(session, attempt, "joined", at)


def _stray(session: Session, attempt: Attempt, event: CallEvent, at: datetime) -> None:
    """A call we had closed shows life. Its agent is on the phone with somebody: no next call for them meanwhile."""
    if event.heard is Heard.ANSWERED and event.role is Role.CUSTOMER and attempt.over_at is None:
        if attempt.joined_at is None:
            attempt.answered_at = attempt.joined_at = at
            attempt.agent_id = attempt.reserved_agent_id
            _record(session, attempt, "joined", at, closed_as=str(attempt.state))
        own_calls.busy(session, attempt.reserved_agent_id, now=at)
    elif event.heard is Heard.ENDED:
        first(attempt, "over_at", at)
        own_calls.over(session, attempt.reserved_agent_id, now=at)


def _record(session: Session, attempt: Attempt, kind: str, at: datetime, **details: Any) -> None:
    ledger.record(
        session,
        at=at,
        kind=kind,
        who=f"pbx:{attempt.pbx}",
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        agent_id=attempt.agent_id,
        **details,
    )
