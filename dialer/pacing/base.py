"""What every pacer is given and gives back: events, a snapshot, a pace with its reason."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from dialer.abandonment import Budget
from dialer.pacing.answers import Chance


class Happened(StrEnum):
    """What a pacer is told of, as it happens or from stored attempts."""

    LAUNCHED = "launched"  # a call was ordered
    ANSWERED = "answered"
    NO_ANSWER = "no_answer"  # rang, or was busy or rejected: it used its chance
    GIVEN_UP = "given_up"  # rang, until we ended it: it says nothing beyond the seconds that it rang
    FAILED = "failed"  # never rang (no line, refused, never sent): says nothing about people
    CONNECTED = "connected"  # a customer met an agent
    ABANDONED = "abandoned"
    TALK_END = "talk_end"
    READY = "ready"
    INBOUND = "inbound"  # somebody called in and will need one of the agents
    LOGIN = "login"
    LOGOUT = "logout"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class PaceEvent:
    """One thing that happened, when, to which call or agent. Ids are the caller's own.

    `group` comes with LAUNCHED: contacts that are alike in how likely they answer (list and attempt, say); and so
    does `expected`, where somebody has learnt beforehand how likely.
    """

    kind: Happened
    at: datetime
    call: str = ""
    agent: str = ""
    group: str = ""
    expected: Chance | None = None


@dataclass(frozen=True, slots=True)
class Goals:
    """What a supervisor may ask of the pace while it runs. The ceiling is in the budget, the lines in the snapshot."""

    ratio: float | None = None  # power mode: calls for each free agent
    desired_wait: float | None = None  # seconds an agent shall have between two calls; None: as few as may be
    min_ring: float | None = None  # seconds after which a call nobody could take may be given up; None: never
    inbound_first: bool = False  # people who call in get the next free agent


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A campaign's agents and calls at one moment, read from rows. Elapsed times are in seconds.

    They are kept to a tenth, so that what is decided on is exactly what is stored, and can be replayed. Agents that
    several campaigns share are in the snapshot of each; what the other campaigns have in the air for them too.
    """

    idle: int = 0  # ready, not parked yet
    parked: int = 0  # waiting on the line: a join away from a customer
    talking: tuple[float, ...] = ()  # each talk so far; an agent already given a customer talks
    wrapping: tuple[float, ...] = ()  # each wrap-up so far
    ringing: tuple[float, ...] = ()  # each call ordered and not answered yet
    ringing_groups: tuple[str, ...] = ()  # of the same calls, in the same order; empty: all of the one group ""
    ringing_calls: tuple[str, ...] = ()  # of the same calls: those that can be given up by name, "" for the others
    waiting: int = 0  # customers who answered and have no agent yet
    in_message: int = 0  # customers who hear the recorded message: they hold a line
    free_lines: int = 0  # that the PBX has left, less those of calls ordered and not on a line yet
    max_lines: int | None = None  # the campaign's own limit
    presence_age: float | None = 0.0  # since the PBX last said who is at work; None: it never did
    events_age: float = 0.0  # of the oldest event nobody has handled yet
    budget: Budget = field(default_factory=lambda: Budget(0, 0, 0.03))
    goals: Goals = Goals()
    prospects: tuple[tuple[str, int], ...] = ()  # contacts due now by group, as far as was looked; empty: any number
    # A person has set the order: prospects are those who come first, in it, and nothing is to be chosen.
    in_order: bool = False
    # Of groups, how likely each answers (and the calls behind that) by what was learnt of this hour beforehand.
    expected: tuple[tuple[str, float, float], ...] = ()
    waits: tuple[float, ...] = ()  # of the free agents, how long each has waited; empty when nobody asked
    leaving: int = 0  # agents in a conversation, not in `talking`, who will be gone after it
    # Agents kept for one certain call: free for nobody else. Their calls are not in `ringing` or `waiting`.
    reserved: int = 0
    reserved_elsewhere: int = 0  # agents kept for calls of other campaigns; on no line of ours
    elsewhere: tuple[float, ...] = ()  # agents who talk to others' customers, each talk so far; on no line of ours
    others_ringing: tuple[float, ...] = ()  # calls that other campaigns have in the air for these agents
    # Of the same calls, the chance with which each was launched; empty: their pacers have learnt none yet.
    others_chances: tuple[float, ...] = ()
    others_waiting: int = 0
    inbound_waiting: int = 0  # people who called in and wait for one of these agents
    agent_first: bool = False  # the agent's phone rings before the customer's: nobody can be abandoned
    share: float = 1.0  # of what the shared agents can take, by the weights of the campaigns
    # A campaign of several PBXs is decided on for each: agents here are of no use to who answers there, but what is
    # lost on any of them is lost from one budget.
    part: float = 1.0  # of the campaign's agents at work: what one decision here may lose of the budget
    pools_ringing: int = 0  # the campaign's calls in the air on its other PBXs
    pools_waiting: int = 0  # and its customers there without an agent

    def __post_init__(self) -> None:
        for name in _ELAPSED:
            object.__setattr__(self, name, tuple(round(elapsed, 1) for elapsed in getattr(self, name)))
        object.__setattr__(self, "events_age", round(self.events_age, 1))
        if self.presence_age is not None:
            object.__setattr__(self, "presence_age", round(self.presence_age, 1))

    @property
    def free(self) -> int:
        """Agents who could take a call now, whether parked yet or not."""
        return self.idle + self.parked

    @property
    def team(self) -> int:
        """Agents at work."""
        kept = self.reserved + self.reserved_elsewhere
        return self.free + kept + len(self.talking) + len(self.wrapping) + len(self.elsewhere)

    @property
    def lines_left(self) -> int:
        """Calls that can be started before the lines, or the campaign's share of them, are used up."""
        used = len(self.ringing) + self.waiting + self.in_message + len(self.talking) + self.leaving + self.reserved
        own = self.free_lines if self.max_lines is None else min(self.free_lines, self.max_lines - used)
        return max(0, own)

    def as_json(self) -> dict[str, Any]:
        """Return what is stored with a decision: everything that is not as it is by default."""
        kept: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "budget":
                kept |= {"abandoned": value.abandoned, "met": value.met, "ceiling": value.ceiling}
                kept |= {"window": value.window} | ({"machines": value.machines} if value.machines else {})
                kept |= {"mistaken": value.mistaken} if value.mistaken else {}
            elif each.name == "goals":
                told = {goal.name: getattr(value, goal.name) for goal in fields(value)}
                told = {name: goal for name, goal in told.items() if goal != getattr(_NO_GOALS, name)}
                kept |= {"goals": told} if told else {}
            elif each.name in _ALWAYS or value != each.default:
                kept[each.name] = (
                    [list(v) if isinstance(v, tuple) else v for v in value] if each.name in _LISTS else value
                )
        return kept

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Snapshot":
        """Read a stored decision's snapshot back. What a newer release added to it is passed over."""
        known = {each.name for each in fields(cls)}
        plain = {name: value for name, value in kept.items() if name in known}
        for name in _LISTS & plain.keys():
            plain[name] = tuple(tuple(value) if isinstance(value, list) else value for value in plain[name])
        goals = {each.name: kept["goals"][each.name] for each in fields(Goals) if each.name in kept.get("goals", {})}
        plain["goals"] = Goals(**goals)
        window, machines = kept.get("window", "24 h"), kept.get("machines", 0)
        budget = Budget(kept["abandoned"], kept["met"], kept["ceiling"], window, machines, kept.get("mistaken", 0))
        return cls(**plain, budget=budget)


_NO_GOALS = Goals()
_ELAPSED = ("talking", "wrapping", "ringing", "waits", "elsewhere", "others_ringing")
_LISTS = {*_ELAPSED, "ringing_groups", "ringing_calls", "prospects", "others_chances", "expected"}
_ALWAYS = {"idle", "parked", "talking", "wrapping", "ringing", "waiting", "free_lines", "presence_age", "events_age"}


@dataclass(frozen=True, slots=True)
class Pace:
    """How many calls to start now, a sentence for the supervisor, and the limits that bound it."""

    calls: int
    why: str
    limits: tuple[str, ...] = ()
    give_up: tuple[str, ...] = ()  # ringing calls to end now: nobody will be free for who answers
    choose: tuple[str, ...] = ()  # groups to take the contacts from, dearest first; empty: as they come
    reckoned: Mapping[str, float] = field(default_factory=dict)  # what the sentence was made of, for programs


class Pacer(Protocol):
    """Learns from events, decides from a snapshot. Deterministic: the same calls give the same answers."""

    def observe(self, event: PaceEvent) -> None:
        """Learn from one event. Events of one call come in order; a repeated one changes nothing."""

    def restore(self, events: Iterable[PaceEvent]) -> None:
        """Forget everything and learn it anew from stored attempts, given in any order."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        """Say how many calls to start now."""


@dataclass(frozen=True, slots=True)
class Staleness:
    """From what age (in seconds) what we know of the PBX is doubtful (one call per agent), or void (no calls)."""

    presence_stale: float = 30.0
    presence_dead: float = 60.0
    events_stale: float = 2.0
    events_dead: float = 10.0

    def blind(self, now: Snapshot) -> Pace | None:
        """Return the pace of zero when too little is known to dial at all; None otherwise."""
        if now.presence_age is None:
            return Pace(0, "0: the PBX has not said yet who is at work", ("presence dead",))
        if now.presence_age >= self.presence_dead:
            return Pace(0, f"0: the PBX last said {now.presence_age:.0f} s ago who is at work", ("presence dead",))
        if now.events_age >= self.events_dead:
            return Pace(0, f"0: events of {now.events_age:.0f} s ago are not handled yet", ("events dead",))
        return None

    def void(self, now: Snapshot) -> Pace | None:
        """Return the pace of zero when too little is known to dial at all, or nobody is there; None otherwise."""
        blind = self.blind(now)
        if blind is None and now.team == 0:
            return Pace(0, "0: no agent is at work", ("agents",))
        return blind

    def doubt(self, now: Snapshot) -> tuple[str, str] | None:
        """Return (limit, reason) when what is known is too old for more than one call per agent."""
        if now.presence_age is not None and now.presence_age >= self.presence_stale:
            return "presence stale", f"the PBX last said {now.presence_age:.0f} s ago who is at work"
        if now.events_age >= self.events_stale:
            return "events stale", f"events of {now.events_age:.0f} s ago are not handled yet"
        return None


def within(pace: Pace, most: int, because: str, limit: str) -> Pace:
    """Return the pace held to `most` calls by something outside the pacer, whose reason is added."""
    if pace.calls <= most:
        return pace
    why = pace.why.removeprefix(f"{pace.calls}:").strip()
    return replace(pace, calls=most, why=f"{most}: {why}; {because}", limits=(*pace.limits, limit))


def bounded(wanted: int, now: Snapshot, because: str, limits: tuple[str, ...] = ()) -> Pace:
    """Return the pace that is wanted as far as there are lines, and say so when there are not."""
    wanted = max(0, wanted)
    calls = min(wanted, now.lines_left)
    if calls < wanted:
        whose = "campaign lines" if now.lines_left < now.free_lines else "lines"
        limits = (*limits, whose)
        because = f"{because}; {wanted} wanted, {count(now.lines_left, whose.removesuffix('s'))} left"
    return Pace(calls, f"{calls}: {because}", limits)


def count(number: int, thing: str) -> str:
    """Say "1 agent", "2 agents"."""
    return f"{number} {thing}" + ("" if number == 1 else "s")
