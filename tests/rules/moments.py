"""Moments of a campaign for the tests of pacing: a history, and a decision on what is seen now."""

from datetime import UTC, datetime, timedelta

from dialer.abandonment import Budget
from dialer.pacing import Happened, Pace, PaceEvent, Predictive, Progressive, Snapshot

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
PLENTY = Budget(0, 1000, 0.03)


def at(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def past(calls: int, *, answered_every: int = 3, talk: float = 60.0, group: str = "") -> list[PaceEvent]:
    """A history: calls that rang 12 s, each third answered and talked of for a minute, then 20 s of wrap-up."""
    told = []
    for n in range(calls):
        start, call, agent = -7200.0 + n, f"past {group}{n}", f"agent {group}{n}"
        told.append(PaceEvent(Happened.LAUNCHED, at(start), call, group=group))
        if n % answered_every:
            told.append(PaceEvent(Happened.NO_ANSWER, at(start + 22), call))
            continue
        told.append(PaceEvent(Happened.ANSWERED, at(start + 12), call))
        told.append(PaceEvent(Happened.CONNECTED, at(start + 12.3), call, agent))
        told.append(PaceEvent(Happened.TALK_END, at(start + 12.3 + talk), call, agent))
        told.append(PaceEvent(Happened.READY, at(start + 32.3 + talk), "", agent))
    return told


def warm(calls: int = 600, **history: int) -> Predictive:
    pacer = Predictive()
    pacer.restore(past(calls, **history))  # type: ignore[arg-type]
    return pacer


def decide(pacer: Progressive | Predictive, **seen: object) -> Pace:
    seen = {"free_lines": 100, "budget": PLENTY} | seen
    return pacer.decide(NOW, Snapshot(**seen))  # type: ignore[arg-type]
