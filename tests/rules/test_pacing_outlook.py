"""Would one more customer who answers find an agent? Against brute force over everything that may happen."""

import itertools
import random
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.pacing.chance import with_one_more
from dialer.pacing.outlook import EXACT_UP_TO, Moment, Outlook, _Exact, _Normal


def brute(answers: Sequence[float], frees: Sequence[float], free: int, waiting: int, more: int) -> float:
    """P(customers - agents >= more) over every combination of what each call and each agent may do."""
    total = 0.0
    for happens in itertools.product((False, True), repeat=len(answers) + len(frees)):
        weight = 1.0
        for yes, chance in zip(happens, (*answers, *frees), strict=True):
            weight *= chance if yes else 1.0 - chance
        if waiting + sum(happens[: len(answers)]) - free - sum(happens[len(answers) :]) >= more:
            total += weight
    return total


MOMENTS = [
    Moment(0.3, 0.2, (0.1, 0.5, 0.0, 0.3), (0.2, 0.6, 0.05)),
    Moment(0.5, 0.7, (0.2, 0.7, 0.1, 0.4), (0.3, 0.9, 0.15)),
    Moment(0.2, 0.9, (0.3, 0.8, 0.1, 0.5), (0.5, 1.0, 0.25)),
]


@pytest.mark.parametrize(("free", "waiting"), [(0, 0), (1, 0), (2, 1), (0, 2), (5, 0), (0, 6)])
@pytest.mark.parametrize("added", [(), (0.3,), (0.3, 0.8, 1.0)])
def test_the_chance_to_find_nobody_is_that_of_every_combination(free: int, waiting: int, added: tuple[float, ...]):
    outlook = Outlook(MOMENTS, free, waiting)
    for chance in added:
        outlook.add(chance)
    in_the_air = [(*moment.answers, *(moment.fresh * chance for chance in added)) for moment in MOMENTS]

    def short_by(more: int) -> list[float]:
        return [brute(calls, m.frees, free, waiting, more) for calls, m in zip(in_the_air, MOMENTS, strict=True)]

    expected = sum(moment.weight * chance for moment, chance in zip(MOMENTS, short_by(0), strict=True))
    assert outlook.lost() == pytest.approx(expected, abs=1e-9)
    for left in range(4):
        assert outlook.ruined(left) == pytest.approx(max(short_by(left)), abs=1e-9)


def test_what_is_expected_is_that_of_the_last_moment_before_anything_was_added():
    outlook = Outlook(MOMENTS, 1, 0)
    outlook.add(0.5)

    assert outlook.answers == pytest.approx(1.7)
    assert outlook.frees == pytest.approx(1.75)
    assert (Outlook([], 1, 0).lost(), Outlook([], 1, 0).ruined(0)) == (0.0, 0.0)


@pytest.mark.parametrize("seed", range(5))
def test_the_normal_one_is_within_a_hundredth_of_the_exact(seed: int):
    chance = random.Random(seed)
    calls = [chance.uniform(0.02, 0.6) for _ in range(60)]
    moment = Moment(1.0, 0.8, calls, [chance.uniform(0.02, 0.5) for _ in range(60)])
    middle = round(sum(moment.frees) - sum(moment.answers))
    for short in range(middle - 12, middle + 13):
        exact, normal = _Exact(moment, short), _Normal(moment, short)
        for _ in range(3):
            for more in (0, 1, 3):
                assert normal.short_by(more) == pytest.approx(exact.short_by(more), abs=0.01)
            exact.add(0.4)
            normal.add(0.4)


def test_small_teams_are_reckoned_exactly_and_large_ones_by_the_normal_distribution():
    for number, kind in ((EXACT_UP_TO, _Exact), (EXACT_UP_TO + 1, _Normal)):
        outlook = Outlook([Moment(1.0, 1.0, (0.1,) * 20, (0.2,) * (number - 20))], 0, 0)
        assert isinstance(outlook._ahead[0], kind)


chances = st.lists(st.floats(0, 1), max_size=8)
moments = st.builds(Moment, st.just(1.0), st.floats(0, 1), chances, chances)


@given(moments, st.integers(0, 8), st.integers(0, 4), chances)
def test_one_more_call_never_lowers_the_risk(moment: Moment, free: int, waiting: int, added: list[float]):
    outlook = Outlook([moment], free, waiting)
    for chance in added:
        lost, ruined = outlook.lost(), outlook.ruined(1)
        outlook.add(chance)
        assert outlook.lost() >= lost - 1e-9
        assert outlook.ruined(1) >= ruined - 1e-9
        assert 0.0 <= outlook.lost() <= 1.0 + 1e-9


many = st.lists(st.floats(0, 1), min_size=30, max_size=40)


@given(st.builds(Moment, st.just(1.0), st.floats(0, 1), many, many), st.integers(0, 30), chances)
def test_one_more_call_never_lowers_the_risk_of_a_large_team(moment: Moment, free: int, added: list[float]):
    """Up to evens: above, more is uncertain with one more call, and the normal one may come back a little from 1."""
    outlook = Outlook([moment], free, 0)
    for chance in added:
        lost = outlook.lost()
        outlook.add(chance)
        assert outlook.lost() >= min(lost, 0.5) - 1e-9


def test_nothing_uncertain_is_certain_for_a_large_team_too():
    sure = Moment(1.0, 1.0, (1.0,) * 30, (1.0,) * 30)

    assert Outlook([sure], 1, 0).lost() == 0.0
    assert Outlook([sure], 0, 0).lost() == 1.0


@pytest.mark.parametrize(("number", "chance"), [(1, 0.3), (7, 0.3), (50, 0.02), (300, 0.4), (9, 0.0), (9, 1.0)])
def test_one_more_at_a_time_makes_a_distribution_with_the_right_mean(number: int, chance: float):
    counts = [1.0]
    for _ in range(number):
        counts = with_one_more(counts, chance)

    assert sum(counts) == pytest.approx(1.0, abs=1e-9)
    assert sum(k * c for k, c in enumerate(counts)) == pytest.approx(number * chance, abs=1e-6)
