"""How many of several uncertain things happen: exact distributions, for three agents as for three hundred.

A distribution is a list: `chances[k]` is the chance of exactly k. Averages would do for large numbers; for
small ones they are what makes a dialer abandon people.
"""

TINY = 1e-12  # a tail this thin changes no decision

Chances = list[float]


def with_one_more(chances: Chances, chance: float) -> Chances:
    """Return the distribution of a count with one more thing that happens with this chance."""
    rest = 1.0 - chance
    low = chances[0]
    more = [low * rest]
    add = more.append
    for high in chances[1:]:  # the innermost loop of the pacer: plain, because that is the quickest
        add(low * chance + high * rest)
        low = high
    last = low * chance
    if last > TINY:
        add(last)
    return more
