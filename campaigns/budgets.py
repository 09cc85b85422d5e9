"""What the laws' windows have left for a campaign: rows counted (I19), and the strictest window of all.

The pacer and the dashboard ask the same function, so they can never show two truths.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.campaign_values import usual_zone
from campaigns.models import Attempt, Campaign
from dialer.abandonment import Budget, Figures, RulePack, rule_pack, strictest
from dialer.errors import NotFound
from dialer.rate_windows import WindowRule

# What was answered longer ago than this changes no more: nobody talks, or is asked about, for so long.
SETTLED_AFTER = timedelta(hours=6)
# The settled part of a long window is counted on in steps of so much.
STEP = timedelta(hours=1)
MOST_KEPT = 100

# A message now playing is spent already. `stray`: somebody answered a call that had been closed as something else.
_COUNT = text(
    """
    SELECT f.abandoned, f.met, f.hung_up
    FROM unnest(CAST(:campaigns AS bigint[]), CAST(:since AS timestamptz[]), CAST(:until AS timestamptz[]))
         WITH ORDINALITY AS w(campaign_id, since, until, n)
    CROSS JOIN LATERAL (
        SELECT count(*) FILTER (WHERE state IN ('abandoned', 'message') OR late OR stray) AS abandoned,
               count(*) FILTER (WHERE joined_at IS NOT NULL AND NOT late) AS met,
               count(*) FILTER (WHERE state = 'hung_up') AS hung_up
        FROM (
            SELECT state, joined_at,
                   coalesce(extract(epoch FROM joined_at - answered_at) > answer_limit, false) AS late,
                   ended_at IS NOT NULL AND joined_at IS NULL AND state <> 'hung_up' AS stray
            FROM attempts
            WHERE campaign_id = w.campaign_id AND answered_at >= w.since
              AND (w.until IS NULL OR answered_at < w.until)
            UNION ALL  -- found abandoned by the PBX's report alone: nobody told us when it was answered
            SELECT state, joined_at, false, false FROM attempts
            WHERE campaign_id = w.campaign_id AND answered_at IS NULL AND state = 'abandoned'
              AND ended_at >= w.since AND (w.until IS NULL OR ended_at < w.until)
        ) AS answered
    ) AS f
    ORDER BY w.n
    """
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
    """The part of long windows that changes no more, kept so that a month is not counted anew every second.

    Not a counter: rows counted, each once, by whoever keeps this; gone with them, and counted again by the next.
    """

    kept: dict[tuple[int, datetime], tuple[datetime, Figures]] = field(default_factory=dict)  # window -> (until, sum)


def count(session: Session, spans: Collection[Span]) -> list[Figures]:
    """Count several spans in one statement, each by the index of answered calls."""
    if not spans:
        return []
    values = {
        "campaigns": [span.campaign_id for span in spans],
        "since": [span.since for span in spans],
        "until": [span.until for span in spans],
    }
    return [Figures(row.abandoned, row.met, 0, row.hung_up) for row in session.execute(_COUNT, values)]


def in_force(
    session: Session,
    campaign: Campaign,
    now: datetime,
    *,
    sharing: Collection[int] = (),
    settled: Settled | None = None,
) -> Spent:
    """Return the window that leaves the campaign least.

    `sharing`: campaigns whose agents it shares; what they spend together counts against the same ceilings, because
    the agents one of them keeps busy are missing in the other. NotFound for a rule pack this release does not know.
    """
    pack = rule_pack(campaign.rule_pack)
    opened = _opened(session, campaign, pack, now, {campaign.id, *sharing})
    settled = Settled() if settled is None else settled
    wanted: list[tuple[WindowRule, Span]] = [(rule, span) for rule, spans in opened for span in spans]
    figures = dict(zip((span for _, span in wanted), _counted(session, wanted, settled, now), strict=True))
    spent: list[Spent] = []
    for rule, spans in opened:
        own = next(span for span in spans if span.campaign_id == campaign.id)
        spent.append(Spent(pack.budget(rule, figures[own], campaign.max_abandonment), own.since))
        if len(spans) > 1:
            together = sum((figures[span] for span in spans), Figures())
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
        return Spent(Budget(counted.abandoned, counted.met, campaign.max_abandonment), since)


# As the pacer's view finds them: running campaigns with agents at work in common.
_SHARES_WITH = text(
    """
    SELECT DISTINCT b.id FROM campaign_agents m
    JOIN agents a ON a.id = m.agent_id AND a.state NOT IN ('out', 'paused')
    JOIN campaign_agents o ON o.agent_id = m.agent_id AND o.campaign_id <> m.campaign_id
    JOIN campaigns b ON b.id = o.campaign_id AND b.state = 'running'
    WHERE m.campaign_id = :campaign_id ORDER BY b.id
    """
)


def shares_with(session: Session, campaign_id: int) -> list[int]:
    """Return the running campaigns that share agents at work with this one."""
    return list(session.scalars(_SHARES_WITH, {"campaign_id": campaign_id}))


def _opened(
    session: Session, campaign: Campaign, pack: RulePack, now: datetime, campaigns: Collection[int]
) -> list[tuple[WindowRule, list[Span]]]:
    """When each window of the pack opened, for the campaign and for those it shares agents with."""
    first_calls = _first_calls(session, campaigns)
    others = set(campaigns) - {campaign.id}
    zones = {campaign.id: usual_zone(campaign.country, campaign.time_zone)}
    if others:
        query = select(Campaign.id, Campaign.country, Campaign.time_zone).where(Campaign.id.in_(others))
        zones |= {row.id: usual_zone(row.country, row.time_zone) for row in session.execute(query)}
    return [
        (rule, [Span(one, rule.opens(now, first_calls.get(one), zone)) for one, zone in sorted(zones.items(), key=_id)])
        for rule in pack.windows
    ]


def _id(item: tuple[int, object]) -> int:
    return item[0]


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


def _counted(
    session: Session, wanted: Collection[tuple[WindowRule, Span]], settled: Settled, now: datetime
) -> list[Figures]:
    """Count every span; of a long one that opened at a fixed moment, only what is not settled yet."""
    before: list[Figures] = []
    tails: list[Span] = []
    for rule, span in wanted:
        if rule.kind not in ("blocks", "campaign"):
            before.append(Figures())
            tails.append(span)
            continue
        until, figures = settled.kept.get((span.campaign_id, span.since), (span.since, Figures()))
        if now - until > SETTLED_AFTER + STEP:
            grown = now - SETTLED_AFTER
            figures += count(session, [Span(span.campaign_id, until, grown)])[0]
            until = grown
            if len(settled.kept) > MOST_KEPT:
                settled.kept.clear()  # of blocks long over: counted again where it is still wanted
            settled.kept[span.campaign_id, span.since] = (until, figures)
        before.append(figures)
        tails.append(Span(span.campaign_id, until))
    return [done + tail for done, tail in zip(before, count(session, tails), strict=True)]
