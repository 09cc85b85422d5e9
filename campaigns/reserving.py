"""Agents kept for one certain call: of a contact they were offered, of a number they dial, of a promised callback.

The reservation stands on the agent's own row, which the assigning statement locks and tests: a customer who answers
at this instant cannot be given somebody who is being reserved for another (I9). It ends by being used, with its
attempt, when the agent leaves, or at its deadline, which `release_overdue` enforces (I14).

The caller owns the transaction and holds the agent's row lock. Locks are taken attempt, leg, agent.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.agent_states import FREE
from campaigns.db import ROW_LOCK, ROW_LOCK_OR_SKIP
from campaigns.models import Agent, AgentLeg, Attempt, Campaign, CampaignAgent
from dialer.calls import CallState
from dialer.settings import TimingSettings

OFFER, CALLBACK, CALL = "offer", "callback", "call"
# The parking call may be lost and placed anew while a phone rings or an offer is read; who is kept ahead of a
# callback without one is of no use, and another is taken.
_SURVIVES = {OFFER: FREE, CALL: FREE, CALLBACK: ("parked",)}


def call_limit(now: datetime, timing: TimingSettings) -> datetime:
    """How long a call may keep its agent: as long as it may ring before it is hung up as overlong."""
    return now + timedelta(seconds=timing.order_life + 3 * timing.ring_limit + timing.answer_limit)


def parked(
    session: Session,
    campaign: Campaign,
    limit: int,
    *,
    only: Collection[int] | None = None,
    without: Collection[int] = (),
    pbx: str | None = None,
) -> list[Agent]:
    """Lock up to `limit` agents who could be joined now and are kept for nothing, longest idle first.

    `only`: out of these; `without`: none of these; `pbx`: by default the campaign's first. Passes over those somebody
    else has locked: whoever answers this instant may be choosing them.
    """
    held = select(AgentLeg.id).where(
        AgentLeg.agent_id == Agent.id,
        AgentLeg.ended_at.is_(None),
        AgentLeg.state == CallState.HELD,
        AgentLeg.first_leg_id.is_not(None),
        AgentLeg.pbx_call_id.is_not(None),
    )
    able = (Agent.state == "parked") & held.exists()
    return longest_idle(session, campaign, limit, able, only=only, without=without, pbx=pbx)


def longest_idle(
    session: Session,
    campaign: Campaign,
    limit: int,
    able: ColumnElement[bool],
    *,
    only: Collection[int] | None = None,
    without: Collection[int] = (),
    pbx: str | None = None,
) -> list[Agent]:
    """Lock up to `limit` agents of the campaign who are `able` and kept for nothing, as `parked` does."""
    query = (
        select(Agent)
        .join(CampaignAgent, (CampaignAgent.agent_id == Agent.id) & (CampaignAgent.campaign_id == campaign.id))
        .where(able, Agent.pbx == (pbx or campaign.pbx), Agent.reserved_for == "", Agent.wanted == "")
        .order_by(Agent.idle_since.nulls_first(), Agent.id)
        .limit(max(0, limit))
        .with_for_update(**ROW_LOCK_OR_SKIP, of=Agent)
        .execution_options(populate_existing=True)
    )
    if only is not None:
        query = query.where(Agent.id.in_(only))
    if without:
        query = query.where(Agent.id.not_in(without))
    return list(session.scalars(query))


def reserve(
    session: Session,
    agent: Agent,
    what: str,
    *,
    until: datetime,
    now: datetime,
    who: str,
    campaign_id: int,
    attempt: Attempt | None = None,
) -> None:
    """Keep an agent for an offer, for a callback that is nearly due, or for the call of `attempt`."""
    agent.reserved_for, agent.reserved_until = what, until
    agent.reserved_attempt_id = attempt.id if attempt is not None else None
    ledger.record(
        session,
        at=now,
        kind="reserved",
        who=who,
        campaign_id=campaign_id,
        attempt_id=agent.reserved_attempt_id,
        agent_id=agent.id,
        why=what,
        until=until.isoformat(),
    )


def release(session: Session, agent: Agent, *, now: datetime, why: str, who: str = "dialer") -> None:
    """Let an agent be given to anybody again; harmless when kept for nothing."""
    if not agent.reserved_for:
        return
    ledger.record(
        session,
        at=now,
        kind="released",
        who=who,
        campaign_id=agent.campaign_id,
        attempt_id=agent.reserved_attempt_id,
        agent_id=agent.id,
        why=why,
        reserved_for=agent.reserved_for,
    )
    agent.reserved_for, agent.reserved_until, agent.reserved_attempt_id = "", None, None


def moved(session: Session, agent: Agent, *, now: datetime) -> None:
    """The agent's state has changed: a reservation that has come to nothing by it ends."""
    if agent.reserved_for and agent.state not in _SURVIVES[agent.reserved_for]:
        release(session, agent, now=now, why=f"the agent is {agent.state.replace('_', '-')}")


def release_attempt(session: Session, attempt_id: int, *, now: datetime, why: str) -> None:
    """The attempt is over, or has another agent: whoever was kept for it is free."""
    query = select(Agent).where(Agent.reserved_attempt_id == attempt_id)
    agent = session.scalars(query.with_for_update(**ROW_LOCK).execution_options(populate_existing=True)).one_or_none()
    if agent is not None:
        release(session, agent, now=now, why=why)


def release_overdue(session: Session, now: datetime) -> int:
    """Release reservations whose deadline is over; returns how many. Offers end with their own row (`offers`)."""
    overdue: Sequence[Agent] = session.scalars(
        select(Agent)
        .where(Agent.reserved_for.in_((CALL, CALLBACK)), Agent.reserved_until <= now)
        .order_by(Agent.id)
        .with_for_update(**ROW_LOCK_OR_SKIP)
        .execution_options(populate_existing=True)
    ).all()
    for agent in overdue:
        release(session, agent, now=now, why="not used in time")
    return len(overdue)
