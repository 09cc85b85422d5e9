"""When a campaign's people answer, learnt anew from its attempts every few minutes and kept for the gate to read.

What is kept is no count: it is reckoned from rows, and whoever doubts it reckons it again (`dialer report best-times`).
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import Row, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import detected
from campaigns.campaign_values import usual_time_zone
from campaigns.models import Campaign, LearntTimes
from dialer.best_times import BestTimes, Seen, Who, hour_of_week, kind_of, weight, zone_of
from dialer.calls import CallState

LEARN_EVERY = timedelta(minutes=10)
REACH = timedelta(days=90)
_MOST = 30_000  # the newest calls that are read

# Calls that say whether somebody answers: those that rang to their end, and were not given up by us.
_TOLD = (
    CallState.COMPLETED, CallState.ABANDONED, CallState.HUNG_UP, CallState.PLAYED, CallState.NO_ANSWER, CallState.BUSY,
    CallState.REJECTED,
)  # fmt: skip
_CALLS = text(f"""
    SELECT number, answer_group, ordered_at,
           (answered_at IS NOT NULL AND NOT {detected.IS}
            OR state IN ('completed', 'abandoned', 'hung_up', 'played')) AS answered
    FROM attempts
    WHERE campaign_id = :campaign AND ordered_at >= :start AND ordered_at < :end
      AND state IN ({", ".join(f"'{state}'" for state in _TOLD)}) AND given_up_at IS NULL AND answer_group <> ''
    ORDER BY ordered_at DESC LIMIT {_MOST}
""")  # noqa: S608 (text of our own)


def calls(session: Session, campaign: Campaign, start: datetime, end: datetime) -> list[Row[tuple[object, ...]]]:
    """Read the campaign's calls of a time that say whether somebody answers, the newest first."""
    return list(session.execute(_CALLS, {"campaign": campaign.id, "start": start, "end": end}))


def in_cells(rows: Iterable[Row[tuple[object, ...]]], zone: str, now: datetime | None) -> list[Seen]:
    """Put calls in cells, by the clock where each phone is. `now`: older ones weigh less; None: all alike."""
    cells: defaultdict[tuple[Who, int], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for row in rows:
        hour = hour_of_week(row.ordered_at, zone_of(row.number, zone))
        cell = cells[Who(row.answer_group, kind_of(row.number)), hour]
        weighs = 1.0 if now is None else weight(now - row.ordered_at)
        cell[0] += weighs
        cell[1] += weighs * row.answered
    return [Seen(who, hour, many, answered) for (who, hour), (many, answered) in cells.items()]


def zone_of_campaign(campaign: Campaign) -> str:
    """Return the zone of numbers that name none."""
    return usual_time_zone(campaign.country, campaign.time_zone)


def learn(session: Session, campaign: Campaign, now: datetime) -> BestTimes:
    """Learn from the campaign's calls so far."""
    rows = calls(session, campaign, now - REACH, now)
    return BestTimes.learn(in_cells(rows, zone_of_campaign(campaign), now))


def keep(session: Session, campaign_id: int, times: BestTimes, now: datetime) -> None:
    """Write down what was learnt."""
    kept = {"learnt_at": now, "learnt": times.as_json()}
    row = insert(LearntTimes).values(campaign_id=campaign_id, **kept)
    session.execute(row.on_conflict_do_update(index_elements=["campaign_id"], set_=kept))


def overdue(session: Session, now: datetime) -> list[int]:
    """Return the running campaigns that are ordered by the best time, and whose learning is old."""
    query = (
        select(Campaign.id)
        .outerjoin(LearntTimes, LearntTimes.campaign_id == Campaign.id)
        .where(
            Campaign.state == "running",
            Campaign.contact_order.contains("best-time"),
            LearntTimes.learnt_at.is_(None) | (LearntTimes.learnt_at <= now - LEARN_EVERY),
        )
    )
    return list(session.scalars(query.order_by(Campaign.id)))


def kept(session: Session, campaign_id: int) -> BestTimes:
    """Return what was learnt last; nothing known where nobody has learnt yet."""
    at = session.scalar(select(LearntTimes.learnt_at).where(LearntTimes.campaign_id == campaign_id))
    return as_of(session, campaign_id, at)


def as_of(session: Session, campaign_id: int, at: datetime | None) -> BestTimes:
    """Return what was learnt at that moment, which was the last; None: nobody has learnt yet."""
    if at is None:
        return BestTimes()
    # Read at every gate and changed every ten minutes: the same is not taken apart again.
    place = (str(session.get_bind().engine.url), campaign_id)
    known = _READ.get(place)
    if known is None or known[0] != at:
        learnt = session.scalar(select(LearntTimes.learnt).where(LearntTimes.campaign_id == campaign_id))
        if len(_READ) >= _REMEMBERED:
            _READ.clear()
        known = _READ[place] = (at, BestTimes.from_json(learnt or {}))
    return known[1]


_REMEMBERED = 64
_READ: dict[tuple[str, int], tuple[datetime, BestTimes]] = {}
