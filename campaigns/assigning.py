"""Give a waiting customer the agent who has been idle longest: one statement, so two can never get one (I9).

Who has asked to go, and stays for such a customer, comes after the others.
"""

from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import agentless, agents, endings, ledger, pbx_commands, reserving
from campaigns.agents import move
from campaigns.models import Agent, AgentLeg, Assignment, Attempt
from dialer.calls import LIVE_ANSWERED, CallState
from dialer.modes import AGENTLESS
from dialer.pbx.base import CallEvent

# A reception that has taken the call says so at once; when that event is lost its leg, known from the event
# before, is tried after this long: a refused join costs less than the customer's two seconds.
TRUST_SECOND_LEG = timedelta(seconds=0.4)

_ASSIGN = text(
    """
    WITH chosen AS (
        SELECT a.id AS agent_id, l.id AS leg_id
        FROM agents a
        JOIN campaign_agents ca ON ca.agent_id = a.id AND ca.campaign_id = :campaign_id
        JOIN agent_legs l ON l.agent_id = a.id AND l.ended_at IS NULL AND l.state = 'held'
            AND l.first_leg_id IS NOT NULL AND l.pbx_call_id IS NOT NULL
        WHERE a.state = 'parked' AND a.pbx = :pbx
            AND (a.reserved_for = '' OR a.reserved_attempt_id = :attempt_id)
        ORDER BY a.reserved_attempt_id IS NOT NULL DESC, a.wanted <> '', a.idle_since NULLS FIRST, a.id
        LIMIT 1
        FOR NO KEY UPDATE OF a SKIP LOCKED
    )
    INSERT INTO assignments (attempt_id, agent_id, leg_id, assigned_at)
    SELECT :attempt_id, agent_id, leg_id, :now FROM chosen
    RETURNING id, agent_id, leg_id
    """
)


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
    assignment = endings.open_assignment(session, attempt.id)
    if assignment is not None and _fell_through(session, attempt, assignment, now):
        assignment = None
    if assignment is None:
        assignment = _assign(session, attempt, now)
    if assignment is None or not _joinable(attempt, now):
        return []
    leg = session.get_one(AgentLeg, assignment.leg_id)
    agent = session.get_one(Agent, assignment.agent_id)
    command = pbx_commands.order_join(session, attempt, leg, agent.user_id, assignment_id=assignment.id, now=now)
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


def _assign(session: Session, attempt: Attempt, now: datetime) -> Assignment | None:
    if attempt.reserved_agent_id is not None:
        # The statement passes over an agent somebody has locked for an instant; the one kept for this very customer
        # is waited for.
        agents.locked(session, attempt.reserved_agent_id)
    row = session.execute(
        _ASSIGN,
        {"campaign_id": attempt.campaign_id, "pbx": attempt.pbx, "attempt_id": attempt.id, "now": now},
    ).first()
    if row is None:
        return None
    agent = session.get_one(Agent, row.agent_id, populate_existing=True)
    assignment = session.get_one(Assignment, row.id)
    assignment.agent_free_at = agent.since
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
    return assignment


def waiting(session: Session, *, pbx: str | None = None, limit: int = 200) -> list[str]:
    """References of answered customers nobody has taken yet, longest wait first."""
    query = (
        select(Attempt.ref)
        .where(Attempt.state.in_(LIVE_ANSWERED), Attempt.message_at.is_(None), Attempt.left_at.is_(None))
        .order_by(Attempt.answered_at)
        .limit(limit)
    )
    return list(session.scalars(query.where(Attempt.pbx == pbx) if pbx else query))
