"""Ring the doorbell from a thread of its own: whatever a ring costs, no reply to a PBX waits for it."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from campaigns.application import Doorbell
from campaigns.event_log import RawEvent

log = logging.getLogger(__name__)

_SAID_AGAIN_AFTER = 30.0  # seconds between two log lines about a doorbell that does not work

Call = tuple[str, str | None, str | None]


class Ringer:
    """Tells the doorbell which calls to look at, each once while it waits its turn.

    Bounded: a ring that finds no room is dropped and counted, and so is one that fails. A dropped ring costs a
    moment, never a call: the scheduler's second look finds the row.
    """

    def __init__(self, doorbell: Doorbell, *, lost: Callable[[int], None], capacity: int = 10_000) -> None:
        self._doorbell = doorbell
        self._capacity = capacity
        self._lost = lost
        self._calls: dict[Call, None] = {}  # in order, each once
        self._changed = threading.Condition()
        self._closing = False
        self._silent_until = 0.0
        self._thread = threading.Thread(target=self._ring_for_ever, name="doorbell", daemon=True)

    @property
    def waiting(self) -> int:
        """How many calls wait to be rung."""
        return len(self._calls)

    def start(self) -> None:
        """Begin to ring."""
        self._thread.start()

    def stop(self, limit: float = 2.0) -> None:
        """Ring what waits, for no longer than `limit` seconds."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(limit)

    def look(self, events: Sequence[RawEvent]) -> None:
        """Have each call of these kept events looked at. Returns at once and never fails."""
        with self._changed:
            for event in events:
                if event.keys.can_wait:
                    continue
                call = (event.pbx, event.keys.ref, event.keys.call_id)
                if len(self._calls) < self._capacity:
                    self._calls[call] = None
                elif call not in self._calls:
                    self._lost(1)
            self._changed.notify()

    def _ring_for_ever(self) -> None:
        while True:
            with self._changed:
                while not self._calls:
                    if self._closing:
                        return
                    self._changed.wait()
                calls, self._calls = self._calls, {}
            for call in calls:
                self._ring(call)

    def _ring(self, call: Call) -> None:
        try:
            self._doorbell.look(*call)
        except Exception as exc:  # a queue's client raises what it likes; the row is on disk either way
            self._lost(1)
            if time.monotonic() >= self._silent_until:
                self._silent_until = time.monotonic() + _SAID_AGAIN_AFTER
                log.warning("The doorbell cannot be rung (%s); the second look finds the events", type(exc).__name__)
