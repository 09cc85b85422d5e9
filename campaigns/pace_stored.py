"""A stretch of a campaign's calling, read from rows: everything that is needed to live through it again. Read-only."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import pace_in_force, pace_records, pools
from campaigns.expecting import expecting_of
from campaigns.models import Campaign
from campaigns.pace_calls import REMEMBERED
from campaigns.pace_explain import readable, zone_of
from campaigns.pace_in_force import Decided, Rules
from campaigns.pace_records import Call, Span
from dialer.errors import BadInput, NotFound
from dialer.modes import BY_HAND
from dialer.pacing import PaceEvent, Snapshot, Staleness
from dialer.simulation import Campaigning, Curve, World
from dialer.simulation.figures import Figures
from dialer.simulation.recorded import Recorded, tried

LONGEST = timedelta(hours=24)
# Lived through before the first moment that counts, as far as there are calls: agents must not all begin idle.
WARM_UP = timedelta(minutes=30)
MOST_TICKS = 20_000.0  # of one day; more would tell no more
OPEN_LOOP = 3_000  # decisions looked at, evenly spread

_STORED = text(
    """
    SELECT decided_at, calls, snapshot FROM (
        SELECT decided_at, calls, snapshot, row_number() OVER (ORDER BY decided_at, id) AS n
        FROM pace_decisions
        WHERE campaign_id = :campaign_id AND decided_at >= :since AND decided_at < :until
          AND NOT coalesce(limits -> 'bound_by', '[]'::jsonb) ?| ARRAY['contacts', 'pbx']) AS numbered
    WHERE n % :every = 0 ORDER BY n
    """
)
_COUNT = text(
    "SELECT count(*) FROM pace_decisions WHERE campaign_id = :campaign_id AND decided_at >= :since "
    "AND decided_at < :until AND NOT coalesce(limits -> 'bound_by', '[]'::jsonb) ?| ARRAY['contacts', 'pbx']"
)


@dataclass(frozen=True)
class StoredDay:
    """Everything a replay needs of a stretch of time, read from rows."""

    campaign: str
    campaign_id: int
    zone: ZoneInfo
    since: datetime
    until: datetime
    really: Figures
    world: World
    rules: list[Rules]
    memory: list[PaceEvent]  # what a pacer knew when it began
    known: list[PaceEvent]  # the same, with what was expected of each call where decisions were made on that
    staleness: Staleness
    calls: int  # ordered in [since, until)
    stored: int  # decisions of that time
    snapshots: list[tuple[datetime, int, Snapshot]]  # of some of them, evenly spread: when, calls wanted, what was seen
    heard: list[PaceEvent]  # what a pacer heard meanwhile
    notes: tuple[str, ...] = ()


def read(
    session: Session,
    campaign: Campaign,
    since: datetime,
    until: datetime,
    *,
    now: datetime,
    staleness: Staleness | None = None,
    tick: float = 1.0,
) -> StoredDay:
    """Read a stretch of a campaign's day; NotFound when nobody was called, or nobody was at work.

    `tick`: seconds between two decisions, where the stored ones do not tell.
    """
    zone = zone_of(campaign)
    _check_span(since, until, now, zone)
    until = min(until, now)
    reaching = pace_records.calls(session, campaign, since - pace_records.LONGEST_TALK, until)
    inside = [call for call in reaching if call.ordered_at >= since]
    if not any(call.rang for call in inside):
        raise NotFound(_nobody_called(session, campaign, since, until, zone))
    begins = _begins(session, campaign, reaching, since)
    told = pace_records.spans(session, campaign, begins, until, now)
    staff = pace_records.staffing(told, begins, until)
    if not _most(staff):
        raise NotFound(
            f"no agent of campaign {campaign.name} is on record as being at work between {_said(since, zone)} and "
            f"{_said(until, zone)}: there is nobody to replay with"
        )
    decided = pace_in_force.decided(session, campaign, begins, until)
    _check_paced(decided, since, zone)
    here = [call for call in reaching if call.ordered_at >= begins]
    before = pace_records.last_calls(session, campaign, begins, REMEMBERED)
    stored, snapshots = _snapshots(session, campaign, since, until)
    # Decisions that were made on what is expected of an hour are made again on calls that are told with it.
    by_hour = any(snapshot.expected for *_, snapshot in snapshots)
    expecting = expecting_of(session, campaign) if by_hour else None
    return StoredDay(
        campaign=campaign.name,
        campaign_id=campaign.id,
        zone=zone,
        since=since,
        until=until,
        really=pace_records.what_happened(reaching, told, since, until, now),
        world=_world(session, campaign, here, told, staff, decided, begins=begins, since=since, until=until, tick=tick),
        rules=decided.rules,
        memory=_remembered(before),
        known=_remembered(expecting.told(before) if expecting is not None else before),
        staleness=staleness or Staleness(),
        calls=len(inside),
        stored=stored,
        snapshots=snapshots,
        heard=pace_records.heard(expecting.told(here) if expecting is not None else here, told),
        notes=_notes(inside, decided),
    )


def _begins(session: Session, campaign: Campaign, reaching: Sequence[Call], since: datetime) -> datetime:
    """Where the warm-up begins: with the first call of the last minutes before `since`."""
    first = min((call.ordered_at for call in reaching if call.ordered_at >= since - WARM_UP), default=since)
    return _after_by_hand(session, campaign, min(since, max(first, since - WARM_UP)), since)


def _most(staff: Curve) -> int:
    return round(max(count for _, count in staff.points))


def _check_paced(decided: Decided, since: datetime, zone: ZoneInfo) -> None:
    by_hand = next((rule for rule in decided.rules if rule.mode in BY_HAND), None)
    if by_hand is not None:
        raise BadInput(
            f"from {_said(max(by_hand.since, since), zone)} on the mode was {by_hand.mode}: people or the list set the "
            "pace, and there is none to replay; choose a span that leaves that time out"
        )


def _world(
    session: Session,
    campaign: Campaign,
    here: Sequence[Call],
    told: Sequence[Span],
    staff: Curve,
    decided: Decided,
    *,
    begins: datetime,
    since: datetime,
    until: datetime,
    tick: float,
) -> World:
    """The virtual world in which these calls are made anew, by these agents."""
    known = pace_records.on_record(here, told, begins)
    spent = pace_in_force.spent_before(session, campaign, begins)
    length = (until - begins).total_seconds()
    return World(
        agents=_most(staff),
        campaigns=(Campaigning(campaign.name, people=Recorded(tried(known)), dials=decided.dials, spent=spent),),
        at_work=staff,
        connect=pace_records.connecting(here),
        patience=pace_records.patience(here, campaign),
        lines=decided.lines,
        tick=max(round(4 * (decided.tick or tick)) / 4 or 0.25, length / MOST_TICKS),
        min_ring=max((rule.goals.min_ring or 0.0 for rule in decided.rules), default=0.0) or None,
        ceiling=decided.rules[-1].ceiling,
        hours=(until - since).total_seconds() / 3600,
        warm_up_hours=(since - begins).total_seconds() / 3600,
        begins=begins,
    )


def _remembered(calls: Iterable[Call]) -> list[PaceEvent]:
    return [event for call in calls if call.ended_at for event in call.events()]


def _after_by_hand(session: Session, campaign: Campaign, begins: datetime, since: datetime) -> datetime:
    """Where the warm-up begins: as early as it may, and after the last time that people set the pace."""
    if begins >= since:
        return begins
    rules = pace_in_force.decided(session, campaign, begins, since).rules
    for rule, next_begins in reversed(list(zip(rules, [*(rule.since for rule in rules[1:]), since], strict=True))):
        if rule.mode in BY_HAND:
            return max(begins, next_begins)
    return begins


def _check_span(since: datetime, until: datetime, now: datetime, zone: ZoneInfo) -> None:
    if since >= until:
        raise BadInput(f"the span ends before it begins: {_said(since, zone)} to {_said(until, zone)}")
    if since >= now:
        raise BadInput(
            f"the span begins at {_said(since, zone)}, which is still to come: only what was can be replayed"
        )
    if until - since > LONGEST:
        raise BadInput("a span of more than 24 h is more than one day: replay each day by itself")


def _said(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"


def _nobody_called(session: Session, campaign: Campaign, since: datetime, until: datetime, zone: ZoneInfo) -> str:
    row = session.execute(
        text("SELECT min(ordered_at) AS first, max(ordered_at) AS last FROM attempts WHERE campaign_id = :id"),
        {"id": campaign.id},
    ).one()
    told = f"campaign {campaign.name} called nobody between {_said(since, zone)} and {_said(until, zone)}"
    if row.first is None:
        return f"{told}, nor ever before"
    return f"{told}; its calls are of {_said(row.first, zone)} to {_said(row.last, zone)}"


def _notes(inside: Sequence[Call], decided: Decided) -> tuple[str, ...]:
    told = []
    never = sum(not call.rang for call in inside)
    if never:
        told.append(f"orders that rang nobody, or are still under way, are left out: {never}")
    given_up = sum(call.given_up for call in inside)
    if given_up:
        told.append(f"what would have come of calls given up while they rang is drawn: {given_up}")
    hung_up = sum(call.state == "hung_up" for call in inside)
    if hung_up:
        told.append(f"customers who hung up before an agent came wait to the limit in the replay: {hung_up}")
    if not decided.rows:
        told.append("no decision of that time is on record: the campaign's rules of today are taken for those in force")
    elif len(decided.rules) > 1:
        told.append(f"changes of the rules meanwhile, each holding for its time: {len(decided.rules) - 1}")
    if decided.rules[0].several:
        told.append(f"its PBXs are replayed as one team and one bundle of lines: {pools.AS_ONE}")
    return tuple(told)


def _snapshots(
    session: Session, campaign: Campaign, since: datetime, until: datetime
) -> tuple[int, list[tuple[datetime, int, Snapshot]]]:
    """How many decisions are stored, and what some of them saw."""
    given = {"campaign_id": campaign.id, "since": since, "until": until}
    stored = session.execute(_COUNT, given).scalar_one()
    every = max(1, -(-stored // OPEN_LOOP))
    rows = session.execute(_STORED, given | {"every": every})
    read = [(row.decided_at, row.calls, readable(row.snapshot)) for row in rows]
    return stored, [(at, calls, snapshot) for at, calls, snapshot in read if snapshot is not None]
