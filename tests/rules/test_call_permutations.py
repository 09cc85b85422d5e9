"""Twice, late or swapped: the events of a recorded call, in any order, end in the same place (I16)."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialer.calls import CallState, Facts, Signal, advance, conclude
from dialer.pbx.base import CallOutcome

T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LIMIT = timedelta(seconds=2)
NOTHING = Facts(None, None, None, None, None, None, None)


@dataclass(frozen=True)
class Heard:
    """One logged event: when it was received, what it signals, and which fact it brings."""

    seconds: float
    signal: Signal | None
    time: str | None = None  # the fact whose time it is
    leg: CallOutcome | None = None
    final: CallOutcome | None = None


ACCEPTED = Heard(0.1, Signal.ACCEPTED)
CALLING = Heard(0.2, Signal.CALLING)
RINGING = Heard(2.0, Signal.RINGING)
ANSWERED = Heard(9.0, Signal.ANSWERED, "answered_at")
HELD = Heard(9.1, Signal.HELD, "answered_at")  # the reception took it: so it was answered

RECORDED = {
    CallState.BUSY: [
        ACCEPTED,
        CALLING,
        Heard(3.0, Signal.ENDED, "ended_at", leg=CallOutcome.BUSY),
        Heard(3.1, Signal.ENDED, "ended_at", final=CallOutcome.BUSY),
    ],
    CallState.NO_ANSWER: [
        ACCEPTED,
        CALLING,
        RINGING,
        Heard(25.0, Signal.ENDED, "ended_at", leg=CallOutcome.NO_ANSWER),
        Heard(25.1, Signal.ENDED, "ended_at", final=CallOutcome.UNKNOWN),
    ],
    CallState.UNAVAILABLE: [
        ACCEPTED,
        CALLING,
        Heard(1.0, Signal.ENDED, "ended_at", final=CallOutcome.UNAVAILABLE),
    ],
    CallState.COMPLETED: [
        ACCEPTED,
        CALLING,
        RINGING,
        ANSWERED,
        HELD,
        Heard(9.5, Signal.JOINED, "joined_at"),
        Heard(70.0, None, "customer_left_at"),
        Heard(70.1, Signal.ENDED, "ended_at", final=CallOutcome.OK),
    ],
    CallState.ABANDONED: [
        ACCEPTED,
        RINGING,
        ANSWERED,
        HELD,
        Heard(10.7, Signal.MESSAGE, "message_at"),
        Heard(19.0, None, "customer_left_at"),
        Heard(19.1, Signal.ENDED, "ended_at", final=CallOutcome.OK),
    ],
    CallState.HUNG_UP: [
        ACCEPTED,
        RINGING,
        ANSWERED,
        HELD,
        Heard(10.2, None, "customer_left_at"),
        Heard(12.5, Signal.ENDED, "ended_at", final=CallOutcome.OK),
    ],
}


def end_of(events: Sequence[Heard], start: CallState = CallState.SENDING) -> CallState:
    """Apply logged events in this order, as the product does: first times, `advance`, `conclude` when it ends.

    What is not settled at once is settled at the end, when the wait for late events is over.
    """
    state, facts = start, NOTHING
    for event in events:
        facts = learn(facts, event)
        if event.signal is not None:
            state = advance(state, event.signal)
        if state is CallState.ENDING:
            state = conclude(facts, LIMIT, settled=False) or state
    if state is CallState.ENDING:
        state = conclude(facts, LIMIT, settled=True) or state
    return state


def learn(facts: Facts, event: Heard) -> Facts:
    if event.time is not None:
        at, known = T + timedelta(seconds=event.seconds), getattr(facts, event.time)
        facts = replace(facts, **{event.time: at if known is None else min(at, known)})
    return replace(facts, leg_outcome=facts.leg_outcome or event.leg, final_outcome=facts.final_outcome or event.final)


@pytest.mark.parametrize("ended", RECORDED, ids=str)
def test_a_call_heard_in_order_ends_as_it_did(ended: CallState):
    assert end_of(RECORDED[ended]) is ended


@pytest.mark.parametrize("ended", RECORDED, ids=str)
def test_every_order_of_the_last_six_events_ends_in_the_same_place(ended: CallState):
    recorded = RECORDED[ended]
    head, tail = recorded[:-6], recorded[-6:]

    assert {end_of([*head, *order]) for order in itertools.permutations(tail)} == {ended}


@given(data=st.data(), ended=st.sampled_from(list(RECORDED)))
def test_events_in_any_order_and_any_number_of_times_end_in_the_same_place(data: st.DataObject, ended: CallState):
    recorded = RECORDED[ended]
    again = data.draw(st.lists(st.sampled_from(recorded), max_size=6), label="heard twice")
    late = [replace(event, seconds=event.seconds + 5) for event in again]  # a repetition is received later
    order = data.draw(st.permutations([*recorded, *late]), label="order")

    assert end_of(order) is ended


@given(data=st.data(), ended=st.sampled_from(list(RECORDED)))
def test_a_lost_reply_to_our_order_changes_nothing(data: st.DataObject, ended: CallState):
    events = [Heard(5.0, Signal.NO_REPLY) if event is ACCEPTED else event for event in RECORDED[ended]]

    assert end_of(data.draw(st.permutations(events), label="order")) is ended


@given(data=st.data(), ended=st.sampled_from(list(RECORDED)))
def test_nothing_heard_after_the_end_changes_it(data: st.DataObject, ended: CallState):
    state = ended
    for signal in data.draw(st.lists(st.sampled_from(list(Signal)), max_size=12)):
        state = advance(state, signal)

    assert state is ended


@given(data=st.data(), ended=st.sampled_from(list(RECORDED)))
def test_with_events_missing_the_call_still_ends(data: st.DataObject, ended: CallState):
    recorded = RECORDED[ended]
    kept = data.draw(st.lists(st.sampled_from(recorded), unique=True), label="not lost")
    asked = Heard(90.0, Signal.ENDED, "ended_at")  # the PBX's list does not hold it any more

    assert end_of([*kept, asked]) not in (CallState.ENDING, *RECORDED.keys() - {ended, CallState.ABANDONED})
