"""When somebody on a list comes back after a call, by the retry rules themselves: delays, numbers, days, caps, hours.

What the product asks its rows the days of a forecast ask a `Person`, who remembers how the calls of that day ended.
"""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dialer import caps
from dialer.calls import CallState
from dialer.caps import Cap, Earlier
from dialer.dispositions import Disposition
from dialer.gate import Verdict
from dialer.retries import SAID, Past, RetryRules, after, after_word, counts_against_cap, forward, used_up

# Whoever asked for another day says which; what they say is not in any rule.
ASKED_FOR = timedelta(days=1)


@dataclass(slots=True)
class Person:
    """One contact of a day. `number`: which of their numbers is called next, from 0."""

    of_list: str
    tried: int  # attempts that count
    numbers: int = 1
    number: int = 0
    past: list[Past] = field(default_factory=list)
    calls: list[tuple[int, float]] = field(default_factory=list)  # the number, and when
    turn: int = 0  # of the times they came back: an older plan is void


@dataclass(frozen=True, slots=True)
class Spans:
    """The stretches of the day's time in which calls are wanted; none: all the time. After the last one: never."""

    begins: tuple[float, ...] = ()
    ends: tuple[float, ...] = ()

    def opens(self, at: float) -> float | None:
        """Return the first moment from `at` on at which a call may be made; None when there is none."""
        if not self.begins:
            return at
        n = bisect_right(self.ends, at)
        return max(at, self.begins[n]) if n < len(self.begins) else None

    def later(self, at: float, seconds: float) -> float | None:
        """Return the moment at which so many seconds of calling have gone by since `at`."""
        if not self.begins:
            return at + seconds
        for n in range(bisect_right(self.ends, at), len(self.begins)):
            begin = max(at, self.begins[n])
            if begin + seconds <= self.ends[n]:
                return begin + seconds
            seconds -= self.ends[n] - begin
        return None


@dataclass(frozen=True)
class ComingBack:
    """A campaign's rules of trying again, on a day's own clock."""

    rules: RetryRules = field(default_factory=RetryRules)
    max_attempts: int = 3
    words: Mapping[str, Disposition] = field(default_factory=dict)  # what agents say, by code
    caps: tuple[Cap, ...] = ()
    gap: float = 0.0  # seconds between two calls to one number
    zones: tuple[str, ...] = ("UTC",)
    spans: Spans = Spans()
    begins: datetime = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)

    def next(self, person: Person, end: str, at: float) -> float | None:
        """Write down how a call to this person ended, and return when they are called again; None: never.

        `end`: a call state, or "said:" and an agent's word.
        """
        number, now = str(person.number), self.begins + timedelta(seconds=at)
        person.past.append(Past(number, end))
        word = self.words.get(end.removeprefix(SAID)) if end.startswith(SAID) else None
        if end.startswith(SAID) and (word is None or word.does == "callback"):
            return None if word is None else self._forward(person, at + ASKED_FOR.total_seconds())
        if word is not None or counts_against_cap(CallState(end)):
            person.tried += 1
        other = (person.number + 1) % person.numbers
        has_other = person.numbers > 1 and not used_up(str(other), person.past, self.rules)
        last = person.number == person.numbers - 1
        times = person.past.count(Past(number, end))
        attempt_no = max(1, person.tried)
        if word is not None:
            plan = after_word(
                word, attempt_no=attempt_no, max_attempts=self.max_attempts, now=now, rules=self.rules,
                has_other_number=has_other, on_other_number=person.number > 0 and last, times=times, zones=self.zones,
            )  # fmt: skip
        else:
            plan = after(
                CallState(end), attempt_no=attempt_no, max_attempts=self.max_attempts, now=now, rules=self.rules,
                has_other_number=has_other, on_other_number=person.number > 0 and last, times=times, zones=self.zones,
            )  # fmt: skip
        if plan.at is None:
            return None
        if plan.other_number:
            person.number = other
        return self._forward(person, (plan.at - self.begins).total_seconds())

    def _forward(self, person: Person, at: float) -> float | None:
        """Move a time forward to one at which hours, gap and caps allow it; None when they never do."""
        if self.spans.opens(at) is None:
            return None

        def ask(moment: datetime) -> Iterator[Verdict]:
            second = (moment - self.begins).total_seconds()
            opens = self.spans.opens(second)
            if opens is not None and opens > second:
                yield Verdict(False, "hours", "", until=self._moment(opens))
            to_number = [at for number, at in person.calls if number == person.number]
            if to_number and second < to_number[-1] + self.gap:
                yield Verdict(False, "number_gap", "", until=self._moment(to_number[-1] + self.gap))
            if self.caps:
                yield from caps.judge(self.caps, moment, self._earlier(person, to_number), self.zones)

        return (forward(self._moment(at), ask) - self.begins).total_seconds()

    def _earlier(self, person: Person, to_number: Sequence[float]) -> Earlier:
        # Who has spoken with an agent and comes back all the same is rare: every call counts as one of no talk.
        return Earlier(
            [caps.Call(self._moment(at)) for at in to_number],
            [caps.Call(self._moment(at)) for _, at in person.calls],
        )

    def _moment(self, seconds: float) -> datetime:
        return self.begins + timedelta(seconds=seconds)
