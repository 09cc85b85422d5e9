"""A PBX's account that allows so many requests in a while: the rule, and the book in which they are counted.

The book is shared by every process that speaks to the account, so it is given from outside; the one here serves a
single process. A request is written into it before it is sent, whether or not it arrives: the doubt is the account's.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dialer.pbx.base import Room


@dataclass(frozen=True, slots=True)
class Budget:
    """What an account allows. Seconds; `kept_back` are for reading, so that calls never leave us blind."""

    most: int = 100
    window: float = 900.0
    kept_back: int = 20
    slow_below: int = 20  # calls left from which on they are spread evenly

    @property
    def for_calls(self) -> int:
        """Requests of a window that may start calls."""
        return max(0, self.most - self.kept_back)

    @property
    def gap(self) -> float:
        """Seconds between two calls when they are spread evenly over the window."""
        return self.window / max(1, self.for_calls)


@dataclass(frozen=True, slots=True)
class Account:
    """An account at one moment: the ages of its requests, newest first, and for how long it is closed to us."""

    ages: Sequence[float] = ()
    closed_for: float = 0.0
    why: str = ""
    times: int = 0  # it has refused us, in a row


class RequestBook(Protocol):
    """Counts the requests of accounts, over all processes. Errors are DialerError: then nothing may be sent."""

    def take(self, account: str, kind: str, most: int, window: float) -> Account | None:
        """Write one request down, if there are fewer than `most` in `window` seconds and the account is open.

        None when it was written down; what stands against it otherwise. One at a time for each account.
        """

    def look(self, account: str, window: float) -> Account:
        """Return the account as it is now."""

    def close(self, account: str, seconds: float, why: str) -> None:
        """Let nobody send anything to the account for so long."""

    def reopen(self, account: str) -> None:
        """The account has answered: what closed it is over."""


def room(budget: Budget, now: Account) -> Room:
    """Say how many calls may be started now: all that is left, and towards the end one in each `gap`."""
    if now.closed_for > 0:
        return Room(0, f"{now.why}; nothing is sent for {now.closed_for:.0f} s")
    used = sum(age < budget.window for age in now.ages)
    left = budget.for_calls - used
    told = f"{used} of the {budget.most} requests that the account allows in {budget.window / 60:g} min are used"
    if left <= 0:
        wait = max(0.0, budget.window - sorted(now.ages)[budget.for_calls - 1]) if budget.for_calls else budget.window
        kept = f", {budget.kept_back} are kept for reading" if budget.kept_back else ""
        return Room(0, f"{told}{kept}: the next call in {wait:.0f} s")
    if left >= budget.slow_below:
        return Room(left, told)
    last = min(now.ages, default=budget.window)
    return Room(int(last >= budget.gap), f"{told}: one call in {budget.gap:.0f} s until there are more")


def spent(budget: Budget, most: int, now: Account) -> str:
    """Say why a request was not written down."""
    if now.closed_for > 0:
        return f"{now.why}; nothing is sent for {now.closed_for:.0f} s"
    wait = max(0.0, budget.window - sorted(now.ages)[most - 1]) if 0 < most <= len(now.ages) else budget.window
    return (
        f"{len(now.ages)} of the {budget.most} requests that the account allows in {budget.window / 60:g} min are "
        f"used: the next in {wait:.0f} s; nothing was sent"
    )


@dataclass
class LocalBook:
    """The book of one process."""

    monotonic: Callable[[], float] = time.monotonic
    _sent: dict[str, deque[float]] = field(default_factory=dict)
    _closed: dict[str, tuple[float, str, int]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, account: str, kind: str, most: int, window: float) -> Account | None:  # noqa: ARG002 (the book's)
        with self._lock:
            now = self._now(account, window)
            if now.closed_for > 0 or len(now.ages) >= most:
                return now
            self._sent.setdefault(account, deque()).appendleft(self.monotonic())
            return None

    def look(self, account: str, window: float) -> Account:
        with self._lock:
            return self._now(account, window)

    def close(self, account: str, seconds: float, why: str) -> None:
        with self._lock:
            times = self._closed.get(account, (0.0, "", 0))[2]
            self._closed[account] = (self.monotonic() + seconds, why, times + 1)

    def reopen(self, account: str) -> None:
        with self._lock:
            self._closed.pop(account, None)

    def _now(self, account: str, window: float) -> Account:
        at = self.monotonic()
        sent = self._sent.get(account, deque())
        while sent and at - sent[-1] >= window:
            sent.pop()
        until, why, times = self._closed.get(account, (at, "", 0))
        return Account(tuple(at - one for one in sent), max(0.0, until - at), why, times)
