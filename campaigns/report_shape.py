"""A report's period, columns and rows, and how a cell is written for people and for spreadsheets."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TextIO
from zoneinfo import ZoneInfo


@dataclass(frozen=True, slots=True)
class Period:
    """[start, end) of one campaign, or of all. `now` is the database's time: what is going on ends there."""

    campaign_id: int | None
    campaign: str | None
    start: datetime
    end: datetime
    zone: ZoneInfo
    now: datetime

    def values(self) -> dict[str, Any]:
        """Return what every query is given."""
        return {
            "campaign_id": self.campaign_id,
            "start": self.start,
            "end": self.end,
            "zone": self.zone.key,
            "now": self.now,
        }


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `kind` is text, count, share, seconds, moment or day; `aside` ones are not in tables for people."""

    key: str
    title: str
    kind: str = "text"
    aside: bool = False

    @property
    def is_number(self) -> bool:
        """Whether figures stand right."""
        return self.kind in ("count", "share", "seconds")


@dataclass(frozen=True, slots=True)
class Report:
    """Rows of plain values under their columns; `total` is the last line, when there is one."""

    name: str
    period: Period
    columns: Sequence[Column]
    rows: Sequence[Mapping[str, Any]]
    total: Mapping[str, Any] | None = None
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def shown(self) -> Sequence[Column]:
        """The columns of a table for people: the campaign is named above it when there is only one."""
        alone = self.period.campaign is not None
        return [column for column in self.columns if not column.aside and not (alone and column.key == "campaign")]

    def as_json(self) -> dict[str, Any]:
        """Return one object: the period, the rows, the total."""
        return {
            "report": self.name,
            "campaign": self.period.campaign,
            "from": self.period.start.isoformat(),
            "to": self.period.end.isoformat(),
            "time_zone": self.period.zone.key,
            "rows": [self._plain(row) for row in self.rows],
            "total": self._plain(self.total) if self.total is not None else None,
            "notes": list(self.notes),
        }

    def _plain(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {column.key: _value(row.get(column.key), self.period.zone) for column in self.columns}

    def write_csv(self, file: TextIO) -> None:
        """Write the rows (not the total) as CSV, safe to open in a spreadsheet."""
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow([column.key for column in self.columns])
        for row in self.rows:
            plain = self._plain(row)
            writer.writerow([inert("" if value is None else value) for value in plain.values()])

    def cell(self, column: Column, row: Mapping[str, Any]) -> str:
        """One cell for people."""
        value = row.get(column.key)
        if value is None:
            return ""
        if column.kind == "share":
            return f"{value * 100:.1f} %"
        if column.kind == "seconds":
            return _clock(float(value))
        if column.kind == "count":
            return f"{value:,}"
        if column.kind == "moment":
            return f"{value.astimezone(self.period.zone):%d %b %H:%M:%S}"
        return str(value)


def inert(value: Any) -> Any:
    """A cell no spreadsheet takes for a formula: text that begins like one gets an apostrophe, numbers stay."""
    if not isinstance(value, str) or re.fullmatch(r"[+-]?[0-9]+([.,][0-9]+)?", value):
        return value
    return f"'{value}" if value[:1] in ("=", "+", "-", "@", "\t", "\r", "\n") else value


def _value(value: Any, zone: ZoneInfo) -> Any:
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return round(value.total_seconds(), 3)
    return round(value, 6) if isinstance(value, float) else value


def _clock(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    if value < 60:
        return f"{value:.0f} s"
    minutes, seconds = divmod(round(value), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
