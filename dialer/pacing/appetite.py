"""How much risk of an abandoned call is worth taking now, from what the legal window has left.

The surplus is what the window could abandon this moment and still stand at its ceiling: c (D + L) - D. Below one
call nothing is risked. Above, the risk allowed for one more answer grows with the surplus, steadily, because for a
given number of abandoned calls a steady risk keeps agents busier than a day of boldness and caution by turns. Luck
moves the surplus by the square root of the abandoned calls of the day; and bad luck comes in bursts as large as what
is in the air, because who answers while nobody is free is followed by others. Room is left for both.
"""

from dataclasses import dataclass
from math import sqrt

from dialer.abandonment import Budget

YOUNG = 4.0  # calls that a window could abandon in all, below which it is young


@dataclass(frozen=True, slots=True)
class Appetite:
    """The constants of the rule; docs/pacing.md says why each has its value."""

    reserve: float = 1.0  # calls of surplus that are never risked; ...
    reserve_for_bursts: float = 1.0  # ... one more for each answer in the air, up to ...
    largest_burst: float = 3.0  # ... so many
    usual: float = 0.6  # times the ceiling: the chance to find nobody that a call may have, in balance; ...
    coarse: float = 0.7  # ... more with few answers in the air, of which most calls stay far below what they may
    least: float = 0.3  # of the usual, as soon as anything may be risked
    boldest: float = 2.5  # of the usual, however much is left
    room: float = 1.0  # calls of surplus above the reserve at balance, ...
    room_for_luck: float = 0.3  # ... more for each square root of a call the window may abandon, ...
    room_for_bursts: float = 2.0  # ... and more for each answer that the calls in the air are worth
    ruin: float = 1e-3  # the chance that a decision may take to lose more calls than are left
    stress: float = 1.5  # the answers expected and so much of them more: even then no more may be lost than are left
    awake: float = 0.5  # of all calls in the air, answered all at once, that must be borne however few usually are, ...
    settled: float = 10.0  # ... until the whole window could abandon so many: the learnt level may be one of minutes
    few: int = 2  # calls left from which on not even all that ring, answered at once, may lose more, ...
    young: float = YOUNG  # ... while the whole window could not abandon so many: later it recovers within minutes
    least_part: float = 0.3  # of the ceiling that the pace lives on, however much a machine detector spends of it
    many: float = 5.0  # answers in the air from which chance evens out, and the room for its whims grows more slowly

    def allowed(self, budget: Budget, in_the_air: float = 0.0) -> float:
        """Return the greatest chance to find nobody that one more answered call may have; 0 when none may.

        `in_the_air`: answers that the ringing calls are worth.
        """
        if budget.ceiling >= 1.0:
            return 1.0
        if budget.left == 0:
            return 0.0
        may = budget.ceiling * (budget.abandoned + budget.met)
        spared = self.reserve + self.reserve_for_bursts * min(self.largest_burst, in_the_air)
        surplus = may - budget.abandoned - spared
        if surplus < 0.0:
            return 0.0
        filled = surplus / (
            self.room + self.room_for_luck * sqrt(may) + self.room_for_bursts * self._bursts(in_the_air)
        )
        # Where some of those who answer are machines, a lost answer weighs more than one that an agent takes.
        # People a detector hangs up on spend the ceiling whatever the pace: it may spend what they leave, and less than
        # that, because by chance they spend more of it for hours.
        usual = (
            self.usual
            * budget.people
            * max(self.least_part, budget.for_the_pace) ** 2
            * (1.0 + self.coarse / max(0.3, in_the_air))
        )
        return usual * budget.ceiling * min(self.boldest, self.least + (1.0 - self.least) * filled)

    def stressed(self, in_the_air: float) -> float:
        """Return the multiple of the answers expected that must be borne."""
        return 1.0 + self.stress * min(1.0, self.many / max(self.many, in_the_air))

    def _bursts(self, in_the_air: float) -> float:
        """How large a burst may be: as all that is in the air, while that is little; then as its square root."""
        return min(in_the_air, sqrt(self.many * in_the_air))
