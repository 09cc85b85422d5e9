"""Chance that does not depend on order: each number, call and agent has draws of its own.

A draw is keyed by (seed, what it is about), so another pace, another thread or one request more meets the
same customers: the 2nd call of a number ends the same way whenever it is made.
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import exp, log, sqrt
from statistics import NormalDist

_STANDARD = NormalDist()
_WORDS = 8  # 64-bit words in one digest


class Draws:
    """An endless private stream of numbers for one key."""

    __slots__ = ("_block", "_key", "_seed", "_words")

    def __init__(self, seed: bytes, key: bytes) -> None:
        self._seed = seed
        self._key = key
        self._block = 0
        self._words: list[int] = []

    def uniform(self, low: float = 0.0, high: float = 1.0) -> float:
        """Return a number strictly between `low` and `high`."""
        if not self._words:
            salt = self._block.to_bytes(8, "big")
            digest = blake2b(self._key, key=self._seed, salt=salt).digest()
            self._words = [int.from_bytes(digest[8 * i : 8 * i + 8], "big") for i in range(_WORDS)]
            self._block += 1
        return low + (high - low) * ((self._words.pop() >> 11) + 0.5) / (1 << 53)

    def chance(self, probability: float) -> bool:
        return self.uniform() < probability

    def exponential(self, mean: float) -> float:
        return -log(self.uniform()) * mean


class Chance:
    """The seed, and the streams that come from it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._seed = str(seed).encode()

    def of(self, *key: object) -> Draws:
        """Return the stream of `key`; asked again, it starts again."""
        return Draws(self._seed, "|".join(map(str, key)).encode())


@dataclass(frozen=True, slots=True)
class LogNormal:
    """Durations with a long tail, by their own mean and deviation; nothing is longer than `cut`."""

    mean: float
    sd: float
    cut: float | None = None

    def __post_init__(self) -> None:
        if self.mean <= 0 or self.sd < 0 or (self.cut is not None and self.cut <= 0):
            raise ValueError(f"a duration needs mean > 0, sd >= 0 and cut > 0, not {self}")

    def draw(self, draws: Draws) -> float:
        """Draw one, by inverting the distribution that is cut (so the cut makes no heap at its edge)."""
        u = draws.uniform()
        if self.sd == 0:
            return self.mean if self.cut is None else min(self.mean, self.cut)
        variance = log(1 + (self.sd / self.mean) ** 2)
        mu, sigma = log(self.mean) - variance / 2, sqrt(variance)
        if self.cut is not None:
            u *= _STANDARD.cdf((log(self.cut) - mu) / sigma)
        return exp(mu + sigma * _STANDARD.inv_cdf(max(u, 1e-300)))
