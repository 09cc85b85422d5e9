"""When people answer, as it is learnt, and who waits for a better hour."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from dialer.best_time_choice import Due, Outlook
from dialer.best_times import BestTimes, Seen, Who, hour_of_week, kind_of, part_of_week, weight, zone_of

FIXED, MOBILE = Who("1/1", "fixed"), Who("1/1", "mobile")
MONDAY_9 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)  # in Rome
ROME = "Europe/Rome"


def lived(chance: Callable[[Who, int], float], calls: int, *whom: Who, seed: int = 1) -> BestTimes:
    """Learn from so many calls, spread over the working hours of two weeks."""
    dice = random.Random(seed)
    seen: dict[tuple[Who, int], list[int]] = {}
    for n in range(calls):
        who, hour = whom[n % len(whom)], 24 * dice.randrange(5) + dice.randrange(9, 20)
        cell = seen.setdefault((who, hour), [0, 0])
        cell[0] += 1
        cell[1] += dice.random() < chance(who, hour)
    return BestTimes.learn(Seen(who, hour, n, yes) for (who, hour), (n, yes) in seen.items())


def offices_and_people(who: Who, hour: int) -> float:
    morning = hour % 24 < 13
    return (0.4 if morning else 0.1) if who.kind == "fixed" else (0.15 if morning else 0.35)


def test_nothing_is_known_before_the_first_call() -> None:
    times = BestTimes.learn([])
    assert times.chance(FIXED, 9) == times.chance(MOBILE, 100) == pytest.approx(0.3)
    assert times.sure(FIXED, 9).sd > 0.1


def test_each_kind_of_number_gets_its_own_hours_and_the_truth_is_within_reach() -> None:
    times = lived(offices_and_people, 6000, FIXED, MOBILE)
    for who in (FIXED, MOBILE):
        for hour in (10, 34, 17, 41):
            told = times.sure(who, hour)
            assert abs(told.value - offices_and_people(who, hour)) < max(0.06, 3 * told.sd), (who, hour, told)
    assert times.chance(FIXED, 10) > 2.5 * times.chance(FIXED, 17)
    assert times.chance(MOBILE, 17) > 1.6 * times.chance(MOBILE, 10)


def test_an_attempt_and_a_list_are_told_apart_and_a_new_list_is_like_the_others() -> None:
    lists = [Who(f"{n}/{attempt}", "mobile") for n in (1, 2) for attempt in (1, 2)]
    truth = {"1/1": 0.4, "1/2": 0.2, "2/1": 0.2, "2/2": 0.1}
    times = lived(lambda who, _: truth[who.group], 6000, *lists)
    for who in lists:
        assert times.chance(who, 10) == pytest.approx(truth[who.group], abs=0.05)
    new = [times.chance(Who(f"9/{attempt}", "mobile"), 10) for attempt in (1, 2)]
    assert new[0] == pytest.approx(2 * new[1], rel=0.25)


def test_where_the_hour_makes_no_odds_hardly_anything_is_seen_in_it() -> None:
    times = lived(lambda *_: 0.2, 6000, FIXED, MOBILE)
    chances = [
        times.chance(who, 24 * day + hour) for who in (FIXED, MOBILE) for day in range(5) for hour in range(9, 20)
    ]
    assert max(chances) / min(chances) < 1.8  # of 110 cells of some 55 calls: their own shares differ tenfold


def test_a_neighbour_tells_of_an_hour_nobody_tried() -> None:
    times = BestTimes.learn(Seen(FIXED, hour, 200, 90 if hour < 12 else 20) for hour in (9, 10, 15, 16))
    assert times.chance(FIXED, 11) > 1.4 * times.chance(FIXED, 17)
    assert times.chance(FIXED, 10 + 24) > 1.4 * times.chance(FIXED, 16 + 24)  # another working day


def test_what_was_learnt_is_written_down_and_read_again() -> None:
    times = lived(offices_and_people, 2000, FIXED, MOBILE)
    again = BestTimes.from_json(times.as_json())
    for hour in range(0, 168, 7):
        assert again.chance(FIXED, hour) == pytest.approx(times.chance(FIXED, hour), rel=0.01)
        assert again.sure(MOBILE, hour).sd == pytest.approx(times.sure(MOBILE, hour).sd, rel=0.01)
    assert BestTimes.from_json({"of": "another release"}) == BestTimes()


def test_hours_are_the_phones_own() -> None:
    assert hour_of_week(MONDAY_9, ROME) == 9
    assert hour_of_week(MONDAY_9, "America/New_York") == 3
    assert hour_of_week(datetime(2026, 3, 29, 1, 0, tzinfo=UTC), ROME) == 6 * 24 + 3  # clocks have just gone forward
    assert [part_of_week(hour) for hour in (9, 119, 120, 167)] == ["work 9", "work 23", "saturday 0", "sunday 23"]
    assert (zone_of("+390612345678", "UTC"), zone_of("4711", "Asia/Tokyo")) == (ROME, "Asia/Tokyo")
    assert [kind_of(n) for n in ("+390612345678", "+393401234567", "+12125551234", "x")] == [
        "fixed", "mobile", "other", "other",
    ]  # fmt: skip
    assert weight(timedelta(days=28)) == 0.5


# Who waits -----------------------------------------------------------------------------------------------


def office_hours(zone: str, at: datetime) -> bool:
    return 9 <= hour_of_week(at, zone) % 24 < 20


def outlook(times: BestTimes, at: datetime, is_open: Callable[[str, datetime], bool] = office_hours) -> Outlook:
    return Outlook(times, at, is_open)


TIMES = lived(offices_and_people, 8000, FIXED, MOBILE)
MORNING, EVENING = MONDAY_9 + timedelta(hours=1), MONDAY_9 + timedelta(hours=9)
PEOPLE = [Due(n, FIXED if n % 2 else MOBILE, ROME) for n in range(10)]


def test_whoevers_hour_it_is_comes_first_and_equals_as_they_came() -> None:
    assert [one.id for one in outlook(TIMES, MORNING).in_order(PEOPLE)] == [1, 3, 5, 7, 9, 0, 2, 4, 6, 8]
    assert [one.id for one in outlook(TIMES, EVENING).in_order(PEOPLE)] == [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]


def test_the_campaigns_order_stands_above_the_hour() -> None:
    people = [Due(1, FIXED, ROME, rank=1), Due(2, MOBILE, ROME, rank=0)]
    assert [one.id for one in outlook(TIMES, MORNING).in_order(people)] == [2, 1]


def test_who_has_a_much_better_hour_waits_for_the_first_such_hour() -> None:
    off = dict(outlook(TIMES, MORNING).put_off(PEOPLE, staying=5000, an_hour=100.0))
    assert sorted(off) == [0, 2, 4, 6, 8]
    assert {hour_of_week(at, ROME) for at in off.values()} <= set(range(13, 20))  # today's afternoon
    off = dict(outlook(TIMES, EVENING).put_off(PEOPLE, staying=5000, an_hour=100.0))
    assert sorted(off) == [1, 3, 5, 7, 9]
    assert {hour_of_week(at, ROME) for at in off.values()} <= set(range(24 + 9, 24 + 13))


@pytest.mark.parametrize(("staying", "an_hour", "most"), [(5000, 100.0, 5), (400, 100.0, 0), (5000, 2000.0, 0)])
def test_nobody_waits_unless_enough_others_stay_until_then(staying: int, an_hour: float, most: int) -> None:
    assert len(outlook(TIMES, MORNING).put_off(PEOPLE, staying=staying, an_hour=an_hour)) == most


def test_who_would_rather_wait_is_nobodys_reason_to_wait() -> None:
    """Nine in ten of those due have their hour in the evening: they are not enough for a morning without each other."""
    homes = [Due(n, FIXED if n == 0 else MOBILE, ROME) for n in range(10)]
    assert outlook(TIMES, MORNING).put_off(homes, staying=3000, an_hour=100.0) == []
    assert len(outlook(TIMES, MORNING).put_off(PEOPLE, staying=3000, an_hour=100.0)) == 5


def test_nobody_waits_whose_patience_is_over_nor_for_hours_in_which_nobody_may_be_called() -> None:
    impatient = [Due(n, MOBILE, ROME, patient=False) for n in range(3)]
    assert outlook(TIMES, MORNING).put_off(impatient, staying=5000, an_hour=1.0) == []
    mornings = outlook(TIMES, MORNING, lambda zone, at: 9 <= hour_of_week(at, zone) % 24 < 13)
    assert mornings.put_off(PEOPLE, staying=5000, an_hour=1.0) == []
    never = outlook(TIMES, MORNING, lambda *_: False)
    assert never.put_off(PEOPLE, staying=5000, an_hour=1.0) == []
    assert [one.id for one in never.in_order(PEOPLE)] == list(range(10))


def test_a_guess_is_no_reason_to_wait() -> None:
    few = lived(offices_and_people, 60, FIXED, MOBILE)
    flat = lived(lambda *_: 0.2, 8000, FIXED, MOBILE)
    for times in (BestTimes(), few, flat):
        for hour in range(10):
            at = MONDAY_9 + timedelta(hours=hour)
            assert outlook(times, at).put_off(PEOPLE, staying=5000, an_hour=1.0) == []
