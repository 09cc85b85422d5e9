"""Call detail records as a regulator asks for them: who called whom, when, how long, what came of it, by what right.

The fields of 16 CFR 310.5(a)(2): calling and called number, date, time, duration and disposition of each call, who
placed it, for which campaign, and whether a recorded message was played; and when the do-not-call list was asked and
what consent the call relied on, from the proof its row has kept since.
"""

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.report_shape import Column, Period, Report

_QUERY = text(
    """
    SELECT a.sent_at AS called_at, c.name AS campaign, a.caller_id, a.number,
           a.answered_at, coalesce(a.left_at, a.over_at, a.ended_at) AS ended_at,
           CAST(extract(epoch FROM coalesce(a.left_at, a.over_at, a.ended_at, :now) - a.sent_at) AS float) AS duration,
           CAST(extract(epoch FROM coalesce(a.left_at, a.over_at, a.ended_at, :now) - a.answered_at) AS float)
               AS connected,
           CASE WHEN a.ended_at IS NULL THEN a.state || ' now' ELSE a.state END AS disposition,
           CASE WHEN a.message_at IS NOT NULL THEN 'recorded' WHEN a.joined_at IS NOT NULL THEN 'agent' ELSE '' END
               AS heard,
           a.mode, g.name AS agent, a.rule_pack,
           CASE WHEN EXISTS (SELECT FROM jsonb_array_elements(a.proof->'rules') r
                             WHERE r->>'rule' = 'do_not_call' AND (r->>'allowed')::boolean)
                THEN CAST(a.proof->>'at' AS timestamptz) END AS do_not_call_asked_at,
           (SELECT concat_ws(', ', coalesce(nullif(r->'against'->>'source', ''), 'given'), r->'against'->>'at')
            FROM jsonb_array_elements(a.proof->'rules') r WHERE r->>'rule' = 'consent' LIMIT 1) AS consent,
           a.ref
    FROM attempts a
    JOIN campaigns c ON c.id = a.campaign_id
    LEFT JOIN agents g ON g.id = a.agent_id
    WHERE a.ordered_at >= :start AND a.ordered_at < :end AND a.sent_at IS NOT NULL
      AND (CAST(:campaign_id AS bigint) IS NULL OR a.campaign_id = :campaign_id)
    ORDER BY a.ordered_at, a.id
    """
)
_COLUMNS = (
    Column("called_at", "Called", "moment"),
    Column("campaign", "Campaign"),
    Column("caller_id", "From"),
    Column("number", "To"),
    Column("answered_at", "Answered", "moment", aside=True),
    Column("ended_at", "Ended", "moment", aside=True),
    Column("duration", "Duration", "seconds"),
    Column("connected", "Connected", "seconds"),
    Column("disposition", "Disposition"),
    Column("heard", "Heard"),
    Column("mode", "Mode", aside=True),
    Column("agent", "Agent"),
    Column("rule_pack", "Rule pack", aside=True),
    Column("do_not_call_asked_at", "Do-not-call asked", "moment", aside=True),
    Column("consent", "Consent"),
    Column("ref", "Reference", aside=True),
)


def records(session: Session, period: Period) -> Report:
    """List the calls sent in the period, oldest first; what was never sent is no call."""
    rows = [dict(row) for row in session.execute(_QUERY, period.values()).mappings()]
    return Report("records", period, _COLUMNS, rows)
