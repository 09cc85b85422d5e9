"""Promised callbacks, called when they are due and for an agent who is kept for them: none is lost for lack of one.

The gate passes over contacts with a due date wherever a pacer orders (predictive, power, progressive); they are ordered
here alone. Shortly before one is due, an agent on the line is kept ahead; in the due minute the order is written and
the reservation made in one transaction. While no agent is on the line, or the share of the team that may be
kept is used up, the callback waits: late, and never answered by nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import BindParameter, bindparam, case, func, select, text
from sqlalchemy.orm import Session

from campaigns import callbacks, gate, listed_place, reserving, unseen_calls
from campaigns.db import ROW_LOCK_OR_SKIP
from campaigns.due_contacts import Which
from campaigns.gate import Allowed, Author, Claim
from campaigns.lines import Lines
from campaigns.models import Agent, Campaign, Contact
from campaigns.pace_view import View
from dialer.callbacks import pair
from dialer.calls import LIVE_ANSWERED
from dialer.modes import AUTOMATIC
from dialer.settings import TimingSettings

# Kept a little longer than the lead, so that a tick that comes late still finds its agent.
SLACK = timedelta(seconds=5)
_MOST_AT_ONCE = 50

_NOW: BindParameter[datetime] = bindparam("now")
_KEPT = (Contact.kept_until > _NOW) & (Contact.kept_until > Contact.next_at)
# Asked at every tick of every campaign, so built once.
_PROMISED = (
    select(Contact.next_at, case((_KEPT, Contact.kept_for)).label("owner"))
    .where(
        Contact.campaign_id == bindparam("campaign_id"),
        Contact.state == "open",
        Contact.due_date.is_not(None),
        Contact.next_at <= bindparam("ahead"),
        func.coalesce(~(_KEPT & (Contact.kept_as == callbacks.TAKEN)), True),
        listed_place.callable_on(bindparam("pbx")),
    )
    .order_by(Contact.next_at)
    .limit(_MOST_AT_ONCE)
)
# The least by the index, as the pacer's view asks for whoever is due.
_NEARLY_DUE = text(
    """
    SELECT c.id FROM unnest(CAST(:campaigns AS bigint[])) AS c(id)
    WHERE (SELECT min(k.next_at) FROM contacts k
            WHERE k.campaign_id = c.id AND k.state = 'open' AND k.due_date IS NOT NULL
              AND NOT coalesce(k.kept_as = :taken AND k.kept_until > :now AND k.kept_until > k.next_at, false)
          ) <= CAST(:ahead AS timestamptz)
    """
)


@dataclass(slots=True)
class Ahead:
    """What became of the callbacks at one tick."""

    refs: list[str] = field(default_factory=list)
    taken: set[int] = field(default_factory=set)  # agents reserved now: free for nobody else


def most_reserved(team: int) -> int:
    """How many of a team may be kept for callbacks at once: half of it, and at least one."""
    return max(1, team // 2)


@dataclass(frozen=True, slots=True)
class Promised:
    """Callbacks that are due, and those due within the lead with them, as far as matters for one tick.

    Those anybody may be given are counted; of those an owner keeps, the owners are told. Taken ones are nobody's
    here: who took them starts them.
    """

    due: int = 0
    soon: int = 0
    owners_due: frozenset[int] = frozenset()
    owners_soon: frozenset[int] = frozenset()  # those with one due among them

    @property
    def any(self) -> bool:
        """Whether somebody should be on the line for one."""
        return bool(self.soon or self.owners_soon)


def promised(session: Session, campaign: Campaign, pbx: str, *, now: datetime, timing: TimingSettings) -> Promised:
    """Count the callbacks that agents on a PBX should be on the line for; none where they are called like everybody
    else."""
    if campaign.mode not in AUTOMATIC:
        return Promised()
    ahead = now + timedelta(seconds=timing.callback_lead)
    asked = {"campaign_id": campaign.id, "pbx": pbx, "now": now, "ahead": ahead}
    rows = session.execute(_PROMISED, asked).all()
    free = [row.next_at for row in rows if row.owner is None]
    return Promised(
        due=sum(at <= now for at in free),
        soon=len(free),
        owners_due=frozenset(row.owner for row in rows if row.owner is not None and row.next_at <= now),
        owners_soon=frozenset(row.owner for row in rows if row.owner is not None),
    )


def nearly_due(session: Session, campaigns: Sequence[int], *, now: datetime, timing: TimingSettings) -> set[int]:
    """Return the campaigns of which `promised` may find any, on whichever PBX."""
    given = {"campaigns": list(campaigns), "now": now, "ahead": now + timedelta(seconds=timing.callback_lead)}
    return set(session.scalars(_NEARLY_DUE, {**given, "taken": callbacks.TAKEN}))


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

    `allowed`: enough is known of the PBX to dial at all. Agents in `taken` are marked as reserved in the view. An owner
    is given their own callbacks; nobody else is, and an owner whose own comes soon is given no other's.
    The last of a tick's steps that waits for an agent's lock comes before this one (`gate.keep_to_rate`).
    """
    done = Ahead()
    if campaign.mode not in AUTOMATIC:
        return done
    reserved = {agent.id for agent in view.agents if agent.reserved}
    if not waiting.any and not reserved:
        return done
    kept = _kept(session, campaign, view.pbx)
    if allowed and (waiting.due or waiting.owners_due):
        # Somebody who has answered and waits comes before anybody who is still to be called.
        someone_waits = any(call.state in LIVE_ANSWERED and call.agent_id is None for call in view.open)
        room = 0 if someone_waits else most_reserved(len(view.agents)) - len(reserved)
        owners = [agent for agent in kept if agent.id in waiting.owners_due]
        missing = waiting.owners_due - {agent.id for agent in owners}
        fetched = reserving.parked(session, campaign, room, only=missing, pbx=view.pbx) if missing else []
        free = [agent for agent in kept if agent.id not in waiting.owners_soon]
        more = min(room - len(fetched), waiting.due - len(free))
        others = [*free, *reserving.parked(session, campaign, more, without=waiting.owners_soon, pbx=view.pbx)]
        _call(session, campaign, [*owners, *fetched], others, lines, claim, done, now=now, timing=timing)
        kept = [agent for agent in kept if agent.reserved_for == reserving.CALLBACK]
    _keep(session, campaign, view, kept, waiting, reserved, done, now=now, timing=timing, claim=claim)
    view.agents = [
        replace(agent, reserved=True, campaign_id=campaign.id) if agent.id in done.taken else agent
        for agent in view.agents
    ]
    return done


def _kept(session: Session, campaign: Campaign, pbx: str) -> list[Agent]:
    """The agents on a PBX kept ahead for this campaign's callbacks, locked."""
    query = (
        select(Agent)
        .where(
            Agent.reserved_for == reserving.CALLBACK,
            Agent.campaign_id == campaign.id,
            Agent.pbx == pbx,
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
    owners: Sequence[Agent],
    others: Sequence[Agent],
    lines: Lines,
    claim: Claim,
    done: Ahead,
    *,
    now: datetime,
    timing: TimingSettings,
) -> None:
    wanted = min(len(owners) + len(others), lines.total)
    if campaign.max_lines is not None:
        wanted = max(0, min(wanted, campaign.max_lines - unseen_calls.lines_taken(session, campaign.id, now)))
    wanted = gate.keep_to_rate(session, campaign.id, lines, wanted, now)
    own = {agent.id: agent for agent in owners}
    for which, agents in ((Which.OWNED, owners), (Which.PROMISED, others)):
        most = min(wanted - len(done.refs), len(agents))
        if most <= 0:
            continue
        allowed = gate.let_through(
            session, campaign.id, most, claim, now=now, timing=timing, which=which, own=own, pbx=lines.pbx
        )
        _write(
            session, allowed, own if which is Which.OWNED else {}, agents, lines, claim, done, now=now, timing=timing
        )


def _write(
    session: Session,
    allowed: Allowed,
    owners: Mapping[int, Agent],
    agents: Sequence[Agent],
    lines: Lines,
    claim: Claim,
    done: Ahead,
    *,
    now: datetime,
    timing: TimingSettings,
) -> None:
    ids = gate.new_ids(session, len(allowed.contacts))
    due = [(passed, callbacks.whose(passed[0], now)) for passed in allowed.contacts]
    author = Author.of(claim)
    for number_id, (agent, (contact, number, proof)) in zip(ids, pair(owners, agents, due), strict=False):
        gate.write(
            session, allowed, number_id, contact, number, proof, lines, author, now=now, timing=timing, agent=agent
        )
        done.taken.add(agent.id)
    session.flush()
    done.refs += allowed.passed.refs


def _keep(
    session: Session,
    campaign: Campaign,
    view: View,
    kept: Sequence[Agent],
    waiting: Promised,
    reserved: set[int],
    done: Ahead,
    *,
    now: datetime,
    timing: TimingSettings,
    claim: Claim,
) -> None:
    """Have as many agents kept as callbacks are nearly due, the owners among them, within the share; let others go."""
    wanted = waiting.soon - len(done.taken - waiting.owners_soon) - _kept_elsewhere(session, campaign, view)
    free = [agent for agent in kept if agent.id not in waiting.owners_soon]
    for agent in free[max(0, wanted) :]:
        reserving.release(session, agent, now=now, why="no callback is due soon any more")
    used = len(reserved | done.taken)
    someone_waits = any(call.state in LIVE_ANSWERED and call.agent_id is None for call in view.open)
    room = 0 if someone_waits else most_reserved(len(view.agents)) - used
    until = now + timedelta(seconds=timing.callback_lead) + SLACK
    owners = waiting.owners_soon - {agent.id for agent in kept} - done.taken
    fetched = reserving.parked(session, campaign, room, only=owners, pbx=view.pbx) if owners else []
    more = min(room - len(fetched), wanted - len(free))
    others = reserving.parked(session, campaign, more, without=waiting.owners_soon, pbx=view.pbx)
    for agent in [*fetched, *others]:
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


def _kept_elsewhere(session: Session, campaign: Campaign, view: View) -> int:
    """Agents kept for the same callbacks on the campaign's other PBXs."""
    if not view.places:
        return 0
    query = select(func.count()).select_from(Agent).where(Agent.reserved_for == reserving.CALLBACK)
    there = query.where(Agent.campaign_id == campaign.id, Agent.pbx != view.pbx)
    return session.scalar(there) or 0
