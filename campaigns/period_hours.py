"""Whether a period lies within the hours in which a campaign may call at all, by the campaign's own clock.

Asked when a period is defined: one in which nobody can ever be called makes promises that nobody can keep. Holidays
are left out, and so is where each phone is: rows and promises are judged by those one by one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import time

from dialer.calling_rules import CallingRules
from dialer.windows import Hours

DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MIDNIGHT = 24 * 60


@dataclass(frozen=True, slots=True)
class PeriodHours:
    """On which days nobody may be called in a period, and on which only in part of it."""

    never: tuple[str, ...] = ()
    partly: tuple[tuple[str, str], ...] = ()  # (day, hours that are left)

    @property
    def empty(self) -> bool:
        """Whether nobody may be called in it on any day."""
        return len(self.never) == len(DAYS)

    def sentence(self) -> str:
        """Say what somebody who defines the period should know; empty when all of it can be used."""
        told = []
        if self.never:
            told.append(f"nobody may be called in it on {_listed(self.never)}")
        by_hours: dict[str, list[str]] = {}
        for day, hours in self.partly:
            by_hours.setdefault(hours, []).append(day)
        told += [f"only {hours} of it may be used on {_listed(days)}" for hours, days in by_hours.items()]
        return "; ".join(told)


def period_hours(starts: time, ends: time, hours: Hours, packs: Sequence[CallingRules]) -> PeriodHours:
    """Lay a period over the campaign's hours and those of the packs that hold for it."""
    wanted = (starts.hour * 60 + starts.minute, ends.hour * 60 + ends.minute)
    never, partly = [], []
    for index, day in enumerate(DAYS):
        left = [wanted]
        for table in (hours, *(pack.hours for pack in packs)):
            spans = ((0, _MIDNIGHT),) if table.week is None else table.week[index]
            both = [(max(a, b), min(c, d)) for a, c in left for b, d in spans]
            left = [(begin, end) for begin, end in both if begin < end]
        if not left:
            never.append(day)
        elif left != [wanted]:
            partly.append((day, " and ".join(f"{_clock(begin)}-{_clock(end)}" for begin, end in left)))
    return PeriodHours(tuple(never), tuple(partly))


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"


def _listed(days: Sequence[str]) -> str:
    if len(days) > 1:
        return f"{', '.join(days[:-1])} and {days[-1]}"
    return days[0]
