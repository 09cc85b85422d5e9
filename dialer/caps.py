"""How often one phone, or one person, may be called: so many calls a day, or within a stretch of time.

A cap is judged against the times of earlier calls by *any* campaign. A stretch rolls: it reaches back from this
moment, so seven in seven days means that the eighth call waits until the first one is seven days old. A day is the
calendar day where the phone is; where that may be several zones, the cap holds in every one of them.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialer.errors import BadInput
from dialer.gate import Known, Verdict, seconds_in_words
from dialer.rate_windows import midnight

Per = Literal["number", "contact"]
Counts = Literal["calls", "talks"]

LONGEST = timedelta(days=366)
MOST = 1_000
# Where nobody can say which day it is at the phone: no day is longer, so this is at least as strict.
UNKNOWN_DAY = timedelta(hours=25)

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
_WRITTEN = re.compile(r"(\d{1,4})\s*(talks?)?\s*/\s*(?:(day)|(\d{1,4})\s*([hd]))")


class Rang(Protocol):
    """An earlier call that may have rung: when, and whether an agent spoke with somebody."""

    @property
    def at(self) -> datetime: ...
    @property
    def talked(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class Call:
    """One such call, by itself."""

    at: datetime
    talked: bool = False


class Earlier(NamedTuple):
    """Earlier calls of any campaign: to the number that is to be called, and to any number of the contact."""

    number: Sequence[Rang] = ()
    contact: Sequence[Rang] = ()


@dataclass(frozen=True, slots=True)
class Cap:
    """At most `count` calls in any stretch of `length`, or in a calendar day where the phone is.

    `per`: whose calls are counted, those to one number or those to any number of one contact. `counts`: every call
    that may have rung, or only those in which an agent spoke with somebody: "1 talk/7d" is a rest of seven days after
    a conversation.
    """

    count: int
    length: timedelta | Literal["day"]
    per: Per = "number"
    counts: Counts = "calls"

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST:
            raise BadInput(f"cap {self}: the calls must be between 1 and {MOST:,}")
        if self.length != "day" and not timedelta(0) < self.length <= LONGEST:
            raise BadInput(f"cap {self}: the stretch must be at most {LONGEST.days} days, and not nothing")

    @classmethod
    def parse(cls, text: str, per: Per = "number") -> "Cap":
        """Read `3/day`, `7/7d`, `2/36h` or `1 talk/7d`; BadInput says how one is written."""
        match = _WRITTEN.fullmatch(" ".join(text.lower().split()))
        if match is None:
            raise BadInput(f"cap {text.strip()[:30]!r}: write it as 3/day, 7/7d, 2/36h or 1 talk/7d")
        count, talks, day, number, unit = match.groups()
        length: timedelta | Literal["day"] = "day" if day else int(number) * _UNITS[unit]
        return cls(int(count), length, per, "talks" if talks else "calls")

    @property
    def reach(self) -> timedelta:
        """How far back calls can count: what must be read to judge it."""
        return UNKNOWN_DAY if self.length == "day" else self.length

    def __str__(self) -> str:
        return f"{self.count}{' talk' if self.counts == 'talks' else ''}/{self._written_length}"

    @property
    def _written_length(self) -> str:
        if self.length == "day":
            return "day"
        hours = self.length / timedelta(hours=1)
        return f"{hours / 24:g}d" if hours % 24 == 0 else f"{hours:g}h"

    @property
    def in_words(self) -> str:
        """The cap for people: 3 calls a day, 7 calls in 7 days."""
        what = {"calls": "call", "talks": "conversation"}[self.counts] + ("" if self.count == 1 else "s")
        if self.length == "day":
            return f"{self.count} {what} a day"
        return f"{self.count} {what} in {seconds_in_words(self.length.total_seconds())}"


def parse_all(text: str, per: Per = "number") -> tuple[Cap, ...]:
    """Read caps with commas between them, `3/day, 7/7d`; nothing for an empty text or `none`."""
    if text.strip().lower() in ("", "none"):
        return ()
    return tuple(dict.fromkeys(Cap.parse(part, per) for part in text.split(",")))


def reach(caps: Iterable[Cap]) -> timedelta:
    """Return how far back the earlier calls must be known to judge all of these; nothing for no caps."""
    return max((cap.reach for cap in caps), default=timedelta(0))


def judge(caps: Iterable[Cap], now: datetime, earlier: Earlier, zones: Sequence[str]) -> tuple[Verdict, ...]:
    """Ask each cap about one more call now; every one of them must allow it.

    `earlier`: calls that may have rung, in any order, at least as far back as `reach`; older ones, and ones that the
    clock says are yet to come, do no harm (the latter count: they were made). `zones`: those the phone may be in.
    """
    return at(caps, now, zones).judge(earlier)


def at(caps: Iterable[Cap], now: datetime, zones: Sequence[str]) -> "Moment":
    """Return these caps as they are at one moment, to be asked about everybody whose phone may be in these zones."""
    if now.tzinfo is None:
        raise ValueError("the time to judge must say its zone; a bare one would be read as the host's")
    known = _known(zones)
    return Moment(tuple(_Counting(cap, _stretches(cap, now, known)) for cap in dict.fromkeys(caps)))


@dataclass(frozen=True, slots=True)
class Moment:
    """Caps at one moment in certain zones: what they have in common for many contacts is reckoned once."""

    caps: "Sequence[_Counting]" = ()

    def judge(self, earlier: Earlier) -> tuple[Verdict, ...]:
        """Ask each cap about one more call, as `judge` does."""
        return tuple([one.judge(earlier) for one in self.caps])


_Stretch = tuple[datetime, datetime | None]  # from when calls count, and when they all stop to: None for one that rolls


def _stretches(cap: Cap, now: datetime, zones: Sequence[ZoneInfo] | None) -> Sequence[_Stretch]:
    if cap.length == "day" and zones is not None:
        return [(midnight(now, zone), midnight(now, zone, days=1)) for zone in zones]
    return [(now - cap.reach, None)]


@dataclass(frozen=True, slots=True)
class _Counting:
    """One cap with its stretches."""

    cap: Cap
    stretches: Sequence[_Stretch]
    _allowed: dict[int, Verdict] = field(default_factory=dict)  # by how many were counted: mostly none or few

    def judge(self, all_earlier: Earlier) -> Verdict:
        earlier = all_earlier.contact if self.cap.per == "contact" else all_earlier.number
        counted = 0
        until: datetime | None = None
        every = self.cap.counts == "calls"
        times = [call.at for call in earlier if every or call.talked]
        for opens, closes in self.stretches if times else ():
            # A rolling stretch does not hold the moment it opens: the cap lets go exactly `length` after a call.
            inside = [at for at in times if at > opens or (closes and at == opens)]
            if len(inside) > counted:
                counted = len(inside)
            if len(inside) < self.cap.count:
                continue
            free = closes or sorted(inside, reverse=True)[self.cap.count - 1].astimezone(UTC) + self.cap.reach
            until = free if until is None else max(until, free)
        if until is not None:
            return _verdict(self.cap, counted, until)
        allowed = self._allowed.get(counted)
        if allowed is None:
            allowed = self._allowed[counted] = _verdict(self.cap, counted, None)
        return allowed


def _verdict(cap: Cap, counted: int, until: datetime | None) -> Verdict:
    rule, written, in_words = _words(cap)
    against: dict[str, Known] = {"cap": written, "counted": counted}
    whom = "the number" if cap.per == "number" else "the contact"
    if until is None:
        return Verdict(True, rule, f"{whom} has had {counted} of {in_words}", against=against)
    so_far = f"{whom} has had {counted}" if counted > cap.count else f"{whom} has had them all"
    return Verdict(False, rule, f"at most {in_words}: {so_far}", until=until, against=against)


@lru_cache(maxsize=256)
def _words(cap: Cap) -> tuple[str, str, str]:
    """Return the rule a cap is, and the cap as it is written and said: asked of every contact at every gate."""
    return f"{cap.per}_cap", str(cap), cap.in_words


def _known(zones: Sequence[str]) -> list[ZoneInfo] | None:
    """The zones, or None when there is none, or one that this host does not know."""
    try:
        return [ZoneInfo(zone) for zone in zones] or None
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
