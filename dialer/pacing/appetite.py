"""How much risk of an abandoned call is worth taking now, from what the legal window has left.

The surplus is what the window could abandon this moment and still stand at its ceiling: c (D + L) - D. Below one
call nothing is risked. Above, the risk allowed for one more answer grows with the surplus, steadily, because for a
given number of abandoned calls a steady risk keeps agents busier than a day of boldness and caution by turns. What
the day's luck makes of it grows with the square root of its abandoned calls, and so does the room that is left.
"""

from dataclasses import dataclass
from math import sqrt

from dialer.abandonment import Budget


@dataclass(frozen=True, slots=True)
class Appetite:
    """The constants of the rule; docs/pacing.md says why each has its value."""

    reserve: float = 1.0  # calls of surplus that are never risked
    usual: float = 1.7  # times the ceiling: the chance to find nobody that a call may have, in balance
    least: float = 0.3  # of the usual, as soon as anything may be risked
    boldest: float = 2.5  # of the usual, however much is left
    room: float = 1.0  # calls of surplus above the reserve at balance, at the first ...
    room_grows: float = 0.5  # ... and this much more for each square root of a call the window may abandon
    ruin: float = 3e-4  # the chance that a decision may take to lose more calls than are left

    def allowed(self, budget: Budget) -> float:
        """Return the greatest chance to find nobody that one more answered call may have; 0 when none may."""
        if budget.ceiling >= 1.0:
            return 1.0
        if budget.left == 0:
            return 0.0
        may = budget.ceiling * (budget.abandoned + budget.met)
        surplus = may - budget.abandoned - self.reserve
        if surplus < 0.0:
            return 0.0
        filled = surplus / (self.room * (1.0 + self.room_grows * sqrt(may)))
        return self.usual * budget.ceiling * min(self.boldest, self.least + (1.0 - self.least) * filled)
