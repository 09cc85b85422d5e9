"""How long talk and wrap-up last, as the chance to end in the next seconds given how long it has lasted already.

A hazard that is constant within each of some twenty stretches of age, each with a Gamma posterior: the prior is the
exponential distribution of a first guess, worth some ended ones, and old lessons fade. Those still running count
as what they are: so many seconds without an end. Without them the short ones, which end first, would be all we
know. (Piecewise exponential model; Friedman, Annals of Statistics 10, 1982.)
"""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import exp

# Seconds of age at which the next stretch begins. Fine where wrap-ups end, coarse where only long talks are left.
EDGES = (
    0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 13.0, 16.0, 20.0, 25.0, 30.0, 40.0, 50.0, 65.0, 80.0, 100.0, 130.0,
    160.0, 200.0, 260.0, 340.0, 450.0, 600.0, 900.0, 1500.0,
)  # fmt: skip
_GRID = 1200  # seconds for which the cumulative hazard is kept by the second; beyond, it grows as in the last stretch


class Lengths:
    """The learnt hazard of one kind of work."""

    def __init__(self, guess: float, weight: float = 6.0, half_life: float = 300.0) -> None:
        self._keep = 0.5 ** (1.0 / half_life)
        ends = (*EDGES[1:], EDGES[-1] + guess)
        masses = [exp(-low / guess) - exp(-high / guess) for low, high in zip(EDGES, ends, strict=True)]
        masses[-1] += exp(-ends[-1] / guess)
        # Every stretch keeps a little of the guess, or its first lesson would be all it ever knew.
        self._prior_ended = [weight * mass + 0.05 for mass in masses]
        self._prior_seconds = [ended * guess for ended in self._prior_ended]
        self._ended = [0.0] * len(EDGES)
        self._seconds = [0.0] * len(EDGES)
        self._total = self._count = 0.0
        self._guess, self._weight = guess, weight
        self._hazard: list[float] = []
        self._cumulative: list[float] = []
        self.seen = 0
        self.settle(())

    def observe(self, seconds: float) -> None:
        """Learn how long one of them took."""
        seconds = max(0.05, seconds)
        keep = self._keep
        self._ended = [value * keep for value in self._ended]
        self._seconds = [value * keep for value in self._seconds]
        last = _spend(self._seconds, seconds)
        self._ended[last] += 1.0
        self._total, self._count = self._total * keep + seconds, self._count * keep + 1.0
        self.seen += 1

    def settle(self, running: Sequence[float]) -> None:
        """Reckon with what was learnt so far, and with those still `running` for so many seconds each."""
        seconds = list(self._seconds)
        for elapsed in running:
            _spend(seconds, elapsed)
        self._hazard = [
            (ended + prior) / (lasted + more)
            for ended, prior, lasted, more in zip(
                self._ended, self._prior_ended, seconds, self._prior_seconds, strict=True
            )
        ]
        by_second: list[float] = []
        for n, hazard in enumerate(self._hazard):
            until = int(EDGES[n + 1]) if n + 1 < len(EDGES) else _GRID
            by_second += [hazard] * (min(until, _GRID) - len(by_second))
        self._cumulative = list(accumulate(by_second, initial=0.0))

    def cumulative(self, age: float) -> float:
        """Return the hazard summed up to this age."""
        if age >= _GRID:
            return self._cumulative[_GRID] + (age - _GRID) * self._hazard[-1]
        whole = int(age)
        low = self._cumulative[whole]
        return low + (self._cumulative[whole + 1] - low) * (age - whole)

    def over_within(self, seconds: float, elapsed: float) -> float:
        """Return the chance that one that has lasted `elapsed` is over within `seconds` more."""
        return 1.0 - exp(self.cumulative(elapsed) - self.cumulative(elapsed + seconds))

    @property
    def mean(self) -> float:
        """The mean of those that ended, and of the guess."""
        return (self._total + self._guess * self._weight) / (self._count + self._weight)


def _spend(stretches: list[float], seconds: float) -> int:
    """Add the seconds that one of this length spends in each stretch; returns the stretch in which it ends."""
    last = bisect_right(EDGES, seconds) - 1
    for n in range(last):
        stretches[n] += EDGES[n + 1] - EDGES[n]
    stretches[last] += seconds - EDGES[last]
    return last
