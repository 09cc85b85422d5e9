"""Agents with a phone on two PBXs: on which of them they work, moved when one cannot be called on, and back.

A person is one agent row, whose phone is the one they work on; each other phone is a row that is `spare_of` theirs.
Moving swaps the two phones, so whatever is kept of the person stays theirs, and the indexes that keep two customers
from one agent (I9) hold over both phones. Nobody is moved out of a call.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select, text
from sqlalchemy.orm import Session

from campaigns import agents, endings, ledger, pbx_commands, reactions, reserving, staying
from campaigns.agent_states import ON_THE_LINE
from campaigns.application import Application
from campaigns.db import ROW_LOCK, database_now
from campaigns.models import LEFT_BEHIND, Agent, AgentLeg, Assignment, Attempt, CampaignAgent
from campaigns.pbx_health import outages
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound, TryAgainLater
from dialer.pbx.base import PbxUser
from dialer.settings import TimingSettings

IN_A_CALL = ("assigned", "talking")
MOST_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Move:
    """An agent who should work on another phone of theirs."""

    agent_id: int
    pbx: str
    why: str
    home: bool  # back to their first phone


# What people set -----------------------------------------------------------------------------------------


def phones_of(session: Session, agent: Agent) -> list[Agent]:
    """Return the agent's phones as rows: the one they work on, then the others."""
    spares = session.scalars(select(Agent).where(Agent.spare_of == agent.id).order_by(Agent.id)).all()
    return [agent, *spares]


def add(session: Session, agent: Agent, pbx: str, user: PbxUser, *, who: str, now: datetime) -> Agent:
    """Give an agent one more phone, a user of another PBX. Somebody who was an agent by that phone is one no more.

    The caller has found `user` on the PBX. Said by a person and not guessed from equal extensions or names: two
    companies on two PBXs both have a 101, and a phone that rings the wrong person is worse than one that does not.
    """
    if agent.spare_of is not None:
        raise BadInput(f"{pbx} user {agent.user_id} is another agent's second phone")
    taken = next((one for one in phones_of(session, agent) if one.pbx == pbx), None)
    if taken is not None:
        raise BadInput(f"agent {_called(agent)} has a phone on PBX {pbx} already: user {taken.user_id}")
    query = select(Agent).where(Agent.pbx == pbx, Agent.user_id == user.id)
    spare = session.scalars(query.with_for_update(**ROW_LOCK)).one_or_none()
    if spare is None:
        spare = Agent(pbx=pbx, user_id=user.id, name=user.name or agent.name, extension=user.extension, since=now)
        session.add(spare)
    elif spare.spare_of is not None or spare.home_pbx is not None or len(phones_of(session, spare)) > 1:
        raise BadInput(f"user {user.id} of PBX {pbx} is a phone of another agent with two: `dialer agent phone list`")
    elif spare.state != "out":
        raise TryAgainLater(
            f"user {user.id} of PBX {pbx} is at work as an agent of their own ({spare.state.replace('_', '-')}): "
            f"`dialer agent logout {user.id} --pbx {pbx}` first"
        )
    else:
        session.execute(delete(CampaignAgent).where(CampaignAgent.agent_id == spare.id))
    spare.spare_of = agent.id
    session.flush()
    _record(session, agent, "add", who=who, now=now, why="", pbx=pbx, user_id=user.id)
    return spare


def remove(session: Session, agent: Agent, pbx: str, *, who: str, now: datetime) -> None:
    """Take a phone away from an agent who does not work on it."""
    spare = next((one for one in phones_of(session, agent)[1:] if one.pbx == pbx), None)
    if spare is None:
        there = f"works on it now: `dialer agent phone move {agent.user_id} --pbx` another first"
        has = ", ".join(one.pbx for one in phones_of(session, agent))
        raise (
            BadInput(f"agent {_called(agent)} {there}")
            if agent.pbx == pbx
            else NotFound(f"agent {_called(agent)} has no phone on PBX {pbx}: they have one on {has}")
        )
    if agent.home_pbx == pbx:
        agent.home_pbx = None
    spare.spare_of = None
    session.flush()
    _record(session, agent, "remove", who=who, now=now, why="", pbx=pbx, user_id=spare.user_id)


# Who works where -----------------------------------------------------------------------------------------

_PHONES = text(
    """
    SELECT a.id, a.pbx, a.home_pbx, s.pbx AS other,
           EXISTS (SELECT FROM campaign_agents ca JOIN campaigns c ON c.id = ca.campaign_id AND c.state = 'running'
                   JOIN campaign_pbxes m ON m.campaign_id = c.id AND m.role <> 'removed' AND m.pbx = s.pbx
                   WHERE ca.agent_id = a.id) AS used
    FROM agents s JOIN agents a ON a.id = s.spare_of
    WHERE a.state <> ALL(:in_a_call)
    ORDER BY a.id, s.id
    """
)


def due(session: Session, now: datetime, timing: TimingSettings) -> list[Move]:
    """Return who should move: away from a PBX that is out, to a phone a running campaign of theirs calls from; and
    back when it has been well for a while."""
    rows = session.execute(_PHONES, {"in_a_call": list(IN_A_CALL)}).all()
    if not rows:
        return []
    known = outages(session, sorted({row.pbx for row in rows} | {row.other for row in rows}))
    out = {
        pbx: outage.why
        for pbx, outage in known.items()
        if outage.lasts(now, after=timing.failover_after, back_for=timing.failback_after)
    }
    found: dict[int, Move] = {}
    for row in rows:
        if row.id in found:
            continue
        if row.home_pbx == row.other and row.other not in out:
            found[row.id] = Move(row.id, row.other, f"PBX {row.other} can be called on again", True)
        elif row.pbx in out and row.other not in out and row.used:
            found[row.id] = Move(row.id, row.other, f"PBX {row.pbx} is out of use: {out[row.pbx]}", False)
    return list(found.values())[:MOST_AT_ONCE]


def follow(application: Application) -> int:
    """Move whoever should work on another phone; returns how many did. Each scheduler does: no harm in it."""
    timing = application.settings.timing
    with application.transaction() as session:
        moves = due(session, database_now(session), timing)
    moved = 0
    for move in moves:
        with application.transaction() as session:
            moved += _carry_out(session, move, now=database_now(session))
    with application.transaction() as session:
        hang_up_left_behind(session, now=database_now(session))
    return moved


def _carry_out(session: Session, move: Move, *, now: datetime) -> bool:
    staying.one_at_a_time(session, staying.serves(session, [move.agent_id]))
    query = select(AgentLeg).where(AgentLeg.agent_id == move.agent_id, AgentLeg.ended_at.is_(None))
    leg = session.scalars(query.with_for_update(**ROW_LOCK).execution_options(populate_existing=True)).one_or_none()
    agent = agents.locked(session, move.agent_id)
    if agent.state in IN_A_CALL or agent.pbx == move.pbx or (move.home and agent.home_pbx != move.pbx):
        return False
    if move.home and staying.must_wait_for_calls(session, agent):
        return False  # somebody rings there, and may answer to nobody
    if leg is not None:
        pbx_commands.order_hang_up(session, leg, now=now)
        if not move.home:  # nobody may ever tell us of its end
            leg.trouble = LEFT_BEHIND
            endings.close_leg(session, leg, CallState.LOST, now=now, reason=move.why)
    if agent.state in ON_THE_LINE:
        agents.move(session, agent, "ready", now=now, who="dialer", reason=move.why, said_by=agent.said_by)
    return work_on(session, agent, move.pbx, who="dialer", now=now, why=move.why)


def work_on(session: Session, agent: Agent, pbx: str, *, who: str, now: datetime, why: str) -> bool:
    """Let an agent work on their phone at `pbx`; they are in no call and the caller holds their row."""
    query = select(Agent).where(Agent.spare_of == agent.id, Agent.pbx == pbx)
    spare = session.scalars(query.with_for_update(**ROW_LOCK).execution_options(populate_existing=True)).one_or_none()
    if spare is None:
        return False
    if agent.reserved_for in (reserving.CALL, reserving.CALLBACK):
        reserving.release(session, agent, now=now, why=why)  # kept for a call on the other PBX
    home = agent.home_pbx or agent.pbx
    mine, theirs = _phone(agent), _phone(spare)
    spare.user_id = f"moving {agent.id}"  # for an instant two rows would be one phone
    session.flush()
    _set_phone(agent, theirs)
    session.flush()
    _set_phone(spare, mine)
    agent.home_pbx = None if pbx == home else home
    agent.not_before = None
    session.flush()
    _record(session, agent, "move", who=who, now=now, why=why, pbx=pbx, user_id=agent.user_id)
    return True


def stay_on(session: Session, agent: Agent, pbx: str, *, who: str, now: datetime, why: str) -> bool:
    """Make the phone at `pbx` the agent's first: nothing moves them back. They are in no call, their row is locked."""
    if agent.pbx != pbx and not work_on(session, agent, pbx, who=who, now=now, why=why):
        return False
    agent.home_pbx = None
    session.flush()
    return True


_PHONE = ("pbx", "user_id", "extension", "presence", "presence_at", "presence_left")


def _phone(agent: Agent) -> dict[str, object]:
    return {name: getattr(agent, name) for name in _PHONE}


def _set_phone(agent: Agent, phone: dict[str, object]) -> None:
    for name, value in phone.items():
        setattr(agent, name, value)


# Calls on a PBX that is out ------------------------------------------------------------------------------


def free_by_word(session: Session, agent_id: int, *, timing: TimingSettings, now: datetime) -> bool:
    """An agent says they are free whose call is on a PBX that is out of use: they are, and the call stays open.

    Without that word they keep it for as long as it takes: an open line to a PBX that we cannot reach may still carry
    a conversation. What became of the call is asked when the PBX is back (I3).
    """
    found = session.execute(
        select(Attempt.ref, Attempt.pbx)
        .join(Assignment, (Assignment.attempt_id == Attempt.id) & Assignment.ended_at.is_(None))
        .join(Agent, Agent.id == Assignment.agent_id)
        .where(Agent.id == agent_id, Agent.state.in_(IN_A_CALL), Assignment.leg_id.is_not(None))
    ).one_or_none()
    if found is None:
        return False
    outage = outages(session, [found.pbx]).get(found.pbx)
    if outage is None or not outage.lasts(now, after=timing.failover_after, back_for=timing.failback_after):
        return False
    call = reactions.locked_call(session, found.ref)
    assignment = endings.open_assignment(session, call.id) if isinstance(call, Attempt) else None
    if assignment is None or assignment.leg_id is None or assignment.agent_id != agent_id:
        return False
    leg = session.get_one(AgentLeg, assignment.leg_id, with_for_update=ROW_LOCK, populate_existing=True)
    agent = agents.locked(session, agent_id)
    assignment.ended_at, assignment.result = now, "pbx out of use"
    pbx_commands.withdraw_join(session, assignment.id, now=now)
    session.flush()
    if leg.ended_at is None:
        leg.trouble = LEFT_BEHIND
        leg.state, leg.ended_at = CallState.LOST, now
    agent.idle_since = now
    agents.move(session, agent, "ready", now=now, who="agent", reason=f"PBX {found.pbx} is out of use")
    return True


_LEFT = text(
    f"""
    SELECT l.id FROM pbx_status s
    JOIN agent_legs l ON l.pbx = s.pbx AND l.trouble = '{LEFT_BEHIND}' AND l.pbx_call_id IS NOT NULL
        AND l.ended_at >= s.out_since
    WHERE s.back_since IS NOT NULL AND NOT EXISTS (
        SELECT FROM commands c WHERE c.ref = l.ref AND c.kind = 'hang_up' AND c.due_at >= s.back_since)
    ORDER BY l.id LIMIT 50
    """  # noqa: S608 (text of our own, in which the index knows its rows)
)


def hang_up_left_behind(session: Session, *, now: datetime) -> int:
    """End the parking calls that a PBX, back again, may still have of agents who were moved away; returns how many."""
    ids: Sequence[int] = session.scalars(_LEFT).all()
    for leg_id in ids:
        pbx_commands.order_hang_up(session, session.get_one(AgentLeg, leg_id), now=now)
    return len(ids)


def _record(
    session: Session, agent: Agent, verb: str, *, who: str, now: datetime, why: str, pbx: str, user_id: str
) -> None:
    ledger.record(
        session, at=now, kind="phone", who=who, agent_id=agent.id, why=why, verb=verb, pbx=pbx, user_id=user_id
    )


def _called(agent: Agent) -> str:
    return agent.name or f"user {agent.user_id}"
