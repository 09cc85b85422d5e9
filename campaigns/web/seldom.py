"""Log lines that anybody outside could cause a million times: one in a while, with how many were left out."""

import logging
import time
from collections.abc import Callable, Hashable

log = logging.getLogger("campaigns.web")


class Seldom:
    """Writes a line of each kind at most once in `every` seconds."""

    def __init__(self, every: float = 10.0, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._every, self._monotonic = every, monotonic
        self._next: dict[Hashable, float] = {}
        self._left_out: dict[Hashable, int] = {}

    def warning(self, sentence: str, *values: object, kind: Hashable = None) -> None:
        """Log `sentence`; `kind` must come from a short list of our own, or memory would grow."""
        kind = kind or sentence
        now = self._monotonic()
        if now < self._next.get(kind, now):
            self._left_out[kind] = self._left_out.get(kind, 0) + 1
            return
        self._next[kind] = now + self._every
        left_out = self._left_out.pop(kind, 0)
        log.warning(
            sentence + (" (and %d more like it)" if left_out else ""), *values, *([left_out] if left_out else [])
        )
