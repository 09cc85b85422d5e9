"""Every mode behind one protocol, and the automatic step between them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import modes
from dialer.abandonment import Budget
from dialer.errors import BadInput
from dialer.pacing import (
    MODES,
    Pace,
    PaceEvent,
    Power,
    Predictive,
    Progressive,
    Snapshot,
    Staleness,
    Stepping,
    Steps,
    pacer_for,
)
from dialer.pacing.base import Goals
from dialer.pbx.base import Feature

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLENTY = Budget(0, 1000, 0.03)
SPENT = Budget(3, 40, 0.03)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def decide(mode: str, **seen: object) -> Pace:
    given = {"free_lines": 50, "budget": PLENTY, **seen}
    return pacer_for(mode).decide(NOW, Snapshot(**given))


# each mode --------------------------------------------------------------------------------------------


def test_manual_never_orders_by_itself():
    assert decide("manual", parked=5) == Pace(0, "0: manual: agents place their own calls")


def test_preview_offers_one_contact_to_each_agent_without_an_offer():
    pace = decide("preview", idle=1, parked=2, reserved=3, free_lines=0)
    assert (pace.calls, pace.why) == (3, "3: preview: 3 agents without an offer, 3 with one or with a call")


def test_preview_offers_nothing_while_the_pbx_is_silent():
    assert decide("preview", parked=2, presence_age=60.0).limits == ("presence dead",)


@pytest.mark.parametrize(("ratio", "calls"), [(None, 3), (1.0, 3), (1.5, 4), (2.0, 6), (2.3, 6), (0.2, 3)])
def test_power_keeps_so_many_calls_for_each_free_agent(ratio: float | None, calls: int):
    assert decide("power", parked=3, goals=Goals(ratio=ratio)).calls == calls


def test_power_counts_what_rings_and_who_waits():
    pace = decide("power", parked=4, ringing=(1.0, 2.0), waiting=1, goals=Goals(ratio=2.0))
    assert (pace.calls, pace.why) == (5, "5: 2 calls per agent: 4 agents free, 1 customer waiting, 2 ringing")


@pytest.mark.parametrize(
    ("trouble", "limit", "says"),
    [
        ({"budget": SPENT}, "budget", "the 3% are used up (3 of 43 abandoned)"),
        ({"budget": Budget(0, 0, 0.03)}, "budget", "nobody may be lost yet"),
        ({"presence_age": 31.0}, "presence stale", "31 s ago"),
        ({"events_age": 3.0}, "events stale", "not handled yet"),
    ],
)
def test_power_falls_to_one_call_per_agent_and_says_so(trouble: dict[str, object], limit: str, says: str):
    pace = decide("power", parked=3, goals=Goals(ratio=4.0), **trouble)
    assert pace.calls == 3
    assert limit in pace.limits or "stepped down" in pace.limits
    assert "one call per agent" in pace.why
    assert says in pace.why


def test_agentless_fills_the_lines_with_nobody_at_work():
    pace = decide("agentless", ringing=(1.0,) * 7, in_message=2, free_lines=30, max_lines=20)
    assert (pace.calls, pace.limits) == (11, ("campaign lines",))
    assert pace.why == "11: no agents needed: 11 lines left, 7 ringing, 2 in the message"


def test_agentless_calls_one_at_a_time_on_stale_lines_and_nobody_on_dead_ones():
    assert decide("agentless", presence_age=40.0).calls == 1
    assert decide("agentless", presence_age=40.0, ringing=(2.0,)).calls == 0
    dead = decide("agentless", presence_age=60.0)
    assert (dead.calls, dead.limits) == (0, ("presence dead",))
    assert decide("agentless", presence_age=None).calls == 0
    assert decide("agentless", events_age=10.0).calls == 0


def test_reserved_agents_are_at_work_and_hold_a_line_each_but_are_not_free():
    seen = Snapshot(parked=1, reserved=2, free_lines=50, max_lines=4)
    assert (seen.free, seen.team, seen.lines_left) == (1, 3, 2)


# the step ---------------------------------------------------------------------------------------------


class Always:
    """A fast pacer that always wants nine."""

    def observe(self, event: PaceEvent) -> None:
        """Nothing."""

    def restore(self, events: object) -> None:
        """Nothing."""

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        return Pace(9, "9: fast")


def stepping(**steps: object) -> Stepping:
    return Stepping("predictive", Always(), steps=Steps(**steps))


WELL = Snapshot(parked=3, free_lines=50, budget=PLENTY)


def test_a_single_agent_is_never_over_dialled():
    pace = stepping().decide(NOW, replace(WELL, parked=1))
    assert (pace.calls, pace.limits) == (1, ("stepped down",))
    assert pace.why.endswith("stepped down from predictive: 1 agent at work, fewer than 2")


def test_the_smallest_team_can_be_set():
    assert stepping(smallest_team=1).decide(NOW, replace(WELL, parked=1)).calls == 9
    assert stepping(smallest_team=4).decide(NOW, WELL).calls == 3


def test_stale_knowledge_steps_down_and_dead_knowledge_to_zero():
    stale = stepping().decide(NOW, replace(WELL, presence_age=30.0))
    assert (stale.calls, stale.limits) == (3, ("presence stale", "stepped down"))
    dead = stepping().decide(NOW, replace(WELL, presence_age=60.0))
    assert (dead.calls, dead.limits) == (0, ("presence dead", "stepped to zero"))
    assert dead.why.endswith("; predictive waits")


def test_the_fast_mode_returns_after_ten_seconds_of_health_and_not_before():
    pacer = stepping()
    assert pacer.decide(at(0), WELL).calls == 9
    pacer.decide(at(1), replace(WELL, events_age=2.0))
    back = pacer.decide(at(10.9), WELL)
    assert (back.calls, back.limits) == (3, ("stepped down",))
    assert back.why.endswith("all well for 10 of 10 s")
    assert pacer.decide(at(11), WELL).calls == 9


def test_trouble_that_comes_and_goes_does_not_flap():
    pacer = stepping()
    seen = [pacer.decide(at(n), replace(WELL, events_age=2.0 if n % 8 == 0 else 0.0)).calls for n in range(40)]
    assert seen == [3] * 40


def test_what_was_learnt_meanwhile_is_not_lost():
    heard = []
    fast = Always()
    fast.observe = heard.append  # type: ignore[method-assign]
    pacer = Stepping("predictive", fast)
    pacer.decide(NOW, replace(WELL, presence_age=60.0))
    event = PaceEvent(kind="launched", at=NOW)  # type: ignore[arg-type]
    pacer.observe(event)
    assert heard == [event]


def test_stepped_down_the_fast_pacer_still_says_which_calls_to_end_and_whom_to_call():
    class Choosy(Always):
        def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
            return Pace(99, "99: always", (), ("7",), ("12/1",), {"risk": 0.5})

    for seen in (replace(WELL, presence_age=31.0), WELL):
        pace = Stepping("predictive", Choosy()).decide(NOW, seen)
        assert (pace.give_up, pace.choose, pace.reckoned) == (("7",), ("12/1",), {"risk": 0.5})
        assert pace.calls == (99 if seen is WELL else Progressive().decide(NOW, seen).calls)


def test_the_fast_modes_come_wrapped_and_how_old_is_too_old_can_be_set():
    predictive = pacer_for("predictive", staleness=Staleness(presence_stale=1, presence_dead=2))
    assert isinstance(predictive, Stepping)
    assert isinstance(predictive.fast, Predictive)
    assert isinstance(pacer_for("progressive"), Progressive)
    seen = predictive.decide(NOW, Snapshot(parked=1, free_lines=9, presence_age=2))
    assert seen.limits == ("presence dead", "stepped to zero")
    with pytest.raises(BadInput, match=r"'guess'.*predictive, progressive"):
        pacer_for("guess")


# agents shared with other campaigns ----------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["power", "progressive", "preview"])
def test_shared_agents_are_taken_by_weight_in_every_mode(mode: str):
    seen = {"parked": 8, "goals": Goals(ratio=1.0)}
    assert decide(mode, **seen).calls == 8
    assert decide(mode, **seen, share=0.25).calls == 2
    assert decide(mode, **seen, others_ringing=(1.0,) * 5, others_waiting=1).calls == 2
    # Who is kept for a call of ours works for us already; who is kept for another's does not.
    assert decide(mode, **seen, share=0.25, reserved=2).calls == 0
    assert decide(mode, **seen, share=0.25, reserved_elsewhere=8).calls == 4


def test_agents_kept_for_others_calls_hold_none_of_our_lines():
    seen = Snapshot(parked=1, reserved=1, reserved_elsewhere=3, free_lines=9, max_lines=4)
    assert (seen.team, seen.lines_left) == (5, 3)
    assert Snapshot.from_json(seen.as_json()) == seen


elapsed = st.floats(0, 60)
snapshots = st.builds(
    Snapshot,
    idle=st.integers(0, 5),
    parked=st.integers(0, 8),
    talking=st.lists(elapsed, max_size=6).map(tuple),
    ringing=st.lists(elapsed, max_size=12).map(tuple),
    waiting=st.integers(0, 3),
    reserved=st.integers(0, 3),
    free_lines=st.integers(0, 60),
    max_lines=st.none() | st.integers(1, 40),
    presence_age=st.none() | st.floats(0, 90),
    events_age=st.floats(0, 15),
    budget=st.sampled_from([PLENTY, SPENT, Budget(0, 0, 0.03)]),
    goals=st.builds(Goals, ratio=st.none() | st.floats(0, 5)),
)
days = st.lists(st.tuples(st.floats(0.1, 20), snapshots), min_size=1, max_size=12)


@given(days, st.sampled_from(MODES))
def test_the_same_day_gives_the_same_answers_whatever_the_mode(day: list[tuple[float, Snapshot]], mode: str):
    def run() -> list[Pace]:
        pacer, time, answers = pacer_for(mode), 0.0, []
        for wait, seen in day:
            time += wait
            answers.append(pacer.decide(at(time), seen))
        return answers

    first = run()
    assert first == run()
    assert all(pace.calls >= 0 and pace.why.startswith(f"{pace.calls}: ") for pace in first)


@given(days, st.sampled_from(["predictive", "power"]))
def test_no_unsafe_moment_is_ever_dialled_ahead_of_the_agents(day: list[tuple[float, Snapshot]], mode: str):
    pacer, time, unwell = pacer_for(mode), 0.0, -1e9
    for wait, seen in day:
        time += wait
        pace = pacer.decide(at(time), seen)
        void = seen.presence_age is None or seen.presence_age >= 60 or seen.events_age >= 10 or seen.team == 0
        wrong = void or seen.presence_age >= 30 or seen.events_age >= 2 or seen.team < 2
        unwell = time if wrong else unwell
        if void:
            assert pace.calls == 0
        elif time - unwell < 9.999:
            assert pace.calls <= max(0, seen.free - seen.waiting - len(seen.ringing))
            assert "stepped down" in pace.limits
        else:
            assert "stepped down" not in pace.limits or time - unwell < 10.001
        if pace.calls:
            assert pace.calls <= seen.lines_left


@given(snapshots)
def test_power_never_dials_ahead_while_the_budget_is_spent(seen: Snapshot):
    seen = replace(seen, budget=SPENT, presence_age=0.0, events_age=0.0)
    assert Power().decide(NOW, seen).calls <= max(0, seen.free - seen.waiting - len(seen.ringing))


# what a PBX must be able to do --------------------------------------------------------------------------


def test_a_mode_the_pbx_cannot_do_is_refused_with_what_it_lacks_and_can():
    only_message = {Feature.CUSTOMER_FIRST, Feature.DIVERT}
    with pytest.raises(BadInput, match="PBX main cannot do power calls: it lacks join; it can do agentless"):
        modes.check("power", "main", only_message)
    modes.check("agentless", "main", only_message)
    with pytest.raises(BadInput, match=r"PBX main cannot do agentless calls: it lacks divert"):
        modes.check("agentless", "main", {Feature.CUSTOMER_FIRST, Feature.JOIN})
    with pytest.raises(BadInput, match=r"there is no mode 'turbo': use predictive, .* or agentless"):
        modes.check("turbo", "main", set(Feature))


def test_every_mode_has_a_pacer_and_its_features():
    for mode in MODES:
        assert pacer_for(mode) is not None
        modes.check(mode, "main", set(Feature))
