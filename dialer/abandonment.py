"""How many answered calls met nobody, as each law counts it, and how many more may.

D: live answers not joined in time; a played message does not take a call out of them.
L: people agents met. m: machines agents met. H: every call a person answered, so also those who hung up before
the limit, who are in H only. None of this is legal advice: the packs are dated readings of the rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from dialer.calls import CallState
from dialer.errors import NotFound


@dataclass(frozen=True, slots=True)
class Figures:
    """The counts of one campaign in one window, from which every law's rate is reckoned."""

    abandoned: int = 0  # D
    met: int = 0  # L
    machines: int = 0  # m
    hung_up: int = 0  # in H only

    @property
    def answered(self) -> int:
        """H: every call a person answered."""
        return self.abandoned + self.met + self.hung_up

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(
            self.abandoned + other.abandoned,
            self.met + other.met,
            self.machines + other.machines,
            self.hung_up + other.hung_up,
        )


def figures(calls: Iterable[tuple[CallState, float | None]], limit: float) -> Figures:
    """Count final states, each with the seconds its customer waited for the agent (None: joined nobody).

    Somebody whom an agent met, but only after the limit, was not joined in time: that is a D.
    """
    abandoned = met = hung_up = 0
    for state, waited in calls:
        if state is CallState.ABANDONED or (state is CallState.COMPLETED and waited is not None and waited > limit):
            abandoned += 1
        elif state is CallState.COMPLETED:
            met += 1
        elif state is CallState.HUNG_UP:
            hung_up += 1
    return Figures(abandoned, met, 0, hung_up)


def rate(abandoned: float, met: float) -> float:
    """D / (D + L): Italy's rate, and ours; 0 while nobody answered."""
    return abandoned / (abandoned + met) if abandoned + met else 0.0


def us_rate(counted: Figures) -> float:
    """D / H, the rate of the FTC and the FCC."""
    return counted.abandoned / counted.answered if counted.answered else 0.0


def uk_abandoned(counted: Figures) -> float:
    """Ofcom's d without machine detection: D less the share of it that machines will have been."""
    seen = counted.machines + counted.met
    return counted.abandoned - counted.abandoned * counted.machines / seen if seen else float(counted.abandoned)


def uk_rate(counted: Figures) -> float:
    """Ofcom's d / (d + L) without machine detection."""
    return rate(uk_abandoned(counted), counted.met)


def uk_rate_with_detection(counted: Figures, people_taken_for_machines: float) -> float:
    """Ofcom's rate with machine detection: the people sampled among the "machines" are abandoned too."""
    return rate(counted.abandoned + people_taken_for_machines, counted.met)


@dataclass(frozen=True, slots=True)
class Budget:
    """What one window has spent, and what its ceiling leaves. Whole calls and exact fractions: no rounding."""

    abandoned: int
    met: int
    ceiling: float
    window: str = "24 h"  # for people

    @property
    def rate(self) -> float:
        """The running rate."""
        return rate(self.abandoned, self.met)

    @property
    def left(self) -> int | None:
        """Calls that may still be abandoned with the rate at or under the ceiling; None: any number (ceiling 1)."""
        limit = _exact(self.ceiling)
        if limit >= 1:
            return None
        # (D + D') / (D + D' + L) <= c  <=>  D' <= c L / (1 - c) - D
        return max(0, limit * self.met // (1 - limit) - self.abandoned)

    @property
    def spent(self) -> bool:
        """Whether one more abandoned call would put the rate above the ceiling."""
        return self.left == 0

    @property
    def over(self) -> bool:
        """Whether the rate is above the ceiling now."""
        return Fraction(self.abandoned) > _exact(self.ceiling) * (self.abandoned + self.met)

    @property
    def to_meet(self) -> int:
        """People agents must meet before another call may be abandoned: 0 while some may, or when none ever may."""
        limit = _exact(self.ceiling)
        if self.left != 0 or limit <= 0:
            return 0
        needed = (self.abandoned + 1) * (1 - limit) / limit
        return -(-needed.numerator // needed.denominator) - self.met


def strictest(budgets: Iterable[Budget]) -> Budget | None:
    """Return the budget of several windows that leaves least; None when there are none."""
    return min(budgets, key=lambda budget: (budget.left is None, budget.left or 0, -budget.rate), default=None)


def _exact(ceiling: float) -> Fraction:
    """Read 0.03 as three hundredths, which the float is not."""
    return Fraction(repr(float(ceiling)))


@dataclass(frozen=True, slots=True)
class RulePack:
    """One reading of the rules, as data, with the day it begins to hold."""

    name: str
    since: date
    answer_limit: timedelta  # from the answer to an agent, or the recorded message
    ceiling: float  # of D / (D + L)
    window: timedelta  # the rate is kept in every window of this length
    ring_minimum: timedelta  # a phone is not given up on sooner
    rest: timedelta  # before somebody abandoned is called again

    def window_opens(self, now: datetime) -> datetime:
        """Return from when answered calls count in the window that ends now."""
        return now - self.window


PACKS = {
    pack.name: pack
    for pack in (
        RulePack(
            name="default-2026",
            since=date(2026, 1, 1),
            answer_limit=timedelta(seconds=2),
            ceiling=0.03,
            window=timedelta(hours=24),
            ring_minimum=timedelta(seconds=15),
            rest=timedelta(hours=72),
        ),
    )
}


def rule_pack(name: str) -> RulePack:
    """Return the rule pack called `name`; NotFound says which there are."""
    try:
        return PACKS[name]
    except KeyError:
        raise NotFound(f"there is no rule pack {name!r}; there are: {', '.join(sorted(PACKS))}") from None
