"""Modes in which a person decides about each call: the dialer offers a contact, or does nothing by itself."""

from collections.abc import Iterable
from datetime import datetime

from dialer.pacing.base import Pace, PaceEvent, Snapshot, Staleness, count
from dialer.pacing.progressive import one_per_agent
from dialer.pacing.sharing import own_part


class Manual:
    """Agents place their own calls; nothing is ever ordered here."""

    def observe(self, event: PaceEvent) -> None:
        """Nothing is paced."""

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Nothing is paced."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:  # noqa: ARG002 (the protocol's)
        """Start nothing."""
        return Pace(0, "0: manual: agents place their own calls")


class Preview:
    """One contact offered to each free agent. The pace counts offers, not calls: a call follows when one is accepted.

    An agent with an open offer, or with a call of their own in the air, is reserved and not free.
    """

    def __init__(self, staleness: Staleness | None = None) -> None:
        self._staleness = staleness or Staleness()

    def observe(self, event: PaceEvent) -> None:
        """One offer per agent needs no history."""

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """One offer per agent needs no history."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:  # noqa: ARG002 (the protocol's)
        """Offer one contact to each free agent who has none. Stale knowledge changes nothing: it is one each anyway."""
        void = self._staleness.void(snapshot)
        if void is not None:
            return void
        because = f"preview: {count(snapshot.free, 'agent')} without an offer"
        if snapshot.reserved:
            because += f", {snapshot.reserved} with one or with a call"
        offers = own_part(one_per_agent(snapshot), snapshot)
        if offers < snapshot.free:
            because += f"; {offers} of them for this campaign now"
        return Pace(offers, f"{offers}: {because}")
