"""How likely a call is answered: the level, jumps of it, groups and hours."""

import random

import pytest

from dialer.pacing.answers import Answers, Chance


def heard(answers: Answers, chance: random.Random, likely: float, number: int, **of: object) -> Answers:
    for _ in range(number):
        answers.observe(float(chance.random() < likely), **of)  # type: ignore[arg-type]
    return answers


def test_the_first_guess_is_three_in_ten():
    assert Answers().chance() == Answers().chance("of nobody yet") == pytest.approx(0.3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("likely", [0.05, 0.1, 0.5])
def test_the_level_is_learnt(seed: int, likely: float):
    answers = heard(Answers(), random.Random(seed), likely, 2000)

    assert answers.chance() == pytest.approx(likely, abs=0.035)
    assert answers.seen == 2000


def test_a_steady_list_is_not_mistaken_for_one_that_changes():
    answers, chance, far = Answers(), random.Random(8), 0
    heard(answers, chance, 0.3, 500)
    for _ in range(3000):
        heard(answers, chance, 0.3, 1)
        far += abs(answers.level - 0.3) > 0.08

    assert far < 60


@pytest.mark.parametrize(("before", "after"), [(0.1, 0.6), (0.6, 0.1)])
def test_a_jump_is_noticed_within_tens_of_calls(before: float, after: float):
    noticed = []
    for seed in range(9):
        chance = random.Random(seed)
        answers = heard(Answers(), chance, before, 1500)
        calls = 0
        while abs(answers.level - before) < 0.2:
            heard(answers, chance, after, 1)
            calls += 1
        noticed.append(calls)

    assert sorted(noticed)[4] <= 40
    assert max(noticed) <= 80


@pytest.mark.parametrize("seed", range(3))
def test_a_group_is_a_factor_and_stays_right_when_the_level_moves(seed: int):
    answers, chance = Answers(), random.Random(seed)
    for _ in range(1500):
        heard(answers, chance, 0.15, 1, group="third try")
        heard(answers, chance, 0.45, 1, group="first try")
    assert answers.chance("third try") == pytest.approx(0.15, abs=0.04)
    assert answers.chance("first try") == pytest.approx(0.45, abs=0.06)
    assert set(answers.groups()) == {"third try", "first try"}

    ratio = answers.chance("first try") / answers.chance("third try")
    for level in answers._levels:
        level.move(1.6)
    assert answers.chance("third try") == pytest.approx(0.24, abs=0.06)
    assert answers.chance("first try") / answers.chance("third try") == pytest.approx(ratio)


def test_the_level_counts_each_call_as_what_its_group_lets_expect():
    kept = []
    for seed in range(5):
        answers, chance = Answers(), random.Random(seed)
        for _ in range(1000):
            heard(answers, chance, 0.15, 1, group="third try")
            heard(answers, chance, 0.45, 1, group="first try")
        before = answers.chance("first try")
        heard(answers, chance, 0.15, 400, group="third try")  # only of those who seldom answer, as ever
        kept.append(answers.chance("first try") / before)

    assert sorted(kept)[2] == pytest.approx(1.0, abs=0.12)


def test_a_group_of_few_calls_is_near_the_level_still():
    answers = heard(Answers(), random.Random(4), 0.3, 1000)
    heard(answers, random.Random(4), 1.0, 3, group="new")

    assert answers.chance("new") < 0.45


@pytest.mark.parametrize("seed", range(3))
def test_on_the_third_day_the_level_moves_at_the_turn_of_the_hour(seed: int):
    answers, chance, turns = Answers(), random.Random(seed), []
    for _ in range(3):
        for hour, likely in ((9, 0.2), (10, 0.5)):
            before = answers.level
            answers.turn(hour)
            turns.append((before, answers.level))
            heard(answers, chance, likely, 400, hour=hour)
    _, first, *_, third_morning, third = turns

    assert first[1] == first[0]  # nobody knows on the first day
    assert third_morning == (pytest.approx(0.5, abs=0.1), pytest.approx(0.2, abs=0.1))
    assert third == (pytest.approx(0.2, abs=0.07), pytest.approx(0.5, abs=0.12))


def test_the_same_hour_told_again_moves_nothing():
    answers, chance = Answers(), random.Random(1)
    for hour, likely in ((9, 0.2), (10, 0.5)):
        answers.turn(hour)
        heard(answers, chance, likely, 400, hour=hour)
    before = answers.level
    answers.turn(10)

    assert answers.level == before


def test_it_is_the_surer_the_more_calls_it_saw():
    answers, chance = Answers(), random.Random(1)
    unsure = [answers.sd]
    for number in (30, 300, 3000):
        heard(answers, chance, 0.3, number)
        unsure.append(answers.sd)

    assert unsure == sorted(unsure, reverse=True)
    assert unsure[-1] < unsure[0] / 8


@pytest.mark.parametrize(("answered", "least", "most"), [(0.0, 0.01, 0.02), (1.0, 0.9, 0.99)])
def test_an_answer_is_never_impossible_and_never_certain(answered: float, least: float, most: float):
    answers = heard(Answers(), random.Random(0), answered, 3000, group="all")
    for level in answers._levels:
        level.move(3.0 if answered else 1e-3)

    assert least <= answers.chance("all") <= most


# What was learnt elsewhere -------------------------------------------------------------------------------


def expecting(**groups: Chance) -> Answers:
    answers = Answers()
    for group, chance in groups.items():
        answers.expect(group, chance)
    return answers


def test_what_is_expected_is_believed_before_the_first_call():
    answers = expecting(morning=Chance(0.15, 300.0), evening=Chance(0.45, 300.0))

    assert answers.chance("morning") == pytest.approx(0.15)
    assert answers.chance("evening") == pytest.approx(0.45)
    answers.face((("morning", 3), ("evening", 1)))
    assert answers.chance() == pytest.approx((3 * 0.15 + 0.45) / 4)


def test_at_the_turn_of_an_hour_only_what_today_differs_by_is_carried_over():
    kept = []
    for seed in range(15):
        answers = expecting(morning=Chance(0.2, 900.0), evening=Chance(0.5, 900.0))
        heard(answers, random.Random(seed), 0.26, 900, group="morning")  # 1.3 times what was expected
        kept.append((answers.chance("morning"), answers.chance("evening")))
    morning, evening = (sorted(chances)[7] for chances in zip(*kept, strict=True))

    assert morning == pytest.approx(0.26, abs=0.03)
    assert 0.52 < evening < 0.66  # part of the difference is believed of those in the morning alone


def test_what_is_expected_and_unsure_is_sooner_outweighed():
    kept = []
    for calls in (5.0, 500.0):
        answers = expecting(now=Chance(0.5, calls), other=Chance(0.2, 500.0))
        for n in range(30):
            heard(answers, random.Random(n), 0.2, 1, group="other")
            heard(answers, random.Random(n), 0.2, 1, group="now")
        kept.append(answers.chance("now"))

    assert kept[0] < kept[1] - 0.05


def test_another_expectation_begins_anew_and_the_same_told_again_changes_nothing():
    answers = heard(expecting(now=Chance(0.5, 20.0)), random.Random(2), 0.2, 200, group="now")
    before = answers.chance("now")
    answers.expect("now", Chance(0.5, 20.0))
    assert answers.chance("now") == before

    answers.expect("now", Chance(0.25, 20.0))
    assert answers._groups["now"].value == 1.0


@pytest.mark.parametrize("seed", range(3))
def test_a_night_without_calls_leaves_the_level_that_of_the_evening(seed: int):
    answers, chance = Answers(), random.Random(seed)
    for _ in range(3):
        for hour, likely in ((9, 0.2), (17, 0.5)):
            answers.turn(hour)
            if hour == 9:
                morning = answers.level
            heard(answers, chance, likely, 400, hour=hour)
        for night in (18, 19, 3, 8):
            before = answers.level
            answers.turn(night)
            assert answers.level == before

    assert morning == pytest.approx(0.2, abs=0.07)
