"""May a phone ring at this local hour, wherever it may be: days, hours, holidays and clock changes.

A number often names several time zones. A call is allowed only when it is inside the hours in *every* one of
them, now and until the phone has stopped ringing. Everything is reckoned on the UTC line: the hours of a day
are laid over each stretch of constant offset, so an hour that a clock change repeats counts twice and one that
it skips does not exist.
"""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialer.errors import BadInput
from dialer.gate import Known
from dialer.gate import Verdict as Verdict  # given on: callers of `judge` need its type

SEARCH = timedelta(days=8)  # a week finds every weekly hour; one day more for a skipped or shortened one
NOWHERE = ("", "Etc/Unknown")  # how number libraries say that they do not know

_DAY = timedelta(days=1)
_MIDNIGHT = 24 * 60
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_SPAN = re.compile(r"(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")

Interval = tuple[datetime, datetime]  # [from, until), UTC
Minutes = tuple[int, int]  # [from, until), minutes after local midnight
_Point = TypeVar("_Point", datetime, int)


@dataclass(frozen=True, slots=True)
class Hours:
    """When calls are wanted, by the clock on the wall where the phone is. `week` is None for always."""

    text: str
    week: tuple[tuple[Minutes, ...], ...] | None  # Monday first

    @classmethod
    def parse(cls, text: str) -> "Hours":
        """Read `always`, `09:00-20:00` or `mon-fri 09:00-13:00 14:00-20:00, sat 10:00-13:00`.

        BadInput names the part that is wrong and how it is written.
        """
        plain = " ".join(text.replace("–", "-").lower().split())
        if plain == "always":
            return cls(plain, None)
        if not plain:
            raise BadInput("hours: nothing is written; write always, 09:00-20:00 or mon-fri 09:00-20:00")
        week: list[list[Minutes]] = [[] for _ in _DAYS]
        named = set()
        for part in plain.split(","):
            days, spans = _part(part.strip(), text)
            named.add(bool(days))
            for day in days or range(7):
                for span in spans:
                    _add(week[day], span, _DAYS[day], text)
        if len(named) > 1:
            raise BadInput(
                f"hours {text!r}: one part names its days and another does not; write the days before every part"
            )
        return cls(plain, tuple(tuple(sorted(spans)) for spans in week))

    @property
    def always(self) -> bool:
        return self.week is None

    def __str__(self) -> str:
        return self.text


def _part(part: str, text: str) -> tuple[list[int], list[Minutes]]:
    """Read the days (empty: every day) and the time spans of one part."""
    words = re.sub(r"\s*-\s*", "-", part).split()
    days: list[int] = []
    while words and not words[0][0].isdigit():
        days += _days(words.pop(0), text)
    if not words:
        raise BadInput(f"hours {text!r}: {part!r} gives no time; write for example mon-fri 09:00-20:00")
    return days, [_span(word, text) for word in words]


def _days(word: str, text: str) -> list[int]:
    found = []
    for name in word.split("-"):
        match = [n for n, day in enumerate(_DAYS) if name in (day, day[:3])]
        if not match:
            raise BadInput(f"hours {text!r}: {name or word!r} is not a day; write mon, tue, wed, thu, fri, sat or sun")
        found += match
    if len(found) > 2:
        raise BadInput(f"hours {text!r}: {word!r} is not a range of days; write the first and the last, as mon-fri")
    first, last = found[0], found[-1]
    return [(first + n) % 7 for n in range((last - first) % 7 + 1)]


def _span(word: str, text: str) -> Minutes:
    match = _SPAN.fullmatch(word)
    if match is None:
        raise BadInput(f"hours {text!r}: {word!r} is not a time span; write it as 09:00-20:00")
    hour, minute, last_hour, last_minute = (int(digits) for digits in match.groups())
    start, end = hour * 60 + minute, last_hour * 60 + last_minute
    if minute > 59 or last_minute > 59 or end > _MIDNIGHT:
        raise BadInput(f"hours {text!r}: there is no such time as in {word!r}; the day ends at 24:00")
    if end <= start:
        raise BadInput(f"hours {text!r}: {word!r} ends before it begins; a span stays within one day")
    return start, end


def _add(day: list[Minutes], span: Minutes, name: str, text: str) -> None:
    """Add a span; one that overlaps another could have been meant as an exception, so it is refused."""
    if any(span[0] < end and start < span[1] for start, end in day):
        raise BadInput(f"hours {text!r}: two parts overlap on {name}; give each day its spans once")
    day.append(span)


@dataclass(frozen=True, slots=True)
class Timetable:
    """The hours one source allows: a campaign, or a law with its holidays and its shorter days before them."""

    hours: Hours
    holidays: Container[date] = frozenset()  # local dates on which nobody is called
    eves: Hours | None = None  # instead of `hours` on the day before a holiday, as far as both allow
    of: str = ""  # whose they are, for people: "it-2026"

    def spans(self, day: date) -> tuple[Minutes, ...]:
        """Return the hours of one local day."""
        if day in self.holidays:
            return ()
        spans = self._of(self.hours, day)
        if self.eves is not None and day + _DAY in self.holidays:
            spans = tuple(_both(spans, self._of(self.eves, day)))
        return spans

    @staticmethod
    def _of(hours: Hours, day: date) -> tuple[Minutes, ...]:
        return ((0, _MIDNIGHT),) if hours.week is None else hours.week[day.weekday()]

    def __str__(self) -> str:
        return f"{self.hours} ({self.of})" if self.of else str(self.hours)


@dataclass(frozen=True, slots=True)
class _Together:
    """What several timetables allow all at once."""

    tables: Sequence[Timetable]

    def spans(self, day: date) -> tuple[Minutes, ...]:
        common = self.tables[0].spans(day)
        for table in self.tables[1:]:
            common = tuple(_both(common, table.spans(day)))
        return common


_Table = Timetable | _Together


def zones_to_judge(found: Sequence[str], campaign_zone: str | None, address: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the zones a phone may be in, those of its number and of its owner's address: every one must be open.

    The campaign's own zone when neither says one.
    """
    known = tuple(dict.fromkeys(zone for zone in (*found, *address) if zone not in NOWHERE))
    if known:
        return known
    return (campaign_zone,) if campaign_zone else ()


def judge(
    now: datetime,
    hours: Hours,
    zones: Sequence[str],
    *,
    ring_seconds: float,
    holidays: Container[date] = frozenset(),
    also: Sequence[Timetable] = (),
) -> Verdict:
    """Say whether a phone in any of `zones` may ring from `now` for `ring_seconds`, and if not, when it may.

    A zone nobody knows is refused, not skipped. `holidays` are local dates on which nobody is called. `also`: other
    hours that must allow it too, as a law's; a time is good when all of them allow it.
    """
    if now.tzinfo is None:
        raise ValueError("the time to judge must say its zone; a bare one would be read as the host's")
    against: dict[str, Known] = {"hours": hours.text, "zones": tuple(zones), "ring_seconds": ring_seconds}
    if also:
        against["laws"] = tuple(str(table) for table in also)
    # Always really is always: not even a holiday of its own stands against it.
    tables = [Timetable(hours, holidays)] if hours.week is not None else []
    tables += also
    if not tables:
        return Verdict(True, "hours", "calls are wanted at any hour", against=against)
    if not any(zone not in NOWHERE for zone in zones):
        why = "the number's time zone is not known, and the campaign has none; give the campaign a time zone"
        return Verdict(False, "hours", why, against=against)
    zones = [zone for zone in zones if zone not in NOWHERE]
    for zone in zones:
        if not _known(zone):
            why = f"the time zone {zone!r} is not known on this host; correct it or update tzdata"
            return Verdict(False, "hours", why, against=against)
    now = now.astimezone(UTC)
    rings = timedelta(seconds=max(0.0, ring_seconds))
    together: _Table = tables[0] if len(tables) == 1 else _Together(tables)
    outside = next((zone for zone in zones if not _inside(now, rings, together, zone)), None)
    if outside is None:
        told = " and ".join(str(table) for table in tables)
        return Verdict(True, "hours", f"{_wall(now, zones[0])} is inside {told}", against=against)
    until = _next(now, rings, together, zones)
    why = _outside(now, rings, tables, outside)
    if until is None:
        why += f", and so is every moment of the next {SEARCH.days} days in some zone of the number"
    return Verdict(False, "hours", why, until=until, against=against)


def _outside(now: datetime, rings: timedelta, tables: Sequence[Timetable], zone: str) -> str:
    """Say which hours do not allow a call in the zone, and how."""
    for table in tables:
        if _inside(now, rings, table, zone):
            continue
        if _inside(now, timedelta(0), table, zone):
            return f"{_wall(now, zone)}: the phone could still ring outside {table}"
        day = now.astimezone(ZoneInfo(zone)).date()
        if day in table.holidays:
            return f"{_wall(now, zone)} is a public holiday, {day}" + (f" ({table.of})" if table.of else "")
        return f"{_wall(now, zone)} is outside {table}"
    return f"{_wall(now, zone)}: the phone could still ring outside {tables[0]}"


def _wall(now: datetime, zone: str) -> str:
    local = now.astimezone(ZoneInfo(zone))
    return f"{local:%a %H:%M} in {zone}"


@lru_cache(maxsize=1024)
def _known(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _inside(now: datetime, rings: timedelta, table: _Table, zone: str) -> bool:
    """Whether every moment from `now` to `now + rings`, both included, is inside the hours of one zone."""
    end = now + rings
    first = next(_legal(now, end + timedelta(seconds=1), table, zone), None)
    return first is not None and first[0] == now and first[1] > end


def _next(now: datetime, rings: timedelta, table: _Table, zones: Sequence[str]) -> datetime | None:
    """Return the first moment from which the phone may ring to its end in every zone; None within `SEARCH`.

    Looked for a day at a time, because the answer is nearly always within the first.
    """
    start = now
    while start < now + SEARCH:
        reach = start + _DAY + rings + timedelta(seconds=1)  # so that a stretch is not cut short at the day's end
        common: list[Interval] = [(start, reach)]
        for zone in zones:
            common = _both(common, list(_legal(start, reach, table, zone)))
        for opens, closes in common:
            if opens + rings < closes:
                return opens
        start += _DAY
    return None


def _both(one: Sequence[tuple[_Point, _Point]], other: Sequence[tuple[_Point, _Point]]) -> list[tuple[_Point, _Point]]:
    """Return what two sorted lists of stretches have in common."""
    common: list[tuple[_Point, _Point]] = []
    i = j = 0
    while i < len(one) and j < len(other):
        start, end = max(one[i][0], other[j][0]), min(one[i][1], other[j][1])
        if start < end:
            common.append((start, end))
        if one[i][1] < other[j][1]:
            i += 1
        else:
            j += 1
    return common


def _legal(start: datetime, end: datetime, table: _Table, zone: str) -> Iterator[Interval]:
    """Yield the stretches of [start, end) that are inside the hours of one zone; touching ones as one."""
    held: Interval | None = None
    for opens, closes in _pieces(start, end, table, zone):
        opens, closes = max(opens, start), min(closes, end)
        if opens >= closes:
            continue
        if held is not None and opens > held[1]:
            yield held
            held = None
        held = (opens, closes) if held is None else (held[0], closes)
    if held is not None:
        yield held


def _pieces(start: datetime, end: datetime, table: _Table, zone: str) -> Iterator[Interval]:
    """Yield the hours of every day touched, cut where the zone's offset changes; in order."""
    day = start.date()
    while day <= end.date():
        for since, until, offset in _offsets(zone, day):
            local = (since + offset).date()
            while local <= (until + offset).date():
                midnight = datetime(local.year, local.month, local.day, tzinfo=UTC) - offset
                for opens, closes in table.spans(local):
                    cut = (
                        max(midnight + timedelta(minutes=opens), since),
                        min(midnight + timedelta(minutes=closes), until),
                    )
                    if cut[0] < cut[1]:
                        yield cut
                local += _DAY
        day += _DAY


@lru_cache(maxsize=8192)
def _offsets(zone: str, day: date) -> tuple[tuple[datetime, datetime, timedelta], ...]:
    """Return the stretches of one UTC day with the zone's offset from UTC in each.

    zoneinfo does not list its changes, so they are looked for hour by hour and then to the second.
    """
    place = ZoneInfo(zone)

    def offset(at: datetime) -> timedelta:
        found = at.astimezone(place).utcoffset()
        assert found is not None
        return found

    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    stretches, since = [], start
    for hour in range(24):
        before, after = start + timedelta(hours=hour), start + timedelta(hours=hour + 1)
        if offset(before) == offset(after):
            continue
        low, high = 0, 3600  # seconds after `before`: the old offset at low, the new one at high
        while high - low > 1:
            middle = (low + high) // 2
            if offset(before + timedelta(seconds=middle)) == offset(before):
                low = middle
            else:
                high = middle
        change = before + timedelta(seconds=high)
        stretches.append((since, change, offset(before)))
        since = change
    stretches.append((since, start + _DAY, offset(since)))
    return tuple(stretches)
