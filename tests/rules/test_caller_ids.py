"""Which caller id is shown, and which one rests."""

import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.caller_id_rests import Stratum, behind
from dialer.caller_ids import ALIKE_FROM, CallerId, Pool

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
ROME, MILAN, PARIS, NEW_YORK, TORONTO = "+390612345678", "+390287654321", "+33142345678", "+12125551234", "+14165551234"
TO_ROME, TO_MILAN, TO_FLORENCE, TO_PARIS = "+390698765432", "+390212345678", "+390551234567", "+33198765432"
TO_MOBILE, TO_NEW_YORK, TO_TORONTO = "+393401234567", "+12127654321", "+14167654321"


def pool(*numbers: str, **used: int) -> Pool:
    return Pool([CallerId(number, used.get(f"n{at}", 0)) for at, number in enumerate(numbers)])


@pytest.mark.parametrize(
    ("to", "shown"),
    [
        (TO_ROME, ROME),
        (TO_MILAN, MILAN),
        (TO_PARIS, PARIS),
        (TO_NEW_YORK, NEW_YORK),
        (TO_TORONTO, TORONTO),  # the same country code, another country
        ("+18005551234", NEW_YORK),  # toll-free, American: nowhere in particular, and not Toronto
    ],
)
def test_the_number_at_home_where_the_phone_is_comes_first(to: str, shown: str) -> None:
    assert pool(ROME, MILAN, PARIS, NEW_YORK, TORONTO, n0=0, n1=0, n2=9, n3=9, n4=0).take(to) == shown


def test_without_one_at_home_the_least_used_of_the_country_is_shown_then_the_least_used_of_all() -> None:
    assert pool(ROME, MILAN, PARIS, n0=7, n1=5, n2=0).take(TO_MOBILE) == MILAN
    # Florence is 055: Milan's 02 and Rome's 06 share the leading zero and nothing else.
    assert pool(ROME, MILAN, PARIS, n0=4, n1=5, n2=0).take(TO_FLORENCE) == ROME
    assert pool(ROME, MILAN, PARIS, n0=7, n1=5, n2=9).take(TO_NEW_YORK) == MILAN


def test_the_last_digits_are_no_neighbourhood() -> None:
    near, far = "+390698765431", "+390610000000"
    assert pool(near, far, n0=3, n1=2).take(TO_ROME) == far


def test_a_number_no_plan_knows_is_shown_where_nothing_else_fits() -> None:
    assert pool("4711", ROME, n0=0, n1=9).take(TO_MILAN) == ROME
    assert pool("4711", PARIS, n0=0, n1=9).take(TO_MILAN) == "4711"
    assert pool("4711").take(TO_MILAN) == "4711"


def test_a_cap_is_never_passed_and_the_next_nearest_takes_over() -> None:
    few = Pool([CallerId(ROME, 0, None, 2), CallerId(MILAN, 50, None, 1)])
    assert few.left == 3
    assert [few.take(TO_ROME) for _ in range(3)] == [ROME, ROME, MILAN]
    assert few.left == 0
    with pytest.raises(LookupError):
        few.take(TO_ROME)
    assert Pool([CallerId(ROME, 0, None, 2), CallerId(MILAN)]).left is None
    assert Pool([]).left == 0


@given(st.lists(st.integers(0, 300), min_size=2, max_size=8), st.integers(1, 200))
def test_a_batch_evens_out_what_was_used(used: list[int], calls: int) -> None:
    numbers = [f"+39061234{at:04d}" for at in range(len(used))]
    of = Pool([CallerId(number, one, NOW - timedelta(minutes=one)) for number, one in zip(numbers, used, strict=True)])
    took = Counter(of.take(TO_MOBILE) for _ in range(calls))
    assert took.total() == calls
    after = [min(ALIKE_FROM, one) + took[number] for number, one in zip(numbers, used, strict=True)]
    for number, one in zip(numbers, after, strict=True):
        if took[number]:  # nobody who was shown was ahead of another by more than one call
            assert one - 1 <= min(after)


def test_busy_ones_take_turns_the_longest_unseen_first() -> None:
    a, b, c = (f"+3906123456{n}0" for n in (1, 2, 3))
    of = Pool([CallerId(one, 900, NOW - timedelta(minutes=m)) for one, m in ((a, 1), (b, 9), (c, 5))])
    assert [of.take(TO_MOBILE) for _ in range(6)] == [b, c, a, b, c, a]


# Rests ---------------------------------------------------------------------------------------------------


def test_one_far_below_its_peers_is_behind_and_says_by_how_much() -> None:
    found = behind([Stratum(200, 12, 1800, 360)])
    assert found is not None
    assert (round(found.share, 3), round(found.expected, 3)) == (0.06, 0.2)
    assert str(found) == "answered 6.0% where its peers let 20.0% be expected"


@pytest.mark.parametrize(
    ("strata", "why"),
    [
        ([Stratum(20, 0, 1800, 360)], "four answers were expected: twenty calls say little"),
        ([Stratum(2000, 320, 18000, 3600)], "16 % against 20 %: sure, and no reason"),
        ([Stratum(200, 12, 0, 0)], "nobody else calls there"),
        ([Stratum(500, 10, 1, 1), Stratum(500, 10, 1, 1)], "two lucky calls of its peers are no measure"),
        ([], "nothing is known"),
    ],
)
def test_chance_is_no_reason_to_rest(strata: list[Stratum], why: str) -> None:
    assert behind(strata) is None, why


def test_a_hard_list_in_a_bad_hour_is_not_the_caller_ids_fault() -> None:
    """Alone it looks four times worse; hour by hour it is exactly like the others."""
    evening, noon = Stratum(20, 8, 400, 160), Stratum(400, 20, 20, 1)
    assert behind([Stratum(420, 28, 420, 161)]) is not None
    assert behind([evening, noon]) is None


def test_equal_caller_ids_are_almost_never_rested() -> None:
    """Twenty of them, ten days, asked twelve times an hour about the last day: 20 x 2,880 questions."""
    dice = random.Random(11)
    hours = 24 * 10
    rested, asked = set(), 0
    calls = [[(20, sum(dice.random() < 0.2 for _ in range(20))) for _ in range(20)] for _ in range(hours)]
    for last in range(24, hours):
        window = calls[last - 24 : last]
        sums = [(sum(n for n, _ in hour), sum(y for _, y in hour)) for hour in window]
        for one in range(20):
            asked += 1
            strata = [
                Stratum(hour[one][0], hour[one][1], n - hour[one][0], y - hour[one][1])
                for hour, (n, y) in zip(window, sums, strict=True)
            ]
            if behind(strata) is not None:
                rested.add((one, last // 24))
    assert len(rested) <= 1, f"{len(rested)} of 180 days of caller ids, {asked} questions"


def test_one_that_phones_mark_is_found_within_a_few_hours() -> None:
    dice = random.Random(5)
    strata: list[Stratum] = []
    while behind(strata) is None and len(strata) < 24:
        mine = sum(dice.random() < 0.08 for _ in range(20))
        others = sum(dice.random() < 0.2 for _ in range(380))
        strata.append(Stratum(20, mine, 380, others))
    assert len(strata) <= 12
