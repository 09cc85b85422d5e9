"""A day's people from the records of a real day: the calls that were made, instead of draws from a distribution."""

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from dialer.simulation.draws import Fate

IN_ORDER = 0  # the seed of the day that meets the recorded calls in their own order


@dataclass(frozen=True, slots=True)
class Tried:
    """A call that was really made: the second of the day at which it was ordered, and what came of it."""

    at: float
    fate: Fate


@dataclass(frozen=True)
class Recorded:
    """Makes a day's people of recorded calls (in the order of `at`).

    The day with seed `IN_ORDER` meets them one after the other, as they were; when it wants more than there are, and
    on every other day, each call is one of the recorded ones of about that time, drawn anew. So what the records
    leave to chance shows in the spread of the days.
    """

    calls: tuple[Tried, ...]
    near: int = (
        200  # recorded calls around that time among which one is drawn: minutes, so that the day keeps its shape
    )

    def __call__(self, seed: int) -> "RecordedDay":
        return RecordedDay(self.calls, seed, self.near)


class RecordedDay:
    """The people of one such day."""

    used_up = False

    def __init__(self, calls: Sequence[Tried], seed: int, near: int) -> None:
        if not calls:
            raise ValueError("a day of recorded calls needs at least one")
        self._calls, self._near = calls, near
        self._times = [call.at for call in calls]
        self._chance = random.Random(f"{seed} recorded")
        self._next = 0 if seed == IN_ORDER else len(calls)

    def due(self, now: float) -> None:
        """Any number: whom the list still held is not on record."""

    def call(self, now: float, wanted: str | None) -> tuple[str, Fate]:  # noqa: ARG002
        """Take the next recorded call, or one of those made at about this time."""
        if self._next < len(self._calls):
            self._next += 1
            return "", self._calls[self._next - 1].fate
        middle = bisect_left(self._times, now)
        first = max(0, min(middle - self._near // 2, len(self._calls) - self._near))
        last = min(len(self._calls), first + self._near)
        return "", self._calls[self._chance.randrange(first, last)].fate
