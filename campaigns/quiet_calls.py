"""Open calls on a PBX that keeps no list of calls: they end by its events, or here, by the clock (I14).

Where it keeps a history, that is asked once before a call is closed without a word. Nothing is dialled again on a
guess: what may have rung is called lost, and counts (I3).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from campaigns import agent_first, endings, pbx_commands, reactions
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Agent, Assignment, Attempt
from campaigns.pbx_status import note_trouble
from dialer.calls import CallState, Signal, advance
from dialer.errors import PbxBusy, PbxError
from dialer.pbx.base import CallOutcome, Feature, PastCall, Pbx
from dialer.pbx.same_call import Start, told_by
from dialer.settings import TimingSettings

# When the history cannot be read, a call is closed without it so much later.
WITHOUT_HISTORY = timedelta(seconds=60)
_EARLIER = timedelta(minutes=1)  # the history is asked from so long before the oldest call: clocks differ


def unanswered_limit(timing: TimingSettings) -> timedelta:
    """How long a call may go without an answer: the agent's phone rings, then the customer's, and events come late."""
    return timedelta(seconds=timing.agent_ring_limit + 3 * timing.ring_limit)


def close(application: Application, pbx: Pbx) -> int:
    """Close the calls whose time is over; returns how many."""
    timing = application.settings.timing
    with application.transaction() as session:
        now = database_now(session)
        refs = _overdue(session, pbx.name, now, timing)
        since = session.scalar(select(Attempt.sent_at).where(Attempt.ref.in_(refs)).order_by(Attempt.sent_at).limit(1))
    if not refs or since is None:
        return 0
    history: Sequence[PastCall] | None = None
    if Feature.CALL_REPORT in pbx.features:
        try:
            history = pbx.call_report(since - _EARLIER)
        except PbxError as exc:
            if not isinstance(exc, PbxBusy):
                note_trouble(application, pbx.name, exc.why)
    closed = 0
    for ref in refs:
        with application.transaction() as session:
            call = reactions.locked_call(session, ref)
            if isinstance(call, Attempt) and call.ended_at is None:
                closed += _close(session, pbx, call, history, timing)
    return closed


def _overdue(session: Session, pbx: str, now: datetime, timing: TimingSettings) -> list[str]:
    unanswered, talk = now - unanswered_limit(timing), now - timedelta(seconds=timing.talk_limit)
    query = select(Attempt.ref).where(
        Attempt.pbx == pbx,
        Attempt.agent_first,
        Attempt.ended_at.is_(None),
        or_(
            Attempt.state.in_((CallState.SENDING, CallState.UNKNOWN, CallState.PLACED, CallState.RINGING))
            & (Attempt.sent_at < unanswered),
            (Attempt.state == CallState.JOINED) & (Attempt.joined_at < talk),
        ),
    )
    return list(session.scalars(query.order_by(Attempt.id).limit(100)))


def _close(
    session: Session, pbx: Pbx, call: Attempt, history: Sequence[PastCall] | None, timing: TimingSettings
) -> bool:
    now = database_now(session)
    if call.ref not in _overdue(session, pbx.name, now, timing) or call.sent_at is None:
        return False  # it spoke up while we asked
    past = _found(session, call, history or ())
    if past is not None:
        agent_first.ended(session, call, past.outcome, past.talk_time, at=now, now=now)
        return endings.conclude_attempt(session, call, now=now, settled=True)
    asked = Feature.CALL_REPORT in pbx.features
    if asked and history is None and call.joined_at is None:
        if now < call.sent_at + unanswered_limit(timing) + WITHOUT_HISTORY:
            return False
        call.trouble = call.trouble or "its history could not be read"
    if Feature.HANG_UP in pbx.features:
        pbx_commands.order_hang_up(session, call, now=now)
    call.trouble = "; ".join(filter(None, (call.trouble, _trouble(call))))
    if call.joined_at is not None:
        call.over_at = now
        call.state = advance(CallState(call.state), Signal.ENDED)
        return endings.conclude_attempt(session, call, now=now, settled=True)
    if call.ringing_at is not None:
        outcome = CallState.NO_ANSWER
    elif history is not None and call.agent_answered_at is None:
        outcome = CallState.NO_AGENT  # the PBX's own word: there was no such call to a customer
    else:
        outcome = CallState.LOST
    endings.close_attempt(session, call, outcome, now=now)
    return True


def _trouble(call: Attempt) -> str:
    if call.joined_at is not None:
        return "the PBX told no end of this talk"
    return "the PBX told no end of it" if call.heard_at else "the PBX told nothing of it: do its events reach us?"


def _found(session: Session, call: Attempt, history: Sequence[PastCall]) -> PastCall | None:
    user_id = session.scalar(
        select(Agent.user_id).join(Assignment, Assignment.agent_id == Agent.id).where(
            Assignment.attempt_id == call.id, Assignment.ended_at.is_(None)
        )
    )  # fmt: skip
    if user_id is None or call.sent_at is None:
        return None
    by_id = [past for past in history if call.pbx_call_id and past.call_id == call.pbx_call_id]
    start = Start(call.ref, user_id, call.number, call.sent_at, heard=call.heard_at is not None)
    return next(iter(by_id), None) or told_by(start, history)


def over_by_word(session: Session, agent_id: int) -> bool:
    """An agent who is free says so: the talk we still believe in is over, and its end was never told.

    Only calls that ring the agent first, on PBXs of which nobody can be asked; and not for who has asked to go, whose
    `ready` takes that back.
    """
    ref = session.scalar(
        select(Attempt.ref)
        .join(Assignment, (Assignment.attempt_id == Attempt.id) & Assignment.ended_at.is_(None))
        .join(Agent, Agent.id == Assignment.agent_id)
        .where(Agent.id == agent_id, Agent.wanted == "", Assignment.leg_id.is_(None), Attempt.state == CallState.JOINED)
    )
    call = reactions.locked_call(session, ref) if ref is not None else None
    if not isinstance(call, Attempt) or call.state != CallState.JOINED:
        return False
    now = database_now(session)
    call.trouble = call.trouble or "the PBX told no end of this talk; the agent did"
    agent_first.ended(session, call, CallOutcome.OK, None, at=now, now=now)
    return endings.conclude_attempt(session, call, now=now, settled=True)
