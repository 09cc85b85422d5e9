"""Which agents work for which campaign: what a person wrote (`101,102`, `group:Sales`, `all`) into rows.

Groups are the PBX's, and people come and go in them: `refresh_groups` follows. Where a campaign calls through several
PBXs, `second/101`, `second/group:Sales` and `second/all` mean that one's; without a name a group means each that has
it, and a user id the one that has it. A person with a phone on two is chosen by the first of them. The caller owns the
transaction.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Select, delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from campaigns import ledger, pools
from campaigns.db import ROW_LOCK, database_now
from campaigns.models import Agent, Campaign, CampaignAgent, CampaignPbx
from dialer.errors import BadInput, NotFound
from dialer.pbx.base import PbxUser
from dialer.pools import REMOVED


@dataclass(frozen=True, slots=True)
class AgentsSpec:
    """`--agents` understood: user ids, or ring groups, or everybody."""

    user_ids: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    everybody: bool = False
    on: tuple[tuple[str, "AgentsSpec"], ...] = ()  # what was asked of a PBX by its name

    @property
    def follows_the_pbx(self) -> bool:
        """Whether the set of agents changes when the PBX's users do."""
        return self.everybody or bool(self.groups) or any(part.follows_the_pbx for _, part in self.on)

    def of(self, pbx: str) -> "AgentsSpec":
        """Return what was asked of this PBX by its name."""
        return dict(self.on).get(pbx, AgentsSpec())

    def __str__(self) -> str:
        return ",".join(self._words())

    def _words(self) -> list[str]:
        words = ["all"] if self.everybody else [*self.user_ids, *(f"group:{group}" for group in self.groups)]
        return [*words, *(f"{pbx}/{word}" for pbx, part in self.on for word in part._words())]


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
    theirs: dict[str, list[str]] = {}
    for word in words:
        pbx, slash, rest = word.partition("/")
        if slash and ":" not in pbx and pbx.strip() and rest.strip():
            theirs.setdefault(pbx.strip(), []).append(rest.strip())
    if theirs:
        plain = [word for word in words if "/" not in word or ":" in word.partition("/")[0]]
        whole = parse(",".join(plain)) if plain else AgentsSpec()
        return replace(whole, on=tuple((pbx, parse(",".join(part))) for pbx, part in theirs.items()))
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


def resolve_all(spec: AgentsSpec, users: Mapping[str, Sequence[PbxUser]]) -> dict[str, list[PbxUser]]:
    """Return the users a spec means on each PBX of a campaign; NotFound names what none of them has."""
    if len(users) == 1 and not spec.on:
        return {pbx: resolve(spec, known, pbx) for pbx, known in users.items()}
    strange = next((pbx for pbx, _ in spec.on if pbx not in users), None)
    if strange is not None:
        raise NotFound(f"the campaign does not call through a PBX {strange}; it does through {', '.join(users)}")
    chosen: dict[str, dict[str, PbxUser]] = {pbx: {} for pbx in users}
    for pbx, part in spec.on:
        chosen[pbx].update((user.id, user) for user in resolve(part, users[pbx], pbx))
    for user_id in spec.user_ids:
        having = [pbx for pbx, known in users.items() if any(user.id == user_id for user in known)]
        if len(having) != 1:
            names = ", ".join(f"{pbx}/{user_id}" for pbx in having)
            raise (
                BadInput(f"{user_id} is a user of {' and of '.join(having)}: write which, {names}")
                if having
                else NotFound(f"no PBX of the campaign has a user {user_id}: {', '.join(users)}")
            )
        (user,) = resolve(AgentsSpec((user_id,)), users[having[0]], having[0])
        chosen[having[0]][user_id] = user
    whole = [AgentsSpec(groups=(group,)) for group in spec.groups]
    for one in [*whole, AgentsSpec(everybody=True)] if spec.everybody else whole:
        missing: list[NotFound] = []
        for pbx, known in users.items():
            try:
                chosen[pbx].update((user.id, user) for user in resolve(one, known, pbx))
            except NotFound as exc:
                missing.append(exc)
        if len(missing) == len(users):
            raise missing[0]
    return {pbx: list(found.values()) for pbx, found in chosen.items()}


def _belongs(user: PbxUser, group: str) -> bool:
    return group.casefold() in (name.casefold() for name in user.groups)


def _instead(user_id: str, users: Sequence[PbxUser]) -> str:
    for user in users:
        if user.extension == user_id:
            return f"; {user_id} is the extension of {user.name}, whose user id is {user.id}"
    shown = ", ".join(f"{user.id} ({user.name})" for user in users[:5])
    return f"; it has {shown}" + (" and others" if len(users) > 5 else "") if shown else "; it shows no users at all"


def assign(
    session: Session,
    campaign: Campaign,
    spec: AgentsSpec,
    users: Sequence[PbxUser],
    *,
    others: Mapping[str, Sequence[PbxUser]] | None = None,
    now: datetime,
    who: str,
) -> RosterChange:
    """Give a campaign exactly the agents of `spec`, and remember the spec as written.

    `users` are those of its first PBX, `others` those of its other ones by their names.
    """
    chosen = resolve_all(spec, {campaign.pbx: users, **(others or {})})
    campaign.agents_spec = str(spec)
    return _set(session, campaign, chosen, None, now=now, who=who)


def assign_on(
    session: Session, campaign: Campaign, pbx: str, users: Sequence[PbxUser], *, now: datetime, who: str
) -> RosterChange:
    """Give a campaign exactly these users of one of its PBXs; its agents on the others stay, as they were named."""
    ids = AgentsSpec(tuple(user.id for user in users))
    if len(pools.names(session, campaign)) == 1:
        return assign(session, campaign, ids, users, now=now, who=who)
    spec = parse(campaign.agents_spec) if campaign.agents_spec else AgentsSpec()
    theirs = {phone.user_id for _, phone in at_home(session, campaign, pbx)}
    others = tuple((name, part) for name, part in spec.on if name != pbx)
    plain = tuple(user_id for user_id in spec.user_ids if user_id not in theirs)
    campaign.agents_spec = str(replace(spec, user_ids=plain, on=(*others, (pbx, ids))))
    return _set(session, campaign, {pbx: users}, pbx, now=now, who=who)


def refresh_groups(
    session: Session, pbx: str, users: Sequence[PbxUser], *, who: str = "presence"
) -> list[RosterChange]:
    """Follow the groups of a PBX, read just now, in every campaign on it that named a group or `all`.

    A group that has vanished or stands empty removes nobody: a PBX that restarts shows no users for a while, and
    a supervisor who empties a group by mistake should not stop a campaign. Returns what really changed.
    """
    through = select(CampaignPbx.campaign_id).where(CampaignPbx.pbx == pbx, CampaignPbx.role != REMOVED)
    following = select(Campaign).where(
        or_(Campaign.pbx == pbx, Campaign.id.in_(through)),
        Campaign.state != "archived",
        or_(
            Campaign.agents_spec == "all",
            Campaign.agents_spec.contains("group:"),
            Campaign.agents_spec.startswith("all,"),
            Campaign.agents_spec.contains("/all"),
        ),
    )
    changes = []
    for campaign in session.scalars(following.order_by(Campaign.id)):
        try:
            chosen = _followed(session, campaign, users, pbx)
        except NotFound:
            continue
        if _as_it_stands(session, campaign, chosen, pbx):
            continue  # as nearly always: an upsert would lock every agent, just when a customer needs one
        change = _set(session, campaign, {pbx: chosen}, pbx, now=database_now(session), who=who)
        if change.added or change.removed:
            changes.append(change)
    return changes


def _followed(session: Session, campaign: Campaign, users: Sequence[PbxUser], pbx: str) -> list[PbxUser]:
    """The users of one PBX whom a campaign's spec means now; NotFound when what it follows is not there."""
    spec = parse(campaign.agents_spec)
    if not spec.on and len(pools.names(session, campaign)) == 1:
        return resolve(spec, users, pbx)
    # Of the plain ids those that were found here: another PBX may have given the same id to somebody since.
    theirs = set(session.scalars(_at_home(campaign, pbx).with_only_columns(Agent.user_id)))
    named = spec.of(pbx)
    chosen = {user.id: user for user in users if user.id in theirs & {*spec.user_ids} or user.id in named.user_ids}
    wanted = AgentsSpec(groups=(*spec.groups, *named.groups), everybody=spec.everybody or named.everybody)
    if wanted.everybody:
        chosen.update((user.id, user) for user in resolve(AgentsSpec(everybody=True), users, pbx))
    for group in wanted.groups:
        chosen.update((user.id, user) for user in resolve(AgentsSpec(groups=(group,)), users, pbx))
    if not wanted.follows_the_pbx:
        raise NotFound(f"campaign {campaign.name} follows nothing on PBX {pbx}")
    return list(chosen.values())


def _at_home(campaign: Campaign, pbx: str | None) -> Select[int]:
    """The campaign's agents; with `pbx` those who belong there, though they work on another phone for now."""
    query = select(CampaignAgent.agent_id).join(Agent, Agent.id == CampaignAgent.agent_id)
    query = query.where(CampaignAgent.campaign_id == campaign.id)
    return query if pbx is None else query.where(func.coalesce(Agent.home_pbx, Agent.pbx) == pbx)


def _as_it_stands(session: Session, campaign: Campaign, chosen: Sequence[PbxUser], pbx: str) -> bool:
    found = _people(session, pbx, [user.id for user in chosen])
    if len(found) < len(chosen):
        return False  # somebody new
    return set(session.scalars(_at_home(campaign, pbx))) == {person for person in found.values() if person is not None}


def _set(
    session: Session,
    campaign: Campaign,
    chosen: Mapping[str, Sequence[PbxUser]],
    only: str | None,
    *,
    now: datetime,
    who: str,
) -> RosterChange:
    """Write who works for the campaign; with `only` who of that PBX does, and nobody else is touched."""
    before = set(session.scalars(_at_home(campaign, only)))
    after = {person for pbx, users in chosen.items() if users for person in _known(session, pbx, users)}
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
    total = select(func.count()).where(CampaignAgent.campaign_id == campaign.id)
    return RosterChange(tuple(added), tuple(removed), session.scalar(total) or 0)


def _known(session: Session, pbx: str, users: Sequence[PbxUser]) -> list[int]:
    """Return the ids of the people whose phones these are, writing rows for those we did not know: out, until they
    log in."""
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
    found = _people(session, pbx, [user.id for user in users])
    return [person for person in found.values() if person is not None]


def _people(session: Session, pbx: str, user_ids: Sequence[str]) -> dict[str, int | None]:
    """Return, of the users of a PBX we know, the agent whose first phone it is; None for somebody's other phone."""
    owner = aliased(Agent)
    rows = session.execute(
        select(Agent.user_id, Agent.id, Agent.home_pbx, owner.id.label("owner"), owner.home_pbx.label("owners_home"))
        .outerjoin(owner, owner.id == Agent.spare_of)
        .where(Agent.pbx == pbx, Agent.user_id.in_(user_ids))
    )
    found: dict[str, int | None] = {}
    for row in rows:
        if row.owner is not None:
            found[row.user_id] = row.owner if row.owners_home == pbx else None
        else:
            found[row.user_id] = row.id if row.home_pbx in (None, pbx) else None
    return found


def members(session: Session, campaign: Campaign) -> list[Agent]:
    """Return the campaign's agents by name."""
    query = select(Agent).join(CampaignAgent, CampaignAgent.agent_id == Agent.id)
    return list(session.scalars(query.where(CampaignAgent.campaign_id == campaign.id).order_by(Agent.name, Agent.id)))


def at_home(session: Session, campaign: Campaign, pbx: str, *, lock: bool = False) -> list[tuple[Agent, Agent]]:
    """Return the campaign's agents who belong to a PBX, by name, each with the row of their phone there: their own, or
    the spare one's while they work on another phone."""
    query = select(Agent).where(Agent.id.in_(_at_home(campaign, pbx))).order_by(Agent.id)
    if lock:
        query = query.with_for_update(**ROW_LOCK)
    agents = session.scalars(query.execution_options(populate_existing=True)).all()
    spares = select(Agent).where(Agent.spare_of.in_([one.id for one in agents]), Agent.pbx == pbx)
    phones = {one.spare_of: one for one in session.scalars(spares)}
    found = [(one, one if one.pbx == pbx else phones.get(one.id, one)) for one in agents]
    return sorted(found, key=lambda pair: (pair[0].name, pair[0].id))


def find_agent(session: Session, text: str, pbx: str | None = None) -> Agent:
    """Return the agent a person means by a PBX user id, an extension or a name, in that order."""
    text = text.strip()
    here = [Agent.pbx == pbx] if pbx else []
    lower = text.lower()
    query = select(Agent).where(or_(Agent.user_id == text, Agent.extension == text, Agent.name.ilike(text)), *here)
    found = session.scalars(query.order_by(Agent.id)).all()
    for means in ("user_id", "extension", "name"):
        # Whose second phone it is is meant, and is one person however many phones are called like that.
        meant = {agent.spare_of or agent.id for agent in found if getattr(agent, means).lower() == lower}
        matching = [session.get_one(Agent, agent_id) for agent_id in sorted(meant)]
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
    query = select(Agent).where(Agent.spare_of.is_(None)).order_by(Agent.state == "out", Agent.since, Agent.id)
    if campaign is not None:
        query = query.where(Agent.id.in_(select(CampaignAgent.agent_id).filter_by(campaign_id=campaign.id)))
    return [(agent, theirs.get(agent.id, [])) for agent in session.scalars(query)]
