"""What happens when, in the world's own seconds: a heap of things to do, run in order of time."""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Any


class Entry:
    """Something that will happen, unless it is cancelled first."""

    __slots__ = ("action", "args")

    def __init__(self, action: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.action: Callable[..., object] | None = action
        self.args = args

    def cancel(self) -> None:
        self.action = None
        self.args = ()


class Agenda:
    """Time moves only in `run_until`; two things of one moment happen in the order they were entered."""

    def __init__(self) -> None:
        self.now = 0.0
        self._entered = 0
        self._heap: list[tuple[float, int, Entry]] = []

    def at(self, time: float, action: Callable[..., object], *args: Any) -> Entry:
        """Enter `action` for `time`; what is already past happens as soon as time moves."""
        entry = Entry(action, args)
        self._entered += 1
        heappush(self._heap, (max(time, self.now), self._entered, entry))
        return entry

    def after(self, delay: float, action: Callable[..., object], *args: Any) -> Entry:
        return self.at(self.now + delay, action, *args)

    def next_time(self) -> float | None:
        """Return when the next thing happens; None when nothing ever will."""
        while self._heap and self._heap[0][2].action is None:
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def run_until(self, time: float) -> None:
        """Let everything due by `time` happen, each at its own moment, and stop at `time`."""
        heap = self._heap
        while heap and heap[0][0] <= time:
            due, _, entry = heappop(heap)
            if entry.action is not None:
                self.now = max(self.now, due)
                action, args = entry.action, entry.args
                entry.cancel()
                action(*args)
        self.now = max(self.now, time)

    def __len__(self) -> int:
        return sum(1 for _, _, entry in self._heap if entry.action is not None)
