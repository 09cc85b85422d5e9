"""The virtual call centre that pacers are judged in: fair to all of them, and its books balance."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest

from dialer.errors import NotFound
from dialer.pacing import Happened, Pace, PaceEvent, Pacer, Snapshot, pacer_for
from dialer.simulation import SHAPES, Centre, Curve, Day, Inbound, World, run_day, shape

START = World().begins

pytestmark = pytest.mark.timeout(600)  # some tens of seconds, on a machine that has the time
OVER = {Happened.NO_ANSWER, Happened.GIVEN_UP, Happened.ABANDONED, Happened.TALK_END}


@dataclass
class Greedy:
    """A pacer that wants far too many calls."""

    calls: int = 40

    def observe(self, event: PaceEvent) -> None: ...
    def restore(self, events: Iterable[PaceEvent]) -> None: ...
    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        return Pace(self.calls, "as many as there are lines")


@dataclass
class Ear:
    """A pacer that hears and sees everything, and leaves the pace to another."""

    pacer: Pacer = field(default_factory=lambda: pacer_for("progressive"))
    events: list[PaceEvent] = field(default_factory=list)
    seen: list[Snapshot] = field(default_factory=list)

    def observe(self, event: PaceEvent) -> None:
        self.events.append(event)
        self.pacer.observe(event)

    def restore(self, events: Iterable[PaceEvent]) -> None:
        self.pacer.restore(events)

    def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
        self.seen.append(snapshot)
        return self.pacer.decide(now, snapshot)

    def at(self, *kinds: Happened) -> dict[str, float]:
        """When it happened to each call, in seconds of the day."""
        return {e.call: (e.at - START).total_seconds() for e in self.events if e.kind in kinds}

    def count(self, kind: Happened) -> int:
        return sum(event.kind is kind for event in self.events)

    def between(self, first: Happened, then: Happened) -> dict[str, float]:
        began = self.at(first)
        return {call: round(at - began[call], 4) for call, at in self.at(then).items()}

    def answered(self, begins: float = 0.0, ends: float = 5.0, group: str = "") -> float:
        """The part of the calls launched between these hours that were answered."""
        launched = {
            event.call
            for event in self.events
            if event.kind is Happened.LAUNCHED
            and event.group == group
            and begins <= (event.at - START).total_seconds() / 3600 < ends
        }
        return len(launched & self.at(Happened.ANSWERED).keys()) / len(launched)


def day(world: World, *pacers: Pacer, seed: int = 1) -> Day:
    return run_day(world, pacers or [pacer_for("progressive")], seed)


def lived(
    name: str, *, hours: float | None = None, make: Callable[[], Pacer] | None = None
) -> tuple[World, Day, list[Ear]]:
    """A day of this shape, or its first hours, and what each campaign's pacer heard of it."""
    world = shape(name)
    if hours is not None:
        world = replace(world, hours=hours - world.warm_up_hours)
    ears = [Ear(make() if make else pacer_for("progressive")) for _ in world.campaigns]
    return world, run_day(world, ears, 1), ears


def team_at(of: Day, hour: float) -> int:
    _, _, _, _, free, talking, wrapping = next(sample for sample in of.samples if sample[0] >= hour * 3600)
    return int(free + talking + wrapping)


HOUR = World(agents=6, hours=0.75, warm_up_hours=0.25, min_ring=15.0)


# fair to all ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["stationary", "inbound", "shared_agents", "unequal_contacts"])
def test_a_seed_is_a_day(name: str):
    world = replace(shape(name, agents=6), hours=0.5, warm_up_hours=0.25)

    def run(seed: int) -> Day:
        return run_day(world, [pacer_for("predictive") for _ in world.campaigns], seed)

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_the_kth_call_meets_the_same_person_whoever_paces():
    slow, quick = Ear(), Ear(Greedy(1))
    day(replace(HOUR, agents=20), slow)
    day(replace(HOUR, agents=20), quick)

    for kind in (Happened.ANSWERED, Happened.NO_ANSWER):
        one, other = slow.between(Happened.LAUNCHED, kind), quick.between(Happened.LAUNCHED, kind)
        both = one.keys() & other.keys()
        assert len(both) > 20
        assert {call: one[call] for call in both} == pytest.approx({call: other[call] for call in both}, abs=1e-3)
    one, other = (ear.between(Happened.CONNECTED, Happened.TALK_END) for ear in (slow, quick))
    both = one.keys() & other.keys()
    assert len(both) > 20
    assert {call: one[call] for call in both} == pytest.approx({call: other[call] for call in both}, abs=1e-3)


def test_who_calls_in_does_so_whoever_paces():
    world = replace(HOUR, inbound=Inbound(Curve.flat(40.0)))
    slow, quick = Ear(), Ear(Greedy(3))
    day(world, slow)
    day(world, quick)

    first, second = ([e.at for e in ear.events if e.kind is Happened.INBOUND] for ear in (slow, quick))
    assert first == second
    assert len(first) > 20


def test_a_group_of_contacts_answers_alike_whichever_is_called_first():
    class Chooser(Greedy):
        def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
            return Pace(2, "often ones first", choose=("often",) * 2)

    world = replace(shape("unequal_contacts", agents=6), hours=0.5, warm_up_hours=0.0)
    plain, choosing = Ear(Greedy(2)), Ear(Chooser())
    day(world, plain)
    day(world, choosing)

    def of_often(ear: Ear) -> list[tuple[bool, float]]:
        calls = [e.call for e in ear.events if e.kind is Happened.LAUNCHED and e.group == "often"]
        answered, ended = ear.at(Happened.ANSWERED), ear.at(Happened.NO_ANSWER)
        began = ear.at(Happened.LAUNCHED)
        known = {**ended, **answered}
        return [(call in answered, round(known[call] - began[call], 4)) for call in calls if call in known]

    one, other = of_often(plain)[:50], of_often(choosing)[:50]
    assert one == other
    taken = [e.group for e in choosing.events if e.kind is Happened.LAUNCHED]
    assert taken[:20] == ["often"] * 20
    assert {"seldom", "usual"} < set(taken)  # when none of those due is of the wanted group


# the books --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pacer", [Greedy(2), pacer_for("progressive")])
@pytest.mark.parametrize("name", ["stationary", "slow_pbx", "machines_detected"])
def test_every_call_comes_to_one_end_or_is_in_the_air(name: str, pacer: Pacer):
    ear = Ear(pacer)
    world = replace(shape(name), hours=1.0, warm_up_hours=0.0)
    (campaign,) = (of := day(world, ear)).campaigns

    ended, answered = ear.at(Happened.NO_ANSWER), ear.at(Happened.ANSWERED)
    talked, lost = ear.at(Happened.CONNECTED), ear.at(Happened.ABANDONED)
    in_the_air = len(ear.seen[-1].ringing)  # at the last tick, before its own launches
    last = max(ear.at(Happened.LAUNCHED).values())
    in_the_air += sum(at == last == world.seconds - 1 for at in ear.at(Happened.LAUNCHED).values())
    assert campaign.launched == ear.count(Happened.LAUNCHED) == len(answered) + len(ended) + in_the_air
    assert not answered.keys() & ended.keys()
    assert not talked.keys() & lost.keys()
    assert campaign.answered + campaign.by_mistake == len(answered)
    assert len(answered) == len(talked) + len(lost) + ear.seen[-1].waiting
    assert (campaign.abandoned_all, campaign.met_all + campaign.machines) == (len(lost), len(talked))
    assert campaign.given_up == 0
    assert of.launched == campaign.launched


def test_a_call_given_up_is_neither_answered_nor_unanswered():
    class Impatient(Greedy):
        def decide(self, now: datetime, snapshot: Snapshot) -> Pace:
            rung = zip(snapshot.ringing_calls, snapshot.ringing, strict=True)
            return Pace(1, "", give_up=tuple(call for call, for_s in rung if for_s >= 10))

    ear = Ear(Impatient())
    (campaign,) = day(replace(HOUR, warm_up_hours=0.0), ear).campaigns

    rung = ear.between(Happened.LAUNCHED, Happened.GIVEN_UP)
    assert campaign.given_up == len(rung) > 50
    assert set(rung.values()) == {15.0}  # never sooner than the law lets us, whatever the pacer wants
    assert not rung.keys() & (ear.at(Happened.ANSWERED).keys() | ear.at(Happened.NO_ANSWER).keys())


@pytest.mark.parametrize("name", ["stationary", "lunch", "shift_change", "short_list", "inbound", "shared_lines"])
def test_the_time_of_agents_adds_up(name: str):
    world = replace(shape(name, agents=6), connect=0.0)
    of = run_day(world, [pacer_for("progressive") for _ in world.campaigns], 1)

    assert of.worked > 0
    assert of.talked + of.wrapped + of.waited == pytest.approx(of.worked, abs=0.01)
    if name == "stationary":
        assert of.worked == pytest.approx(6 * world.hours * 3600, abs=6)


@pytest.mark.parametrize("name", ["stationary", "few_lines", "shared_lines", "slow_pbx"])
def test_lines_are_never_exceeded(name: str):
    world = replace(shape(name), hours=0.5, warm_up_hours=0.0)
    ears = [Ear(Greedy()) for _ in world.campaigns]
    run_day(world, ears, 1)

    in_use = most = 0
    for event in sorted((e for ear in ears for e in ear.events), key=lambda e: (e.at, e.kind is Happened.LAUNCHED)):
        in_use += (event.kind is Happened.LAUNCHED) - (event.kind in OVER)
        most = max(most, in_use)
    assert most == world.all_lines


@pytest.mark.parametrize(("late", "waited"), [(0.0, 2.0), (0.7, 1.3)])
def test_a_person_waits_two_seconds_from_the_answer_and_no_longer(late: float, waited: float):
    ear = Ear(Greedy(3))
    day(replace(HOUR, told_late=late), ear)

    lost, met = (ear.between(Happened.ANSWERED, kind) for kind in (Happened.ABANDONED, Happened.CONNECTED))
    assert len(lost) > 100
    assert set(lost.values()) == {waited}
    assert 0 < max(met.values()) <= waited
    assert min(met.values()) == 0


def test_the_agent_idle_longest_is_next():
    ear = Ear()
    day(HOUR, ear)

    free = [f"agent {n}" for n in range(1, HOUR.agents + 1)]
    for event in ear.events:
        if event.kind is Happened.CONNECTED:
            assert event.agent == free.pop(0)
        elif event.kind is Happened.READY:
            free.append(event.agent)
    assert len(ear.between(Happened.CONNECTED, Happened.TALK_END)) > 50


@pytest.mark.parametrize("agents", [1, 5, 30])
def test_one_call_per_agent_abandons_nobody_in_a_day_without_surprises(agents: int):
    of = day(World(agents=agents, hours=2.0))

    assert of.closing_rate == of.rate == 0
    assert 0.55 < of.utilisation < 0.75


def test_what_the_pacer_sees_is_what_is():
    ear = Ear(pacer_for("predictive"))
    world = replace(HOUR, agents=10)
    day(world, ear)

    assert all(len(seen.ringing) == len(seen.ringing_calls) for seen in ear.seen)
    assert {seen.team for seen in ear.seen} == {10}
    assert all(
        seen.free_lines == world.all_lines - len(seen.ringing) - len(seen.talking) - seen.waiting for seen in ear.seen
    )
    assert ear.seen[-1].budget.met == ear.count(Happened.CONNECTED)


def test_the_team_can_be_told_by_a_function():
    of = Centre(HOUR, [pacer_for("progressive")], 1, staffing=lambda at: 2 if at > 1800 else 6).run()

    assert (team_at(of, 0.25), team_at(of, 0.95)) == (6, 2)


# the shapes -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_makes_a_day_for_any_team(name: str):
    assert SHAPES[name].says.endswith(".")
    for agents, answers, talk in ((2, 0.5, 60.0), (12, 0.1, 180.0)):
        world = shape(name, agents=agents, answers=answers, talk=talk)
        short = replace(world, hours=0.25, warm_up_hours=min(0.25, world.warm_up_hours))
        of = run_day(short, [pacer_for("progressive") for _ in world.campaigns], 1)
        assert of.launched > 0
        assert 0 < of.utilisation < of.occupancy < 1


def test_an_unknown_shape_is_refused_by_name():
    with pytest.raises(NotFound, match=r"no day called 'dinner'; there are: stationary, cold_start"):
        shape("dinner")


def test_stationary_is_the_same_all_day():
    _, of, (ear,) = lived("stationary")

    assert all(ear.answered(hour, hour + 1) == pytest.approx(0.25, abs=0.05) for hour in range(5))
    assert {team_at(of, hour) for hour in range(5)} == {20}


def test_cold_start_counts_from_the_first_call():
    world, of, (ear,) = lived("cold_start")

    assert of.worked == pytest.approx(20 * world.seconds, abs=20)
    assert of.launched == ear.count(Happened.LAUNCHED)
    assert (of.campaigns[0].met, of.campaigns[0].abandoned) == (
        of.campaigns[0].met_all,
        of.campaigns[0].abandoned_all,
    )


def test_answer_steps_jump_four_times():
    _, _, (ear,) = lived("answer_steps")

    for begins, ends, rate in ((0, 1.5, 0.12), (1.5, 2.5, 0.5), (2.5, 3.5, 0.12), (3.5, 4.25, 0.5), (4.25, 5, 0.12)):
        assert ear.answered(begins, ends) == pytest.approx(rate, abs=0.04)


def test_answer_drift_falls_to_a_third():
    _, _, (ear,) = lived("answer_drift")

    rates = [ear.answered(hour, hour + 1) for hour in range(5)]
    assert rates == pytest.approx([0.327, 0.281, 0.235, 0.189, 0.143], abs=0.05)


def test_lunch_takes_fourteen_of_twenty_for_an_hour():
    _, of, (ear,) = lived("lunch")

    assert [team_at(of, hour) for hour in (1.99, 2.6, 2.99, 3.01)] == [20, 6, 6, 20]
    assert (ear.count(Happened.LOGOUT), ear.count(Happened.LOGIN)) == (14, 14)


def test_shift_change_begins_small_grows_and_shrinks():
    _, of, _ = lived("shift_change")

    assert [team_at(of, hour) for hour in (1.9, 2.01, 3.4, 4.2)] == [8, 20, 20, 12]


def test_short_list_is_used_up_while_the_day_lasts():
    world, of, (ear,) = lived("short_list")

    assert ear.count(Happened.LAUNCHED) == world.campaigns[0].contacts
    assert world.warm_up_hours * 3600 + 1800 < of.campaigns[0].finished_at < world.seconds - 1800


def test_few_lines_are_all_in_use_at_times():
    _, _, (few,) = lived("few_lines", hours=1.25, make=lambda: Greedy(1))
    _, _, (many,) = lived("stationary", hours=1.25, make=lambda: Greedy(1))

    assert max(len(seen.ringing) + len(seen.talking) for seen in few.seen) == 24
    assert max(len(seen.ringing) + len(seen.talking) for seen in many.seen) > 30


def test_a_slow_pbx_rings_late_and_tells_late():
    _, _, (ear,) = lived("slow_pbx", hours=1.5, make=lambda: Greedy(1))

    assert min(ear.between(Happened.LAUNCHED, Happened.NO_ANSWER).values()) >= 4.0  # 3 s, and 1 s to fail
    assert max(ear.between(Happened.LAUNCHED, Happened.NO_ANSWER).values()) == pytest.approx(25.7)
    assert set(ear.between(Happened.ANSWERED, Happened.ABANDONED).values()) == {1.3}


def test_machines_are_four_answers_of_ten_and_soon_over():
    _, of, (ear,) = lived("machines", hours=3)
    (campaign,) = of.campaigns

    assert campaign.machines / (campaign.machines + campaign.met_all) == pytest.approx(0.4, abs=0.05)
    talks = sorted(ear.between(Happened.CONNECTED, Happened.TALK_END).values())
    assert talks[len(talks) // 5] < 12  # 8 s on average
    assert of.talked == pytest.approx(campaign.talked)  # nobody talks with a machine


def test_a_detector_takes_most_machines_away_and_some_people():
    _, of, _ = lived("machines_detected")
    (campaign,) = of.campaigns

    assert campaign.machines / (campaign.machines + campaign.met_all) == pytest.approx(0.064, abs=0.03)
    people = campaign.met_all + campaign.by_mistake
    assert campaign.by_mistake / people == pytest.approx(0.02, abs=0.015)
    assert campaign.abandoned_all >= campaign.by_mistake > 0  # a person hung up on met nobody


def test_shared_agents_work_for_three_campaigns_by_weight():
    _, of, ears = lived("shared_agents")

    assert [ear.seen[0].share for ear in ears] == [0.25, 0.5, 0.25]
    assert [ear.answered() for ear in ears] == pytest.approx([0.12, 0.25, 0.5], abs=0.06)
    assert {ear.seen[600].team for ear in ears} == {20}
    assert any(ear.seen[-1].elsewhere for ear in ears)
    assert all(campaign.talked > 0 for campaign in of.campaigns)


def test_shared_lines_keep_two_teams_apart():
    world, _, (one, other) = lived("shared_lines", hours=1.5, make=lambda: Greedy(1))

    mine, theirs = ({e.agent for e in ear.events if e.kind is Happened.CONNECTED} for ear in (one, other))
    assert (len(mine), len(theirs)) == (10, 10)
    assert not mine & theirs
    assert min(seen.free_lines for seen in one.seen) == 0
    assert world.all_lines == 30


def test_inbound_keeps_a_quarter_of_the_team_busy_and_goes_first():
    _, of, (ear,) = lived("inbound", make=lambda: Greedy(1))
    (campaign,) = of.campaigns

    assert ear.count(Happened.INBOUND) == of.inbound > 200
    talked_inbound = of.talked - campaign.talked
    assert talked_inbound / of.worked == pytest.approx(0.22, abs=0.06)
    assert of.inbound_lost < 0.05 * of.inbound  # while every line is full of ours
    assert campaign.abandoned > 100


def test_unequal_contacts_answer_unequally_and_as_any_list_together():
    _, _, (ear,) = lived("unequal_contacts", hours=3)

    rates = [ear.answered(group=group) for group in ("seldom", "usual", "often")]
    assert rates == pytest.approx([0.1, 0.25, 0.6], abs=0.05)
    assert ear.count(Happened.ANSWERED) / ear.count(Happened.LAUNCHED) == pytest.approx(0.25, abs=0.02)
    assert sum(n for _, n in ear.seen[100].prospects) == 200
