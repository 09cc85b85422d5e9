"""Days of pacing in the virtual call centre: what all those moments add up to. Seeded; times are virtual."""

import pytest

from dialer.pacing import pacer_for
from dialer.simulation import Campaigning, Curve, Day, World, run_day
from dialer.simulation.world import steps


def answering(curve: Curve | float = 0.3, **world: object) -> World:
    """A world with a list that answers so."""
    chance = curve if isinstance(curve, Curve) else Curve.flat(curve)
    return World(campaigns=(Campaigning(answers=chance),), **world)  # type: ignore[arg-type]


def days(mode: str, world: World, seeds: range) -> list[Day]:
    return [run_day(world, [pacer_for(mode)], seed) for seed in seeds]


def told(days: list[Day]) -> str:
    """What to print of days that failed."""
    return "; ".join(
        f"seed {d.seed}: {d.utilisation:.3f}, close {d.closing_rate:.2%}, worst {worst(d):.2%}" for d in days
    )


def worst(day: Day) -> float:
    return max(campaign.worst for campaign in day.campaigns)


def pooled(days: list[Day]) -> float:
    """Of the windows from the first call on: those that the ceiling holds for."""
    calls = [campaign for day in days for campaign in day.campaigns]
    abandoned, met = sum(c.abandoned_all for c in calls), sum(c.met_all for c in calls)
    return abandoned / (abandoned + met)


def utilisation(days: list[Day]) -> float:
    return sum(day.utilisation for day in days) / len(days)


def test_twenty_agents_talk_much_more_and_the_ceiling_holds():
    world = answering(hours=2.0, warm_up_hours=0.75)
    predictive, progressive = days("predictive", world, range(2)), days("progressive", world, range(2))

    assert pooled(predictive) <= 0.03, told(predictive)
    assert all(day.closing_rate <= 0.03 for day in predictive), told(predictive)
    assert utilisation(predictive) > utilisation(progressive) + 0.08, (told(predictive), told(progressive))
    assert pooled(progressive) == 0.0, told(progressive)


@pytest.mark.parametrize("agents", [1, 3, 5])
def test_a_small_team_stays_under_the_ceiling(agents: int):
    (day,) = days("predictive", answering(agents=agents, hours=3.0), range(1))

    assert day.closing_rate <= 0.03, told([day])
    assert agents > 1 or day.closing_rate == 0, told([day])


def test_an_answer_rate_that_jumps_costs_the_calls_in_the_air_and_is_paid_back():
    jumps = steps((0, 0.12), (1, 0.5), (2, 0.12))

    for day in days("predictive", answering(jumps, hours=2.5, warm_up_hours=0.5), range(2, 4)):
        assert day.closing_rate <= 0.03, told([day])
        assert worst(day) <= 0.08, told([day])  # those ringing at the jump; at once after it one call per agent
        assert day.most_ringing < 100, told([day])


def test_agents_who_leave_for_lunch_take_their_calls_with_them():
    lunch = steps((0, 20), (1, 6), (1.5, 20))

    for day in days("predictive", answering(at_work=lunch, hours=1.5, warm_up_hours=0.5), range(2)):
        assert day.closing_rate <= 0.03, told([day])
        assert worst(day) <= 0.045, told([day])


def test_a_stricter_ceiling_is_kept_too():
    (day,) = days("predictive", answering(ceiling=0.01, hours=2.0), range(1, 2))

    assert 0 < day.closing_rate <= 0.01, told([day])
    assert worst(day) <= 0.01, told([day])  # 0.5 %; 1.4 % where the budget is taken for five times as large


def test_a_day_is_the_same_every_time_it_is_run():
    world = answering(agents=5, hours=0.25, warm_up_hours=0.25)

    assert days("predictive", world, range(1)) == days("predictive", world, range(1))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("agents", [1, 2, 3, 5, 10, 20, 50])
@pytest.mark.parametrize("chance", [0.12, 0.25, 0.5])
def test_ten_days_of_every_team_close_under_the_ceiling(agents: int, chance: float):
    for day in days("predictive", answering(chance, agents=agents), range(10)):
        assert day.closing_rate <= 0.03, told([day])
