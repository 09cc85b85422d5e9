"""Whether an agent on the line who asks to go is needed for the calls that ring: dialer/pacing/staying.py, on rows."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Row, exists, func, select
from sqlalchemy.orm import Session

from campaigns import budgets
from campaigns.models import Agent, Assignment, Attempt, Campaign, CampaignAgent
from campaigns.pace_calls import ON_THE_WAY
from dialer.calls import LIVE_ANSWERED
from dialer.errors import NotFound
from dialer.modes import AGENTLESS
from dialer.pacing.staying import must_stay

ON_THE_LINE = ("parking", "parked")


def needed(session: Session, agent: Agent, now: datetime) -> bool:
    """Whether the agent, free on the line, must stay for now. Reads, and locks nothing."""
    if agent.reserved_for:
        kept_for = session.get(Attempt, agent.reserved_attempt_id) if agent.reserved_attempt_id else None
        if kept_for is None or not _rings(kept_for):
            return False
        # Whoever is free serves that customer too: this agent and this call are one more of each.
        of = kept_for.campaign_id
        calls = sum(row.calls for row in _on_the_way(session, [of]))
        return _must(session, of, _free(session, of) + 1, calls + 1, now)
    serves = session.scalars(select(CampaignAgent.campaign_id).where(CampaignAgent.agent_id == agent.id)).all()
    return any(
        _must(session, row.campaign_id, _free(session, row.campaign_id), row.calls, now)
        for row in _on_the_way(session, serves)
    )


def _rings(attempt: Attempt) -> bool:
    """Whether the order has left and nothing has ended it: one not sent yet goes with its agent."""
    return attempt.sent_at is not None and attempt.ended_at is None and attempt.given_up_at is None


def _on_the_way(session: Session, campaigns: Sequence[int]) -> Sequence[Row[int, int]]:
    """Count, by campaign, the calls that ring or wait for one of the free agents."""
    given = exists().where(Assignment.attempt_id == Attempt.id, Assignment.ended_at.is_(None))
    query = (
        select(Attempt.campaign_id, func.count().label("calls"))
        .where(Attempt.campaign_id.in_(campaigns), Attempt.ended_at.is_(None), Attempt.mode != AGENTLESS)
        .where(Attempt.given_up_at.is_(None), Attempt.reserved_agent_id.is_(None))
        .where(Attempt.state.in_(ON_THE_WAY) | (Attempt.state.in_(LIVE_ANSWERED) & ~given))
        .group_by(Attempt.campaign_id)
    )
    return session.execute(query).all()


def _free(session: Session, campaign_id: int) -> int:
    query = (
        select(func.count())
        .select_from(CampaignAgent)
        .join(Agent, Agent.id == CampaignAgent.agent_id)
        .where(CampaignAgent.campaign_id == campaign_id, Agent.state.in_(ON_THE_LINE), Agent.reserved_for == "")
    )
    return session.scalar(query) or 0


def _must(session: Session, campaign_id: int, free: int, on_the_way: int, now: datetime) -> bool:
    if on_the_way < free:  # most often: then no window needs to be counted
        return False
    campaign = session.get_one(Campaign, campaign_id)
    try:
        spent = budgets.in_force(session, campaign, now, sharing=budgets.shares_with(session, campaign_id))
    except NotFound:  # a rule pack this release does not know: nothing is dialled for it
        return False
    return must_stay(spent.budget, free=free, on_the_way=on_the_way)
