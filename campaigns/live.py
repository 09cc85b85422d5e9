"""The live state of campaigns: what the dashboard and `dialer status` show, the same numbers from the same queries.

Every number is counted from rows, carries its window or its age, and none of them is a phone number or a name of a
contact.
"""

import shlex
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import cut_off, lifecycle, pools_view, stored_gateways
from campaigns.callbacks_view import Waiting, waiting
from campaigns.campaign_values import usual_time_zone
from campaigns.models import Campaign, PbxStatus, ProcessBeat
from campaigns.pools_view import PbxPart
from campaigns.tallies import Abandonment, Contacts, TallyCache, Today, tally
from dialer.modes import AGENTLESS

TROUBLE_WINDOW = timedelta(minutes=10)
ALIVE = timedelta(seconds=15)  # a process that has not been heard of for longer is not counted as alive
QUIET = timedelta(seconds=6)  # a PBX is read every two seconds, by default: so long in trouble is no chance
STALE = timedelta(seconds=60)  # what was read of a PBX longer ago says nothing any more
FORGOTTEN = timedelta(minutes=10)  # and is not even shown after this
_MAX_TROUBLES = 8
_ORDER = ("running", "paused", "draft", "stopped")


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One agent, as a supervisor sees them."""

    id: int
    name: str
    extension: str
    state: str
    reason: str
    since: datetime
    seconds: float  # in this state
    pbx: str = ""  # on which they work


@dataclass(frozen=True, slots=True)
class Agents:
    """Agents of the campaign, counted by state; the people themselves when one campaign was asked for."""

    total: int
    by_state: dict[str, int]  # whose PBX is out of use counts as out (`cut_off`)
    people: list[AgentLine]
    cut_off: int = 0  # of those out: their PBX is


@dataclass(frozen=True, slots=True)
class Calls:
    """Open calls of the campaign, now."""

    ordered: int  # ordered from the PBX, not ringing yet
    ringing: int
    waiting: int  # a person is on the line and no agent yet: the clock runs
    talking: int
    message: int  # the recorded message plays
    ending: int
    longest_wait: float | None  # seconds

    @property
    def open(self) -> int:
        """All of them."""
        return self.ordered + self.ringing + self.waiting + self.talking + self.message + self.ending


@dataclass(frozen=True, slots=True)
class Lines:
    """Outside lines of the campaign's PBX, or PBXs, over gateways that are enabled and registered."""

    total: int
    busy: int
    free: int
    limit: int | None  # of the campaign
    age: float | None  # seconds since they were read; None: never


@dataclass(frozen=True, slots=True)
class LastPace:
    """The last decision of the pacer."""

    calls: int  # it wanted
    ordered: int  # passed the gate
    why: str
    decided_at: datetime
    age: float  # seconds since it was last confirmed


@dataclass(frozen=True, slots=True)
class CampaignLive:
    """One campaign, now."""

    name: str
    state: str
    state_since: datetime
    mode: str
    pbx: str
    time_zone: str | None
    agents: Agents
    calls: Calls
    lines: Lines
    pace: LastPace | None
    today: Today
    abandonment: Abandonment
    contacts: Contacts
    counted_at: datetime  # of today, abandonment and contacts
    next_step: str  # what a person should do now, or why nobody is called; empty when all is well
    zone: str = "UTC"  # whose clock its times are told by
    callbacks: Waiting = field(default_factory=Waiting)  # promised, their time has come, and not called yet
    pbxes: list[PbxPart] = field(default_factory=list)  # each of several; empty for a campaign of one


@dataclass(frozen=True, slots=True)
class PbxLive:
    """What we last read of a PBX."""

    name: str
    age: float | None  # seconds since the last good read; None: never
    trouble: str  # of the last minutes
    trouble_age: float | None
    gateways: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Events:
    """How the event path does."""

    last_age: float | None  # seconds since the last event came; None: never
    unhandled: int
    oldest_unhandled_age: float | None


@dataclass(frozen=True, slots=True)
class Process:
    """One process of ours."""

    name: str
    kind: str
    started_at: datetime
    age: float  # seconds since its last beat
    alive: bool


@dataclass(frozen=True, slots=True)
class LiveState:
    """Everything, at one moment of the database's clock."""

    at: datetime
    campaigns: list[CampaignLive]
    pbxes: list[PbxLive]
    events: Events
    processes: list[Process]
    troubles: list[str]  # of the last ten minutes, newest first


def live_state(
    session: Session, now: datetime, campaign: str | None = None, *, tallies: TallyCache | None = None
) -> LiveState:
    """Return the state of one campaign, or of all that are not archived; NotFound for a name nobody has.

    With `tallies` the dear figures may be some seconds old (`counted_at` says); without, they are of now.
    """
    campaigns = _campaigns(session, campaign)
    ids = [row.id for row in campaigns]
    agents = _agents(session, ids, now, people=campaign is not None)
    calls = _calls(session, ids, now)
    paces = _paces(session, ids, now)
    promised = waiting(session, ids, now)
    parts = pools_view.parts(session, ids, now)
    pbxes = _pbxes(session, now)
    processes = _processes(session, now)
    alive = {process.kind for process in processes if process.alive}
    shown = []
    for row in campaigns:
        counted = tallies.get(session, row, now) if tallies is not None else tally(session, row, now)
        several = parts.get(row.id, [])
        unwell = _unwell(row, several) if several else _quiet(row, pbxes.get(row.pbx))
        lines = _lines_of(several, row.max_lines) if several else _lines(pbxes.get(row.pbx), row.max_lines)
        shown.append(
            CampaignLive(
                name=row.name,
                state=row.state,
                state_since=row.state_at,
                mode=row.mode,
                pbx=row.pbx,
                time_zone=row.time_zone,
                zone=usual_time_zone(row.country, row.time_zone),
                agents=agents[row.id],
                calls=calls[row.id],
                lines=lines,
                pace=paces.get(row.id),
                today=counted.today,
                abandonment=counted.abandonment,
                contacts=counted.contacts,
                counted_at=counted.at,
                next_step=next_step(row, agents[row.id], lines, counted.contacts, alive) or unwell,
                callbacks=promised.get(row.id, Waiting()),
                pbxes=several,
            )
        )
    return LiveState(
        at=now,
        campaigns=shown,
        pbxes=list(pbxes.values()),
        events=_events(session, now),
        processes=processes,
        troubles=_troubles(session, now, list(pbxes.values())),
    )


def next_step(campaign: Campaign, agents: Agents, lines: Lines, contacts: Contacts, alive: Collection[str]) -> str:
    """Say what keeps the campaign from calling and how to mend it; empty when nothing does."""
    name = shlex.quote(campaign.name)
    known = contacts.open + contacts.live + contacts.closed
    if campaign.state in ("draft", "stopped"):
        if not known:
            return f"No contacts yet: `dialer list import {name} FILE.csv` brings some."
        return f"Nobody is called until `dialer campaign start {name}`."
    if campaign.state == "paused":
        return f"Paused: nobody is called until `dialer campaign resume {name}`."
    if campaign.state == "archived":
        return "Archived: this is what it did; it calls nobody any more."
    missing = [kind for kind in ("scheduler", "worker") if kind not in alive]
    if missing:
        commands = " and ".join(f"`dialer {kind}`" for kind in missing)
        return f"No {' and no '.join(missing)} is running, so nobody is called: start {commands}, or `dialer up`."
    if lines.age is None or lines.age > STALE.total_seconds():
        read = "has not been read yet" if lines.age is None else f"was last read {lines.age:.0f} s ago"
        return f"PBX {campaign.pbx} {read}: `dialer pbx check {campaign.pbx}` says why."
    if not lines.total:
        return f"PBX {campaign.pbx} has no gateway that is enabled and registered: `dialer pbx check {campaign.pbx}`."
    if not agents.total and campaign.mode != AGENTLESS:
        return f"No agents: `dialer agent assign {name} 101,102` says who works for this campaign."
    if agents.by_state.get("out", 0) - agents.cut_off == agents.total and campaign.mode != AGENTLESS:
        return "No agent is at work: they log in on the PBX, or by `dialer agent login`."
    if not contacts.open and not contacts.live:
        what = "Every contact is closed" if known else "No contacts yet"
        return f"{what}: `dialer list import {name} FILE.csv` brings more."
    return ""


def _campaigns(session: Session, name: str | None) -> Sequence[Campaign]:
    # Read anew even when the caller's session has seen them before: a state of a minute ago is not live.
    query = select(Campaign).execution_options(populate_existing=True)
    if name is not None:
        found = lifecycle.get(session, name)
        return session.scalars(query.where(Campaign.id == found.id)).all()
    shown = session.scalars(query.where(Campaign.state != "archived")).all()
    return sorted(shown, key=lambda row: (_ORDER.index(row.state), row.name.lower()))


_AGENTS = text(
    f"""
    SELECT c.campaign_id, a.id, a.name, a.extension, a.user_id, a.state, a.reason, a.since, a.pbx,
           {cut_off.IS.format(campaign="c.campaign_id")} AS cut_off
    FROM campaign_agents c JOIN agents a ON a.id = c.agent_id LEFT JOIN pbx_status s ON s.pbx = a.pbx
    WHERE c.campaign_id = ANY(:ids) ORDER BY a.since, a.id
    """  # noqa: S608 (text of our own)
)


def _agents(session: Session, ids: list[int], now: datetime, *, people: bool) -> dict[int, Agents]:
    found = {campaign: Agents(0, {}, []) for campaign in ids}
    totals, lost = dict.fromkeys(ids, 0), dict.fromkeys(ids, 0)
    for row in session.execute(_AGENTS, {"ids": ids}):
        agents = found[row.campaign_id]
        totals[row.campaign_id] += 1
        state, reason = ("out", f"PBX {row.pbx} is out of use") if row.cut_off else (row.state, row.reason)
        agents.by_state[state] = agents.by_state.get(state, 0) + 1
        lost[row.campaign_id] += row.cut_off
        if people:
            name = row.name or f"user {row.user_id}"
            agents.people.append(
                AgentLine(row.id, name, row.extension, state, reason, row.since, _age(row.since, now) or 0.0, row.pbx)
            )
    return {one: Agents(totals[one], agents.by_state, agents.people, lost[one]) for one, agents in found.items()}


_CALLS = text(
    """
    SELECT campaign_id, state, count(*) AS calls, min(answered_at) AS oldest
    FROM attempts WHERE ended_at IS NULL AND campaign_id = ANY(:ids) GROUP BY campaign_id, state
    """
)
_ON_SCREEN = {
    "ordered": "ordered",
    "sending": "ordered",
    "unknown": "ordered",
    "placed": "ordered",
    "ringing": "ringing",
    "answered": "waiting",
    "held": "waiting",
    "joined": "talking",
    "message": "message",
    "ending": "ending",
}


def _calls(session: Session, ids: list[int], now: datetime) -> dict[int, Calls]:
    counts = {campaign: dict.fromkeys(_ON_SCREEN.values(), 0) for campaign in ids}
    longest: dict[int, float] = {}
    for row in session.execute(_CALLS, {"ids": ids}):
        shown = _ON_SCREEN[row.state]
        counts[row.campaign_id][shown] += row.calls
        waited = _age(row.oldest, now)
        if shown == "waiting" and waited is not None:
            longest[row.campaign_id] = max(waited, longest.get(row.campaign_id, 0.0))
    return {campaign: Calls(**counts[campaign], longest_wait=longest.get(campaign)) for campaign in ids}


_PACES = text(
    """
    SELECT p.* FROM unnest(CAST(:ids AS bigint[])) AS wanted(id)
    CROSS JOIN LATERAL (SELECT * FROM pace_decisions d WHERE d.campaign_id = wanted.id
                        ORDER BY decided_at DESC, id DESC LIMIT 1) AS p
    """
)


def _paces(session: Session, ids: list[int], now: datetime) -> dict[int, LastPace]:
    return {
        row.campaign_id: LastPace(row.calls, row.ordered, row.why, row.decided_at, _age(row.until_at, now) or 0.0)
        for row in session.execute(_PACES, {"ids": ids})
    }


def _pbxes(session: Session, now: datetime) -> dict[str, PbxLive]:
    found = {}
    for row in session.scalars(select(PbxStatus).order_by(PbxStatus.pbx).execution_options(populate_existing=True)):
        trouble_age = _age(row.trouble_at, now)
        recent = trouble_age is not None and trouble_age <= TROUBLE_WINDOW.total_seconds()
        found[row.pbx] = PbxLive(
            name=row.pbx,
            age=_age(row.read_at, now),
            trouble=row.trouble if recent else "",
            trouble_age=trouble_age if recent else None,
            gateways=[dict(gateway) for gateway in row.gateways],
        )
    return found


def _lines(pbx: PbxLive | None, limit: int | None) -> Lines:
    total, busy = stored_gateways.lines(pbx.gateways if pbx else None)
    return Lines(total=total, busy=busy, free=max(0, total - busy), limit=limit, age=pbx.age if pbx else None)


def _unwell(campaign: Campaign, parts: Sequence[PbxPart]) -> str:
    """Say which of a running campaign's PBXs gets none of its calls; empty when all are well."""
    bad = next((one for one in parts if one.state not in ("ok", "not read yet") and one.role != "removed"), None)
    if bad is None or campaign.state != "running":
        return ""
    return f"PBX {bad.pbx} is {bad.state}: {bad.why}. `dialer pbx check {bad.pbx}` says more; the others go on."


def _quiet(campaign: Campaign, pbx: PbxLive | None) -> str:
    """Say that a running campaign's only PBX does not answer, before what was read of it is too old to call on."""
    if campaign.state != "running" or pbx is None or not pbx.trouble or (pbx.age or 0.0) < QUIET.total_seconds():
        return ""
    return f"PBX {pbx.name} was last read {pbx.age:.0f} s ago: {pbx.trouble}. `dialer pbx check {pbx.name}` says more."


def _lines_of(parts: Sequence[PbxPart], limit: int | None) -> Lines:
    """The lines of those PBXs that can be called on, as old as the one read last."""
    well = [part for part in parts if part.state == "ok" and part.role != "removed"]
    total, busy = sum(part.lines for part in well), sum(part.busy for part in well)
    ages = [part.age for part in well or parts if part.age is not None]
    return Lines(total=total, busy=busy, free=max(0, total - busy), limit=limit, age=min(ages, default=None))


_EVENTS = text(
    """
    SELECT (SELECT max(received_at) FROM logged_events) AS last,
           (SELECT count(*) FROM logged_events WHERE handled_at IS NULL) AS unhandled,
           (SELECT min(received_at) FROM logged_events WHERE handled_at IS NULL) AS oldest
    """
)


def _events(session: Session, now: datetime) -> Events:
    row = session.execute(_EVENTS).one()
    return Events(_age(row.last, now), row.unhandled, _age(row.oldest, now))


def _processes(session: Session, now: datetime) -> list[Process]:
    query = (
        select(ProcessBeat).where(ProcessBeat.beat_at > now - FORGOTTEN).order_by(ProcessBeat.kind, ProcessBeat.name)
    )
    processes = []
    for row in session.scalars(query.execution_options(populate_existing=True)):
        age = _age(row.beat_at, now) or 0.0
        processes.append(Process(row.name, row.kind, row.started_at, age, age <= ALIVE.total_seconds()))
    return processes


_EVENT_TROUBLES = text(
    """
    SELECT pbx, trouble, count(*) AS times, max(id) AS newest FROM logged_events
    WHERE received_at >= :since AND trouble <> '' GROUP BY pbx, trouble ORDER BY newest DESC LIMIT :limit
    """
)


def _troubles(session: Session, now: datetime, pbxes: Sequence[PbxLive]) -> list[str]:
    troubles = [f"PBX {pbx.name}: {pbx.trouble}" for pbx in pbxes if pbx.trouble]
    values = {"since": now - TROUBLE_WINDOW, "limit": _MAX_TROUBLES}
    for row in session.execute(_EVENT_TROUBLES, values):
        times = f" ({row.times} times)" if row.times > 1 else ""
        troubles.append(f"event of PBX {row.pbx}: {row.trouble}{times}")
    return troubles[:_MAX_TROUBLES]


def _age(then: datetime | None, now: datetime) -> float | None:
    """Seconds since `then`; two hosts' clocks never make it negative."""
    return None if then is None else round(max(0.0, (now - then).total_seconds()), 3)
