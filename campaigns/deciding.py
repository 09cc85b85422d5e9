"""From what was read of a campaign to how many calls: what its leader keeps, tells the pacer, and asks of it.

Nothing is locked and nothing ordered here. A look at many campaigns (`rounds`) and a tick of one (`ordering`) think the
same thoughts.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from campaigns import budgets, giving, giving_up, lanes, pace_calls, pools, prospects, request_room
from campaigns.application import Application
from campaigns.callbacks_ahead import Promised
from campaigns.expecting import LOOK_EVERY, Coming
from campaigns.lines import Lines
from campaigns.models import Campaign, PaceDecision
from campaigns.pace_calls import Call
from campaigns.pace_view import View
from campaigns.parking import IDLE_LINE
from dialer.abandonment import Budget
from dialer.modes import AUTOMATIC, MANUAL, PARKS_AHEAD
from dialer.pacing import Pace, PaceEvent, Pacer, Snapshot, Staleness, pacer_for
from dialer.pacing.base import within
from dialer.pbx.base import Feature
from dialer.pools import why_unused

# The windows' figures, and the contacts due by group, are counted anew this often, not at every tick.
COUNT_EVERY = timedelta(seconds=1)
IDLE_SECONDS = IDLE_LINE.total_seconds()


@dataclass
class OnPbx:
    """What the leader keeps of a campaign's calls on one of its PBXs."""

    taught: Pacer | None = None  # who has learnt what `told` says
    told: dict[int, int] = field(default_factory=dict)  # call -> how many of its events the pacer has heard
    seen: dict[int, Call] = field(default_factory=dict)  # calls as they were when it last heard of them
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

    def on(self, pbx: str) -> OnPbx:
        """Return what is kept of the campaign on one PBX."""
        return self.pbxes.setdefault(pbx, OnPbx())

    @property
    def shares_with(self) -> list[int]:
        """The campaigns with agents in common, on whichever PBX."""
        return sorted(set().union(*(here.shares_with for here in self.pbxes.values())))

    def forget_last(self) -> None:
        """Write the next decision as a row of its own: the last may not be in the database."""
        for here in self.pbxes.values():
            here.last = None


@dataclass(frozen=True, slots=True)
class Moment:
    """What is so about a running campaign on one PBX at this moment, as far as no pacer is asked."""

    first: bool  # agents' phones are rung first: nobody is parked
    unused: str  # why this PBX gets none of the campaign's new calls; empty when it does
    agents_wanted: bool  # on the line, for whoever is due
    blind: bool  # too little is known of the PBX to dial at all

    @classmethod
    def of(cls, application: Application, view: View, callbacks: Promised, now: datetime) -> "Moment":
        """Judge what was read."""
        first = giving.rings_agent(application, view.pbx)
        unused = _why_unused(application, view, now)
        wanted = view.mode in PARKS_AHEAD and (view.due or callbacks.any) and not first and not unused
        blind = bool(view.unanswered_orders()) or staleness(application).blind(view.age(now)) is not None
        return cls(first, unused, wanted, blind)

    def keep_idle(self, here: OnPbx, view: View, now: datetime) -> bool:
        """Keep since when there is nothing to do; whether that is long enough to let agents off the line."""
        # In manual mode an agent is fetched for a call of theirs, and given a moment to dial it.
        fetched = any(agent.on_the_line and not agent.reserved and agent.since < IDLE_SECONDS for agent in view.agents)
        busy = self.agents_wanted or bool(view.open) or fetched
        here.idle_since = None if busy else here.idle_since or now
        return here.idle_since is not None and now - here.idle_since > IDLE_LINE


@dataclass(frozen=True, slots=True)
class Thought:
    """What the pacer was shown, and what it decided."""

    snapshot: Snapshot
    pace: Pace


def think(
    application: Application,
    pacing: Pacing,
    view: View,
    campaign: Campaign,
    moment: Moment,
    lines: Lines,
    now: datetime,
    *,
    legs: int = 0,
) -> Thought:
    """Ask the pacer. What it is to learn was told it (`learn`), and its budget counted. `legs`: agents whose parking
    call was ordered a moment ago, and who are still ready in the view."""
    assert pacing.budget is not None
    snapshot = view.snapshot(
        now,
        lines,
        pacing.budget,
        least_ring=least_ring(application, view, campaign),
        prospects=pacing.coming.prospects if campaign.contact_order else pacing.prospects,
        in_order=bool(campaign.contact_order),
        expected=pacing.coming.expected,
        agent_first=moment.first,
    )
    if legs:  # as near to a customer as anybody who is being parked
        snapshot = replace(snapshot, idle=snapshot.idle + legs, waits=(*snapshot.waits, *(0.0 for _ in range(legs))))
    pace = _decide(pacing, view, snapshot, now, moment.unused)
    room = request_room.of(application, view)
    if room is not None:
        pace = within(pace, room.calls, room.why, "requests")
    return Thought(snapshot, pace)


def least_ring(application: Application, view: View, campaign: Campaign) -> float | None:
    """Seconds of ringing after which a call may be given up; None when none ever may, or the PBX cannot end one."""
    pbx = application.pbxes.get(view.pbx)
    return giving_up.least_ring(campaign) if pbx is not None and Feature.HANG_UP in pbx.features else None


def _why_unused(application: Application, view: View, now: datetime) -> str:
    """Why this PBX gets none of the campaign's new calls; empty when it does, as the only one always does."""
    if not view.places:
        return ""
    timing = application.settings.timing
    members = [pools.member(name, role, outage, now=now, timing=timing) for name, role, outage in view.places]
    return why_unused(members, view.pbx)


def lines(application: Application, view: View) -> Lines:
    """Free lines of the gateways the settings name, or of every one where they name none."""
    known = application.settings.pbx.get(view.pbx)
    return view.lines([str(gateway) for gateway in known.gateways] if known else [])


def staleness(application: Application) -> Staleness:
    """When what we know of the PBX is too old to dial on."""
    timing = application.settings.timing
    return Staleness(presence_stale=timing.presence_stale, presence_dead=timing.presence_dead)


def looks_ahead(pacing: Pacing, view: View, campaign: Campaign, now: datetime) -> bool:
    """Whether it is time to look anew who comes next."""
    if not campaign.contact_order or view.mode not in AUTOMATIC or not view.due:
        return False
    at = pacing.looked_at
    return at is None or now - at >= LOOK_EVERY or at.hour != now.hour


def look_ahead(session: Session, pacing: Pacing, view: View, campaign: Campaign, now: datetime) -> None:
    """Look who comes next where a person has set the order, and tell of each call what was to be expected of it.

    What is expected is learnt anew from time to time; then the pacer learns its calls anew beside it, as a new leader
    would, so that nothing is counted in both.
    """
    before = pacing.coming.expecting
    if not campaign.contact_order or view.mode not in AUTOMATIC:
        pacing.coming, pacing.looked_at = Coming(), None
    elif looks_ahead(pacing, view, campaign, now):
        pacing.coming, pacing.looked_at = Coming.look(session, campaign, now, full=_full(view)), now
    if pacing.coming.expecting != before:
        pacing.pacer = None
    if pacing.coming.expecting is not None:
        view.calls = pacing.coming.expecting.told(view.calls)


def learn(application: Application, session: Session, pacing: Pacing, here: OnPbx, view: View, now: datetime) -> None:
    """Tell the pacer what happened since the last tick; all of it, when we have just taken the lead."""
    if pacing.pacer is None or pacing.mode != view.mode:
        pacer = pacer_for(view.mode, staleness=staleness(application))
        expecting = pacing.coming.expecting
        told = expecting.told if expecting is not None else None
        pacer.restore(pace_calls.remembered(session, pacing.campaign_id, told))
        pacing.pacer, pacing.mode = pacer, view.mode  # last: one that could not be taught is not kept
    if here.taught is not pacing.pacer:
        here.taught, here.seen = pacing.pacer, {}
        here.told = {call.id: len(pace_calls.events_of(call)) for call in view.calls if call.ended_at}
    fresh = _agents_heard(here, view, now)
    for call in view.calls:
        if here.seen.get(call.id) != call:  # most have not changed since the last look
            events = pace_calls.events_of(call)
            fresh += events[here.told.get(call.id, 0) :]
            here.told[call.id] = len(events)
    here.seen = {call.id: call for call in view.calls}
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


def count(session: Session, those: Sequence[tuple[Pacing, View, Campaign]], now: datetime) -> None:
    """Bring what is dear to count up to date, of each at most once a second: of many in as few questions as of one."""
    for pacing, view, _ in those:
        pacing.on(view.pbx).shares_with = {other.id for other in view.sharing}
    due = [one for one in those if one[0].counted_at is None or now - one[0].counted_at >= COUNT_EVERY]
    if not due:
        return
    asked = [budgets.Asked(campaign, pacing.shares_with, pacing.settled) for pacing, _, campaign in due]
    spent = budgets.all_in_force(session, asked, now)
    # Where a person has set the order there is nothing left to choose.
    choosing = [view for _, view, campaign in due if view.due and not campaign.contact_order]
    groups = prospects.by_groups(session, [view.id for view in choosing if not view.full], now)
    for (pacing, view, campaign), one in zip(due, spent, strict=True):
        pacing.budget = one.budget
        pacing.prospects = groups.get(view.id, ())
        if view.full and view.due and not campaign.contact_order:  # whom lists at their cap leave is found by lane
            these = lanes.first_due(session, campaign, now, prospects.LOOKED_AT, full=_full(view))
            pacing.prospects = prospects.by_group(session, these)
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
