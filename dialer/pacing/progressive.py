"""One call per idle agent: slow, and nobody answers to silence unless an agent leaves meanwhile."""

from collections.abc import Iterable
from datetime import datetime

from dialer.pacing.ahead import resting
from dialer.pacing.base import Pace, PaceEvent, Snapshot, Staleness, bounded, count
from dialer.pacing.sharing import own_part


def one_per_agent(now: Snapshot, given_up: int = 0) -> int:
    """Return the calls that give every free agent one, counting those already ringing or waiting.

    Agents who rest between two calls get none yet. Calls that are being given up ring for nobody; those of other
    campaigns that share the agents ring for them too.
    """
    return max(0, now.free - len(resting(now)) - spoken_for(now) + given_up)


def spoken_for(now: Snapshot) -> int:
    """Return the calls in the air that want a free agent, those of other campaigns among them."""
    waiting = now.waiting + now.others_waiting + now.inbound_waiting
    return waiting + len(now.ringing) + len(now.others_ringing)


def one_per_agent_because(now: Snapshot) -> str:
    """Say what `one_per_agent` counted."""
    parts = [free_agents(now)]
    if now.waiting + now.others_waiting:
        parts.append(f"{count(now.waiting + now.others_waiting, 'customer')} waiting")
    if now.inbound_waiting:
        parts.append(f"{count(now.inbound_waiting, 'caller')} waiting")
    if now.ringing or now.others_ringing:
        parts.append(f"{len(now.ringing) + len(now.others_ringing)} ringing")
    return ", ".join(parts)


def free_agents(now: Snapshot) -> str:
    """Say how many agents are free, and how many of them rest."""
    at_rest = len(resting(now))
    return f"{count(now.free, 'agent')} free" + (f" ({at_rest} resting)" if at_rest else "")


class Progressive:
    """Keeps one call ringing for each agent who could take it. Learns nothing."""

    def __init__(self, staleness: Staleness | None = None) -> None:
        self._staleness = staleness or Staleness()

    def observe(self, event: PaceEvent) -> None:
        """One call per agent needs no history."""

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """One call per agent needs no history."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:  # noqa: ARG002 (the protocol's)
        """Start one call for each free agent without one."""
        void = self._staleness.void(snapshot)
        if void is not None:
            return void
        doubt = self._staleness.doubt(snapshot)
        how = ", whose phone rings first" if snapshot.agent_first else ""
        because = f"one call per agent{how}: {one_per_agent_because(snapshot)}"
        limits: tuple[str, ...] = ()
        if doubt is not None:
            limits, because = (doubt[0],), f"{because}; {doubt[1]}"
        return bounded(own_part(one_per_agent(snapshot), snapshot), snapshot, because, limits)
