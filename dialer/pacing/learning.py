"""What a pacer learns: how often calls are answered, and how long things take. Old lessons fade."""

from collections.abc import Sequence
from math import exp, sqrt


class AnswerChance:
    """The chance that a call is answered: a Beta posterior whose evidence halves every `half_life` calls."""

    def __init__(self, yes: float, no: float, half_life: float) -> None:
        self._prior_yes, self._prior_no = yes, no
        self._keep = 0.5 ** (1.0 / half_life)
        self._yes = self._no = 0.0

    def observe(self, answered: bool) -> None:
        """Learn how one call ended."""
        self._yes = self._yes * self._keep + (1.0 if answered else 0.0)
        self._no = self._no * self._keep + (0.0 if answered else 1.0)

    @property
    def mean(self) -> float:
        return (self._prior_yes + self._yes) / self._weight

    @property
    def sd(self) -> float:
        """How unsure the mean is."""
        return sqrt(self.mean * (1.0 - self.mean) / (self._weight + 1.0))

    @property
    def _weight(self) -> float:
        return self._prior_yes + self._prior_no + self._yes + self._no


class Answers:
    """The answer chance to plan with: a slow, steady estimate, until a quick one clearly contradicts it.

    Lists change (another town, another hour): the quick estimate notices within some tens of calls, while the
    slow one keeps its noise out of quiet hours. The guess before any call, three in ten, is a cautious one: a
    higher chance means fewer calls.
    """

    def __init__(self, slow: float = 200.0, quick: float = 30.0, contradiction: float = 2.0) -> None:
        self._slow = AnswerChance(3.0, 7.0, slow)
        self._quick = AnswerChance(3.0, 7.0, quick)
        self._contradiction = contradiction  # in standard deviations of the quick estimate
        self.seen = 0

    def observe(self, answered: bool) -> None:
        """Learn how one call ended."""
        self.seen += 1
        self._slow.observe(answered)
        self._quick.observe(answered)

    @property
    def chance(self) -> float:
        slow, quick = self._slow.mean, self._quick.mean
        return quick if abs(quick - slow) > self._contradiction * self._quick.sd else slow


class MeanTime:
    """How long something takes on average, starting from a guess worth `weight` observations."""

    def __init__(self, guess: float, weight: float = 5.0, half_life: float = 100.0) -> None:
        self._guess, self._weight = guess, weight
        self._keep = 0.5 ** (1.0 / half_life)
        self._total = self._count = 0.0

    def observe(self, seconds: float) -> None:
        """Learn how long one of them took."""
        self._total = self._total * self._keep + max(0.0, seconds)
        self._count = self._count * self._keep + 1.0

    def mean(self, running: Sequence[float] = ()) -> float:
        """Return the mean. `running`: how long the unfinished ones have lasted; without them, the first
        to finish would be all we know, and they are the short ones."""
        total = self._guess * self._weight + self._total + sum(running)
        return max(0.1, total / (self._weight + self._count))


def over_within(seconds: float, mean: float) -> float:
    """Return the chance that something of exponential length, however long it has lasted, ends within `seconds`."""
    return 1.0 - exp(-seconds / mean)


def both_over_within(seconds: float, first: float, second: float) -> float:
    """Return the chance that one thing and then another, of exponential lengths, are both over within `seconds`."""
    if abs(first - second) < 1e-3 * first:  # the formula below divides by the difference
        return 1.0 - exp(-seconds / first) * (1.0 + seconds / first)
    a, b = 1.0 / first, 1.0 / second
    return 1.0 - (b * exp(-a * seconds) - a * exp(-b * seconds)) / (b - a)
