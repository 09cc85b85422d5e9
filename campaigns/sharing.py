"""Agents that several running campaigns share: what the others have in the air for them, and whose turn it is."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Other:
    """Another running campaign that has agents at work in common with ours."""

    id: int
    weight: float
    shared: int  # agents at work for both
    at_work: int  # for it
    ringing: tuple[float, ...]  # its calls nobody has answered yet, seconds since each was ordered
    waiting: int  # its customers without an agent
    due: bool  # it has somebody to call
    chance: float | None = None  # that a call of its is answered, as its pacer said last; None: it knows none yet

    @classmethod
    def of(cls, row: Sequence[Any]) -> "Other":
        """Read the view's JSON."""
        return cls(
            row[0], float(row[1]), row[2], row[3], tuple(float(one) for one in row[4] or ()), row[5], row[6], row[7]
        )

    @property
    def overlap(self) -> float:
        """The part of its agents that are ours too, and so of its calls that will want one of ours."""
        return min(1.0, self.shared / self.at_work) if self.at_work else 0.0


def ringing(others: Iterable[Other]) -> tuple[float, ...]:
    """Return the others' calls that will want one of our agents: of each campaign the part that it shares.

    Which of its calls that will be nobody knows; those taken are spread over young and old.
    """
    taken: list[float] = []
    for other in others:
        calls, number = sorted(other.ringing), _taken(other)
        taken += [calls[int((n + 0.5) * len(calls) / number)] for n in range(number)]
    return tuple(taken)


def chances(others: Sequence[Other]) -> tuple[float, ...]:
    """Return of the same calls the chance to be answered; empty while somebody's pacer has not learnt its own."""
    found = [(other.chance, _taken(other)) for other in others if other.ringing]
    if any(chance is None for chance, _ in found):
        return ()
    return tuple(chance for chance, number in found if chance is not None for _ in range(number))


def _taken(other: Other) -> int:
    return _nearest(len(other.ringing) * other.overlap)


def waiting(others: Iterable[Other]) -> int:
    """Return the others' customers who wait for one of our agents."""
    return sum(_nearest(other.waiting * other.overlap) for other in others)


def share(weight: float, others: Iterable[Other]) -> float:
    """Return our part of what the shared agents can take: by weight, among those that have somebody to call."""
    return weight / (weight + sum(other.weight for other in others if other.due))


def _nearest(number: float) -> int:
    """Round halves up: half a customer who waits is one who may need our agent."""
    return int(number + 0.5)
