"""The clocks that run on a call: the law's from answer to agent, and the deadline every state has (I10, I14).

The caller owns the transaction and holds the call's lock.
"""

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import endings, ledger, pbx_commands
from campaigns.agent_states import AWAY
from campaigns.models import Agent, AgentLeg, Attempt
from dialer.calls import LIVE_ANSWERED, CallState, Signal, advance
from dialer.modes import AGENTLESS
from dialer.pbx.base import Feature, Pbx
from dialer.settings import TimingSettings

# An accepted join is carried out in some milliseconds; for so long past the limit we believe it will be.
JOIN_GRACE = timedelta(seconds=0.6)


def unserved(session: Session, now: datetime, timing: TimingSettings) -> list[str]:
    """References of answered customers whose time is nearly over and who have nobody yet."""
    lead = timedelta(seconds=timing.message_lead)
    query = select(Attempt.ref, Attempt.answered_at, Attempt.answer_limit).where(
        Attempt.state.in_(LIVE_ANSWERED), Attempt.message_at.is_(None)
    )
    return [
        row.ref
        for row in session.execute(query)
        if row.answered_at is not None and now >= row.answered_at + timedelta(seconds=row.answer_limit) - lead
    ]


def run_out(session: Session, pbx: Pbx, attempt: Attempt, *, now: datetime) -> list[int]:
    """Nobody was free in time: order the recorded message and write the abandonment down.

    Returns the commands to send after the commit. Where the PBX cannot be told to (no divert, or the event
    with the leg's id was lost) the reception plays its own message: `dialer pbx check` saw that it does.
    """
    if attempt.state not in LIVE_ANSWERED or attempt.message_at is not None:
        return []
    assignment = endings.open_assignment(session, attempt.id)
    if assignment is not None:
        join = pbx_commands.join_of(session, attempt.ref, assignment.id)
        in_flight = join is not None and join.state in ("sending", "accepted", "unknown")
        if in_flight and join is not None and now < (join.sent_at or now) + JOIN_GRACE:
            return []
        if join is not None and join.state == "due" and not pbx_commands.withdraw_join(session, assignment.id, now=now):
            return []  # claimed this instant: on its way after all
        endings.release_assignment(session, assignment, "time over", now=now)
    attempt.message_at = now
    attempt.state = advance(CallState(attempt.state), Signal.MESSAGE)
    can_tell = Feature.DIVERT in pbx.features and bool(attempt.second_leg_id and attempt.pbx_call_id)
    why = "agentless" if attempt.mode == AGENTLESS else "no agent in time"
    ledger.record(
        session,
        at=now,
        kind="message",
        who="dialer",
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        why=why if can_tell else f"{why}; left to the reception's own message",
        rule_pack=attempt.rule_pack,
    )
    command = pbx_commands.order_message(session, attempt, now=now) if can_tell else None
    return [command] if command is not None else []


def overlong(session: Session, now: datetime, timing: TimingSettings) -> list[str]:
    """References of calls that should have ended by themselves: to be hung up."""
    message = now - timedelta(seconds=timing.message_limit)
    talk = now - timedelta(seconds=timing.talk_limit)
    ring = now - timedelta(seconds=timing.agent_ring_limit)
    rings = now - timedelta(seconds=3 * timing.ring_limit)
    found = list(
        session.scalars(
            select(Attempt.ref).where(
                Attempt.ended_at.is_(None),
                ~Attempt.agent_first,  # campaigns/quiet_calls.py: such PBXs cannot always end a call
                ((Attempt.state == CallState.MESSAGE) & (Attempt.message_at < message))
                | ((Attempt.state == CallState.JOINED) & (Attempt.joined_at < talk))
                # The PBX should have given up long ago, and still lists it.
                | (
                    Attempt.state.in_((CallState.UNKNOWN, CallState.PLACED, CallState.RINGING))
                    & (Attempt.sent_at < rings)
                ),
            )
        )
    )
    found += session.scalars(
        select(AgentLeg.ref).where(
            AgentLeg.ended_at.is_(None),
            AgentLeg.state.in_((CallState.PLACED, CallState.RINGING, CallState.ANSWERED)),
            AgentLeg.sent_at < ring,
        )
    )
    # Nobody wants these: the agent was let go, and the end ordered then did not come about.
    unwanted = (
        select(AgentLeg.ref)
        .join(Agent, Agent.id == AgentLeg.agent_id)
        .where(
            AgentLeg.ended_at.is_(None),
            AgentLeg.state.in_((CallState.ANSWERED, CallState.HELD)),
            Agent.state.in_(("ready", *AWAY)),
            Agent.since < now - pbx_commands.HANG_UP_AGAIN,
        )
    )
    return found + list(session.scalars(unwanted))


def unsettled(session: Session, now: datetime, timing: TimingSettings) -> list[str]:
    """References of calls that are over and have waited long enough for what explains them."""
    since = now - timedelta(seconds=timing.settle)
    found: list[str] = []
    for table in (Attempt, AgentLeg):
        query = select(table.ref).where(
            table.ended_at.is_(None), table.state == CallState.ENDING, table.over_at < since
        )
        found += session.scalars(query)
    return found


def settle(session: Session, call: Attempt | AgentLeg, *, now: datetime) -> None:
    """Close a call that is over with what is known of it."""
    if call.state != CallState.ENDING or call.ended_at is not None:
        return
    if isinstance(call, Attempt):
        endings.conclude_attempt(session, call, now=now, settled=True)
    else:
        endings.conclude_leg(session, call, now=now, settled=True)
