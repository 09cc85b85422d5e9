"""How often people call in, learnt from when they did: each of them will take an agent our calls count on."""

from datetime import datetime
from math import exp, log

_HALF_LIFE = 900.0  # seconds after which a caller counts half
_KEEP = log(2.0) / _HALF_LIFE


class Callers:
    """The rate of people calling in, over about the last twenty minutes."""

    def __init__(self) -> None:
        self._weight = 0.0
        self._last: datetime | None = None

    def observe(self, at: datetime) -> None:
        """Somebody called in."""
        self._weight = self._weight * self._faded(at) + 1.0
        self._last = at

    def per_second(self, now: datetime) -> float:
        """The rate now."""
        return self._weight * self._faded(now) * _KEEP

    def _faded(self, now: datetime) -> float:
        if self._last is None:
            return 1.0
        return exp(-max(0.0, (now - self._last).total_seconds()) * _KEEP)
