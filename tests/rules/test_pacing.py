"""How many calls to start now: one moment at a time."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.abandonment import Budget
from dialer.errors import BadInput
from dialer.pacing import Goals, Pace, Predictive, Progressive, Snapshot, Staleness, Stepping, Tuning, pacer_for
from dialer.pacing.ahead import Ahead
from dialer.pacing.progressive import one_per_agent
from tests.rules.moments import NOW, decide, warm

# one call per idle agent -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("idle", "parked", "ringing", "waiting", "calls"),
    [(0, 3, 0, 0, 3), (2, 1, 0, 0, 3), (1, 3, 2, 0, 2), (0, 3, 1, 1, 1), (0, 1, 4, 0, 0), (0, 0, 0, 2, 0)],
)
def test_progressive_keeps_one_call_for_each_agent_who_could_take_it(
    idle: int, parked: int, ringing: int, waiting: int, calls: int
):
    pace = decide(
        Progressive(), idle=idle, parked=parked, ringing=(3.0,) * ringing, waiting=waiting, talking=(9.0,) * 5
    )

    assert pace.calls == calls


def test_progressive_says_what_it_counted():
    pace = decide(Progressive(), parked=3, ringing=(4.0,), waiting=1)

    assert pace.why == "1: one call per agent: 3 agents free, 1 customer waiting, 1 ringing"


def test_no_more_calls_than_lines_and_it_is_said_whose_lines():
    few = decide(Progressive(), parked=5, free_lines=2)
    assert (few.calls, few.limits) == (2, ("lines",))
    assert few.why == "2: one call per agent: 5 agents free; 5 wanted, 2 lines left"

    own = decide(Progressive(), parked=5, talking=(10.0,) * 2, max_lines=3)
    assert (own.calls, own.limits) == (1, ("campaign lines",))
    assert own.why.endswith("5 wanted, 1 campaign line left")


def test_customers_hearing_the_message_hold_a_line_too():
    assert Snapshot(free_lines=9, max_lines=6, talking=(1.0,), ringing=(1.0,), waiting=1, in_message=1).lines_left == 2
    assert Snapshot(free_lines=9, max_lines=2, talking=(1.0,) * 5).lines_left == 0
    assert Snapshot(free_lines=-3).lines_left == 0


# what is not known, or not known any more ------------------------------------------------------------


@pytest.mark.parametrize("pacer", [Progressive(), warm()], ids=["progressive", "predictive"])
@pytest.mark.parametrize(
    ("seen", "limit", "says"),
    [
        ({"presence_age": None}, "presence dead", "0: the PBX has not said yet who is at work"),
        ({"presence_age": 60.0}, "presence dead", "0: the PBX last said 60 s ago who is at work"),
        ({"events_age": 10.0}, "events dead", "0: events of 10 s ago are not handled yet"),
        ({"parked": 0}, "agents", "0: no agent is at work"),
    ],
)
def test_nobody_is_called_on_dead_knowledge(
    pacer: Progressive | Predictive, seen: dict[str, object], limit: str, says: str
):
    pace = decide(pacer, **({"parked": 5} | seen))

    assert pace == Pace(0, says, (limit,))


@pytest.mark.parametrize("seen", [{"presence_age": 30.0}, {"events_age": 2.0}])
def test_on_stale_knowledge_there_is_one_call_per_agent(seen: dict[str, float]):
    pacer = warm()
    assert decide(pacer, parked=8).calls > 8

    pace = decide(pacer, parked=8, **seen)

    assert pace.calls == 8
    assert pace.limits in (("presence stale",), ("events stale",))
    assert "one call per agent: 8 agents free; " in pace.why


def test_how_old_is_too_old_can_be_set():
    pacer = pacer_for("predictive", staleness=Staleness(presence_stale=1, presence_dead=2))

    assert pacer.decide(NOW, Snapshot(parked=1, free_lines=9, presence_age=2)).limits[0] == "presence dead"


# predicting ------------------------------------------------------------------------------------------


def test_before_thirty_calls_have_ended_there_is_one_call_per_agent():
    cold = decide(warm(29), parked=8)
    assert (cold.calls, cold.limits) == (8, ("cold start",))
    assert cold.why == "8: one call per agent: 8 agents free; learning, 29 of 30 calls ended"

    assert decide(warm(30), parked=8).calls > 8


@pytest.mark.parametrize("met", [0, 32])
def test_while_no_call_may_be_abandoned_there_is_one_call_per_agent(met: int):
    pace = decide(warm(), parked=8, budget=Budget(0, met, 0.03))

    assert (pace.calls, pace.limits) == (8, ("budget",))
    assert f"nobody may be lost yet: {33 - met} more conversation" in pace.why


@pytest.mark.parametrize("budget", [Budget(30, 970, 0.03), Budget(200, 970, 0.03), Budget(0, 9000, 0.0)])
def test_at_or_above_the_ceiling_there_is_one_call_per_agent(budget: Budget):
    pacer = warm()

    assert decide(pacer, parked=8, budget=budget).calls == 8
    assert decide(pacer, parked=2, ringing=(3.0,) * 4, talking=(50.0,) * 20, budget=budget).calls == 0


def test_what_used_the_budget_up_is_said():
    why = decide(warm(), parked=8, budget=Budget(30, 960, 0.03)).why

    assert "; the 3% are used up (30 of 990 abandoned): 43 more conversations first" in why


def test_one_agent_alone_gets_one_call():
    pacer = warm()

    assert decide(pacer, parked=1).calls == 1
    assert decide(pacer, parked=1, ringing=(5.0,)).calls == 0
    assert decide(pacer, talking=(40.0,)).calls == 0


def test_a_small_team_with_one_agent_free_gets_one_call():
    pacer, usual = warm(), Budget(0, 94, 0.03)

    assert decide(pacer, parked=1, talking=(40.0,), budget=usual).calls == 1
    assert decide(pacer, parked=1, talking=(40.0, 5.0), budget=usual).calls == 1
    assert decide(pacer, parked=1, wrapping=(5.0,), talking=(5.0,), budget=usual).calls == 1


def test_no_agent_sits_without_a_call_however_great_the_risk():
    pace = decide(warm(answered_every=1), parked=3, talking=(5.0,) * 3)  # every call is answered

    assert pace.calls == 3


def test_a_large_team_is_dialled_for_ahead():
    pace = decide(warm(), parked=2, talking=(30.0,) * 40, wrapping=(10.0,) * 8)

    assert pace.calls > 12  # at one call in three answered, two agents alone would take but a few
    assert pace.limits == ("abandonment",)


def test_the_longer_agents_have_wrapped_up_the_more_is_dialled_ahead():
    pacer = warm()  # wrap-ups last twenty seconds

    fresh, ripe = (decide(pacer, parked=2, wrapping=(elapsed,) * 20).calls for elapsed in (0.0, 15.0))

    assert ripe > 2 * fresh


def test_the_reason_is_a_sentence_with_every_number_it_rests_on():
    pace = decide(warm(), parked=2, talking=(55.0,) * 20, wrapping=(12.0,) * 12, ringing=(4.0,) * 3, waiting=1)

    assert pace.why == (
        "32: 2 agents free, 12.2 more expected in 15 s, 3 ringing worth 1.0, 1 customer waiting, "
        "budget 30 calls left of 24 h; one more answer would find nobody with 9%, 7.7% may"
    )
    assert pace.reckoned == {
        "answer_chance": 0.3325,
        "answer_sd": 0.0207,
        "ringing_worth": pytest.approx(1.0, abs=0.05),
        "freeing": pytest.approx(12.2, abs=0.05),
        "horizon": 14.65,
        "risk": pytest.approx(0.0865, abs=1e-3),
        "allowed": pytest.approx(0.0766, abs=1e-3),
    }


def test_calls_that_ring_already_and_customers_who_wait_are_counted():
    pacer = warm()
    free = decide(pacer, parked=6, talking=(30.0,) * 10).calls

    assert decide(pacer, parked=6, talking=(30.0,) * 10, ringing=(2.0,) * free).calls == 0
    assert decide(pacer, parked=6, talking=(30.0,) * 10, waiting=3).calls < free
    assert decide(pacer, parked=6, talking=(30.0,) * 10, waiting=12).calls == 0


def test_more_calls_are_started_where_fewer_are_answered():
    rare, often = warm(answered_every=10), warm(answered_every=2)

    assert decide(rare, parked=5).calls > 2 * decide(often, parked=5).calls


def test_a_nonsense_number_of_calls_is_never_started():
    never = warm(3000, answered_every=6000)
    pace = decide(never, parked=3, free_lines=10_000)

    assert pace.calls == 36
    assert pace.limits == ("calls per agent",)
    assert pace.why.endswith("; 12 calls in the air for each agent are enough")
    assert decide(never, parked=3, ringing=(1.0,) * 30, free_lines=10_000).calls == 6


def test_when_lines_are_what_is_missing_it_is_said():
    pace = decide(warm(), parked=5, free_lines=2)
    assert (pace.calls, pace.limits) == (2, ("lines",))
    assert pace.why.endswith("; no more lines")
    assert decide(warm(), parked=5, max_lines=3).limits == ("campaign lines",)
    assert decide(warm(), parked=5, free_lines=0).calls == 0


def test_three_hundred_agents_are_dialled_for_too():
    seen = {"parked": 20, "talking": (60.0,) * 250, "wrapping": (12.0,) * 30, "ringing": (6.0,) * 40}
    pace = decide(warm(), **seen, free_lines=1200)

    assert 50 < pace.calls < 150  # 20 free and 30 soon, of which the ringing calls take 13: a third answer
    assert pace.reckoned["risk"] > pace.reckoned["allowed"]


def test_with_the_budget_nearly_spent_a_decision_could_hardly_lose_more_than_is_left():
    pace = decide(warm(), parked=2, talking=(55.0,) * 20, wrapping=(12.0,) * 12, budget=Budget(0, 65, 0.03))

    assert pace.limits == ("budget",)
    assert pace.why.endswith("budget 2 calls left of 24 h; one more call could lose more than is left")


def test_a_list_that_hardly_anybody_answers_may_wake_up_while_the_window_is_young():
    asleep = warm(600, answered_every=25)
    young, settled = Budget(2, 164, 0.03), Budget(20, 760, 0.03)
    assert young.left == settled.left == 3

    pace = decide(asleep, parked=20, free_lines=200, budget=young)
    # Were half of those before the last answered at once, three would find nobody.
    assert pace.calls == 2 * (20 + 3) + 1
    assert pace.limits == ("budget",)
    assert decide(asleep, parked=20, free_lines=200, budget=settled).calls > 60


@given(
    free=st.integers(0, 10),
    wrapping=st.lists(st.floats(0, 40), max_size=30).map(tuple),
    ringing=st.lists(st.floats(0, 20), max_size=15).map(tuple),
    waiting=st.integers(0, 3),
    abandoned=st.integers(0, 20),
    surplus=st.integers(1, 150),
)
def test_calls_beyond_one_per_agent_never_risk_more_than_the_budget_has_left(
    free: int,
    wrapping: tuple[float, ...],
    ringing: tuple[float, ...],
    waiting: int,
    abandoned: int,
    surplus: int,
):
    budget = Budget(abandoned, 33 * abandoned + surplus, 0.03)
    assert budget.left is not None
    seen = Snapshot(
        parked=free, wrapping=wrapping, ringing=ringing, waiting=waiting, free_lines=200, budget=budget, talking=(9.0,)
    )
    calls = PACER.decide(NOW, seen).calls
    chances = [PACER._history.answers.chance()] * len(ringing)
    outlook = PACER._outlook(NOW, seen, chances, {})
    if calls > one_per_agent(seen):
        for _ in range(calls):
            outlook.add(PACER._history.answers.chance())
        assert outlook.ruined(budget.left + 1) <= 1e-3  # that more than are left find nobody


# whatever is seen ------------------------------------------------------------------------------------

small = st.integers(0, 6)
elapsed = st.lists(st.floats(0, 600), max_size=12).map(tuple)
budgets = st.builds(Budget, st.integers(0, 60), st.integers(0, 3000), st.sampled_from([0.0, 0.01, 0.03, 0.5, 1.0]))


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    """Anything that rows may say."""
    ringing, idle, parked = draw(elapsed), draw(small), draw(small)

    def of_each_call(names: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
        return st.just(()) | st.lists(names, min_size=len(ringing), max_size=len(ringing)).map(tuple)

    free = idle + parked
    return Snapshot(
        idle=idle,
        parked=parked,
        talking=draw(elapsed),
        wrapping=draw(elapsed),
        ringing=ringing,
        ringing_groups=draw(of_each_call(st.sampled_from(["", "a", "b"]))),
        ringing_calls=tuple(f"call {n}" if named else "" for n, named in enumerate(draw(of_each_call(st.just("x"))))),
        waiting=draw(small),
        in_message=draw(small),
        free_lines=draw(st.integers(0, 60)),
        max_lines=draw(st.none() | st.integers(0, 60)),
        presence_age=draw(st.none() | st.floats(0, 90) | st.just(0.0)),
        events_age=draw(st.floats(0, 12) | st.just(0.0)),
        budget=draw(budgets),
        goals=draw(
            st.builds(
                Goals,
                ratio=st.none() | st.floats(0, 5),
                desired_wait=st.none() | st.floats(0, 60),
                min_ring=st.none() | st.floats(0, 30),
                inbound_first=st.booleans(),
            )
        ),
        prospects=tuple(
            draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 20)), max_size=3, unique_by=lambda p: p[0]))
        ),
        waits=draw(st.just(()) | st.lists(st.floats(0, 90), min_size=free, max_size=free).map(tuple)),
        leaving=draw(small),
        reserved=draw(small),
        elsewhere=draw(elapsed),
        others_ringing=draw(elapsed),
        others_waiting=draw(small),
        inbound_waiting=draw(small),
        share=draw(st.just(1.0) | st.floats(0.05, 1.0)),
    )


PACER = warm()


@settings(max_examples=40)
@given(snapshots())
def test_no_pace_is_negative_or_beyond_the_lines_and_every_one_has_its_reason(seen: Snapshot):
    for pacer in (Progressive(), PACER):
        pace = pacer.decide(NOW, seen)
        assert 0 <= pace.calls <= seen.lines_left
        assert pace.why.startswith(f"{pace.calls}: ")
        assert pace == pacer.decide(NOW, seen)
        assert pace.choose == () or len(pace.choose) == pace.calls
        assert set(pace.give_up) <= set(seen.ringing_calls) - {""}


@settings(max_examples=40)
@given(snapshots())
def test_a_pace_can_be_replayed_from_what_is_stored(seen: Snapshot):
    again = Snapshot.from_json(json.loads(json.dumps(seen.as_json())))

    assert again == seen
    assert PACER.decide(NOW, again) == PACER.decide(NOW, seen)


@settings(max_examples=10)
@given(snapshots())
def test_what_a_newer_release_stored_with_a_decision_is_passed_over(seen: Snapshot):
    kept = seen.as_json()
    newer = {"weather": "rain", "goals": kept.get("goals", {}) | {"mood": 3}}

    assert Snapshot.from_json(kept | newer) == seen


@settings(max_examples=40)
@given(snapshots(), st.integers(1, 100))
def test_more_budget_or_more_lines_never_mean_fewer_calls(seen: Snapshot, more: int):
    seen = replace(seen, others_ringing=())  # a campaign that may risk nothing has one call beside others': see below
    calls = PACER.decide(NOW, seen).calls
    budget = replace(seen.budget, met=seen.budget.met + more)

    assert PACER.decide(NOW, replace(seen, budget=budget)).calls >= calls
    assert PACER.decide(NOW, replace(seen, free_lines=seen.free_lines + more)).calls >= calls


# the rest --------------------------------------------------------------------------------------------


def test_modes_have_their_pacers_and_a_wrong_one_is_named():
    assert isinstance(pacer_for("progressive"), Progressive)
    stepping = pacer_for("predictive", tuning=Tuning(cold=5))
    assert isinstance(stepping, Stepping)
    assert isinstance(stepping.fast, Predictive)
    with pytest.raises(BadInput, match=r"'guess'.*predictive, progressive"):
        pacer_for("guess")


def test_a_call_that_has_rung_so_long_never_has_less_than_no_chance() -> None:
    """Rounding once made it -2e-18, and the square root of that ended the tick."""
    ahead = Ahead.plan(PACER._history, 0.0, 1.0)
    rung = [quarter / 4 for quarter in range(160)]
    for within in (0.0, *ahead.moments):
        for least in (None, 0.0, 15.0):
            assert min(ahead.answering(rung, [0.3] * len(rung), within, least)) >= 0.0
