"""What the next half minute will bring: would one more customer who answers find an agent?

Customers and agents are counted at a few moments at which a call started now may be answered. Who answers by then
(every call in the air, by how long it has rung) and who is free by then (every agent, by how long talk or wrap-up has
lasted) are sums of independent chances: exact distributions for small teams, the normal one for large.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, sqrt

from dialer.pacing.chance import Chances, with_one_more

# Up to so many agents and calls the distributions are exact; above, normal (docs/pacing.md: what that costs).
EXACT_UP_TO = 56
_ROOT_HALF = sqrt(0.5)
_NOTHING = 1e-9


@dataclass(frozen=True, slots=True)
class Moment:
    """A moment ahead, as a pacer sees it. `weight`: the share of a new call's answers that it stands for."""

    weight: float
    fresh: float  # of the answers that a call started now will have, the part that comes by then
    answers: Sequence[float]  # of each call in the air, the chance that it is answered by then
    frees: Sequence[float]  # of each busy agent, the chance to be free in time for who answers then


class Outlook:
    """The chance that one more customer is lost, as calls are added."""

    def __init__(self, moments: Sequence[Moment], free: int, waiting: int) -> None:
        exact = bool(moments) and len(moments[0].answers) + len(moments[0].frees) <= EXACT_UP_TO
        short = waiting - free  # customers beyond the agents who are free now
        self._short, self._calls = short, len(moments[0].answers) if moments else 0
        self._ahead: list[_Exact | _Normal] = [(_Exact if exact else _Normal)(moment, short) for moment in moments]

    def lost(self) -> float:
        """Return the chance that a customer who answers a call started now, after those added, finds nobody."""
        return sum([ahead.weight * ahead.short_by(0) for ahead in self._ahead])

    def ruined(self, left: int) -> float:
        """Return the chance that, with one more call that is answered, more than `left` customers find nobody."""
        return max([ahead.short_by(left) for ahead in self._ahead], default=0.0)

    def stressed(self, factor: float, awake: float = 0.0) -> float:
        """Return how many would find nobody at `factor` times the answers expected, or with so much of all calls
        answered as `awake` says, whichever is more."""
        if not self._ahead:
            return 0.0
        last = self._ahead[-1]
        return self._short + max(factor * last.customers, awake * self._calls) - last.expected_frees

    @property
    def at_worst(self) -> int:
        """How many would find nobody if every call were answered and no agent came free."""
        return self._short + self._calls

    def add(self, chance: float) -> None:
        """Reckon with one more call, that will be answered with this chance."""
        self._calls += 1
        for ahead in self._ahead:
            ahead.add(chance)

    @property
    def answers(self) -> float:
        """Answers expected by the last moment, of the calls in the air before any was added."""
        return self._ahead[-1].expected_answers if self._ahead else 0.0

    @property
    def frees(self) -> float:
        """Agents expected to come free by the last moment."""
        return self._ahead[-1].expected_frees if self._ahead else 0.0


class _Exact:
    __slots__ = (
        "_customers", "_fresh", "_no_more_than", "_short", "customers", "expected_answers", "expected_frees", "weight",
    )  # fmt: skip

    def __init__(self, moment: Moment, short: int) -> None:
        self.weight, self._fresh, self._short = moment.weight, moment.fresh, short
        supply: Chances = [1.0]
        for chance in moment.frees:
            if chance > _NOTHING:
                supply = with_one_more(supply, chance)
        customers: Chances = [1.0]
        for chance in moment.answers:
            if chance > _NOTHING:
                customers = with_one_more(customers, chance)
        self._customers = customers
        total, self._no_more_than = 0.0, []  # [x]: the chance that at most x agents come free
        for chance in supply:
            total += chance
            self._no_more_than.append(total)
        self.expected_answers, self.expected_frees = sum(moment.answers), sum(moment.frees)
        self.customers = self.expected_answers  # with those added

    def short_by(self, more: int) -> float:
        """The chance that the customers before one more exceed the agents by `more`, or are as many (`more` 0)."""
        short, enough, most = self._short - more, self._no_more_than, len(self._no_more_than) - 1
        total = 0.0
        for customers, chance in enumerate(self._customers):
            over = customers + short
            if over >= 0:
                total += chance * (enough[over] if over < most else 1.0)
        return total

    def add(self, chance: float) -> None:
        self._customers = with_one_more(self._customers, self._fresh * chance)
        self.customers += self._fresh * chance


class _Normal:
    __slots__ = ("_fresh", "_mean", "_variance", "customers", "expected_answers", "expected_frees", "weight")

    def __init__(self, moment: Moment, short: int) -> None:
        self.weight, self._fresh = moment.weight, moment.fresh
        self.expected_answers, self.expected_frees = sum(moment.answers), sum(moment.frees)
        self.customers = self.expected_answers  # with those added
        self._mean = short + self.expected_answers - self.expected_frees
        self._variance = (
            self.expected_answers
            - sum([chance * chance for chance in moment.answers])
            + self.expected_frees
            - sum([chance * chance for chance in moment.frees])
        )

    def short_by(self, more: int) -> float:
        # P(customers - agents >= more), with the half that a whole number is wide.
        beyond = more - 0.5 - self._mean
        if self._variance < _NOTHING:
            return 1.0 if beyond <= 0 else 0.0
        return 0.5 * erfc(beyond / sqrt(self._variance) * _ROOT_HALF)

    def add(self, chance: float) -> None:
        chance *= self._fresh
        self.customers += chance
        self._mean += chance
        self._variance += chance * (1.0 - chance)
