"""Other dialers' ways to pace, as `Pacer`s: a fixed ratio, and VICIdial's three adaptive methods.

VICIdial's are written from a description of what it does, not from its source, and are meant to be at their best:

- One drop timer of 2 s, the law's, instead of its default of 5 s: here a person leaves after the patience of the
  world, and what VICIdial then counts as a drop is what the law counts as abandoned. With 5 s its own percentage
  would look better than the law's. Give the world another `patience` to see other drop timers.
- No telephony server per campaign, no trunk reserves, no hopper that can run dry, no slow database.
- Its clocks are kept to the world's ticks: samples each second, placing at the first tick 2.5 s after the last was
  due, the level each 15 s, drop statistics each 60 s and in the first loop.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Literal

from dialer.pacing import Happened, Pace, PaceEvent, Snapshot

Method = Literal["hard limit", "average", "tapered"]
Tally = Literal["total", "available only"]

MOST = 3.0  # the level VICIdial does not pass unless told
_MINUTE = timedelta(minutes=1)


def dialled(level: float, now: Snapshot, tally: Tally) -> int:
    """Return the new calls that this level asks for, as VICIdial counts agents and lines in use.

    Available only: level x ready - (ringing + waiting). Total: level x (ready + in call) - (ringing + waiting + in
    call); who wraps up is in neither. The goal is rounded, halves to even. Of agents shared with other campaigns
    it takes its part, and never more than all of them together may.
    """
    in_call, existing = len(now.talking), len(now.ringing) + now.waiting
    goal = round(level * now.free + in_call) if tally == "available only" else round(level * (now.free + in_call))
    if now.share < 1:
        goal = min(ceil(now.share * (goal - in_call)), goal - in_call - len(now.others_ringing) - now.others_waiting)
        goal += in_call
    return max(0, min(goal - existing - in_call, now.lines_left))


@dataclass
class FixedRatio:
    """So many calls for each agent, whatever comes of it."""

    ratio: float
    tally: Tally = "available only"

    def observe(self, event: PaceEvent) -> None:
        """A fixed ratio learns nothing."""

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """A fixed ratio learns nothing."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:  # noqa: ARG002 (the protocol's)
        """Keep the ratio, at every tick."""
        return Pace(dialled(self.ratio, snapshot, self.tally), f"{self.ratio} calls per agent")


@dataclass(frozen=True)
class Rule:
    """What a manager sets."""

    method: Method
    target: float = 0.0  # of waiting agents (negative) or waiting calls
    intensity: float = 0.0
    most: float = MOST
    limit: float = 3.0  # per cent
    latest: int = 2100  # HHMM


@dataclass(frozen=True)
class Drops:
    """Statistics of the day and of the last minute, as old as the last time they were computed."""

    calls: int = 0
    answers: int = 0
    drops: int = 0
    calls_of_minute: int = 0
    drops_of_minute: int = 0

    @property
    def today(self) -> float:
        """Per cent of the answers: what the limit is compared with."""
        return 100 * self.drops / max(1, self.answers)

    @property
    def minute(self) -> float:
        """Per cent of all attempts: what the burst rule looks at."""
        return round(100 * self.drops_of_minute / self.calls_of_minute, 2) if self.calls_of_minute else 0.0


def adapted(level: float, ready: float, waiting: float, agents: float, rule: Rule) -> float:
    """Return the next level from 15 s of samples, before the rules about drops (steps 1 to 5)."""
    d = ready - waiting + rule.target
    p = 100 * d / agents if d and agents else 0.0
    q = p * abs(rule.intensity / 100 - 1) if p < 0 else p * (1 + rule.intensity / 100)
    level = round(level * (1 + q / 100), 3)
    return max(1.0, min(level, rule.most))


def limited(level: float, drops: Drops, rule: Rule, now: datetime) -> float:
    """Return what the rules about drops leave of a level (steps 6, 7 and 9)."""
    if drops.calls_of_minute > 20 and drops.minute > 50:
        level /= 2
    if drops.calls > 50 and drops.today > rule.limit:
        if rule.method == "hard limit":
            level = 1.0
        elif rule.method == "average":
            level /= 2
        else:
            left = rule.latest - (100 * now.hour + now.minute)  # HHMM as a number, as they do
            level = 1.0 if left < 0 else level * (1.0 if left > 1000 else left / 1000)
    return max(1.0, level)


@dataclass
class Vicidial:
    """One feedback loop on idle agents: the level multiplies itself each 15 s, and drops push it down."""

    rule: Rule
    tally: Tally = "total"
    level: float = 1.0
    drops: Drops = field(default_factory=Drops)
    _samples: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=15))  # ready, waiting, all
    _calls: int = 0
    _answers: int = 0
    _drops: int = 0
    _last_calls: deque[datetime] = field(default_factory=deque)
    _last_drops: deque[datetime] = field(default_factory=deque)
    _next: dict[str, datetime] = field(default_factory=dict)

    def observe(self, event: PaceEvent) -> None:
        """Log a call when it is answered or has ended unanswered, and a drop."""
        if event.kind in (Happened.ANSWERED, Happened.NO_ANSWER):
            self._calls += 1
            self._answers += event.kind is Happened.ANSWERED
            self._last_calls.append(event.at)
        elif event.kind is Happened.ABANDONED:
            self._drops += 1
            self._last_drops.append(event.at)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Start anew, as its processes do."""
        self.__init__(self.rule, self.tally)  # type: ignore[misc]
        for event in sorted(events, key=lambda event: event.at):
            self.observe(event)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        """Sample, adapt and place, each when it is due."""
        if self._due("sample", now, 1.0):
            self._samples.append((snapshot.free, snapshot.waiting, snapshot.team))
        if self._due("drops", now, 60.0):
            self.drops = self._counted(now)
        if self._due("level", now, 15.0, first=15.0):
            self._adapt(now)
        if not self._due("place", now, 2.5):
            return Pace(0, "between two loops")
        return Pace(dialled(self.level, snapshot, self.tally), f"level {self.level}")

    def _due(self, what: str, now: datetime, every: float, first: float = 0.0) -> bool:
        """Say whether a timer has run out, and wind it up: at most once for each look."""
        due = self._next.setdefault(what, now + timedelta(seconds=first))
        if now < due:
            return False
        self._next[what] = max(due + timedelta(seconds=every), now)
        return True

    def _counted(self, now: datetime) -> Drops:
        for last in (self._last_calls, self._last_drops):
            while last and last[0] <= now - _MINUTE:
                last.popleft()
        return Drops(self._calls, self._answers, self._drops, len(self._last_calls), len(self._last_drops))

    def _adapt(self, now: datetime) -> None:
        ready, waiting, agents = (sum(column) / len(self._samples) for column in zip(*self._samples, strict=True))
        if agents > 0:
            self.level = limited(adapted(self.level, ready, waiting, agents, self.rule), self.drops, self.rule, now)
