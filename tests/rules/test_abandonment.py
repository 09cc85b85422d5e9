"""The figures every law reckons, with their test vectors, and the budget they leave."""

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.abandonment import (
    PACKS,
    Budget,
    Ended,
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


@pytest.mark.parametrize(
    ("detected", "people", "mistaken"),
    [(0, 0.03, 0), (1, 0.03, 1), (100, 0.03, 3), (101, 0.03, 4), (50, 0.0, 0), (7, 1.0, 7)],
)
def test_people_among_the_machines_a_detector_ends_are_abandoned_in_whole_calls(
    detected: int, people: float, mistaken: int
) -> None:
    """A hundred times 0.03 is 3.0000000000000004 to a float, and would be four people."""
    counted = Figures(abandoned=2, met=97, detected=detected).with_mistakes(people)
    assert (counted.abandoned, counted.mistaken, counted.met) == (2 + mistaken, mistaken, 97)


def test_ofcoms_correction_for_machines_is_for_those_who_detect_none() -> None:
    uk = rule_pack("uk-2026")
    (window,) = uk.windows
    counted = Figures(abandoned=1, met=90, machines=20)
    assert uk.budget(window, counted, 0.03).met == 110
    detecting = uk.budget(window, (counted + Figures(detected=40)).with_mistakes(0.03), 0.03)
    assert (detecting.abandoned, detecting.met, detecting.machines, detecting.mistaken) == (3, 90, 20, 2)


def test_what_a_detector_spends_of_the_ceiling_is_not_there_for_the_pace() -> None:
    assert Budget(3, 97, 0.03).for_the_pace == 1.0
    assert Budget(3, 98, 0.03, mistaken=2).for_the_pace == pytest.approx(1 / 3)
    assert Budget(9, 91, 0.03, mistaken=9).for_the_pace == 0.0
    assert Budget(9, 91, 1.0, mistaken=9).for_the_pace == 1.0


def test_the_american_rate_divides_by_everybody_who_answered():
    counted = Figures(abandoned=3, met=90, hung_up=7)

    assert counted.answered == 100
    assert us_rate(counted) == 0.03
    assert us_rate(Figures()) == 0.0


def test_who_hung_up_before_the_limit_is_in_h_only():
    counted = figures([Ended(CallState.HUNG_UP)] * 5 + [Ended(CallState.COMPLETED, 0.4)] * 2, limit=2)

    assert counted == Figures(abandoned=0, met=2, hung_up=5)
    assert rate(counted.abandoned, counted.met) == 0


def test_who_was_joined_too_late_was_abandoned():
    calls = [Ended(CallState.COMPLETED, waited) for waited in (2.0, 2.001, None)]

    assert figures(calls, limit=2) == Figures(abandoned=1, met=2)


def test_calls_nobody_answered_are_in_no_figure():
    quiet = [CallState.BUSY, CallState.NO_ANSWER, CallState.FAILED, CallState.LOST, CallState.EXPIRED]

    assert figures(map(Ended, quiet), limit=2) == Figures()


def test_whom_an_agent_met_is_a_person_until_the_agent_says_otherwise():
    said = ["", "human", "sale", "wrong-number", "machine", "fax", "nobody"]
    calls = [Ended(CallState.COMPLETED, waited, meaning) for meaning in said for waited in (0.4, 2.5)]

    # Late ones are abandoned but for machines, whom nobody keeps waiting; an open line may have been somebody.
    assert figures(calls, limit=2) == Figures(abandoned=5, met=4, machines=4)


@pytest.mark.parametrize(
    ("pack", "met", "people"),
    [("us-2026", 97, 0.97), ("it-2026", 87, 87 / 90), ("default-2026", 87, 87 / 90), ("uk-2026", 90, 1.0)],
)
def test_machines_stand_below_the_line_in_britain_only(pack: str, met: int, people: float) -> None:
    counted = Figures(abandoned=1, met=87, machines=3, hung_up=10)
    for window in rule_pack(pack).windows:
        budget = rule_pack(pack).budget(window, counted, 0.03)
        assert (budget.met, budget.people) == (met, pytest.approx(people, abs=1e-9))


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
    assert [(window.kind, window.ceiling) for window in pack.windows] == [("rolling", 0.03), ("day", 0.03)]


def test_every_pack_says_since_when_it_holds_and_where_it_was_read():
    assert set(PACKS) == {"default-2026", "us-2026", "us-debt-2026", "uk-2026", "it-2026", "fr-2026"}
    for name, pack in PACKS.items():
        assert (pack.name, pack.since.year, bool(pack.source)) == (name, int(name[-4:]), True)
        assert pack.windows
        assert pack.ring_minimum >= timedelta(seconds=15)
        assert timedelta(seconds=2) <= pack.answer_limit <= timedelta(seconds=3)


def left(pack: str, counted: Figures, max_abandonment: float | None = None) -> dict[str, Budget]:
    law = rule_pack(pack)
    most = law.ceiling if max_abandonment is None else max_abandonment
    return {window.kind: law.budget(window, counted, most) for window in law.windows}


def test_the_american_pack_counts_everybody_who_answered_in_blocks_of_thirty_days():
    counted = Figures(abandoned=3, met=90, hung_up=7)
    (budget,) = left("us-2026", counted).values()

    assert (budget.rate, budget.left, budget.over, budget.window) == (us_rate(counted), 0, False, "30 days")
    assert rule_pack("us-2026").windows[0].length == timedelta(days=30)


def test_the_british_pack_is_ofcoms_formula_multiplied_out():
    vector = Figures(abandoned=29, met=9, machines=7)
    (budget,) = left("uk-2026", vector).values()

    assert Fraction(budget.abandoned, budget.abandoned + budget.met) == Fraction(163125, 253125)  # 16.3125 / 25.3125
    assert round(100 * budget.rate, 2) == 64.44
    assert budget.window == "the day"


@given(st.integers(0, 500), st.integers(0, 5_000), st.integers(0, 500))
def test_the_british_budget_is_over_exactly_when_ofcoms_rate_is(abandoned: int, met: int, machines: int):
    (budget,) = left("uk-2026", Figures(abandoned, met, machines)).values()
    if met + machines == 0:
        return  # nobody met at all: every abandoned call counts, and the formula divides by nothing
    d = Fraction(abandoned) - Fraction(abandoned * machines, met + machines)

    assert budget.over == (met > 0 and d / (d + met) > Fraction(3, 100)) or met == 0


def test_the_italian_pack_holds_three_in_a_hundred_over_the_campaign_and_four_in_a_day():
    assert rule_pack("it-2026").rest == timedelta(days=5)
    assert rule_pack("it-2026").answer_limit == timedelta(seconds=3)
    budgets = left("it-2026", Figures(abandoned=3, met=97))

    assert (budgets["campaign"].left, budgets["campaign"].window) == (0, "the campaign")
    assert (budgets["day"].left, budgets["day"].ceiling) == (1, 0.04)
    assert strictest(budgets.values()) == budgets["campaign"]


def test_a_campaigns_own_limit_bounds_every_window_and_a_raised_one_holds_in_all():
    counted = Figures(abandoned=0, met=100)

    assert [budget.ceiling for budget in left("it-2026", counted).values()] == [0.03, 0.04]
    assert [budget.ceiling for budget in left("it-2026", counted, 0.01).values()] == [0.01, 0.01]
    assert [budget.ceiling for budget in left("it-2026", counted, 0.035).values()] == [0.03, 0.035]
    assert [budget.ceiling for budget in left("it-2026", counted, 0.05).values()] == [0.05, 0.05]


def test_a_rule_pack_nobody_wrote_is_named_with_those_there_are():
    with pytest.raises(NotFound, match=r"'default-2025'.*default-2026"):
        rule_pack("default-2025")
