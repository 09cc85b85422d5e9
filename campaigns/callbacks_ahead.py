"""Promised callbacks, called when they are due and for an agent who is kept for them: none is lost for lack of one.

The gate passes over contacts with a due date wherever a pacer orders (predictive, power, progressive); they are ordered
here alone. Shortly before one is due, an agent on the line is kept ahead; in the due minute the order is written and
the reservation made in one transaction. While no agent is on the line, or the share of the team that may be
kept is used up, the callback waits: late, and never answered by nobody.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import gate, reserving
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.gate import Author, Claim, Lines, Passed, Which
from campaigns.models import Agent, Attempt, Campaign, Contact
from campaigns.pace_view import View
from dialer.calls import LIVE_ANSWERED
from dialer.modes import AUTOMATIC
from dialer.settings import TimingSettings

# Kept a little longer than the lead, so that a tick that comes late still finds its agent.
SLACK = timedelta(seconds=5)
_MOST_AT_ONCE = 50


@dataclass(slots=True)
class Ahead:
    """What became of the callbacks at one tick."""

    refs: list[str] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)  # agents reserved now: free for nobody else
    passed: Passed = field(default_factory=Passed)


def most_reserved(team: int) -> int:
    """How many of a team may be kept for callbacks at once: half of it, and at least one."""
    return max(1, team // 2)


@dataclass(frozen=True, slots=True)
class Promised:
    """Callbacks that are due, and those due within the lead with them, as far as matters for one tick."""

    due: int = 0
    soon: int = 0


def promised(session: Session, campaign: Campaign, *, now: datetime, timing: TimingSettings) -> Promised:
    """Count the callbacks that agents should be on the line for; none where they are called like everybody else."""
    if campaign.mode not in AUTOMATIC:
        return Promised()
    query = (
        select(Contact.next_at)
        .where(
            Contact.campaign_id == campaign.id,
            Contact.state == "open",
            Contact.due_date.is_not(None),
            Contact.next_at <= now + timedelta(seconds=timing.callback_lead),
        )
        .order_by(Contact.next_at)
        .limit(_MOST_AT_ONCE)
    )
    times = session.scalars(query).all()
    return Promised(sum(at is not None and at <= now for at in times), len(times))


def order(
    session: Session,
    campaign: Campaign,
    view: View,
    lines: Lines,
    claim: Claim,
    waiting: Promised,
    *,
    now: datetime,
    timing: TimingSettings,
    allowed: bool,
) -> Ahead:
    """Call the callbacks that are due, and keep agents for those nearly due. LeaseLost when the claim is void.

    `allowed`: enough is known of the PBX to dial at all. Agents in `taken` are marked as reserved in the view.
    The last of a tick's steps that waits for an agent's lock comes before this one (`gate.keep_to_rate`).
    """
    done = Ahead()
    if campaign.mode not in AUTOMATIC:
        return done
    due, total = waiting.due, waiting.soon
    reserved = {agent.id for agent in view.agents if agent.reserved}
    if not total and not reserved:
        return done
    kept = _kept(session, campaign)
    if due and allowed:
        # Somebody who has answered and waits comes before anybody who is still to be called.
        someone_waits = any(call.state in LIVE_ANSWERED and call.agent_id is None for call in view.open)
        room = 0 if someone_waits else most_reserved(len(view.agents)) - len(reserved)
        more = reserving.parked(session, campaign, min(room, due - len(kept)))
        _call(session, campaign, [*kept, *more], lines, claim, done, now=now, timing=timing)
        kept = [agent for agent in kept if agent.reserved_for == reserving.CALLBACK]
    _keep(session, campaign, view, kept, total - len(done.refs), reserved, done, now=now, timing=timing, claim=claim)
    view.agents = [
        replace(agent, reserved=True, campaign_id=campaign.id) if agent.id in done.taken else agent
        for agent in view.agents
    ]
    return done


def _kept(session: Session, campaign: Campaign) -> list[Agent]:
    """The agents kept ahead for this campaign's callbacks, locked."""
    query = (
        select(Agent)
        .where(
            Agent.reserved_for == reserving.CALLBACK,
            Agent.campaign_id == campaign.id,
            Agent.state == "parked",
        )
        .order_by(Agent.id)
        .with_for_update(**ROW_LOCK_OR_SKIP)
        .execution_options(populate_existing=True)
    )
    return list(session.scalars(query))


def _call(
    session: Session,
    campaign: Campaign,
    agents: Sequence[Agent],
    lines: Lines,
    claim: Claim,
    done: Ahead,
    *,
    now: datetime,
    timing: TimingSettings,
) -> None:
    wanted = min(len(agents), lines.total)
    if campaign.max_lines is not None:
        open_calls = select(func.count()).select_from(Attempt)
        open_calls = open_calls.where(Attempt.campaign_id == campaign.id, Attempt.ended_at.is_(None))
        wanted = max(0, min(wanted, campaign.max_lines - (session.scalar(open_calls) or 0)))
    wanted = gate.keep_to_rate(session, campaign.id, lines, wanted, now)
    allowed = gate.let_through(session, campaign.id, wanted, claim, now=now, timing=timing, which=Which.PROMISED)
    author = Author.of(claim)
    ids = gate.new_ids(session, len(allowed.contacts))
    for agent, number_id, (contact, number, proof) in zip(agents, ids, allowed.contacts, strict=False):
        gate.write(
            session, allowed, number_id, contact, number, proof, lines, author, now=now, timing=timing, agent=agent
        )
        done.taken.add(agent.id)
    session.flush()
    done.refs, done.passed = allowed.passed.refs, allowed.passed


def _keep(
    session: Session,
    campaign: Campaign,
    view: View,
    kept: Sequence[Agent],
    wanted: int,
    reserved: set[int],
    done: Ahead,
    *,
    now: datetime,
    timing: TimingSettings,
    claim: Claim,
) -> None:
    """Have as many agents kept as callbacks are nearly due, within the share; let surplus ones go."""
    for agent in kept[max(0, wanted) :]:
        reserving.release(session, agent, now=now, why="no callback is due soon any more")
    used = len(reserved | done.taken)
    someone_waits = any(call.state in LIVE_ANSWERED and call.agent_id is None for call in view.open)
    room = 0 if someone_waits else most_reserved(len(view.agents)) - used
    until = now + timedelta(seconds=timing.callback_lead) + SLACK
    for agent in reserving.parked(session, campaign, min(room, wanted - len(kept))):
        if agent.campaign_id != campaign.id:
            continue  # on the line for another campaign, whose callbacks they would not be found for
        reserving.reserve(
            session,
            agent,
            reserving.CALLBACK,
            until=until,
            now=now,
            who=Author.of(claim).who,
            campaign_id=campaign.id,
        )
        done.taken.add(agent.id)
