"""How many calls to start now: one moment at a time."""

import json
import random
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.abandonment import Budget
from dialer.calls import CallState
from dialer.errors import BadInput
from dialer.pacing import (
    Happened,
    Pace,
    PaceEvent,
    Predictive,
    Progressive,
    Snapshot,
    Staleness,
    Stepping,
    Tuning,
    events_of_call,
    pacer_for,
)
from dialer.pacing.history import History
from dialer.pacing.learning import Answers, MeanTime

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLENTY = Budget(0, 1000, 0.03)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def past(calls: int, *, answered_every: int = 3, talk: float = 60.0) -> list[PaceEvent]:
    """A history: calls that rang 12 s, each third answered and talked of for a minute, then 20 s of wrap-up."""
    told = []
    for n in range(calls):
        start, call, agent = -7200.0 + n, f"past {n}", f"agent {n}"
        told.append(PaceEvent(Happened.LAUNCHED, at(start), call))
        if n % answered_every:
            told.append(PaceEvent(Happened.NO_ANSWER, at(start + 22), call))
            continue
        told.append(PaceEvent(Happened.ANSWERED, at(start + 12), call))
        told.append(PaceEvent(Happened.CONNECTED, at(start + 12.3), call, agent))
        told.append(PaceEvent(Happened.TALK_END, at(start + 12.3 + talk), call, agent))
        told.append(PaceEvent(Happened.READY, at(start + 32.3 + talk), "", agent))
    return told


def warm(**history: int) -> Predictive:
    pacer = Predictive()
    pacer.restore(past(600, **history))
    return pacer


def decide(pacer: Progressive | Predictive, **seen: object) -> Pace:
    seen = {"free_lines": 100, "budget": PLENTY} | seen
    return pacer.decide(NOW, Snapshot(**seen))  # type: ignore[arg-type]


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

    seen = pacer.decide(NOW, Snapshot(parked=1, free_lines=9, presence_age=2))
    assert seen.limits == ("presence dead", "stepped to zero")


# predicting ------------------------------------------------------------------------------------------


def test_before_thirty_calls_have_ended_there_is_one_call_per_agent():
    pacer = Predictive()
    pacer.restore(past(29))
    cold = decide(pacer, parked=8)
    assert (cold.calls, cold.limits) == (8, ("cold start",))
    assert cold.why == "8: one call per agent: 8 agents free; learning, 29 of 30 calls ended"

    pacer.restore(past(30))
    assert decide(pacer, parked=8).calls > 8


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


def test_one_agent_alone_gets_one_call():
    pacer = warm()

    assert decide(pacer, parked=1).calls == 1
    assert decide(pacer, parked=1, ringing=(5.0,)).calls == 0
    assert decide(pacer, talking=(40.0,)).calls == 0


def test_a_team_of_two_or_three_with_one_agent_free_gets_one_call():
    pacer, usual = warm(), Budget(0, 94, 0.03)

    assert decide(pacer, parked=1, talking=(40.0,), budget=usual).calls == 1
    assert decide(pacer, parked=1, talking=(40.0, 5.0), budget=usual).calls == 1
    assert decide(pacer, parked=2, budget=usual).calls == 2
    assert decide(pacer, parked=1, wrapping=(5.0,), talking=(5.0,), budget=usual).calls == 1


def test_a_large_team_is_dialled_for_ahead():
    pace = decide(warm(), parked=2, talking=(30.0,) * 40, wrapping=(10.0,) * 8)

    assert pace.calls > 12  # at one call in three answered, two agents alone would take but a few
    assert pace.limits == ("abandonment",)


def test_the_reason_is_a_sentence_with_every_number_it_rests_on():
    pace = decide(warm(), parked=4, talking=(30.0,) * 20, wrapping=(2.0,) * 2, ringing=(4.0,) * 3, waiting=1)

    assert pace.why == (
        "7: 4 agents free, 1.7 more expected in 12 s, 3 ringing worth 1.0, 1 customer waiting, "
        "budget 30 calls left of 24 h"
    )


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
    never = Predictive()
    never.restore(past(5000, answered_every=6000))
    pace = decide(never, parked=3, free_lines=10_000)

    assert pace.calls == 30
    assert pace.limits == ("calls per agent",)


def test_when_lines_are_what_is_missing_it_is_said():
    pace = decide(warm(), parked=5, free_lines=2)
    assert (pace.calls, pace.limits) == (2, ("lines",))
    assert pace.why.endswith("; no more lines")
    assert decide(warm(), parked=5, max_lines=3).limits == ("campaign lines",)
    assert decide(warm(), parked=5, free_lines=0).calls == 0


small = st.integers(0, 6)
elapsed = st.lists(st.floats(0, 600), max_size=12).map(tuple)
snapshots = st.builds(
    Snapshot,
    idle=small,
    parked=small,
    talking=elapsed,
    wrapping=elapsed,
    ringing=elapsed,
    waiting=small,
    in_message=small,
    free_lines=st.integers(0, 60),
    max_lines=st.none() | st.integers(0, 60),
    presence_age=st.none() | st.floats(0, 90),
    events_age=st.floats(0, 12),
    budget=st.builds(Budget, st.integers(0, 60), st.integers(0, 3000), st.sampled_from([0.0, 0.01, 0.03, 0.5, 1.0])),
)


@given(snapshots)
def test_no_pace_is_negative_or_beyond_the_lines_and_every_one_has_its_reason(seen: Snapshot):
    for pacer in (Progressive(), PACER):
        pace = pacer.decide(NOW, seen)
        assert 0 <= pace.calls <= seen.lines_left
        assert pace.why.startswith(f"{pace.calls}: ")
        assert pace == pacer.decide(NOW, seen)


@given(snapshots)
def test_a_pace_can_be_replayed_from_what_is_stored(seen: Snapshot):
    again = Snapshot.from_json(json.loads(json.dumps(seen.as_json())))

    assert again == seen
    assert PACER.decide(NOW, again) == PACER.decide(NOW, seen)


@given(snapshots, st.integers(1, 100))
def test_more_budget_or_more_lines_never_mean_fewer_calls(seen: Snapshot, more: int):
    budget = Budget(seen.budget.abandoned, seen.budget.met + more, seen.budget.ceiling)
    lines = seen.free_lines + more
    kept = {name: getattr(seen, name) for name in Snapshot.__slots__}

    assert PACER.decide(NOW, Snapshot(**(kept | {"budget": budget}))).calls >= PACER.decide(NOW, seen).calls
    assert PACER.decide(NOW, Snapshot(**(kept | {"free_lines": lines}))).calls >= PACER.decide(NOW, seen).calls


PACER = warm()


# learning --------------------------------------------------------------------------------------------


def test_the_answer_chance_is_learnt_and_old_lessons_fade():
    answers, chance = Answers(), random.Random(7)
    assert answers.chance == pytest.approx(0.3)
    for _ in range(1000):
        answers.observe(chance.random() < 0.1)
    assert answers.chance == pytest.approx(0.1, abs=0.04)

    for _ in range(60):  # another list, another hour
        answers.observe(chance.random() < 0.7)
    assert answers.chance > 0.45


def test_a_mean_counts_those_not_over_yet():
    talk = MeanTime(180, weight=5)
    assert talk.mean() == 180

    for _ in range(5):
        talk.observe(30)  # the short ones end first
    assert talk.mean() == pytest.approx(105, abs=3)
    assert talk.mean([300.0] * 5) > 200


def test_an_event_told_twice_counts_once():
    once, twice = History(), History()
    for event in past(60):
        once.observe(event)
        twice.observe(event)
        twice.observe(event)

    assert twice.answers.seen == once.answers.seen == 60
    assert twice.answers.chance == once.answers.chance
    assert (twice.talk.mean(), twice.ring.mean()) == (once.talk.mean(), once.ring.mean())
    assert twice.wrap_up.mean() == once.wrap_up.mean()


def test_an_end_whose_beginning_was_never_told_teaches_nothing():
    history = History()
    for kind in Happened:
        if kind is not Happened.LAUNCHED:
            history.observe(PaceEvent(kind, NOW, "a", "b"))

    assert history.answers.seen == 0


def test_answers_are_learnt_in_the_order_of_the_calls_and_not_of_their_ends():
    cohort, chance = [n % 4 == 0 for n in range(400)], History()
    for n in range(400):
        chance.observe(PaceEvent(Happened.LAUNCHED, NOW, str(n)))
    for n in (n for n in range(400) if cohort[n]):  # first the answered ones, then all that rang out
        chance.observe(PaceEvent(Happened.ANSWERED, at(12), str(n)))
    for n in (n for n in range(400) if not cohort[n]):
        chance.observe(PaceEvent(Happened.NO_ANSWER, at(22), str(n)))

    assert chance.answers.seen == 400
    assert chance.answers.chance == pytest.approx(0.25, abs=0.02)


def test_a_call_that_never_ends_does_not_hold_up_the_lessons_of_the_others():
    history = History()
    history.observe(PaceEvent(Happened.LAUNCHED, NOW, "stuck"))
    for n in range(5):
        history.observe(PaceEvent(Happened.LAUNCHED, at(1), str(n)))
        history.observe(PaceEvent(Happened.ANSWERED, at(12), str(n)))
    assert history.answers.seen == 0

    history.observe(PaceEvent(Happened.LAUNCHED, at(100), "later"))
    history.observe(PaceEvent(Happened.ANSWERED, at(121), "later"))
    assert history.answers.seen == 6


def test_a_call_that_never_rang_says_nothing_about_people():
    history = History()
    history.observe(PaceEvent(Happened.LAUNCHED, NOW, "a"))
    history.observe(PaceEvent(Happened.FAILED, at(1), "a"))

    assert history.answers.seen == 0


def test_a_wrap_up_ended_by_leaving_says_nothing_of_its_length():
    history = History()
    history.observe(PaceEvent(Happened.CONNECTED, NOW, "a", "Ada"))
    history.observe(PaceEvent(Happened.TALK_END, at(60), "a", "Ada"))
    history.observe(PaceEvent(Happened.PAUSE, at(61), "", "Ada"))
    history.observe(PaceEvent(Happened.READY, at(4000), "", "Ada"))

    assert history.wrap_up.mean() == 20


def test_a_new_leader_continues_where_the_old_one_stopped():
    events = past(400)
    old = Predictive()
    for event in sorted(events, key=lambda event: event.at):
        old.observe(event)
    shuffled = list(events)
    random.Random(3).shuffle(shuffled)
    new = Predictive()
    new.observe(PaceEvent(Happened.LAUNCHED, NOW, "forgotten by the restore"))
    new.restore(shuffled)

    for parked in range(12):
        seen = {"parked": parked, "talking": (30.0,) * 20, "ringing": (3.0,) * parked}
        assert decide(new, **seen) == decide(old, **seen)


def test_stored_attempts_tell_what_happened():
    times = {"ordered_at": NOW, "answered_at": at(9), "joined_at": at(9.4), "ended_at": at(70)}

    def kinds(state: CallState, **known: datetime) -> list[str]:
        return [event.kind for event in events_of_call("1", state, **known, agent="Ada")]

    assert kinds(CallState.COMPLETED, **times) == ["launched", "answered", "connected", "talk_end"]
    assert kinds(CallState.JOINED, **{k: v for k, v in times.items() if k != "ended_at"}) == [
        "launched",
        "answered",
        "connected",
    ]
    assert kinds(CallState.NO_ANSWER, ordered_at=NOW, ended_at=at(22)) == ["launched", "no_answer"]
    assert kinds(CallState.EXPIRED, ordered_at=NOW, ended_at=at(22)) == ["launched", "failed"]
    assert kinds(CallState.LOST, ordered_at=NOW, ended_at=at(22)) == ["launched", "failed"]
    assert kinds(CallState.RINGING, ordered_at=NOW) == ["launched"]
    assert kinds(CallState.ABANDONED, ordered_at=NOW, answered_at=at(9), ended_at=at(12)) == [
        "launched",
        "answered",
        "abandoned",
    ]
    assert kinds(CallState.HUNG_UP, ordered_at=NOW, answered_at=at(9), ended_at=at(10)) == ["launched", "answered"]


# the rest --------------------------------------------------------------------------------------------


def test_modes_have_their_pacers_and_a_wrong_one_is_named():
    assert isinstance(pacer_for("progressive"), Progressive)
    predictive = pacer_for("predictive", tuning=Tuning(cold=5))
    assert isinstance(predictive, Stepping)
    assert isinstance(predictive.fast, Predictive)
    with pytest.raises(BadInput, match=r"'guess'.*predictive, progressive"):
        pacer_for("guess")


def test_a_decision_for_three_hundred_agents_takes_less_than_five_milliseconds():
    pacer = warm()
    seen = Snapshot(
        parked=20, talking=(60.0,) * 250, wrapping=(5.0,) * 30, ringing=(6.0,) * 200, free_lines=1200, budget=PLENTY
    )
    took = []
    for _ in range(20):
        start = time.perf_counter()
        pacer.decide(NOW, seen)
        took.append(time.perf_counter() - start)

    assert sorted(took)[10] < 0.005
