"""What a campaign has done so far: figures over a window, counted from rows each time (I19).

These are the dear half of the live state; `TallyCache` counts them again as often as a tenth of the time allows,
so a campaign of a million contacts is shown a little late and not at the price of its calls.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import budgets
from campaigns.models import Campaign
from dialer.dispositions import NO_PERSON

_SHARE = 10.0  # one part counting, nine parts rest


@dataclass(frozen=True, slots=True)
class Window:
    """The stretch of time a figure is about."""

    name: str  # for people: "today", "last 24 h"
    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Milliseconds from a customer's answer to the order that joins an agent."""

    p50: float | None
    p95: float | None
    p99: float | None
    calls: int


@dataclass(frozen=True, slots=True)
class Today:
    """The campaign's day so far, in its own time zone."""

    window: Window
    attempts: int
    answered: int
    met: int  # people an agent talked to
    abandoned: int
    hung_up: int
    outcomes: dict[str, int]  # final states of the attempts ordered today, most frequent first
    talk_seconds: float
    occupancy: float | None  # talk and wrap-up out of agents' time not paused; None when there was none
    join_ms: Percentiles


@dataclass(frozen=True, slots=True)
class Abandonment:
    """The rate the law looks at, and what the ceiling leaves."""

    window: Window
    ceiling: float
    abandoned: int
    met: int
    rate: float
    over: bool
    calls_left: int | None  # that may still be abandoned; None: any number
    to_meet: int  # people to be met before another call may be abandoned
    mistaken: int = 0  # of the abandoned: people a machine detector hung up on, by the campaign's sample


@dataclass(frozen=True, slots=True)
class Contacts:
    """Who is left."""

    open: int  # may still be called
    due: int  # of them, may be called now as far as retries go
    live: int  # being called
    closed: int
    next_at: datetime | None  # when the next of those not due yet is


@dataclass(frozen=True, slots=True)
class Tally:
    """Everything counted about one campaign, at one moment."""

    at: datetime
    today: Today
    abandonment: Abandonment
    contacts: Contacts


class TallyCache:
    """Counts a campaign again once nine times the time the last count took has gone by, at most once a second."""

    def __init__(self, *, least: float = 0.9, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._least, self._monotonic = least, monotonic
        self._kept: dict[int, tuple[float, Tally]] = {}  # campaign -> (good until, tally)

    def get(self, session: Session, campaign: Campaign, now: datetime) -> Tally:
        """Return a tally of the campaign that is fresh enough."""
        began = self._monotonic()
        good_until, kept = self._kept.get(campaign.id, (0.0, None))
        if kept is not None and began < good_until:
            return kept
        counted = tally(session, campaign, now)
        ended = self._monotonic()
        self._kept[campaign.id] = (ended + max(self._least, (ended - began) * (_SHARE - 1)), counted)
        return counted


def tally(session: Session, campaign: Campaign, now: datetime) -> Tally:
    """Count everything about one campaign, as of `now`."""
    midnight = local_midnight(campaign.time_zone, now)
    return Tally(
        at=now,
        today=_today(session, campaign, Window("today", midnight, now)),
        abandonment=_abandonment(session, campaign, now),
        contacts=_contacts(session, campaign.id, now),
    )


def local_midnight(time_zone: str | None, now: datetime) -> datetime:
    """When the day began where the campaign calls; in UTC when it names no zone we know."""
    try:
        zone = ZoneInfo(time_zone) if time_zone else UTC
    except (ZoneInfoNotFoundError, ValueError):
        zone = UTC
    midnight = now.astimezone(zone).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC)


_DAY = text(
    """
    SELECT count(*) AS attempts,
           count(answered_at) AS answered,
           count(joined_at) FILTER (WHERE disposition_id IS NULL OR disposition_id <> ALL(ARRAY(
               SELECT id FROM dispositions WHERE campaign_id = :campaign AND meaning = ANY(:no_person)))) AS met,
           count(*) FILTER (WHERE state = 'abandoned') AS abandoned,
           count(*) FILTER (WHERE state = 'hung_up') AS hung_up,
           coalesce(sum(extract(epoch FROM coalesce(left_at, over_at, ended_at, :now) - joined_at))
                    FILTER (WHERE joined_at IS NOT NULL), 0) AS talk,
           count(join_sent_at) FILTER (WHERE answered_at IS NOT NULL) AS joins,
           percentile_disc(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (
               ORDER BY extract(epoch FROM join_sent_at - answered_at) * 1000) AS waits
    FROM attempts WHERE campaign_id = :campaign AND ordered_at >= :since AND ordered_at <= :now
    """
)
_OUTCOMES = text(
    """
    SELECT state, count(*) AS attempts FROM attempts
    WHERE campaign_id = :campaign AND ordered_at >= :since AND ordered_at <= :now AND ended_at IS NOT NULL
    GROUP BY state ORDER BY count(*) DESC, state
    """
)


def _today(session: Session, campaign: Campaign, window: Window) -> Today:
    values = {"campaign": campaign.id, "since": window.since, "now": window.until}
    row = session.execute(_DAY, {**values, "no_person": list(NO_PERSON)}).one()
    waits: Sequence[float | None] = row.waits or (None, None, None)
    p50, p95, p99 = (None if wait is None else round(float(wait), 1) for wait in waits)
    return Today(
        window=window,
        attempts=row.attempts,
        answered=row.answered,
        met=row.met,
        abandoned=row.abandoned,
        hung_up=row.hung_up,
        outcomes={row.state: row.attempts for row in session.execute(_OUTCOMES, values)},
        talk_seconds=round(float(row.talk), 1),
        occupancy=_occupancy(session, campaign.id, window),
        join_ms=Percentiles(p50, p95, p99, row.joins),
    )


# As the report of agents counts: a ledger row ends each state and says how long it was; the state of now lasts
# until now; states with no campaign of their own count for each campaign the agent works for.
_AGENT_TIME = text(
    """
    WITH mine AS (
        SELECT a.id, a.state, a.since, a.campaign_id FROM agents a JOIN campaign_agents c ON c.agent_id = a.id
        WHERE c.campaign_id = :campaign
    ), told AS (
        SELECT l.details ->> 'from' AS state, l.at AS until, l.campaign_id,
               l.at - make_interval(secs => CAST(l.details ->> 'seconds' AS float)) AS since
        FROM ledger l
        WHERE l.kind = 'agent' AND l.at >= :since AND l.at <= :now AND l.agent_id IN (SELECT id FROM mine)
        UNION ALL SELECT state, :now, campaign_id, since FROM mine
    ), spans AS (
        SELECT state, greatest(0, extract(epoch FROM until - greatest(since, :since))) AS seconds FROM told
        WHERE campaign_id IS NULL OR campaign_id = :campaign
    )
    SELECT CAST(coalesce(sum(seconds) FILTER (WHERE state IN ('assigned', 'talking')), 0) AS float) AS talking,
           CAST(coalesce(sum(seconds) FILTER (WHERE state = 'wrap_up'), 0) AS float) AS wrap_up,
           CAST(coalesce(sum(seconds) FILTER (WHERE state IN ('ready', 'parking', 'parked')), 0) AS float) AS waiting
    FROM spans
    """
)


def _occupancy(session: Session, campaign_id: int, window: Window) -> float | None:
    values = {"campaign": campaign_id, "since": window.since, "now": window.until}
    row = session.execute(_AGENT_TIME, values).one()
    busy = row.talking + row.wrap_up
    return round(busy / (busy + row.waiting), 4) if busy + row.waiting > 0 else None


def _abandonment(session: Session, campaign: Campaign, now: datetime) -> Abandonment:
    """The window the pacer keeps to, from the same count."""
    spent = budgets.shown(session, campaign, now)
    budget = spent.budget
    name = f"last {budget.window}" if budget.window[0].isdigit() else budget.window
    return Abandonment(
        window=Window(name, spent.since, now),
        ceiling=budget.ceiling,
        abandoned=budget.abandoned,
        met=budget.met,
        rate=round(budget.rate, 6),
        over=budget.over,
        calls_left=budget.left,
        to_meet=budget.to_meet,
        mistaken=budget.mistaken,
    )


_CONTACTS = text(
    """
    SELECT count(*) FILTER (WHERE state = 'open') AS open,
           count(*) FILTER (WHERE state = 'open' AND next_at <= :now) AS due,
           count(*) FILTER (WHERE state = 'live') AS live,
           count(*) FILTER (WHERE state = 'closed') AS closed,
           min(next_at) FILTER (WHERE state = 'open' AND next_at > :now) AS next_at
    FROM contacts
    WHERE campaign_id = :campaign
      AND list_id NOT IN (SELECT id FROM lists WHERE campaign_id = :campaign AND undone_at IS NOT NULL)
    """
)


def _contacts(session: Session, campaign_id: int, now: datetime) -> Contacts:
    row = session.execute(_CONTACTS, {"campaign": campaign_id, "now": now}).one()
    return Contacts(row.open, row.due, row.live, row.closed, row.next_at)


@dataclass(frozen=True, slots=True)
class Moment:
    """How many calls were in each state at one moment: one point of the chart."""

    at: datetime
    ringing: int
    waiting: int
    talking: int


_MOMENTS = text(
    """
    WITH calls AS (
        SELECT ringing_at, answered_at, joined_at, coalesce(left_at, over_at, ended_at) AS gone
        FROM attempts
        WHERE campaign_id = :campaign AND ordered_at >= :ordered AND (ended_at IS NULL OR ended_at >= :since)
    )
    SELECT t AS moment,
           count(*) FILTER (WHERE c.ringing_at <= t AND (c.answered_at IS NULL OR c.answered_at > t)) AS ringing,
           count(*) FILTER (WHERE c.answered_at <= t AND (c.joined_at IS NULL OR c.joined_at > t)) AS waiting,
           count(*) FILTER (WHERE c.joined_at <= t) AS talking
    FROM generate_series(CAST(:since AS timestamptz), :now, make_interval(secs => :step)) AS t
    LEFT JOIN calls c ON c.gone IS NULL OR c.gone > t
    GROUP BY t ORDER BY t
    """
)


def recent_moments(
    session: Session, campaign_id: int, now: datetime, *, length: timedelta, step: timedelta
) -> list[Moment]:
    """Return the calls of the last while, counted at each step: what the chart shows before it goes on live."""
    since = now - length
    values = {
        "campaign": campaign_id,
        "since": since,
        "ordered": since - timedelta(hours=12),  # a conversation may be that old
        "now": now,
        "step": step.total_seconds(),
    }
    return [Moment(row.moment, row.ringing, row.waiting, row.talking) for row in session.execute(_MOMENTS, values)]
