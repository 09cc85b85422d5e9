"""Whether a caller id is answered less than its peers, beyond what chance explains: then it rests.

Phones mark numbers that call much as a nuisance, and nobody tells us. What is compared is like with like: calls of one
campaign, in one hour, to one area. Within each such stratum the peers say how many answers would have been expected,
and the strata are added up (Cochran, Mantel and Haenszel). A caller id that alone serves an area has no peers there,
and nothing is said of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt

# Asked every few minutes of every caller id, so one in a hundred would rest somebody daily for nothing.
SURE = 3.7  # standard deviations
BELOW = 0.7  # of the answers its peers have: a difference nobody would feel is no reason
FEWEST_EXPECTED = 10.0  # answers of the peers, as far as there are calls to hold against them


@dataclass(frozen=True, slots=True)
class Stratum:
    """Calls alike but for their caller id: of one, and of all its peers."""

    calls: int
    answered: int
    peers_calls: int
    peers_answered: int


@dataclass(frozen=True, slots=True)
class Behind:
    """How far a caller id is behind: the share answered, what its peers' calls let expect, and how sure it is."""

    share: float
    expected: float
    deviations: float

    def __str__(self) -> str:
        return f"answered {self.share:.1%} where its peers let {self.expected:.1%} be expected"


def behind(strata: Iterable[Stratum]) -> Behind | None:
    """Return how far a caller id is behind its peers; None while that may be chance, or makes no odds."""
    calls = answered = 0
    mine = theirs = if_alike = variance = 0.0
    for one in strata:
        together, all_answered = one.calls + one.peers_calls, one.answered + one.peers_answered
        if not one.calls or not one.peers_calls:
            continue
        calls += one.calls
        answered += one.answered
        # Each side's answers by the weight of the other: a stratum tells as much as its smaller side has calls.
        mine += one.answered * one.peers_calls / together
        theirs += one.peers_answered * one.calls / together
        # If it made no difference which of them called: the hypergeometric distribution.
        if_alike += one.calls * all_answered / together
        variance += (
            one.calls * one.peers_calls * all_answered * (together - all_answered) / (together**2 * (together - 1))
        )
    if theirs < FEWEST_EXPECTED or variance <= 0 or mine > BELOW * theirs:
        return None
    deviations = (if_alike - answered - 0.5) / sqrt(variance)
    if deviations < SURE:
        return None
    share = answered / calls
    # One never answered has no ratio to reckon back with: the strata's own mean then.
    return Behind(share, share * theirs / mine if mine else if_alike / calls, deviations)
