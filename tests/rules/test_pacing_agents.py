"""Which agents a pace counts on: not those who rest, whom callers will take, or who are about to leave."""

from datetime import timedelta

import pytest

from dialer.abandonment import Budget
from dialer.pacing import Goals, Happened, PaceEvent, Pacer, Progressive, Snapshot
from dialer.pacing.ahead import MOMENTS, Ahead
from dialer.pacing.history import History
from dialer.pacing.inbound import Callers
from tests.rules.moments import NOW, at, decide, past, warm

REST = Goals(desired_wait=60.0)
SPENT = Budget(30, 970, 0.03)


# resting ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pacer", [Progressive(), warm(10), warm()], ids=["progressive", "cold", "predictive"])
def test_agents_who_have_not_waited_long_enough_get_no_call(pacer: Pacer):
    def calls(*waits: float) -> int:
        return decide(pacer, parked=3, waits=waits, goals=REST).calls  # type: ignore[arg-type]

    assert calls(2.0, 3.0, 4.0) == 0
    assert 0 < calls(2.0, 60.0, 61.0) < calls(70.0, 60.0, 61.0) == calls()
    assert decide(pacer, parked=3, waits=(2.0,) * 3).calls >= 3  # type: ignore[arg-type]


def test_agents_who_will_have_rested_soon_are_counted_on():
    pacer = warm()
    tired, rested = (decide(pacer, parked=8, waits=(waited,) * 8, goals=REST) for waited in (20.0, 55.0))

    assert (tired.calls, tired.reckoned["freeing"]) == (0, 0)
    assert rested.calls > 8
    assert rested.reckoned["freeing"] == 8


def test_how_many_rest_is_said():
    resting = {"parked": 5, "waits": (1.0, 2.0, 80.0, 80.0, 80.0), "goals": REST}

    assert "5 agents free (2 resting)" in decide(warm(), **resting).why
    assert decide(Progressive(), **resting).why == "3: one call per agent: 5 agents free (2 resting)"


def test_an_agent_who_will_rest_after_the_wrap_up_comes_free_later():
    history = History()
    for event in past(300):
        history.observe(event)
    history.settle(NOW, Snapshot())
    ahead = Ahead.plan(history, None, 1.0)
    busy = {"wrapping": (15.0,), "talking": (55.0,), "elsewhere": (55.0,)}

    soon = ahead.freed(Snapshot(**busy), 14.0)
    later = ahead.freed(Snapshot(**busy, goals=Goals(desired_wait=10.0)), 14.0)
    assert all(after < before for before, after in zip(soon, later, strict=True))
    assert later == pytest.approx(ahead.freed(Snapshot(**busy), 4.0))
    assert ahead.freed(Snapshot(**busy, goals=Goals(desired_wait=14.0)), 14.0) == [0.0] * 3


# ahead -----------------------------------------------------------------------------------------------


def test_a_talk_must_end_and_be_wrapped_up_before_its_agent_is_free():
    history = History()
    for event in past(300):  # talks of a minute, wrap-ups of twenty seconds
        history.observe(event)
    history.settle(NOW, Snapshot())
    ahead = Ahead.plan(history, None, 1.0)

    (wrapping, talking) = ahead.freed(Snapshot(wrapping=(0.0,), talking=(59.0,)), 15.0)
    assert talking < history.talk.over_within(15.0, 59.0)
    assert ahead.freed(Snapshot(wrapping=(15.0,)), 10.0)[0] > 0.8
    assert wrapping < 0.1
    for within in (5.0, 10.0, 20.0, 40.0):
        assert ahead.freed(Snapshot(talking=(59.0,)), within) <= ahead.freed(Snapshot(talking=(59.0,)), within + 5)


def test_the_moments_ahead_are_when_equal_parts_of_the_answers_come():
    history = History()
    ahead = Ahead.plan(history, None, 1.0)

    assert len(ahead.moments) == MOMENTS
    parts = [history.rings.answered_by(moment) for moment in ahead.moments]
    assert parts == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9], abs=0.03)
    assert ahead.weight(None) * MOMENTS == 1.0
    assert ahead.weight(12.0) * MOMENTS == pytest.approx(history.rings.answered_by(12.0))


def test_a_call_past_its_least_ringing_is_answered_only_as_far_as_we_let_it_ring():
    history = History()

    def answered(kept: float, min_ring: float | None = 10.0) -> list[float]:
        return Ahead.plan(history, min_ring, kept).answering([2.0, 12.0], [0.3, 0.3], 5.0, min_ring)

    assert answered(1.0) == pytest.approx(answered(0.5, None))
    assert answered(0.5)[0] == answered(1.0)[0]  # not past it within five seconds
    assert answered(0.5)[1] == pytest.approx(answered(1.0)[1] / 2)
    assert answered(0.0)[1] == 0.0


# people who call in ----------------------------------------------------------------------------------


def test_whoever_called_in_and_waits_takes_an_agent():
    for pacer, budget in ((Progressive(), SPENT), (warm(), SPENT)):
        assert decide(pacer, parked=5, inbound_waiting=2, budget=budget).calls == 3

    pacer = warm()
    waiting = decide(pacer, parked=5, inbound_waiting=3)
    assert waiting.calls == decide(pacer, parked=5, waiting=3).calls < decide(pacer, parked=5).calls
    assert "3 callers waiting" in waiting.why


def test_those_who_will_call_in_take_agents_where_they_come_first():
    events = [PaceEvent(Happened.INBOUND, at(-n * 4.0)) for n in range(400)]
    quiet, busy = warm(), warm()
    busy.restore([*past(600), *events])
    seen = {"parked": 8, "talking": (30.0,) * 10}

    first = {"goals": Goals(inbound_first=True)}
    assert decide(busy, **seen, **first).calls < decide(quiet, **seen, **first).calls
    assert decide(busy, **seen).calls == decide(quiet, **seen).calls


def test_an_idle_agent_has_a_call_although_somebody_may_call_in_meanwhile():
    pacer = warm()
    pacer.restore([*past(600), *(PaceEvent(Happened.INBOUND, at(-n * 1.0)) for n in range(400))])
    pace = decide(pacer, parked=2, goals=Goals(inbound_first=True))

    assert pace.calls == 2
    assert pace.reckoned["risk"] > 0.5


def test_the_rate_of_callers_is_learnt_and_fades():
    callers = Callers()
    assert callers.per_second(NOW) == 0.0

    for n in range(600):
        callers.observe(NOW + timedelta(seconds=10 * n))
    assert callers.per_second(NOW + timedelta(seconds=6000)) == pytest.approx(0.1, rel=0.05)
    assert callers.per_second(NOW + timedelta(seconds=6900)) == pytest.approx(0.05, rel=0.05)


# leaving ---------------------------------------------------------------------------------------------


def test_an_agent_who_leaves_after_this_talk_holds_a_line_and_frees_nobody():
    seen = {"parked": 4, "wrapping": (12.0,) * 6}
    pacer = warm()
    stays, leaves = decide(pacer, **seen, talking=(55.0,) * 30), decide(pacer, **seen, leaving=30)

    assert leaves.reckoned["freeing"] < stays.reckoned["freeing"]
    assert leaves.calls < stays.calls
    assert leaves == decide(pacer, **seen)
    assert Snapshot(free_lines=50, max_lines=40, leaving=30).lines_left == 10
    assert Snapshot(leaving=3).team == 0
