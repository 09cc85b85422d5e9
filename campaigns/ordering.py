"""One tick of one campaign: look, decide, pass the gate, write the decision down, and say "place".

One transaction. What the pacer learnt lives in the leader's memory and is read anew from the rows by the next.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from campaigns import callbacks_ahead, gate, offers, pace_view, parking
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.gate import Claim, Passed
from campaigns.models import Campaign, PaceDecision
from campaigns.pace_view import View
from dialer.abandonment import Budget, rule_pack
from dialer.modes import AGENTLESS, MANUAL, PARKS_AHEAD, PREVIEW
from dialer.pacing import Happened, Pace, PaceEvent, Pacer, Snapshot, Staleness, pacer_for
from dialer.pacing.base import count

# The window's figures are counted anew this often, not at every tick.
COUNT_EVERY = timedelta(seconds=1)
# Equal decisions in a row are one row, brought up to date this often.
WRITE_EVERY = timedelta(seconds=1)
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
    counted_at: datetime | None = None
    last: PaceDecision | None = None
    idle_since: datetime | None = None


def tick(application: Application, pacing: Pacing, claim: Claim) -> list[str]:
    """Order the calls this moment asks for; returns their references. LeaseLost when another leads."""
    try:
        with application.transaction() as session:
            now = database_now(session)
            view = pace_view.read(session, pacing.campaign_id, now)
            refs = _act(application, session, pacing, view, claim, now) if view else []
    except Exception:
        pacing.last = None  # it may not be in the database
        raise
    for ref in refs:
        application.doorbell.place(ref)
    return refs


def _act(
    application: Application, session: Session, pacing: Pacing, view: View, claim: Claim, now: datetime
) -> list[str]:
    timing = application.settings.timing
    if view.state != "running":
        if now - view.state_at < PAUSE_GRACE:
            return []
        # Ordered here and sent by the second look: a slow PBX must not hold up the ticks of other campaigns.
        parking.let_go(session, pacing.campaign_id, now=now, reason=f"campaign {view.state}")
        return []
    campaign = session.get_one(Campaign, pacing.campaign_id, populate_existing=True)
    allowed = (
        [str(gateway) for gateway in application.settings.pbx[view.pbx].gateways]
        if view.pbx in application.settings.pbx
        else []
    )
    lines = view.lines(allowed)
    sure = not view.unanswered_orders() and _staleness(application).blind(view.age(now)) is None
    ahead = callbacks_ahead.order(session, campaign, view, lines, claim, now=now, timing=timing, allowed=sure)
    due = view.mode in PARKS_AHEAD and (view.due or ahead.soon)
    # In manual mode an agent is fetched for a call of theirs, and given a moment to dial it.
    fetched = any(state in ("parking", "parked") and since < IDLE_SECONDS for _, state, since in view.agents)
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
    _learn(session, pacing, view, _staleness(application), now)
    snapshot = view.snapshot(now, lines, _budget(session, pacing, view, campaign, now))
    pace = _decide(pacing, view, snapshot, now)
    passed = Passed()
    if pace.calls > 0:
        calls = min(pace.calls, MOST_AT_ONCE)
        if view.mode == PREVIEW:
            passed = offers.offer(session, campaign.id, calls, claim, now=now, timing=timing)
        else:
            passed = gate.order(session, campaign.id, calls, lines, claim, now=now, timing=timing)
    if ahead.refs:
        pace = replace(pace, why=f"{pace.why}; besides {count(len(ahead.refs), 'callback')}, an agent kept for each")
    _write_down(session, pacing, pace, passed, snapshot, claim, view, now)
    return [*ahead.refs, *passed.refs, *legs]


def _staleness(application: Application) -> Staleness:
    """When what we know of the PBX is too old to dial on."""
    timing = application.settings.timing
    return Staleness(presence_stale=timing.presence_stale, presence_dead=timing.presence_dead)


def _learn(session: Session, pacing: Pacing, view: View, staleness: Staleness, now: datetime) -> None:
    """Tell the pacer what happened since the last tick; all of it, when we have just taken the lead."""
    if pacing.pacer is None or pacing.mode != view.mode:
        pacing.pacer, pacing.mode = pacer_for(view.mode, staleness=staleness), view.mode
        pacing.pacer.restore(pace_view.remembered(session, pacing.campaign_id))
        pacing.told = {call.id: len(pace_view.events_of(call)) for call in view.calls if call.ended_at}
    fresh = _agents_heard(pacing, view, now)
    for call in view.calls:
        events = pace_view.events_of(call)
        fresh += events[pacing.told.get(call.id, 0) :]
        pacing.told[call.id] = len(events)
    for event in sorted(fresh, key=lambda event: event.at):
        pacing.pacer.observe(event)
    if len(pacing.told) > 4 * (len(view.calls) + 100):
        shown = {call.id for call in view.calls}
        pacing.told = {call: heard for call, heard in pacing.told.items() if call in shown}


def _agents_heard(pacing: Pacing, view: View, now: datetime) -> list[PaceEvent]:
    """How wrap-ups ended since the last tick."""
    states = {agent: state for agent, state, _ in view.agents}
    ended = [agent for agent, state in pacing.agents.items() if state == "wrap_up" and states.get(agent) != "wrap_up"]
    pacing.agents = states
    return [PaceEvent(Happened.READY if agent in states else Happened.PAUSE, now, agent=str(agent)) for agent in ended]


def _budget(session: Session, pacing: Pacing, view: View, campaign: Campaign, now: datetime) -> Budget:
    if pacing.budget is None or pacing.counted_at is None or now - pacing.counted_at >= COUNT_EVERY:
        pack = rule_pack(campaign.rule_pack)
        hours = pack.window.total_seconds() / 3600
        pacing.budget = pace_view.budget(
            session, campaign.id, pack.window_opens(now), min(view.ceiling, pack.ceiling), f"{hours:.0f} h"
        )
        pacing.counted_at = now
    return pacing.budget


def _decide(pacing: Pacing, view: View, snapshot: Snapshot, now: datetime) -> Pace:
    assert pacing.pacer is not None
    against = view.unanswered_orders()
    if against:
        return Pace(0, f"0: {against}", ("pbx",))
    if not view.due and view.mode != MANUAL:
        return Pace(0, "0: no contact is due", ("contacts",))
    return pacing.pacer.decide(now, snapshot)


def _write_down(
    session: Session,
    pacing: Pacing,
    pace: Pace,
    passed: Passed,
    snapshot: Snapshot,
    claim: Claim,
    view: View,
    now: datetime,
) -> None:
    """Store the decision with its inputs and its reason; one that repeats the last only lengthens it."""
    last = pacing.last
    same = last is not None and pace.calls == 0 == last.calls and pace.why == last.why and last.fence == claim.fence
    if same and last is not None:
        last.ticks += 1
        if now - last.until_at >= WRITE_EVERY:
            last.until_at = now
            session.execute(
                update(PaceDecision).where(PaceDecision.id == last.id).values(until_at=now, ticks=last.ticks)
            )
        return
    limits: dict[str, Any] = {"bound_by": list(pace.limits), "refused": dict(passed.refused)}
    why = pace.why
    if passed.refused:
        shown = ", ".join(f"{count} by {rule.replace('_', ' ')}" for rule, count in sorted(passed.refused.items()))
        why = f"{why}; the gate put off {shown}"
    if pace.calls > passed.through and passed.none_due:
        why = f"{why}; only {passed.through} contacts could be called"
    decision = PaceDecision(
        campaign_id=pacing.campaign_id,
        decided_at=now,
        until_at=now,
        ticks=1,
        calls=pace.calls,
        ordered=passed.through,
        why=why,
        snapshot=snapshot.as_json(),
        limits={**limits, "mode": view.mode},
        fence=claim.fence,
    )
    session.add(decision)
    session.flush()
    session.expunge(decision)
    decision.why = pace.why
    pacing.last = decision
