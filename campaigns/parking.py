"""Keep the agents of running campaigns parked on the waiting IVR, and let them go when there is nothing to do.

An agent who is parked ahead of the answer is joined by one PBX command and not by a ring.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, Text, bindparam, cast, select, text
from sqlalchemy.orm import Session

from campaigns import agents, pbx_commands, reserving, staying
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.matching import leg_ref
from campaigns.models import Agent, AgentLeg, Campaign, CampaignAgent, Command, Installation
from dialer.calls import CallState
from dialer.modes import PARKS_AHEAD
from dialer.settings import TimingSettings

# Nothing to dial for this long: agents are let off the line. Calls to come park them again.
IDLE_LINE = timedelta(seconds=20)
# A whole shift that logs in at nine is parked over some seconds: one tick must not hold up the next.
MOST_AT_ONCE = 20

_WANTED_BY = text(
    """
    SELECT b.id FROM campaign_agents ca JOIN campaigns b ON b.id = ca.campaign_id
    WHERE ca.agent_id = :agent_id AND b.id <> :campaign_id AND b.state = 'running' AND b.mode = ANY(:modes)
      AND (b.pbx = :pbx OR EXISTS (SELECT FROM campaign_pbxes m
                                   WHERE m.campaign_id = b.id AND m.pbx = :pbx AND m.role <> 'removed'))
      AND (EXISTS (SELECT 1 FROM attempts t WHERE t.campaign_id = b.id AND t.ended_at IS NULL)
           OR (SELECT min(k.next_at) FROM contacts k WHERE k.campaign_id = b.id AND k.state = 'open') <= :now)
    ORDER BY b.id LIMIT 1
    """
)

# Asked at every tick of every campaign, so built once: building one takes as long as asking it.
_CAMPAIGN: BindParameter[int] = bindparam("campaign_id")
_PBX: BindParameter[str] = bindparam("pbx")
_NOW: BindParameter[datetime] = bindparam("now")
_READY = (
    select(Agent)
    .join(CampaignAgent, CampaignAgent.agent_id == Agent.id)
    .where(
        CampaignAgent.campaign_id == _CAMPAIGN,
        Agent.pbx == _PBX,
        Agent.state == "ready",
        (Agent.not_before.is_(None)) | (Agent.not_before <= _NOW),
        ~select(AgentLeg.id).where(AgentLeg.agent_id == Agent.id, AgentLeg.ended_at.is_(None)).exists(),
    )
    .order_by(Agent.idle_since.nulls_first(), Agent.id)
    .limit(MOST_AT_ONCE)
    .with_for_update(**ROW_LOCK_OR_SKIP, of=Agent)
    .execution_options(populate_existing=True)
)
_ON_LINE = (
    select(Agent, AgentLeg)
    .join(CampaignAgent, CampaignAgent.agent_id == Agent.id)
    .join(AgentLeg, (AgentLeg.agent_id == Agent.id) & AgentLeg.ended_at.is_(None))
    .where(CampaignAgent.campaign_id == _CAMPAIGN, Agent.pbx == _PBX, Agent.state == "ready")
    .where(
        AgentLeg.pbx == _PBX,
        AgentLeg.state == CallState.HELD,
        ~select(Command.id).where(Command.ref == AgentLeg.ref, Command.kind == "hang_up").exists(),
    )
    .order_by(AgentLeg.id)
    .with_for_update(**ROW_LOCK_OR_SKIP, of=(AgentLeg, Agent))
    .execution_options(populate_existing=True)
)
_STRANGER = (
    ~select(CampaignAgent.agent_id)
    .where(CampaignAgent.campaign_id == _CAMPAIGN, CampaignAgent.agent_id == AgentLeg.agent_id)
    .exists()
)
_PARKED = (
    select(AgentLeg)
    .join(Agent, Agent.id == AgentLeg.agent_id)
    .where(
        AgentLeg.campaign_id == _CAMPAIGN,
        AgentLeg.ended_at.is_(None),
        AgentLeg.state == CallState.HELD,
        Agent.state == "parked",
        Agent.reserved_for.not_in((reserving.CALL, reserving.OFFER)),
        cast(_PBX, Text).is_(None) | (AgentLeg.pbx == _PBX),
    )
    .order_by(AgentLeg.id)
    .with_for_update(**ROW_LOCK_OR_SKIP, of=AgentLeg)
    .execution_options(populate_existing=True)
)
_STRANGERS = _PARKED.where(_STRANGER)
_ON_THE_LINE = text(
    """
    SELECT l.campaign_id, bool_or(NOT EXISTS (SELECT FROM campaign_agents m
                                              WHERE m.campaign_id = l.campaign_id AND m.agent_id = a.id)) AS strangers
    FROM agent_legs l JOIN agents a ON a.id = l.agent_id AND a.state = 'parked'
    WHERE l.campaign_id = ANY(:campaigns) AND l.ended_at IS NULL
    GROUP BY l.campaign_id
    """
)


def park(
    session: Session, campaign: Campaign, *, now: datetime, timing: TimingSettings, pbx: str | None = None
) -> list[str]:
    """Order a parking call for every ready agent of a campaign on `pbx`; returns their references, to be placed.

    Whose last call went on after the customer had gone is on the line already. `pbx`: by default its first.
    """
    pbx = pbx or campaign.pbx
    keep(session, campaign, now=now, pbx=pbx)
    ready = session.scalars(_READY, {"campaign_id": campaign.id, "pbx": pbx, "now": now}).all()
    return order_legs(session, campaign, ready, now=now, timing=timing)


def keep(session: Session, campaign: Campaign, *, now: datetime, pbx: str, only: Agent | None = None) -> None:
    """Park the ready agents on `pbx`, or `only` this one, whose leg still stands and whose end nobody has ordered."""
    query = _ON_LINE if only is None else _ON_LINE.where(Agent.id == only.id)
    on_line = session.execute(query, {"campaign_id": campaign.id, "pbx": pbx}).all()
    for agent, leg in on_line:
        leg.campaign_id = agent.campaign_id = campaign.id
        agent.idle_since = agent.idle_since or now
        agents.move(session, agent, "parked", now=now, who="dialer")


def order_legs(
    session: Session, campaign: Campaign, ready: Sequence[Agent], *, now: datetime, timing: TimingSettings
) -> list[str]:
    """Order a parking call for each of these agents, who are ready and locked; returns their references."""
    if not ready:
        return []
    prefix = session.get_one(Installation, 1).prefix
    ids = session.scalars(
        text("SELECT nextval(pg_get_serial_sequence('agent_legs', 'id')) FROM generate_series(1, :n)"),
        {"n": len(ready)},
    ).all()
    refs = []
    for leg_id, agent in zip(ids, ready, strict=True):
        ref = leg_ref(prefix, leg_id)
        session.add(
            AgentLeg(
                id=leg_id,
                ref=ref,
                pbx=agent.pbx,
                agent_id=agent.id,
                campaign_id=campaign.id,
                state=CallState.ORDERED,
                ordered_at=now,
                not_after=now + timedelta(seconds=timing.order_life),
            )
        )
        agents.move(session, agent, "parking", now=now, who="dialer")
        agent.campaign_id = campaign.id
        refs.append(ref)
    session.flush()
    return refs


def let_go(
    session: Session,
    campaign_id: int,
    *,
    now: datetime,
    reason: str,
    strangers_only: bool = False,
    pbx: str | None = None,
) -> list[int]:
    """Take the parked agents of a campaign off the line, or only those who work for it no more.

    As many stay as calls still ring or wait for one: a campaign that is paused, or changes its mode, still answers to
    everybody it has rung. Who is wanted by another campaign stays on the line, as that one's: to let them go would be
    to ring them again a moment later. `pbx`: only those on the line there. Returns the commands ordered; the second
    look sends them.
    """
    query = _STRANGERS if strangers_only else _PARKED
    legs = session.scalars(query, {"campaign_id": campaign_id, "pbx": pbx}).all()
    if not strangers_only and legs:
        legs = _beyond_the_calls(session, campaign_id, legs)
    commands = []
    given = {"campaign_id": campaign_id, "now": now, "modes": list(PARKS_AHEAD)}
    for leg in legs:
        agent = agents.locked(session, leg.agent_id)
        if agent.state != "parked" or agent.reserved_for in (reserving.CALL, reserving.OFFER):
            continue
        heir = session.scalar(_WANTED_BY, given | {"agent_id": agent.id, "pbx": leg.pbx})
        if heir is not None:
            reserving.release(session, agent, now=now, why=reason)  # kept ahead of a callback of this campaign
            leg.campaign_id = agent.campaign_id = heir
            continue
        command = pbx_commands.order_hang_up(session, leg, now=now)
        if command is not None:
            agents.move(session, agent, "ready", now=now, who="dialer", reason=reason)
            commands.append(command)
    return commands


def on_the_line(session: Session, campaigns: Sequence[int]) -> dict[int, bool]:
    """Return the campaigns with agents parked for them, and of each whether some of them work for it no more: those of
    whom `let_go` may have somebody to let go."""
    rows = session.execute(_ON_THE_LINE, {"campaigns": list(campaigns)})
    return {row.campaign_id: row.strangers for row in rows}


def _beyond_the_calls(session: Session, campaign_id: int, legs: Sequence[AgentLeg]) -> list[AgentLeg]:
    """Return the legs that no call still ringing, or waiting, on the same PBX may need."""
    found: list[AgentLeg] = []
    for pbx in sorted({leg.pbx for leg in legs}):
        there = [leg for leg in legs if leg.pbx == pbx]
        calls = staying.on_the_way(session, [campaign_id], pbx=pbx).get(campaign_id, 0)
        found += there[: max(0, len(there) - calls)]
    return found
