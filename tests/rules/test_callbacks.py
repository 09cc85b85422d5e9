"""What a promise is bound to, and what became of it: values in, values out."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer import callbacks
from dialer.callbacks import Due, Result

DUE = datetime(2026, 3, 3, 8, tzinfo=UTC)
DEADLINE = DUE + timedelta(hours=3)
LEAD = timedelta(minutes=15)
A_SECOND = timedelta(seconds=1)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (DUE - A_SECOND, Due.LATER),
        (DUE, Due.NOW),
        (DEADLINE - A_SECOND, Due.NOW),
        (DEADLINE, Due.OVER),
    ],
)
def test_a_callback_is_later_then_now_then_over(now: datetime, state: Due) -> None:
    assert callbacks.due_state(now, DUE, DEADLINE) is state


@given(st.integers(1, 86_400), st.integers(0, 86_400))
def test_the_alarm_always_comes_before_it_breaks_and_never_before_it_is_due(length: int, lead: int) -> None:
    deadline = DUE + timedelta(seconds=length)
    alarm = callbacks.alarm_at(DUE, deadline, timedelta(seconds=lead))
    assert DUE <= alarm <= deadline
    if lead:
        assert alarm < deadline
    assert alarm >= deadline - timedelta(seconds=lead)


def test_half_of_a_short_period_passes_before_the_alarm() -> None:
    assert callbacks.alarm_at(DUE, DEADLINE, LEAD) == DEADLINE - LEAD
    assert callbacks.alarm_at(DUE, DUE + LEAD, LEAD) == DUE + LEAD / 2


def test_an_owner_who_is_away_loses_it_after_the_fallback_and_at_the_alarm_at_the_latest() -> None:
    alarm = DEADLINE - LEAD
    keeps = callbacks.owner_keeps_until
    assert keeps(DUE, alarm, timedelta(minutes=5)) == DUE + timedelta(minutes=5)
    assert keeps(DUE, alarm, timedelta(days=5)) == alarm
    assert keeps(DUE, DUE, timedelta(days=5)) == DUE


def test_who_takes_one_keeps_it_no_longer_than_others_need_to_keep_the_promise() -> None:
    taken = callbacks.taken_until
    limit = timedelta(minutes=15)
    assert taken(DUE, DEADLINE, limit) == DUE + limit
    late = DEADLINE - timedelta(minutes=5)
    assert taken(late, DEADLINE, limit) == DEADLINE - callbacks.TO_SPARE
    assert taken(DEADLINE, DEADLINE, limit) == DEADLINE + callbacks.TO_SPARE, "a moment to start it at least"


@pytest.mark.parametrize(
    ("called", "now", "wanted", "moved", "became"),
    [
        (DUE, DEADLINE, True, False, Result.KEPT),
        (DEADLINE - A_SECOND, DEADLINE, True, True, Result.KEPT),
        (DEADLINE, DEADLINE, True, False, Result.LATE),
        (DEADLINE, DEADLINE, False, False, Result.LATE),
        (None, DUE, True, True, Result.MOVED),
        (None, DUE, False, False, Result.WITHDRAWN),
        (None, DUE, True, False, Result.LOST),
        (None, DEADLINE, True, False, Result.LOST),
        (None, DEADLINE, True, True, Result.LOST),  # no later agreement mends what is broken
        (None, DEADLINE, False, False, Result.WITHDRAWN),
    ],
)
def test_what_became_of_a_promise(
    called: datetime | None, now: datetime, wanted: bool, moved: bool, became: Result
) -> None:
    assert callbacks.result(called, DEADLINE, now=now, wanted=wanted, moved=moved) is became


def test_an_owner_gets_their_own_and_the_others_are_whoevers() -> None:
    wanted = [("a", None), ("b", 7), ("c", None), ("d", 8), ("e", 7), ("f", None)]
    assert callbacks.pair({7: "seven"}, ["one", "two"], wanted) == [("one", "a"), ("seven", "b"), ("two", "c")]
    assert callbacks.pair({7: "seven"}, [], [("a", None)]) == [], "an owner is given nobody else's here"
