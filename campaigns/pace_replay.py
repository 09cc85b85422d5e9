"""A stored day lived through again, under the rules that held and under others, beside what really happened.

Two questions of two kinds. *Closed loop*: the calls really made, in their order, by the agents really there, with a
pacer that decides anew; what it would have launched beyond them is drawn from calls of about that time. *Open loop*:
the stored snapshots, each decided on again under other rules, one by one. The first says what would have come of it,
and its own error: the replay of what was, beside what was. The second says how often it would have been different.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from campaigns.pace_in_force import InForce, Rules
from campaigns.pace_stored import StoredDay
from dialer.pacing import Goals
from dialer.simulation import Curve, run_day
from dialer.simulation.figures import Figures
from dialer.simulation.recorded import IN_ORDER


@dataclass(frozen=True, slots=True)
class Changes:
    """What would be different; None stays as it was."""

    mode: str | None = None
    max_abandonment: float | None = None
    max_lines: int | None = None
    agents: int | None = None
    min_ring: float | None = None  # 0: nothing is given up
    ratio: float | None = None
    desired_wait: float | None = None

    def __bool__(self) -> bool:
        return bool(self.as_json())

    def rules(self, was: Rules) -> Rules:
        """Return the rules with the changes made."""
        goals: dict[str, Any] = {
            name: value for name in ("min_ring", "ratio", "desired_wait") if (value := getattr(self, name)) is not None
        }
        if self.min_ring == 0.0:
            goals["min_ring"] = None
        return replace(
            was,
            mode=self.mode or was.mode,
            ceiling=was.ceiling if self.max_abandonment is None else self.max_abandonment,
            max_lines=was.max_lines if self.max_lines is None else self.max_lines,
            goals=replace(was.goals, **goals),
        )

    def as_json(self) -> dict[str, Any]:
        """Return only what changes."""
        return {each.name: value for each in fields(self) if (value := getattr(self, each.name)) is not None}


@dataclass(frozen=True)
class OpenLoop:
    """The stored decisions, decided on again: one by one, on what was seen then."""

    stored: int
    looked_at: int
    stored_calls: int  # wanted by the decisions looked at
    as_it_was: int  # calls this engine wants under the rules that held
    repeated: int  # decisions in which it wants what was stored
    changed: int | None = None  # calls it wants under the others
    different: int | None = None  # decisions in which the others make a difference
    more: int | None = None
    fewer: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the counts for a program."""
        return asdict(self)


@dataclass(frozen=True)
class Replayed:
    """What really happened, the same replayed, and what would have come of the changes."""

    day: StoredDay
    changes: Changes
    as_it_was: list[Figures]  # the first meets the calls in their own order
    changed: list[Figures]
    open_loop: OpenLoop | None = None

    @property
    def in_order(self) -> Figures:
        """The day as it was, with the calls in their own order."""
        return self.as_it_was[0]

    @property
    def error(self) -> dict[str, float]:
        """What the replay of what was says too much: by so much it may be wrong about what was not."""
        return {
            name: getattr(self.in_order, name) - real
            for name in ("utilisation", "occupancy", "abandonment", "mean_wait", "calls")
            if (real := getattr(self.day.really, name)) is not None and getattr(self.in_order, name) is not None
        }


def live_through(
    day: StoredDay, changes: Changes, *, seeds: int = 5, one_more: Callable[[], None] = lambda: None
) -> tuple[list[Figures], list[Figures]]:
    """Live through the day, as it was and with the changes (if any), `seeds` times each on the same people."""
    numbers = range(IN_ORDER, IN_ORDER + seeds)
    was = [_live(day, Changes(), seed, one_more) for seed in numbers]
    return was, [_live(day, changes, seed, one_more) for seed in numbers] if changes else []


def _live(day: StoredDay, changes: Changes, seed: int, one_more: Callable[[], None]) -> Figures:
    world = day.world
    rules = [changes.rules(rule) for rule in day.rules]
    if changes.agents is not None and world.at_work is not None:
        factor = changes.agents / world.agents
        staff = Curve(tuple((at, float(round(count * factor))) for at, count in world.at_work.points))
        lines = world.lines if world.lines is None else max(world.lines, round(world.lines * factor))
        world = replace(world, agents=changes.agents, at_work=staff, lines=lines)
    least = max((rule.goals.min_ring or 0.0 for rule in rules), default=0.0)
    world = replace(world, min_ring=least or None, ceiling=rules[-1].ceiling)
    pacer = InForce(rules, day.staleness)
    pacer.restore(day.memory)
    lived = run_day(world, [pacer], seed, goals=Goals(min_ring=least or None))
    one_more()
    return Figures.of_day(lived, world.hours * 3600)


def decide_again(day: StoredDay, changes: Changes) -> OpenLoop | None:
    """Decide on the stored snapshots again, as it was and with the changes; None when there are none."""
    events = day.heard
    was, other = (InForce([c.rules(rule) for rule in day.rules], day.staleness) for c in (Changes(), changes))
    for pacer in (was, other):
        pacer.restore(day.known)
    told: list[tuple[int, int, int]] = []
    n = 0
    for at, wanted, snapshot in day.snapshots:
        while n < len(events) and events[n].at <= at:
            was.observe(events[n])
            if changes:
                other.observe(events[n])
            n += 1
        before = was.decide(at, snapshot).calls
        told.append((wanted, before, other.decide(at, snapshot).calls if changes else before))
    if not told:
        return None
    counts: Mapping[str, int] = {}
    if changes:
        counts = {
            "changed": sum(new for _, _, new in told),
            "different": sum(old != new for _, old, new in told),
            "more": sum(new > old for _, old, new in told),
            "fewer": sum(new < old for _, old, new in told),
        }
    return OpenLoop(
        stored=day.stored,
        looked_at=len(told),
        stored_calls=sum(kept for kept, _, _ in told),
        as_it_was=sum(old for _, old, _ in told),
        repeated=sum(kept == old for kept, old, _ in told),
        **counts,
    )
