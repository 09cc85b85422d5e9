"""As many calls as the legal window lets us risk, launched ahead of the agents who are about to be free.

Each decision asks of one more call: if it is answered, with what chance does that person find nobody? Calls are added
while that chance is within what the budget allows (`appetite`), and the chance of losing more than the budget has
left stays next to nothing. What is asked is answered by distributions, not averages (`outlook`): of the calls in the
air by how long each has rung, of the agents by how long each talk and wrap-up has lasted. docs/pacing.md has the
mathematics, the constants, and what each idea is worth.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from math import floor

from dialer.abandonment import Budget
from dialer.pacing.ahead import Ahead, resting
from dialer.pacing.appetite import Appetite
from dialer.pacing.base import Pace, PaceEvent, Snapshot, Staleness, bounded, count
from dialer.pacing.choosing import Chooser
from dialer.pacing.giving_up import to_give_up
from dialer.pacing.history import History, in_order
from dialer.pacing.outlook import Outlook
from dialer.pacing.progressive import free_agents, one_per_agent, one_per_agent_because
from dialer.pacing.sharing import own_part


@dataclass(frozen=True, slots=True)
class Tuning:
    """The constants of the rule; docs/pacing.md says why each has its value."""

    appetite: Appetite = field(default_factory=Appetite)
    cold: int = 30  # calls that must have ended before predicting anything
    # Seconds a customer waits for an agent: who is free by then is in time. The law's two, less what the message
    # needs to begin within them, and the telling.
    patience: float = 1.65
    calls_per_agent: int = 12  # in the air at once; a guard against nonsense, not a pace
    next_to_safe: float = 0.02  # the chance to find nobody of a call one campaign places among others' calls
    kept_memory: float = 0.02  # of each decision, in what part of calls past the least ringing we let ring on


class Predictive:
    """Learns from every call, and dials ahead of the agents who are about to be free."""

    def __init__(
        self,
        staleness: Staleness | None = None,
        tuning: Tuning | None = None,
        *,
        knows: Callable[[], History] = History,
    ) -> None:
        self._staleness = staleness or Staleness()
        self._tuning = tuning or Tuning()
        self._knows = knows  # what it begins with: nothing, or (in benchmarks) the truth
        self._forget()

    def _forget(self) -> None:
        self._history = self._knows()
        self._ahead: Ahead | None = None
        self._kept = 0.5

    def observe(self, event: PaceEvent) -> None:
        """Learn from one event."""
        self._history.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Forget everything and learn it anew."""
        self._forget()
        for event in in_order(events):
            self._history.pass_hour(event.at)
            self._history.observe(event)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        """Start as many calls as may be risked; one per agent while too little is known or left."""
        void = self._staleness.void(snapshot)
        if void is not None:
            return void
        settled = self._history.settle(now, snapshot)
        if settled or self._ahead is None or self._ahead.min_ring != snapshot.goals.min_ring:
            self._ahead = Ahead.plan(self._history, snapshot.goals.min_ring, self._kept)
        chances = self._chances(snapshot)
        doubt = self._staleness.doubt(snapshot)
        if doubt is not None:
            return self._one_per_agent(now, snapshot, *doubt, chances, {})
        gone = to_give_up(snapshot, self._ahead, chances)
        self._remember_kept(snapshot, gone)
        given_up = {n: snapshot.ringing_calls[n] for n in sorted(gone)}
        held_back = self._held_back(snapshot)
        if held_back is not None:
            return self._one_per_agent(now, snapshot, *held_back, chances, given_up)
        return self._predict(now, snapshot, chances, given_up)

    def _chances(self, now: Snapshot) -> list[float]:
        """Of each call in the air, the chance with which it was launched."""
        answers = self._history.answers
        if not now.ringing_groups:
            return [answers.chance()] * len(now.ringing)
        known = {group: answers.chance(group) for group in set(now.ringing_groups)}
        return [known[group] for group in now.ringing_groups]

    def _remember_kept(self, now: Snapshot, gone: set[int]) -> None:
        least = now.goals.min_ring
        if least is None:
            self._kept = 1.0
            return
        old = sum([rung >= least for rung in now.ringing])
        if old:
            self._kept += ((old - len(gone)) / old - self._kept) * self._tuning.kept_memory

    def _held_back(self, now: Snapshot) -> tuple[str, str] | None:
        """Return (limit, reason) when this is no time to predict."""
        ended = self._history.answers.seen
        if ended < self._tuning.cold:
            return "cold start", f"learning, {ended} of {self._tuning.cold} calls ended"
        budget = now.budget
        if self._tuning.appetite.allowed(budget) > 0.0:
            return None
        lost = f"{budget.abandoned} of {budget.abandoned + budget.met}"
        spent = (
            f"the {budget.ceiling:.0%} are used up ({lost} abandoned)" if budget.abandoned else "nobody may be lost yet"
        )
        more = f": {count(budget.to_meet, 'more conversation')} first" if budget.to_meet else ""
        return "budget", f"{spent}{more}"

    def _one_per_agent(
        self, moment: datetime, now: Snapshot, limit: str, reason: str, chances: list[float], given_up: dict[int, str]
    ) -> Pace:
        because = f"one call per agent: {one_per_agent_because(now)}; {reason}{_and_given_up(given_up)}"
        wanted = self._own_part(one_per_agent(now, len(given_up)), now, len(given_up))
        if wanted == 0 and now.others_ringing and self._entitled(moment, now, chances, given_up):
            wanted = 1
        pace = bounded(wanted, now, because, (limit,))
        chooser = Chooser(self._history.answers, now)
        choose = [chooser.next(idle=True)[0] for _ in range(pace.calls)] if chooser.matters else []
        learnt = self._history.answers
        reckoned = {"answer_chance": round(learnt.chance(), 4)} if learnt.seen >= self._tuning.cold else {}
        return Pace(pace.calls, pace.why, pace.limits, tuple(given_up.values()), tuple(choose), reckoned)

    def _entitled(self, moment: datetime, now: Snapshot, chances: list[float], given_up: dict[int, str]) -> bool:
        """Whether an agent is free for this campaign although others have calls in the air for all of them.

        Without it, a campaign that may risk nothing would never have a call beside one that dials ahead: some agent
        is free, fewer are ours than our part, and of the others' calls so few will be answered that ours is next to
        safe.
        """
        covered = len(now.ringing) - len(given_up) + now.waiting
        if now.free <= covered or self._own_part(1, now, len(given_up)) == 0:
            return False
        return self._outlook(moment, now, chances, given_up).lost() <= self._tuning.next_to_safe

    def _own_part(self, calls: int, now: Snapshot, given_up: int) -> int:
        return own_part(calls, now, given_up, worth=max(0.02, self._history.answers.chance()))

    def _outlook(self, moment: datetime, now: Snapshot, chances: list[float], given_up: dict[int, str]) -> Outlook:
        """Weigh this moment: what is in the air for these agents, and who of them will be free."""
        history, ahead = self._history, self._ahead
        assert ahead is not None
        level = history.answers.chance()
        rung = [*(r for n, r in enumerate(now.ringing) if n not in given_up), *now.others_ringing]
        others = now.others_chances or (level,) * len(now.others_ringing)
        likely = [*(c for n, c in enumerate(chances) if n not in given_up), *others]
        calling_in = history.callers.per_second(moment) if now.inbound_waiting or now.goals.inbound_first else 0.0
        return Outlook(
            ahead.look(now, rung, likely, history.patience(self._tuning.patience), calling_in),
            now.free - len(resting(now)),
            now.waiting + now.others_waiting + now.inbound_waiting,
        )

    def _predict(self, moment: datetime, now: Snapshot, chances: list[float], given_up: dict[int, str]) -> Pace:
        tuning, history, ahead = self._tuning, self._history, self._ahead
        assert ahead is not None
        left = _left_here(now)
        outlook = self._outlook(moment, now, chances, given_up)
        on_others = now.pools_waiting + now.pools_ringing * history.answers.chance()
        in_the_air = len(now.ringing) - len(given_up) + len(now.others_ringing)
        allowed = tuning.appetite.allowed(now.budget, outlook.answers + on_others)
        guard = max(0, tuning.calls_per_agent * now.team - in_the_air)
        chooser, choose, calls = Chooser(history.answers, now), [], 0
        idle, risk, limit = one_per_agent(now, len(given_up)), outlook.lost(), "abandonment"
        most = min(now.lines_left, guard)
        while True:
            if calls >= idle and risk > allowed:
                break
            if calls >= idle and left is not None and self._could_ruin(outlook, now.budget, left):
                limit = "budget"
                break
            if calls >= most:
                limit = "calls per agent" if calls == guard < now.lines_left else _whose(now)
                break
            group, chance = chooser.next(idle=calls < idle)
            choose.append(group)
            outlook.add(chance)
            calls += 1
            risk = outlook.lost()
        own = self._own_part(calls, now, len(given_up))
        if own < calls:
            limit = "share"
        why = self._sentence(now, outlook, own, limit, risk, allowed, given_up)
        reckoned = {
            "answer_chance": round(history.answers.chance(), 4),
            "answer_sd": round(history.answers.sd, 4),
            "ringing_worth": round(outlook.answers, 3),
            "freeing": round(outlook.frees, 3),
            "horizon": round(ahead.moments[-1] + history.patience(tuning.patience), 2),
            "risk": round(risk, 5),
            "allowed": round(allowed, 5),
        }
        chosen = tuple(choose[:own]) if chooser.matters else ()
        return Pace(own, why, (limit,), tuple(given_up.values()), chosen, reckoned)

    def _could_ruin(self, outlook: Outlook, budget: Budget, left: int) -> bool:
        """Whether one more call could lose more than the window has left: by bad luck, or if the list woke up."""
        appetite = self._tuning.appetite
        may = budget.ceiling * (budget.abandoned + budget.met)
        if may < appetite.young and left <= appetite.few and outlook.at_worst >= left:
            return True
        awake = appetite.awake if may < appetite.settled else 0.0
        stressed = outlook.stressed(appetite.stressed(outlook.answers), awake)
        return outlook.ruined(left) > appetite.ruin or stressed > left

    def _sentence(
        self,
        now: Snapshot,
        outlook: Outlook,
        calls: int,
        limit: str,
        risk: float,
        allowed: float,
        given_up: dict[int, str],
    ) -> str:
        assert self._ahead is not None
        horizon = self._ahead.moments[-1] + self._history.patience(self._tuning.patience)
        because = (
            f"{free_agents(now)}, {outlook.frees:.1f} more expected in {horizon:.0f} s, "
            f"{len(now.ringing) - len(given_up)} ringing worth {outlook.answers:.1f}"
        )
        if now.waiting:
            because += f", {count(now.waiting, 'customer')} waiting"
        if now.inbound_waiting:
            because += f", {count(now.inbound_waiting, 'caller')} waiting"
        if now.others_ringing or now.others_waiting:
            because += ", other campaigns' calls among them"
        if now.pools_ringing:
            because += f", {now.pools_ringing} ringing on other PBXs"
        left = now.budget.left
        if left is not None:
            because += f", budget {count(left, 'call')} left of {now.budget.window}"
        match limit:
            case "abandonment":
                because += f"; one more answer would find nobody with {risk:.0%}, {allowed:.1%} may"
            case "budget":
                because += "; one more call could lose more than is left"
            case "calls per agent":
                because += f"; {self._tuning.calls_per_agent} calls in the air for each agent are enough"
            case "share":
                because += f"; this campaign's share of the agents is {now.share:.0%}"
            case _:
                because += "; no more lines"
        return f"{calls}: {because}{_and_given_up(given_up)}"


def _and_given_up(given_up: dict[int, str]) -> str:
    return f"; {count(len(given_up), 'call')} given up, nobody will be free" if given_up else ""


def _left_here(now: Snapshot) -> int | None:
    """What the window has left for this PBX: of several, each may lose the part its agents are of all.

    Each decides by itself; if each could lose all that is left, together they could lose it more than once.
    """
    left = now.budget.left
    if left is None or now.part >= 1.0:
        return left
    return floor(max(0, left - now.pools_waiting) * now.part)


def _whose(now: Snapshot) -> str:
    return "campaign lines" if now.lines_left < now.free_lines else "lines"
