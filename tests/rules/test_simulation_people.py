"""Who is called in the virtual world instead of people drawn from distributions: records, and lists with retries."""

import random
from dataclasses import replace
from heapq import heappop, heappush

import pytest

from dialer.calls import CallState
from dialer.caps import parse_all
from dialer.dispositions import BUILT_IN, Disposition
from dialer.pacing import Pace, Snapshot, pacer_for
from dialer.retries import RetryRules, Rule
from dialer.simulation import Campaigning, Curve, Day, World, run_day
from dialer.simulation.coming_back import ComingBack, Person, Spans
from dialer.simulation.draws import Fate
from dialer.simulation.figures import Figures, days_above, foreseen, quantile, together
from dialer.simulation.listed import EVIDENCE, Lessons, Listed, Truth, Waiting
from dialer.simulation.recorded import IN_ORDER, Recorded, Tried

ANSWERED = Fate(True, 5.0, False, 1.0, 60.0, 10.0)
MISSED = Fate(False, 20.0, False, 1.0, 60.0, 10.0)


class Greedy:
    """Asks for many calls, and keeps what it was shown."""

    def __init__(self) -> None:
        self.seen: list[Snapshot] = []

    def observe(self, event: object) -> None:
        pass

    def restore(self, events: object) -> None:
        pass

    def decide(self, now: object, snapshot: Snapshot) -> Pace:
        self.seen.append(snapshot)
        return Pace(snapshot.free - len(snapshot.ringing), "as many as agents are free")


def lived(
    people: object, *, agents: int = 2, hours: float = 1.0, seed: int = 0, **campaign: object
) -> tuple[Day, Greedy]:
    pacer = Greedy()
    shape = Campaigning(people=people, **campaign)  # type: ignore[arg-type]
    world = World(agents=agents, campaigns=(shape,), hours=hours, warm_up_hours=0.0)
    return run_day(world, [pacer], seed), pacer  # type: ignore[list-item]


def test_the_first_day_meets_the_recorded_calls_in_their_order_and_others_draw_them_anew() -> None:
    calls = tuple(Tried(10.0 * n, ANSWERED if n % 4 == 0 else MISSED) for n in range(400))
    people = Recorded(calls)(IN_ORDER)
    assert [people.call(0.0, None)[1] for _ in calls] == [call.fate for call in calls]
    others = [Recorded(calls)(seed) for seed in (1, 1, 2)]
    drawn = [[one.call(2000.0, None)[1].answers for _ in range(300)] for one in others]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sum(drawn[0]) / 300 == pytest.approx(0.25, abs=0.08)


def test_a_call_beyond_the_records_is_one_of_about_that_time() -> None:
    morning, evening = Fate(True, 1.0, False, 1.0, 1.0, 1.0), Fate(True, 2.0, False, 1.0, 1.0, 1.0)
    people = Recorded(tuple(Tried(float(n), morning if n < 500 else evening) for n in range(1000)), near=100)(7)
    assert {people.call(100.0, None)[1].rings for _ in range(50)} == {1.0}
    assert {people.call(990.0, None)[1].rings for _ in range(50)} == {2.0}


def test_no_calls_at_all_are_no_day() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Recorded(())(1)


def test_the_world_lives_through_recorded_people_and_parks_the_agents_again() -> None:
    calls = (Tried(0.0, Fate(True, 5.0, False, 1.0, 60.0, 10.0, parks=4.0)),)
    day, pacer = lived(Recorded(calls), agents=1)
    assert day.campaigns[0].abandoned_all == 0
    # One call after the other: talk, wrap-up, then the next rings for 5 s while the agent is parked within 4.
    assert day.campaigns[0].met_all == pytest.approx(3600 / 75.5, abs=1)
    assert day.talked == pytest.approx(day.campaigns[0].met * 60, rel=0.03)
    assert any(snapshot.idle == 1 for snapshot in pacer.seen)


def test_what_the_window_spent_before_the_day_is_in_the_budget_and_not_in_the_figures() -> None:
    day, pacer = lived(Recorded((Tried(0.0, MISSED),)), spent=(7, 93, 0))
    assert (pacer.seen[0].budget.abandoned, pacer.seen[0].budget.met) == (7, 93)
    assert day.campaigns[0].abandoned_all == 0


def test_nobody_is_called_while_the_campaign_may_not_dial() -> None:
    shut = Curve(((0.0, 1.0), (600.0, 0.0), (3000.0, 1.0)))
    _, pacer = lived(Recorded((Tried(0.0, MISSED),)), dials=shut)
    assert len(pacer.seen) == 1200


# Lists -----------------------------------------------------------------------------------------------------

TEN_MINUTES = ComingBack(RetryRules(delay=600.0), begins=World().begins)
HISTORY = Lessons(
    answered={"7/1": (100, 300)}, rings=(10.0,) * 50, missed=((20.0, "no_answer"),) * 50, talks=(60.0,) * 50,
    wrap_ups=(10.0,) * 50,
)  # fmt: skip


def test_a_list_ends_when_everybody_was_reached_or_tried_often_enough() -> None:
    listed = Listed((Waiting("7", 0, 100),), HISTORY, TEN_MINUTES)
    day, _ = lived(listed, agents=10, hours=4.0)
    (campaign,) = day.campaigns
    assert campaign.finished_at is not None
    assert campaign.finished_at > 2 * 600
    assert 100 < campaign.launched <= 300
    assert campaign.met_all + campaign.abandoned_all < 100


def test_the_pacer_is_shown_who_is_due_by_list_and_attempt_and_each_try_is_one() -> None:
    people = Listed((Waiting("7", 0, 2), Waiting("8", 1, 1), Waiting("8", 0, 5, due=60.0)), HISTORY, TEN_MINUTES)(3)
    assert people.due(0.0) == [("7/1", 2), ("8/2", 1)]
    assert people.call(0.0, "8/2")[0] == "8/2"
    assert people.call(0.0, "8/2")[0] == "7/1"  # nobody is left in the wanted group
    assert ("8/1", 5) in people.due(60.0)
    assert people.left >= 6


def test_a_contact_that_was_not_reached_comes_back_after_the_wait_and_not_for_ever() -> None:
    never = Lessons(answered={"7/1": (0, 100_000)}, missed=((20.0, "no_answer"),) * 50)
    people = Listed((Waiting("7", 0, 1),), never, replace(TEN_MINUTES, max_attempts=2))(1)
    people.due(0.0)
    assert people.call(0.0, None)[0] == "7/1"
    assert (people.due(619.0), people.due(620.0)) == ([], [("7/2", 1)])
    people.call(620.0, None)
    assert people.used_up


def test_how_likely_an_answer_is_differs_from_day_to_day_as_far_as_the_history_leaves_it_open() -> None:
    def spread(lessons: Lessons) -> float:
        drawn = [Truth(lessons, random.Random(n)).answer_chance("7/1") for n in range(300)]
        return quantile(drawn, 0.9) - quantile(drawn, 0.1)

    nothing, some, much = (Lessons({"7/1": (n, 3 * n)}) for n in (0, 25, 25_000))
    assert spread(nothing) > 2 * spread(some) > 2 * spread(much) > 0
    # However long the history, it is worth no more than so many calls.
    assert spread(much) == pytest.approx(2.56 * (0.25 * 0.75 / EVIDENCE) ** 0.5, rel=0.25)


def test_without_a_history_the_lengths_are_guesses_and_so_are_their_means() -> None:
    means = []
    for seed in range(40):
        truth = Truth(Lessons(), random.Random(seed))
        fates = [truth.fate("", random.Random(n))[0] for n in range(200)]
        means.append(sum(fate.talk for fate in fates) / 200)
    assert quantile(means, 0.9) > 1.8 * quantile(means, 0.1)


# Coming back -----------------------------------------------------------------------------------------------

HOUR, DAY = 3600.0, 86_400.0
OFFICE = Spans(tuple(n * DAY for n in range(60)), tuple(n * DAY + 8 * HOUR for n in range(60)))


def back(end: str, at: float = 100.0, *, person: Person | None = None, **rules: object) -> float | None:
    person = person or Person("7", 0)
    person.calls.append((person.number, at))
    return ComingBack(begins=World().begins, **rules).next(person, end, at)  # type: ignore[arg-type]


def test_each_end_comes_back_by_its_own_rule_and_what_is_over_does_not() -> None:
    rules = RetryRules.of(3600.0, by_end={"hung_up": Rule(delay=60.0), "no_answer": Rule(delay=7200.0)})
    waits = [back(end, rules=rules) for end in ("busy", "no_answer", "hung_up", "abandoned", "completed")]
    assert waits == [100.0 + 600, 100.0 + 7200, 100.0 + 60, 100.0 + 72 * HOUR, None]
    assert back("no_answer", person=Person("7", 2), max_attempts=3) is None


def test_what_never_rang_costs_no_attempt() -> None:
    assert back("no_lines", person=Person("7", 2), max_attempts=3) is not None


def test_the_next_number_comes_first_and_a_number_that_is_used_up_no_more() -> None:
    rules = RetryRules.of(3600.0, by_end={"no_answer": Rule(most=2, next_number=True)})
    person, told = Person("7", 0, numbers=2), []
    at: float | None = 0.0
    while at is not None:
        told.append((person.number, at))
        person.calls.append((person.number, at))
        at = ComingBack(rules, max_attempts=9, begins=World().begins).next(person, "no_answer", at)
    assert told == [(0, 0.0), (1, 60.0), (0, 3660.0), (1, 3720.0)]


def test_closed_hours_the_gap_and_caps_move_it_on_and_after_the_last_hour_it_never_comes() -> None:
    assert back("no_answer", 7.5 * HOUR, spans=OFFICE) == DAY
    assert back("no_answer", 100.0, gap=5 * HOUR) == 100.0 + 5 * HOUR
    assert back("no_answer", 100.0, caps=parse_all("1/day")) == 15 * HOUR  # it is nine: the next day begins at midnight
    assert back("no_answer", 100.0, caps=parse_all("1/7d"), spans=OFFICE) == 7 * DAY + 100.0
    assert back("no_answer", 59 * DAY + 7.5 * HOUR, spans=OFFICE) is None


def test_an_agents_word_closes_a_contact_or_brings_it_back() -> None:
    words = {one.code: one for one in (*BUILT_IN, Disposition("later", "Later", "human", "retry", Rule(delay=900.0)))}
    told = [back(f"said:{code}", words=words) for code in ("sale", "dnc", "later", "unknown")]
    assert told == [None, None, 1000.0, None]
    asked = {"asked": Disposition("asked", "Asked", "callback", "callback")}
    assert back("said:asked", words=asked) == 100.0 + DAY


def test_who_is_given_up_or_abandoned_comes_back_though_they_would_have_talked() -> None:
    always = Lessons(answered={"7/1": (100_000, 0)}, rings=(10.0,) * 50, talks=(60.0,) * 50)
    for end, comes in ((CallState.ABANDONED, 10.0 + 72 * HOUR), (CallState.NO_ANSWER, 10.0 + 600)):
        people = Listed((Waiting("7", 0, 1),), always, TEN_MINUTES)(3)
        people.due(0.0)
        _, fate = people.call(0.0, None)
        assert fate.answers
        assert people.used_up
        people.ended(fate, end, 10.0)
        assert not people.used_up
        assert (people.due(comes - 1), people.due(comes)) == ([], [("7/2", 1)])


@pytest.mark.timeout(600)
def test_the_end_of_a_list_falls_into_the_range_as_often_as_is_said() -> None:
    """Eight of ten: the list is really called by a loop of its own, by the chance that the forecast has to guess."""
    hits, early, trials = 0, 0, 24
    for trial in range(trials):
        chance = random.Random(f"{trial} truth")
        likely = chance.betavariate(4.0, 12.0)
        seen = sum(chance.random() < likely for _ in range(120))
        lessons = Lessons({"7/1": (seen, 120 - seen)}, missed=((20.0, "no_answer"),) * 50, rings=(10.0,) * 50)
        rules = ComingBack(RetryRules.of(2 * HOUR), 4, spans=OFFICE, begins=World().begins)
        listed = Listed((Waiting("7", 0, 60),), lessons, rules)
        told = sorted(one for seed in range(20) if (one := listed(seed).live_on(0.0, 1 / 800, 0.0)) is not None)
        low, high = foreseen(told, 0.1), foreseen(told, 0.9)
        came = really(60, likely, 800.0, random.Random(f"{trial} luck"))
        hits += low <= came <= high
        early += came < low
    assert 0.6 * trials <= hits <= 0.95 * trials, hits
    assert early < 0.3 * trials


def really(contacts: int, likely: float, every: float, chance: random.Random) -> float:
    """Call a list to its end: a call in so many seconds of the hours, four tries two hours apart, whoever is due."""
    due = [(0.0, n, 0) for n in range(contacts)]
    now, last, order = 0.0, 0.0, contacts
    while due:
        if now % DAY >= 8 * HOUR:
            now = (now // DAY + 1) * DAY
        at, _, tried = due[0]
        if at > now:
            now = at
            continue
        heappop(due)
        last = now
        if chance.random() >= likely and tried < 3:
            order += 1
            heappush(due, (now + 20.0 + 2 * HOUR, order, tried + 1))
        now += every
    return last


def test_a_long_list_is_lived_on_with_a_part_of_it_and_ends_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    made = Listed((Waiting("7", 0, 600),), HISTORY, TEN_MINUTES)
    monkeypatch.setattr("dialer.simulation.listed.LIVED_ON", 10**9)
    whole = [made(seed).live_on(0.0, 0.05, 0.0) or 0.0 for seed in range(6)]
    monkeypatch.setattr("dialer.simulation.listed.LIVED_ON", 500)
    part = [made(seed).live_on(0.0, 0.05, 0.0) or 0.0 for seed in range(6)]
    assert sum(part) == pytest.approx(sum(whole), rel=0.05)


# Figures ---------------------------------------------------------------------------------------------------


def test_the_figures_of_a_day_are_those_of_its_calls_and_its_agents_time() -> None:
    world = World(agents=5, hours=1.0, warm_up_hours=0.5)
    day = run_day(world, [pacer_for("progressive")], 4)
    told = Figures.of_day(day, world.hours * 3600)
    assert (told.utilisation, told.occupancy) == (day.utilisation, day.occupancy)
    assert told.agents == pytest.approx(5.0, rel=1e-3)
    assert told.calls_per_agent_hour == pytest.approx(day.launched / 5, rel=1e-3)
    assert told.mean_wait == pytest.approx((day.worked - day.talked - day.wrapped) / day.campaigns[0].met)
    assert days_above([day], 1.0) == 0


def test_days_are_put_together_with_the_rate_of_all_their_calls() -> None:
    one = Figures.of(talked=50, wrapped=10, worked=100, calls=10, answered=4, met=3, abandoned=1)
    none = Figures.of(talked=0, wrapped=0, worked=0, calls=0, answered=0, met=0, abandoned=0)
    both = together([one, none])
    assert (both.utilisation, both.calls, both.abandonment) == (0.5, 5, 0.25)
    assert (none.utilisation, none.mean_wait, none.as_json()["calls"]) == (None, None, 0)


def test_who_answers_in_a_forecast_is_a_machine_as_often_as_agents_said() -> None:
    lessons = Lessons(answered={"7/1": (1000, 1000)}, talks=(100.0,) * 60, machines=(8.0,) * 40)
    truth, chance = Truth(lessons, random.Random(1)), random.Random(2)
    drawn = [fate for fate, _ in (truth.fate("7/1", chance) for _ in range(2000))]
    assert 700 < sum(fate.machine for fate in drawn) < 900
    assert {(fate.machine, fate.talk) for fate in drawn} == {(True, 8.0), (False, 100.0)}
