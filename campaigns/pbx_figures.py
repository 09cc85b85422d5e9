"""What a PBX counts itself of its agents and queues: read now and then, kept by its own day with the time of the read.

It begins again at its midnight, so that the last read of a day is that day's. Nothing is decided by these figures: they
stand beside ours in reports, for people to compare.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import PbxFigures
from campaigns.report_shape import Column, Period
from dialer.errors import PbxError
from dialer.pbx.callback_lists import TellsFigures

AGENT_KEYS = ("ready", "paused", "wrap_up", "calls_in", "calls_out")
STALE = timedelta(minutes=5)  # figures of today older than this are said to be old


def every(application: Application, name: str) -> float:
    """Seconds between two reads of a PBX's figures; 0 when it has none, or they are not wanted."""
    pbx = application.pbxes.get(name)
    return pbx.figures_every if isinstance(pbx, TellsFigures) else 0.0


def read(application: Application, name: str) -> int:
    """Read the figures of a PBX's present day, and keep them; how many agents and queues. 0 when they cannot be had."""
    pbx = application.pbxes.get(name)
    if not isinstance(pbx, TellsFigures) or not pbx.figures_every:
        return 0
    with application.transaction() as session:
        asked_at = database_now(session)
    try:
        told = pbx.read_figures()
    except PbxError:
        return 0
    day = asked_at.astimezone(ZoneInfo(pbx.figures_zone)).date()
    rows = [
        {"pbx": name, "kind": one.kind, "key": one.key, "day": day, "name": one.name, "read_at": asked_at,
         "figures": {"told": dict(one.figures), "known": dict(one.known)}}
        for one in told
    ]  # fmt: skip
    if rows:
        with application.transaction() as session:
            new = insert(PbxFigures).values(rows)
            fields = {field: new.excluded[field] for field in ("name", "figures", "read_at")}
            kept_newest = PbxFigures.read_at < new.excluded.read_at
            keys = ["pbx", "kind", "key", "day"]
            session.execute(new.on_conflict_do_update(index_elements=keys, set_=fields, where=kept_newest))
    return len(rows)


def kept(session: Session, period: Period, kind: str) -> list[PbxFigures]:
    """The figures of the PBX's days that the period touches."""
    first, last = (at.astimezone(period.zone).date() for at in (period.start, period.end - timedelta(microseconds=1)))
    query = select(PbxFigures).where(PbxFigures.kind == kind, PbxFigures.day >= first, PbxFigures.day <= last)
    return list(session.scalars(query.order_by(PbxFigures.pbx, PbxFigures.key, PbxFigures.day)))


def notes(rows: list[PbxFigures], now: datetime, period: Period) -> list[str]:
    """Say how old the figures are, and that they are of whole days."""
    if not rows:
        return []
    newest = max(row.read_at for row in rows)
    told = [
        f"the PBX's own figures are of its whole days; last read {newest.astimezone(period.zone):%Y-%m-%d %H:%M:%S}"
    ]
    if period.end >= now - STALE and now - newest > STALE:
        told.append("the PBX's figures are stale: it could not be read since, or no scheduler runs")
    return told


@dataclass(slots=True)
class Beside:
    """What stands beside our own figures of agents: by PBX and user id, with its columns and notes."""

    rows: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    columns: tuple[Column, ...] = ()
    notes: list[str] = field(default_factory=list)


def of_agents(session: Session, period: Period) -> Beside:
    """Add up the PBX's figures of each agent over the days of the period."""
    found = kept(session, period, "agent")
    beside = Beside(notes=notes(found, period.now, period))
    for row in found:
        into = beside.rows.setdefault((row.pbx, row.key), {})
        for key, value in row.figures.get("known", {}).items():
            if key in AGENT_KEYS:
                into[f"pbx_{key}"] = into.get(f"pbx_{key}", 0) + (value if "calls" not in key else int(value))
    if found:
        titles = ("PBX ready", "PBX paused", "PBX wrap-up", "PBX in", "PBX out")
        beside.columns = tuple(
            Column(f"pbx_{key}", title, "count" if "calls" in key else "seconds")
            for key, title in zip(AGENT_KEYS, titles, strict=True)
        )
    return beside
