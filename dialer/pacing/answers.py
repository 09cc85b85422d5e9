"""How likely a call is answered: by the hour, by the group of the contact, and how sure we are of it.

One current level for the campaign, and factors on it. The level is a Beta posterior whose evidence fades: a slow
one, steady in quiet hours, and quicker ones that take over while they clearly contradict the slower. A group (the list
and the attempt, say) and an hour of the day are each compared with what the level alone would have expected, so they
stay right when the level moves; a factor begins at 1 and needs evidence to leave it (empirical Bayes, as in indirect
standardisation).

Where somebody has learnt from weeks of calls how likely a group answers at this hour (`dialer.best_times`), that is
what the level is compared with: an hour that turns is known before its first call, and what is learnt here is only by
how much today differs. The less sure that is, the sooner the calls of now outweigh it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

_FIRST_GUESS = 3.0, 10.0  # answered of calls, before any: a cautious one, as a higher chance means fewer calls
_FACTOR_WORTH = 12.0  # answers expected before a factor believes its own evidence as much as the level
_SLOWEST, _LIKELIEST = 0.01, 0.99  # an answer is never taken for impossible, nor for certain
_SUREST = 40.0  # answers that what was learnt elsewhere is worth at most: today may differ


@dataclass(frozen=True, slots=True)
class Chance:
    """How likely an answer is, and how sure that is, as if it had been seen in so many calls."""

    value: float
    calls: float

    @property
    def sd(self) -> float:
        return sqrt(self.value * (1.0 - self.value) / (self.calls + 1.0))


class Level:
    """A chance, as Beta evidence that halves every `half_life` calls. A call expected to be answered `factor` times as
    often as the level counts as that many calls."""

    def __init__(self, half_life: float) -> None:
        self._keep = 0.5 ** (1.0 / half_life)
        self._prior_yes, self._prior_calls = _FIRST_GUESS
        self._yes = self._calls = 0.0

    def observe(self, answered: float, factor: float = 1.0) -> None:
        """Learn how one call ended: 1 answered, 0 not, between them when we gave it up and can only guess."""
        self._yes = self._yes * self._keep + answered
        self._calls = self._calls * self._keep + factor

    def move(self, ratio: float) -> None:
        """The level moves as a whole, and with it what was seen of it."""
        self._yes *= ratio
        self._prior_yes *= ratio

    @property
    def mean(self) -> float:
        return (self._prior_yes + self._yes) / (self._prior_calls + self._calls)

    @property
    def sd(self) -> float:
        """How unsure the mean is."""
        mean = min(0.999, self.mean)
        return sqrt(mean * (1.0 - mean) / (self._prior_calls + self._calls + 1.0))


class Factor:
    """How much likelier than the level something is: answers over what the level expected, with forgetting."""

    def __init__(self, half_life: float = 400.0, worth: float = _FACTOR_WORTH) -> None:
        self._keep = 0.5 ** (1.0 / half_life)
        self._worth = worth
        self._yes = self._expected = 0.0

    def observe(self, answered: float, expected: float) -> None:
        """Learn how one call ended, of which the level expected this chance."""
        self._yes = self._yes * self._keep + answered
        self._expected = self._expected * self._keep + expected

    def add(self, answered: float, expected: float) -> None:
        """Learn from many calls at once, which whoever brings them has weighed by their age."""
        self._yes += answered
        self._expected += expected

    @property
    def value(self) -> float:
        return (self._worth + self._yes) / (self._worth + self._expected)


class Answers:
    """The chance to plan with."""

    def __init__(self, half_lives: tuple[float, ...] = (1200.0, 250.0, 40.0), contradiction: float = 2.2) -> None:
        self._levels = [Level(half_life) for half_life in half_lives]  # the slowest first
        self._contradiction = contradiction  # in standard deviations of the quicker one
        self._groups: dict[str, Factor] = {}
        self._expected: dict[str, float] = {}  # by group, as a factor on the first guess
        self._facing = 1.0  # the same of those who are called now
        self._hours: dict[int, Factor] = {}
        self._day = Level(3000.0)  # what the hours are compared with
        self._hour: int | None = None
        self._believed: Level | None = None  # found when it is asked for, and again after what changes a level
        self.seen = 0

    def observe(self, answered: float, group: str = "", hour: int | None = None) -> None:
        """Learn how one call ended: 1 answered, 0 not, between them when we gave it up."""
        self.seen += 1
        if hour is not None:
            if hour not in self._hours:
                self._hour = hour  # the level is this hour's from its first call on
            self._hours.setdefault(hour, Factor(1500.0)).observe(answered, self._day.mean * self._factor(group))
            self._day.observe(answered, self._factor(group))
        factor = self._factor(group)
        if group:
            self._own(group).observe(answered, self.level * self._expected.get(group, 1.0))
        for level in self._levels:
            level.observe(answered, factor)
        self._believed = None

    def expect(self, group: str, chance: Chance) -> None:
        """Hear how likely this group answers by what was learnt elsewhere: of calls that begin from now on."""
        factor = chance.value / (_FIRST_GUESS[0] / _FIRST_GUESS[1])
        if self._expected.get(group) != factor:
            self._expected[group] = factor
            self._groups[group] = Factor(worth=max(1.0, min(_SUREST, chance.value * chance.calls)))

    def face(self, coming: Iterable[tuple[str, int]]) -> None:
        """Hear of which groups the next calls will be, and how many of each: what a call is worth on average."""
        known = [(self._factor(group), number) for group, number in coming if group in self._expected]
        if known:
            self._facing = sum(factor * number for factor, number in known) / sum(number for _, number in known)

    def turn(self, hour: int) -> None:
        """It is this hour now: where it is a new one, the level moves as it did on other days.

        What is known of no hour (a night without calls) leaves the level where it is, as that of the hour before.
        """
        if self._hour is None:
            self._hour = hour
        if hour == self._hour:
            return
        before, then = self._hours.get(self._hour), self._hours.get(hour)
        if then is not None:
            if before is not None:
                for level in self._levels:
                    level.move(then.value / before.value)
                self._believed = None
            self._hour = hour

    @property
    def level(self) -> float:
        """The chance of a contact of no known group."""
        return self._level().mean

    @property
    def usual(self) -> float:
        """The chance of the contacts that are called now, taken together."""
        return self.level * self._facing

    def chance(self, group: str = "") -> float:
        """The chance that a call to this group is answered; of no group, one of those that are called now."""
        likely = self.level * self._factor(group) if group else self.usual
        return min(_LIKELIEST, max(_SLOWEST, likely))

    @property
    def sd(self) -> float:
        """How unsure the level is."""
        return self._level().sd

    def _level(self) -> Level:
        """The slowest that no quicker one contradicts."""
        if self._believed is None:
            self._believed = next(slow for n, slow in enumerate(self._levels) if not self._contradicted(n))
        return self._believed

    def _contradicted(self, n: int) -> bool:
        slow = self._levels[n]
        return any(abs(quick.mean - slow.mean) > self._contradiction * quick.sd for quick in self._levels[n + 1 :])

    def groups(self) -> dict[str, float]:
        """Return each group's chance, as far as it is known."""
        return {group: self.chance(group) for group in self._groups}

    def _own(self, group: str) -> Factor:
        return self._groups.setdefault(group, Factor())

    def _factor(self, group: str) -> float:
        known = self._groups.get(group)
        return self._expected.get(group, 1.0) * (known.value if known is not None else 1.0)
