"""How long phones ring: learnt from calls of which we give up some."""

import random
from datetime import timedelta
from math import erf, log, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.pacing import Happened, PaceEvent
from dialer.pacing.history import History
from dialer.pacing.ringing import LONGEST, Rings
from tests.rules.moments import NOW

SPREAD = sqrt(log(1.25))
CENTRE = log(14) - SPREAD**2 / 2  # answers after 14 s, deviation 7 s
ANSWERED = 0.4


def ring(chance: random.Random) -> tuple[float, bool]:
    """How long a phone would ring, and whether somebody answers then; of the others one in five ends at once."""
    if chance.random() < ANSWERED:
        return min(50.0, chance.lognormvariate(CENTRE, SPREAD)), True
    return (chance.uniform(0, 2) if chance.random() < 0.2 else chance.uniform(18, 30)), False


def answered_by(seconds: float) -> float:
    return 0.5 + 0.5 * erf((log(seconds) - CENTRE) / SPREAD / sqrt(2))


@pytest.mark.parametrize("seed", range(3))
def test_both_ends_are_learnt(seed: int):
    chance, rings, still, late = random.Random(seed), Rings(), 0, 0
    for _ in range(3000):
        seconds, answered = ring(chance)
        rings.observe(seconds, answered)
        still, late = still + (seconds > 15), late + (answered and seconds > 15)
    rings.settle()

    for seconds in (6, 10, 15, 20, 30):
        assert rings.answered_by(seconds) == pytest.approx(answered_by(seconds), abs=0.05)
    assert rings.stops[2] == pytest.approx(0.2, abs=0.05)
    assert rings.left(ANSWERED, 15.0)[0] == pytest.approx(late / still, abs=0.04)
    assert rings.mean == pytest.approx(14, abs=1)


@pytest.mark.parametrize("seed", range(3))
def test_calls_we_gave_up_rang_so_long_and_say_nothing_more(seed: int):
    chance, told, mistaken = random.Random(seed), Rings(), Rings()
    for _ in range(3000):
        seconds, answered = ring(chance)
        given_up = seconds > 15 and chance.random() < 0.5
        told.observe(15.0 if given_up else seconds, None if given_up else answered)
        mistaken.observe(15.0 if given_up else seconds, False if given_up else answered)
    told.settle()
    mistaken.settle()

    assert told.answered_by(15) == pytest.approx(answered_by(15), abs=0.05)
    assert told.left(ANSWERED, 15.0)[0] == pytest.approx(0.217, abs=0.03)
    assert mistaken.answered_by(15) > answered_by(15) + 0.1  # what it would look like if they were taken for refusals


@pytest.mark.parametrize("seed", range(3))
def test_giving_up_does_not_change_how_often_calls_are_taken_to_be_answered(seed: int):
    chance, history, heard = random.Random(seed), History(), 0
    for n in range(3000):
        seconds, answered = ring(chance)
        ordered = NOW + timedelta(minutes=n)
        history.observe(PaceEvent(Happened.LAUNCHED, ordered, str(n)))
        end = Happened.ANSWERED if answered else Happened.NO_ANSWER
        if seconds > 15 and chance.random() < 0.7:
            seconds, end = 15.0, Happened.GIVEN_UP
        heard += end is Happened.ANSWERED
        history.observe(PaceEvent(end, ordered + timedelta(seconds=seconds), str(n)))
        if n % 10 == 0:
            history.rings.settle()

    assert heard / 3000 < 0.32
    assert history.answers.level == pytest.approx(ANSWERED, abs=0.045)


calls = st.lists(st.tuples(st.floats(0, 90), st.none() | st.booleans()), max_size=60)


@given(calls, st.floats(0.01, 0.99), st.floats(0, 70), st.floats(0, 20))
def test_what_is_left_of_a_call_fits_what_was_expected_of_it(
    seen: list[tuple[float, bool | None]], chance: float, rung: float, more: float
):
    rings = Rings()
    for seconds, end in seen:
        rings.observe(seconds, end)
    rings.settle()
    yes, to_come = rings.left(chance, rung)

    assert rings.left(chance, 0.0) == (pytest.approx(chance), 1.0)
    assert to_come == pytest.approx(1.0 - rings.answered_by(rung))
    assert 0.0 <= yes <= 1.0 + 1e-9
    assert rings.left(chance, rung + more)[1] <= to_come + 1e-9
    # Answered before, or still ringing and answered later: together as likely as at the start.
    stopped = rings.stops[-1] if rung >= LONGEST else _between(rings.stops, rung)
    still = chance * to_come + (1.0 - chance) * (1.0 - stopped)
    assert chance * (1.0 - to_come) + still * yes == pytest.approx(chance, abs=1e-6)


def _between(cumulative: list[float], seconds: float) -> float:
    whole = int(seconds)
    return cumulative[whole] + (cumulative[whole + 1] - cumulative[whole]) * (seconds - whole)


def test_old_rings_fade_and_a_long_day_keeps_its_numbers_small():
    rings = Rings(half_life=50.0)
    for _ in range(2000):
        rings.observe(5.0, True)
    for _ in range(400):
        rings.observe(20.0, True)
    rings.settle()

    assert rings.answered_by(10) < 0.05
    assert max(rings._at_risk) < 1e8
