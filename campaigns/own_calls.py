"""Calls on an agent's phone that are not ours: while one lasts the agent gets no customer.

Only PBXs that tell us of every call of a user are heard here; where presence is read, presence says it better.
"""

from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import agents
from campaigns.db import ROW_LOCK, ROW_LOCK_OR_SKIP
from campaigns.models import Agent
from dialer.pbx.base import CallEvent, Feature, Heard, Pbx

REASON = "on a call of their own"
# Its end may never be told. After so long the agent is asked again by a ringing phone.
LONGEST = timedelta(hours=1)
_BEGINS = (Heard.ARRIVED, Heard.CALLING, Heard.RINGING, Heard.ANSWERED)


def note(session: Session, pbx: Pbx, event: CallEvent, *, at: datetime, now: datetime) -> bool:
    """Take note of an event that is of no call of ours; whether it spoke of an agent's phone."""
    if event.user_id is None or Feature.PRESENCE in pbx.features:
        return False
    person = func.coalesce(Agent.spare_of, Agent.id)
    agent_id = session.scalar(select(person).where(Agent.pbx == pbx.name, Agent.user_id == event.user_id))
    if agent_id is None:
        return True  # a user of the PBX who is no agent of ours
    if event.heard in _BEGINS and now - at < LONGEST:
        busy(session, agent_id, now=now)
    elif event.heard in (Heard.ENDED, Heard.NOT_REACHED):
        over(session, agent_id, now=now)
    return True


def busy(session: Session, agent_id: int | None, *, now: datetime) -> None:
    """The agent's phone is in use: nobody is called for them."""
    agent = _locked(session, agent_id)
    if agent is not None and agent.state in ("ready", "wrap_up"):
        agents.move(session, agent, "paused", now=now, who="pbx", reason=REASON, until=now + LONGEST)


def over(session: Session, agent_id: int | None, *, now: datetime) -> None:
    """That call is over: the agent takes calls again, if nothing else had kept them."""
    agent = _locked(session, agent_id)
    if agent is not None:
        _back(session, agent, now)


def tidy(session: Session, now: datetime) -> int:
    """Let those take calls again of whose own call nothing more was heard; returns how many."""
    due = session.scalars(
        select(Agent)
        .where(Agent.state == "paused", Agent.reason == REASON, Agent.until <= now)
        .with_for_update(**ROW_LOCK_OR_SKIP)
        .execution_options(populate_existing=True)
    ).all()
    return sum(_back(session, agent, now) for agent in due)


def _locked(session: Session, agent_id: int | None) -> Agent | None:
    return session.get(Agent, agent_id, with_for_update=ROW_LOCK, populate_existing=True) if agent_id else None


def _back(session: Session, agent: Agent, now: datetime) -> bool:
    if agent.state != "paused" or agent.reason != REASON:
        return False
    agent.idle_since = agent.idle_since or now
    agents.move(session, agent, "ready", now=now, who="pbx")
    return True
