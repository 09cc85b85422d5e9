"""When a campaign will be done, how busy its agents will be, how many lines it wants; and what came of earlier words.

From this list (who is due, who comes back, how often tried), this team and this history. Each day that is lived
through draws its own answer chances from what the history allows, so a range holds the luck of a day and how little
is known of it. Forecasts are kept and compared with what happened.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import datetime, timedelta
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import pace_records, pools
from campaigns.calling_hours import later, open_spans, opens
from campaigns.models import Agent, Attempt, Campaign, CampaignAgent, Contact, Forecast, PbxStatus
from campaigns.pace_explain import zone_of
from campaigns.pace_records import Rules
from campaigns.pace_replay import InForce
from dialer.abandonment import rule_pack
from dialer.errors import BadInput, NotFound
from dialer.modes import BY_HAND
from dialer.pacing import Goals, PaceEvent
from dialer.retries import RetryRules, after
from dialer.simulation import Campaigning, Centre, Curve, World
from dialer.simulation.figures import Figures, quantile
from dialer.simulation.listed import ENOUGH, Lessons, Listed, ListedDay, Waiting, group_of
from dialer.windows import Hours

HISTORY = 3_000  # last calls that are looked at
LOW, HIGH = 0.1, 0.9
# Compared with what happened, each a hit when it came out within its range.
CHECKED = ("utilisation", "occupancy", "abandonment", "mean_wait", "calls", "met", "lines_p95", "lines_max")
_SLACK = 1e-9

_CONTACTS = text(
    """
    SELECT k.list_id, coalesce(a.tried, 0) AS tried, count(*) AS number,
           greatest(0, ceil(extract(epoch FROM k.next_at - CAST(:now AS timestamptz)) / 60)) AS minutes
    FROM contacts k JOIN lists l ON l.id = k.list_id
    LEFT JOIN (SELECT contact_id, count(*) AS tried FROM attempts
               WHERE campaign_id = :campaign_id AND state NOT IN ('no_lines', 'refused', 'expired')
               GROUP BY contact_id) a ON a.contact_id = k.id
    WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at IS NOT NULL AND l.undone_at IS NULL
    GROUP BY 1, 2, 4
    """
)


@dataclass(frozen=True)
class Outlook:
    """Everything a forecast is made from, read from rows."""

    campaign: str
    campaign_id: int
    zone: ZoneInfo
    hours: Hours
    made_at: datetime
    starts_at: datetime
    horizon: float  # seconds
    world: World
    rules: Rules
    memory: list[PaceEvent]
    inputs: dict[str, Any]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expected:
    """A figure, and the range in which eight of ten days lie."""

    expected: float
    low: float
    high: float

    def hit(self, value: float) -> bool:
        """Whether what happened lies within the range."""
        return self.low - _SLACK <= value <= self.high + _SLACK


@dataclass(frozen=True, slots=True)
class Finish:
    """When the list will be used up. A day that does not end within the horizon is thought on at its pace."""

    expected: datetime | None  # None: too far to say
    low: datetime | None
    high: datetime | None
    within: float  # share of the days that end within the horizon


@dataclass(frozen=True)
class Foretold:
    """A forecast."""

    figures: dict[str, Expected]
    finish: Finish
    seeds: int

    def as_json(self) -> dict[str, Any]:
        """Return it as it is stored, and as programs get it."""
        finish = {
            name: value.isoformat() if isinstance(value, datetime) else value
            for name, value in asdict(self.finish).items()
        }
        return {
            "figures": {
                name: {key: round(value, 6) for key, value in asdict(each).items()}
                for name, each in self.figures.items()
            },
            "finish": finish,
            "seeds": self.seeds,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Foretold":
        """Read a stored one."""
        told = kept["finish"]
        moments = {
            name: datetime.fromisoformat(told[name]) if told.get(name) else None for name in ("expected", "low", "high")
        }
        return cls(
            {name: Expected(**each) for name, each in kept["figures"].items()},
            Finish(within=told.get("within", 0.0), **moments),
            int(kept.get("seeds", 0)),
        )


# Looking ahead -------------------------------------------------------------------------------------------


def gather(
    session: Session, campaign: Campaign, now: datetime, *, agents: int | None = None, hours: float = 4.0
) -> Outlook:
    """Read the list, the team and the history; a sentence when one of them leaves nothing to foretell."""
    if campaign.mode in BY_HAND:
        raise BadInput(f"in mode {campaign.mode} people or the list set the pace: there is none to forecast")
    zone, calling = zone_of(campaign), Hours.parse(campaign.hours)
    starts = opens(calling, zone, now)
    if starts is None:
        raise BadInput(f"campaign {campaign.name} has no calling hours: {campaign.hours}")
    team, whence = _team(session, campaign, agents)
    contacts = _contacts(session, campaign, starts)
    if not contacts:
        raise NotFound(
            f"campaign {campaign.name} has nobody left to call, so there is nothing to forecast: "
            "`dialer list import` brings contacts"
        )
    made = pace_records.last_calls(session, campaign, now, HISTORY)
    told = pace_records.spans(session, campaign, made[0].ordered_at, now, now) if made else []
    lessons = _lessons(campaign, made, told)
    until = starts + timedelta(hours=hours)
    dials, at_work = _when(calling, zone, starts, until, team)
    pack = rule_pack(campaign.rule_pack)
    rules = Rules(
        starts,
        campaign.mode,
        min(pack.ceiling_of(window, campaign.max_abandonment) for window in pack.windows),
        _goals(campaign),
        campaign.max_lines,
    )
    listed = Listed(contacts, lessons, campaign.max_attempts, campaign.retry_delay)
    spent = pace_records.spent_before(session, campaign, now)
    world = World(
        agents=team,
        campaigns=(Campaigning(campaign.name, people=listed, dials=dials, spent=spent),),
        at_work=at_work,
        connect=pace_records.connecting(made),
        patience=pace_records.patience(made, campaign),
        lines=_lines(session, campaign),
        min_ring=rules.goals.min_ring,
        ceiling=rules.ceiling,
        hours=hours,
        warm_up_hours=0.0,
        begins=starts,
    )
    return Outlook(
        campaign=campaign.name,
        campaign_id=campaign.id,
        zone=zone,
        hours=calling,
        made_at=now,
        starts_at=starts,
        horizon=hours * 3600,
        world=world,
        rules=rules,
        memory=pace_records.heard([call for call in made if call.ended_at], told),
        inputs=_inputs(team, whence, contacts, lessons, rules, world, hours),
        notes=_notes(lessons, campaign, starts, now, zone),
    )


def _team(session: Session, campaign: Campaign, agents: int | None) -> tuple[int, str]:
    if agents is not None:
        return agents, "given"
    count = (
        select(func.count())
        .select_from(CampaignAgent)
        .join(Agent, Agent.id == CampaignAgent.agent_id)
        .where(CampaignAgent.campaign_id == campaign.id)
    )
    at_work = session.scalar(count.where(Agent.state.not_in(pace_records.AWAY))) or 0
    if at_work:
        return at_work, "at work now"
    assigned = session.scalar(count) or 0
    if assigned:
        return assigned, "assigned, none at work now"
    raise BadInput(f"no agent is assigned to campaign {campaign.name}: say with how many to reckon, --agents N")


def _contacts(session: Session, campaign: Campaign, starts: datetime) -> tuple[Waiting, ...]:
    rows = session.execute(_CONTACTS, {"campaign_id": campaign.id, "now": starts})
    return tuple(
        Waiting(str(row.list_id), row.tried, row.number, float(row.minutes) * 60.0)
        for row in rows
        if row.tried < campaign.max_attempts
    )


def _lessons(campaign: Campaign, made: Sequence[pace_records.Call], told: Sequence[pace_records.Span]) -> Lessons:
    yes: Counter[str] = Counter()
    no: Counter[str] = Counter()
    missed = []
    rules = RetryRules.of(campaign.retry_delay)
    for call in made:
        if not call.rang or (call.given_up and call.answered_at is None):
            continue
        group = group_of(str(call.list_id), call.attempt_no - 1)
        if call.answered_at is not None:
            yes[group] += 1
            continue
        no[group] += 1
        assert call.ended_at is not None
        following = after(call.state, attempt_no=1, max_attempts=100, now=call.ended_at, rules=rules).at
        wait = (following - call.ended_at).total_seconds() if following else campaign.retry_delay
        missed.append(((call.ended_at - call.ordered_at).total_seconds(), wait))
    known = pace_records.on_record(made, told, made[0].ordered_at) if made else []
    return Lessons(
        answered={group: (yes[group], no[group]) for group in sorted({*yes, *no})},
        rings=tuple(call.rings for call in known if call.answered),
        missed=tuple(missed),
        talks=tuple(call.talk for call in known if call.talk is not None),
        wrap_ups=tuple(call.wrap_up for call in known if call.wrap_up is not None),
        parks=tuple(call.parks for call in known if call.parks is not None),
    )


def _when(hours: Hours, zone: ZoneInfo, starts: datetime, until: datetime, team: int) -> tuple[Curve, Curve]:
    """When anything may be dialled, and how many are at work: the team, in calling hours."""
    points: list[tuple[float, float]] = [(0.0, 0.0)]
    for begin, end in open_spans(hours, zone, starts, until):
        points += [((begin - starts).total_seconds(), 1.0), ((end - starts).total_seconds(), 0.0)]
    return Curve(tuple(points)), Curve(tuple((at, open_ * team) for at, open_ in points))


def _goals(campaign: Campaign) -> Goals:
    chosen = {each.name: getattr(campaign, each.name, None) for each in fields(Goals)}
    return Goals(**{name: value for name, value in chosen.items() if value})


def _lines(session: Session, campaign: Campaign) -> int | None:
    called_on = pools.in_the_pool(session, campaign)
    gateways = [
        one for kept in session.scalars(select(PbxStatus).where(PbxStatus.pbx.in_(called_on))) for one in kept.gateways
    ]
    return sum(one["lines"] for one in gateways if one.get("enabled") and one.get("registered")) or None


def _inputs(
    team: int,
    whence: str,
    contacts: Sequence[Waiting],
    lessons: Lessons,
    rules: Rules,
    world: World,
    hours: float,
) -> dict[str, Any]:
    yes, no = lessons.calls
    by_group: Counter[str] = Counter()
    for waiting in contacts:
        by_group[group_of(waiting.list, waiting.tried)] += waiting.number
    return {
        "agents": team,
        "agents_are": whence,
        "contacts": sum(waiting.number for waiting in contacts),
        "due_now": sum(waiting.number for waiting in contacts if waiting.due <= 0),
        "groups": dict(by_group),
        "calls": yes + no,
        "answered": yes,
        "answer_chance": yes / (yes + no) if yes + no else None,
        "answered_by_group": {group: list(counts) for group, counts in lessons.answered.items()},
        "talk": _mean(lessons.talks),
        "talks": len(lessons.talks),
        "wrap_up": _mean(lessons.wrap_ups),
        "mode": rules.mode,
        "max_abandonment": rules.ceiling,
        "max_lines": rules.max_lines,
        "lines": world.lines,
        "hours": hours,
    }


def _mean(values: Sequence[float]) -> float | None:
    return round(mean(values), 1) if len(values) >= ENOUGH else None


def _notes(lessons: Lessons, campaign: Campaign, starts: datetime, now: datetime, zone: ZoneInfo) -> tuple[str, ...]:
    told = []
    yes, no = lessons.calls
    if yes + no < ENOUGH:
        told.append(
            f"only {yes + no} calls to learn from: an answer chance of about one in four is assumed (4 to 58 %)"
        )
    if len(lessons.talks) < ENOUGH:
        told.append(
            f"only {len(lessons.talks)} conversations to learn from: 3 min of talk and 20 s of wrap-up are assumed, "
            "each perhaps half or double"
        )
    if starts - now > timedelta(minutes=1):
        told.append(
            f"calls may begin at {starts.astimezone(zone):%Y-%m-%d %H:%M} ({campaign.hours}): reckoned from then"
        )
    return tuple(told)


def reckon(outlook: Outlook, *, seeds: int = 20, one_more: Callable[[], None] = lambda: None) -> Foretold:
    """Live through `seeds` days and put them together."""
    days: list[dict[str, float]] = []
    ends: list[datetime | None] = []
    finished = 0
    for seed in range(1, seeds + 1):
        pacer = InForce([outlook.rules])
        pacer.restore(outlook.memory)
        centre = Centre(outlook.world, [pacer], seed, goals=outlook.rules.goals)
        day = centre.run()
        values = {
            name: value for name, value in Figures.of_day(day, outlook.horizon).as_json().items() if value is not None
        }
        lines = [sample[3] + sample[5] for sample in day.samples]
        days.append(values | {"lines_p95": round(quantile(lines, 0.95)), "lines_max": max(lines)})
        done = day.campaigns[0].finished_at
        finished += done is not None
        people = centre.desks[0].people
        assert isinstance(people, ListedDay)
        ends.append(_end(outlook, done, people, day.launched))
        one_more()
    names = [name for name in (*CHECKED, "agents", "answered") if any(name in day for day in days)]
    figures = {name: _expected([day[name] for day in days if name in day]) for name in names}
    return Foretold(figures, _finish(ends, finished / seeds), seeds)


def _end(outlook: Outlook, done: float | None, people: ListedDay, launched: int) -> datetime | None:
    """When the list is done: on this day, or at its pace, and not before the last of those who rest may be called."""
    if done is not None:
        return outlook.starts_at + timedelta(seconds=done)
    if not launched:
        return None
    until = outlook.starts_at + timedelta(seconds=outlook.horizon)
    called = sum(
        (end - begin).total_seconds()
        for begin, end in open_spans(outlook.hours, outlook.zone, outlook.starts_at, until)
    )
    at_this_pace = later(outlook.hours, outlook.zone, until, people.calls_to_come * called / launched)
    rested = later(outlook.hours, outlook.zone, outlook.starts_at + timedelta(seconds=people.last_due), 0.0)
    return None if at_this_pace is None or rested is None else max(at_this_pace, rested)


def _expected(values: Sequence[float]) -> Expected:
    return Expected(mean(values), quantile(values, LOW), quantile(values, HIGH))


def _finish(ends: Sequence[datetime | None], within: float) -> Finish:
    """Quantiles of the ends; those too far to say are later than all others."""
    known = sorted(end for end in ends if end is not None)

    def at(share: float) -> datetime | None:
        place = round(share * (len(ends) - 1))
        return known[place] if place < len(known) else None

    return Finish(at(0.5), at(LOW), at(HIGH), within)


def store(session: Session, outlook: Outlook, told: Foretold, *, who: str) -> Forecast:
    """Keep a forecast, to be compared with what comes; the caller owns the transaction."""
    row = Forecast(
        campaign_id=outlook.campaign_id,
        made_at=outlook.made_at,
        made_by=who,
        starts_at=outlook.starts_at,
        horizon=outlook.horizon,
        inputs=outlook.inputs,
        forecast=told.as_json(),
    )
    session.add(row)
    session.flush()
    return row


# Looking back --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Compared:
    """One figure of an earlier forecast beside what happened."""

    name: str
    foretold: Expected
    happened: float

    @property
    def hit(self) -> bool:
        return self.foretold.hit(self.happened)


@dataclass(frozen=True)
class Checked:
    """An earlier forecast. `compared` is empty while its time is not over."""

    id: int
    made_at: datetime
    made_by: str
    starts_at: datetime
    ends_at: datetime
    agents: tuple[float, float | None]  # assumed, and really at work
    compared: list[Compared]
    finish: Finish
    finished_at: datetime | None
    finish_hit: bool | None  # None: not known yet

    @property
    def over(self) -> bool:
        return bool(self.compared)

    @property
    def hits(self) -> tuple[int, int]:
        """Hits, and figures that could be compared."""
        found = [one.hit for one in self.compared] + ([] if self.finish_hit is None else [self.finish_hit])
        return sum(found), len(found)

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "id": self.id, "made_at": self.made_at, "made_by": self.made_by, "starts_at": self.starts_at,
            "ends_at": self.ends_at, "agents_assumed": self.agents[0], "agents_at_work": self.agents[1],
            "figures": [
                {"name": one.name, **asdict(one.foretold), "happened": round(one.happened, 6), "hit": one.hit}
                for one in self.compared
            ],
            "finish": {**asdict(self.finish), "happened": self.finished_at, "hit": self.finish_hit},
        }  # fmt: skip


def check(session: Session, campaign: Campaign, now: datetime, *, last: int = 20) -> list[Checked]:
    """Compare the newest forecasts with what happened since, newest first."""
    rows = session.scalars(
        select(Forecast)
        .where(Forecast.campaign_id == campaign.id)
        .order_by(Forecast.made_at.desc(), Forecast.id.desc())
    ).fetchmany(last)
    finished = _finished_at(session, campaign) if rows else None
    return [_checked(session, campaign, row, now, finished) for row in rows]


def _finished_at(session: Session, campaign: Campaign) -> datetime | None:
    """When the campaign's list was used up; None while somebody is left."""
    left = select(Contact.id).where(Contact.campaign_id == campaign.id, Contact.state != "closed").limit(1)
    if session.scalar(left) is not None:
        return None
    last: datetime | None = session.scalar(select(func.max(Attempt.ended_at)).where(Attempt.campaign_id == campaign.id))
    return last


def _checked(session: Session, campaign: Campaign, row: Forecast, now: datetime, finished: datetime | None) -> Checked:
    foretold = Foretold.from_json(row.forecast)
    ends = row.starts_at + timedelta(seconds=row.horizon)
    done = finished if finished is not None and finished >= row.starts_at else None
    compared: list[Compared] = []
    agents: float | None = None
    if now >= ends:
        made = pace_records.calls(session, campaign, row.starts_at - pace_records.LONGEST_TALK, ends)
        told = pace_records.spans(session, campaign, row.starts_at, ends, now)
        # A day that ended early was foretold to its end, so it is looked at up to there.
        until = min(ends, done) if done is not None and done > row.starts_at else ends
        happened = pace_records.what_happened(made, told, row.starts_at, until, now).as_json()
        agents = happened["agents"]
        lines = pace_records.most_lines(made, row.starts_at, until)
        if lines is not None:
            happened |= {"lines_p95": float(lines[0]), "lines_max": float(lines[1])}
        compared = [
            Compared(name, foretold.figures[name], value)
            for name in CHECKED
            if name in foretold.figures and (value := happened.get(name)) is not None
        ]
    return Checked(
        row.id,
        row.made_at,
        row.made_by,
        row.starts_at,
        ends,
        (float(row.inputs.get("agents", 0)), agents),
        compared,
        foretold.finish,
        done,
        _finish_hit(foretold.finish, done, now),
    )


def _finish_hit(foretold: Finish, done: datetime | None, now: datetime) -> bool | None:
    if done is not None:
        early = foretold.low is None or done < foretold.low
        return not early and (foretold.high is None or done <= foretold.high)
    # Not done although it should be by now, in nine days of ten: that is a miss already.
    return False if foretold.high is not None and now > foretold.high else None


def share_of_hits(checked: Sequence[Checked]) -> tuple[int, int]:
    """Hits, and figures compared, over all that are over."""
    found = [one.hits for one in checked if one.over]
    return sum(hits for hits, _ in found), sum(of for _, of in found)
