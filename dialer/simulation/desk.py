"""A campaign of a virtual day, and who takes part in it: its list, its pacer, its calls, the agents, those who call in.

What happens to them, and when, is the day's (`dialer/simulation/day.py`).
"""

import random
from collections import Counter, deque
from collections.abc import Callable
from datetime import datetime

from dialer.abandonment import Budget
from dialer.pacing import Happened, PaceEvent, Pacer
from dialer.simulation.draws import Fate
from dialer.simulation.results import CampaignDay
from dialer.simulation.world import Campaigning, World, chosen

_DUE_AT_ONCE = 200  # contacts of an endless list among which a pacer may choose


class Call:
    """One try, from its launch to the end of the wrap-up after it."""

    __slots__ = ("campaign", "fate", "group", "launched", "name", "since")

    def __init__(self, name: str, campaign: "Desk", group: str, fate: Fate, launched: float) -> None:
        self.name, self.campaign, self.group, self.fate = name, campaign, group, fate
        self.launched = self.since = launched


class Agent:
    """Somebody at work."""

    __slots__ = ("call", "desk", "name", "since")

    def __init__(self, name: str, desk: "Desk | None") -> None:
        self.name, self.desk = name, desk  # the campaign they work for; None: any
        self.since = 0.0
        self.call: Call | None = None


class Caller:
    """Somebody who calls in. Their talk is drawn when they come: who answers them, and when, is the pacer's doing."""

    __slots__ = ("came", "talk", "wrap_up")

    def __init__(self, came: float, talk: float, wrap_up: float) -> None:
        self.came, self.talk, self.wrap_up = came, talk, wrap_up


class Desk:
    """A campaign of the day: its list, its pacer, its calls."""

    def __init__(
        self, shape: Campaigning, pacer: Pacer, number: int, *, world: World, seed: int, clock: Callable[[], datetime]
    ) -> None:
        self.shape, self.pacer = shape, pacer
        self._world, self._clock = world, clock
        self.result = CampaignDay(shape.name)
        self.fates = {name: random.Random(f"{seed} {number} {name}") for name in [g.name for g in shape.groups] or [""]}
        self.order = random.Random(f"{seed} {number} order")
        self.left = shape.contacts
        self.due: deque[str] = deque()
        self.due_by_group: Counter[str] = Counter()
        self.factors = {group.name: group.factor for group in shape.groups}
        self.ringing: dict[str, Call] = {}
        self.waiting: dict[str, Call] = {}
        self.talking: dict[Agent, Call] = {}
        self.chance: float | None = None  # what its pacer said last that a call is worth
        self.people = shape.people(seed) if shape.people is not None else None
        if shape.groups:
            self.refill()

    # the list -----------------------------------------------------------------------------------------

    def refill(self) -> None:
        """Bring the contacts due now up to what a pacer may look at."""
        while len(self.due) < _DUE_AT_ONCE and (self.left is None or self.left > len(self.due)):
            group = chosen(self.shape.groups, self.order.random()).name
            self.due.append(group)
            self.due_by_group[group] += 1

    @property
    def used_up(self) -> bool:
        if self.people is not None:
            return self.people.used_up
        return self.left is not None and self.left <= 0

    def may_dial(self, now: float) -> bool:
        """Whether it is open now and somebody is due; brings what is due up to date."""
        shape = self.shape
        if now < shape.starts or (shape.dials is not None and shape.dials(now) <= 0):
            return False
        if self.people is not None:
            due = self.people.due(now)
            self.left = None if due is None else sum(number for _, number in due)
            self.due_by_group = Counter(dict(due or ()))
            return self.left is None or self.left > 0
        return True

    def call(self, name: str, wanted: str | None, now: float) -> "Call":
        """Launch a call to the next contact, of the wanted group if one is due."""
        if self.people is not None:
            group, fate = self.people.call(now, wanted)
            return Call(name, self, group, fate, now)
        group = self.take(wanted)
        return Call(name, self, group, self.fate(group, now), now)

    def take(self, wanted: str | None) -> str:
        """Take a contact off the list, of the wanted group if one is due."""
        if self.left is not None:
            self.left -= 1
        if not self.shape.groups:
            return ""
        if wanted is not None and self.due_by_group[wanted]:
            self.due.remove(wanted)
            group = wanted
        else:
            group = self.due.popleft()
        self.due_by_group[group] -= 1
        self.refill()
        return group

    def fate(self, group: str, now: float) -> Fate:
        """Draw what will become of the next call to this group: always eight numbers."""
        world, chance = self._world, self.fates[group]
        answers = chance.random() < self.shape.answers(now) * self.factors.get(group, 1.0)
        rings = world.ring.draw(chance)
        fails_fast, fast = chance.random() < world.fast_share, chance.uniform(*world.fast)
        machine, detected = chance.random() < world.machines, chance.random()
        talk, wrap_up = world.talk.draw(chance), world.wrap_up.draw(chance)
        if machine:
            talk = world.machine_talk.mean * (0.5 + detected)
        if not answers:
            rings = fast if fails_fast else world.ring_out
        return Fate(answers, rings, machine, detected, talk, wrap_up)

    # what the pacer hears -----------------------------------------------------------------------------

    def tell(self, kind: Happened, call: str = "", agent: str = "", group: str = "") -> None:
        self.pacer.observe(PaceEvent(kind, self._clock(), call, agent, group))

    def budget(self) -> Budget:
        (lost, met, machines), mine = self.shape.spent, self.result
        machines += mine.machines
        lost, met, ceiling = lost + mine.abandoned_all, met + mine.met_all, self._world.ceiling
        return Budget(lost, met, ceiling, "the day", machines, mine.by_mistake)
