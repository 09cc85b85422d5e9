"""When a promised callback is due: the start of its period, on its day, by the clock where the phone is.

Dates and times of day are local; what is stored is an instant in UTC. An hour that a clock change skips is taken as
the first moment after the gap, one that it repeats as the first of the two.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from importlib import resources
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from campaigns.campaign_values import usual_time_zone
from dialer.errors import BadInput
from dialer.numbers import zones
from dialer.windows import Hours, zones_to_judge

AHEAD = timedelta(days=731)  # a date farther away is a typing mistake


@dataclass(frozen=True, slots=True)
class WantedPeriod:
    """A part of the day. `id` is None for the campaign's own calling hours, which need no name."""

    id: int | None
    name: str
    starts: time
    ends: time | None


@dataclass(frozen=True)
class Calendar:
    """What is needed to give callbacks their instant: zone, now, the campaign's periods and calling hours."""

    zone: ZoneInfo
    now: datetime
    hours: Hours
    periods: Mapping[str, WantedPeriod] = field(default_factory=dict)  # by name in small letters
    default: WantedPeriod | None = None

    @property
    def today(self) -> date:
        return self.now.astimezone(self.zone).date()

    @property
    def tomorrow(self) -> date:
        return self.today + timedelta(days=1)

    def period(self, name: str) -> WantedPeriod | None:
        """Return the period of that name, in any case of letters."""
        return self.periods.get(name.casefold())

    def period_of(self, day: date) -> WantedPeriod:
        """Return the period for a callback that names none: the default one, else the calling hours of that day."""
        if self.default is not None:
            return self.default
        spans = self.hours.week[day.weekday()] if self.hours.week is not None else ()
        starts = spans[0][0] if spans else 0
        return WantedPeriod(None, "calling hours", time(starts // 60, starts % 60), None)

    def starts(self, day: date, period: WantedPeriod) -> datetime:
        """Return the instant, in UTC, from which the callback is due."""
        return instant(day, period.starts, self.zone)

    def ends(self, day: date, period: WantedPeriod) -> datetime:
        """Return the first instant, in UTC, that is too late: the end of the period, or of that day's calling hours.

        On a day without calling hours it is the end of the day: the gate will not let the call pass, and the alarm says
        so.
        """
        if period.ends is not None:
            return instant(day, period.ends, self.zone)
        spans = self.hours.week[day.weekday()] if self.hours.week is not None else ()
        minutes = max((end for _, end in spans), default=24 * 60)
        if minutes >= 24 * 60:
            return instant(day + timedelta(days=1), time(0), self.zone)
        return instant(day, time(minutes // 60, minutes % 60), self.zone)

    def at(self, zone: ZoneInfo) -> "Calendar":
        """Return the same calendar by the clock of another zone."""
        return self if zone.key == self.zone.key else replace(self, zone=zone)

    def over(self, day: date, period: WantedPeriod) -> bool:
        """Whether the period of that day has passed already."""
        if day != self.today or period.ends is None:
            return day < self.today
        return instant(day, period.ends, self.zone) <= self.now


@dataclass(frozen=True, slots=True)
class When:
    """When a callback is promised for: its day and period by the clock of `zone`, and what they are in UTC."""

    day: date
    period_id: int | None
    period: str  # its name; empty for a time of day, and for the calling hours
    zone: str
    due_at: datetime
    deadline_at: datetime


def wanted(
    calendar: Calendar,
    *,
    day: date | None = None,
    period: str = "",
    at: time | None = None,
    until: time | None = None,
    grace: timedelta,
) -> When:
    """Work out when a callback is due and when it is broken, by the calendar's clock; BadInput when it cannot be kept.

    `day`: tomorrow when not given. `at`: a time of that day, instead of a period; it breaks `grace` later. `until`: the
    time of that day at which it breaks, whatever the period says.
    """
    day = day or calendar.tomorrow
    if day - calendar.today > AHEAD:
        raise BadInput(f"{day} is more than two years ahead: a callback is promised for the coming two years")
    if period and at is not None:
        raise BadInput(
            "give either a period or a time of day, for example with --due: a time is more exact than a period"
        )
    named = calendar.period(" ".join(period.split())) if period else None
    if period and named is None:
        known = ", ".join(one.name for one in calendar.periods.values()) or "none yet"
        raise BadInput(
            f"there is no period {period[:60]!r} in this campaign (there are: {known}): use one of them, or define it"
        )
    found = named or calendar.period_of(day)
    if at is not None:
        found = WantedPeriod(None, "", at, None)
    due_at = calendar.starts(day, found)
    deadline_at = due_at + grace if at is not None else calendar.ends(day, found)
    if until is not None:
        deadline_at = instant(day, until, calendar.zone)
    shown = f"{deadline_at.astimezone(calendar.zone):%Y-%m-%d %H:%M} ({calendar.zone.key})"
    if deadline_at <= due_at:
        raise BadInput(f"the callback would be broken at {shown}, before it is due: give a later --until")
    if at is not None and due_at < calendar.now - timedelta(minutes=1):
        told = f"{due_at.astimezone(calendar.zone):%Y-%m-%d %H:%M} ({calendar.zone.key})"
        raise BadInput(f"that time is over since {told}: a promise that cannot be kept is to be made anew")
    if deadline_at <= calendar.now:
        raise BadInput(f"that time is over since {shown}: a promise that cannot be kept is to be made anew")
    name = found.name if found.id is not None else ""
    return When(day, found.id, name, calendar.zone.key, due_at, deadline_at)


def zone_of_number(number: str, otherwise: ZoneInfo, now: datetime) -> ZoneInfo:
    """Return the zone of the phone of an E.164 number, if it can only be in places that keep one time."""
    found = [zone for name in zones_to_judge(zones(number), None) if (zone := _zone(name)) is not None]
    moments = (now, now + timedelta(days=182))
    if not found or any(len({at.astimezone(zone).utcoffset() for zone in found}) > 1 for at in moments):
        return otherwise
    return otherwise if otherwise in found else found[0]


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None  # unknown to this host: no better than none


def instant(day: date, at: time, zone: ZoneInfo) -> datetime:
    """Return the first instant of `day` at which a clock on the wall in `zone` shows `at` or later."""
    local = datetime.combine(day, at)
    early, late = (
        local.replace(tzinfo=zone, fold=1).astimezone(UTC),
        local.replace(tzinfo=zone, fold=0).astimezone(UTC),
    )
    if early >= late:
        return late  # an ordinary time, or the first of two
    # A gap: the clock jumps over `at` somewhere between the two readings. Find the jump, to the second.
    low, high = 0, int((late - early).total_seconds())
    while low < high:
        middle = (low + high) // 2
        shown = (early + timedelta(seconds=middle)).astimezone(zone).replace(tzinfo=None)
        low, high = (low, middle) if shown >= local else (middle + 1, high)
    return early + timedelta(seconds=low)


def campaign_zone(time_zone: str | None, country: str, now: datetime) -> tuple[ZoneInfo, str]:
    """Return the zone of a campaign's dates, and a note when it had to be assumed.

    Without a zone of its own it is the country's, if all of the country keeps one time; else the one its reports use,
    that of most people there.
    """
    if time_zone:
        try:
            return ZoneInfo(time_zone), ""
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise BadInput(
                f"the campaign's time zone {time_zone!r} is not known here: use a name such as Europe/Rome"
            ) from None
    found = zone_of_country(country, now.year)
    if found is not None:
        return ZoneInfo(found), ""
    usual = usual_time_zone(country, None)
    return ZoneInfo(usual), (
        f"dates are taken in {usual}: {country} has several time zones and the campaign names none "
        "(give it one to be sure)"
    )


@lru_cache(maxsize=512)
def zone_of_country(country: str, year: int) -> str | None:
    """Return the zone of a country in which all clocks show the same, this year and the next; None otherwise."""
    zones = [ZoneInfo(name) for name in _zones_by_country().get(country.upper(), ())]
    if not zones:
        return None
    noon = datetime(year, 1, 1, 12, tzinfo=UTC)
    for days in range(730):
        if len({(noon + timedelta(days=days)).astimezone(zone).utcoffset() for zone in zones}) > 1:
            return None
    return zones[0].key


@lru_cache(maxsize=1)
def _zones_by_country() -> dict[str, list[str]]:
    """The table of the time zone database itself: country code, place, zone."""
    zones: dict[str, list[str]] = {}
    table = resources.files("tzdata.zoneinfo").joinpath("zone.tab").read_text("utf-8")
    for line in table.splitlines():
        if line and not line.startswith("#"):
            country, _, name = line.split("\t")[:3]
            zones.setdefault(country, []).append(name)
    return zones
