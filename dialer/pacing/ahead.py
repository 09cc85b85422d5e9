"""From a snapshot and what was learnt to the moments ahead: who will have answered, and who will be free, by when."""

from collections.abc import Sequence
from itertools import accumulate
from math import ceil, exp

from dialer.pacing.base import Snapshot
from dialer.pacing.history import History
from dialer.pacing.outlook import Moment

MOMENTS = 5  # at which a new call's answers are looked at, each standing for as many of them
_FINE = 0.25  # seconds; moments are found to this
_STRETCH = 15.0  # seconds over which a talk's chance to end is taken as even
_FURTHEST = 64  # seconds; nothing is asked about beyond


class Ahead:
    """What one snapshot lets expect. `kept`: of the seconds that calls ring past the least ringing, the part in which
    we do not give them up; such calls are answered that much less."""

    def __init__(
        self,
        history: History,
        moments: Sequence[float],
        freed: Sequence[float],
        kept: float,
        min_ring: float | None = None,
    ) -> None:
        self._history, self.moments, self._freed, self._kept = history, moments, freed, kept
        self.min_ring = min_ring  # that the moments were planned for

    @classmethod
    def plan(cls, history: History, min_ring: float | None, kept: float) -> "Ahead":
        """Choose the moments: the answers of a new call up to the least ringing, in equal parts."""
        share = 1.0 if min_ring is None else history.rings.answered_by(min_ring)
        moments, seconds = [], 0.0
        for n in range(MOMENTS):
            while history.rings.answered_by(seconds) < share * (n + 0.5) / MOMENTS and seconds < _FURTHEST / 2:
                seconds += _FINE
            moments.append(seconds)
        # The wrap-up that follows a talk: summed over the seconds in which the talk may end.
        over = [history.wrap_up.over_within(second + 0.5, 0.0) for second in range(_FURTHEST)]
        return cls(history, moments, list(accumulate(over, initial=0.0)), kept, min_ring)

    def weight(self, min_ring: float | None) -> float:
        """The part of a new call's answers that each moment stands for: those later can still be given up."""
        return self._least(min_ring) / MOMENTS

    def answering(
        self, rung: Sequence[float], chances: Sequence[float], within: float, min_ring: float | None
    ) -> list[float]:
        """Of each call that has rung so long, the chance that it is answered within these seconds."""
        return self._answered(self._in_the_air(rung, chances), within, self._least(min_ring))

    def freed(self, now: Snapshot, within: float) -> list[float]:
        """Of each busy agent, the chance to be free within these seconds; then of those who rest, 1 or 0."""
        return self._free(now, self._talking(now), within)

    def _least(self, min_ring: float | None) -> float:
        return 1.0 if min_ring is None else self._history.rings.answered_by(min_ring)

    def _in_the_air(self, rung: Sequence[float], chances: Sequence[float]) -> list[tuple[float, float, float]]:
        """Of each call: how long it has rung, the chance that it will be answered, the part of answers to come."""
        left = self._history.rings.left
        return [(elapsed, *left(chance, elapsed)) for elapsed, chance in zip(rung, chances, strict=True)]

    def _answered(self, calls: Sequence[tuple[float, float, float]], within: float, least: float) -> list[float]:
        answered_by, found = self._history.rings.answered_by, []
        for elapsed, yes, to_come in calls:
            if to_come < 1e-9:
                found.append(0.0)
                continue
            already, by_then = 1.0 - to_come, answered_by(elapsed + within)
            safe = max(least, already)
            if by_then > safe:  # past the least ringing: only as far as we let it ring
                by_then = safe + self._kept * (by_then - safe)
            found.append(yes * max(0.0, by_then - already) / to_come)  # `already` has been rounded twice
        return found

    def _talking(self, now: Snapshot) -> list[float]:
        """Of each who talks, what is summed up of the chance to end within the next stretch (and less than zero)."""
        summed = self._history.talk.cumulative
        return [
            summed(elapsed) - summed(elapsed + _STRETCH) for talks in (now.talking, now.elsewhere) for elapsed in talks
        ]

    def _free(self, now: Snapshot, talking: Sequence[float], within: float) -> list[float]:
        wait = now.goals.desired_wait or 0.0
        work = within - wait
        found = [1.0 if waited + within >= wait else 0.0 for waited in resting(now)]
        if work <= 0.0:
            return found + [0.0] * (len(now.wrapping) + len(talking))
        wrap_up = self._history.wrap_up
        found += [wrap_up.over_within(work, elapsed) for elapsed in now.wrapping]
        whole = min(_FURTHEST - 1, int(work))
        after = self._freed[whole] + (self._freed[whole + 1] - self._freed[whole]) * (work - whole)
        after /= _STRETCH
        return found + [1.0 - exp(stretch * after) for stretch in talking]

    def calling_in(self, per_second: float, within: float) -> list[float]:
        """People who will call in by then, as chances of one each: they take agents as customers do."""
        expected = per_second * within
        parts = ceil(expected)
        return [expected / parts] * parts if parts else []

    def look(
        self, now: Snapshot, rung: Sequence[float], chances: Sequence[float], patience: float, per_second: float = 0.0
    ) -> list[Moment]:
        """Look at each moment ahead. `per_second`: people who call in."""
        rings, least = self._history.rings, self._least(now.goals.min_ring)
        weight, calls, talking = self.weight(now.goals.min_ring), self._in_the_air(rung, chances), self._talking(now)
        return [
            Moment(
                weight,
                rings.answered_by(seconds),
                self._answered(calls, seconds, least) + self.calling_in(per_second, seconds),
                self._free(now, talking, seconds + patience),
            )
            for seconds in self.moments
        ]


def resting(now: Snapshot) -> list[float]:
    """The free agents who have not waited as long as they shall between two calls: how long they have."""
    wait = now.goals.desired_wait
    return [waited for waited in now.waits if waited < wait] if wait else []
