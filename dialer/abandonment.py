"""How many answered calls met nobody, as each law counts it, and how many more may.

D: live answers not joined in time; a played message does not take a call out of them.
L: people agents met. m: machines agents met, as far as agents said so; until a word is said, it was a person.
H: every call a person answered, so also those who hung up before the limit, who are in H only.
A machine detector hangs up on some people, too: of the calls it ends a share, as a sample says, is D.
None of this is legal advice: the packs are dated readings of the rules.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from datetime import date, timedelta
from fractions import Fraction
from functools import lru_cache
from operator import add, sub
from typing import NamedTuple

from dialer import calling_rules
from dialer.calling_rules import CallingRules
from dialer.calls import CallState
from dialer.dispositions import MACHINES, NO_PERSON
from dialer.errors import NotFound
from dialer.modes import AGENTLESS
from dialer.rate_windows import WindowRule

# Of the calls that a machine detector ends so many are taken to be people's, until somebody has heard a sample. Ours:
# a detector that takes 2 of 100 people for machines where 4 of 10 answers are machines ends one person's call in 30.
PEOPLE_AMONG_MACHINES = 0.03


@dataclass(frozen=True, slots=True)
class Figures:
    """The counts of one campaign in one window, from which every law's rate is reckoned."""

    abandoned: int = 0  # D
    met: int = 0  # L
    machines: int = 0  # m
    hung_up: int = 0  # in H only
    detected: int = 0  # calls that a detector ended as a machine's
    mistaken: int = 0  # of D: people among the detected

    @property
    def answered(self) -> int:
        """H: every call a person answered."""
        return self.abandoned + self.met + self.hung_up

    def __add__(self, other: "Figures") -> "Figures":
        return Figures(*map(add, astuple(self), astuple(other)))

    def __sub__(self, other: "Figures") -> "Figures":
        return Figures(*map(sub, astuple(self), astuple(other)))

    def with_mistakes(self, people: float) -> "Figures":
        """Count the people among the detected as abandoned: this share of them, and a part of one as a whole."""
        part, whole = _parts(people)
        mistaken = -(-self.detected * part // whole)
        return replace(self, abandoned=self.abandoned + mistaken, mistaken=mistaken)


class Ended(NamedTuple):
    """A call that is over. `waited`: seconds until the agent, None without one; `meaning`: of the agent's word."""

    state: CallState
    waited: float | None = None
    meaning: str = ""


def figures(calls: Iterable[Ended], limit: float) -> Figures:
    """Count calls that are over.

    Somebody whom an agent met, but only after the limit, was not joined in time: that is a D. A machine is m whenever
    an agent met it; an open line on which nobody spoke is no person met, and no machine either.
    """
    abandoned = met = machines = hung_up = 0
    for state, waited, meaning in calls:
        late = waited is not None and waited > limit
        if state is CallState.ABANDONED:
            abandoned += 1
        elif state is CallState.COMPLETED and meaning in MACHINES:
            machines += 1
        elif state is CallState.COMPLETED and late:
            abandoned += 1
        elif state is CallState.COMPLETED and meaning not in NO_PERSON:
            met += 1
        elif state is CallState.HUNG_UP:
            hung_up += 1
    return Figures(abandoned, met, machines, hung_up)


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
    met: int  # or whatever else stands below the line beside D: in the US, those who hung up too
    ceiling: float
    window: str = "24 h"  # for people
    machines: int = 0  # agents met besides, and that stand on neither side of the line
    mistaken: int = 0  # of the abandoned: a detector hung up on them, whatever the pace

    @property
    def for_the_pace(self) -> float:
        """The part of the ceiling that the people a detector hangs up on leave to the pace: 1 where there is none."""
        if not self.mistaken or not 0.0 < self.ceiling < 1.0:
            return 1.0
        return max(0.0, 1.0 - rate(self.mistaken, self.met) / self.ceiling)

    @property
    def people(self) -> float:
        """The share of those whom agents met that stands below the line: machines make a lost answer dearer."""
        return self.met / (self.met + self.machines) if self.met > 0 and self.machines > 0 else 1.0

    @property
    def rate(self) -> float:
        """The running rate."""
        return rate(self.abandoned, self.met)

    @property
    def left(self) -> int | None:
        """Calls that may still be abandoned with the rate at or under the ceiling; None: any number (ceiling 1)."""
        part, whole = _parts(self.ceiling)
        if part >= whole:
            return None
        # (D + D') / (D + D' + L) <= c  <=>  D' <= c L / (1 - c) - D
        return max(0, part * self.met // (whole - part) - self.abandoned)

    @property
    def spent(self) -> bool:
        """Whether one more abandoned call would put the rate above the ceiling."""
        return self.left == 0

    @property
    def over(self) -> bool:
        """Whether the rate is above the ceiling now."""
        part, whole = _parts(self.ceiling)
        return self.abandoned * whole > part * (self.abandoned + self.met)

    @property
    def to_meet(self) -> int:
        """People agents must meet before another call may be abandoned: 0 while some may, or when none ever may."""
        part, whole = _parts(self.ceiling)
        if self.left != 0 or part <= 0:
            return 0
        return -(-(self.abandoned + 1) * (whole - part) // part) - self.met


def strictest(budgets: Iterable[Budget]) -> Budget | None:
    """Return the budget of several windows that leaves least; None when there are none."""
    return min(budgets, key=lambda budget: (budget.left is None, budget.left or 0, -budget.rate), default=None)


@lru_cache(maxsize=64)
def _parts(ceiling: float) -> tuple[int, int]:
    """Read 0.03 as three hundredths, which the float is not. In whole numbers, because it is asked at every moment."""
    return Fraction(repr(float(ceiling))).as_integer_ratio()


@dataclass(frozen=True, slots=True)
class RulePack:
    """One reading of the rules, as data, with the day it begins to hold and where it was read."""

    name: str
    since: date
    source: str
    answer_limit: timedelta  # from the answer to an agent, or the recorded message
    windows: tuple[WindowRule, ...]  # all of them hold at once
    ring_minimum: timedelta  # a phone is not given up on sooner
    rest: timedelta  # before somebody abandoned is called again
    calling: CallingRules = calling_rules.NONE  # hours, holidays, caps, consent

    def rest_in(self, mode: str) -> timedelta:
        """Return how long somebody abandoned is left in peace; without agents as long as one must be kept."""
        return max(self.rest, self.calling.agent_after_abandoned) if mode == AGENTLESS else self.rest

    @property
    def ceiling(self) -> float:
        """The highest share of calls that any of its windows lets be abandoned: nobody sets more without the right."""
        return max(window.ceiling for window in self.windows)

    def ceiling_of(self, window: WindowRule, max_abandonment: float) -> float:
        """Return what a campaign with this limit is held to in one window.

        The limit bounds every window's own ceiling. A limit above the whole pack was set by somebody with the right
        to, and holds in every window.
        """
        return max_abandonment if max_abandonment > self.ceiling else min(max_abandonment, window.ceiling)

    def budget(self, window: WindowRule, counted: Figures, max_abandonment: float, of: str = "") -> Budget:
        """Return what `counted` leaves of a window. `of` is put behind the window's name, for people."""
        against = {
            "met": counted.met,
            # Ofcom's correction for machines is for those who detect none.
            "met_with_machines": counted.met + (0 if counted.detected else counted.machines),
            "answered": counted.met + counted.hung_up,
        }[window.counts]
        besides = counted.met + counted.machines - against if window.counts != "answered" else counted.machines
        ceiling = self.ceiling_of(window, max_abandonment)
        return Budget(counted.abandoned, against, ceiling, window.name + of, besides, counted.mistaken)


_DAY = timedelta(days=1)
_IN_FORCE = date(2026, 1, 1)

PACKS = {
    pack.name: pack
    for pack in (
        RulePack(
            name="default-2026",
            since=_IN_FORCE,
            source="our own choice, at least as strict as the rules it was compared with but for the blocks of 30 days",
            answer_limit=timedelta(seconds=2),
            windows=(WindowRule("rolling", 0.03, length=_DAY), WindowRule("day", 0.03)),
            ring_minimum=timedelta(seconds=15),
            rest=timedelta(hours=72),
        ),
        RulePack(
            name="us-2026",
            since=_IN_FORCE,
            source="FTC, 16 CFR 310.4(b)(4); FCC, 47 CFR 64.1200(a)(6) and (7)",
            answer_limit=timedelta(seconds=2),  # after the greeting, which is later than the answer
            windows=(WindowRule("blocks", 0.03, "answered", length=30 * _DAY),),
            ring_minimum=timedelta(seconds=15),  # or four rings
            rest=timedelta(hours=72),  # ours: the rule names none
            calling=calling_rules.US,
        ),
        RulePack(
            name="us-debt-2026",
            since=_IN_FORCE,
            source="CFPB, Regulation F, 12 CFR 1006; abandoned calls as the FTC and the FCC count them",
            answer_limit=timedelta(seconds=2),
            windows=(WindowRule("blocks", 0.03, "answered", length=30 * _DAY),),
            ring_minimum=timedelta(seconds=15),
            rest=timedelta(hours=72),
            calling=calling_rules.US_DEBT,
        ),
        RulePack(
            name="uk-2026",
            since=_IN_FORCE,
            source="Ofcom, statement of policy on persistent misuse, March 2017; it names no safe rate, 3 % is ours",
            answer_limit=timedelta(seconds=2),
            windows=(WindowRule("day", 0.03, "met_with_machines"),),
            ring_minimum=timedelta(seconds=15),
            rest=timedelta(hours=72),
            calling=calling_rules.UK,
        ),
        RulePack(
            name="it-2026",
            since=_IN_FORCE,
            source="Garante, provvedimento 83 of 20 February 2014; the 4 % per day are from an audit sheet: check",
            answer_limit=timedelta(seconds=3),
            windows=(WindowRule("campaign", 0.03), WindowRule("day", 0.04)),
            ring_minimum=timedelta(seconds=15),  # ours: the rule names none
            rest=timedelta(days=5),
            calling=calling_rules.IT,
        ),
        RulePack(
            name="fr-2026",
            since=date(2026, 8, 11),  # when consent became a condition
            source="Code de la consommation L. 223-1 and D. 223-9; it names no rate, 3 % and 72 h are ours",
            answer_limit=timedelta(seconds=2),
            windows=(WindowRule("rolling", 0.03, length=_DAY), WindowRule("day", 0.03)),
            ring_minimum=timedelta(seconds=15),
            rest=timedelta(hours=72),
            calling=calling_rules.FR,
        ),
    )
}


def rule_pack(name: str) -> RulePack:
    """Return the rule pack called `name`; NotFound says which there are."""
    try:
        return PACKS[name]
    except KeyError:
        raise NotFound(f"there is no rule pack {name!r}; there are: {', '.join(sorted(PACKS))}") from None
