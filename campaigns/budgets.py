"""What the laws' windows have left for a campaign: rows counted (I19), and the strictest window of all.

The pacer and the dashboard ask the same function, so they can never show two truths.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import detected
from campaigns.campaign_values import usual_zone
from campaigns.models import Attempt, Campaign
from dialer.abandonment import Budget, Figures, RulePack, rule_pack, strictest
from dialer.dispositions import MACHINES, NO_PERSON
from dialer.errors import NotFound
from dialer.rate_windows import WindowRule

# What was answered lately may still count as something else: a transaction that began before now may add what we
# cannot see yet, and an agent says in the wrap-up, or soon after, that it was a machine.
UNSETTLED = timedelta(minutes=15)
# Later words, and changes of what a word means, count when all is counted anew. What fell out of a window meanwhile
# fell out as what it had become, so the sum may be wrong by as much as was said in between, and for no longer.
COUNTED_ANEW = timedelta(hours=1)
MOST_KEPT = 100

_WORDS = "SELECT id FROM dispositions WHERE campaign_id = ANY(CAST(:campaigns AS bigint[])) AND meaning = ANY(:{})"
# Agentless calls promise nobody an agent: they are in neither figure.
# A message now playing is spent already. `stray`: somebody answered a call that had been closed as something else.
_COUNT = text(
    """
    SELECT f.abandoned, f.met, f.machines, f.hung_up, f.detected
    FROM unnest(CAST(:campaigns AS bigint[]), CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[]))
         WITH ORDINALITY AS w(campaign_id, since, until, n)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE (state IN ('abandoned', 'message') OR late AND NOT machine OR stray)
                                AND NOT detected) AS abandoned,
               count(*) FILTER (WHERE joined_at IS NOT NULL AND NOT late AND NOT no_person) AS met,
               count(*) FILTER (WHERE joined_at IS NOT NULL AND machine) AS machines,
               count(*) FILTER (WHERE state = 'hung_up') AS hung_up, count(*) FILTER (WHERE detected) AS detected
        FROM (
            SELECT state, joined_at, {detected} AS detected,
                   disposition_id IS NOT NULL AND disposition_id = ANY(ARRAY({machines})) AS machine,
                   disposition_id IS NOT NULL AND disposition_id = ANY(ARRAY({no_person})) AS no_person,
                   coalesce(extract(epoch FROM joined_at - answered_at) > answer_limit, false) AS late,
                   ended_at IS NOT NULL AND joined_at IS NULL AND state <> 'hung_up' AS stray
            FROM attempts
            WHERE campaign_id = w.campaign_id AND answered_at >= w.since
              AND answered_at < coalesce(w.until, 'infinity') AND mode <> 'agentless'
            UNION ALL  -- found abandoned by the PBX's report alone: nobody told us when it was answered
            SELECT state, joined_at, false, false, false, false, false FROM attempts
            WHERE campaign_id = w.campaign_id AND answered_at IS NULL AND state = 'abandoned'
              AND ended_at >= w.since AND ended_at < coalesce(w.until, 'infinity')
              AND mode <> 'agentless'
            UNION ALL  -- ended by a machine detector, and nobody told us of the answer
            SELECT state, NULL, true, false, false, false, false FROM attempts
            WHERE campaign_id = w.campaign_id AND answered_at IS NULL AND leg_outcome = 'machine'
              AND ended_at >= w.since AND ended_at < coalesce(w.until, 'infinity')
              AND mode <> 'agentless'
        ) AS answered
    ) AS f
    ORDER BY w.n
    """.format(detected=detected.IS, machines=_WORDS.format("machines"), no_person=_WORDS.format("no_person"))  # noqa: S608 (text of our own)
)


@dataclass(frozen=True, slots=True)
class Span:
    """A campaign's answered calls in [since, until); None: to this moment."""

    campaign_id: int
    since: datetime
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spent:
    """One window in force, and what it has left."""

    budget: Budget
    since: datetime


@dataclass(slots=True)
class Settled:
    """The part of each window that changes no more, kept so that a month is not counted anew every second.

    A call that is closed keeps what it counts as until somebody has another word for it, so all that was answered
    before the oldest open call was ordered is settled, for an hour. Not a counter that anybody bumps: rows counted,
    each once, by whoever keeps this; gone with them, and counted again by the next.
    """

    kept: dict[tuple[int, WindowRule], tuple[Span, Figures, datetime]] = field(default_factory=dict)  # and since when


def count(session: Session, spans: Collection[Span]) -> list[Figures]:
    """Count several spans in one statement, each by the index of answered calls."""
    if not spans:
        return []
    values = {
        "campaigns": [span.campaign_id for span in spans],
        "since": [span.since for span in spans],
        "until": [span.until for span in spans],
        "machines": list(MACHINES),
        "no_person": list(NO_PERSON),
    }
    rows = session.execute(_COUNT, values)
    return [Figures(row.abandoned, row.met, row.machines, row.hung_up, row.detected) for row in rows]


@dataclass(frozen=True, slots=True)
class Asked:
    """A campaign whose windows are to be counted.

    `sharing`: campaigns whose agents it shares; what they spend together counts against the same ceilings, because
    the agents one of them keeps busy are missing in the other.
    """

    campaign: Campaign
    sharing: Collection[int] = ()
    settled: Settled | None = None


def in_force(
    session: Session,
    campaign: Campaign,
    now: datetime,
    *,
    sharing: Collection[int] = (),
    settled: Settled | None = None,
) -> Spent:
    """Return the window that leaves the campaign least. NotFound for a rule pack this release does not know."""
    (spent,) = all_in_force(session, [Asked(campaign, sharing, settled)], now)
    return spent


def all_in_force(session: Session, asked: Sequence[Asked], now: datetime) -> list[Spent]:
    """Return the same of many campaigns, in turn, counted in as few questions as of one."""
    mistakes = {one.campaign.id: one.campaign.people_among_machines for one in asked}
    opened = _opened(session, asked, now, mistakes)
    figures = {
        key: counted.with_mistakes(mistakes[key[2].campaign_id])
        for key, counted in _counted(session, opened, now).items()
    }
    return [_strictest(one.campaign, windows, figures) for one, windows in opened]


# The windows of one campaign's pack, each with its spans: of the campaign and of those it shares agents with.
_Windows = Sequence[tuple[WindowRule, list[Span]]]


def _strictest(campaign: Campaign, windows: _Windows, figures: Mapping[tuple[int, WindowRule, Span], Figures]) -> Spent:
    pack = rule_pack(campaign.rule_pack)
    spent: list[Spent] = []
    for rule, spans in windows:
        own = next(span for span in spans if span.campaign_id == campaign.id)
        spent.append(Spent(pack.budget(rule, figures[campaign.id, rule, own], campaign.max_abandonment), own.since))
        if len(spans) > 1:
            together = sum((figures[campaign.id, rule, span] for span in spans), Figures())
            budget = pack.budget(rule, together, campaign.max_abandonment, ", shared")
            spent.append(Spent(budget, min(span.since for span in spans)))
    least = strictest(one.budget for one in spent)
    return next(one for one in spent if one.budget is least)


def shown(session: Session, campaign: Campaign, now: datetime) -> Spent:
    """Return the window the pacer keeps to now, for people to see."""
    try:
        return in_force(session, campaign, now, sharing=shares_with(session, campaign.id))
    except NotFound:  # a pack of a newer release: its campaign is shown all the same, and dialled by nobody
        since = now - timedelta(hours=24)
        (counted,) = count(session, [Span(campaign.id, since)])
        counted = counted.with_mistakes(campaign.people_among_machines)
        spent = Budget(counted.abandoned, counted.met, campaign.max_abandonment, mistaken=counted.mistaken)
        return Spent(spent, since)


# As the pacer's view finds them: running campaigns with agents at work in common.
_SHARES_WITH = text(
    """
    SELECT DISTINCT b.id FROM campaign_agents m
    JOIN agents a ON a.id = m.agent_id AND a.state NOT IN ('out', 'paused')
    JOIN campaign_agents o ON o.agent_id = m.agent_id AND o.campaign_id <> m.campaign_id
    JOIN campaigns b ON b.id = o.campaign_id AND b.state = 'running' AND b.mode <> 'agentless'
    WHERE m.campaign_id = :campaign_id ORDER BY b.id
    """
)


def shares_with(session: Session, campaign_id: int) -> list[int]:
    """Return the running campaigns that share agents at work with this one."""
    return list(session.scalars(_SHARES_WITH, {"campaign_id": campaign_id}))


def _opened(
    session: Session, asked: Sequence[Asked], now: datetime, mistakes: dict[int, float]
) -> list[tuple[Asked, _Windows]]:
    """When each window of each campaign's pack opened, for the campaign and for those it shares agents with.

    `mistakes`: of each campaign, how many of a detector's machines are people; completed by those of the others.
    """
    packs = [rule_pack(one.campaign.rule_pack) for one in asked]
    zones = {one.campaign.id: usual_zone(one.campaign.country, one.campaign.time_zone) for one in asked}
    others = {other for one in asked for other in one.sharing} - {*zones}
    if others:
        columns = (Campaign.id, Campaign.country, Campaign.time_zone, Campaign.people_among_machines)
        for row in session.execute(select(*columns).where(Campaign.id.in_(others))):
            zones[row.id] = usual_zone(row.country, row.time_zone)
            mistakes[row.id] = row.people_among_machines
    first_calls = _first_calls(session, [*zones])

    def windows(one: Asked, pack: RulePack) -> _Windows:
        these = sorted({one.campaign.id, *one.sharing} & {*zones})
        return [
            (rule, [Span(this, rule.opens(now, first_calls.get(this), zones[this])) for this in these])
            for rule in pack.windows
        ]

    return [(one, windows(one, pack)) for one, pack in zip(asked, packs, strict=True)]


def _first_calls(session: Session, campaigns: Collection[int]) -> Mapping[int, datetime]:
    """When each campaign's first call was ordered; nothing for those that have called nobody."""
    first = (
        select(Attempt.ordered_at)
        .where(Attempt.campaign_id == Campaign.id)
        .order_by(Attempt.ordered_at)
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(select(Campaign.id, first.label("at")).where(Campaign.id.in_(campaigns)))
    return {row.id: row.at for row in rows if row.at is not None}


_OLDEST_OPEN = text(
    """
    SELECT t.campaign_id, min(t.ordered_at) AS at FROM attempts t
    WHERE t.ended_at IS NULL AND t.campaign_id = ANY(:campaigns) GROUP BY t.campaign_id
    """
)


def _counted(
    session: Session, opened: Sequence[tuple[Asked, _Windows]], now: datetime
) -> dict[tuple[int, WindowRule, Span], Figures]:
    """Count every span: what is kept of it, less what fell out, more what settled since, and the unsettled rest."""
    kept = {
        span.campaign_id for one, windows in opened if one.settled is not None for _, spans in windows for span in spans
    }
    rows = session.execute(_OLDEST_OPEN, {"campaigns": sorted(kept)}) if kept else ()
    oldest = {row.campaign_id: row.at for row in rows}
    plans = [
        (one, _Plan.of(rule, span, one.settled, now, min(now - UNSETTLED, oldest.get(span.campaign_id, now))))
        for one, windows in opened
        for rule, spans in windows
        for span in spans
    ]
    figures = iter(count(session, [part for _, plan in plans for part in (plan.gone, plan.grown, plan.rest)]))
    for one, _ in opened:
        if one.settled is not None and len(one.settled.kept) > MOST_KEPT:
            one.settled.kept.clear()  # of campaigns no longer shared with
    told: dict[tuple[int, WindowRule, Span], Figures] = {}
    for one, plan in plans:
        done = plan.figures - next(figures) + next(figures)
        told[one.campaign.id, plan.rule, plan.span] = done + next(figures)
        if one.settled is not None:
            one.settled.kept[plan.span.campaign_id, plan.rule] = (plan.settled, done, plan.anew)
    return told


@dataclass(frozen=True, slots=True)
class _Plan:
    """How one span is counted with the least reading: three stretches of rows, two of them mostly empty."""

    rule: WindowRule
    span: Span
    figures: Figures  # kept from the last time
    gone: Span  # of them, before the window that is in force now
    grown: Span  # settled since
    rest: Span  # may still change
    settled: Span  # what is kept afterwards
    anew: datetime  # when it was counted from nothing

    @classmethod
    def of(cls, rule: WindowRule, span: Span, settled: Settled | None, now: datetime, until: datetime) -> "_Plan":
        """`until`: what was answered before is settled. Without `settled` nothing is kept, and all of it counted."""
        campaign, since = span.campaign_id, span.since
        if settled is None:
            settled, until = Settled(), since
        until = max(since, until)
        nothing = Span(campaign, since, since), Figures(), now
        kept, figures, anew = settled.kept.get((campaign, rule), nothing)
        end = kept.until or kept.since
        # It opened anew, or clocks differ, or it is time.
        if not kept.since <= since <= end <= until or not anew <= now < anew + COUNTED_ANEW:
            kept, figures, anew = nothing
            end = since
        return cls(
            rule, span, figures,
            gone=Span(campaign, kept.since, since), grown=Span(campaign, end, until), rest=Span(campaign, until),
            settled=Span(campaign, since, until), anew=anew,
        )  # fmt: skip
