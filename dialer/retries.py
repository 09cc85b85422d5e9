"""After this outcome, when is this contact tried again, and when is it left in peace.

Two counts are kept apart. The *cap* is for the person: it counts attempts that may have rung. What never rang
(no free line, refused by the PBX, never sent) costs the person nothing, so it costs them no attempt either, and
is tried again soon, each time a little later.

A manager may set a `Rule` for a kind of end, and an agent's word (a disposition) brings its own. The cap stands above
them all. What a rule says of numbers is counted per number: one that has ended so `most` times is used up, and the
contact's other number, if it is not, comes instead.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dialer.calls import FINAL, CallState
from dialer.errors import BadInput
from dialer.gate import Verdict
from dialer.rate_windows import midnight

REACHED = "reached"
MESSAGE_PLAYED = "message played"
ATTEMPTS_USED_UP = "attempts used up"
UNREACHABLE = "unreachable"
REFUSED_BY_PBX = "refused by the PBX every time"
NUMBERS_USED_UP = "numbers used up"
DO_NOT_CALL = "do not call"
# An end by an agent's word: kept apart from the call states, whatever a manager calls it.
SAID = "said:"

# Nothing rang. A lost or failed call may have rung, so it counts: the doubt goes to the person.
NEVER_RANG = (CallState.NO_LINES, CallState.NO_AGENT, CallState.REFUSED, CallState.EXPIRED)


# A rule may be set for these ends. What never rang is our own affair; the others leave nobody to be tried again.
RULED = (
    CallState.NO_ANSWER,
    CallState.BUSY,
    CallState.REJECTED,
    CallState.UNAVAILABLE,
    CallState.FAILED,
    CallState.LOST,
    CallState.HUNG_UP,
    CallState.ABANDONED,
)

_MOST_DAYS = 366
_MOST_TIMES = 100


def closed_because(kept: str) -> str:
    """Return the reason that is kept with a closed contact, for people."""
    return f"an agent said {kept.removeprefix(SAID)}" if kept.startswith(SAID) else kept


@dataclass(frozen=True, slots=True)
class Rule:
    """What a manager set for one kind of end. What is not set stays as it is without the rule.

    `delay`: seconds until the next attempt. `most`: attempts of one number that may end so. `next_number`: the other
    number comes first, at once; back on the first one, the delay holds. `days`: the next attempt is at least so many
    calendar days later, where the phone is.
    """

    delay: float | None = None
    most: int | None = None
    next_number: bool = False
    days: int = 0

    def __post_init__(self) -> None:
        for what, value, low, high in (
            ("delay (in seconds)", self.delay, 0, _MOST_DAYS * 86_400),
            ("most", self.most, 1, _MOST_TIMES),
            ("days", self.days, 0, _MOST_DAYS),
        ):
            if value is not None and not low <= value <= high:
                raise BadInput(f"retry rule: {what} must be between {low} and {high}, not {value:g}")

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> "Rule":
        """Read a rule as it is kept; BadInput names what it does not know."""
        strange = set(kept) - {"delay", "most", "next_number", "days"}
        if strange:
            raise BadInput(f"retry rule: there is no {', '.join(sorted(strange))}")
        return cls(**kept)

    def as_json(self) -> dict[str, Any]:
        """Return what is set, and nothing else."""
        kept = {"delay": self.delay, "most": self.most, "next_number": self.next_number, "days": self.days}
        return {name: value for name, value in kept.items() if value != getattr(_NOTHING_SET, name)}


_NOTHING_SET = Rule()


@dataclass(frozen=True, slots=True)
class RetryRules:
    """How long to wait, in seconds, after each kind of end. `of` derives them from a campaign's delay."""

    delay: float = 3_600.0  # no answer, hung up, unavailable, failed, lost
    busy: float = 600.0  # somebody is at the phone
    rejected: float = 7_200.0  # somebody said no to this call: leave them longer
    rest: float = 72 * 3_600.0  # after an abandoned call, by the rule pack
    soon: float = 60.0  # nothing rang; doubled for each time in a row
    soon_most: float = 3_600.0
    unavailable_most: int = 2  # times one number is found unavailable before it is believed
    refused_most: int = 12  # times in a row the PBX refuses: with the waits above, some seven hours
    # What a manager set: by call state, and by "said:" and its code for an agent's word.
    by_end: Mapping[str, Rule] = field(default_factory=dict)

    @classmethod
    def of(
        cls, retry_delay: float, *, rest: timedelta | None = None, by_end: Mapping[str, Rule] | None = None
    ) -> "RetryRules":
        """Return the rules of a campaign whose ordinary delay is `retry_delay` seconds."""
        usual = cls()
        return cls(
            delay=retry_delay,
            busy=min(retry_delay, usual.busy),
            rejected=2 * retry_delay,
            rest=usual.rest if rest is None else rest.total_seconds(),
            soon=min(retry_delay, usual.soon),
            soon_most=min(retry_delay, usual.soon_most),
            by_end=by_end or {},
        )

    def rule(self, end: str) -> Rule:
        """Return what was set for an end; a rule that says nothing when nothing was."""
        return self.by_end.get(end, _NOTHING_SET)

    def most(self, end: str) -> int | None:
        """Return how often one number may end so; None: as often as the cap lets it."""
        set_to = self.rule(end).most
        return self.unavailable_most if set_to is None and end == CallState.UNAVAILABLE else set_to


@dataclass(frozen=True, slots=True)
class Past:
    """An earlier attempt at a contact: its number, and how it ended (a call state, or "said:" and a code)."""

    number: str
    end: str


def used_up(number: str, past: Sequence[Past], rules: RetryRules) -> bool:
    """Whether some kind of end has come as often as one number may end so."""
    ends = [one.end for one in past if one.number == number]
    return any((most := rules.most(end)) is not None and ends.count(end) >= most for end in set(ends))


@dataclass(frozen=True, slots=True)
class Next:
    """When a contact is tried again, or why it is closed: exactly one of the two is given."""

    at: datetime | None
    closed_because: str = ""
    other_number: bool = False  # try the contact's other number then
    why: str = ""


def counts_against_cap(state: CallState) -> bool:
    """Whether an attempt that ended so may have rung, and so used up one of the person's attempts."""
    return state not in NEVER_RANG


def after(
    outcome: CallState,
    *,
    attempt_no: int,
    max_attempts: int,
    now: datetime,
    rules: RetryRules,
    has_other_number: bool = False,
    on_other_number: bool = False,
    times: int = 1,
    never_rang_in_a_row: int = 1,
    zones: Sequence[str] = (),
) -> Next:
    """Say what happens to a contact after an attempt ended as `outcome`.

    `attempt_no`: this attempt's number, from 1, among those of the contact that count against the cap; one that
    never rang gives its number back to the next.
    `has_other_number`, `on_other_number`: the contact has a second number that is not used up; this attempt was made
    to the second. `times`: how often this number ended so, this time included.
    `never_rang_in_a_row`: attempts in a row, this one included, that never rang.
    `zones`: those the phone may be in, for rules that count days.
    """
    if outcome not in FINAL:
        raise ValueError(f"an attempt that is still {outcome} has no next one")
    if outcome is CallState.COMPLETED:
        return _close(REACHED, "an agent spoke with this contact")
    if outcome is CallState.PLAYED:
        return _close(MESSAGE_PLAYED, "this contact answered and heard the recorded message")
    if outcome is CallState.REFUSED and never_rang_in_a_row >= rules.refused_most:
        return _close(REFUSED_BY_PBX, f"the PBX refused the order {never_rang_in_a_row} times in a row")
    wait, why = _wait(outcome, rules, never_rang_in_a_row)
    if outcome is CallState.UNAVAILABLE and not on_other_number and not rules.rule(outcome).next_number:
        rule = replace(rules.rule(outcome), next_number=True)  # a number that cannot be reached hands over by itself
    else:
        rule = rules.rule(outcome)
    if outcome in RULED:
        wait = usual_wait(outcome, rules)
    most = rules.most(outcome)
    if most is not None and times >= most and not has_other_number:
        if outcome is CallState.UNAVAILABLE:
            return _close(UNREACHABLE, f"the number could not be reached {times} times")
        return _close(NUMBERS_USED_UP, f"{outcome.replace('_', ' ')} {times} times, and there is no other number")
    if counts_against_cap(outcome) and attempt_no >= max_attempts:
        return _close(ATTEMPTS_USED_UP, f"all {max_attempts} attempts are used up")
    is_over = most is not None and times >= most
    rest = now + timedelta(seconds=wait) if outcome is CallState.ABANDONED else None
    return _again(rule, wait, why, is_over, has_other_number, on_other_number, now, rules, zones, least=rest)


class Word(Protocol):
    """What an agent said of a call: see `dialer.dispositions`."""

    @property
    def code(self) -> str: ...
    @property
    def does(self) -> str: ...
    @property
    def rule(self) -> Rule: ...


def after_word(
    word: Word,
    *,
    attempt_no: int,
    max_attempts: int,
    now: datetime,
    rules: RetryRules,
    has_other_number: bool = False,
    on_other_number: bool = False,
    times: int = 1,
    zones: Sequence[str] = (),
) -> Next:
    """Say what happens to a contact after an agent's word that closes it or has it tried again. See `after`.

    A callback is no retry: its time is what the person asked for.
    """
    if word.does == "callback":
        raise ValueError("a callback has a time of its own")
    if word.does == "dnc":
        return _close(DO_NOT_CALL, "an agent was told not to call again")
    if word.does == "close":
        return _close(SAID + word.code, f"an agent said: {word.code}")
    rule = word.rule
    is_over = rule.most is not None and times >= rule.most
    if is_over and not has_other_number:
        return _close(NUMBERS_USED_UP, f"{word.code} {times} times, and there is no other number")
    if attempt_no >= max_attempts:
        return _close(ATTEMPTS_USED_UP, f"all {max_attempts} attempts are used up")
    wait = rules.delay if rule.delay is None else rule.delay
    why = f"an agent said: {word.code}"
    return _again(rule, wait, why, is_over, has_other_number, on_other_number, now, rules, zones)


def forward(at: datetime, ask: Callable[[datetime], Iterable[Verdict]]) -> datetime:
    """Return the first moment from `at` on that the rules `ask` answers for all allow.

    Where one of them cannot say when it will say yes, and where they never agree, it is the moment reached so far:
    they are asked again before a phone rings.
    """
    for _ in range(_ROUNDS):
        waits = [verdict.until for verdict in ask(at) if not verdict.allowed]
        known = [wait for wait in waits if wait is not None and wait > at]
        if not waits or len(known) < len(waits):
            return at
        at = max(known)
    return at


# Hours, gaps and caps take turns at most a few times: each pushes past a stretch of its own.
_ROUNDS = 50


def usual_wait(end: str, rules: RetryRules) -> float:
    """Return the seconds between an end that a rule may be set for and the next attempt at the same number.

    What the rule pack asks after an abandoned call is the least.
    """
    outcome = CallState(end)
    usual, _ = _wait(outcome, rules, 1)
    set_to = rules.rule(end).delay
    if set_to is None:
        return usual
    return max(usual, set_to) if outcome is CallState.ABANDONED else set_to


def _close(because: str, why: str) -> Next:
    return Next(None, closed_because=because, why=why)


def _again(
    rule: Rule,
    wait: float,
    why: str,
    is_over: bool,
    has_other: bool,
    on_other: bool,
    now: datetime,
    rules: RetryRules,
    zones: Sequence[str],
    *,
    least: datetime | None = None,
) -> Next:
    """Put a contact that stays open to its next time: on the other number when this one is used up or had its turn."""
    other = has_other and (is_over or rule.next_number)
    at_once = other and not on_other  # back on the first number, the wait holds: both have had their turn
    if at_once:
        wait, why = rules.soon, f"{why}; the other number is tried"
    at = now + timedelta(seconds=wait)
    if rule.days and not at_once:
        at = max(at, _days_later(now, rule.days, zones))
    return Next(at if least is None else max(at, least), other_number=other, why=why)


def _days_later(now: datetime, days: int, zones: Sequence[str]) -> datetime:
    """When the day that many days later begins in every zone; so many times 24 hours where none is known."""
    try:
        places = [ZoneInfo(zone) for zone in zones]
    except (ZoneInfoNotFoundError, ValueError, OSError):
        places = []
    return max((midnight(now, place, days=days) for place in places), default=now + timedelta(days=days))


def _wait(outcome: CallState, rules: RetryRules, in_a_row: int) -> tuple[float, str]:
    """Return the seconds to wait and the reason, for every end that leaves the contact open."""
    if outcome in NEVER_RANG:
        # 40 doublings are far past any limit; more would only grow the number.
        soon = min(rules.soon * 2 ** min(max(in_a_row - 1, 0), 40), rules.soon_most)
        return soon, "nothing rang: tried again soon, and it costs no attempt"
    return {
        CallState.ABANDONED: (rules.rest, "answered and met nobody: left in peace for the rest the rules ask"),
        CallState.HUNG_UP: (rules.delay, "hung up before an agent came"),
        CallState.BUSY: (rules.busy, "busy: somebody is at the phone"),
        CallState.NO_ANSWER: (rules.delay, "nobody answered"),
        CallState.REJECTED: (rules.rejected, "the call was rejected: left longer"),
        CallState.UNAVAILABLE: (rules.delay, "the number could not be reached: tried once more"),
        CallState.FAILED: (rules.delay, "the call failed, and may have rung"),
        CallState.LOST: (rules.delay, "the call was lost sight of, and may have rung"),
    }[outcome]
