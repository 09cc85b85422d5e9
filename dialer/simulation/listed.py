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

from dialer.calls import CallState
from dialer.retries import SAID
from dialer.simulation.coming_back import ComingBack, Person
from dialer.simulation.draws import Fate, LogNormal

ENOUGH = 20  # observations from which on a history speaks for itself
EVIDENCE = 300  # observations at most: tomorrow is never more like yesterday than these would tell
_PRIOR = (2.0, 6.0)  # answered and not, before any call: one in four, and 95 % of 4 to 58 in a hundred
_OWN = 30.0  # calls that a group's own history must outweigh before it counts more than that of all
_UNSURE = 0.4  # log sd of a mean that is only assumed: 95 % of 0.45 to 2.2 times
_SHOWN = 500  # contacts of one group shown to a pacer at a time
_ASSUMED = ((2.0, "busy"), *[(22.0, "no_answer")] * 6)  # ends of calls nobody answers
LIVED_ON = 4_000  # calls that are lived through beyond a day, at most: of more, a part stands for all


@dataclass(frozen=True)
class Lessons:
    """What a campaign's last calls tell. Lengths are in seconds."""

    answered: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # group: calls answered, and not
    rings: tuple[float, ...] = ()  # of the answered, from the order to the answer
    missed: tuple[tuple[float, str], ...] = ()  # of the others: to their end, and what it was
    said: tuple[str, ...] = ()  # of those an agent met: the word for it, "" for none
    talks: tuple[float, ...] = ()  # with people
    machines: tuple[float, ...] = ()  # with machines, and whatever else an agent met that was no person
    wrap_ups: tuple[float, ...] = ()
    parks: tuple[float, ...] = ()

    @property
    def calls(self) -> tuple[int, int]:
        """Calls answered, and not, of all groups."""
        return sum(yes for yes, _ in self.answered.values()), sum(no for _, no in self.answered.values())


class Truth:
    """What one day takes for true: drawn from what the lessons allow."""

    def __init__(self, lessons: Lessons, chance: random.Random) -> None:
        self._lessons, self._chance = lessons, chance
        yes, no = lessons.calls
        weight = min(1.0, EVIDENCE / max(1, yes + no))
        self._all = chance.betavariate(_PRIOR[0] + yes * weight, _PRIOR[1] + no * weight)
        self._groups: dict[str, float] = {}
        self._rings = _sample(lessons.rings, chance, LogNormal(12.0, 0.5, cut=22.0), unsure=0.0)
        self._talks = _sample(lessons.talks, chance, LogNormal(180.0, 1.0))
        self._wrap_ups = _sample(lessons.wrap_ups, chance, LogNormal(20.0, 0.7))
        self._parks = lessons.parks if len(lessons.parks) >= ENOUGH else (0.0,)
        self._missed = lessons.missed if len(lessons.missed) >= ENOUGH else _ASSUMED
        self._said = lessons.said if len(lessons.said) >= ENOUGH else ("",)

    def answer_chance(self, group: str) -> float:
        """How likely a contact of this group answers, on this day."""
        if group not in self._groups:
            yes, no = self._lessons.answered.get(group, (0, 0))
            weight = min(1.0, EVIDENCE / max(1, yes + no))
            before = self._all * _OWN, (1.0 - self._all) * _OWN
            self._groups[group] = self._chance.betavariate(before[0] + yes * weight, before[1] + no * weight)
        return self._groups[group]

    def fate(self, group: str, chance: random.Random) -> tuple[Fate, str]:
        """Draw what will come of a call: how it ends when nobody answers, and else the agent's word for it."""
        answers = chance.random() < self.answer_chance(group)
        rings, end = chance.choice(self._missed)
        if answers:
            rings = chance.choice(self._rings)
        talk, wrap_up, parks = chance.choice(self._talks), chance.choice(self._wrap_ups), chance.choice(self._parks)
        if answers:
            end = chance.choice(self._said)
        machines = self._lessons.machines
        machine = bool(machines) and chance.random() * (len(machines) + len(self._lessons.talks)) < len(machines)
        if machine:
            talk = chance.choice(machines)
        return Fate(answers, rings, machine, 1.0, talk, wrap_up, parks), end


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
    """Contacts alike: their list, how often each was tried, how many they are, when they are due, and their numbers."""

    list: str
    tried: int
    number: int
    due: float = 0.0
    numbers: int = 1
    on_number: int = 0  # which of them comes next


@dataclass(frozen=True)
class Listed:
    """Makes a day's people of a list and the lessons of its history. Who is not reached comes back by the rules."""

    contacts: tuple[Waiting, ...]
    lessons: Lessons
    coming_back: ComingBack = field(default_factory=ComingBack)

    def __call__(self, seed: int) -> "ListedDay":
        return ListedDay(self, seed)


class _Row:
    """Contacts alike who have not been called yet on this day, or one person who comes back."""

    __slots__ = ("number", "person", "turn", "waiting")

    def __init__(self, waiting: Waiting, number: int, person: Person | None = None) -> None:
        self.waiting, self.number, self.person = waiting, number, person
        self.turn = person.turn if person is not None else 0

    @property
    def group(self) -> str:
        if self.person is not None:
            return group_of(self.person.of_list, self.person.tried)
        return group_of(self.waiting.list, self.waiting.tried)

    @property
    def is_void(self) -> bool:
        """Whether another end of their last call has made another plan."""
        return self.person is not None and self.person.turn != self.turn

    def take(self) -> Person:
        self.number -= 1
        of = self.waiting
        return self.person or Person(of.list, of.tried, of.numbers, min(of.on_number, of.numbers - 1))


class ListedDay:
    """The people of one such day."""

    def __init__(self, listed: Listed, seed: int) -> None:
        self._back = listed.coming_back
        self._truth = Truth(listed.lessons, random.Random(f"{seed} truth"))
        self._chance = random.Random(f"{seed} listed")
        self._rows = 0
        self._later: list[tuple[float, int, _Row]] = []
        for waiting in listed.contacts:
            if waiting.number > 0:
                self._put(waiting.due, _Row(waiting, waiting.number))
        self._due: dict[str, deque[tuple[float, _Row]]] = {}
        self._number: dict[str, int] = {}
        # Calls whose end somebody else decides: given up, or answered and met by nobody. By the fate's identity.
        self._open: dict[int, tuple[Fate, Person, tuple[int, int, int]]] = {}

    def _put(self, due: float, row: _Row) -> None:
        self._rows += 1
        heappush(self._later, (due, self._rows, row))

    @property
    def used_up(self) -> bool:
        """Whether nobody is left to call, now or later."""
        while self._later and self._later[0][2].is_void:
            heappop(self._later)
        return not self._later and not any(self._number.values())

    @property
    def left(self) -> int:
        """Contacts that have not been reached and may still be tried."""
        return sum(self._number.values()) + sum(row.number for *_, row in self._later if not row.is_void)

    @property
    def calls_to_come(self) -> float:
        """Calls that those who are left are expected to take, each until reached or tried often enough."""
        rows = [*(row for *_, row in self._later), *(row for due in self._due.values() for _, row in due)]
        return sum(row.number * self._tries(row) for row in rows if not row.is_void)

    def _tries(self, row: _Row) -> float:
        name, tried = row.waiting.list, row.waiting.tried
        expected, reaches = 0.0, 1.0
        for n in range(tried, self._back.max_attempts):
            expected += reaches
            reaches *= 1.0 - self._truth.answer_chance(group_of(name, n))
        return max(1.0, expected)

    def due(self, now: float) -> list[tuple[str, int]]:
        """Return how many can be called now, by group."""
        while self._later and self._later[0][0] <= now:
            since, _, row = heappop(self._later)
            if row.is_void:
                continue
            self._due.setdefault(row.group, deque()).append((since, row))
            self._number[row.group] = self._number.get(row.group, 0) + row.number
        return [(group, min(number, _SHOWN)) for group, number in sorted(self._number.items()) if number]

    def call(self, now: float, wanted: str | None) -> tuple[str, Fate]:
        """Take whoever has been due longest, of the wanted group if there is any."""
        group = wanted
        if group is None or not self._number.get(group):
            group = min((g for g, number in self._number.items() if number), key=lambda g: self._due[g][0][0])
        _, row = self._due[group][0]
        person = row.take()
        self._number[group] -= 1
        if not row.number:
            self._due[group].popleft()
        fate, end = self._truth.fate(group, self._chance)
        person.calls.append((person.number, now))
        self._open[id(fate)] = fate, person, (len(person.past), person.tried, person.number)
        over = now + fate.rings + (fate.talk if fate.answers else 0.0)
        if not fate.answers or end:
            self._plan(person, SAID + end if fate.answers else end, over)
        return group, fate

    def ended(self, fate: Fate, end: CallState, now: float) -> None:
        """Hear that a call came to another end than its fate had: given up, or answered and met by nobody."""
        _, person, (past, tried, number) = self._open[id(fate)]
        person.tried, person.number = tried, number
        del person.past[past:]  # what was planned when it was launched is void
        self._plan(person, end, now)

    def _plan(self, person: Person, end: str, at: float) -> None:
        person.turn += 1
        again = self._back.next(person, end, at)
        if again is not None:
            self._put(again, _Row(Waiting(person.of_list, person.tried, 1), 1, person))

    def live_on(self, since: float, per_second: float, abandoned: float) -> float | None:
        """Call who is left, so many in a second of calling, and return when the last call ends; None: too far to say.

        `abandoned`: of those who answer, how many meet nobody. A long list is lived through with a part of its
        contacts, at that part of the pace.
        """
        part = min(1.0, LIVED_ON / max(1.0, self.calls_to_come))
        if part < 1.0:
            self._thin(part)
        now: float | None = since
        last = since
        while now is not None and not self.used_up:
            if not self.due(now):
                if not self._later:
                    break
                now = self._back.spans.opens(max(now, self._later[0][0]))
                continue
            _, fate = self.call(now, None)
            last = now + fate.rings
            if fate.answers and self._chance.random() < abandoned:
                self.ended(fate, CallState.ABANDONED, last)
            now = self._back.spans.later(now, 1.0 / (per_second * part))
        return None if now is None else last

    def _thin(self, part: float) -> None:
        """Keep a part of the contacts, and of a few alike as many as luck has it."""

        def kept(row: _Row) -> bool:
            many = row.number * part
            row.number = int(many) + (self._chance.random() < many - int(many))
            return row.number > 0 and not row.is_void

        self._later = [entry for entry in self._later if kept(entry[2])]
        heapify(self._later)
        for group, due in self._due.items():
            self._due[group] = deque(entry for entry in due if kept(entry[1]))
            self._number[group] = sum(row.number for _, row in self._due[group])


def group_of(name: str, tried: int) -> str:
    """Return the group of contacts that were tried so often: alike in how likely they answer ("12/1")."""
    return f"{name}/{min(tried + 1, 3)}"
