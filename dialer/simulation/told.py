"""The same engine told the truth about its world: what its learning costs is the difference to it."""

from datetime import datetime
from functools import partial
from math import log

from dialer.pacing import PaceEvent, Predictive, Snapshot
from dialer.pacing.answers import Answers
from dialer.pacing.history import History
from dialer.pacing.lengths import Lengths
from dialer.pacing.ringing import LONGEST, Rings
from dialer.simulation.draws import LogNormal
from dialer.simulation.world import Campaigning, World

_NEARLY_ALL = 1e-12


def pacer_told(world: World) -> Predictive:
    """Return the engine as it would pace this world's only campaign if it had nothing to learn."""
    return Predictive(knows=partial(TrueHistory, world, world.campaigns[0]))


class TrueHistory(History):
    """Knows what a history could only learn."""

    def __init__(self, world: World, campaign: Campaigning) -> None:
        super().__init__()
        self._world = world
        self.answers: TrueAnswers = TrueAnswers(campaign)
        self.rings = TrueRings(world)
        self.talk, self.wrap_up = TrueLengths(world.talk), TrueLengths(world.wrap_up)

    def observe(self, event: PaceEvent) -> None:
        """Nothing is news, but who calls in."""
        if event.kind.name == "INBOUND":
            super().observe(event)

    def settle(self, now: datetime, seen: Snapshot) -> bool:
        """Know the answer chance of this very second."""
        self.answers.at = (now - self._world.begins).total_seconds()
        return super().settle(now, seen)


class TrueAnswers(Answers):
    """The chance of now, from the world's own curve."""

    def __init__(self, campaign: Campaigning) -> None:
        super().__init__()
        self._campaign = campaign
        self._factors = {group.name: group.factor for group in campaign.groups}
        self.at, self.seen = 0.0, 10**6

    @property
    def level(self) -> float:
        return self._campaign.answers(self.at)

    def _factor(self, group: str) -> float:
        return self._factors.get(group, 1.0)


class TrueRings(Rings):
    """When phones are answered, and when the others stop."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__()

    def settle(self) -> None:
        """Take it from the world, with what the PBX adds to every ring."""
        world, late = self._world, self._world.launch_delay + self._world.told_late
        low, high = world.fast
        self.answers = [world.ring.below(second - late) for second in range(LONGEST)] + [1.0]
        self.stops = [
            world.fast_share * min(1.0, max(0.0, (second - late - low) / (high - low)))
            if second < world.ring_out + late
            else 1.0
            for second in range(LONGEST + 1)
        ]
        self.mean = world.ring.mean + late


class TrueLengths(Lengths):
    """The hazard of a log-normal length."""

    def __init__(self, length: LogNormal) -> None:
        self._length = length
        self._known = [-log(max(_NEARLY_ALL, 1.0 - length.below(second))) for second in range(7200)]
        super().__init__(length.mean)

    def cumulative(self, age: float) -> float:
        whole = min(len(self._known) - 2, int(age))
        low = self._known[whole]
        return low + (self._known[whole + 1] - low) * (min(age, len(self._known) - 1.0) - whole)
