"""What a virtual call centre is like. Times are seconds of the day's own clock, which begins at 0.

The defaults are the world that the pacing benchmark is judged in (docs/pacing.md has it in words).
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from dialer.calls import CallState
from dialer.simulation.draws import Fate, LogNormal


@dataclass(frozen=True)
class Curve:
    """A value that changes over the day: constant from each point to the next, or (`smooth`) on a straight line."""

    points: tuple[tuple[float, float], ...]
    smooth: bool = False

    @classmethod
    def flat(cls, value: float) -> "Curve":
        return cls(((0.0, value),))

    def __call__(self, at: float) -> float:
        n = bisect_right(self.points, at, key=lambda point: point[0]) - 1
        if n < 0:
            return self.points[0][1]
        begins, value = self.points[n]
        if not self.smooth or n + 1 == len(self.points):
            return value
        ends, then = self.points[n + 1]
        return value + (then - value) * (at - begins) / (ends - begins)


@dataclass(frozen=True)
class Group:
    """Contacts that are alike: their part of the list, and how likely they answer compared with the campaign's."""

    name: str
    part: float
    factor: float


class People(Protocol):
    """Whom a campaign calls on one day, when it is not a list of people drawn from the world's distributions."""

    def due(self, now: float) -> Sequence[tuple[str, int]] | None:
        """Return how many can be called now, by group; None: any number, and all alike."""

    def call(self, now: float, wanted: str | None) -> tuple[str, Fate]:
        """Take the next one, of the wanted group if there is any: their group, and what will come of the call."""

    def ended(self, fate: Fate, end: CallState, now: float) -> None:
        """Hear that a call came to another end than its fate had: given up, or answered and met by nobody."""

    @property
    def used_up(self) -> bool:
        """Whether nobody is left to call, now or later."""


@dataclass(frozen=True)
class Campaigning:
    """One campaign of the day: its list and its part in what is shared."""

    name: str = "campaign"
    answers: Curve = field(default_factory=lambda: Curve.flat(0.25))  # chance that a person or machine answers
    contacts: int | None = None  # on the list; None: no end
    groups: tuple[Group, ...] = ()  # none: all contacts are alike
    weight: float = 1.0
    agents: int | None = None  # its own; None: the shared ones
    starts: float = 0.0  # seconds into the day
    people: Callable[[int], People] | None = None  # by the seed of the day; instead of contacts, groups and answers
    dials: Curve | None = None  # whether it may dial at all (above 0); None: all day
    spent: tuple[int, int, int] = (0, 0, 0)  # D, L and m that the window held before the day began


@dataclass(frozen=True)
class Detection:
    """A machine detector: it listens for so long, and is wrong so often."""

    listens: float = 1.0
    misses: float = 0.1  # machines taken for people
    mistakes: float = 0.02  # people taken for machines, and hung up on


@dataclass(frozen=True)
class Inbound:
    """People who call in and want one of the same agents."""

    per_hour: Curve
    talk: LogNormal = field(default_factory=lambda: LogNormal(180.0, 1.0))
    patience: float = 60.0
    first: bool = True  # before waiting customers of ours


@dataclass(frozen=True)
class World:
    """A day and its people; what the pacer does not know."""

    agents: int = 20
    campaigns: tuple[Campaigning, ...] = (Campaigning(),)
    at_work: Curve | None = None  # agents wanted at work; None: all, all day
    ring: LogNormal = field(default_factory=lambda: LogNormal(12.0, 0.5, cut=22.0))
    ring_out: float = 22.0
    fast_share: float = 0.15  # of the unanswered: busy, rejected, no such number
    fast: tuple[float, float] = (1.0, 3.0)
    talk: LogNormal = field(default_factory=lambda: LogNormal(180.0, 1.0))
    wrap_up: LogNormal = field(default_factory=lambda: LogNormal(20.0, 0.7))
    connect: float = 0.25  # from the assignment to the first word
    patience: float = 2.0  # a person waits so long for an agent
    lines: int | None = None  # None: five for each agent
    tick: float = 1.0
    launch_delay: float = 0.0  # from our order to the ring: a slow PBX
    told_late: float = 0.0  # from what happens to our hearing of it, both ways
    machines: float = 0.0  # of the answers
    machine_talk: LogNormal = field(default_factory=lambda: LogNormal(8.0, 0.3))  # until the agent hangs up
    detection: Detection | None = None
    inbound: Inbound | None = None
    min_ring: float | None = None  # a ringing call may be given up after this; None: never, as campaigns begin
    ceiling: float = 0.03
    hours: float = 4.0  # measured
    warm_up_hours: float = 1.0
    begins: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    @property
    def seconds(self) -> float:
        """The whole day."""
        return (self.hours + self.warm_up_hours) * 3600

    @property
    def all_lines(self) -> int:
        return 5 * self.agents if self.lines is None else self.lines


def steps(*points: tuple[float, float]) -> Curve:
    """A curve that jumps: `steps((0, 0.2), (1.5, 0.5))`, in hours."""
    return Curve(tuple((hours * 3600, value) for hours, value in points))


def drift(*points: tuple[float, float]) -> Curve:
    """A curve that goes straight from point to point, in hours."""
    return Curve(tuple((hours * 3600, value) for hours, value in points), smooth=True)


def chosen(groups: Sequence[Group], uniform: float) -> Group:
    """Return the group that a contact drawn with this uniform number belongs to."""
    for group in groups:
        uniform -= group.part
        if uniform < 0:
            return group
    return groups[-1]
