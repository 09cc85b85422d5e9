"""Which call of ours an event tells of that carries no reference, and an id that is none of ours: it is bound to it.

The reply to an order names the call, and by EasyConnect's document (as by others') its events do so by the same id;
nobody has seen that of every site. So what a site was once seen to do decides: where events came under the id of the
reply, one under another id is another call. Where nothing was seen yet, agent and number may name it, and the attempt
says so; and an event under the reply's own id takes the call back, whatever was believed before.
"""

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.call_rows import locked_call
from campaigns.matching import attempt_of
from campaigns.models import Agent, Assignment, Attempt, LoggedEvent
from dialer.pbx.base import CallEvent

OTHERWISE = "found by agent and number: the PBX's events name it otherwise than its reply did"
TAKEN_BACK = "for a while a call of another id was taken for it; then the PBX named it as in its reply"
# Of a campaign's last calls so many tell how its PBX names them; and so many of an agent's may still be told of.
_LOOKED_AT, _LAST = 200, 5


def bind(session: Session, pbx: str, event: CallEvent, logged: LoggedEvent) -> bool:
    """Give the PBX's id to the call of ours that this event speaks of, when it can be no other; whether it was."""
    return _by_reply(session, pbx, event) or _by_agent_and_number(session, pbx, event, logged)


def _by_reply(session: Session, pbx: str, event: CallEvent) -> bool:
    """The id is the one of the reply to an order of ours that something else was taken for."""
    if event.user_id is None or event.call_id is None:
        return False
    last = (
        select(Assignment.attempt_id)
        .join(Agent, Agent.id == Assignment.agent_id)
        .where(Agent.pbx == pbx, Agent.user_id == event.user_id)
        .order_by(Assignment.id.desc())
        .limit(_LAST)
        .subquery()
    )
    query = select(Attempt.ref).join(last, last.c.attempt_id == Attempt.id)
    query = query.where(Attempt.pbx == pbx, Attempt.agent_first, Attempt.request_id == event.call_id)
    ref = session.scalars(query.order_by(Attempt.id.desc()).limit(1)).one_or_none()
    call = locked_call(session, ref) if ref is not None else None
    if not isinstance(call, Attempt) or call.pbx_call_id == event.call_id:
        return False
    call.trouble = TAKEN_BACK
    call.pbx_call_id = event.call_id
    return True


def _by_agent_and_number(session: Session, pbx: str, event: CallEvent, logged: LoggedEvent) -> bool:
    found = attempt_of(session, pbx, event, at=logged.received_at)
    call = locked_call(session, found) if found is not None else None
    if not isinstance(call, Attempt) or attempt_of(session, pbx, event, at=logged.received_at) != call.ref:
        return False  # bound, or over, while its lock was waited for
    if call.pbx_call_id is not None:
        if _named_as_replied(session, call):
            return False  # this site's events come under the id of the reply: this is a call of the agent's own
        call.trouble = OTHERWISE
    call.pbx_call_id = event.call_id
    return True


def _named_as_replied(session: Session, call: Attempt) -> bool:
    """Whether this PBX was heard to name a call as it had in its reply: of two ways the one seen last."""
    seen = (
        select(Attempt.pbx_call_id == Attempt.request_id)
        .where(Attempt.campaign_id == call.campaign_id, Attempt.pbx == call.pbx, Attempt.agent_first)
        .where(Attempt.heard_at.is_not(None), Attempt.request_id.is_not(None), Attempt.id != call.id)
        .order_by(Attempt.ordered_at.desc())
    )
    # Found through the index of the campaign's calls, however few of them were heard of.
    recent = (
        select(Attempt.id)
        .where(Attempt.campaign_id == call.campaign_id)
        .order_by(Attempt.ordered_at.desc())
        .limit(_LOOKED_AT)
    )
    return bool(session.scalars(seen.where(Attempt.id.in_(recent)).limit(1)).one_or_none())
