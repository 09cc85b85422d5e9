"""The PBX's own queues, by its own day and in its own figures: those of a campaign's PBX, or of all."""

from typing import Any

from sqlalchemy.orm import Session

from campaigns import pbx_figures
from campaigns.models import Campaign
from campaigns.report_shape import Column, Period, Report

_KEYS = {
    "entered": "Entered", "answered": "Answered", "abandoned": "Abandoned", "closed": "Closed",
    "timed_out": "Timed out", "waiting": "Waiting", "available": "Free agents", "talking": "Talking",
}  # fmt: skip
_COLUMNS = (
    Column("pbx", "PBX"),
    Column("queue", "Queue"),
    Column("day", "Day", "day"),
    *(Column(key, title, "count") for key, title in _KEYS.items()),
    Column("read_at", "Read", "moment"),
)


def queues(session: Session, period: Period) -> Report:
    """Tell what the PBX counted. What waits and who is free are as of the last read of the day."""
    only = session.get_one(Campaign, period.campaign_id).pbx if period.campaign_id is not None else None
    found = [row for row in pbx_figures.kept(session, period, "queue") if only in (None, row.pbx)]
    rows: list[dict[str, Any]] = []
    for row in found:
        known = row.figures.get("known", {})
        told = {key: int(known[key]) for key in _KEYS if key in known}
        rows.append({"pbx": row.pbx, "queue": row.name or row.key, "day": row.day, "read_at": row.read_at, **told})
    return Report("queues", period, _COLUMNS, rows, None, pbx_figures.notes(found, period.now, period))
