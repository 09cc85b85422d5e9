"""How many last digits of a number could be any others without changing what its numbering plan says of it.

A plan comes as regular expressions (ranges of landlines, mobiles, premium services...). Here they become one
automaton per country code, so the question has an exact answer and no table of exceptions to keep: in Italy
`342 1234567` is settled after three digits, in Barbados `246 521 4002` only after seven.
"""

from functools import lru_cache
from typing import Any

import phonenumbers
from phonenumbers.phonemetadata import PhoneMetadata

MOST = 7  # digits; there is nothing to win beyond
_REPEATS = 20  # no number is longer

# What decides whether a number exists and may be called. Landline and mobile count as one.
_KINDS = (
    "general_desc",
    "premium_rate",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "pager",
    "uan",
    "voicemail",
)

_State = frozenset[int]
_Signature = frozenset[tuple[str, str]]


class _NotUnderstood(Exception):
    """The pattern uses something this small reader of patterns does not know."""


class Automaton:
    """Patterns of digits read side by side: which of them a number matches, and when that is settled."""

    def __init__(self) -> None:
        self._edges: list[list[tuple[frozenset[str], int]]] = []
        self._empty: list[list[int]] = []  # edges that read nothing
        self._marks: dict[int, tuple[tuple[str, str], frozenset[int]]] = {}  # node -> what it means, for which lengths
        self._steps: dict[tuple[_State, str], _State] = {}
        self._settled: dict[tuple[_State, int, int], _Signature | None] = {}
        self._first = self._node()
        self._start: _State | None = None
        self._understood = True

    def add(self, pattern: str, mark: tuple[str, str], sizes: tuple[int, ...] = ()) -> None:
        """Look for `pattern` too, in numbers of these many digits (none given: of any)."""
        try:
            end = _Pattern(self, pattern).build(self._first)
        except _NotUnderstood:
            self._understood = False  # nothing is ever settled, so every number is read in full
        else:
            self._marks[end] = (mark, frozenset(sizes))

    def free(self, digits: str) -> int:
        """Return how many last digits decide nothing about what is matched; 0 when all of them may."""
        if not self._understood or not self._marks:
            return 0
        if self._start is None:
            self._start = self._closure({self._first})
        states = [self._start]
        for digit in digits:
            states.append(self._step(states[-1], digit))
        free, length = 0, len(digits)
        for count in range(1, min(MOST, length - 1) + 1):
            if self._settle(states[length - count], count, length) is None:
                break
            free = count
        return free

    def _settle(self, state: _State, left: int, length: int) -> _Signature | None:
        """Return what every number that goes on from here for `left` digits is; None when they differ."""
        key = (state, left, length)
        if key not in self._settled:
            if left == 0:
                marks = (self._marks[node] for node in state if node in self._marks)
                found: _Signature | None = frozenset(mark for mark, sizes in marks if not sizes or length in sizes)
            else:
                ends = {self._settle(self._step(state, digit), left - 1, length) for digit in "0123456789"}
                found = ends.pop() if len(ends) == 1 else None
            self._settled[key] = found
        return self._settled[key]

    def _step(self, state: _State, digit: str) -> _State:
        key = (state, digit)
        if key not in self._steps:
            self._steps[key] = self._closure(
                {target for node in state for digits, target in self._edges[node] if digit in digits}
            )
        return self._steps[key]

    def _closure(self, nodes: set[int]) -> _State:
        waiting, seen = list(nodes), set(nodes)
        while waiting:
            for target in self._empty[waiting.pop()]:
                if target not in seen:
                    seen.add(target)
                    waiting.append(target)
        return frozenset(seen)

    def _node(self) -> int:
        self._edges.append([])
        self._empty.append([])
        return len(self._edges) - 1


class _Pattern:
    """Reads one pattern (digits, classes, groups, choices, bounded repeats) into an automaton."""

    def __init__(self, machine: Automaton, pattern: str) -> None:
        self._machine = machine
        self._text = pattern

    def build(self, start: int) -> int:
        """Add the pattern from node `start`; return the node where it is matched."""
        at, end = self._choice(0, start)
        if at != len(self._text):
            raise _NotUnderstood(self._text)
        final = self._machine._node()  # a node of its own, so that a mark cannot be shared with another pattern
        self._machine._empty[end].append(final)
        return final

    def _choice(self, at: int, start: int) -> tuple[int, int]:
        end = self._machine._node()
        while True:
            branch = self._machine._node()
            self._machine._empty[start].append(branch)
            at, last = self._sequence(at, branch)
            self._machine._empty[last].append(end)
            if at >= len(self._text) or self._text[at] != "|":
                return at, end
            at += 1

    def _sequence(self, at: int, start: int) -> tuple[int, int]:
        while at < len(self._text) and self._text[at] not in "|)":
            after, _ = self._atom(at, self._machine._node())  # first look: where does the atom end?
            after, least, most = self._repeat(after)
            end = self._machine._node()
            for count in range(most + 1):
                if count >= least:
                    self._machine._empty[start].append(end)
                if count < most:
                    _, start = self._atom(at, start)
            at, start = after, end
        return at, start

    def _atom(self, at: int, start: int) -> tuple[int, int]:
        text = self._text
        if text[at] == "(":
            at += 3 if text.startswith("(?:", at) else 1
            at, end = self._choice(at, start)
            if text[at : at + 1] != ")":
                raise _NotUnderstood(text)
            return at + 1, end
        at, digits = self._digits(at)
        end = self._machine._node()
        self._machine._edges[start].append((frozenset(digits), end))
        return at, end

    def _digits(self, at: int) -> tuple[int, str]:
        text = self._text
        if text[at] == "[":
            close = text.find("]", at)
            found, inside = "", text[at + 1 : close]
            while inside:
                if len(inside) >= 3 and inside[1] == "-" and inside[0].isdigit() and inside[2].isdigit():
                    found += "".join(map(str, range(int(inside[0]), int(inside[2]) + 1)))
                    inside = inside[3:]
                elif inside[0].isdigit():
                    found, inside = found + inside[0], inside[1:]
                else:
                    raise _NotUnderstood(text)
            if close < 0:
                raise _NotUnderstood(text)
            return close + 1, found
        if text.startswith("\\d", at):
            return at + 2, "0123456789"
        if text[at].isdigit():
            return at + 1, text[at]
        raise _NotUnderstood(text)

    def _repeat(self, at: int) -> tuple[int, int, int]:
        """Return (where the repeat ends, least, most)."""
        if self._text.startswith("?", at):
            return at + 1, 0, 1
        if not self._text.startswith("{", at):
            return at, 1, 1
        close = self._text.find("}", at)
        least, comma, most = self._text[at + 1 : close].partition(",")
        if close < 0 or not least.isdigit() or (most and not most.isdigit()):
            raise _NotUnderstood(self._text)
        return close + 1, int(least), int(most) if most else _REPEATS if comma else int(least)


@lru_cache(maxsize=256)
def plan_of(code: int) -> Automaton:
    """Return the plan behind a country code: some milliseconds the first time, kept afterwards."""
    plan = Automaton()
    for region in phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(code, ()):
        metadata = PhoneMetadata.metadata_for_region(region, None)
        if metadata is None:
            return Automaton()  # a satellite or premium code: always read in full
        kinds: list[tuple[str, Any]] = [(kind, getattr(metadata, kind)) for kind in _KINDS]
        for kind, desc in [*kinds, ("person", metadata.fixed_line), ("person", metadata.mobile)]:
            if desc is not None and desc.national_number_pattern:
                plan.add(desc.national_number_pattern, (region, kind), tuple(desc.possible_length))
        if metadata.leading_digits:
            plan.add(f"(?:{metadata.leading_digits})\\d{{0,{_REPEATS}}}", (region, "leading_digits"))
    return plan


@lru_cache(maxsize=256)
def abroad_from(region: str) -> Automaton:
    """Return what recognises a number that begins with what people in `region` dial for another country."""
    metadata = PhoneMetadata.metadata_for_region(region, None)
    abroad = (metadata.international_prefix if metadata is not None else None) or "00"
    machine = Automaton()
    machine.add(f"(?:{abroad})\\d{{0,{_REPEATS}}}", (region, "abroad"))
    return machine
