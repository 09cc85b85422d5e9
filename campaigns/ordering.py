"""One tick of one campaign: look, decide, pass the gate, write the decision down, and say "place".

One transaction for each PBX. What the pacer learnt lives in the leader's memory and is read anew from the rows by the
next.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from campaigns import (
    agents_rung,
    callbacks_ahead,
    deciding,
    gate,
    giving_up,
    offers,
    pace_view,
    parking,
    staying,
)
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.deciding import OnPbx, Pacing
from campaigns.gate import Claim, Passed
from campaigns.models import Campaign
from campaigns.pace_log import write_down
from campaigns.pace_view import View
from dialer.modes import AGENTLESS, PREVIEW
from dialer.pacing.base import count

# A hundred calls a second: what is wanted beyond comes with the next tick, so that no tick holds up the next.
MOST_AT_ONCE = 25
# A campaign paused for longer lets its parked agents off the line.
PAUSE_GRACE = timedelta(seconds=5)
# Built once: asked at every tick.
_CAMPAIGN = select(Campaign).where(Campaign.id == bindparam("campaign_id")).execution_options(populate_existing=True)


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
            here = pacing.on(view.pbx)
            ordered = _act(application, session, pacing, here, view, claim, now)
    except Exception:
        pacing.forget_last()
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
    if view.state != "running":
        if now - view.state_at >= PAUSE_GRACE:
            # Ordered here and sent by the second look: a slow PBX must not hold up the ticks of other campaigns.
            parking.let_go(session, pacing.campaign_id, now=now, reason=f"campaign {view.state}", pbx=view.pbx)
        return Ordered([], [], view.pbx)
    campaign = session.scalars(_CAMPAIGN, {"campaign_id": pacing.campaign_id}).one()
    callbacks = callbacks_ahead.promised(session, campaign, view.pbx, now=now, timing=timing)
    moment = deciding.Moment.of(application, view, callbacks, now)
    idle = moment.keep_idle(here, view, now)
    legs: list[str] = []
    parking.let_go(session, campaign.id, now=now, reason="works elsewhere", strangers_only=True, pbx=view.pbx)
    if view.mode == AGENTLESS:
        parking.let_go(session, campaign.id, now=now, reason="the campaign needs no agents", pbx=view.pbx)
    if moment.agents_wanted:
        if any(agent.state == "ready" for agent in view.agents):
            legs = parking.park(session, campaign, now=now, timing=timing, pbx=view.pbx)
    elif idle:
        parking.let_go(session, campaign.id, now=now, reason="nobody to call", pbx=view.pbx)
    deciding.look_ahead(session, pacing, view, campaign, now)
    deciding.learn(application, session, pacing, here, view, now)
    lines = deciding.lines(application, view)
    ahead = callbacks_ahead.Ahead()
    if not moment.first:
        sure = not moment.unused and not moment.blind
        ahead = callbacks_ahead.order(
            session, campaign, view, lines, claim, callbacks, now=now, timing=timing, allowed=sure
        )
    deciding.count(session, [(pacing, view, campaign)], now)
    thought = deciding.think(application, pacing, view, campaign, moment, lines, now, legs=len(legs))
    pace = thought.pace
    passed, given_up = Passed(), []
    if pace.give_up and deciding.least_ring(application, view, campaign) is not None:
        given_up = giving_up.give_up(session, campaign, pace.give_up, claim, why=pace.why, now=now)
    if pace.calls > 0:
        calls = min(pace.calls, MOST_AT_ONCE)
        if view.mode == PREVIEW:
            passed = offers.offer(
                session, campaign.id, calls, claim, now=now, timing=timing, agent_first=moment.first, pbx=view.pbx
            )
        elif moment.first:
            passed = agents_rung.order(
                session, campaign, calls, lines, claim, callbacks, now=now, timing=timing, choose=pace.choose
            )
        else:
            passed = gate.order(session, campaign.id, calls, lines, claim, now=now, timing=timing, choose=pace.choose)
    if ahead.refs:
        pace = replace(pace, why=f"{pace.why}; besides {count(len(ahead.refs), 'callback')}, an agent kept for each")
    shown = view.pbx if view.places else ""
    here.last = write_down(
        session, campaign.id, here.last, pace, passed, given_up, thought.snapshot, claim, view.mode, now, shown
    )
    return Ordered([*ahead.refs, *passed.refs, *legs], given_up, view.pbx)
