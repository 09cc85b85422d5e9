"""How long talk and wrap-up last, learnt from samples of what is known."""

import random
from collections.abc import Callable
from math import erf, exp, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.pacing.lengths import EDGES, Lengths


def learnt(guess: float, draw: Callable[[], float], number: int) -> Lengths:
    lengths = Lengths(guess)
    for _ in range(number):
        lengths.observe(draw())
    lengths.settle(())
    return lengths


def test_before_anything_is_known_it_is_the_guess():
    lengths = Lengths(180.0)

    assert lengths.mean == 180.0
    for elapsed in (0.0, 100.0, 1000.0):
        assert lengths.over_within(60.0, elapsed) == pytest.approx(1 - exp(-60 / 180), abs=0.01)


@pytest.mark.parametrize("seed", range(3))
def test_talks_that_end_at_any_age_alike_are_learnt(seed: int):
    chance = random.Random(seed)
    talk = learnt(180.0, lambda: chance.expovariate(1 / 60), 1500)

    assert talk.mean == pytest.approx(60, rel=0.15)
    for elapsed in (0.0, 5.0, 20.0, 60.0, 120.0):
        assert talk.over_within(30.0, elapsed) == pytest.approx(1 - exp(-0.5), abs=0.08)


@pytest.mark.parametrize("seed", range(3))
def test_wrap_ups_end_the_sooner_the_longer_they_have_lasted(seed: int):
    chance, spread = random.Random(seed), sqrt(log(1 + 0.4**2))
    centre = log(20) - spread**2 / 2  # mean 20 s, deviation 8 s

    def below(seconds: float) -> float:
        return 0.5 + 0.5 * erf((log(seconds) - centre) / spread / sqrt(2))

    wrap_up = learnt(20.0, lambda: chance.lognormvariate(centre, spread), 1500)

    by_age = [wrap_up.over_within(4.0, elapsed) for elapsed in (2.0, 6.0, 10.0, 15.0, 22.0)]
    assert by_age == sorted(by_age)
    for elapsed, found in zip((2.0, 6.0, 10.0, 15.0, 22.0), by_age, strict=True):
        assert found == pytest.approx((below(elapsed + 4) - below(elapsed)) / (1 - below(elapsed)), abs=0.06)


def test_those_still_running_count():
    chance, lengths, running = random.Random(5), Lengths(200.0), []
    for _ in range(400):  # a minute ago all began; the short ones are over, and are not what talks are like
        lasts = chance.expovariate(1 / 200)
        if lasts < 60.0:
            lengths.observe(lasts)
        else:
            running.append(60.0)

    lengths.settle(())
    assert lengths.over_within(20.0, 10.0) > 0.3
    lengths.settle(running)
    assert lengths.over_within(20.0, 10.0) == pytest.approx(1 - exp(-0.1), abs=0.03)
    lengths.settle(())  # they were no lessons: next time others run
    assert lengths.over_within(20.0, 10.0) > 0.3


def test_old_lessons_fade():
    chance = random.Random(1)
    talk = learnt(180.0, lambda: chance.expovariate(1 / 30), 1000)
    assert talk.over_within(30.0, 30.0) > 0.5

    for _ in range(1200):
        talk.observe(chance.expovariate(1 / 120))
    talk.settle(())

    assert talk.mean == pytest.approx(120, rel=0.2)
    assert talk.over_within(30.0, 30.0) == pytest.approx(1 - exp(-0.25), abs=0.06)


ages = st.floats(0, 5000)


@given(st.lists(ages, max_size=40), st.lists(ages, max_size=10), ages, st.floats(0, 100), st.floats(0, 100))
def test_a_chance_is_a_chance_and_grows_with_the_time_it_is_given(
    ended: list[float], running: list[float], elapsed: float, seconds: float, more: float
):
    lengths = Lengths(60.0)
    for length in ended:
        lengths.observe(length)
    lengths.settle(running)

    assert 0.0 <= lengths.over_within(seconds, elapsed) <= 1.0
    assert lengths.over_within(0.0, elapsed) == 0.0
    assert lengths.over_within(seconds + more, elapsed) >= lengths.over_within(seconds, elapsed)


def test_the_cumulative_hazard_has_no_jumps():
    lengths = learnt(60.0, lambda: 70.0, 50)

    for edge in (*EDGES[1:], 1200.0):
        assert lengths.cumulative(edge) - lengths.cumulative(edge - 1e-6) == pytest.approx(0.0, abs=1e-5)
