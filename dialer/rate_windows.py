"""The stretches of time over which the laws count abandoned calls: when the one in force opened, when it closes.

Pure arithmetic. Times are aware; a day is the calendar day of a zone, so it has 23 or 25 hours when clocks change.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Literal

Kind = Literal["rolling", "day", "blocks", "campaign"]
Counts = Literal["met", "met_with_machines", "answered"]

_ONE_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class WindowRule:
    """A law's window: the rate counted in it stays at or under the ceiling.

    `kind`: "rolling", the last `length` at every moment; "day", the calendar day; "blocks", one `length` after
    the other from the campaign's first call on, the last one however short; "campaign", all of it.
    `counts`: what the abandoned (D) are compared with. "met": D / (D + L). "answered": D / H, so those who hung up
    before the limit count too. "met_with_machines": D / (D + L + m), which is Ofcom's d / (d + L) with
    d = D - D m / (m + L), multiplied out: no fractions, and machines that agents met need not be told from people.
    """

    kind: Kind
    ceiling: float
    counts: Counts = "met"
    length: timedelta = _ONE_DAY  # of "rolling" and "blocks"

    @property
    def name(self) -> str:
        """The window, for people: "budget 11 calls left of 30 days"."""
        if self.kind == "day":
            return "the day"
        if self.kind == "campaign":
            return "the campaign"
        hours = self.length / timedelta(hours=1)
        return f"{hours:g} h" if hours <= 48 else f"{hours / 24:g} days"

    def opens(self, now: datetime, first_call: datetime | None, zone: tzinfo) -> datetime:
        """Return from when calls count (that moment included) in the window in force at `now`; UTC.

        `first_call`: the campaign's; None while it has called nobody, when nothing can count yet.
        """
        now = now.astimezone(UTC)
        if self.kind == "rolling":
            return now - self.length
        if self.kind == "day":
            return midnight(now, zone)
        if first_call is None or first_call > now:
            return now
        first_call = first_call.astimezone(UTC)
        return first_call if self.kind == "campaign" else first_call + (now - first_call) // self.length * self.length

    def closes(self, now: datetime, first_call: datetime | None, zone: tzinfo) -> datetime | None:
        """Return the first moment that no longer belongs to the window in force at `now`, in UTC.

        None for windows that have no such moment: one that rolls on, and a campaign nobody has ended.
        """
        if self.kind == "day":
            return midnight(now, zone, days=1)
        if self.kind == "blocks":
            return self.opens(now, first_call, zone) + self.length
        return None


def midnight(now: datetime, zone: tzinfo, *, days: int = 0) -> datetime:
    """When the local day of `now`, or the one `days` later, begins.

    A midnight that clocks skip is the moment they do so; one that comes twice is the first of the two.
    """
    day = now.astimezone(zone).date() + timedelta(days=days)
    return datetime.combine(day, time(0), tzinfo=zone).astimezone(UTC)
