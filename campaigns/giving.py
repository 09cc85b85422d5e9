"""Calls that ring the agent first: the agent is given in the transaction that orders the call, and freed at its end.

Nobody waits for such an agent and none is parked; the assignment is there before any phone rings, so the unique
indexes that keep two customers from one agent hold here as well (I9). The caller owns the transaction and holds the
attempt's lock where there is one already. Locks are taken attempt, agent.
"""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import agents, ledger, reserving
from campaigns.application import Application
from campaigns.models import Agent, Assignment, Attempt, Campaign
from dialer.calls import CallState
from dialer.modes import agent_first

MISSED, PAUSED = "not answered", "not answered: paused"
# A phone that was not taken so often in a row pauses its agent: the first time may be a hand that was not quick enough.
MOST_MISSED = 2
# After a call that did not come about, the phone is left alone for so long.
REST = timedelta(seconds=5)
REFUSED_REST = timedelta(seconds=15)


def rings_agent(application: Application, pbx: str) -> bool:
    """Whether calls on this PBX ring the agent first."""
    known = application.pbxes.get(pbx)
    return known is not None and agent_first(known.features)


def idle(
    session: Session,
    campaign: Campaign,
    limit: int,
    now: datetime,
    *,
    only: Collection[int] | None = None,
    without: Collection[int] = (),
    pbx: str | None = None,
) -> list[Agent]:
    """Lock up to `limit` agents of the campaign who are ready and kept for nothing, longest idle first.

    Passes over those somebody else has locked: they are being given a call this instant.
    """
    able = (Agent.state == "ready") & (Agent.not_before.is_(None) | (Agent.not_before <= now))
    return reserving.longest_idle(session, campaign, limit, able, only=only, without=without, pbx=pbx)


def give(session: Session, attempt: Attempt, agent: Agent, *, now: datetime, who: str) -> None:
    """Give a call that was just written its agent, whose row is locked."""
    session.add(Assignment(attempt_id=attempt.id, agent_id=agent.id, assigned_at=now, agent_free_at=agent.since))
    session.flush()
    agent.campaign_id = attempt.campaign_id
    agents.move(session, agent, "assigned", now=now, who=who)
    ledger.record(
        session,
        at=now,
        kind="assigned",
        who=who,
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        agent_id=agent.id,
        why="agent first",
    )


def free(session: Session, attempt: Attempt, assignment: Assignment, campaign: Campaign, *, now: datetime) -> None:
    """The call has its final state: its agent wraps up, waits for the next, or is paused for not taking calls."""
    agent = agents.locked(session, assignment.agent_id)
    assignment.ended_at, assignment.result = now, _result(attempt)
    session.flush()
    if agent.state not in ("assigned", "talking"):
        return
    if attempt.joined_at is not None:
        agents.leave_customer(session, agent, now=now, wrap_up_limit=campaign.wrap_up_limit)
        return
    rest = timedelta(0)
    if attempt.state == CallState.REFUSED:
        rest = REFUSED_REST
    elif assignment.result == MISSED or attempt.state == CallState.EXPIRED:
        rest = REST
    missed = _missed_in_a_row(session, agent) if assignment.result == MISSED else 0
    reason = ""
    if missed >= MOST_MISSED:
        assignment.result = PAUSED  # with the agent's next `ready` the counting begins anew
        reason = f"phone: {missed} calls not taken" if attempt.heard_at else f"nothing was heard of {missed} calls"
    agents.back_to_ready(session, agent, now=now, rest=rest, pause=reason)


def _result(attempt: Attempt) -> str:
    if attempt.joined_at is not None:
        return "talked"
    if attempt.state == CallState.NO_AGENT or (attempt.state == CallState.LOST and attempt.heard_at is None):
        return MISSED
    return "not sent" if attempt.state in (CallState.REFUSED, CallState.EXPIRED) else "customer not reached"


def _missed_in_a_row(session: Session, agent: Agent) -> int:
    """The misses since the last call that was taken, or the last pause for them."""
    query = select(Assignment.result).where(Assignment.agent_id == agent.id, Assignment.ended_at.is_not(None))
    last = session.scalars(query.order_by(Assignment.id.desc()).limit(MOST_MISSED)).all()
    return next((n for n, result in enumerate(last) if result != MISSED), len(last))
