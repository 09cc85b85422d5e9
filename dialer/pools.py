"""Which of a campaign's PBXs get its new calls: all of the pool that can be called on, and a standby for each that
cannot."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

POOL, STANDBY, REMOVED = "pool", "standby", "removed"


@dataclass(frozen=True, slots=True)
class Outage:
    """Since when a PBX cannot be called on, and since when it can again; both None while all is well."""

    since: datetime | None = None
    back: datetime | None = None
    why: str = ""

    def lasts(self, now: datetime, *, after: float, back_for: float) -> bool:
        """Whether its share goes to others: out for `after` seconds, and not yet back for `back_for` seconds.

        One that comes and goes would move agents to and fro with every change.
        """
        if self.since is None:
            return False
        if self.back is not None and now - self.back >= timedelta(seconds=back_for):
            return False
        return (self.back or now) - self.since >= timedelta(seconds=after)


@dataclass(frozen=True, slots=True)
class Member:
    """One PBX of a campaign."""

    pbx: str
    role: str = POOL
    out: bool = False
    why: str = ""  # it is out


def in_use(members: Sequence[Member]) -> frozenset[str]:
    """Return the PBXs that get new calls: the pool's that are able, and for each that is not, an able standby."""
    pool = [one for one in members if one.role == POOL]
    able = [one.pbx for one in pool if not one.out]
    standbys = [one.pbx for one in members if one.role == STANDBY and not one.out]
    return frozenset([*able, *standbys[: len(pool) - len(able)]])


def why_unused(members: Sequence[Member], pbx: str) -> str:
    """Say why a PBX gets no new calls; empty when it does. Members come in the campaign's order."""
    one = next((member for member in members if member.pbx == pbx), None)
    if one is None or one.role == REMOVED:
        return f"PBX {pbx} was taken out of this campaign; what rings there goes on to its end"
    if one.out:
        others = [name for name in (member.pbx for member in members) if name in in_use(members)]
        instead = f"its share goes to {' and '.join(others)}" if others else "and no other PBX can be called on"
        return f"PBX {pbx} is out of use ({one.why or 'it cannot be called on'}): {instead}"
    if pbx in in_use(members):
        return ""
    return f"PBX {pbx} stands by: every PBX before it can be called on"
