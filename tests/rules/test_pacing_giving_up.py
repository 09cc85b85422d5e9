"""Which ringing calls are ended because nobody will be free for who answers them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.abandonment import Budget
from dialer.pacing import Goals, Snapshot
from dialer.pacing.ahead import Ahead
from dialer.pacing.giving_up import SOON, TOO_LIKELY, to_give_up
from dialer.pacing.history import History
from dialer.pacing.outlook import Moment, Outlook
from tests.rules.moments import NOW, PLENTY, decide, past, warm

LEAST = 15.0


def learnt() -> History:
    history = History()
    for event in past(300):
        history.observe(event)
    history.settle(NOW, Snapshot())
    return history


HISTORY = learnt()
AHEAD = Ahead.plan(HISTORY, LEAST, 0.5)


def seen(*rung: float, **more: object) -> Snapshot:
    given = {"goals": Goals(min_ring=LEAST), "ringing_calls": tuple(f"call {n}" for n in range(len(rung)))}
    return Snapshot(ringing=rung, **(given | more))  # type: ignore[arg-type]


def gone(now: Snapshot, chance: float = 0.9) -> set[int]:
    return to_give_up(now, AHEAD, [chance] * len(now.ringing))


def test_no_call_is_given_up_before_it_has_rung_as_long_as_the_law_asks():
    assert gone(seen(14.9, 3.0, 15.0, 12.0, waiting=2, talking=(5.0,))) == {2}


def test_without_a_least_ringing_no_call_is_given_up():
    now = seen(50.0, 50.0, talking=(5.0,))

    assert gone(now) == {0, 1}
    assert gone(replace(now, goals=Goals())) == set()


def test_a_call_without_a_name_is_never_given_up():
    now = seen(30.0, 20.0, 20.0, talking=(5.0,))

    assert gone(replace(now, ringing_calls=("", "b", ""))) == {1}
    assert gone(replace(now, ringing_calls=())) == set()


def test_the_oldest_go_first_and_only_as_many_as_there_are_too_many():
    history = learnt()
    for _ in range(200):  # who answers does so just now: each of these calls is a likely answer
        history.rings.observe(17.5, True)
    history.settle(NOW.replace(hour=10), Snapshot())
    ahead = Ahead.plan(history, LEAST, 0.5)
    rung = (17.1, 17.3, 17.0, 17.2, 17.4, 3.0)
    now = seen(*rung, wrapping=(19.0,) * 2)
    given_up = to_give_up(now, ahead, [0.9] * 6)

    oldest = sorted(range(6), key=lambda n: -rung[n])
    assert 0 < len(given_up) < 5
    assert given_up == set(oldest[: len(given_up)])

    def risk(without: set[int]) -> float:
        soon = ahead.answering(rung, [0.9] * 6, 1.0, None)
        answers = [chance for n, chance in enumerate(soon) if n not in without]
        return Outlook([Moment(1.0, 0.0, answers, ahead.freed(now, SOON))], 0, 0).lost()

    assert risk(given_up) <= TOO_LIKELY < risk(set(oldest[: len(given_up) - 1]))


@given(st.lists(st.floats(0, 40), min_size=1, max_size=12), st.integers(0, 4), st.floats(0.05, 0.95))
def test_none_while_an_agent_is_free_for_each_who_could_answer(rung: list[float], waiting: int, chance: float):
    assert gone(seen(*rung, parked=len(rung) + waiting + 1, waiting=waiting), chance) == set()


@given(st.lists(st.floats(0, 40), max_size=12), st.integers(0, 4), st.integers(0, 4), st.integers(0, 8))
def test_whatever_is_seen_those_given_up_are_the_oldest_of_those_that_may_be(
    rung: list[float], waiting: int, free: int, busy: int
):
    now = seen(*rung, parked=free, waiting=waiting, talking=(30.0,) * busy)
    may = sorted((n for n, each in enumerate(now.ringing) if each >= LEAST), key=lambda n: (-now.ringing[n], n))
    given_up = gone(now)

    assert given_up == set(may[: len(given_up)])


def test_a_large_team_keeps_what_a_small_one_gives_up():
    assert gone(seen(16.0, talking=(50.0,) * 2)) == {0}
    assert gone(seen(16.0, talking=(50.0,) * 20, wrapping=(15.0,) * 30)) == set()


@pytest.mark.parametrize("waiting", ["waiting", "others_waiting", "inbound_waiting"])
def test_whoever_waits_takes_the_agent_for_whom_a_call_rang(waiting: str):
    assert gone(seen(16.0, parked=1, talking=(5.0,))) == set()
    assert gone(seen(16.0, parked=1, talking=(5.0,), **{waiting: 1})) == {0}


def test_an_agent_who_rests_is_there_once_and_not_twice():
    resting = {"parked": 1, "waits": (3.0,), "goals": Goals(min_ring=LEAST, desired_wait=5.0)}

    assert gone(seen(16.0, **resting)) == set()
    assert gone(seen(16.0, waiting=1, **resting)) == {0}


def test_a_pace_names_them_counts_them_no_more_and_says_so():
    pace = decide(
        warm(),
        talking=(5.0,) * 3,
        ringing=(18.0, 2.0, 17.0),
        ringing_calls=("old", "new", ""),
        goals=Goals(min_ring=LEAST),
    )

    assert pace.give_up == ("old",)
    assert "2 ringing worth" in pace.why
    assert pace.why.endswith("; 1 call given up, nobody will be free")


def test_calls_are_given_up_when_the_budget_is_spent_too():
    pace = decide(
        warm(),
        parked=1,
        waiting=1,
        ringing=(18.0,),
        ringing_calls=("old",),
        goals=Goals(min_ring=LEAST),
        budget=Budget(30, 970, 0.03),
    )

    assert (pace.calls, pace.give_up, pace.limits) == (0, ("old",), ("budget",))
    assert pace.why.endswith("; 1 call given up, nobody will be free")


def test_on_stale_knowledge_none_is_given_up():
    now = {"talking": (5.0,), "ringing": (18.0,), "ringing_calls": ("old",), "goals": Goals(min_ring=LEAST)}
    assert decide(warm(), **now).give_up == ("old",)

    assert decide(warm(), **now, events_age=3.0).give_up == ()
    assert decide(warm(), **now, presence_age=40.0, budget=PLENTY).give_up == ()
