"""What the waterfall counted, as steps: due contacts under what holds them first, the others by what keeps them."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from campaigns import waterfall_groups as groups
from campaigns.waterfall_rules import LISTED, RANK, RULES
from dialer.gate import Verdict
from dialer.list_caps import RULE as LIST_CAP
from dialer.retries import closed_because

# Caps have names of their own in the gate, whoever set them.
_BY_A_CAP = ": called as often as the caps allow"
_PUT_OFF = {rule.name: f": {rule.words}" for rule in RULES}
_PUT_OFF |= {"number_cap": _BY_A_CAP, "contact_cap": _BY_A_CAP, "best_time": ": at a much better hour for them"}


@dataclass(frozen=True, slots=True)
class Step:
    """Contacts that one reason takes away from those imported. `until`: when the first of them comes back.

    `rule`: the gate's, or that of choosing (`list_cap`); "closed", "live" or "later" for those that are not due.
    """

    rule: str
    reason: str
    contacts: int
    until: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        """Return the step for a program."""
        return {"rule": self.rule, "reason": self.reason, "contacts": self.contacts, "until": self.until}


@dataclass(frozen=True, slots=True)
class Waterfall:
    """From the contacts imported to those that may be rung at this moment."""

    imported: int
    steps: Sequence[Step]

    @property
    def dialable(self) -> int:
        """What is left."""
        return self.imported - sum(step.contacts for step in self.steps)

    def as_json(self) -> dict[str, Any]:
        """Return the counts for a program."""
        steps = [step.as_json() for step in self.steps]
        return {"imported": self.imported, "dialable": self.dialable, "steps": steps}


@dataclass(frozen=True, slots=True)
class Alike:
    """Due contacts that hours and consent cannot tell apart, and how many of them each rule of their own holds."""

    place: tuple[int, str, str]  # packs, head of the number, address
    consent: int
    consent_at: datetime | None  # the first of theirs
    example: int
    contacts: int
    held: Mapping[int, tuple[int, datetime | None]]  # rank -> contacts, until

    @property
    def agree_unknown(self) -> bool:
        """Whether the first consent to come may be that of a contact which another rule holds before consent counts."""
        return self.consent == groups.LATER and any(rank < RANK["consent"] for rank in self.held)


def alike_of(rows: Sequence[Any]) -> list[Alike]:
    """Put the rows of the count together by group."""
    due: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    held: dict[tuple[Any, ...], list[Any]] = defaultdict(list)
    for row in rows:
        if row.stands == "due":
            due[row[1:5]].append(row)
        elif row.stands == "held":
            held[row[1:5]].append(row)
    return [
        Alike(
            key[:3],
            key[3],
            _first(row.consent_at for row in parts),
            min(row.example for row in parts),
            sum(row.contacts for row in parts),
            _held(held[key], sum(row.contacts for row in parts if row.listed)),
        )
        for key, parts in due.items()
    ]


def _held(found: Sequence[Any], listed: int) -> dict[int, tuple[int, datetime | None]]:
    """Count those held in one group by rank; `listed` of them are on the do-not-call list, whatever else holds them."""
    held: dict[int, tuple[int, datetime | None]] = {}
    for row in found:
        if row.listed and row.rank > LISTED:
            continue
        contacts, until = held.get(row.rank, (0, None))
        held[row.rank] = (contacts + row.contacts, _first((until, row.until)))
        if row.listed:
            listed -= row.contacts
    if listed:
        held[LISTED] = (listed, None)
    return held


def _first(moments: Iterable[datetime | None]) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


class Counting:
    """Adds contacts to steps; the steps come out in the order in which the rules are asked."""

    def __init__(self, full: Mapping[int, datetime | None]) -> None:
        self._full = full  # lists at their caps, and when there is room again
        self._imported = 0
        self._steps: dict[tuple[int, str, str], tuple[int, datetime | None]] = {}

    def not_due(self, stands: str, contacts: int, next_at: datetime | None) -> None:
        """Count contacts that are closed, in a call, or not yet to be tried."""
        self._imported += contacts
        if stands.startswith("closed "):
            reason = closed_because(stands.removeprefix("closed ")) or "closed"
            self._add(-4, "closed", reason, contacts, None)
        elif stands.startswith("later"):
            because = _PUT_OFF.get(stands.removeprefix("later "), "")
            self._add(-2, "later", f"to be tried later{because}", contacts, next_at)
        elif stands.startswith("full "):
            again = self._full[int(stands.removeprefix("full "))]
            self._add(-1, LIST_CAP, "never tried, of a list at its cap", contacts, again)
        else:
            self._add(-3, "live", "being called, or spoken with, now", contacts, None)

    def due(self, alike: Alike, refusal: Verdict | None) -> None:
        """Count due contacts under what holds them, or under what refuses their whole group if that comes first."""
        self._imported += alike.contacts
        of_group = RANK[refusal.rule] if refusal is not None else len(RULES)
        left = alike.contacts
        for rank, (contacts, until) in alike.held.items():
            if rank < of_group:
                self._add(rank, RULES[rank].name, RULES[rank].words, contacts, until)
                left -= contacts
        if refusal is not None and left:
            words = refusal.why if refusal.rule == "hours" else RULES[of_group].words
            if refusal.rule == "consent" and refusal.until is not None:
                words = "their consent holds from a later moment on"
            self._add(of_group, refusal.rule, words, left, refusal.until)

    def _add(self, rank: int, rule: str, words: str, contacts: int, until: datetime | None) -> None:
        before, first = self._steps.get((rank, rule, words), (0, None))
        self._steps[rank, rule, words] = (before + contacts, _first((first, until)))

    def waterfall(self) -> Waterfall:
        """Return the steps; of one rule, those that take most come first."""
        in_order = sorted(self._steps.items(), key=lambda step: (step[0][0], -step[1][0], step[0][2]))
        steps = [Step(rule, words, contacts, until) for (_, rule, words), (contacts, until) in in_order]
        return Waterfall(self._imported, steps)
