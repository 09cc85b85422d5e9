"""Every attempt of the period, one row each."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.report_shape import Column, Period, Report

_QUERY = text(
    """
    SELECT a.ordered_at, c.name AS campaign, k.id AS contact, a.number,
           concat_ws(' ', nullif(k.first_name, ''), nullif(k.last_name, ''), nullif(k.company, '')) AS who,
           a.attempt_no, CASE WHEN a.ended_at IS NULL THEN a.state || ' now' ELSE a.state END AS outcome,
           CAST(extract(epoch FROM coalesce(a.answered_at, a.left_at, a.over_at, a.ended_at) - a.ringing_at) AS float)
               AS ringing,
           CAST(extract(epoch FROM a.joined_at - a.answered_at) AS float) AS waited,
           CAST(extract(epoch FROM coalesce(a.left_at, a.over_at, a.ended_at, :now) - a.joined_at) AS float) AS talk,
           d.code AS disposition, g.name AS agent, a.gateway, a.ref, nullif(a.trouble, '') AS trouble,
           nullif(a.note, '') AS note, nullif(CAST(a.answers AS text), '{}') AS answers
    FROM attempts a
    JOIN campaigns c ON c.id = a.campaign_id
    JOIN contacts k ON k.id = a.contact_id
    LEFT JOIN agents g ON g.id = a.agent_id
    LEFT JOIN dispositions d ON d.id = a.disposition_id
    WHERE a.ordered_at >= :start AND a.ordered_at < :end
      AND (CAST(:campaign_id AS bigint) IS NULL OR a.campaign_id = :campaign_id)
    ORDER BY a.ordered_at, a.id
    """
)
_COLUMNS = (
    Column("ordered_at", "When", "moment"),
    Column("campaign", "Campaign"),
    Column("contact", "Contact", aside=True),
    Column("number", "Number"),
    Column("who", "Who"),
    Column("attempt_no", "Try", "count"),
    Column("outcome", "Outcome"),
    Column("ringing", "Rang", "seconds"),
    Column("waited", "Waited", "seconds"),
    Column("talk", "Talked", "seconds"),
    Column("disposition", "Said"),
    Column("agent", "Agent"),
    Column("gateway", "Gateway", aside=True),
    Column("ref", "Reference", aside=True),
    Column("trouble", "Trouble"),
    Column("note", "Note", aside=True),
    Column("answers", "Answers", aside=True),
)


def attempts(session: Session, period: Period) -> Report:
    """List the attempts ordered in the period, oldest first."""
    rows = [dict(row) for row in session.execute(_QUERY, period.values()).mappings()]
    return Report("attempts", period, _COLUMNS, rows)
