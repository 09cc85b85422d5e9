"""Whether an agent on the line who asks to go is needed for the calls that ring: dialer/pacing/staying.py, on rows."""

from collections.abc import Collection, Iterable
from datetime import datetime

from sqlalchemy import exists, func, select, text
from sqlalchemy.orm import Session

from campaigns import budgets
from campaigns.agent_states import ON_THE_LINE
from campaigns.models import Agent, Assignment, Attempt, Campaign, CampaignAgent
from campaigns.pace_calls import ON_THE_WAY
from dialer.calls import LIVE_ANSWERED
from dialer.errors import NotFound
from dialer.modes import AGENTLESS
from dialer.pacing.staying import must_stay

_CLASS = 0x57A9  # of our advisory locks; the other half of the key is the campaign


def one_at_a_time(session: Session, campaigns: Iterable[int]) -> None:
    """Let nobody else of these campaigns go, and none of their calls be ordered, until this transaction ends.

    Two who leave at once would each count on the other, and an order not yet committed is seen by neither. To be taken
    before any row lock, so that whoever waits for it holds nothing.
    """
    for campaign_id in sorted(campaigns):
        session.execute(text("SELECT pg_advisory_xact_lock(:class, :id)"), {"class": _CLASS, "id": campaign_id})


def nobody_goes(session: Session, campaign_id: int) -> None:
    """Let nobody of this campaign go until this transaction has ordered its calls. Others who order do not wait."""
    session.execute(text("SELECT pg_advisory_xact_lock_shared(:class, :id)"), {"class": _CLASS, "id": campaign_id})


def serves(session: Session, agents: Collection[int]) -> set[int]:
    """Return the campaigns that these agents work for."""
    return set(session.scalars(select(CampaignAgent.campaign_id).where(CampaignAgent.agent_id.in_(agents))))


def needed(session: Session, agent: Agent, now: datetime) -> bool:
    """Whether the agent, free on the line, must stay for now. The caller took `one_at_a_time`.

    Agents that several campaigns share are counted once, and the calls of all of these together.
    """
    kept_for = session.get(Attempt, agent.reserved_attempt_id) if agent.reserved_attempt_id else None
    if agent.reserved_for and (kept_for is None or not _rings(kept_for)):
        return False
    campaigns = serves(session, [agent.id])
    calls = on_the_way(session, campaigns, pbx=agent.pbx)
    free = _free(session, campaigns, agent.pbx)
    if kept_for is not None:  # whoever is free serves that customer too: this agent and this call are one more of each
        calls[kept_for.campaign_id] = calls.get(kept_for.campaign_id, 0) + 1
        free += 1
    total = sum(calls.values())
    if total < free:  # most often: then no window needs to be counted
        return False
    return any(_must(session, campaign_id, free, total, now) for campaign_id in sorted(calls))


def must_wait_for_calls(session: Session, agent: Agent) -> bool:
    """Whether an agent on the line is wanted for a call that rings, or waits, on their PBX: all of them are counted,
    whatever a window may lose. The caller took `one_at_a_time`."""
    if agent.state not in ON_THE_LINE:
        return False
    if agent.reserved_for:
        return True
    campaigns = serves(session, [agent.id])
    calls = sum(on_the_way(session, campaigns, pbx=agent.pbx).values())
    return calls > 0 and _free(session, campaigns, agent.pbx) <= calls


def _rings(attempt: Attempt) -> bool:
    """Whether the order has left and nothing has ended it: one not sent yet goes with its agent."""
    return attempt.sent_at is not None and attempt.ended_at is None and attempt.given_up_at is None


def on_the_way(session: Session, campaigns: Collection[int], *, pbx: str) -> dict[int, int]:
    """Count, by campaign, the calls on a PBX that ring or wait for one of its free agents."""
    given = exists().where(Assignment.attempt_id == Attempt.id, Assignment.ended_at.is_(None))
    query = (
        select(Attempt.campaign_id, func.count().label("calls"))
        .where(Attempt.campaign_id.in_(campaigns), Attempt.ended_at.is_(None), Attempt.mode != AGENTLESS)
        .where(Attempt.pbx == pbx)
        .where(Attempt.given_up_at.is_(None), Attempt.reserved_agent_id.is_(None))
        .where(Attempt.state.in_(ON_THE_WAY) | (Attempt.state.in_(LIVE_ANSWERED) & ~given))
        .group_by(Attempt.campaign_id)
    )
    return {row.campaign_id: row.calls for row in session.execute(query)}


def _free(session: Session, campaigns: Collection[int], pbx: str) -> int:
    member = exists().where(CampaignAgent.agent_id == Agent.id, CampaignAgent.campaign_id.in_(campaigns))
    query = select(func.count()).where(member, Agent.pbx == pbx, Agent.state.in_(ON_THE_LINE), Agent.reserved_for == "")
    return session.scalar(query) or 0


def _must(session: Session, campaign_id: int, free: int, calls: int, now: datetime) -> bool:
    campaign = session.get_one(Campaign, campaign_id)
    try:
        spent = budgets.in_force(session, campaign, now, sharing=budgets.shares_with(session, campaign_id))
    except NotFound:  # a rule pack this release does not know: nothing is dialled for it
        return False
    return must_stay(spent.budget, free=free, on_the_way=calls)
