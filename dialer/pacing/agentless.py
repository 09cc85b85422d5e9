"""As many calls in the air as the lines allow: whoever answers hears the message, so no agent is waited for."""

from collections.abc import Iterable
from datetime import datetime

from dialer.pacing.base import Pace, PaceEvent, Snapshot, Staleness, bounded, count


class Agentless:
    """Fills the lines. The team does not matter, the age of what we know of the PBX does: it counts the lines."""

    def __init__(self, staleness: Staleness | None = None) -> None:
        self._staleness = staleness or Staleness()

    def observe(self, event: PaceEvent) -> None:
        """Lines need no history."""

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Lines need no history."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:  # noqa: ARG002 (the protocol's)
        """Use every line that is left; one call at a time while the lines were not read lately."""
        blind = self._staleness.blind(snapshot)
        if blind is not None:
            return blind
        in_air = len(snapshot.ringing)
        doubt = self._staleness.doubt(snapshot)
        if doubt is not None:
            limit, reason = doubt
            return bounded(1 - in_air, snapshot, f"one call at a time: {in_air} ringing; {reason}", (limit,))
        calls = snapshot.lines_left
        whose = "campaign lines" if calls < snapshot.free_lines else "lines"
        because = (
            f"no agents needed: {count(calls, 'line')} left, {in_air} ringing, {snapshot.in_message} in the message"
        )
        return Pace(calls, f"{calls}: {because}", (whose,))
