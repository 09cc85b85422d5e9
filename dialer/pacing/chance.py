"""How many of several uncertain things happen: exact distributions, for three agents as for three hundred.

A distribution is a list: `chances[k]` is the chance of exactly k. Averages would do for large numbers; for
small ones they are what makes a dialer abandon people.
"""

from itertools import pairwise
from math import exp, lgamma, log

TINY = 1e-12  # a tail this thin changes no decision

Chances = list[float]


def binomial(number: int, chance: float) -> Chances:
    """Return how many of `number` equal things happen, each with `chance`.

    Reckoned outwards from the likeliest count, because the chance of none can be too small for a float.
    """
    if number <= 0 or chance <= 0.0:
        return [1.0]
    if chance >= 1.0:
        return [0.0] * number + [1.0]
    odds = chance / (1.0 - chance)
    mode = min(number, int((number + 1) * chance))
    chances = [0.0] * (number + 1)
    chances[mode] = exp(
        lgamma(number + 1)
        - lgamma(mode + 1)
        - lgamma(number - mode + 1)
        + mode * log(chance)
        + (number - mode) * log(1.0 - chance)
    )
    for k in range(mode, 0, -1):
        chances[k - 1] = chances[k] * k / ((number - k + 1) * odds)
        if chances[k - 1] < TINY:
            break
    last = number
    for k in range(mode, number):
        chances[k + 1] = chances[k] * (number - k) * odds / (k + 1)
        if chances[k + 1] < TINY:
            last = k
            break
    return chances[: last + 1]


def with_one_more(chances: Chances, chance: float) -> Chances:
    """Return the distribution of a count with one more thing that happens with this chance."""
    rest = 1.0 - chance
    more = [low * chance + high * rest for low, high in pairwise(chances)]
    more.insert(0, chances[0] * rest)
    last = chances[-1] * chance
    if last > TINY:
        more.append(last)
    return more


def together(one: Chances, other: Chances) -> Chances:
    """Return the distribution of the sum of two independent counts."""
    sums = [0.0] * (len(one) + len(other) - 1)
    for i, a in enumerate(one):
        if a < TINY:
            continue
        for j, b in enumerate(other, start=i):
            sums[j] += a * b
    return sums


def expected_excess(supply: Chances, most: int) -> list[float]:
    """Return for each demand x = 0 .. most the part of it that an uncertain supply leaves: E[(x - supply)+]."""
    excess, under = [0.0], 0.0  # under: the chance that the supply is less than the next x
    for x in range(most):
        under += supply[x] if x < len(supply) else 0.0
        excess.append(excess[-1] + under)
    return excess


def expected(values: list[float], chances: Chances) -> float:
    """Return the mean of values[k] under the distribution of k."""
    return sum(value * chance for value, chance in zip(values, chances, strict=False))
