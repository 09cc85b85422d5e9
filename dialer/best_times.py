"""When people answer: the chance by who they are, the hour of their own week, and how often they were tried.

Learnt from calls that are counted in cells (kind of number, hour of the week, list, attempt), older ones weighing less.
A cell of its own would need years of calls, so the chance is a chain of factors, each learnt beside what the coarser
ones let expect, and each beginning at 1: the list and the attempt, the hour on working days, Saturdays and Sundays, the
same for each kind of number, the hour of the week, and the same for one list (`dialer.pacing.answers.Factor`, which the
pacer learns by as well). What nobody has tried is as likely as what is coarser says.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import phonenumbers

from dialer.numbers import parse_e164, zones
from dialer.pacing.answers import Chance, Factor

HALF_LIFE = timedelta(days=28)  # what was seen weighs half after so long
HOURS = 168  # of a week, Monday's first at 0
_PRIOR = 3.0, 10.0  # answered of calls, before any: the pacer's first guess
_SLOWEST, _LIKELIEST = 0.005, 0.98


class Who(NamedTuple):
    """People who are alike for all we know: their list and attempt ("12/1"), and the kind of their number."""

    group: str
    kind: str  # mobile, fixed or other

    @property
    def attempt(self) -> str:
        return self.group.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Seen:
    """Calls alike: to whom, in which hour of their week, how many (older ones count less), and how many answered."""

    who: Who
    hour: int
    calls: float
    answered: float


def part_of_week(hour: int) -> str:
    """Return an hour by the day it lies on: "work 18", "saturday 10", "sunday 10"."""
    day = "work" if hour < 120 else "saturday" if hour < 144 else "sunday"
    return f"{day} {hour % 24}"


@dataclass(frozen=True, slots=True)
class _Level:
    """One factor of the chain, and the answers expected before it believes itself half. `of`: what it is learnt for:
    {list and attempt}, {attempt}, {kind} of number, {hour} of the week, {part} of the week."""

    of: str
    worth: float = 12.0
    of_hours: bool = False  # an hour's neighbours are much like it, and tell half as much of it as it does itself

    def name(self, who: Who, hour: int) -> str:
        return self.of.format(
            group=who.group,
            attempt=who.attempt,
            kind=who.kind,
            hour=hour,
            part=part_of_week(hour) if self.of_hours else "",
        )


# From the coarse to the fine. There are many of the fine ones, and the best of many looks better than it is.
_LEVELS = (
    _Level("/{attempt}"),
    _Level("{kind}"),
    _Level("{group} {kind}"),
    _Level("{part}", of_hours=True),
    _Level("{kind} {part}", of_hours=True),
    _Level("{kind} {hour}", 80.0, of_hours=True),
    _Level("{group} {kind} {part}", 80.0, of_hours=True),
)
_ANYBODY = Who("", ""), 0
_SURE_BY = 4  # the level whose calls say how sure a chance is


@dataclass(frozen=True)
class BestTimes:
    """What was learnt. Values, so that they can be written down and read again."""

    mean: float = _PRIOR[0] / _PRIOR[1]
    factors: tuple[Mapping[str, float], ...] = ({},) * len(_LEVELS)
    calls: Mapping[str, float] = field(default_factory=dict)  # to each kind of number in each part of the week
    seen: float = 0.0
    _hours: dict[tuple[Who, int], float] = field(default_factory=dict, repr=False, compare=False)
    _sure: dict[tuple[Who, int], Chance] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def learn(cls, seen: Iterable[Seen]) -> "BestTimes":
        """Learn from calls in cells."""
        cells = list(seen)
        calls = sum(cell.calls for cell in cells)
        mean = (_PRIOR[0] + sum(cell.answered for cell in cells)) / (_PRIOR[1] + calls)
        expected = [cell.calls * mean for cell in cells]
        values: list[Mapping[str, float]] = []
        behind: defaultdict[str, float] = defaultdict(float)
        for at, level in enumerate(_LEVELS):
            factors: dict[str, Factor] = {}
            for cell, expects in zip(cells, expected, strict=True):
                for hour, share in _with_neighbours(cell.hour) if level.of_hours else ((cell.hour, 1.0),):
                    name = level.name(cell.who, hour)
                    factors.setdefault(name, Factor(worth=level.worth)).add(share * cell.answered, share * expects)
                    if at == _SURE_BY:
                        behind[name] += share * cell.calls
            values.append({name: factor.value for name, factor in factors.items()})
            expected = [
                expects * values[-1][level.name(cell.who, cell.hour)]
                for cell, expects in zip(cells, expected, strict=True)
            ]
        return cls(mean, tuple(values), dict(behind), calls)

    def chance(self, who: Who, hour: int) -> float:
        """Return how likely somebody answers in an hour of their week."""
        known = self._hours.get((who, hour))
        if known is None:
            value = self.mean
            for factors, level in zip(self.factors, _LEVELS, strict=True):
                value *= factors.get(level.name(who, hour), 1.0)
            known = self._hours[who, hour] = min(_LIKELIEST, max(_SLOWEST, value))
        return known

    def sure(self, who: Who, hour: int) -> Chance:
        """Return the same with how sure it is: by the calls to the same kind of number in that part of the week."""
        cell = (who, hour) if self.factors[0] else _ANYBODY  # where nothing was learnt everybody is alike
        known = self._sure.get(cell)
        if known is None:
            behind = self.calls.get(_LEVELS[_SURE_BY].name(*cell), 0.0)
            known = self._sure[cell] = Chance(self.chance(*cell), _PRIOR[1] + behind)
        return known

    def as_json(self) -> dict[str, Any]:
        """Return what is written down."""
        told = [{name: round(value, 4) for name, value in level.items()} for level in self.factors]
        calls = {name: round(value, 1) for name, value in self.calls.items()}
        return {"mean": self.mean, "factors": told, "calls": calls, "seen": self.seen}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "BestTimes":
        """Read what was written down; what another release wrote otherwise is as if nothing were known."""
        if len(kept.get("factors", ())) != len(_LEVELS):
            return cls()
        return cls(kept["mean"], tuple(kept["factors"]), kept["calls"], kept["seen"])


def _with_neighbours(hour: int) -> Iterator[tuple[int, float]]:
    """The hour itself, and those beside it on the same day, with how much it tells of each."""
    yield hour, 1.0
    for beside in (hour - 1, hour + 1):
        if beside // 24 == hour // 24:
            yield beside, 0.5


def weight(age: timedelta) -> float:
    """Return what a call of that age weighs."""
    return float(0.5 ** (age / HALF_LIFE))


def hour_of_week(at: datetime, zone: str) -> int:
    """Return the hour of the week on the clock of a zone, Monday's first at 0."""
    local = at.astimezone(_zone(zone))
    return local.weekday() * 24 + local.hour


@lru_cache(maxsize=512)
def _zone(name: str) -> ZoneInfo:
    return ZoneInfo(name)


@lru_cache(maxsize=65_536)
def zone_of(number: str, otherwise: str) -> str:
    """Return the zone whose clock a phone's hours are told by: the first its number names, or the campaign's."""
    found = zones(number)
    return found[0] if found else otherwise


@lru_cache(maxsize=65_536)
def kind_of(number: str) -> str:
    """Return mobile, fixed, or other where a number does not say: in the US, for one."""
    parsed = parse_e164(number)
    kinds = {phonenumbers.PhoneNumberType.MOBILE: "mobile", phonenumbers.PhoneNumberType.FIXED_LINE: "fixed"}
    return kinds.get(phonenumbers.number_type(parsed), "other") if parsed is not None else "other"
