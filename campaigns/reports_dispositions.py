"""Conversations by what the agents said came of them."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.report_shape import Column, Period, Report

# Calls of the period in which an agent met somebody, by the moment they were ordered. Who said nothing is told too.
_QUERY = text(
    """
    SELECT c.name AS campaign, coalesce(d.code, '-') AS code, coalesce(d.label, 'nothing said') AS label,
           coalesce(d.meaning, '-') AS meaning, count(*) AS calls,
           count(*)::float / sum(count(*)) OVER () AS share,
           count(DISTINCT a.contact_id) AS contacts, count(DISTINCT a.agent_id) AS agents,
           CAST(avg(extract(epoch FROM coalesce(a.left_at, a.over_at, a.ended_at, :now) - a.joined_at)) AS float)
               AS talk
    FROM attempts a
    JOIN campaigns c ON c.id = a.campaign_id
    LEFT JOIN dispositions d ON d.id = a.disposition_id
    WHERE a.ordered_at >= :start AND a.ordered_at < :end AND a.joined_at IS NOT NULL
      AND (CAST(:campaign_id AS bigint) IS NULL OR a.campaign_id = :campaign_id)
    GROUP BY c.id, c.name, d.id, d.code, d.label, d.meaning
    ORDER BY calls DESC, campaign, d.id NULLS LAST
    """
)
_COLUMNS = (
    Column("campaign", "Campaign"),
    Column("code", "Code"),
    Column("label", "Said"),
    Column("meaning", "Meaning"),
    Column("calls", "Calls", "count"),
    Column("share", "Share", "share"),
    Column("contacts", "Contacts", "count"),
    Column("agents", "Agents", "count"),
    Column("talk", "Talked (mean)", "seconds"),
)


def dispositions(session: Session, period: Period) -> Report:
    """Count the conversations of the period by what was said of them."""
    rows = [dict(row) for row in session.execute(_QUERY, period.values()).mappings()]
    total = {
        "campaign": "total",
        "code": "total",
        "calls": sum(row["calls"] for row in rows),
        "share": 1.0 if rows else None,
    }
    return Report("dispositions", period, _COLUMNS, rows, total)
