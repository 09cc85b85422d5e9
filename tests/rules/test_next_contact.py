"""Which contact next, and who is wanted: rules on values alone."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.contact_filter import Past, from_json, parse, verdict, wanted
from dialer.errors import BadInput
from dialer.next_contact import Lane, mixed, parse_order, rank

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def lane(list_id: int = 1, priority: int = 0, tried: int = 0, days: int = 0) -> Lane:
    return Lane(list_id, priority, tried, NOW - timedelta(days=days))


@pytest.mark.parametrize(
    ("order", "first", "second"),
    [
        ("priority", lane(priority=-1), lane(priority=0, days=-9)),
        ("freshest", lane(days=1), lane(days=2)),
        ("oldest", lane(days=2), lane(days=1)),
        ("fewest", lane(tried=0), lane(tried=1)),
        ("most", lane(tried=3), lane(tried=1)),
        ("priority,fewest", lane(priority=1, tried=0), lane(priority=1, tried=1)),
        ("fewest,priority", lane(priority=9, tried=0), lane(priority=1, tried=1)),
    ],
)
def test_each_order_puts_the_first_lane_first(order: str, first: Lane, second: Lane) -> None:
    words = parse_order(order)
    assert rank(first, words) < rank(second, words)


def test_lanes_no_word_tells_apart_stand_together() -> None:
    assert rank(lane(1, 5, 2, 3), parse_order("due")) == rank(lane(2, 1, 0, 9), parse_order("")) == ()


@pytest.mark.parametrize("order", ["newest", "priority,priority", "freshest,oldest", "most,fewest", "due,priority"])
def test_an_order_that_means_nothing_is_refused(order: str) -> None:
    with pytest.raises(BadInput, match=r"order"):
        parse_order(order)


def test_a_mix_holds_over_many_small_ticks() -> None:
    """Two calls a tick for 500 ticks, from the calls made so far: 70 and 30 of each hundred."""
    queues = {"a": range(10_000), "b": range(10_000)}
    recent = {"a": 0, "b": 0}
    for _ in range(500):
        for name in mixed({key: [key] * 10 for key in queues}, {"a": 0.7, "b": 0.3}, recent, 2):
            recent[name] += 1
    assert recent == {"a": 700, "b": 300}


@given(
    st.dictionaries(st.integers(1, 5), st.integers(0, 30), min_size=1),
    st.dictionaries(st.integers(1, 5), st.floats(0.01, 1)),
    st.dictionaries(st.integers(1, 5), st.integers(0, 200)),
    st.integers(0, 60),
)
def test_a_mix_takes_each_contact_once_in_its_lists_order_and_leaves_nobody_idle(
    sizes: dict[int, int], shares: dict[int, float], recent: dict[int, int], most: int
) -> None:
    queues = {name: [(name, at) for at in range(size)] for name, size in sizes.items()}
    taken = mixed(queues, shares, recent, most)
    assert len(taken) == min(most, sum(sizes.values()))
    for name in queues:
        ours = [one for one in taken if one[0] == name]
        assert ours == queues[name][: len(ours)]
    without = [at for at, one in enumerate(taken) if one[0] not in shares]
    if without:  # nobody without a share comes before somebody with one
        assert without == list(range(without[0], len(taken)))


# Filters ----------------------------------------------------------------------------------------------------

ADA = {
    "first_name": "Ada",
    "phone": "+390612345600",
    "city": "Roma",
    "age": "30",
    "since": "2024-05-01",
    "spent": "12,5",
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        ("city=roma", True), ("city=Milano,Roma", True), ("city=Milano", False), ("city!=Roma", False),
        ("city!=Milano", True), ("town=", True), ("city=", False), ("city~om", True), ("city~", True),
        ("phone^=+3906", True), ("phone^=+3902,+39", True), ("age>=30", True), ("age>30", False), ("age<9", False),
        ("age=30.0", True), ("spent<12.6", True), ("since>=2024-05-01", True), ("since<2024-01-01", False),
        ("city>5", False), ("city<5", False), ("since>5", False), ("age > 29", True), ("first_name = ADA", True),
    ],
)  # fmt: skip
def test_each_comparison_by_hand(condition: str, holds: bool) -> None:
    assert wanted([parse(condition)], ADA) is holds


def test_all_conditions_must_hold() -> None:
    assert wanted([parse("city=Roma"), parse("age>18")], ADA)
    assert not wanted([parse("city=Roma"), parse("age>40")], ADA)
    assert wanted([], ADA)


@pytest.mark.parametrize(
    "text", ["city", "=Roma", "age<old", "age<1,2", "attempts=few", "days_since_call>", "a=" + "x" * 201]
)
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)


@pytest.mark.parametrize(
    ("condition", "past", "until"),
    [
        ("attempts<1", Past(1, "busy", NOW), NOW + timedelta(hours=1)),
        ("last_outcome=busy,no_answer", Past(1, "rejected", NOW), NOW + timedelta(hours=1)),
        ("days_since_call>=7", Past(1, "busy", NOW - timedelta(days=5)), NOW + timedelta(days=2)),
        ("days_since_call<1", Past(), NOW + timedelta(hours=1)),
    ],
)
def test_history_says_when_to_ask_again(condition: str, past: Past, until: datetime) -> None:
    found = verdict([parse(condition)], ADA, past, NOW)
    assert (found.allowed, found.rule, found.until) == (False, "filter", until)


@pytest.mark.parametrize(
    ("condition", "past"),
    [
        ("attempts<1", Past()), ("last_outcome=busy", Past(3, "busy", NOW)), ("last_outcome=", Past()),
        ("days_since_call>=7", Past(1, "busy", NOW - timedelta(days=7))), ("days_since_call>=7", Past()),
    ],
)  # fmt: skip
def test_history_that_meets_the_filter(condition: str, past: Past) -> None:
    assert verdict([parse(condition)], ADA, past, NOW).allowed


def test_a_contact_that_is_not_wanted_is_not_asked_about_again() -> None:
    found = verdict([parse("city=Milano")], ADA, Past(), NOW)
    assert (found.allowed, found.until) == (False, None)


@given(st.text(min_size=1, max_size=40), st.text(max_size=40))
def test_anything_typed_is_a_condition_or_a_clear_no(left: str, right: str) -> None:
    try:
        one = parse(f"{left}={right}")
    except BadInput:
        return
    assert from_json([one.as_json()]) == (one,)
    wanted([one], ADA)
