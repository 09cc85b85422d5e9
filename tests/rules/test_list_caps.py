"""How far a list is to be worked: reading caps, and what is left under them."""

from datetime import UTC, datetime, timedelta

import pytest

from dialer.errors import BadInput
from dialer.list_caps import ListCap, Standing

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TONIGHT = NOW + timedelta(hours=14)


def standing(cap: str, today: str = "", *, contacts: int = 200, tried: int = 0, of_today: int = 0) -> Standing:
    return Standing.of((1, "spring", cap, today, contacts, tried, of_today, TONIGHT), NOW)


@pytest.mark.parametrize(
    ("written", "kept", "of_200"),
    [("60%", "60%", 120), ("12.5 %", "12.5%", 25), ("500", "500", 500), ("0", "0", 0), ("0%", "0%", 0),
     ("100%", "100%", 200)],
)  # fmt: skip
def test_a_cap_is_a_share_or_a_number(written: str, kept: str, of_200: int) -> None:
    cap = ListCap.parse(written)
    assert cap is not None
    assert (str(cap), cap.most(200)) == (kept, of_200)
    assert ListCap.parse(str(cap)) == cap


@pytest.mark.parametrize("share", range(1, 101))
def test_a_share_of_a_hundred_is_that_many_and_never_one_fewer(share: int) -> None:
    cap = ListCap.parse(f"{share}%")
    assert cap is not None
    assert (cap.most(100), cap.most(10_000_000)) == (share, share * 100_000)


def test_a_share_is_never_exceeded_and_never_nobody_but_at_nothing() -> None:
    cap = ListCap.parse("60%")
    assert cap is not None
    assert [cap.most(contacts) for contacts in (1, 2, 3, 4, 5)] == [1, 1, 1, 2, 3]


@pytest.mark.parametrize("wrong", ["101%", "-1", "half", "1/day", "60 percent", "1e3", "9999999999", "٣%"])
def test_what_is_no_cap_says_how_one_is_written(wrong: str) -> None:
    with pytest.raises(BadInput, match="list cap"):
        ListCap.parse(wrong)


def test_the_smaller_room_counts_and_tells_when_there_is_more() -> None:
    assert standing("").room is None
    assert standing("60%", tried=119).room == 1
    assert standing("60%", "10", tried=50, of_today=4).room == 6
    today = standing("60%", "10", tried=50, of_today=10)
    assert (today.full, today.until) == (True, TONIGHT)
    over = standing("60%", "10", tried=120, of_today=10)
    assert (over.full, over.until) == (True, None), "a new day changes nothing where the whole list is at its cap"
    said = today.verdict()
    assert (said.allowed, said.rule, said.until) == (False, "list_cap", TONIGHT)
    assert said.why == (
        "list spring is at its cap: 50 of its 200 contacts were tried, the cap is 60% (120); "
        "10 for the first time today, the cap is 10; it goes on at 2026-03-02 23:00 UTC"
    )


def test_the_count_of_another_day_is_nothing() -> None:
    row = (1, "spring", "", "10", 200, 50, 10, NOW)
    assert Standing.of(row, NOW).room == 10
    assert Standing.of(row, NOW - timedelta(seconds=1)).room == 0


def test_whoever_is_let_through_this_moment_takes_room() -> None:
    few = standing("50", tried=48)
    assert [few.verdict(taken).allowed for taken in (0, 1, 2, 3)] == [True, True, False, False]
