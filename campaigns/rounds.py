"""One look at all campaigns of a scheduler: what each would do now, and a tick of its own only for whom there is
something to do.

Most ticks of most campaigns order nothing. They are read, thought about and written down together, in a few questions
for all of them, waiting for no agent's and no call's row; whoever has somebody to call, to park or to let go is then
ticked, which reads anew and orders under its locks (`ordering`). A look never says "nothing" where a tick would do
something.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from campaigns import callbacks_ahead, deciding, pace_log, pace_view, parking
from campaigns.application import Application
from campaigns.callbacks_ahead import Promised
from campaigns.db import database_now
from campaigns.deciding import Moment, Pacing
from campaigns.gate import Claim
from campaigns.models import Campaign
from campaigns.ordering import PAUSE_GRACE
from campaigns.pace_calls import ON_THE_WAY
from campaigns.pace_log import Quiet
from campaigns.pace_view import View
from dialer.modes import AGENTLESS, AUTOMATIC

# Built once: asked at every look.
_CAMPAIGNS = (
    select(Campaign)
    .where(Campaign.id == any_(bindparam("ids", type_=ARRAY(BigInteger))))
    .execution_options(populate_existing=True)
)


@dataclass(frozen=True, slots=True)
class _Seen:
    """One campaign as a look finds it."""

    pacing: Pacing
    claim: Claim
    view: View
    campaign: Campaign
    on_the_line: bool  # agents are parked for it
    strangers: bool  # some of them work for it no more
    promised: bool  # a callback is due, or nearly
    moment: Moment


def look(application: Application, led: Sequence[tuple[Pacing, Claim]]) -> list[int]:
    """Look at campaigns, and write down what is decided of those for whom there is nothing to do; returns the others,
    which need a tick of their own."""
    try:
        with application.transaction() as session:
            return _look(application, session, led)
    except Exception:
        for pacing, _ in led:
            pacing.forget_last()
        raise


def _look(application: Application, session: Session, led: Sequence[tuple[Pacing, Claim]]) -> list[int]:
    now = database_now(session)
    seen = list(_see(application, session, led, now))
    quiet = [one for one in seen if _nothing_but_to_think(application, one, now)]
    deciding.count(session, [(one.pacing, one.view, one.campaign) for one in quiet], now)
    decided = [(one, thought) for one in quiet if (thought := _think(application, session, one, now)) is not None]
    written = pace_log.write_quiet(session, [thought for _, thought in decided], now)
    for (one, _), row in zip(decided, written, strict=True):
        one.pacing.on(one.view.pbx).last = row
    done = {one.pacing.campaign_id for one, _ in decided}
    return [one.pacing.campaign_id for one in seen if one.pacing.campaign_id not in done and not _rests(one, now)]


def _see(
    application: Application, session: Session, led: Sequence[tuple[Pacing, Claim]], now: datetime
) -> Iterator[_Seen]:
    ids = [pacing.campaign_id for pacing, _ in led]
    views = pace_view.read_many(session, ids, now)
    campaigns = {campaign.id: campaign for campaign in session.scalars(_CAMPAIGNS, {"ids": ids})}
    parked: Mapping[int, bool] = parking.on_the_line(session, ids)
    promised = callbacks_ahead.nearly_due(session, ids, now=now, timing=application.settings.timing)
    for pacing, claim in led:
        this = pacing.campaign_id
        if this in views and this in campaigns:
            yield _Seen(
                pacing,
                claim,
                views[this],
                campaigns[this],
                on_the_line=this in parked,
                strangers=parked.get(this, False),
                promised=this in promised,
                moment=Moment.of(application, views[this], Promised(), now),
            )


def _rests(one: _Seen, now: datetime) -> bool:
    """Whether the campaign does not run, and has nobody on the line, or holds them for a moment more."""
    if one.view.state == "running" or one.view.places:
        return False
    return not one.on_the_line or now - one.view.state_at < PAUSE_GRACE


def _nothing_but_to_think(application: Application, one: _Seen, now: datetime) -> bool:
    """Whether a tick could do nothing for this campaign but what its pacer decides."""
    pacing, view, moment = one.pacing, one.view, one.moment
    if view.state != "running" or view.places:
        return False
    # What is long to read is read in a tick of its own, so that leases are renewed between two of them.
    learns = pacing.pacer is None or pacing.mode != view.mode or pacing.counted_at is None
    if learns or deciding.looks_ahead(pacing, view, one.campaign, now):
        return False
    if one.strangers or (view.mode == AGENTLESS and one.on_the_line):
        return False
    if view.mode in AUTOMATIC and (one.promised or any(agent.reserved for agent in view.agents)):
        return False
    if moment.agents_wanted and any(agent.state == "ready" for agent in view.agents):
        return False
    if moment.keep_idle(pacing.on(view.pbx), view, now) and one.on_the_line:
        return False
    least_ring = deciding.least_ring(application, view, one.campaign)
    # A pacer remembers what part of those that rang so long it gave up, and is asked once.
    return least_ring is None or not any(
        call.state in ON_THE_WAY and (now - call.ordered_at).total_seconds() >= least_ring for call in view.open
    )


def _think(application: Application, session: Session, one: _Seen, now: datetime) -> Quiet | None:
    """Let the pacer decide; None when something follows from it, which is decided anew under the locks."""
    pacing, view, campaign = one.pacing, one.view, one.campaign
    here = pacing.on(view.pbx)
    deciding.look_ahead(session, pacing, view, campaign, now)
    deciding.learn(application, session, pacing, here, view, now)
    lines = deciding.lines(application, view)
    thought = deciding.think(application, pacing, view, campaign, one.moment, lines, now)
    if thought.pace.calls > 0 or thought.pace.give_up:
        return None
    return Quiet(campaign.id, here.last, thought.pace, thought.snapshot, one.claim, view.mode)
