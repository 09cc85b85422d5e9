"""Promised callbacks by the day they were due: kept, late, lost; and whether the person was met."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.report_shape import Column, Period, Report

# By the moment each was due. What is open is judged as far as it is certain: one that rang in time is kept, one that
# rang too late is late, one that is over and did not ring is lost unless it still will be called ("over").
_QUERY = text(
    """
    WITH promised AS (
        SELECT c.name AS campaign, CAST(b.due_at AT TIME ZONE :zone AS date) AS day, b.*,
               CASE WHEN b.result <> '' THEN b.result
                    WHEN b.called_at < b.deadline_at THEN 'kept'
                    WHEN b.called_at IS NOT NULL THEN 'late'
                    WHEN b.deadline_at <= :now THEN 'over'
                    ELSE 'open' END AS became
        FROM callbacks b JOIN campaigns c ON c.id = b.campaign_id
        WHERE b.due_at >= :start AND b.due_at < :end
          AND (CAST(:campaign_id AS bigint) IS NULL OR b.campaign_id = :campaign_id))
    SELECT day, campaign, count(*) AS promised,
           count(*) FILTER (WHERE became = 'kept') AS kept,
           count(*) FILTER (WHERE became = 'late') AS late,
           count(*) FILTER (WHERE became = 'lost') AS lost,
           count(*) FILTER (WHERE became = 'over') AS over,
           count(*) FILTER (WHERE became = 'open') AS open,
           count(*) FILTER (WHERE became = 'moved') AS moved,
           count(*) FILTER (WHERE became = 'withdrawn') AS withdrawn,
           count(*) FILTER (WHERE reached_at IS NOT NULL) AS reached,
           count(*) FILTER (WHERE became IN ('late', 'lost', 'over') AND alarmed_at < deadline_at) AS warned,
           CAST(max(extract(epoch FROM called_at - deadline_at)) FILTER (WHERE became = 'late') AS float) AS latest
    FROM promised
    GROUP BY GROUPING SETS ((day, campaign), ())
    ORDER BY day NULLS LAST, campaign
    """
)
_COLUMNS = (
    Column("day", "Day", "day"),
    Column("campaign", "Campaign"),
    Column("promised", "Promised", "count"),
    Column("kept", "Kept", "count"),
    Column("late", "Late", "count"),
    Column("lost", "Lost", "count"),
    Column("over", "Over", "count"),
    Column("open", "Open", "count"),
    Column("moved", "Moved", "count"),
    Column("withdrawn", "Withdrawn", "count"),
    Column("reached", "Reached", "count"),
    Column("rate", "Kept of due", "share"),
    Column("warned", "Warned", "count"),
    Column("latest", "Latest", "seconds"),
)


def callbacks(session: Session, period: Period) -> Report:
    """Count the callbacks due in the period by what became of them.

    `rate` is kept / (kept + late + lost + over): moved and withdrawn ones were owed nobody any more. `warned`: of those
    late, lost and over, the ones that were reported before they broke.
    """
    rows = []
    for found in session.execute(_QUERY, period.values()).mappings():
        owed = found["kept"] + found["late"] + found["lost"] + found["over"]
        rows.append({**found, "rate": found["kept"] / owed if owed else None})
    total = rows.pop() if rows else None
    notes = []
    if total is not None and (broken := total["late"] + total["lost"] + total["over"]) > total["warned"]:
        notes.append(
            f"{broken - total['warned']} of the late, lost and over were not reported before they broke: "
            "no scheduler ran then"
        )
    return Report("callbacks", period, _COLUMNS, rows, {**total, "day": "total"} if rows and total else None, notes)
