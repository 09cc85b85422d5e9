"""The dialers that the benchmark compares us with do what their description says (benchmarks/pacing/rivals.py)."""

from datetime import UTC, datetime, timedelta

import pytest

from benchmarks.pacing.rivals import Drops, FixedRatio, Rule, Vicidial, adapted, dialled, limited
from dialer.pacing import Happened, PaceEvent, Snapshot

NINE = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("level", "ready", "waiting", "target", "intensity", "expected"),
    [
        (2, 3, 0, 0, 0, 2.6),
        (2, 3, 0, 0, 20, 2.72),
        (2, 3, 0, -1, 0, 2.4),
        (2, 0, 2, 0, 0, 1.6),
        (2, 0, 2, 0, 20, 1.68),
        (2, 0, 2, 0, -20, 1.52),
        (2.8, 4, 0, 0, 0, 3.0),
        (1.1, 0, 3, 0, 0, 1.0),
        (2, 1, 0, -1, 0, 2.0),
    ],
)
def test_the_level_multiplies_itself_as_the_vectors_say(level, ready, waiting, target, intensity, expected):
    rule = Rule("hard limit", target=target, intensity=intensity)

    assert adapted(level, ready, waiting, 10, rule) == pytest.approx(expected)


def test_without_agents_the_level_stays():
    assert adapted(2.0, 0, 0, 0, Rule("average")) == 2.0


@pytest.mark.parametrize(
    ("method", "hour", "minute", "expected"),
    [
        ("hard limit", 16, 30, 1.0),
        ("average", 16, 30, 1.25),
        ("tapered", 16, 30, 1.175),  # 2100 - 1630 = 470
        ("tapered", 9, 0, 2.5),  # more than "1000" are left: nothing happens at all
        ("tapered", 20, 59, 1.0),
        ("tapered", 21, 1, 1.0),
    ],
)
def test_above_the_limit_each_method_brakes_in_its_way(method, hour, minute, expected):
    over = Drops(calls=200, answers=50, drops=2)
    under = Drops(calls=200, answers=50, drops=1)
    now = NINE.replace(hour=hour, minute=minute)

    assert limited(2.5, over, Rule(method), now) == pytest.approx(expected)
    assert limited(2.5, under, Rule(method), now) == 2.5


def test_the_limit_waits_for_fifty_calls():
    assert limited(2.5, Drops(calls=50, answers=20, drops=5), Rule("hard limit"), NINE) == 2.5


def test_a_burst_of_drops_halves_the_level():
    assert limited(3.0, Drops(calls_of_minute=21, drops_of_minute=11), Rule("tapered"), NINE) == 1.5
    assert limited(3.0, Drops(calls_of_minute=20, drops_of_minute=20), Rule("tapered"), NINE) == 3.0


@pytest.mark.parametrize(
    ("tally", "level", "expected"),
    [
        ("total", 2.0, 2 * (3 + 5) - (2 + 1 + 5)),
        ("available only", 2.0, 2 * 3 - (2 + 1)),
        ("total", 1.0625, 0),  # 8.5 is rounded to the even 8
        ("available only", 1.5, 2),  # 4.5 and the five in a call: 9.5 is rounded to the even 10
    ],
)
def test_a_level_becomes_calls_by_either_tally(tally, level, expected):
    now = Snapshot(parked=3, talking=(10.0,) * 5, wrapping=(3.0, 4.0), ringing=(1.0, 2.0), waiting=1, free_lines=50)

    assert dialled(level, now, tally) == expected
    assert FixedRatio(level, tally).decide(NINE, now).calls == expected


def test_no_more_calls_than_lines():
    assert dialled(3.0, Snapshot(parked=10, free_lines=4), "total") == 4


def test_agents_shared_by_two_campaigns_are_not_dialled_for_twice():
    first = Snapshot(parked=4, free_lines=50, share=0.5)
    second = Snapshot(parked=4, free_lines=50, share=0.5, others_ringing=(0.0, 0.0))

    assert dialled(1.0, first, "available only") == dialled(1.0, second, "available only") == 2
    assert dialled(1.0, Snapshot(parked=4, share=0.5, others_ringing=(0.0,) * 4, free_lines=50), "total") == 0


def test_the_loops_run_each_at_its_own_pace():
    rival = Vicidial(Rule("hard limit"))
    idle = Snapshot(parked=10, free_lines=50)

    placed = [n for n in range(16) if rival.decide(NINE + timedelta(seconds=n), idle).calls]

    assert placed == [0, 3, 5, 8, 10, 13, 15]
    assert rival.level == 2.0  # ten of ten idle: twice the level, once


def test_drops_of_the_minute_before_count_until_the_next_look():
    rival = Vicidial(Rule("hard limit"), level=3.0)
    for n in range(60):
        at = NINE + timedelta(seconds=n)
        rival.observe(PaceEvent(Happened.ANSWERED, at, f"call {n}"))
        if n == 30:
            for lost in range(3):
                rival.observe(PaceEvent(Happened.ABANDONED, at, f"call {lost}"))
        rival.decide(at, Snapshot(parked=10, free_lines=50))
    assert (rival.drops.drops, rival.level) == (0, 3.0)  # nobody has looked yet

    rival.decide(NINE + timedelta(seconds=60), Snapshot(parked=10, free_lines=50))

    assert (rival.drops.calls, rival.drops.drops, rival.drops.today, rival.level) == (60, 3, 5.0, 1.0)
