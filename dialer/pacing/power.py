"""A fixed number of calls for each free agent, whoever answers; one each while that would be unsafe."""

from collections.abc import Iterable
from datetime import datetime
from math import floor

from dialer.pacing.base import Pace, PaceEvent, Snapshot, Staleness, bounded
from dialer.pacing.progressive import one_per_agent, one_per_agent_because, spoken_for
from dialer.pacing.sharing import own_part


class Power:
    """Keeps `ratio` calls ringing for each agent who could take one. Learns nothing.

    A fixed ratio knows nothing of abandonment, so the budget is a wall here: while it is spent (and at first, when
    nobody may be lost yet) each agent gets one call.
    """

    def __init__(self, staleness: Staleness | None = None) -> None:
        self._staleness = staleness or Staleness()

    def observe(self, event: PaceEvent) -> None:
        """A fixed ratio needs no history."""

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """A fixed ratio needs no history."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:  # noqa: ARG002 (the protocol's)
        """Start `ratio` calls for each free agent, less those ringing or waiting already."""
        void = self._staleness.void(snapshot)
        if void is not None:
            return void
        held_back = self._staleness.doubt(snapshot) or _budget(snapshot)
        if held_back is not None:
            limit, reason = held_back
            because = f"one call per agent: {one_per_agent_because(snapshot)}; {reason}"
            return bounded(own_part(one_per_agent(snapshot), snapshot), snapshot, because, (limit,))
        ratio = ratio_of(snapshot)
        # 2.3 calls for ten agents are 23: the float is a little less.
        wanted = floor(ratio * snapshot.free + 1e-9) - spoken_for(snapshot)
        because = f"{ratio:g} calls per agent: {one_per_agent_because(snapshot)}"
        return bounded(own_part(wanted, snapshot), snapshot, because, ("ratio",))


def ratio_of(now: Snapshot) -> float:
    """Return the calls for each free agent: what the supervisor asked for, never less than one."""
    return max(1.0, now.goals.ratio or 1.0)


def _budget(now: Snapshot) -> tuple[str, str] | None:
    budget = now.budget
    if not budget.spent:
        return None
    if not budget.abandoned:
        return "budget", "nobody may be lost yet"
    lost = f"{budget.abandoned} of {budget.abandoned + budget.met}"
    return "budget", f"the {budget.ceiling:.0%} are used up ({lost} abandoned)"
