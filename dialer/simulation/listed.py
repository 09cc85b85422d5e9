"""A day's people from a campaign's list and history: who is still to be called, and how likely each is to answer.

How likely is not known but learnt from so many calls; every day draws its own truth from what the history allows, so
the spread of several days holds both: the luck of a day, and how little is known before it.
"""

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from math import exp

from dialer.simulation.draws import Fate, LogNormal

ENOUGH = 20  # observations from which on a history speaks for itself
EVIDENCE = 300  # observations at most: tomorrow is never more like yesterday than these would tell
_PRIOR = (2.0, 6.0)  # answered and not, before any call: one in four, and 95 % of 4 to 58 in a hundred
_OWN = 30.0  # calls that a group's own history must outweigh before it counts more than that of all
_UNSURE = 0.4  # log sd of a mean that is only assumed: 95 % of 0.45 to 2.2 times
_SHOWN = 500  # contacts of one group shown to a pacer at a time


@dataclass(frozen=True)
class Lessons:
    """What a campaign's last calls tell. Lengths are in seconds."""

    answered: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # group: calls answered, and not
    rings: tuple[float, ...] = ()  # of the answered, from the order to the answer
    missed: tuple[tuple[float, float], ...] = ()  # of the others: to their end, and from then to the next try
    talks: tuple[float, ...] = ()
    wrap_ups: tuple[float, ...] = ()
    parks: tuple[float, ...] = ()

    @property
    def calls(self) -> tuple[int, int]:
        """Calls answered, and not, of all groups."""
        return sum(yes for yes, _ in self.answered.values()), sum(no for _, no in self.answered.values())


class Truth:
    """What one day takes for true: drawn from what the lessons allow."""

    def __init__(self, lessons: Lessons, chance: random.Random, retry: float) -> None:
        self._lessons, self._chance = lessons, chance
        yes, no = lessons.calls
        weight = min(1.0, EVIDENCE / max(1, yes + no))
        self._all = chance.betavariate(_PRIOR[0] + yes * weight, _PRIOR[1] + no * weight)
        self._groups: dict[str, float] = {}
        self._rings = _sample(lessons.rings, chance, LogNormal(12.0, 0.5, cut=22.0), unsure=0.0)
        self._talks = _sample(lessons.talks, chance, LogNormal(180.0, 1.0))
        self._wrap_ups = _sample(lessons.wrap_ups, chance, LogNormal(20.0, 0.7))
        self._parks = lessons.parks if len(lessons.parks) >= ENOUGH else (0.0,)
        self._missed = lessons.missed if len(lessons.missed) >= ENOUGH else ((2.0, retry), *[(22.0, retry)] * 6)

    def answer_chance(self, group: str) -> float:
        """How likely a contact of this group answers, on this day."""
        if group not in self._groups:
            yes, no = self._lessons.answered.get(group, (0, 0))
            weight = min(1.0, EVIDENCE / max(1, yes + no))
            before = self._all * _OWN, (1.0 - self._all) * _OWN
            self._groups[group] = self._chance.betavariate(before[0] + yes * weight, before[1] + no * weight)
        return self._groups[group]

    def fate(self, group: str, chance: random.Random) -> tuple[Fate, float]:
        """Draw what will come of a call, and how long after it the contact may be tried again."""
        answers = chance.random() < self.answer_chance(group)
        rings, wait = chance.choice(self._missed)
        if answers:
            rings = chance.choice(self._rings)
        talk, wrap_up, parks = chance.choice(self._talks), chance.choice(self._wrap_ups), chance.choice(self._parks)
        return Fate(answers, rings, False, 1.0, talk, wrap_up, parks), wait


def _sample(
    seen: Sequence[float], chance: random.Random, assumed: LogNormal, unsure: float = _UNSURE
) -> Sequence[float]:
    """Draw lengths for one day: from those seen, or from a guess whose mean is a guess itself."""
    if len(seen) >= ENOUGH:
        return chance.choices(seen, k=min(len(seen), EVIDENCE))
    factor = exp(chance.gauss(0.0, unsure))
    return [assumed.draw(chance) * factor for _ in range(EVIDENCE)]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Contacts alike: their list, how often each was tried, how many they are, and when they are due."""

    list: str
    tried: int
    number: int
    due: float = 0.0


@dataclass(frozen=True)
class Listed:
    """Makes a day's people of a list and the lessons of its history. Who is not reached is tried again."""

    contacts: tuple[Waiting, ...]
    lessons: Lessons
    max_attempts: int = 3
    retry: float = 3600.0  # seconds to the next try, where the history does not say

    def __call__(self, seed: int) -> "ListedDay":
        return ListedDay(self, seed)


class ListedDay:
    """The people of one such day."""

    def __init__(self, listed: Listed, seed: int) -> None:
        self._most = listed.max_attempts
        self._truth = Truth(listed.lessons, random.Random(f"{seed} truth"), listed.retry)
        self._chance = random.Random(f"{seed} listed")
        self._later = [(c.due, c.list, c.tried, c.number) for c in listed.contacts if c.number > 0]
        heapify(self._later)
        self._due: dict[str, deque[list[float]]] = {}  # group: [due since, tried, number]
        self._number: dict[str, int] = {}
        self._lists: dict[str, str] = {}

    @property
    def used_up(self) -> bool:
        """Whether nobody is left to call, now or later."""
        return not self._later and not any(self._number.values())

    @property
    def left(self) -> int:
        """Contacts that have not been reached and may still be tried."""
        return sum(self._number.values()) + sum(number for *_, number in self._later)

    @property
    def calls_to_come(self) -> float:
        """Calls that those who are left are expected to take, each until reached or tried often enough."""
        return sum(
            number * self._tries(name, int(tried))
            for name, tried, number in [
                *((name, tried, number) for _, name, tried, number in self._later),
                *((self._lists[group], entry[1], entry[2]) for group, due in self._due.items() for entry in due),
            ]
        )

    @property
    def last_due(self) -> float:
        """When the last of those who rest now may be called again, in seconds; 0 when nobody rests."""
        return max((since for since, *_ in self._later), default=0.0)

    def _tries(self, name: str, tried: int) -> float:
        expected, reaches = 0.0, 1.0
        for n in range(tried, self._most):
            expected += reaches
            reaches *= 1.0 - self._truth.answer_chance(group_of(name, n))
        return expected

    def due(self, now: float) -> list[tuple[str, int]]:
        """Return how many can be called now, by group."""
        while self._later and self._later[0][0] <= now:
            since, name, tried, number = heappop(self._later)
            group = group_of(name, tried)
            self._lists[group] = name
            self._due.setdefault(group, deque()).append([since, tried, number])
            self._number[group] = self._number.get(group, 0) + number
        return [(group, min(number, _SHOWN)) for group, number in sorted(self._number.items()) if number]

    def call(self, now: float, wanted: str | None) -> tuple[str, Fate]:
        """Take whoever has been due longest, of the wanted group if there is any."""
        group = wanted
        if group is None or not self._number.get(group):
            group = min((g for g, number in self._number.items() if number), key=lambda g: self._due[g][0][0])
        entry = self._due[group][0]
        entry[2] -= 1
        self._number[group] -= 1
        if not entry[2]:
            self._due[group].popleft()
        fate, wait = self._truth.fate(group, self._chance)
        tried = int(entry[1]) + 1
        if not fate.answers and tried < self._most:
            heappush(self._later, (now + fate.rings + wait, self._lists[group], tried, 1))
        return group, fate


def group_of(name: str, tried: int) -> str:
    """Return the group of contacts that were tried so often: alike in how likely they answer ("12/1")."""
    return f"{name}/{min(tried + 1, 3)}"
