"""The figures every law reckons, with their test vectors, and the budget they leave."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.abandonment import (
    Budget,
    Figures,
    figures,
    rate,
    rule_pack,
    strictest,
    uk_abandoned,
    uk_rate,
    uk_rate_with_detection,
    us_rate,
)
from dialer.calls import CallState
from dialer.errors import NotFound


def test_the_rate_is_the_abandoned_of_those_who_met_or_should_have_met_an_agent():
    assert rate(3, 97) == 0.03
    assert rate(0, 0) == 0.0
    assert rate(1, 0) == 1.0


def test_ofcoms_vector():
    counted = Figures(abandoned=29, met=9, machines=7)

    assert uk_abandoned(counted) == 16.3125
    assert round(100 * uk_rate(counted), 2) == 64.44


def test_ofcoms_rate_with_machine_detection_adds_the_people_taken_for_machines():
    assert uk_rate_with_detection(Figures(abandoned=2, met=97), 1) == 0.03
    assert uk_rate(Figures(abandoned=3)) == 1.0  # nobody met, no machine: nothing to take off


def test_the_american_rate_divides_by_everybody_who_answered():
    counted = Figures(abandoned=3, met=90, hung_up=7)

    assert counted.answered == 100
    assert us_rate(counted) == 0.03
    assert us_rate(Figures()) == 0.0


def test_who_hung_up_before_the_limit_is_in_h_only():
    counted = figures([(CallState.HUNG_UP, None)] * 5 + [(CallState.COMPLETED, 0.4)] * 2, limit=2)

    assert counted == Figures(abandoned=0, met=2, hung_up=5)
    assert rate(counted.abandoned, counted.met) == 0


def test_who_was_joined_too_late_was_abandoned():
    calls = [(CallState.COMPLETED, 2.0), (CallState.COMPLETED, 2.001), (CallState.COMPLETED, None)]

    assert figures(calls, limit=2) == Figures(abandoned=1, met=2)


def test_calls_nobody_answered_are_in_no_figure():
    quiet = [CallState.BUSY, CallState.NO_ANSWER, CallState.FAILED, CallState.LOST, CallState.EXPIRED]

    assert figures([(state, None) for state in quiet], limit=2) == Figures()


def test_figures_of_two_windows_add_up():
    assert Figures(1, 2, 3, 4) + Figures(10, 20, 30, 40) == Figures(11, 22, 33, 44)


@pytest.mark.parametrize(
    ("abandoned", "met", "ceiling", "left"),
    [
        (0, 0, 0.03, 0),
        (0, 32, 0.03, 0),  # 1 of 33 is above three in a hundred
        (0, 33, 0.03, 1),
        (0, 97, 0.03, 3),  # exactly three in a hundred; a float would say two
        (3, 97, 0.03, 0),
        (5, 97, 0.03, 0),
        (0, 97, 0.0, 0),
        (0, 0, 1.0, None),
        (1, 50, 0.1, 4),
    ],
)
def test_the_budget_is_the_whole_calls_left_under_the_ceiling(
    abandoned: int, met: int, ceiling: float, left: int | None
):
    assert Budget(abandoned, met, ceiling).left == left


@given(st.integers(0, 500), st.integers(0, 20_000), st.integers(1, 999))
def test_the_budget_is_exactly_what_fits_under_the_ceiling(abandoned: int, met: int, thousandths: int):
    budget, ceiling = Budget(abandoned, met, thousandths / 1000), Fraction(thousandths, 1000)
    left = budget.left
    assert left is not None

    def above(more: int) -> bool:
        return abandoned + more > ceiling * (abandoned + more + met)

    assert above(left + 1)
    assert budget.over is above(0)
    assert left == 0 or not above(left)
    assert budget.spent is (left == 0)


@given(st.integers(0, 200), st.integers(0, 9_000), st.integers(1, 999))
def test_a_spent_budget_says_how_many_people_must_be_met_first(abandoned: int, met: int, thousandths: int):
    budget = Budget(abandoned, met, thousandths / 1000)
    if not budget.spent:
        assert budget.to_meet == 0
        return
    assert not Budget(abandoned, met + budget.to_meet, budget.ceiling).spent
    assert Budget(abandoned, met + budget.to_meet - 1, budget.ceiling).spent


def test_where_nothing_may_ever_be_abandoned_no_number_is_promised():
    assert Budget(0, 1000, 0.0).to_meet == 0
    assert Budget(0, 1000, 0.0).spent


def test_the_strictest_window_is_the_one_that_leaves_least():
    day, month = Budget(0, 97, 0.03), Budget(29, 970, 0.03, window="30 days")
    free = Budget(9, 1, 1.0)

    assert strictest([day, month, free]) == month
    assert strictest([free]) == free
    assert strictest([]) is None


def test_the_default_rules_are_dated_data():
    pack = rule_pack("default-2026")

    assert pack.answer_limit == timedelta(seconds=2)
    assert pack.ceiling == 0.03
    assert pack.rest == timedelta(hours=72)
    assert pack.ring_minimum == timedelta(seconds=15)
    now = datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert pack.window_opens(now) == datetime(2026, 3, 1, 9, tzinfo=UTC)


def test_a_rule_pack_nobody_wrote_is_named_with_those_there_are():
    with pytest.raises(NotFound, match=r"'default-2025'.*default-2026"):
        rule_pack("default-2025")
