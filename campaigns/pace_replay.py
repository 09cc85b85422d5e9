"""A stored day lived through again, under the rules that held and under others, beside what really happened.

Two questions of two kinds. *Closed loop*: the calls really made, in their order, by the agents really there, with a
pacer that decides anew; what it would have launched beyond them is drawn from calls of about that time. *Open loop*:
the stored snapshots, each decided on again under other rules, one by one. The first says what would have come of it,
and its own error: the replay of what was, beside what was. The second says how often it would have been different.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import pace_records
from campaigns.expecting import expecting_of
from campaigns.models import Campaign
from campaigns.pace_calls import REMEMBERED
from campaigns.pace_explain import readable, zone_of
from campaigns.pace_records import Rules
from dialer.errors import BadInput, NotFound
from dialer.modes import BY_HAND
from dialer.pacing import Goals, Pace, PaceEvent, Pacer, Snapshot, Staleness, pacer_for
from dialer.simulation import Campaigning, Curve, World, run_day
from dialer.simulation.figures import Figures
from dialer.simulation.recorded import IN_ORDER, Recorded, tried

LONGEST = timedelta(hours=24)
# Lived through before the first moment that counts, as far as there are calls: agents must not all begin idle.
WARM_UP = timedelta(minutes=30)
MOST_TICKS = 20_000.0  # of one day; more would tell no more
OPEN_LOOP = 3_000  # decisions looked at, evenly spread


@dataclass(frozen=True, slots=True)
class Changes:
    """What would be different; None stays as it was."""

    mode: str | None = None
    max_abandonment: float | None = None
    max_lines: int | None = None
    agents: int | None = None
    min_ring: float | None = None  # 0: nothing is given up
    ratio: float | None = None
    desired_wait: float | None = None

    def __bool__(self) -> bool:
        return bool(self.as_json())

    def rules(self, was: Rules) -> Rules:
        """Return the rules with the changes made."""
        goals: dict[str, Any] = {
            name: value for name in ("min_ring", "ratio", "desired_wait") if (value := getattr(self, name)) is not None
        }
        if self.min_ring == 0.0:
            goals["min_ring"] = None
        return replace(
            was,
            mode=self.mode or was.mode,
            ceiling=was.ceiling if self.max_abandonment is None else self.max_abandonment,
            max_lines=was.max_lines if self.max_lines is None else self.max_lines,
            goals=replace(was.goals, **goals),
        )

    def as_json(self) -> dict[str, Any]:
        """Return only what changes."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


class InForce:
    """A pacer that keeps the rules of each moment, as they were changed while the campaign ran."""

    def __init__(self, rules: Sequence[Rules], staleness: Staleness | None = None) -> None:
        self._rules = rules
        self._since = [rule.since for rule in rules]
        self._pacers: dict[str, Pacer] = {rule.mode: pacer_for(rule.mode, staleness=staleness) for rule in rules}

    def observe(self, event: PaceEvent) -> None:
        """Let the pacers of all modes learn from it."""
        for pacer in self._pacers.values():
            pacer.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Let them learn anew."""
        kept = list(events)
        for pacer in self._pacers.values():
            pacer.restore(kept)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        """Decide by the rules of this moment."""
        rule = self._rules[max(0, bisect_right(self._since, now) - 1)]
        seen = replace(
            snapshot,
            budget=replace(snapshot.budget, ceiling=rule.ceiling),
            goals=rule.goals,
            max_lines=rule.max_lines,
        )
        return self._pacers[rule.mode].decide(now, seen)


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


@dataclass(frozen=True)
class OpenLoop:
    """The stored decisions, decided on again: one by one, on what was seen then."""

    stored: int
    looked_at: int
    stored_calls: int  # wanted by the decisions looked at
    as_it_was: int  # calls this engine wants under the rules that held
    repeated: int  # decisions in which it wants what was stored
    changed: int | None = None  # calls it wants under the others
    different: int | None = None  # decisions in which the others make a difference
    more: int | None = None
    fewer: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the counts for a program."""
        return asdict(self)


@dataclass(frozen=True)
class Replayed:
    """What really happened, the same replayed, and what would have come of the changes."""

    day: StoredDay
    changes: Changes
    as_it_was: list[Figures]  # the first meets the calls in their own order
    changed: list[Figures]
    open_loop: OpenLoop | None = None

    @property
    def in_order(self) -> Figures:
        """The day as it was, with the calls in their own order."""
        return self.as_it_was[0]

    @property
    def error(self) -> dict[str, float]:
        """What the replay of what was says too much: by so much it may be wrong about what was not."""
        return {
            name: getattr(self.in_order, name) - real
            for name in ("utilisation", "occupancy", "abandonment", "mean_wait", "calls")
            if (real := getattr(self.day.really, name)) is not None and getattr(self.in_order, name) is not None
        }


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
    """Read a stretch of a campaign's day; NotFound when nobody was called, or nobody was at work."""
    zone = zone_of(campaign)
    _check_span(since, until, now, zone)
    until = min(until, now)
    reaching = pace_records.calls(session, campaign, since - pace_records.LONGEST_TALK, until)
    inside = [call for call in reaching if call.ordered_at >= since]
    if not any(call.rang for call in inside):
        raise NotFound(_nobody_called(session, campaign, since, until, zone))
    first = min((call.ordered_at for call in reaching if call.ordered_at >= since - WARM_UP), default=since)
    begins = _after_by_hand(session, campaign, min(since, max(first, since - WARM_UP)), since)
    told = pace_records.spans(session, campaign, begins, until, now)
    staff = pace_records.staffing(told, begins, until)
    agents = round(max(count for _, count in staff.points))
    if not agents:
        raise NotFound(
            f"no agent of campaign {campaign.name} is on record as being at work between {_said(since, zone)} and "
            f"{_said(until, zone)}: there is nobody to replay with"
        )
    here = [call for call in reaching if call.ordered_at >= begins]
    decided = pace_records.decided(session, campaign, begins, until)
    by_hand = next((rule for rule in decided.rules if rule.mode in BY_HAND), None)
    if by_hand is not None:
        raise BadInput(
            f"from {_said(max(by_hand.since, since), zone)} on the mode was {by_hand.mode}: people or the list set the "
            "pace, and there is none to replay; choose a span that leaves that time out"
        )
    known = pace_records.on_record(here, told, begins)
    length = (until - begins).total_seconds()
    spent = pace_records.spent_before(session, campaign, begins)
    world = World(
        agents=agents,
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
        world=world,
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


def _remembered(calls: Iterable[pace_records.Call]) -> list[PaceEvent]:
    return [event for call in calls if call.ended_at for event in call.events()]


def _after_by_hand(session: Session, campaign: Campaign, begins: datetime, since: datetime) -> datetime:
    """Where the warm-up begins: as early as it may, and after the last time that people set the pace."""
    if begins >= since:
        return begins
    rules = pace_records.decided(session, campaign, begins, since).rules
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


def _notes(inside: Sequence[pace_records.Call], decided: pace_records.Decided) -> tuple[str, ...]:
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
    return tuple(told)


def live_through(
    day: StoredDay, changes: Changes, *, seeds: int = 5, one_more: Callable[[], None] = lambda: None
) -> tuple[list[Figures], list[Figures]]:
    """Live through the day, as it was and with the changes (if any), `seeds` times each on the same people."""
    numbers = range(IN_ORDER, IN_ORDER + seeds)
    was = [_live(day, Changes(), seed, one_more) for seed in numbers]
    return was, [_live(day, changes, seed, one_more) for seed in numbers] if changes else []


def _live(day: StoredDay, changes: Changes, seed: int, one_more: Callable[[], None]) -> Figures:
    world = day.world
    rules = [changes.rules(rule) for rule in day.rules]
    if changes.agents is not None and world.at_work is not None:
        factor = changes.agents / world.agents
        staff = Curve(tuple((at, float(round(count * factor))) for at, count in world.at_work.points))
        lines = world.lines if world.lines is None else max(world.lines, round(world.lines * factor))
        world = replace(world, agents=changes.agents, at_work=staff, lines=lines)
    least = max((rule.goals.min_ring or 0.0 for rule in rules), default=0.0)
    world = replace(world, min_ring=least or None, ceiling=rules[-1].ceiling)
    pacer = InForce(rules, day.staleness)
    pacer.restore(day.memory)
    lived = run_day(world, [pacer], seed, goals=Goals(min_ring=least or None))
    one_more()
    return Figures.of_day(lived, world.hours * 3600)


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


def decide_again(day: StoredDay, changes: Changes) -> OpenLoop | None:
    """Decide on the stored snapshots again, as it was and with the changes; None when there are none."""
    events = day.heard
    was, other = (InForce([c.rules(rule) for rule in day.rules], day.staleness) for c in (Changes(), changes))
    for pacer in (was, other):
        pacer.restore(day.known)
    told: list[tuple[int, int, int]] = []
    n = 0
    for at, wanted, snapshot in day.snapshots:
        while n < len(events) and events[n].at <= at:
            was.observe(events[n])
            if changes:
                other.observe(events[n])
            n += 1
        before = was.decide(at, snapshot).calls
        told.append((wanted, before, other.decide(at, snapshot).calls if changes else before))
    if not told:
        return None
    counts: Mapping[str, int] = {}
    if changes:
        counts = {
            "changed": sum(new for _, _, new in told),
            "different": sum(old != new for _, old, new in told),
            "more": sum(new > old for _, old, new in told),
            "fewer": sum(new < old for _, old, new in told),
        }
    return OpenLoop(
        stored=day.stored,
        looked_at=len(told),
        stored_calls=sum(kept for kept, _, _ in told),
        as_it_was=sum(old for _, old, _ in told),
        repeated=sum(kept == old for kept, old, _ in told),
        **counts,
    )
