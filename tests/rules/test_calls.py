"""Every cell of the table of call states, and how an ended call is said to have ended."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from dialer.calls import FINAL, LIVE_ANSWERED, NEXT, OPEN, CallState, Facts, Signal, advance, conclude
from dialer.pbx.base import CallOutcome
from dialer.retries import NEVER_RANG

# One row per open state, one column per signal. A dot: the state stays. Written out on purpose, and not from
# the table under test: every cell was decided by a person.
COLUMNS = """
CLAIMED ACCEPTED REFUSED NOT_SENT NO_REPLY EXPIRED CALLING RINGING
ANSWERED HELD JOINED RELEASED MESSAGE ENDED SETTLED DENIED
"""
CELLS = """
ORDERED  SENDING .      .       .       .       EXPIRED .      .       .        .    .      .    .       .      . .
SENDING  .       PLACED REFUSED EXPIRED UNKNOWN EXPIRED PLACED RINGING ANSWERED HELD JOINED .    MESSAGE ENDING . LOST
UNKNOWN  .       PLACED REFUSED .       .       .       PLACED RINGING ANSWERED HELD JOINED .    MESSAGE ENDING . LOST
PLACED   .       .      .       .       .       .       .      RINGING ANSWERED HELD JOINED .    MESSAGE ENDING . LOST
RINGING  .       .      .       .       .       .       .      .       ANSWERED HELD JOINED .    MESSAGE ENDING . LOST
ANSWERED .       .      .       .       .       .       .      .       .        HELD JOINED .    MESSAGE ENDING . ENDING
HELD     .       .      .       .       .       .       .      .       .        .    JOINED .    MESSAGE ENDING . ENDING
JOINED   .       .      .       .       .       .       .      .       .        .    .      HELD .       ENDING . ENDING
MESSAGE  .       .      .       .       .       .       .      .       .        .    JOINED .    .       ENDING . ENDING
ENDING   .       .      .       .       .       .       .      .       .        .    .      .    .       .      . .
"""


def table() -> list[tuple[CallState, Signal, CallState]]:
    signals = [Signal[name] for name in COLUMNS.split()]
    cells = []
    for line in CELLS.strip().splitlines():
        name, *words = line.split()
        state = CallState[name]
        cells += [
            (state, signal, state if word == "." else CallState[word])
            for signal, word in zip(signals, words, strict=True)
        ]
    return cells


@pytest.mark.parametrize(("state", "signal", "after"), table())
def test_every_cell_of_the_table_is_as_decided(state: CallState, signal: Signal, after: CallState):
    assert advance(state, signal) is after


def test_the_table_above_has_a_row_for_every_open_state_and_a_column_for_every_signal():
    assert {(state, signal) for state, signal, _ in table()} == {(s, g) for s in OPEN for g in Signal}


@pytest.mark.parametrize("state", FINAL)
@pytest.mark.parametrize("signal", list(Signal))
def test_a_final_state_stays_whatever_is_heard(state: CallState, signal: Signal):
    assert advance(state, signal) is state


def test_a_state_is_open_or_final_and_never_both():
    assert set(OPEN) | set(FINAL) == set(CallState)
    assert not set(OPEN) & set(FINAL)
    assert set(NEXT) == set(OPEN)
    assert set(NEVER_RANG) <= set(FINAL)
    assert set(LIVE_ANSWERED) <= set(OPEN)


def test_the_table_never_goes_back_to_an_earlier_state():
    """No cycle: whatever is heard, and how often, a call moves towards its end."""
    order = {state: n for n, state in enumerate(CallState)}
    backwards = {(s, g) for s, row in NEXT.items() for g, after in row.items() if order[after] < order[s]}

    # One step back on the page is a step on in life: who was sent to the message was joined after all. The other is
    # an agent's, whose leg serves one customer after the other.
    assert backwards == {(CallState.MESSAGE, Signal.JOINED), (CallState.JOINED, Signal.RELEASED)}


def test_no_event_of_a_pbx_releases_a_leg():
    """Only the end of the customer's call does; else a repeated event could free an agent who talks (I9)."""
    heard = (Signal.CALLING, Signal.RINGING, Signal.ANSWERED, Signal.HELD, Signal.JOINED, Signal.MESSAGE)
    assert all(advance(CallState.JOINED, signal) is CallState.JOINED for signal in heard)


def test_every_open_state_can_end():
    for state in OPEN:
        if state is CallState.ENDING:
            continue  # left by `conclude`, which always answers once settled
        assert any(advance(state, signal) is CallState.ENDING or advance(state, signal) in FINAL for signal in Signal)


T = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
LIMIT = timedelta(seconds=2)
NOTHING = Facts(None, None, None, None, None, None, None)


def at(seconds: float) -> datetime:
    return T + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("facts", "ended"),
    [
        pytest.param(Facts(at(0), at(1), None, at(60), at(60), None, CallOutcome.OK), "completed", id="talked"),
        pytest.param(Facts(None, at(1), None, None, at(60), None, None), "completed", id="answer never heard of"),
        pytest.param(Facts(at(0), at(1), at(1), None, at(9), None, None), "completed", id="joined over the message"),
        pytest.param(Facts(at(0), None, at(1.7), at(9), at(9), None, CallOutcome.OK), "abandoned", id="message"),
        pytest.param(Facts(at(0), None, at(1.6), at(1.9), at(2), None, None), "abandoned", id="left in the message"),
        pytest.param(Facts(at(0), None, None, at(5), at(5), None, None), "abandoned", id="silence past the limit"),
        pytest.param(Facts(at(0), None, None, at(2), at(2), None, None), "abandoned", id="left at the limit"),
        pytest.param(Facts(at(0), None, None, at(1.999), at(5), None, None), "hung_up", id="left before the limit"),
        pytest.param(Facts(at(0), None, None, None, at(2), CallOutcome.MACHINE, None), "no_answer", id="machine"),
        pytest.param(Facts(at(0), at(1), None, None, at(9), CallOutcome.MACHINE, None), "completed", id="it was none"),
        pytest.param(Facts(None, None, None, None, at(1), CallOutcome.INVALID, None), "unavailable", id="no number"),
        pytest.param(Facts(at(0), None, None, None, at(1), None, None), "hung_up", id="ended before the limit"),
        pytest.param(Facts(at(0), None, at(1.6), at(1.5), at(2), None, None), "hung_up", id="message to nobody"),
        pytest.param(Facts(at(0), None, None, None, None, None, None), "abandoned", id="answered, then nothing"),
        pytest.param(Facts(None, None, None, None, at(9), CallOutcome.BUSY, CallOutcome.UNKNOWN), "busy", id="busy"),
        pytest.param(Facts(None, None, None, None, at(9), CallOutcome.UNKNOWN, CallOutcome.BUSY), "busy", id="busy 2"),
        pytest.param(
            Facts(None, None, None, None, at(9), CallOutcome.REJECTED, CallOutcome.NO_ANSWER),
            "rejected",
            id="leg first",
        ),
        pytest.param(Facts(None, None, None, None, at(9), None, CallOutcome.NO_ANSWER), "no_answer", id="no answer"),
        pytest.param(
            Facts(None, None, None, None, at(9), None, CallOutcome.UNAVAILABLE), "unavailable", id="unavailable"
        ),
        pytest.param(Facts(None, None, None, None, at(9), None, CallOutcome.NO_LINES), "no_lines", id="no lines"),
        pytest.param(Facts(None, None, None, None, at(9), None, CallOutcome.OK), "abandoned", id="the harder word"),
        pytest.param(Facts(None, None, None, None, at(9), None, CallOutcome.UNKNOWN), "failed", id="failed"),
        pytest.param(NOTHING, "failed", id="nothing is known"),
    ],
)
def test_a_settled_call_ended_as_its_facts_say(facts: Facts, ended: str):
    assert conclude(facts, LIMIT, settled=True) == ended


@pytest.mark.parametrize(
    ("facts", "ended"),
    [
        pytest.param(Facts(at(0), None, at(0.2), at(9), at(9), None, CallOutcome.OK), "played", id="message"),
        pytest.param(Facts(at(0), None, at(0.2), at(0.3), at(1), None, None), "played", id="left in the message"),
        pytest.param(Facts(at(0), None, None, at(5), at(5), None, None), "played", id="left to the reception's own"),
        pytest.param(Facts(at(0), None, at(0.2), at(0.1), at(1), None, None), "hung_up", id="message to nobody"),
        pytest.param(Facts(at(0), None, None, at(0.1), at(1), None, None), "hung_up", id="gone at once"),
        pytest.param(Facts(None, None, None, None, at(9), None, CallOutcome.OK), "played", id="answer never heard of"),
        pytest.param(Facts(None, None, None, None, at(9), CallOutcome.BUSY, None), "busy", id="busy"),
    ],
)
def test_nobody_is_abandoned_by_a_call_that_promised_no_agent(facts: Facts, ended: str):
    assert conclude(facts, LIMIT, settled=True, agentless=True) == ended


def test_a_settled_call_always_gets_an_end():
    for answered in (None, at(0)):
        for left in (None, at(1)):
            for leg in (None, *CallOutcome):
                for final in (None, *CallOutcome):
                    facts = Facts(answered, None, None, left, None, leg, final)
                    assert conclude(facts, LIMIT, settled=True) in FINAL


def test_what_no_late_event_can_undo_is_said_at_once():
    assert conclude(replace(NOTHING, joined_at=at(1)), LIMIT, settled=False) is CallState.COMPLETED
    assert conclude(replace(NOTHING, leg_outcome=CallOutcome.BUSY), LIMIT, settled=False) is CallState.BUSY


@pytest.mark.parametrize(
    "facts",
    [
        pytest.param(replace(NOTHING, answered_at=at(0), ended_at=at(9)), id="the join may still be told"),
        pytest.param(replace(NOTHING, answered_at=at(0), ended_at=at(1)), id="the join may still be told, early end"),
        pytest.param(replace(NOTHING, final_outcome=CallOutcome.NO_ANSWER), id="the leg may know better"),
        pytest.param(replace(NOTHING, final_outcome=CallOutcome.OK), id="the answer may still be told"),
        pytest.param(replace(NOTHING, ended_at=at(9)), id="why it ended may still be told"),
        pytest.param(replace(NOTHING, leg_outcome=CallOutcome.UNKNOWN), id="the whole call may know better"),
    ],
)
def test_what_a_late_event_could_change_waits_until_it_is_settled(facts: Facts):
    assert conclude(facts, LIMIT, settled=False) is None
    assert conclude(facts, LIMIT, settled=True) in FINAL
