"""What a forecast is made from: this list (who is due, who comes back, how often tried), this team and this history.

Each day that is lived through (`forecast_days`) draws its own answer chances from what the history allows, so a range
holds the luck of a day and how little is known of it. Forecasts are kept and compared with what happened
(`forecast_checks`).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from statistics import mean
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from campaigns import (
    capping,
    dispositions,
    pace_in_force,
    pace_records,
    pbx_health,
    planning,
    pools,
    stored_gateways,
)
from campaigns.agent_states import AWAY, FREE
from campaigns.calling_hours import FAR, open_spans, opens
from campaigns.campaign_values import usual_time_zone
from campaigns.models import Agent, Campaign, CampaignAgent, PbxStatus
from campaigns.pace_explain import zone_of
from campaigns.pace_in_force import Rules
from dialer.abandonment import rule_pack
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound
from dialer.modes import BY_HAND
from dialer.pacing import Goals, PaceEvent
from dialer.pools import Member, in_use
from dialer.retries import RULED
from dialer.simulation import Campaigning, Curve, World
from dialer.simulation.coming_back import ComingBack, Spans
from dialer.simulation.listed import ENOUGH, Lessons, Listed, Waiting, group_of
from dialer.windows import Hours

HISTORY = 3_000  # last calls that are looked at

_CONTACTS = text(
    """
    SELECT k.list_id, coalesce(a.tried, 0) AS tried, count(*) AS number,
           1 + CAST(k.phone2 IS NOT NULL AS int) + coalesce(cardinality(k.more_numbers), 0) AS numbers,
           CASE WHEN k.next_number IS NULL OR k.next_number = k.phone THEN 0 WHEN k.next_number = k.phone2 THEN 1
                ELSE 1 + coalesce(array_position(k.more_numbers, k.next_number), 0) END AS on_number,
           greatest(0, ceil(extract(epoch FROM k.next_at - CAST(:now AS timestamptz)) / 60)) AS minutes
    FROM contacts k JOIN lists l ON l.id = k.list_id
    LEFT JOIN (SELECT contact_id, count(*) AS tried FROM attempts
               WHERE campaign_id = :campaign_id AND state NOT IN ('no_lines', 'refused', 'expired')
               GROUP BY contact_id) a ON a.contact_id = k.id
    WHERE k.campaign_id = :campaign_id AND k.state = 'open' AND k.next_at IS NOT NULL AND l.undone_at IS NULL
    GROUP BY 1, 2, 4, 5, 6
    """
)


_SAID = text(
    """
    SELECT coalesce(d.code, '') FROM attempts t LEFT JOIN dispositions d ON d.id = t.disposition_id
    WHERE t.campaign_id = :campaign_id AND t.joined_at IS NOT NULL AND t.ended_at IS NOT NULL
    ORDER BY t.ordered_at DESC LIMIT :most
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
    lessons = _lessons(session, campaign, made, told)
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
    listed = Listed(contacts, lessons, _coming_back(session, campaign, calling, zone, starts))
    spent = pace_in_force.spent_before(session, campaign, now)
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
        notes=(*_notes(lessons, campaign, starts, now, zone), *_of_several(session, campaign)),
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
    cut_off_now = Agent.pbx.in_(_out_of_use(session, campaign)) & Agent.state.in_(FREE)
    at_work = session.scalar(count.where(Agent.state.not_in(AWAY), ~cut_off_now)) or 0
    if at_work:
        return at_work, "at work now"
    assigned = session.scalar(count) or 0
    if assigned:
        return assigned, "assigned, none at work now"
    raise BadInput(f"no agent is assigned to campaign {campaign.name}: say with how many to reckon, --agents N")


def _contacts(session: Session, campaign: Campaign, starts: datetime) -> tuple[Waiting, ...]:
    rows = session.execute(_CONTACTS, {"campaign_id": campaign.id, "now": starts})
    return tuple(
        Waiting(
            str(row.list_id),
            row.tried,
            row.number,
            float(row.minutes) * 60.0,
            row.numbers,
            min(row.on_number, row.numbers - 1),
        )
        for row in rows
        if row.tried < campaign.max_attempts
    )


def _coming_back(session: Session, campaign: Campaign, calling: Hours, zone: ZoneInfo, starts: datetime) -> ComingBack:
    """The campaign's rules of trying again. Of phones, those of its own zone; the gate asks each where it is."""
    spans = []
    if not calling.always:
        spans = [
            ((begin - starts).total_seconds(), (end - starts).total_seconds())
            for begin, end in open_spans(calling, zone, starts, starts + FAR)
        ]
    law = rule_pack(campaign.rule_pack).calling
    return ComingBack(
        planning.rules_of(session, campaign),
        campaign.max_attempts,
        {one.code: dispositions.word_of(one) for one in dispositions.all_of(session, campaign.id, retired=True)},
        tuple(dict.fromkeys([*capping.in_force(session, campaign), *law.caps])),
        campaign.number_gap,
        (usual_time_zone(campaign.country, campaign.time_zone),),
        Spans(tuple(begin for begin, _ in spans), tuple(end for _, end in spans)),
        starts,
    )


def _lessons(
    session: Session, campaign: Campaign, made: Sequence[pace_records.Call], told: Sequence[pace_records.Span]
) -> Lessons:
    yes: Counter[str] = Counter()
    no: Counter[str] = Counter()
    missed = []
    for call in made:
        if not call.rang or (call.given_up and call.answered_at is None):
            continue
        group = group_of(str(call.list_id), call.attempt_no - 1)
        if call.answered_at is not None:
            yes[group] += 1
            continue
        no[group] += 1
        assert call.ended_at is not None
        end = call.state if call.state in RULED else CallState.NO_ANSWER
        missed.append(((call.ended_at - call.ordered_at).total_seconds(), str(end)))
    known = pace_records.on_record(made, told, made[0].ordered_at) if made else []
    return Lessons(
        answered={group: (yes[group], no[group]) for group in sorted({*yes, *no})},
        rings=tuple(call.rings for call in known if call.answered),
        missed=tuple(missed),
        said=tuple(session.scalars(_SAID, {"campaign_id": campaign.id, "most": HISTORY})),
        talks=tuple(call.talk for call in known if call.talk is not None and not call.machine),
        machines=tuple(call.talk for call in known if call.talk is not None and call.machine),
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


def _out_of_use(session: Session, campaign: Campaign) -> list[str]:
    """The PBXs of a campaign of several that cannot be called on now."""
    places = pools.of(session, campaign)
    lost = pbx_health.out_of_use(session) if len(places) > 1 else {}
    return [place.pbx for place in places if place.pbx in lost]


def _lines(session: Session, campaign: Campaign) -> int | None:
    """The lines of the PBXs that get its calls now: of several, those of one out of use are its standby's."""
    lost = _out_of_use(session, campaign)
    called_on = in_use([Member(place.pbx, place.role, place.pbx in lost) for place in pools.of(session, campaign)])
    gateways = [
        one for kept in session.scalars(select(PbxStatus).where(PbxStatus.pbx.in_(called_on))) for one in kept.gateways
    ]
    return stored_gateways.lines(gateways)[0] or None


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


def _of_several(session: Session, campaign: Campaign) -> tuple[str, ...]:
    names = pools.in_the_pool(session, campaign)
    if len(names) < 2:
        return ()
    lost = _out_of_use(session, campaign)
    told = [f"PBXs {', '.join(names)} are reckoned as one team and one bundle of lines: {pools.AS_ONE}"]
    if lost:
        told.append(f"PBX {' and '.join(lost)} out of use now: reckoned without its lines and whoever waits there")
    return tuple(told)


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
