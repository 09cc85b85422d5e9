"""Each agent's time, from the ledger of their states, and their conversations."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import pbx_figures
from campaigns.report_shape import Column, Period, Report

# Every change of an agent's state is a ledger row that says what it was before and for how long. What lies over
# the edge of the period is cut there; the state an agent is in now lasts until now. States with no campaign of
# their own (ready, paused) count for each campaign the agent works for.
_QUERY = text(
    """
    WITH mine AS (
        SELECT id, pbx, user_id, name, state, since, campaign_id FROM agents a
        WHERE CAST(:campaign_id AS bigint) IS NULL
           OR EXISTS (SELECT 1 FROM campaign_agents ca WHERE ca.agent_id = a.id AND ca.campaign_id = :campaign_id)
           OR EXISTS (SELECT 1 FROM assignments s JOIN attempts t ON t.id = s.attempt_id
                      WHERE s.agent_id = a.id AND t.campaign_id = :campaign_id)),
    told AS (
        SELECT l.agent_id, l.details->>'from' AS state, l.campaign_id, l.at AS until,
               l.at - make_interval(secs => CAST(l.details->>'seconds' AS float)) AS since
        FROM ledger l WHERE l.kind = 'agent' AND l.at >= :start
        UNION ALL SELECT id, state, campaign_id, CAST(:now AS timestamptz), since FROM mine),
    spans AS (
        SELECT agent_id, state, extract(epoch FROM least(until, :end) - greatest(since, :start)) AS seconds
        FROM told
        WHERE since < :end AND until > :start
          AND (CAST(:campaign_id AS bigint) IS NULL OR campaign_id IS NULL OR campaign_id = :campaign_id)),
    times AS (
        SELECT agent_id,
               CAST(sum(seconds) FILTER (WHERE state <> 'out') AS float) AS at_work,
               CAST(sum(seconds) FILTER (WHERE state IN ('ready','parking','parked','assigned')) AS float) AS waiting,
               CAST(sum(seconds) FILTER (WHERE state = 'talking') AS float) AS talking,
               CAST(sum(seconds) FILTER (WHERE state = 'wrap_up') AS float) AS wrap_up,
               CAST(sum(seconds) FILTER (WHERE state = 'paused') AS float) AS paused
        FROM spans GROUP BY agent_id),
    talks AS (
        SELECT agent_id, count(*) AS conversations,
               CAST(avg(extract(epoch FROM coalesce(left_at, over_at, ended_at, :now) - joined_at)) AS float)
                   AS mean_talk
        FROM attempts
        WHERE joined_at >= :start AND joined_at < :end
          AND (CAST(:campaign_id AS bigint) IS NULL OR campaign_id = :campaign_id)
        GROUP BY agent_id)
    SELECT m.name, m.user_id, m.pbx, coalesce(k.conversations, 0) AS conversations, k.mean_talk,
           coalesce(t.at_work, 0) AS at_work, coalesce(t.waiting, 0) AS waiting, coalesce(t.talking, 0) AS talking,
           coalesce(t.wrap_up, 0) AS wrap_up, coalesce(t.paused, 0) AS paused
    FROM mine m LEFT JOIN times t ON t.agent_id = m.id LEFT JOIN talks k ON k.agent_id = m.id
    WHERE t.at_work > 0 OR k.conversations > 0
    ORDER BY m.name, m.pbx, m.user_id
    """
)
_COLUMNS = (
    Column("name", "Agent"),
    Column("user_id", "User"),
    Column("pbx", "PBX", aside=True),
    Column("conversations", "Calls", "count"),
    Column("mean_talk", "Mean talk", "seconds"),
    Column("at_work", "At work", "seconds"),
    Column("talking", "Talk", "seconds"),
    Column("wrap_up", "Wrap-up", "seconds"),
    Column("waiting", "Waiting", "seconds"),
    Column("paused", "Paused", "seconds"),
    Column("occupancy", "Occupancy", "share"),
)
_SUMMED = ("conversations", "at_work", "talking", "wrap_up", "waiting", "paused")


def agents(session: Session, period: Period) -> Report:
    """Add up each agent's time. Occupancy is talk and wrap-up out of the time at work."""
    rows = [dict(row) for row in session.execute(_QUERY, period.values()).mappings()]
    total: dict[str, Any] = {"name": "total"}
    for key in _SUMMED:
        total[key] = sum(row[key] for row in rows)
    if (conversations := sum(row["conversations"] for row in rows)) > 0:
        talked = sum((row["mean_talk"] or 0.0) * row["conversations"] for row in rows)
        total["mean_talk"] = talked / conversations
    for row in [*rows, total]:
        at_work = float(row["at_work"])
        row["occupancy"] = (row["talking"] + row["wrap_up"]) / at_work if at_work else None
    beside = pbx_figures.of_agents(session, period)
    for row in rows:
        row.update(beside.rows.get((row["pbx"], row["user_id"]), {}))
    for key in pbx_figures.AGENT_KEYS if beside.rows else ():
        total[f"pbx_{key}"] = sum(row.get(f"pbx_{key}") or 0 for row in rows)
    return Report("agents", period, (*_COLUMNS, *beside.columns), rows, total, beside.notes)
