"""Give a waiting customer the agent who has been idle longest: one statement, so two can never get one (I9).

Who has asked to go, and stays for such a customer, comes after the others.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Select, bindparam, exists, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import agentless, agents, endings, ledger, pbx_commands, reserving
from campaigns.agents import move
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.models import Agent, AgentLeg, Assignment, Attempt, CampaignAgent, Instant
from dialer.calls import LIVE_ANSWERED, CallState
from dialer.modes import AGENTLESS
from dialer.pbx.base import CallEvent, WaitingLeg

# A reception that has taken the call says so at once; when that event is lost its leg, known from the event
# before, is tried after this long: a refused join costs less than the customer's two seconds.
TRUST_SECOND_LEG = timedelta(seconds=0.4)


@dataclass(frozen=True, slots=True)
class _Given:
    """An agent who is this customer's, and their call, where the customer is brought to."""

    assignment_id: int
    agent: Agent
    leg: WaitingLeg


def longest_parked(attempt: Any, campaign: Any, pbx: Any) -> Select[Agent, int, str | None, str | None]:
    """Choose and lock the agent an attempt should be given: whose leg can be joined, and who is not kept for another.

    The three are values or columns of SQL: the attempt's id, its campaign's and its PBX.
    """
    leg = (AgentLeg.agent_id == Agent.id) & AgentLeg.ended_at.is_(None) & (AgentLeg.state == CallState.HELD)
    return (
        select(Agent, AgentLeg.id.label("leg_id"), AgentLeg.pbx_call_id, AgentLeg.first_leg_id)
        .select_from(Agent)
        .join(CampaignAgent, CampaignAgent.agent_id == Agent.id)
        .join(AgentLeg, leg & AgentLeg.first_leg_id.is_not(None) & AgentLeg.pbx_call_id.is_not(None))
        .where(Agent.state == "parked", Agent.pbx == pbx, CampaignAgent.campaign_id == campaign)
        .where((Agent.reserved_for == "") | (Agent.reserved_attempt_id == attempt))
        .order_by(
            Agent.reserved_attempt_id.is_not(None).desc(), Agent.wanted != "", Agent.idle_since.nulls_first(), Agent.id
        )
        .limit(1)
        .with_for_update(**ROW_LOCK_OR_SKIP, of=Agent)
    )


def _assigning() -> Select[Any]:
    """Choose and assign in one statement, unless the attempt has an agent; it returns what it has locked."""
    attempt = bindparam("attempt_id", type_=BigInteger)
    open_one = exists().where(Assignment.attempt_id == attempt, Assignment.ended_at.is_(None))
    chosen = longest_parked(attempt, bindparam("campaign_id"), bindparam("pbx")).where(~open_one).cte("chosen")
    columns = ["attempt_id", "agent_id", "leg_id", "assigned_at", "agent_free_at"]
    values = select(attempt, chosen.c.id, chosen.c.leg_id, bindparam("now", type_=Instant), chosen.c.since)
    made = insert(Assignment).from_select(columns, values).returning(Assignment.id).cte("made")
    # Columns and no entity: threads that compile one aliased entity at once have been seen to break it for good.
    given = select(chosen.c.id.label("agent_id"), made.c.id.label("assignment_id"), chosen.c.pbx_call_id)
    return given.add_columns(chosen.c.first_leg_id).select_from(chosen.join(made, true()))


_ASSIGN = _assigning()  # once: building it takes longer than asking it


def serve(session: Session, attempt: Attempt, *, now: datetime) -> list[int]:
    """Give the attempt an agent if one is free, and order the join once both sides can be joined.

    Returns the commands to send after the commit. The caller holds the attempt's lock. Nothing happens for a
    call that does not wait, or whose time is over (the message is ordered for it).
    """
    if attempt.state not in LIVE_ANSWERED or attempt.message_at is not None or attempt.left_at is not None:
        return []
    if attempt.mode == AGENTLESS:
        return agentless.play(session, attempt, now=now) if _joinable(attempt, now) else []
    if attempt.answered_at is None or now >= attempt.answered_at + timedelta(seconds=attempt.answer_limit):
        return []
    given = _assign(session, attempt, now) or _given_before(session, attempt, now)
    if given is None or not _joinable(attempt, now):
        return []
    command = pbx_commands.order_join(
        session, attempt, given.leg, given.agent.user_id, assignment_id=given.assignment_id, now=now
    )
    return [command] if command is not None else []


def spare(session: Session, attempt: Attempt, *, now: datetime) -> None:
    """Give back the agent of a customer who is gone, unless a join is under way and may still be reported."""
    assignment = endings.open_assignment(session, attempt.id)
    if assignment is not None and pbx_commands.join_of(session, attempt.ref, assignment.id) is None:
        endings.release_assignment(session, assignment, "customer gone", now=now)


def late_join(session: Session, attempt: Attempt, event: CallEvent, *, now: datetime) -> Assignment | None:
    """The PBX joined two whom we had given up on: the last agent this customer was given, or the one it names.

    They talk, so the assignment is made again, unless the agent has met somebody else meanwhile.
    """
    last = session.scalars(
        select(Assignment).where(Assignment.attempt_id == attempt.id).order_by(Assignment.id.desc()).limit(1)
    ).one_or_none()
    if last is None:
        return None
    agent = session.get_one(Agent, last.agent_id)
    taken = select(Assignment.id).where(Assignment.agent_id == agent.id, Assignment.ended_at.is_(None))
    if (event.party_id or agent.user_id) != agent.user_id or session.scalar(taken) is not None:
        return None
    values = {"attempt_id": attempt.id, "agent_id": agent.id, "leg_id": last.leg_id, "assigned_at": now}
    # Somebody may be giving this agent another customer at this very moment.
    again = session.scalar(insert(Assignment).values(values).on_conflict_do_nothing().returning(Assignment.id))
    return session.get(Assignment, again) if again is not None else None


def _given_before(session: Session, attempt: Attempt, now: datetime) -> _Given | None:
    """The agent this customer has already; another, when the PBX would not join the two."""
    assignment = endings.open_assignment(session, attempt.id)
    if assignment is None:
        return None
    if _fell_through(session, attempt, assignment, now):
        return _assign(session, attempt, now)
    leg, agent = session.get_one(AgentLeg, assignment.leg_id), session.get_one(Agent, assignment.agent_id)
    return _Given(assignment.id, agent, WaitingLeg(leg.pbx_call_id or "", leg.first_leg_id or ""))


def _fell_through(session: Session, attempt: Attempt, assignment: Assignment, now: datetime) -> bool:
    """Whether the PBX would not join these two; the agent is free again, behind the others in the queue."""
    join = pbx_commands.join_of(session, attempt.ref, assignment.id)
    if join is None or join.state not in ("refused", "not_sent"):
        return False
    endings.release_assignment(session, assignment, f"join {join.state}", now=now)
    session.get_one(Agent, assignment.agent_id).idle_since = now
    session.flush()
    return True


def _joinable(attempt: Attempt, now: datetime) -> bool:
    if not attempt.pbx_call_id or not attempt.second_leg_id or attempt.answered_at is None:
        return False
    return attempt.state == CallState.HELD or now >= attempt.answered_at + TRUST_SECOND_LEG


def _assign(session: Session, attempt: Attempt, now: datetime) -> _Given | None:
    if attempt.reserved_agent_id is not None:
        # The statement passes over an agent somebody has locked for an instant; the one kept for this very customer
        # is waited for.
        agents.locked(session, attempt.reserved_agent_id)
    with session.no_autoflush:  # it reads nothing of ours that is not written yet; all is written at once, later
        row = session.execute(
            _ASSIGN, {"campaign_id": attempt.campaign_id, "pbx": attempt.pbx, "attempt_id": attempt.id, "now": now}
        ).first()
        if row is None:
            return None
        agent = session.get_one(Agent, row.agent_id, populate_existing=True)  # locked by the statement
    if attempt.reserved_agent_id not in (None, agent.id):
        reserving.release_attempt(session, attempt.id, now=now, why="not on the line when the customer answered")
    if agent.reserved_for:
        reserving.release(session, agent, now=now, why="given the customer")
    move(session, agent, "assigned", now=now, who="dialer")
    ledger.record(
        session,
        at=now,
        kind="assigned",
        who="dialer",
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        agent_id=agent.id,
    )
    return _Given(row.assignment_id, agent, WaitingLeg(row.pbx_call_id, row.first_leg_id))


def waiting(session: Session, *, pbx: str | None = None, limit: int = 200) -> list[str]:
    """References of answered customers nobody has taken yet, longest wait first."""
    query = (
        select(Attempt.ref)
        .where(Attempt.state.in_(LIVE_ANSWERED), Attempt.message_at.is_(None), Attempt.left_at.is_(None))
        .order_by(Attempt.answered_at)
        .limit(limit)
    )
    return list(session.scalars(query.where(Attempt.pbx == pbx) if pbx else query))
