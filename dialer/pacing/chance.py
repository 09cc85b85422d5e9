"""How many of several uncertain things happen: exact distributions, for three agents as for three hundred.

A distribution is a list: `chances[k]` is the chance of exactly k. Averages would do for large numbers; for
small ones they are what makes a dialer abandon people.
"""

from itertools import pairwise

TINY = 1e-12  # a tail this thin changes no decision

Chances = list[float]


def with_one_more(chances: Chances, chance: float) -> Chances:
    """Return the distribution of a count with one more thing that happens with this chance."""
    rest = 1.0 - chance
    more = [low * chance + high * rest for low, high in pairwise(chances)]
    more.insert(0, chances[0] * rest)
    last = chances[-1] * chance
    if last > TINY:
        more.append(last)
    return more
