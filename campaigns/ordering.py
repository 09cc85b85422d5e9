"""One tick of one campaign: look, decide, pass the gate, write the decision down, and say "place".

One transaction. What the pacer learnt lives in the leader's memory and is read anew from the rows by the next.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from campaigns import (
    agents_rung,
    budgets,
    callbacks_ahead,
    gate,
    giving,
    giving_up,
    offers,
    pace_calls,
    pace_view,
    parking,
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

# The windows' figures, and the contacts due by group, are counted anew this often, not at every tick.
COUNT_EVERY = timedelta(seconds=1)
# A hundred calls a second: what is wanted beyond comes with the next tick, so that no tick holds up the next.
MOST_AT_ONCE = 25
# A campaign paused for longer lets its parked agents off the line.
PAUSE_GRACE = timedelta(seconds=5)
IDLE_SECONDS = parking.IDLE_LINE.total_seconds()


@dataclass
class Pacing:
    """What the leader of a campaign keeps between two ticks."""

    campaign_id: int
    mode: str = ""
    pacer: Pacer | None = None
    told: dict[int, int] = field(default_factory=dict)  # call -> how many of its events the pacer has heard
    agents: dict[int, str] = field(default_factory=dict)
    budget: Budget | None = None
    settled: budgets.Settled = field(default_factory=budgets.Settled)
    prospects: tuple[tuple[str, int], ...] = ()
    coming: Coming = field(default_factory=Coming)  # in the campaign's own order, if it has one
    looked_at: datetime | None = None
    counted_at: datetime | None = None
    last: PaceDecision | None = None
    idle_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ordered:
    """What one tick asks for, once it is committed."""

    place: list[str]  # references of calls to place
    given_up: list[str]  # of ringing calls to end
    pbx: str


def tick(application: Application, pacing: Pacing, claim: Claim) -> list[str]:
    """Order the calls this moment asks for; returns their references. LeaseLost when another leads."""
    try:
        with application.transaction() as session:
            staying.nobody_goes(session, pacing.campaign_id)  # between the look and the order
            now = database_now(session)
            view = pace_view.read(session, pacing.campaign_id, now)
            ordered = _act(application, session, pacing, view, claim, now) if view else Ordered([], [], "")
    except Exception:
        pacing.last = None  # it may not be in the database
        raise
    for ref in ordered.given_up:
        # A worker finds the hang-up due and sends it: a PBX that is slow must not hold up the ticks.
        application.doorbell.look(ordered.pbx, ref, None)
    for ref in ordered.place:
        application.doorbell.place(ref)
    return ordered.place


def _act(
    application: Application, session: Session, pacing: Pacing, view: View, claim: Claim, now: datetime
) -> Ordered:
    timing = application.settings.timing
    first = giving.rings_agent(application, view.pbx)  # nobody is parked there
    if view.state != "running":
        if now - view.state_at >= PAUSE_GRACE:
            # Ordered here and sent by the second look: a slow PBX must not hold up the ticks of other campaigns.
            parking.let_go(session, pacing.campaign_id, now=now, reason=f"campaign {view.state}")
        return Ordered([], [], view.pbx)
    campaign = session.get_one(Campaign, pacing.campaign_id, populate_existing=True)
    callbacks = callbacks_ahead.promised(session, campaign, now=now, timing=timing)
    due = view.mode in PARKS_AHEAD and (view.due or callbacks.any) and not first
    # In manual mode an agent is fetched for a call of theirs, and given a moment to dial it.
    fetched = any(agent.on_the_line and not agent.reserved and agent.since < IDLE_SECONDS for agent in view.agents)
    busy = due or bool(view.open) or fetched
    pacing.idle_since = None if busy else pacing.idle_since or now
    legs: list[str] = []
    parking.let_go(session, campaign.id, now=now, reason="works elsewhere", strangers_only=True)
    if view.mode == AGENTLESS:
        parking.let_go(session, campaign.id, now=now, reason="the campaign needs no agents")
    if due:
        legs = parking.park(session, campaign, now=now, timing=timing)
    elif pacing.idle_since and now - pacing.idle_since > parking.IDLE_LINE:
        parking.let_go(session, campaign.id, now=now, reason="nobody to call")
    _look_ahead(session, pacing, view, campaign, now)
    _learn(session, pacing, view, _staleness(application), now)
    lines = view.lines(_allowed(application, view.pbx))
    sure = not view.unanswered_orders() and _staleness(application).blind(view.age(now)) is None
    ahead = callbacks_ahead.Ahead()
    if not first:
        ahead = callbacks_ahead.order(
            session, campaign, view, lines, claim, callbacks, now=now, timing=timing, allowed=sure
        )
    _count(session, pacing, view, campaign, now)
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
    pace = _decide(pacing, view, snapshot, now)
    room = request_room.of(application, view)
    if room is not None:
        pace = within(pace, room.calls, room.why, "requests")
    passed, given_up = Passed(), []
    if pace.give_up and least_ring is not None:
        given_up = giving_up.give_up(session, campaign, pace.give_up, claim, why=pace.why, now=now)
    if pace.calls > 0:
        calls = min(pace.calls, MOST_AT_ONCE)
        if view.mode == PREVIEW:
            passed = offers.offer(session, campaign.id, calls, claim, now=now, timing=timing, agent_first=first)
        elif first:
            passed = agents_rung.order(
                session, campaign, calls, lines, claim, callbacks, now=now, timing=timing, choose=pace.choose
            )
        else:
            passed = gate.order(session, campaign.id, calls, lines, claim, now=now, timing=timing, choose=pace.choose)
    if ahead.refs:
        pace = replace(pace, why=f"{pace.why}; besides {count(len(ahead.refs), 'callback')}, an agent kept for each")
    pacing.last = write_down(session, campaign.id, pacing.last, pace, passed, given_up, snapshot, claim, view.mode, now)
    return Ordered([*ahead.refs, *passed.refs, *legs], given_up, view.pbx)


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
        pacing.coming, pacing.looked_at = Coming.look(session, campaign, now), now
    if pacing.coming.expecting != before:
        pacing.pacer = None
    if pacing.coming.expecting is not None:
        view.calls = pacing.coming.expecting.told(view.calls)


def _learn(session: Session, pacing: Pacing, view: View, staleness: Staleness, now: datetime) -> None:
    """Tell the pacer what happened since the last tick; all of it, when we have just taken the lead."""
    if pacing.pacer is None or pacing.mode != view.mode:
        pacing.pacer, pacing.mode = pacer_for(view.mode, staleness=staleness), view.mode
        expecting = pacing.coming.expecting
        told = expecting.told if expecting is not None else None
        pacing.pacer.restore(pace_calls.remembered(session, pacing.campaign_id, told))
        pacing.told = {call.id: len(pace_calls.events_of(call)) for call in view.calls if call.ended_at}
    fresh = _agents_heard(pacing, view, now)
    for call in view.calls:
        events = pace_calls.events_of(call)
        fresh += events[pacing.told.get(call.id, 0) :]
        pacing.told[call.id] = len(events)
    for event in sorted(fresh, key=lambda event: event.at):
        pacing.pacer.observe(event)
    if len(pacing.told) > 4 * (len(view.calls) + 100):
        shown = {call.id for call in view.calls}
        pacing.told = {call: heard for call, heard in pacing.told.items() if call in shown}


def _agents_heard(pacing: Pacing, view: View, now: datetime) -> list[PaceEvent]:
    """How wrap-ups ended since the last tick."""
    states = {agent.id: agent.state for agent in view.agents}
    ended = [agent for agent, state in pacing.agents.items() if state == "wrap_up" and states.get(agent) != "wrap_up"]
    pacing.agents = states
    return [pace_calls.left_wrap_up(agent, states.get(agent, "out"), now) for agent in ended]


def _count(session: Session, pacing: Pacing, view: View, campaign: Campaign, now: datetime) -> None:
    """Bring what is dear to count up to date, at most once a second."""
    if pacing.counted_at is not None and now - pacing.counted_at < COUNT_EVERY:
        return
    sharing = [other.id for other in view.sharing]
    pacing.budget = budgets.in_force(session, campaign, now, sharing=sharing, settled=pacing.settled).budget
    # Where a person has set the order there is nothing left to choose.
    choose = view.due and not campaign.contact_order
    pacing.prospects = prospects.by_group(session, campaign.id, now) if choose else ()
    pacing.counted_at = now


def _decide(pacing: Pacing, view: View, snapshot: Snapshot, now: datetime) -> Pace:
    assert pacing.pacer is not None
    against = view.unanswered_orders()
    if against:
        return Pace(0, f"0: {against}", ("pbx",))
    pace = pacing.pacer.decide(now, snapshot)
    if not view.due and view.mode != MANUAL:
        # Those that ring on can still be given up.
        return Pace(0, "0: no contact is due", ("contacts",), pace.give_up)
    return pace
