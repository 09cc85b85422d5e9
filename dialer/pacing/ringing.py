"""How long phones ring: when those who answer do, and when the others stop, given how long each has rung already.

Two competing ends, each with a hazard for every second of ringing, learnt with forgetting. A call that we ended
ourselves counts as having rung so long and nothing more. (Competing risks; Kalbfleisch and Prentice, The Statistical
Analysis of Failure Time Data, chapter 8.)
"""

from itertools import accumulate, pairwise
from math import erf, log, sqrt

LONGEST = 60  # seconds; nothing rings longer that we would want to know of
# The first guess: answers log-normal, mean 12 s and deviation 6 s; of the others one in ten ends at once, and the
# rest ring for some twenty seconds. Worth so many calls.
_GUESS_MEAN, _GUESS_SD, _GUESS_WORTH = 12.0, 6.0, 12.0
_GUESS_RING_OUT = 23


class Rings:
    """The learnt ring times. `answers[s]` and `stops[s]`: cumulative shares by the end of second s - 1."""

    def __init__(self, half_life: float = 600.0) -> None:
        self._keep = 0.5 ** (1.0 / half_life)
        spread = sqrt(log(1 + (_GUESS_SD / _GUESS_MEAN) ** 2))
        centre = log(_GUESS_MEAN) - spread**2 / 2
        below = [0.0, *(0.5 + 0.5 * erf((log(s) - centre) / spread / sqrt(2)) for s in range(1, _GUESS_RING_OUT)), 1.0]
        answered = [_GUESS_WORTH * 0.3 * (b - a) for a, b in pairwise(below)]
        stopped = [_GUESS_WORTH * 0.7 * share for share in (0.0, 0.05, 0.05, *[0.002] * 18, 0.4, 0.464)]
        pad = [0.0] * (LONGEST - len(answered))
        self._answered, self._stopped = answered + pad, stopped[: len(answered)] + pad
        ends = [a + b for a, b in zip(self._answered, self._stopped, strict=True)]
        self._at_risk = [sum(ends[second:]) for second in range(LONGEST)]
        self._scale = 1.0  # what one call seen now is worth: forgetting raises it instead of lowering all others
        self.answers: list[float] = []
        self.stops: list[float] = []
        self.mean = _GUESS_MEAN
        self.seen = 0
        self.settle()

    def observe(self, seconds: float, end: bool | None) -> None:
        """Learn from a call that rang so long: answered, stopped by itself (False), or given up by us (None)."""
        second = min(LONGEST - 1, max(0, int(seconds)))
        self._scale /= self._keep
        at_risk, worth = self._at_risk, self._scale
        for n in range(second + (end is not None)):
            at_risk[n] += worth
        if end is not None:
            (self._answered if end else self._stopped)[second] += worth
        self.seen += 1
        if worth > 1e6:
            for values in (self._answered, self._stopped, self._at_risk):
                values[:] = [value / worth for value in values]
            self._scale = 1.0

    def settle(self) -> None:
        """Reckon with what was learnt so far."""
        alive, answered, stopped = 1.0, [], []
        for yes, no, risk in zip(self._answered, self._stopped, self._at_risk, strict=True):
            if risk <= 0.0:
                answered.append(0.0)
                stopped.append(0.0)
                continue
            answered.append(alive * min(1.0, yes / risk))
            stopped.append(alive * min(1.0, no / risk))
            alive = max(0.0, alive - answered[-1] - stopped[-1])
        stopped[-1] += alive
        self.answers, self.stops = _shares(answered), _shares(stopped)
        self.mean = sum(share * (second + 0.5) for second, share in enumerate(answered)) / max(1e-9, sum(answered))

    def answered_by(self, seconds: float) -> float:
        """Return the share of those who answer who have done so after `seconds`."""
        return _at(self.answers, seconds)

    def left(self, chance: float, rung: float) -> tuple[float, float]:
        """Of a call that has rung so long and would be answered with this chance: (chance it still will be, and the
        part of the answers that are yet to come)."""
        to_come = max(0.0, 1.0 - _at(self.answers, rung))
        yes = chance * to_come
        no = max(0.0, (1.0 - chance) * (1.0 - _at(self.stops, rung)))
        return (min(1.0, yes / (yes + no)) if yes + no > 1e-12 else 0.0), to_come


def _shares(parts: list[float]) -> list[float]:
    """Cumulate parts to shares that end at 1."""
    total = sum(parts) or 1.0
    return list(accumulate((part / total for part in parts), initial=0.0))


def _at(cumulative: list[float], seconds: float) -> float:
    if seconds >= LONGEST:
        return 1.0
    whole = int(seconds)
    low = cumulative[whole]
    return low + (cumulative[whole + 1] - low) * (seconds - whole)
