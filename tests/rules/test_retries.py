"""After each way an attempt can end: when the contact is tried next, or why it is closed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dialer.calls import FINAL, OPEN, CallState
from dialer.retries import Next, RetryRules, after, counts_against_cap

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
HOURLY = RetryRules.of(3600)


def plan(outcome: CallState, **known: Any) -> Next:
    known = {"attempt_no": 1, "max_attempts": 3, "now": NOW, "rules": HOURLY} | known
    return after(outcome, **known)


def wait(outcome: CallState, **known: Any) -> float:
    at = plan(outcome, **known).at
    assert at is not None
    return (at - NOW).total_seconds()


@pytest.mark.parametrize(
    ("outcome", "seconds"),
    [
        (CallState.ABANDONED, 72 * 3600),
        (CallState.HUNG_UP, 3600),
        (CallState.BUSY, 600),
        (CallState.NO_ANSWER, 3600),
        (CallState.REJECTED, 7200),
        (CallState.UNAVAILABLE, 3600),
        (CallState.FAILED, 3600),
        (CallState.LOST, 3600),
        (CallState.NO_LINES, 60),
        (CallState.REFUSED, 60),
        (CallState.EXPIRED, 60),
    ],
)
def test_each_end_has_its_wait(outcome: CallState, seconds: float):
    assert wait(outcome) == seconds


def test_who_heard_the_message_of_an_agentless_call_is_closed():
    assert (plan(CallState.PLAYED).at, plan(CallState.PLAYED).closed_because) == (None, "message played")


def test_whom_an_agent_spoke_with_is_closed():
    reached = plan(CallState.COMPLETED)

    assert reached.at is None
    assert reached.closed_because == "reached"
    assert plan(CallState.COMPLETED, attempt_no=3).closed_because == "reached"


@pytest.mark.parametrize("outcome", [state for state in FINAL if state not in (CallState.COMPLETED, CallState.PLAYED)])
def test_at_the_cap_a_contact_is_left_in_peace_unless_nothing_rang(outcome: CallState):
    last = plan(outcome, attempt_no=3)

    if outcome in (CallState.NO_LINES, CallState.NO_AGENT, CallState.REFUSED, CallState.EXPIRED):
        assert last.at is not None
    else:
        assert (last.at, last.closed_because) == (None, "attempts used up")


def test_what_may_have_rung_counts_and_what_never_rang_does_not():
    assert {state for state in FINAL if not counts_against_cap(state)} == {
        CallState.NO_LINES,
        CallState.NO_AGENT,
        CallState.REFUSED,
        CallState.EXPIRED,
    }


@pytest.mark.parametrize("outcome", FINAL)
def test_a_contact_is_either_tried_again_or_closed_with_a_reason(outcome: CallState):
    for attempt_no in (1, 3):
        for other in (False, True):
            decided = plan(outcome, attempt_no=attempt_no, has_other_number=other)
            assert (decided.at is None) == bool(decided.closed_because)
            assert decided.why
            assert decided.at is None or decided.at > NOW


@pytest.mark.parametrize("state", OPEN)
def test_an_attempt_that_is_not_over_has_no_next_one(state: CallState):
    with pytest.raises(ValueError, match=state):
        plan(state)


def test_what_never_rang_is_tried_again_soon_and_then_less_soon():
    waits = [wait(CallState.NO_LINES, never_rang_in_a_row=n) for n in (1, 2, 3, 6, 7, 8, 1000)]

    assert waits == [60, 120, 240, 1920, 3600, 3600, 3600]


def test_a_pbx_that_always_refuses_a_number_is_believed_at_last():
    assert plan(CallState.REFUSED, never_rang_in_a_row=11).at is not None
    assert plan(CallState.REFUSED, never_rang_in_a_row=12).closed_because == "refused by the PBX every time"
    assert plan(CallState.EXPIRED, never_rang_in_a_row=500).at is not None  # our own fault: never the contact's


def test_an_unavailable_number_hands_over_to_the_other_one():
    other = plan(CallState.UNAVAILABLE, has_other_number=True)

    assert other.other_number
    assert wait(CallState.UNAVAILABLE, has_other_number=True) == 60


def test_a_number_found_unavailable_twice_is_unreachable():
    assert wait(CallState.UNAVAILABLE) == 3600
    assert plan(CallState.UNAVAILABLE, times=2).closed_because == "unreachable"
    assert not plan(CallState.UNAVAILABLE, has_other_number=True, on_other_number=True).other_number
    assert plan(CallState.UNAVAILABLE, on_other_number=True, times=2).closed_because == "unreachable"
    # The first one was believed after one time only because there was another: it gets its second.
    assert plan(CallState.UNAVAILABLE, has_other_number=True, on_other_number=True, times=2).other_number


def test_the_other_number_is_not_tried_past_the_cap():
    assert plan(CallState.UNAVAILABLE, has_other_number=True, attempt_no=3).closed_because == "attempts used up"


def test_only_an_unavailable_number_changes_to_the_other():
    for outcome in FINAL:
        if outcome is not CallState.UNAVAILABLE:
            assert not plan(outcome, has_other_number=True).other_number


def test_every_wait_follows_the_campaigns_delay():
    quick = RetryRules.of(30)

    assert wait(CallState.NO_ANSWER, rules=quick) == 30
    assert wait(CallState.BUSY, rules=quick) == 30
    assert wait(CallState.REJECTED, rules=quick) == 60
    assert wait(CallState.EXPIRED, rules=quick, never_rang_in_a_row=9) == 30


def test_the_rest_after_an_abandoned_call_is_the_rule_packs_and_not_the_campaigns():
    assert wait(CallState.ABANDONED, rules=RetryRules.of(30)) == 72 * 3600
    assert wait(CallState.ABANDONED, rules=RetryRules.of(30, rest=timedelta(days=5))) == 5 * 86_400
