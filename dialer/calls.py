"""The life of a call: states, what can be heard, and the one table that joins them.

`advance(state, signal)` is total: there is a cell for every late, repeated or swapped signal, so the same
events in any order end in the same place. Final states stay. How a call *ended* is not read off the order
of events but computed from the facts by `conclude`, for the same reason.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from dialer.pbx.base import CallOutcome


class CallState(StrEnum):
    """Where a call is. An attempt (customer) and an agent's leg share the states."""

    ORDERED = "ordered"  # a row; nothing has left us
    SENDING = "sending"  # claimed by a worker; the request may be on its way
    UNKNOWN = "unknown"  # the request got no usable reply: a phone may be ringing
    PLACED = "placed"  # the PBX accepted it
    RINGING = "ringing"
    ANSWERED = "answered"  # picked up; waits at the reception (customer) or is about to be parked (agent)
    HELD = "held"  # waits where a join can fetch it: at the reception, or parked
    JOINED = "joined"  # customer and agent talk
    MESSAGE = "message"  # nobody was free: the recorded message plays
    ENDING = "ending"  # over, but we have not yet heard how it got there
    # final; the name is the outcome
    COMPLETED = "completed"  # talked (customer) or served (agent)
    ABANDONED = "abandoned"  # answered, and no agent in time
    HUNG_UP = "hung_up"  # answered, and gone before the limit
    PLAYED = "played"  # agentless: answered, and the recorded message was what the call was for
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    REJECTED = "rejected"
    UNAVAILABLE = "unavailable"  # the number cannot be reached
    NO_LINES = "no_lines"
    NO_AGENT = "no_agent"  # agent first: the agent's phone was not taken, so the customer's never rang
    FAILED = "failed"  # the PBX could not
    REFUSED = "refused"  # the PBX said no to the order: never rang
    EXPIRED = "expired"  # never sent: too late, or stopped
    LOST = "lost"  # no reply, no event, not in the PBX's lists, and the cool-down is over


class Signal(StrEnum):
    """What moves a call: our own steps, the PBX's replies, its events, and the passing of time."""

    CLAIMED = "claimed"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    NOT_SENT = "not_sent"  # the PBX could not be reached: nothing left us
    NO_REPLY = "no_reply"
    EXPIRED = "expired"
    CALLING = "calling"
    RINGING = "ringing"
    ANSWERED = "answered"
    HELD = "held"  # the reception (or the waiting IVR) took the call
    JOINED = "joined"
    RELEASED = "released"  # an agent's leg: the customer is gone, and the leg stays for the next one
    MESSAGE = "message"  # the recorded message was ordered or took the call
    ENDED = "ended"
    SETTLED = "settled"  # the wait for late events is over
    DENIED = "denied"  # the PBX does not know the call, and the cool-down is over


OPEN = (
    CallState.ORDERED,
    CallState.SENDING,
    CallState.UNKNOWN,
    CallState.PLACED,
    CallState.RINGING,
    CallState.ANSWERED,
    CallState.HELD,
    CallState.JOINED,
    CallState.MESSAGE,
    CallState.ENDING,
)
FINAL = tuple(state for state in CallState if state not in OPEN)
LIVE_ANSWERED = (CallState.ANSWERED, CallState.HELD)  # a person is on the line and the clock runs

_S, _G = CallState, Signal

# Where the agent's phone rings first, PLACED is that phone, RINGING the customer's, and an answer is JOINED at once.
# Events may overtake the reply to our own request, so every state in which the request may be under way
# accepts every event. `ENDED` goes through ENDING: `conclude` turns it into the outcome at once when the
# facts are complete, and after `settle` seconds when they are not.
_ON_THE_WAY = {
    _G.ACCEPTED: _S.PLACED,
    _G.CALLING: _S.PLACED,
    _G.RINGING: _S.RINGING,
    _G.ANSWERED: _S.ANSWERED,
    _G.HELD: _S.HELD,
    _G.JOINED: _S.JOINED,
    _G.MESSAGE: _S.MESSAGE,
    _G.ENDED: _S.ENDING,
    _G.DENIED: _S.LOST,
}
_ANSWERED = {
    _G.HELD: _S.HELD,
    _G.JOINED: _S.JOINED,
    _G.MESSAGE: _S.MESSAGE,
    _G.ENDED: _S.ENDING,
    _G.DENIED: _S.ENDING,
}

NEXT: dict[CallState, dict[Signal, CallState]] = {
    _S.ORDERED: {
        _G.CLAIMED: _S.SENDING,
        _G.EXPIRED: _S.EXPIRED,
    },
    _S.SENDING: {
        **_ON_THE_WAY,
        _G.REFUSED: _S.REFUSED,
        _G.NOT_SENT: _S.EXPIRED,
        _G.EXPIRED: _S.EXPIRED,  # the last look at the clock, before anything left us
        _G.NO_REPLY: _S.UNKNOWN,
    },
    _S.UNKNOWN: {
        **_ON_THE_WAY,
        # A reply later than our time-out is still a reply.
        _G.REFUSED: _S.REFUSED,
    },
    _S.PLACED: _ON_THE_WAY,
    _S.RINGING: {**_ON_THE_WAY, _G.ACCEPTED: _S.RINGING, _G.CALLING: _S.RINGING},
    _S.ANSWERED: _ANSWERED,
    _S.HELD: _ANSWERED,
    _S.JOINED: {_G.RELEASED: _S.HELD, _G.ENDED: _S.ENDING, _G.DENIED: _S.ENDING},
    # The transfer may have been under way when the limit struck: who talks, talks.
    _S.MESSAGE: {_G.JOINED: _S.JOINED, _G.ENDED: _S.ENDING, _G.DENIED: _S.ENDING},
    _S.ENDING: {},  # left by `conclude` alone
}


def advance(state: CallState, signal: Signal) -> CallState:
    """Return the state after `signal`; the same state when the signal is late, repeated or nothing to it."""
    return NEXT.get(state, {}).get(signal, state)


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a call, whatever order it was heard in. Times are aware; None means not heard."""

    answered_at: datetime | None
    joined_at: datetime | None
    message_at: datetime | None  # when the recorded message was ordered
    customer_left_at: datetime | None
    ended_at: datetime | None
    leg_outcome: CallOutcome | None  # of the first leg: why it was not reached
    final_outcome: CallOutcome | None  # of the whole call, from "terminated" or the PBX's report
    agent_first: bool = False
    agent_answered_at: datetime | None = None  # agent first: the agent's phone was taken
    ringing_at: datetime | None = None  # the customer's phone rings


_BY_OUTCOME = {
    CallOutcome.BUSY: CallState.BUSY,
    CallOutcome.NO_ANSWER: CallState.NO_ANSWER,
    CallOutcome.REJECTED: CallState.REJECTED,
    CallOutcome.UNAVAILABLE: CallState.UNAVAILABLE,
    CallOutcome.NO_LINES: CallState.NO_LINES,
    CallOutcome.INVALID: CallState.UNAVAILABLE,
    CallOutcome.MACHINE: CallState.NO_ANSWER,  # nobody was reached; which it was stays with the attempt
}


def conclude(facts: Facts, limit: timedelta, *, settled: bool, agentless: bool = False) -> CallState | None:
    """Say how an ended call ended, from its facts; None while late events could still change the answer.

    `agentless`: nobody was promised an agent, so whoever stayed is played to and not abandoned.
    `limit` is the rule pack's time from answer to agent. A played message does not take a call out of the
    abandoned ones; somebody who hung up before the limit, and before any message, was not abandoned.
    """
    if facts.joined_at is not None:
        return CallState.COMPLETED
    if facts.agent_first:
        return _with_agent_first(facts, settled=settled)
    if facts.leg_outcome is CallOutcome.MACHINE:
        return CallState.NO_ANSWER
    if not settled:
        # The join, the answer or the going may be reported after the end: only what no event can undo is said
        # at once, and that is why the customer's own leg was not reached.
        return _BY_OUTCOME.get(facts.leg_outcome) if facts.leg_outcome and facts.answered_at is None else None
    stayed = CallState.PLAYED if agentless else CallState.ABANDONED
    if facts.answered_at is not None:
        return CallState.HUNG_UP if _gone_before(facts, facts.answered_at + limit) else stayed
    for outcome in (facts.leg_outcome, facts.final_outcome):
        if outcome in _BY_OUTCOME:
            return _BY_OUTCOME[outcome]
    if facts.final_outcome is CallOutcome.OK:
        # Somebody answered and we never heard of it: nobody can have joined them. The harder word.
        return stayed
    return CallState.FAILED


def _with_agent_first(facts: Facts, *, settled: bool) -> CallState | None:
    """Nobody can be abandoned: whoever answers hears the agent whose phone called them."""
    if facts.final_outcome is CallOutcome.OK or facts.answered_at is not None:
        return CallState.COMPLETED  # they talked, and the event of the answer was lost
    if facts.leg_outcome in _BY_OUTCOME:
        return _BY_OUTCOME[facts.leg_outcome]
    if not settled:
        return None  # that a phone rang may be told after the end
    if facts.final_outcome in _BY_OUTCOME:
        return _BY_OUTCOME[facts.final_outcome]
    if facts.ringing_at is not None or facts.agent_answered_at is not None:
        return CallState.NO_ANSWER
    return CallState.NO_AGENT


def given_up(outcome: CallState) -> CallState:
    """Return how a call really ended that we ended while it rang, from what its facts alone would say.

    PBXs have many words for a call that its caller ends; what it was is one that nobody took in time. Who answered
    at that very moment did not hang up: we did, and that is an abandoned call.
    """
    if outcome in (CallState.FAILED, CallState.UNAVAILABLE, CallState.NO_LINES, CallState.LOST):
        return CallState.NO_ANSWER
    return CallState.ABANDONED if outcome is CallState.HUNG_UP else outcome


def _gone_before(facts: Facts, deadline: datetime) -> bool:
    """Whether the customer left of their own before the deadline, and before a message could be heard."""
    gone = facts.customer_left_at or facts.ended_at
    if gone is None or gone >= deadline:
        return False
    # Ordered after they had left, because we had not heard of it yet: nobody listened to it.
    return facts.message_at is None or gone < facts.message_at
