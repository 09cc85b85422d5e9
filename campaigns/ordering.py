"""One tick of one campaign: look, decide, pass the gate, write the decision down, and say "place".

One transaction. What the pacer learnt lives in the leader's memory and is read anew from the rows by the next.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from campaigns import (
    agents_rung,
    budgets,
    callbacks_ahead,
    gate,
    giving,
    giving_up,
    lanes,
    offers,
    pace_calls,
    pace_view,
    parking,
    pools,
    prospects,
    request_room,
    staying,
)
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.expecting import LOOK_EVERY, Coming
from campaigns.gate import Claim, Passed
from campaigns.models import Campaign, PaceDecision
from campaigns.pace_log import write_down
from campaigns.pace_view import View
from dialer.abandonment import Budget
from dialer.modes import AGENTLESS, AUTOMATIC, MANUAL, PARKS_AHEAD, PREVIEW
from dialer.pacing import Pace, PaceEvent, Pacer, Snapshot, Staleness, pacer_for
from dialer.pacing.base import count, within
from dialer.pbx.base import Feature
from dialer.pools import why_unused
from dialer.settings import TimingSettings

# The windows' figures, and the contacts due by group, are counted anew this often, not at every tick.
COUNT_EVERY = timedelta(seconds=1)
# A hundred calls a second: what is wanted beyond comes with the next tick, so that no tick holds up the next.
MOST_AT_ONCE = 25
# A campaign paused for longer lets its parked agents off the line.
PAUSE_GRACE = timedelta(seconds=5)
IDLE_SECONDS = parking.IDLE_LINE.total_seconds()
# Built once: asked at every tick.
_CAMPAIGN = select(Campaign).where(Campaign.id == bindparam("campaign_id")).execution_options(populate_existing=True)


@dataclass
class OnPbx:
    """What the leader keeps of a campaign's calls on one of its PBXs."""

    taught: Pacer | None = None  # who has learnt what `told` says
    told: dict[int, int] = field(default_factory=dict)  # call -> how many of its events the pacer has heard
    agents: dict[int, str] = field(default_factory=dict)
    last: PaceDecision | None = None
    idle_since: datetime | None = None
    shares_with: set[int] = field(default_factory=set)  # campaigns with agents there in common


@dataclass
class Pacing:
    """What the leader of a campaign keeps between two ticks."""

    campaign_id: int
    mode: str = ""
    pacer: Pacer | None = None  # one model of who answers, whichever PBX calls them
    budget: Budget | None = None  # and one budget of calls that may be lost
    settled: budgets.Settled = field(default_factory=budgets.Settled)
    prospects: tuple[tuple[str, int], ...] = ()
    coming: Coming = field(default_factory=Coming)  # in the campaign's own order, if it has one
    looked_at: datetime | None = None
    counted_at: datetime | None = None
    pbxes: dict[str, OnPbx] = field(default_factory=dict)
    first: str | None = None  # of its PBXs, the one looked at first next time; None: the campaign's first


@dataclass(frozen=True, slots=True)
class Ordered:
    """What one tick asks for, once it is committed."""

    place: list[str]  # references of calls to place
    given_up: list[str]  # of ringing calls to end
    pbx: str


def tick(application: Application, pacing: Pacing, claim: Claim) -> list[str]:
    """Order the calls this moment asks for; returns their references. LeaseLost when another leads.

    A campaign of several PBXs is looked at for each in turn, each in a transaction of its own, and each time another
    comes first: where the campaign's limit of lines is less than its agents could use, the first takes what is free.
    """
    placed, view = _tick(application, pacing, claim, pacing.first)
    pacing.first = view.next_pbx if view else None
    for pbx in view.other_pbxes if view else []:
        more, _ = _tick(application, pacing, claim, pbx)
        placed += more
    return placed


def _tick(application: Application, pacing: Pacing, claim: Claim, pbx: str | None) -> tuple[list[str], View | None]:
    """One look at one PBX of the campaign, or at its first."""
    try:
        with application.transaction() as session:
            staying.nobody_goes(session, pacing.campaign_id)  # between the look and the order
            now = database_now(session)
            view = pace_view.read(session, pacing.campaign_id, now, pbx)
            if view is None:
                return [], None
            here = pacing.pbxes.setdefault(view.pbx, OnPbx())
            ordered = _act(application, session, pacing, here, view, claim, now)
    except Exception:
        for kept in pacing.pbxes.values():
            kept.last = None  # it may not be in the database
        raise
    for ref in ordered.given_up:
        # A worker finds the hang-up due and sends it: a PBX that is slow must not hold up the ticks.
        application.doorbell.look(ordered.pbx, ref, None)
    for ref in ordered.place:
        application.doorbell.place(ref)
    return ordered.place, view


def _act(
    application: Application,
    session: Session,
    pacing: Pacing,
    here: OnPbx,
    view: View,
    claim: Claim,
    now: datetime,
) -> Ordered:
    timing = application.settings.timing
    first = giving.rings_agent(application, view.pbx)  # nobody is parked there
    if view.state != "running":
        if now - view.state_at >= PAUSE_GRACE:
            # Ordered here and sent by the second look: a slow PBX must not hold up the ticks of other campaigns.
            parking.let_go(session, pacing.campaign_id, now=now, reason=f"campaign {view.state}", pbx=view.pbx)
        return Ordered([], [], view.pbx)
    campaign = session.scalars(_CAMPAIGN, {"campaign_id": pacing.campaign_id}).one()
    callbacks = callbacks_ahead.promised(session, campaign, view.pbx, now=now, timing=timing)
    unused = _why_unused(view, now, timing)
    due = view.mode in PARKS_AHEAD and (view.due or callbacks.any) and not first and not unused
    # In manual mode an agent is fetched for a call of theirs, and given a moment to dial it.
    fetched = any(agent.on_the_line and not agent.reserved and agent.since < IDLE_SECONDS for agent in view.agents)
    busy = due or bool(view.open) or fetched
    here.idle_since = None if busy else here.idle_since or now
    legs: list[str] = []
    parking.let_go(session, campaign.id, now=now, reason="works elsewhere", strangers_only=True, pbx=view.pbx)
    if view.mode == AGENTLESS:
        parking.let_go(session, campaign.id, now=now, reason="the campaign needs no agents", pbx=view.pbx)
    if due:
        legs = parking.park(session, campaign, now=now, timing=timing, pbx=view.pbx)
    elif here.idle_since and now - here.idle_since > parking.IDLE_LINE:
        parking.let_go(session, campaign.id, now=now, reason="nobody to call", pbx=view.pbx)
    _look_ahead(session, pacing, view, campaign, now)
    _learn(session, pacing, here, view, _staleness(application), now)
    lines = view.lines(_allowed(application, view.pbx))
    sure = not unused and not view.unanswered_orders() and _staleness(application).blind(view.age(now)) is None
    ahead = callbacks_ahead.Ahead()
    if not first:
        ahead = callbacks_ahead.order(
            session, campaign, view, lines, claim, callbacks, now=now, timing=timing, allowed=sure
        )
    _count(session, pacing, here, view, campaign, now)
    assert pacing.budget is not None
    pbx = application.pbxes.get(view.pbx)
    least_ring = giving_up.least_ring(campaign) if pbx is not None and Feature.HANG_UP in pbx.features else None
    snapshot = view.snapshot(
        now,
        lines,
        pacing.budget,
        least_ring=least_ring,
        prospects=pacing.coming.prospects if campaign.contact_order else pacing.prospects,
        in_order=bool(campaign.contact_order),
        expected=pacing.coming.expected,
        agent_first=first,
    )
    # Whose parking call was ordered a moment ago: ready in the view, and as near to a customer as any other.
    snapshot = replace(snapshot, idle=snapshot.idle + len(legs), waits=(*snapshot.waits, *(0.0 for _ in legs)))
    pace = _decide(pacing, view, snapshot, now, unused)
    room = request_room.of(application, view)
    if room is not None:
        pace = within(pace, room.calls, room.why, "requests")
    passed, given_up = Passed(), []
    if pace.give_up and least_ring is not None:
        given_up = giving_up.give_up(session, campaign, pace.give_up, claim, why=pace.why, now=now)
    if pace.calls > 0:
        calls = min(pace.calls, MOST_AT_ONCE)
        if view.mode == PREVIEW:
            passed = offers.offer(
                session, campaign.id, calls, claim, now=now, timing=timing, agent_first=first, pbx=view.pbx
            )
        elif first:
            passed = agents_rung.order(
                session, campaign, calls, lines, claim, callbacks, now=now, timing=timing, choose=pace.choose
            )
        else:
            passed = gate.order(session, campaign.id, calls, lines, claim, now=now, timing=timing, choose=pace.choose)
    if ahead.refs:
        pace = replace(pace, why=f"{pace.why}; besides {count(len(ahead.refs), 'callback')}, an agent kept for each")
    shown = view.pbx if view.places else ""
    here.last = write_down(
        session, campaign.id, here.last, pace, passed, given_up, snapshot, claim, view.mode, now, shown
    )
    return Ordered([*ahead.refs, *passed.refs, *legs], given_up, view.pbx)


def _why_unused(view: View, now: datetime, timing: TimingSettings) -> str:
    """Why this PBX gets none of the campaign's new calls; empty when it does, as the only one always does."""
    if not view.places:
        return ""
    members = [pools.member(name, role, outage, now=now, timing=timing) for name, role, outage in view.places]
    return why_unused(members, view.pbx)


def _allowed(application: Application, pbx: str) -> list[str]:
    """The gateways the settings name; empty means every one."""
    known = application.settings.pbx.get(pbx)
    return [str(gateway) for gateway in known.gateways] if known else []


def _staleness(application: Application) -> Staleness:
    """When what we know of the PBX is too old to dial on."""
    timing = application.settings.timing
    return Staleness(presence_stale=timing.presence_stale, presence_dead=timing.presence_dead)


def _look_ahead(session: Session, pacing: Pacing, view: View, campaign: Campaign, now: datetime) -> None:
    """Look who comes next where a person has set the order, and tell of each call what was to be expected of it.

    What is expected is learnt anew from time to time; then the pacer learns its calls anew beside it, as a new leader
    would, so that nothing is counted in both.
    """
    before, at = pacing.coming.expecting, pacing.looked_at
    if not campaign.contact_order or view.mode not in AUTOMATIC:
        pacing.coming, pacing.looked_at = Coming(), None
    elif view.due and (at is None or now - at >= LOOK_EVERY or at.hour != now.hour):
        pacing.coming, pacing.looked_at = Coming.look(session, campaign, now, full=_full(view)), now
    if pacing.coming.expecting != before:
        pacing.pacer = None
    if pacing.coming.expecting is not None:
        view.calls = pacing.coming.expecting.told(view.calls)


def _learn(session: Session, pacing: Pacing, here: OnPbx, view: View, staleness: Staleness, now: datetime) -> None:
    """Tell the pacer what happened since the last tick; all of it, when we have just taken the lead."""
    if pacing.pacer is None or pacing.mode != view.mode:
        pacing.pacer, pacing.mode = pacer_for(view.mode, staleness=staleness), view.mode
        expecting = pacing.coming.expecting
        told = expecting.told if expecting is not None else None
        pacing.pacer.restore(pace_calls.remembered(session, pacing.campaign_id, told))
    if here.taught is not pacing.pacer:
        here.taught = pacing.pacer
        here.told = {call.id: len(pace_calls.events_of(call)) for call in view.calls if call.ended_at}
    fresh = _agents_heard(here, view, now)
    for call in view.calls:
        events = pace_calls.events_of(call)
        fresh += events[here.told.get(call.id, 0) :]
        here.told[call.id] = len(events)
    for event in sorted(fresh, key=lambda event: event.at):
        pacing.pacer.observe(event)
    if len(here.told) > 4 * (len(view.calls) + 100):
        shown = {call.id for call in view.calls}
        here.told = {call: heard for call, heard in here.told.items() if call in shown}


def _agents_heard(here: OnPbx, view: View, now: datetime) -> list[PaceEvent]:
    """How wrap-ups ended since the last tick."""
    states = {agent.id: agent.state for agent in view.agents}
    ended = [agent for agent, state in here.agents.items() if state == "wrap_up" and states.get(agent) != "wrap_up"]
    here.agents = states
    return [pace_calls.left_wrap_up(agent, states.get(agent, "out"), now) for agent in ended]


def _count(session: Session, pacing: Pacing, here: OnPbx, view: View, campaign: Campaign, now: datetime) -> None:
    """Bring what is dear to count up to date, at most once a second."""
    here.shares_with = {other.id for other in view.sharing}
    if pacing.counted_at is not None and now - pacing.counted_at < COUNT_EVERY:
        return
    sharing = sorted(set().union(*(kept.shares_with for kept in pacing.pbxes.values())))
    pacing.budget = budgets.in_force(session, campaign, now, sharing=sharing, settled=pacing.settled).budget
    # Where a person has set the order there is nothing left to choose.
    choose = view.due and not campaign.contact_order
    # Whom lists at their cap leave is found by lane.
    these = None
    if choose and view.full:
        these = lanes.first_due(session, campaign, now, prospects.LOOKED_AT, full=_full(view))
    pacing.prospects = prospects.by_group(session, campaign.id, now, these=these) if choose else ()
    pacing.counted_at = now


def _full(view: View) -> list[int]:
    return [one.list_id for one in view.full]


def _decide(pacing: Pacing, view: View, snapshot: Snapshot, now: datetime, unused: str) -> Pace:
    assert pacing.pacer is not None
    if unused:
        return Pace(0, f"0: {unused}", ("pbx",))
    against = view.unanswered_orders()
    if against:
        return Pace(0, f"0: {against}", ("pbx",))
    pace = pacing.pacer.decide(now, snapshot)
    if not view.due and view.mode != MANUAL:
        # Those that ring on can still be given up.
        at_cap = ", ".join(one.name for one in view.full)
        but = f" but the untried of lists at their cap: {at_cap}" if at_cap else ""
        if view.kept_elsewhere:
            but = " but requests that another PBX keeps, and calls itself"
        return Pace(0, f"0: no contact is due{but}", ("contacts",), pace.give_up)
    return pace
