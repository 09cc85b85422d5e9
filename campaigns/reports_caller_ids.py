"""Each caller id's calls, and how many of them were answered, with the range chance leaves."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.report_shape import Column, Period, Report
from dialer.retries import NEVER_RANG
from dialer.shares import likely_range

_QUERY = text(f"""
    SELECT caller_id, count(*) AS calls, count(answered_at) AS answered, count(joined_at) AS joined,
           count(DISTINCT campaign_id) AS campaigns, min(ordered_at) AS first_at, max(ordered_at) AS last_at
    FROM attempts
    WHERE ordered_at >= :start AND ordered_at < :end AND ended_at IS NOT NULL
      AND state NOT IN ({", ".join(f"'{state}'" for state in NEVER_RANG)})
      AND (CAST(:campaign_id AS bigint) IS NULL OR campaign_id = :campaign_id)
    GROUP BY caller_id ORDER BY 2 DESC, 1
""")  # noqa: S608 (text of our own)
_COLUMNS = (
    Column("caller_id", "Caller id"),
    Column("campaigns", "Campaigns", "count", aside=True),
    Column("calls", "Calls", "count"),
    Column("answered", "Answered", "count"),
    Column("share", "Share", "share"),
    Column("least", "At least", "share"),
    Column("most", "At most", "share"),
    Column("joined", "Joined", "count"),
    Column("first_at", "First shown", "moment", aside=True),
    Column("last_at", "Last shown", "moment"),
)


def caller_ids(session: Session, period: Period) -> Report:
    """Count the period's calls that are over by the number people were shown; what never rang showed none."""
    rows = []
    for row in session.execute(_QUERY, period.values()).mappings():
        least, most = likely_range(row["answered"], row["calls"])
        rows.append({**row, "share": row["answered"] / row["calls"], "least": least, "most": most})
    calls, answered = sum(row["calls"] for row in rows), sum(row["answered"] for row in rows)
    total = {
        "caller_id": "total", "calls": calls, "answered": answered, "share": answered / calls if calls else None,
        "joined": sum(row["joined"] for row in rows),
    }  # fmt: skip
    notes = ("at least and at most: where the true share is, nineteen times in twenty",) if rows else ()
    return Report("caller-ids", period, _COLUMNS, rows, total, notes)
