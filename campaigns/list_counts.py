"""How many contacts of a list there are and how many were tried, kept for whoever chooses: counting takes as long as
the list is, and choosing must not.

The truth is in the rows. It is counted again and again, and what was kept is corrected by the difference between the
two in one snapshot: first attempts that are ordered meanwhile have changed both alike, so nothing is lost or counted
twice, and nobody waits for the counting. Whatever changes a list without adding to its count (an import, one taken
back, a person forgotten) is seen at the next.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import case, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns.campaign_values import usual_zone
from campaigns.models import Campaign, ListCount
from dialer.rate_windows import midnight

COUNT_EVERY = timedelta(minutes=1)
# Counting may take a part of the time, and no more: a list of ten million is counted every few minutes.
MOST_OF_THE_TIME = 50

# Two counts of one list must not both correct it by the same difference.
_ONE_COUNT = text("SELECT pg_advisory_xact_lock(hashtextextended(CAST(:list AS text), 721))")
_COUNT = text("""
    SELECT k.contacts, k.tried, today.tried AS today, n.tried AS kept,
           CASE WHEN n.today_until = :day_ends THEN n.today ELSE 0 END AS kept_today,
           extract(epoch FROM clock_timestamp() - statement_timestamp()) AS took
    FROM (SELECT count(*) AS contacts, count(*) FILTER (WHERE tried > 0) AS tried
          FROM contacts WHERE list_id = :list) AS k
    CROSS JOIN (SELECT count(*) AS tried FROM attempts
                WHERE campaign_id = :campaign AND ordered_at >= :day_begins AND answer_group = :first) AS today
    LEFT JOIN list_counts n ON n.list_id = :list
""")
_WANTED = text("""
    SELECT l.id, l.campaign_id FROM lists l JOIN campaigns c ON c.id = l.campaign_id
    LEFT JOIN list_counts n ON n.list_id = l.id
    WHERE l.undone_at IS NULL AND c.state <> 'archived'
      AND (l.cap <> '' OR l.cap_today <> '' OR c.contact_order LIKE '%penetration%')
      AND (CAST(:campaign AS bigint) IS NULL OR l.campaign_id = :campaign)
      AND (n.list_id IS NULL OR :anew
           OR n.counted_at < :now - greatest(:every, make_interval(secs => n.took * :part)))
    ORDER BY n.counted_at NULLS FIRST, l.id
""")
_FORGET = text("""
    DELETE FROM list_counts n USING lists l, campaigns c
    WHERE l.id = n.list_id AND c.id = l.campaign_id
      AND (l.undone_at IS NOT NULL OR c.state = 'archived'
           OR l.cap = '' AND l.cap_today = '' AND c.contact_order NOT LIKE '%penetration%')
""")


def begin(session: Session, campaign: Campaign, list_id: int, now: datetime) -> None:
    """Let first attempts be added to a list's count from now on. The caller holds the campaign's row."""
    ends = midnight(now, usual_zone(campaign.country, campaign.time_zone), days=1)
    nothing = {"contacts": 0, "tried": 0, "today": 0, "took": 0.0, "today_until": ends, "counted_at": now}
    made = insert(ListCount).values(list_id=list_id, campaign_id=campaign.id, **nothing)
    session.execute(made.on_conflict_do_nothing(index_elements=["list_id"]))


def count(session: Session, campaign: Campaign, list_id: int, now: datetime) -> None:
    """Count a list, and bring what is kept of it in line. The caller commits soon: orders of first attempts wait for
    what is written here, and not for the counting."""
    session.execute(_ONE_COUNT, {"list": list_id})
    zone = usual_zone(campaign.country, campaign.time_zone)
    begins, ends = midnight(now, zone), midnight(now, zone, days=1)
    given = {"list": list_id, "campaign": campaign.id, "day_begins": begins, "day_ends": ends, "first": f"{list_id}/1"}
    row = session.execute(_COUNT, given).one()
    # Where nothing is kept yet the count is, and otherwise the difference is added to whatever stands there by now.
    found = {"contacts": row.contacts, "counted_at": now, "took": float(row.took)}
    made = insert(ListCount).values(
        list_id=list_id, campaign_id=campaign.id, tried=row.tried, today=row.today, today_until=ends, **found
    )
    there = ListCount.__table__.c
    same_day = there.today_until == ends
    session.execute(
        made.on_conflict_do_update(
            index_elements=["list_id"],
            set_={
                **found,
                "tried": there.tried + (row.tried - (row.kept or 0)),
                "today": case((same_day, there.today), else_=0) + (row.today - (row.kept_today or 0)),
                "today_until": ends,
            },
        )
    )


def wanted(
    session: Session, now: datetime, *, campaign_id: int | None = None, anew: bool = False
) -> Sequence[tuple[int, int]]:
    """Return (list, campaign) of the lists whose count is needed and old. `anew`: however young it is."""
    given = {"now": now, "every": COUNT_EVERY, "part": MOST_OF_THE_TIME, "campaign": campaign_id, "anew": anew}
    return [(row.id, row.campaign_id) for row in session.execute(_WANTED, given)]


def forget(session: Session) -> None:
    """Drop the counts nobody asks for any more."""
    session.execute(_FORGET)
