"""An event without a reference is given to a call of ours only when it can be of no other."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from dialer.pbx.base import CallEvent, CallOutcome, Heard, PastCall, Role
from dialer.pbx.same_call import HISTORY_WINDOW, SKEW, WINDOW, Start, is_same, told_by

SENT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
START = Start("c1", "215", "+390612345678", SENT)
EVENT = CallEvent(Heard.RINGING, "ringing", call_id="x", role=Role.CUSTOMER, user_id="215", number="+390612345678")

USERS = st.sampled_from(["215", "216", "2150", ""])
NUMBERS = st.sampled_from(["+390612345678", "+39061234567", "390612345678", "+3906123456780", "+390699999999", ""])
SECONDS = st.floats(-300, 300, allow_nan=False)
EVENTS = st.builds(
    CallEvent,
    heard=st.sampled_from(list(Heard)),
    name=st.just("x"),
    call_id=st.sampled_from([None, "x", "y"]),
    role=st.sampled_from(list(Role)),
    user_id=st.one_of(st.none(), USERS),
    number=st.one_of(st.none(), NUMBERS),
    began=st.one_of(st.none(), SECONDS.map(lambda after: SENT + timedelta(seconds=after))),
)
STARTS = st.builds(
    Start,
    ref=st.just("c1"),
    user_id=USERS,
    number=NUMBERS,
    sent_at=SECONDS.map(lambda after: SENT + timedelta(seconds=after)),
    heard=st.booleans(),
)


def alike(start: Start, event: CallEvent) -> CallEvent:
    """The event with what an event of ours has; left to chance, hardly one is."""
    role = event.role if event.role in (Role.AGENT, Role.CUSTOMER) else Role.CUSTOMER
    return replace(event, user_id=start.user_id, number=start.number, role=role, call_id=event.call_id or "x")


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(start=STARTS, event=EVENTS, after=SECONDS, of_ours=st.booleans())
def test_whatever_comes_only_the_same_agents_outward_call_to_the_same_number_since_the_order_is_ours(
    start: Start, event: CallEvent, after: float, of_ours: bool
) -> None:
    event = alike(start, event) if of_ours else event
    heard_at = SENT + timedelta(seconds=after)
    assume(is_same(start, event, heard_at))
    assert (event.user_id, event.number) == (start.user_id, start.number)
    assert event.call_id is not None
    assert event.role in (Role.AGENT, Role.CUSTOMER)
    assert not start.heard
    assert start.sent_at <= heard_at <= start.sent_at + WINDOW
    assert event.began is None or event.began >= start.sent_at - SKEW


@given(
    starts=st.lists(STARTS, max_size=6, unique_by=lambda start: start.user_id),
    event=EVENTS,
    after=SECONDS,
)
def test_no_event_is_of_two_calls(starts: list[Start], event: CallEvent, after: float) -> None:
    assert sum(is_same(start, event, SENT + timedelta(seconds=after)) for start in starts) <= 1


@pytest.mark.parametrize(
    "change",
    [
        {"user_id": "216"},
        {"number": "+390699999999"},
        {"role": Role.OTHER},  # somebody calls in
        {"call_id": None},
        {"began": SENT - timedelta(seconds=3)},  # their own call, begun before we asked
    ],
)
def test_the_agents_private_call_is_not_ours(change: dict[str, object]) -> None:
    at = SENT + timedelta(seconds=5)
    assert is_same(START, EVENT, at)
    assert not is_same(START, replace(EVENT, **change), at)  # type: ignore[arg-type]


def test_nor_is_one_too_early_too_late_or_beside_the_one_we_know() -> None:
    assert not is_same(START, EVENT, SENT - timedelta(seconds=0.1))
    assert not is_same(START, EVENT, SENT + WINDOW + timedelta(seconds=0.1))
    assert not is_same(replace(START, heard=True), EVENT, SENT + timedelta(seconds=5))


PAST = PastCall("7", None, CallOutcome.OK, user_id="215", number="+390612345678", began=SENT + timedelta(seconds=20))


@settings(suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(
    history=st.lists(
        st.builds(
            PastCall,
            call_id=st.just("7"),
            ref=st.none(),
            outcome=st.just(CallOutcome.OK),
            user_id=USERS,
            number=NUMBERS,
            began=st.one_of(st.none(), SECONDS.map(lambda after: SENT + timedelta(seconds=after))),
        ),
        min_size=1,
    ),
    start=STARTS,
    of_ours=st.booleans(),
)
def test_the_history_is_believed_under_the_same_conditions(
    history: list[PastCall], start: Start, of_ours: bool
) -> None:
    if of_ours:
        history = [replace(history[0], user_id=start.user_id, number=start.number), *history[1:]]
    found = told_by(start, history)
    assume(found is not None)
    assert found is not None
    assert found.began is not None
    assert (found.user_id, found.number, start.heard) == (start.user_id, start.number, False)
    assert start.sent_at - SKEW <= found.began <= start.sent_at + HISTORY_WINDOW


def test_of_two_calls_to_the_number_the_first_is_ours() -> None:
    later = replace(PAST, call_id="8", began=SENT + timedelta(seconds=90))
    assert told_by(START, [later, PAST]) is PAST
    assert told_by(START, [replace(PAST, began=SENT - timedelta(seconds=30))]) is None
