"""Whole stretches of the simulated call centre: the same seed lives the same day, and nothing is left over."""

import time
from dataclasses import replace
from statistics import fmean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.pbx.simulator.config import (
    LAST_TWO_DIGITS,
    PROFILES,
    AgentConfig,
    Behaviour,
    CustomerConfig,
    Ending,
    GatewayConfig,
    WorldConfig,
)
from dialer.pbx.simulator.judging import too_soon
from dialer.pbx.simulator.world import World
from tests.simulation.pbx_kit import SmallDialer, ask, call, numbers, park, run, run_out

SEEDS = st.integers(min_value=0, max_value=2**63)


def lived(seed: int, seconds: float = 300.0, faults: str = "") -> World:
    world = World(WorldConfig(agents=AgentConfig(count=6), gateways=(GatewayConfig(lines=12),)), seed)
    world.set_faults(faults)
    SmallDialer(world, numbers(10_000), ratio=3.0).work(seconds)
    return world


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_a_seed_replays_exactly(seed):
    first, second = lived(seed, 120), lived(seed, 120)
    assert first.calls() == second.calls()
    assert first.judgement() == second.judgement()
    assert first.calls() != lived(seed + 1, 120).calls()


@given(SEEDS)
@settings(max_examples=8, deadline=None)
def test_a_seed_replays_exactly_with_every_fault_on(seed):
    assert lived(seed, 120, "all").judgement() == lived(seed, 120, "all").judgement()


@given(SEEDS, st.floats(min_value=0.1, max_value=30.0), st.booleans())
@settings(max_examples=25, deadline=None)
def test_another_pace_meets_the_same_customers(seed, gap, backwards):
    """What becomes of the nth call of a number does not depend on when it is made, or after which others."""

    def endings(pause: float, order: list[str]) -> dict[tuple[str, int], tuple[int, float | None]]:
        world = World(WorldConfig(gateways=(GatewayConfig(lines=500),)), seed)
        for number in order:
            call(world, number, f"r{number}-{world.now}")
            run(world, world.now + pause)
        run_out(world)
        return {
            (c["number"], c["nth"]): (c["outcome"], c["answered_at"] and round(c["answered_at"] - c["dialled_at"], 6))
            for c in world.calls()
        }

    some = numbers(12)
    assert endings(gap, some[::-1] if backwards else some) == endings(40.0, some)


@given(SEEDS, st.sampled_from(["", "all", "outages", "lies", "webhooks", "network"]))
@settings(max_examples=20, deadline=None)
def test_nothing_leaks_when_the_day_is_over(seed, faults):
    world = lived(seed, 200, faults)
    world.set_faults("")
    run_out(world)
    assert world.exchange.live == {}
    assert [gateway["busy_lines"] for gateway in world.state()["gateways"]] == [0]
    assert all(not user.legs for user in world.entities.users.values())
    assert world.next_time() is None
    assert world.judgement()["calls_up"] == 0
    calls = world.calls()
    assert all(c["ended_at"] is not None and c["ended_by"] for c in calls)
    assert all(talk[2] is not None for c in calls for talk in c["talks"])


@given(SEEDS)
@settings(max_examples=15, deadline=None)
def test_lines_are_never_overbooked_and_agents_never_shared(seed):
    world = World(WorldConfig(agents=AgentConfig(count=6), gateways=(GatewayConfig(lines=7),)), seed)
    dialer = SmallDialer(world, numbers(10_000), ratio=6.0)
    for second in range(1, 120):
        dialer.work(float(second))
        (gateway,) = world.entities.gateways.values()
        assert gateway.busy == sum(1 for c in world.book.calls if c.ended_at is None) <= 7
    assert world.judgement()["two_on_one"] == 0


def test_the_mixture_of_people_is_as_told():
    world = World(WorldConfig(gateways=(GatewayConfig(lines=5000),)), seed=11)
    for i, number in enumerate(numbers(4000)):
        call(world, number, f"c{i}")
    run_out(world)
    judged = world.judgement()
    share = {outcome: count / 4000 for outcome, count in judged["outcomes"].items()}
    assert abs(share["1"] - 0.25) < 0.03
    assert abs(share["10"] - 0.75 * 0.12) < 0.02
    assert abs(share["11"] - 0.75 * 0.08) < 0.02
    assert abs(share["12"] - 0.75 * 0.10) < 0.02
    rings = sorted(c["answered_at"] - c["dialled_at"] for c in world.calls() if c["answered_at"])
    assert abs(sum(rings) / len(rings) - 11.0) < 1.0  # 12 s, less what the cut at 22 s takes away
    assert rings[-1] <= 22.0


def test_the_profile_of_pacing_is_the_world_pacing_is_measured_in():
    world = World(replace(PROFILES["pacing"], gateways=(GatewayConfig(lines=20_000),)), seed=4)
    met = [world.customers.meet(number, 0.0) for number in numbers(20_000)]
    share = {ending: sum(one.ending is ending for one in met) / len(met) for ending in Ending}
    rings = [one.ring for one in met if one.ending is Ending.ANSWERS]
    fast = [one.ring for one in met if one.ending not in (Ending.ANSWERS, Ending.NO_ANSWER)]
    talk = [one.talk for one in met]
    assert share[Ending.ANSWERS] == pytest.approx(0.25, abs=0.01)
    assert share[Ending.NO_ANSWER] == pytest.approx(0.75 * 0.85, abs=0.015)
    assert max(rings) <= 22.0
    assert fmean(rings) == pytest.approx(11.1, abs=0.3)
    assert min(fast) >= 1.0
    assert max(fast) <= 3.0
    assert {one.ring for one in met if one.ending is Ending.NO_ANSWER} == {22.0}
    assert (fmean(talk), stdev(talk)) == (pytest.approx(180.0, rel=0.03), pytest.approx(180.0, rel=0.12))
    assert min(one.patience for one in met) > 60.0


def test_in_the_profile_of_pacing_agents_only_talk_write_and_wait():
    lines = (GatewayConfig(lines=30),)
    world = World(replace(PROFILES["pacing"], agents=replace(PROFILES["pacing"].agents, count=6), gateways=lines), 8)
    SmallDialer(world, numbers(10_000), ratio=3.0).work(3600.0)
    judged = world.judgement()
    assert {state for agent in judged["agents"].values() for state in agent} == {
        "idle", "ringing", "parked", "talking", "wrap-up",
    }  # fmt: skip
    assert judged["hung_up_waiting"] == 0
    assert judged["abandoned"] > 0


def test_an_answer_rate_can_jump_in_the_middle_of_a_day():
    customers = CustomerConfig(answer_probability=0.0, answer_steps=((100.0, 1.0),))
    world = World(WorldConfig(customers=customers, gateways=(GatewayConfig(lines=500),)), seed=1)
    for i, number in enumerate(numbers(50)):
        call(world, number, f"b{i}")
    run(world, 101)
    assert world.judgement()["answered"] == 0
    for i, number in enumerate(numbers(50, 390700000000)):
        call(world, number, f"a{i}")
    run(world, 160)
    assert world.judgement()["answered"] == 50


def test_speed_shortens_people_but_not_the_law():
    customers = CustomerConfig(by_number={"390600000001": Behaviour(Ending.ANSWERS, ring=10.0, patience=60.0)})
    world = World(WorldConfig(speed=20.0, customers=customers), seed=1)
    call(world, "390600000001")
    run(world, 30)
    (heard,) = world.calls()
    assert round(heard["answered_at"] - heard["dialled_at"], 3) == 0.5
    assert abs(heard["messages"][0][1] - heard["answered_at"] - 2.0) < 0.01
    assert abs(heard["ended_at"] - heard["messages"][0][1] - 6.0) < 0.01


def test_the_last_two_digits_can_choose_what_happens():
    customers = CustomerConfig(by_last_digits=LAST_TWO_DIGITS)
    world = World(WorldConfig(customers=customers), seed=1)
    for i, ending in enumerate(("00", "01", "02", "03", "04")):
        call(world, f"3906000000{ending}", f"c{i}")
    run(world, 60)
    assert {c["number"][-2:]: c["outcome"] for c in world.calls()} == {"00": 10, "01": 11, "02": 12, "03": 9, "04": 1}


def test_agents_take_breaks_and_come_back():
    config = WorldConfig(agents=AgentConfig(count=10, work_mean=300.0, slips_per_hour=2.0))
    world = World(config, seed=4)
    SmallDialer(world, numbers(100_000), ratio=2.0).work(3600)
    judged = world.judgement()
    away = [spent.get("away", 0.0) for spent in judged["agents"].values()]
    assert all(60 < seconds < 3000 for seconds in away)
    assert all(spent["talking"] > 0 for spent in judged["agents"].values())
    assert judged["silent_calls"] == judged["two_on_one"] == judged["double_dials"] == 0


def test_a_number_dialled_again_too_soon_is_found():
    world = World(seed=1)
    call(world, "390600000001", "c1")
    run(world, 100)
    call(world, "390600000001", "c2")
    run(world, 200)
    (found,) = too_soon(world.book, 3600)
    assert (found["first"]["extid"], found["second"]["extid"]) == ("c1", "c2")
    assert too_soon(world.book, 60) == []


def test_a_day_of_twenty_four_hours_takes_seconds():
    """At a call a second and more; the figure printed is the whole of world and small dialer."""
    world = World(WorldConfig(agents=AgentConfig(count=20)), seed=24)
    began = time.process_time()
    dialer = SmallDialer(world, numbers(1_000_000), ratio=3.0)
    dialer.work(86_400, every=10.0)
    spent = time.process_time() - began
    judged = world.judgement()
    print(f"{judged['calls']} calls in {spent:.1f} s of CPU: {judged['calls'] / spent * 60:.0f} calls a minute")
    assert judged["calls"] > 20_000
    assert judged["double_dials"] == judged["silent_calls"] == judged["two_on_one"] == 0
    assert judged["longest_silence"] < 2.1
    assert spent < 60
    run_out(world)
    assert world.exchange.live == {}


def test_occupancy_counts_talk_and_wrap_up_of_the_time_at_work():
    customers = CustomerConfig(by_number={"390600000001": Behaviour(Ending.ANSWERS, ring=1.0, talk=50.0)})
    config = WorldConfig(agents=AgentConfig(count=1, work_mean=None), customers=customers)
    world = World(config, seed=2)
    SmallDialer(world, ["390600000001"], ratio=1.0).work(200)
    judged = world.judgement()
    spent = judged["agents"]["201"]
    assert abs(spent["talking"] - 50.0) < 0.01
    assert judged["occupancy"] == round((spent["talking"] + spent["wrap-up"]) / 200, 4)
    assert judged["talk_seconds"] == round(spent["talking"], 3)
    assert 0 < judged["answer_to_agent_ms"]["p50"] < 100
    assert (judged["joined_in_time"], judged["abandoned"]) == (1, 0)


@pytest.mark.parametrize(
    ("patience", "limit", "abandoned"), [(1.0, 2.0, 0), (3.0, 2.0, 1), (600.0, 2.0, 1), (1.0, 0.5, 1)]
)
def test_abandoned_is_who_met_nobody_in_time_and_did_not_leave_before(patience, limit, abandoned):
    customers = CustomerConfig(by_number={"390600000001": Behaviour(Ending.ANSWERS, patience=patience)})
    world = World(WorldConfig(customers=customers, silence_limit=limit), seed=2)
    call(world, "390600000001")
    run(world, 60)
    judged = world.judgement()
    assert (judged["answered"], judged["joined_in_time"], judged["abandoned"]) == (1, 0, abandoned)


def test_users_and_lines_seen_by_the_interface_agree_with_the_book():
    world = World(seed=5)
    park(world, 101)
    call(world, "390600000001")
    run(world, 1.2)
    gateway = ask(world, "get_entities", entity_type=2).find("gateways/gateway")
    assert gateway.findtext("busy_lines") == "1"
    presences = [u.findtext("av_status") for u in ask(world, "get_entities", entity_type=0).iter("user")]
    assert presences[:2] == ["4", "2"]
