"""A day's people from the records of a real day: the calls that were made, instead of draws from a distribution."""

import random
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

from dialer.calls import CallState
from dialer.simulation.draws import Fate, LogNormal

IN_ORDER = 0  # the seed of the day that meets the recorded calls in their own order


@dataclass(frozen=True, slots=True)
class Tried:
    """A call that was really made: the second of the day at which it was ordered, and what came of it."""

    at: float
    fate: Fate
    group: str = ""


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

    def ended(self, fate: Fate, end: CallState, now: float) -> None:
        """Who comes back is on record already."""

    def call(self, now: float, wanted: str | None) -> tuple[str, Fate]:  # noqa: ARG002
        """Take the next recorded call, or one of those made at about this time."""
        if self._next < len(self._calls):
            self._next += 1
            met = self._calls[self._next - 1]
            return met.group, met.fate
        middle = bisect_left(self._times, now)
        first = max(0, min(middle - self._near // 2, len(self._calls) - self._near))
        last = min(len(self._calls), first + self._near)
        met = self._calls[self._chance.randrange(first, last)]
        return met.group, met.fate


@dataclass(frozen=True, slots=True)
class OnRecord:
    """A call as the records have it; what they do not know is None. Lengths are in seconds."""

    at: float
    answered: bool | None  # None: given up while it rang, so nobody knows
    rings: float  # to the answer, to the end of the try, or to our giving up
    talk: float | None = None  # None: met nobody, or still talks
    wrap_up: float | None = None
    parks: float | None = None
    group: str = ""
    machine: bool = False  # or whatever else an agent met that was no person


def tried(calls: Sequence[OnRecord], seed: int = 0) -> tuple[Tried, ...]:
    """Make whole what the records leave open, by what they say of other calls.

    Who met no agent would have talked as long as one who did, and been a machine if that one was. A call we gave up
    would have gone on as one that rang at least as long.
    """
    chance = random.Random(f"{seed} on record")
    talks = [(call.talk, call.machine) for call in calls if call.talk is not None] or [
        (LogNormal(180.0, 1.0).draw(chance), False) for _ in range(200)
    ]
    wrap_ups = [call.wrap_up for call in calls if call.wrap_up is not None] or [0.0]
    parks = [call.parks for call in calls if call.parks is not None] or [0.0]
    certain = sorted((call for call in calls if call.answered is not None), key=lambda call: call.rings)
    rings = [call.rings for call in certain]

    def whole(call: OnRecord) -> Tried:
        answered, rang = bool(call.answered), call.rings
        if call.answered is None:
            longer = certain[bisect_left(rings, call.rings) :]
            if longer:
                other = chance.choice(longer)
                answered, rang = bool(other.answered), other.rings
        talk, machine = (call.talk, call.machine) if call.talk is not None else chance.choice(talks)
        fate = Fate(
            answers=answered,
            rings=max(0.0, rang),
            machine=machine,
            detected=1.0,
            talk=talk,
            wrap_up=call.wrap_up if call.wrap_up is not None else chance.choice(wrap_ups),
            parks=call.parks if call.parks is not None else chance.choice(parks),
        )
        return Tried(call.at, fate, call.group)

    return tuple(whole(call) for call in calls)
