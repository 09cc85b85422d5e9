"""Which agents work for which campaign: what a person wrote (`101,102`, `group:Sales`, `all`) into rows.

Groups are the PBX's, and people come and go in them: `refresh_groups` follows. The caller owns the transaction.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.db import database_now
from campaigns.models import Agent, Campaign, CampaignAgent
from dialer.errors import BadInput, NotFound
from dialer.pbx.base import PbxUser


@dataclass(frozen=True, slots=True)
class AgentsSpec:
    """`--agents` understood: user ids, or ring groups, or everybody."""

    user_ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    everybody: bool = False

    @property
    def follows_the_pbx(self) -> bool:
        """Whether the set of agents changes when the PBX's users do."""
        return self.everybody or bool(self.groups)

    def __str__(self) -> str:
        return "all" if self.everybody else ",".join([*self.user_ids, *(f"group:{group}" for group in self.groups)])


@dataclass(frozen=True, slots=True)
class RosterChange:
    """Who came and who went; agent ids."""

    added: tuple[int, ...]
    removed: tuple[int, ...]
    total: int


def parse(text: str) -> AgentsSpec:
    """Read `101,102`, `group:Sales`, a mixture, or `all`."""
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise BadInput("no agents given: write PBX user ids (101,102), group:NAME, or all")
    if [word.lower() for word in words] == ["all"]:
        return AgentsSpec(everybody=True)
    ids, groups = [], []
    for word in words:
        kind, colon, rest = word.partition(":")
        if not colon:
            if not all(char.isalnum() or char in "-_.@" for char in word):
                raise BadInput(f"{word!r} is no PBX user id: write ids such as 101,102, or group:NAME, or all")
            ids.append(word)
        elif kind.strip().lower() == "group" and rest.strip():
            groups.append(rest.strip())
        else:
            raise BadInput(f"{word!r} names no agents: write PBX user ids (101,102), group:NAME, or all")
    return AgentsSpec(tuple(dict.fromkeys(ids)), tuple(dict.fromkeys(groups)))


def resolve(spec: AgentsSpec, users: Sequence[PbxUser], pbx: str) -> list[PbxUser]:
    """Return the PBX users a spec means; NotFound names what is missing and what there is instead."""
    if spec.everybody:
        found = [user for user in users if user.extension]
        if not found:
            raise NotFound(f"PBX {pbx} shows no user with an extension; `dialer pbx check {pbx}` says more")
        return found
    by_id = {user.id: user for user in users}
    chosen = {}
    for user_id in spec.user_ids:
        if user_id not in by_id:
            raise NotFound(f"PBX {pbx} has no user {user_id}{_instead(user_id, users)}")
        chosen[user_id] = by_id[user_id]
    for group in spec.groups:
        members = [user for user in users if _belongs(user, group)]
        if not members:
            known = sorted({name for user in users for name in user.groups})
            shown = ", ".join(known[:8]) or "no group with members"
            raise NotFound(f"PBX {pbx} has no ring group {group!r} with members; it has {shown}")
        chosen.update((user.id, user) for user in members)
    return list(chosen.values())


def _belongs(user: PbxUser, group: str) -> bool:
    return group.casefold() in (name.casefold() for name in user.groups)


def _instead(user_id: str, users: Sequence[PbxUser]) -> str:
    for user in users:
        if user.extension == user_id:
            return f"; {user_id} is the extension of {user.name}, whose user id is {user.id}"
    shown = ", ".join(f"{user.id} ({user.name})" for user in users[:5])
    return f"; it has {shown}" + (" and others" if len(users) > 5 else "") if shown else "; it shows no users at all"


def assign(
    session: Session, campaign: Campaign, spec: AgentsSpec, users: Sequence[PbxUser], *, now: datetime, who: str
) -> RosterChange:
    """Give a campaign exactly the agents of `spec`, and remember the spec as written."""
    chosen = resolve(spec, users, campaign.pbx)
    campaign.agents_spec = str(spec)
    return _set(session, campaign, chosen, now=now, who=who)


def refresh_groups(
    session: Session, pbx: str, users: Sequence[PbxUser], *, who: str = "presence"
) -> list[RosterChange]:
    """Follow the groups of a PBX, read just now, in every campaign on it that named a group or `all`.

    A group that has vanished or stands empty removes nobody: a PBX that restarts shows no users for a while, and
    a supervisor who empties a group by mistake should not stop a campaign. Returns what really changed.
    """
    following = select(Campaign).where(
        Campaign.pbx == pbx,
        Campaign.state != "archived",
        or_(Campaign.agents_spec == "all", Campaign.agents_spec.contains("group:")),
    )
    changes = []
    for campaign in session.scalars(following.order_by(Campaign.id)):
        try:
            chosen = resolve(parse(campaign.agents_spec), users, pbx)
        except NotFound:
            continue
        if _as_it_stands(session, campaign, chosen):
            continue  # as nearly always: an upsert would lock every agent, just when a customer needs one
        change = _set(session, campaign, chosen, now=database_now(session), who=who)
        if change.added or change.removed:
            changes.append(change)
    return changes


def _as_it_stands(session: Session, campaign: Campaign, chosen: Sequence[PbxUser]) -> bool:
    members = select(Agent.user_id).join(CampaignAgent, CampaignAgent.agent_id == Agent.id)
    known = session.scalars(members.where(CampaignAgent.campaign_id == campaign.id))
    return set(known) == {user.id for user in chosen}


def _set(session: Session, campaign: Campaign, chosen: Sequence[PbxUser], *, now: datetime, who: str) -> RosterChange:
    before = set(session.scalars(select(CampaignAgent.agent_id).where(CampaignAgent.campaign_id == campaign.id)))
    after = set(_known(session, campaign.pbx, chosen))
    added, removed = sorted(after - before), sorted(before - after)
    if added:
        rows = [{"campaign_id": campaign.id, "agent_id": agent_id} for agent_id in added]
        session.execute(insert(CampaignAgent).values(rows).on_conflict_do_nothing())
    if removed:
        session.execute(
            delete(CampaignAgent).where(CampaignAgent.campaign_id == campaign.id, CampaignAgent.agent_id.in_(removed))
        )
    if added or removed:
        ledger.record(
            session,
            at=now,
            kind="roster",
            who=who,
            campaign_id=campaign.id,
            spec=campaign.agents_spec,
            added=added,
            removed=removed,
        )
    return RosterChange(tuple(added), tuple(removed), len(after))


def _known(session: Session, pbx: str, users: Sequence[PbxUser]) -> list[int]:
    """Return the agents' ids, writing rows for those we did not know: out, until they log in."""
    rows = [{"pbx": pbx, "user_id": user.id, "name": user.name, "extension": user.extension} for user in users]
    # In one order everywhere, so that two rosters written at once do not wait for each other in a ring.
    rows.sort(key=lambda row: row["user_id"])
    new = insert(Agent).values(rows)
    session.execute(
        new.on_conflict_do_update(
            index_elements=["pbx", "user_id"],
            set_={"name": new.excluded.name, "extension": new.excluded.extension},
            # Nobody's row is locked for nothing: the groups are read every few seconds while calls run.
            where=or_(Agent.name != new.excluded.name, Agent.extension != new.excluded.extension),
        )
    )
    ids = [user.id for user in users]
    return list(session.scalars(select(Agent.id).where(Agent.pbx == pbx, Agent.user_id.in_(ids))))


def members(session: Session, campaign: Campaign) -> list[Agent]:
    """Return the campaign's agents by name."""
    query = select(Agent).join(CampaignAgent, CampaignAgent.agent_id == Agent.id)
    return list(session.scalars(query.where(CampaignAgent.campaign_id == campaign.id).order_by(Agent.name, Agent.id)))


def find_agent(session: Session, text: str, pbx: str | None = None) -> Agent:
    """Return the agent a person means by a PBX user id, an extension or a name, in that order."""
    text = text.strip()
    here = [Agent.pbx == pbx] if pbx else []
    lower = text.lower()
    query = select(Agent).where(or_(Agent.user_id == text, Agent.extension == text, Agent.name.ilike(text)), *here)
    found = session.scalars(query.order_by(Agent.id)).all()
    for means in ("user_id", "extension", "name"):
        matching = [agent for agent in found if getattr(agent, means).lower() == lower]
        if len(matching) == 1:
            return matching[0]
        if matching:
            shown = "; ".join(
                f"{agent.name or 'no name'}, user {agent.user_id} of PBX {agent.pbx}" for agent in matching
            )
            raise BadInput(
                f"{text!r} is more than one agent: {shown}. Give the user id, and --pbx if it is still unclear"
            )
    where = f" on PBX {pbx}" if pbx else ""
    raise NotFound(
        f"there is no agent {text!r}{where}: give a PBX user id, an extension or a name as `dialer agent list` shows"
    )


def listing(session: Session, campaign: Campaign | None) -> list[tuple[Agent, list[str]]]:
    """Return agents, longest in their state first and those who are out last, with their campaigns' names."""
    theirs: dict[int, list[str]] = {}
    named = select(CampaignAgent.agent_id, Campaign.name).join(Campaign, Campaign.id == CampaignAgent.campaign_id)
    for agent_id, name in session.execute(named.where(Campaign.state != "archived").order_by(Campaign.name)):
        theirs.setdefault(agent_id, []).append(name)
    query = select(Agent).order_by(Agent.state == "out", Agent.since, Agent.id)
    if campaign is not None:
        query = query.where(Agent.id.in_(select(CampaignAgent.agent_id).filter_by(campaign_id=campaign.id)))
    return [(agent, theirs.get(agent.id, [])) for agent in session.scalars(query)]
