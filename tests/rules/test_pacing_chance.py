"""The mathematics of the predictive pacer, against brute force."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.pacing import Snapshot
from dialer.pacing.chance import binomial, expected_excess, together
from dialer.pacing.learning import both_over_within, over_within
from dialer.pacing.predictive import Outlook


def brute_excess(free: int, talking: int, q: float, wrapping: int, w: float, ringing: int, p: float) -> float:
    """E[(answers - agents)+] over every combination of what each agent and each call may do."""
    total = 0.0
    for ends in itertools.product((0, 1), repeat=talking + wrapping):
        weight = 1.0
        for n, over in enumerate(ends):
            chance = q if n < talking else w
            weight *= chance if over else 1 - chance
        for answers in itertools.product((0, 1), repeat=ringing):
            heard = sum(answers)
            total += weight * p**heard * (1 - p) ** (ringing - heard) * max(0, heard - free - sum(ends))
    return total


@pytest.mark.parametrize(("free", "talking", "wrapping", "ringing"), [(0, 3, 2, 4), (1, 2, 0, 6), (2, 4, 1, 5)])
def test_the_expected_excess_is_that_of_every_combination(free: int, talking: int, wrapping: int, ringing: int):
    freed = together(binomial(talking, 0.2), binomial(wrapping, 0.6))
    now = Snapshot(parked=free)
    outlook = Outlook.of(now, freed, 0.3, ringing)

    assert outlook.abandoned(ringing) == pytest.approx(brute_excess(free, talking, 0.2, wrapping, 0.6, ringing, 0.3))
    assert outlook.answers(ringing) == pytest.approx(0.3 * ringing)


@given(
    free=st.integers(0, 10),
    busy=st.integers(0, 40),
    ringing=st.integers(0, 40),
    waiting=st.integers(0, 5),
    q=st.floats(0, 0.9),
    p=st.floats(0.01, 0.99),
    share=st.floats(0, 0.2),
)
def test_the_largest_number_within_the_share_is_found(
    free: int, busy: int, ringing: int, waiting: int, q: float, p: float, share: float
):
    now = Snapshot(parked=free, ringing=(1.0,) * ringing, waiting=waiting)
    outlook = Outlook.of(now, binomial(busy, q), p, 40)
    good = [
        n
        for n in range(1, 41)
        if outlook.abandoned(n) <= share * outlook.answers(n) + 1e-9 and outlook.abandoned(n) <= 2.0
    ]

    assert good == list(range(1, len(good) + 1))  # once too many, always too many
    assert outlook.most_within(share, 2.0, 40) == len(good)


@pytest.mark.parametrize(("number", "chance"), [(0, 0.5), (1, 0.3), (7, 0.3), (50, 0.02), (2000, 0.4), (9, 0), (9, 1)])
def test_a_binomial_sums_to_one_and_has_its_mean(number: int, chance: float):
    chances = binomial(number, chance)

    assert sum(chances) == pytest.approx(1.0, abs=1e-9)
    assert sum(k * c for k, c in enumerate(chances)) == pytest.approx(number * chance, abs=1e-6)


def test_the_excess_over_no_supply_is_the_demand():
    assert expected_excess([1.0], 3) == [0.0, 1.0, 2.0, 3.0]
    assert expected_excess([0.0, 0.0, 1.0], 3) == [0.0, 0.0, 0.0, 1.0]


def test_two_lengths_in_a_row_take_longer_than_either():
    assert both_over_within(10, 30, 20) < min(over_within(10, 30), over_within(10, 20))
    assert both_over_within(10, 20, 20) == pytest.approx(both_over_within(10, 20, 20.1), rel=0.01)
    assert both_over_within(1e6, 30, 20) == pytest.approx(1.0)
