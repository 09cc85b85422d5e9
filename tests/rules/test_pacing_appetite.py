"""How much risk is worth taking with what the window has left."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.abandonment import Budget
from dialer.pacing.appetite import Appetite

RULE = Appetite()


@pytest.mark.parametrize("abandoned", [0, 1, 30])
def test_nothing_is_risked_below_one_call_of_surplus(abandoned: int):
    one = -(-100 * (abandoned + 1) // 3) - abandoned  # conversations with which 3 % are one call more than abandoned

    assert RULE.allowed(Budget(abandoned, one - 1, 0.03)) == 0.0
    assert RULE.allowed(Budget(abandoned, one, 0.03)) > 0.0


def test_as_soon_as_anything_may_be_risked_it_is_not_next_to_nothing():
    assert RULE.allowed(Budget(0, 134, 0.03), 100.0) > 0.25 * RULE.usual * 0.03


@given(
    abandoned=st.integers(0, 60),
    met=st.integers(0, 6000),
    more=st.integers(1, 500),
    ceiling=st.sampled_from([0.01, 0.03, 0.05, 0.5]),
    in_the_air=st.floats(0, 100),
)
def test_a_greater_surplus_never_allows_less(abandoned: int, met: int, more: int, ceiling: float, in_the_air: float):
    allowed = RULE.allowed(Budget(abandoned, met, ceiling), in_the_air)

    assert RULE.allowed(Budget(abandoned, met + more, ceiling), in_the_air) >= allowed
    assert RULE.allowed(Budget(abandoned + 1, met - 1, ceiling), in_the_air) <= allowed  # of as many answers


@given(st.integers(0, 60), st.integers(0, 100_000), st.floats(0, 100))
def test_a_ceiling_of_nothing_allows_nothing_and_one_of_everything_all(abandoned: int, met: int, in_the_air: float):
    assert RULE.allowed(Budget(abandoned, met, 0.0), in_the_air) == 0.0
    assert RULE.allowed(Budget(abandoned, met, 1.0), in_the_air) == 1.0


def test_what_is_usual_is_allowed_in_balance_and_never_more_than_the_boldest():
    rule = Appetite(coarse=0.0, room_for_luck=0.0)

    balanced = Budget(1, 99, 0.03)  # a surplus of one call above the reserve
    assert rule.allowed(balanced) == pytest.approx(rule.usual * 0.03)
    assert rule.allowed(Budget(0, 10**6, 0.03)) == pytest.approx(rule.boldest * rule.usual * 0.03)


def test_the_more_is_in_the_air_the_more_surplus_is_kept_for_a_burst():
    budget, rule = Budget(0, 400, 0.03), Appetite(coarse=0.0)
    by_answers = [rule.allowed(budget, answers) for answers in (0.0, 2.0, 10.0, 50.0)]

    assert by_answers == sorted(by_answers, reverse=True)
    assert by_answers[0] > 2 * by_answers[-1]
    assert Appetite(coarse=0.0, room_for_bursts=0.0).allowed(budget, 50.0) == pytest.approx(
        Appetite(coarse=0.0, room_for_bursts=0.0).allowed(budget)
    )


def test_a_longer_day_keeps_more_surplus_for_bad_luck():
    rule = Appetite(coarse=0.0)

    assert rule.allowed(Budget(297, 9703, 0.03)) < rule.allowed(Budget(0, 100, 0.03))  # 3 calls are left to both


def test_where_few_answers_are_in_the_air_a_call_may_risk_more():
    rule = Appetite(room_for_bursts=0.0)

    assert rule.allowed(Budget(0, 100, 0.03), 0.5) > 1.5 * rule.allowed(Budget(0, 100, 0.03), 20.0)
