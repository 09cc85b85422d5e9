"""Answered calls by day: who met an agent in time, who did not, and the rates the laws ask for."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import detected
from campaigns.report_shape import Column, Period, Report
from dialer.abandonment import Figures, rate
from dialer.dispositions import MACHINES, NO_PERSON

# By the moment of the answer; of a call whose answer we never heard, by the first moment that proves it. As
# `dialer.abandonment.figures` counts: whom an agent met only after the limit is abandoned, and a played message
# takes nobody out. A call that goes on counts as soon as it is certain where it will be.
# Agentless calls promised nobody an agent: they are in no rate, and counted apart as `played`.
# The grouping set () is the total: percentiles do not add up.
_QUERY = text(
    f"""
    WITH answered AS (
        SELECT c.name AS campaign, c.max_abandonment AS ceiling, a.state, a.joined_at, a.message_at, a.ended_at,
               a.joined_at IS NOT NULL AND coalesce(d.meaning = ANY(:machines), false) AS machine,
               a.joined_at IS NOT NULL AND coalesce(d.meaning = ANY(:no_person), false) AS no_person,
               a.mode = 'agentless' AS agentless,
               make_interval(secs => a.answer_limit) AS limit_, a.joined_at - a.answered_at AS waited,
               coalesce(a.answered_at, a.joined_at,
                        CASE WHEN a.state = 'abandoned' OR a.leg_outcome = 'machine' THEN a.ended_at END) AS at,
               {detected.IS} AS detected,
               c.people_among_machines AS share
        FROM attempts a JOIN campaigns c ON c.id = a.campaign_id LEFT JOIN dispositions d ON d.id = a.disposition_id
        WHERE a.ordered_at < :end AND (a.ended_at IS NULL OR a.ended_at >= :start)
          AND (CAST(:campaign_id AS bigint) IS NULL OR a.campaign_id = :campaign_id)),
    judged AS (
        SELECT campaign, ceiling, share, state, agentless, detected, CAST(at AT TIME ZONE :zone AS date) AS day,
               CAST(extract(epoch FROM waited) AS float) AS waited,
               joined_at IS NOT NULL AND coalesce(waited <= limit_, true) AND NOT no_person AS joined, machine,
               no_person AND NOT coalesce(waited > limit_ AND NOT machine, false) AS nobody,
               waited > limit_ AND NOT machine OR joined_at IS NULL AND NOT detected AND (
                   state IN ('abandoned', 'message')
                   OR state <> 'hung_up' AND coalesce(message_at, ended_at) IS NOT NULL) AS abandoned,
               message_at IS NOT NULL AND state <> 'hung_up' OR state = 'played' AS played
        FROM answered WHERE at >= :start AND at < :end)
    SELECT day, campaign, min(ceiling) AS ceiling, min(share) AS share,
           count(*) FILTER (WHERE NOT agentless AND NOT detected) AS answered,
           count(*) FILTER (WHERE NOT agentless AND detected) AS detected,
           count(*) FILTER (WHERE machine AND NOT agentless) AS machines,
           count(*) FILTER (WHERE NOT nobody AND NOT agentless AND NOT detected) AS people,
           count(*) FILTER (WHERE joined AND NOT agentless) AS joined,
           count(*) FILTER (WHERE abandoned AND NOT agentless) AS abandoned,
           count(*) FILTER (WHERE state = 'hung_up' AND NOT agentless) AS hung_up,
           count(*) FILTER (WHERE agentless AND played) AS played,
           percentile_cont(0.5) WITHIN GROUP (ORDER BY waited) AS waited_p50,
           percentile_cont(0.95) WITHIN GROUP (ORDER BY waited) AS waited_p95,
           max(waited) AS waited_max
    FROM judged
    GROUP BY GROUPING SETS ((day, campaign), ())
    ORDER BY day NULLS LAST, campaign
    """  # noqa: S608 (text of our own)
)
_COLUMNS = (
    Column("day", "Day", "day"),
    Column("campaign", "Campaign"),
    Column("answered", "Answered", "count"),
    Column("joined", "Joined", "count"),
    Column("abandoned", "Lost", "count"),
    Column("hung_up", "Hung up", "count"),
    Column("played", "Played", "count"),
    Column("rate", "Rate", "share"),
    Column("rate_of_answered", "Of all", "share"),
    Column("ceiling", "Limit", "share"),
    Column("waited_p50", "Wait p50", "seconds"),
    Column("waited_p95", "p95", "seconds"),
    Column("waited_max", "max", "seconds"),
    Column("machines", "Machines", "count"),
    Column("detected", "Detected", "count"),
    Column("mistaken", "By mistake", "count"),
)


def _found(session: Session, period: Period) -> list[dict[str, Any]]:
    """The rows as they were counted, the total last, with the people whom a machine detector hung up on among D."""
    given = {**period.values(), "machines": list(MACHINES), "no_person": list(NO_PERSON)}
    rows = [dict(row) for row in session.execute(_QUERY, given).mappings()]
    for row in rows:
        row["mistaken"] = Figures(detected=row["detected"]).with_mistakes(row.pop("share") or 0.0).mistaken
    rows[-1]["mistaken"] = sum(row["mistaken"] for row in rows[:-1])  # each campaign has a share of its own
    for row in rows:
        row["abandoned"] += row["mistaken"]
        row["people"] += row["mistaken"]
    return rows


def abandonment(session: Session, period: Period) -> Report:
    """Count the calls answered in the period; `rate` is D / (D + L), `rate_of_answered` D / H.

    `machines`: that agents met and said so; they are in neither rate, nor is a line on which nobody spoke. `played`:
    agentless calls whose person heard the message; they are in none of the other figures. `detected`: ended by a
    machine detector; `mistaken` of them were people, by the campaign's sample, and are among the abandoned.
    """
    rows = []
    for found in _found(session, period):
        people, lost = found.pop("people"), found["abandoned"]
        found |= {"rate": rate(lost, found["joined"]), "rate_of_answered": lost / people if people else 0.0}
        rows.append(found)
    total = {**rows.pop(), "day": "total"}
    if period.campaign_id is None:
        total["ceiling"] = None  # each campaign has its own
    over = [row for row in rows if row["rate"] > row["ceiling"]]
    notes = [f"{row['day']}: campaign {row['campaign']} was above its limit" for row in over]
    return Report("abandonment", period, _COLUMNS, rows, total, notes)
