"""Chance in the virtual world. The k-th call of a list meets the same person whoever paces.

Everything that will become of a call is drawn when it is launched, from a stream of its own list, always the same
number of draws in the same order. Two pacers are compared on the same people, and their difference is theirs.
"""

import random
from dataclasses import dataclass
from functools import cached_property
from math import exp, log, sqrt
from statistics import NormalDist

_STANDARD = NormalDist()


@dataclass(frozen=True)
class LogNormal:
    """A duration in seconds by its mean and coefficient of variation, before it is cut; none is longer than `cut`.

    Cut by drawing again, as people who would answer later than the ring lasts are not among those who answer.
    """

    mean: float
    cv: float
    cut: float | None = None

    def __post_init__(self) -> None:
        if self.mean <= 0 or self.cv < 0 or (self.cut is not None and self.cut <= 0):
            raise ValueError(f"a duration needs mean > 0, cv >= 0 and cut > 0, not {self}")

    @cached_property
    def mu(self) -> float:
        """Mean of the logarithm."""
        return log(self.mean) - self.sigma**2 / 2

    @cached_property
    def sigma(self) -> float:
        """Standard deviation of the logarithm."""
        return sqrt(log(1 + self.cv**2))

    def draw(self, chance: random.Random) -> float:
        """Draw one, by inverting the distribution as it is cut: one uniform number, whatever comes of it."""
        share = chance.random() or 1e-300
        if self.cv == 0:
            return self.mean
        if self.cut is not None:
            share *= self._below_cut
        return exp(self.mu + self.sigma * _STANDARD.inv_cdf(max(share, 1e-300)))

    def below(self, seconds: float) -> float:
        """Return the chance that it is over within `seconds`."""
        if seconds <= 0:
            return 0.0
        if self.cut is not None and seconds >= self.cut:
            return 1.0
        if self.cv == 0:
            return 1.0 if seconds >= self.mean else 0.0
        share = _STANDARD.cdf((log(seconds) - self.mu) / self.sigma)
        return share / self._below_cut if self.cut is not None else share

    @cached_property
    def _below_cut(self) -> float:
        assert self.cut is not None
        if self.cv == 0:
            return 1.0
        return _STANDARD.cdf((log(self.cut) - self.mu) / self.sigma)


@dataclass(slots=True)
class Fate:
    """What will become of a call: who answers and when, and how long the talk and the wrap-up would last."""

    answers: bool
    rings: float  # seconds from the launch to the answer, or to the end of the try
    machine: bool
    detected: float  # a uniform number: whether a detector takes them for what they are
    talk: float
    wrap_up: float
    parks: float = 0.0  # after the wrap-up, until the agent is on the line again
