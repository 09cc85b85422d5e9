"""As many calls as keep the expected share of abandoned ones just under the ceiling; the first form.

Each decision asks one question: of the calls in the air and `n` new ones, how many will be answered, and how
many of those will find no agent? Both counts have exact distributions. `n` is the largest number whose expected
excess stays within a share of the expected answers, and the share follows the running rate: nothing while the
budget is spent, up to twice the ceiling while there is more of it than is needed.

What this form simplifies: every call in the air is worth the same however long it has rung, talk and wrap-up
are taken as exponential (so it does not matter how long they have lasted), and everything is asked about one
moment, the mean ringing time from now.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from dialer.pacing.base import Pace, PaceEvent, Snapshot, Staleness, bounded, count
from dialer.pacing.chance import Chances, binomial, expected, expected_excess, together
from dialer.pacing.history import History, in_order
from dialer.pacing.learning import both_over_within, over_within
from dialer.pacing.progressive import one_per_agent, one_per_agent_because


@dataclass(frozen=True, slots=True)
class Tuning:
    """The constants of the rule; docs/pacing.md says why each has its value."""

    cold: int = 30  # calls that must have ended before predicting anything
    spread: float = 60.0  # answered calls over which the budget left is spent
    boldest: float = 2.0  # times the ceiling: the most that any one decision may expect to abandon
    calls_per_agent: int = 10  # in the air at once; a guard against nonsense, not a pace
    likeliest: float = 0.99  # an answer is never taken for certain
    unlikeliest: float = 0.01  # nor for impossible: a list that never answers could begin to


class Predictive:
    """Learns from every call, and dials ahead of the agents who are about to be free."""

    def __init__(self, staleness: Staleness | None = None, tuning: Tuning | None = None) -> None:
        self._staleness = staleness or Staleness()
        self._tuning = tuning or Tuning()
        self._history = History()

    def observe(self, event: PaceEvent) -> None:
        """Learn from one event."""
        self._history.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Forget everything and learn it anew."""
        self._history = History()
        for event in in_order(events):
            self._history.observe(event)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:  # noqa: ARG002 (the protocol's)
        """Start as many calls as the budget allows; one per agent while too little is known or left."""
        void = self._staleness.void(snapshot)
        if void is not None:
            return void
        held_back = self._held_back(snapshot)
        if held_back is None:
            return self._predict(snapshot)
        limit, reason = held_back
        because = f"one call per agent: {one_per_agent_because(snapshot)}; {reason}"
        return bounded(one_per_agent(snapshot), snapshot, because, (limit,))

    def _held_back(self, now: Snapshot) -> tuple[str, str] | None:
        """Return (limit, reason) when this is no time to predict."""
        doubt = self._staleness.doubt(now)
        if doubt is not None:
            return doubt
        ended = self._history.answers.seen
        if ended < self._tuning.cold:
            return "cold start", f"learning, {ended} of {self._tuning.cold} calls ended"
        budget = now.budget
        if budget.spent:
            lost = f"{budget.abandoned} of {budget.abandoned + budget.met}"
            spent = (
                f"the {budget.ceiling:.0%} are used up ({lost} abandoned)"
                if budget.abandoned
                else "nobody may be lost yet"
            )
            more = f": {count(budget.to_meet, 'more conversation')} first" if budget.to_meet else ""
            return "budget", f"{spent}{more}"
        return None

    def _predict(self, now: Snapshot) -> Pace:
        history, tuning = self._history, self._tuning
        chance = min(tuning.likeliest, max(tuning.unlikeliest, history.answers.chance))
        horizon = history.ring.mean()
        freed = self._freed(now, horizon)
        left = now.budget.left
        most = max(0, min(now.lines_left, tuning.calls_per_agent * now.team - len(now.ringing)))
        outlook = Outlook.of(now, freed, chance, most)
        share = self._share(now)
        calls = outlook.most_within(share, float("inf") if left is None else float(left), most)
        because = (
            f"{count(now.free, 'agent')} free, {_mean(freed):.1f} more expected in {horizon:.0f} s, "
            f"{len(now.ringing)} ringing worth {len(now.ringing) * chance:.1f}"
        )
        if now.waiting:
            because += f", {count(now.waiting, 'customer')} waiting"
        if left is not None:
            because += f", budget {count(left, 'call')} left of {now.budget.window}"
        limit = "abandonment"
        if calls == most < now.lines_left:
            limit = "calls per agent"
            because += f"; {tuning.calls_per_agent} calls in the air for each agent are enough"
        elif calls == most:
            limit = "campaign lines" if now.lines_left < now.free_lines else "lines"
            because += "; no more lines"
        return Pace(calls, f"{calls}: {because}", (limit,))

    def _freed(self, now: Snapshot, horizon: float) -> Chances:
        """Return how many busy agents will be free within the horizon."""
        talk, wrap_up = self._history.talk.mean(now.talking), self._history.wrap_up.mean(now.wrapping)
        return together(
            binomial(len(now.talking), both_over_within(horizon, talk, wrap_up)),
            binomial(len(now.wrapping), over_within(horizon, wrap_up)),
        )

    def _share(self, now: Snapshot) -> float:
        """Return the part of the expected answers that may be abandoned.

        What the budget leaves after the next call is spread over the answers to come: the ceiling itself when
        the surplus is what `spread` answers would use, nothing when it is one call, `boldest` times it at most.
        """
        budget = now.budget
        surplus = budget.ceiling * (budget.abandoned + budget.met) - budget.abandoned
        return min(self._tuning.boldest * budget.ceiling, max(0.0, (surplus - 1.0) / self._tuning.spread))


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the calls in the air will bring, and what `n` more would change."""

    ringing: int
    waiting: int  # customers who are there already
    chance: float
    excess: list[float]  # by the number of customers: how many of them are expected to find no agent

    @classmethod
    def of(cls, now: Snapshot, freed: Chances, chance: float, most: int) -> "Outlook":
        """Weigh this moment, for up to `most` new calls."""
        supply = together(binomial(now.free, 1.0), freed)
        demand = now.waiting + len(now.ringing) + most
        return cls(len(now.ringing), now.waiting, chance, expected_excess(supply, demand))

    def answers(self, more: int) -> float:
        """Return how many customers are expected, with `more` new calls."""
        return self.waiting + (self.ringing + more) * self.chance

    def abandoned(self, more: int) -> float:
        """Return how many of them are expected to find no agent."""
        return expected(self.excess[self.waiting :], binomial(self.ringing + more, self.chance))

    def most_within(self, share: float, calls: float, most: int) -> int:
        """Return the most new calls whose expected abandonment is within `share` of the answers, and `calls`.

        Both grow with every call added (docs/pacing.md has the proof), so the last good number is found by
        halving.
        """

        def good(more: int) -> bool:
            lost = self.abandoned(more)
            return lost <= share * self.answers(more) + 1e-9 and lost <= calls

        low, high = 0, most + 1  # low is good, or zero; high is not good, or too many
        step = 1
        while low + step < high:  # decisions are small: look near zero first
            if not good(low + step):
                high = low + step
                break
            low += step
            step *= 2
        while high - low > 1:
            middle = (low + high) // 2
            if good(middle):
                low = middle
            else:
                high = middle
        return low


def _mean(chances: Chances) -> float:
    return sum(k * chance for k, chance in enumerate(chances))
