"""Attempts by how they ended."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.report_shape import Column, Period, Report

# Attempts of the period by the moment they were ordered; what is still going on is `in progress`.
_QUERY = text(
    """
    SELECT CASE WHEN ended_at IS NULL THEN 'in progress' ELSE state END AS outcome,
           count(*) AS attempts,
           count(*)::float / sum(count(*)) OVER () AS share,
           count(DISTINCT contact_id) AS contacts,
           CAST(avg(extract(epoch FROM coalesce(answered_at, left_at, over_at, ended_at) - ringing_at)) AS float)
               AS ringing,
           CAST(sum(extract(epoch FROM coalesce(left_at, over_at, ended_at, :now) - joined_at)) AS float) AS talk
    FROM attempts
    WHERE ordered_at >= :start AND ordered_at < :end
      AND (CAST(:campaign_id AS bigint) IS NULL OR campaign_id = :campaign_id)
    GROUP BY 1
    ORDER BY 2 DESC, 1
    """
)
_COLUMNS = (
    Column("outcome", "Outcome"),
    Column("attempts", "Attempts", "count"),
    Column("share", "Share", "share"),
    Column("contacts", "Contacts", "count"),
    Column("ringing", "Rang (mean)", "seconds"),
    Column("talk", "Talked", "seconds"),
)


def outcomes(session: Session, period: Period) -> Report:
    """Count the attempts ordered in the period by outcome."""
    rows = [dict(row) for row in session.execute(_QUERY, period.values()).mappings()]
    total = {
        "outcome": "total",
        "attempts": sum(row["attempts"] for row in rows),
        "share": 1.0 if rows else None,
        "talk": sum(row["talk"] or 0.0 for row in rows),
    }
    return Report("outcomes", period, _COLUMNS, rows, total)
