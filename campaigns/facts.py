"""Writing down what was heard of a call: first times are kept, and the state moves by the one table."""

from datetime import datetime

from campaigns.models import AgentLeg, Attempt
from dialer.calls import CallState, Signal, advance


def first(call: Attempt | AgentLeg, name: str, at: datetime) -> bool:
    """Keep the earliest time a thing was heard; whether this was the first."""
    known = getattr(call, name)
    if known is None or at < known:
        setattr(call, name, at)
    return known is None


def step(call: Attempt | AgentLeg, signal: Signal) -> None:
    """Move the call by the table of `dialer.calls`."""
    call.state = advance(CallState(call.state), signal)
