"""When the callback of a row is promised for, whether it could be kept, and whose it is. Judged with no session.

A promise that the hours where the phone is would not allow is refused whoever makes it. Rows of a file are many and
mostly alike, so each day, period and place is asked about once.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from campaigns.callback_dates import AHEAD, Calendar, WantedPeriod, zone_of_number
from campaigns.import_columns import Columns
from campaigns.import_options import KEEP, MOVE, SKIP
from campaigns.import_person import OfPerson, Problem
from dialer.calling_rules import CallingRules, in_force
from dialer.places import NO_ADDRESS, Address, Place, place_of
from dialer.windows import Hours, Verdict, judge, zones_to_judge

RING_SECONDS = 60.0  # as whoever promises by hand is asked
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_LOOKED_AHEAD = 14  # days in which another time is looked for
_MOST_KEPT = 10_000  # answers remembered


class Due(NamedTuple):
    """A callback's day, period and instant; `remark` is what its row should be told, though it is taken."""

    day: str
    period_id: int | None
    next_at: str
    remark: Problem | None = None


@dataclass(frozen=True)
class LegalHours:
    """The hours in which a campaign's phones may ring: its own, and those of its rule pack and the list's."""

    hours: Hours
    packs: Sequence[tuple[str, CallingRules]]
    country: str
    time_zone: str | None
    mode: str

    def place(self, number: str, person: OfPerson | None) -> Place:
        """Return where a row's phone may be."""
        address = Address(person.region, person.postcode, person.time_zone) if person is not None else NO_ADDRESS
        return place_of(number, address, self.country)

    def verdict(self, place: Place, begins: datetime, ends: datetime) -> Verdict | None:
        """Return why no call may begin in [begins, ends); None when one may."""
        zones = zones_to_judge(place.zones, self.time_zone)
        also = in_force(self.packs, place, self.mode).timetables
        found = judge(begins, self.hours, zones, ring_seconds=RING_SECONDS, also=also)
        return None if found.allowed or (found.until is not None and found.until < ends) else found


@dataclass
class CallbackRows:
    """Judges due date, period and owner of the rows of one file. `outside`: what becomes of those at a wrong hour."""

    calendar: Calendar
    legal: LegalHours
    outside: str = SKIP
    owners: Mapping[str, frozenset[int]] = field(default_factory=dict)  # by name, extension and user id, small letters
    agents: Sequence[str] = ()  # as they are shown to somebody who wrote another
    _dues: dict[tuple[str, str, str, Place | None], Due | Problem] = field(default_factory=dict)

    def due(self, columns: Columns, cells: list[str], number: str | None, person: OfPerson | None) -> Due | Problem:
        """Return when the callback of a row to `number` is due, or why it cannot be."""
        calendar, place = self.calendar, None
        if number is not None:
            calendar = calendar.at(zone_of_number(number, calendar.zone, calendar.now))
            place = self.legal.place(number, person)
        day = cells[columns.due_date].strip() if columns.due_date >= 0 else ""
        period = cells[columns.period].strip() if columns.period >= 0 else ""
        key = (day, period, calendar.zone.key, place)
        found = self._dues.get(key)
        if found is None:
            found = self._work_out(columns, day, period, calendar, place)
            if len(self._dues) < _MOST_KEPT:
                self._dues[key] = found
        return found

    def owner(self, columns: Columns, cells: list[str]) -> int | Problem | None:
        """Return the agent whose callback it is; None for anyone's."""
        text = " ".join(cells[columns.owner].split()) if columns.owner >= 0 else ""
        if not text:
            return None
        column = columns.names[columns.owner]
        found = self.owners.get(text.casefold(), frozenset())
        if len(found) == 1:
            return next(iter(found))
        if found:
            reason = f"{len(found)} agents of this campaign are called {text[:60]!r}"
            return Problem(column, text, reason, "write the extension or the PBX user id of the one that is meant")
        known = ", ".join(self.agents[:8]) + (f" and {len(self.agents) - 8} more" if len(self.agents) > 8 else "")
        there = f"there are: {known or 'none yet'}"
        remedy = f"write a name, an extension or a PBX user id ({there}), or empty the cell for anyone"
        return Problem(column, text, f"no agent of this campaign is called {text[:60]!r}", remedy)

    def _work_out(
        self, columns: Columns, text: str, name: str, calendar: Calendar, place: Place | None
    ) -> Due | Problem:
        day_column, period_column = (
            columns.names[index] if index >= 0 else shown
            for index, shown in ((columns.due_date, "dueDate"), (columns.period, "period"))
        )
        day = _day(text, calendar)
        if isinstance(day, str):
            remedy = f"write it as YYYY-MM-DD, for example {calendar.tomorrow}; empty means tomorrow"
            return Problem(day_column, text, day, remedy)
        period = calendar.period(" ".join(name.split())) if name else calendar.period_of(day)
        if period is None:
            return Problem(period_column, name, *_unknown_period(name, calendar))
        if calendar.over(day, period):
            return Problem(day_column, text, *_past(day, period, calendar))
        against = self._against(calendar, place, day, period)
        if against is None:
            return _due(calendar, day, period)
        other = self._next(calendar, place, day, period)
        return self._outside(day_column, text, calendar, day, period, against, other)

    def _against(self, calendar: Calendar, place: Place | None, day: date, period: WantedPeriod) -> Verdict | None:
        if place is None:
            return None  # the row has no good number, and is refused for that
        begins, ends = max(calendar.starts(day, period), calendar.now), calendar.ends(day, period)
        return self.legal.verdict(place, begins, ends)

    def _next(
        self, calendar: Calendar, place: Place | None, day: date, period: WantedPeriod
    ) -> tuple[date, WantedPeriod] | None:
        """Return the next time that is allowed: the same period on a later day, else the first period of any name."""
        days = [day + timedelta(days=n) for n in range(_LOOKED_AHEAD)]
        for later in days[1:]:
            same = period if period.id is not None else calendar.period_of(later)
            if self._against(calendar, place, later, same) is None:
                return later, same
        others = sorted(calendar.periods.values(), key=lambda one: one.starts)
        for later in days:
            for one in others or [calendar.period_of(later)]:
                if not calendar.over(later, one) and self._against(calendar, place, later, one) is None:
                    return later, one
        return None

    def _outside(
        self, column: str, text: str, calendar: Calendar, day: date, period: WantedPeriod, against: Verdict,
        other: tuple[date, WantedPeriod] | None,
    ) -> Due | Problem:  # fmt: skip
        named = f"{day} {period.name}" if period.id is not None else f"{day}"
        reason = f"nobody may be called then ({named}): {against.why}"
        if other is None:
            meant = f"the next moment is {_wall(against.until, calendar.zone)}" if against.until is not None else ""
            remedy = "; ".join(filter(None, (meant, "give another day or period, or define a period within the hours")))
        else:
            told = _wall(calendar.starts(*other), calendar.zone)
            next_one = f"{other[0]}, period {other[1].name} ({told})" if other[1].id is not None else told
            if self.outside == MOVE:
                return _due(calendar, *other, Problem(column, text, reason, f"moved to the next that is: {next_one}"))
            remedy = f"the next that is: {next_one}; or import with --outside-hours move, or keep"
        if self.outside == KEEP:
            kept = f"kept as it is, and alarmed when it is about to break; {remedy.partition('; or import')[0]}"
            return _due(calendar, day, period, Problem(column, text, reason, kept))
        return Problem(column, text, reason, remedy)


def _due(calendar: Calendar, day: date, period: WantedPeriod, remark: Problem | None = None) -> Due:
    return Due(day.isoformat(), period.id, calendar.starts(day, period).isoformat(), remark)


def _wall(at: datetime, zone: ZoneInfo) -> str:
    return f"{at.astimezone(zone):%a %Y-%m-%d %H:%M} in {zone.key}"


def _day(text: str, calendar: Calendar) -> date | str:
    """Return the day, tomorrow when none is given, or why it is none."""
    if not text:
        return calendar.tomorrow
    if not _ISO_DATE.fullmatch(text) or not text.isascii():
        return "the due date is not an ISO date"
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return "there is no such day"
    if day - calendar.today > AHEAD:
        return "the due date is more than two years ahead"
    return day


def _unknown_period(name: str, calendar: Calendar) -> tuple[str, str]:
    known = ", ".join(period.name for period in calendar.periods.values())
    reason = f"there is no period {name[:60]!r} in this campaign"
    if not known:
        return f"{reason}: it has none", "define it first, or empty the cell for the campaign's calling hours"
    return f"{reason} (there are: {known})", "use one of them, define it, or empty the cell for the default"


def _past(day: date, period: WantedPeriod, calendar: Calendar) -> tuple[str, str]:
    remedy = f"give a date from {calendar.today} on; empty means tomorrow"
    if day < calendar.today:
        return f"the due date {day} is in the past", remedy
    remedy = f"give a later period, or a date from {calendar.tomorrow} on; empty means tomorrow"
    return f"the period {period.name} of today was over at {period.ends:%H:%M}", remedy
