"""The automatic step between modes: one call per agent while the fast mode would be unsafe, and back with patience."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from dialer.pacing.base import Pace, PaceEvent, Pacer, Snapshot, Staleness, count
from dialer.pacing.progressive import Progressive


@dataclass(frozen=True, slots=True)
class Steps:
    """When to step down, and when to step back up."""

    # A smaller team is dialled one call per agent: a single agent who is busy leaves nobody at all for the answer.
    smallest_team: int = 2
    health: timedelta = timedelta(seconds=10)  # everything well for so long before the fast mode returns


class Stepping:
    """Wraps the pacer of a fast mode: down to one call per agent, and to zero, as soon as there is a reason; up again
    only after everything has been well for a while, so that it does not flap.

    Everything is still told to the fast pacer meanwhile, so that it returns with what it has learnt.
    """

    def __init__(
        self, mode: str, fast: Pacer, *, staleness: Staleness | None = None, steps: Steps | None = None
    ) -> None:
        self._mode, self._fast = mode, fast
        self._staleness, self._steps = staleness or Staleness(), steps or Steps()
        self._careful = Progressive(self._staleness)
        self._unwell_at: datetime | None = None  # the last moment at which something was wrong

    @property
    def fast(self) -> Pacer:
        """The pacer of the mode itself."""
        return self._fast

    def observe(self, event: PaceEvent) -> None:
        """Tell the fast pacer, whichever decides now."""
        self._fast.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Forget everything and learn it anew; what is wrong now shows in the next snapshot."""
        self._unwell_at = None
        self._fast.restore(events)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        """Let the fast pacer decide, unless something is wrong or was a moment ago."""
        void = self._staleness.void(snapshot)
        if void is not None:
            self._unwell_at = now
            return replace(void, why=f"{void.why}; {self._mode} waits", limits=(*void.limits, "stepped to zero"))
        reason = self._wrong(snapshot)
        if reason is not None:
            self._unwell_at = now
        elif self._unwell_at is not None:
            well = now - self._unwell_at
            if timedelta(0) <= well < self._steps.health:
                reason = f"all well for {well.total_seconds():.0f} of {self._steps.health.total_seconds():.0f} s"
            else:
                self._unwell_at = None
        fast = self._fast.decide(now, snapshot)
        if reason is None:
            return fast
        # How many calls is the careful one's word; which to end, and whom to call, is known by the fast one alone.
        careful = self._careful.decide(now, snapshot)
        why = f"{careful.why}; stepped down from {self._mode}: {reason}"
        limits = (*careful.limits, "stepped down")
        return Pace(careful.calls, why, limits, fast.give_up, fast.choose, fast.reckoned)

    def _wrong(self, now: Snapshot) -> str | None:
        doubt = self._staleness.doubt(now)
        if doubt is not None:
            return doubt[0]
        if now.team < self._steps.smallest_team:
            return f"{count(now.team, 'agent')} at work, fewer than {self._steps.smallest_team}"
        return None
