"""What a promised callback is bound to: when it is due, until when, whose it is, and what became of the promise.

A promise is to *call*, at a time somebody agreed to: it is kept when the phone rang by its deadline, late when it rang
afterwards, lost when it never did. Whether anybody answered is the call's matter and told beside it.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeVar

_Agent = TypeVar("_Agent")
_Wanted = TypeVar("_Wanted")

# Who has taken a callback gives it back so long before it breaks, so that somebody else can still keep it.
TO_SPARE = timedelta(seconds=60)


class Due(StrEnum):
    """Where a callback is in its time, as XiVO colours it."""

    LATER = "later"  # yellow: its period has not begun
    NOW = "now"  # green: inside the period
    OVER = "over"  # red: the period is over


class Result(StrEnum):
    """What became of a promise."""

    KEPT = "kept"  # the phone rang by the deadline
    LATE = "late"  # it rang, after the deadline
    LOST = "lost"  # it never rang
    MOVED = "moved"  # another time was agreed while this one could still be kept
    WITHDRAWN = "withdrawn"  # no call is wanted any more: do not call, answered otherwise, the list taken back


def due_state(now: datetime, due_at: datetime, deadline_at: datetime) -> Due:
    """Say where a callback is in its time. The deadline is the first moment that is too late."""
    if now < due_at:
        return Due.LATER
    return Due.NOW if now < deadline_at else Due.OVER


def alarm_at(due_at: datetime, deadline_at: datetime, lead: timedelta) -> datetime:
    """When somebody must hear of a callback that was not called yet: the lead before it breaks.

    Never before it is due, and for a short period half of it must be left: an alarm that comes with the due minute
    tells nobody anything.
    """
    return max(due_at, deadline_at - min(lead, (deadline_at - due_at) / 2))


def owner_keeps_until(due_at: datetime, alarm: datetime, fallback: timedelta) -> datetime:
    """Until when only its owner is given a callback: so long after it is due, and no longer than to its alarm."""
    return max(due_at, min(due_at + fallback, alarm))


def taken_until(now: datetime, deadline_at: datetime, limit: timedelta) -> datetime:
    """Until when one who takes a callback may keep it from the others; at least a moment to start the call."""
    return min(now + limit, max(now + TO_SPARE, deadline_at - TO_SPARE))


def result(called_at: datetime | None, deadline_at: datetime, *, now: datetime, wanted: bool, moved: bool) -> Result:
    """Say what became of a promise that ends now.

    `wanted`: somebody still wanted the call when it ended. `moved`: it ends because another time was agreed.
    """
    if called_at is not None:
        return Result.KEPT if called_at < deadline_at else Result.LATE
    if now < deadline_at:
        if moved:
            return Result.MOVED
        return Result.LOST if wanted else Result.WITHDRAWN
    # Broken already: no later agreement mends that. Who asked never to be called was owed nothing.
    return Result.LOST if wanted or moved else Result.WITHDRAWN


def pair(
    owners: Mapping[int, _Agent], others: Sequence[_Agent], wanted: Iterable[tuple[_Wanted, int | None]]
) -> list[tuple[_Agent, _Wanted]]:
    """Give each callback its agent: those kept for somebody their own, the others whoever is free.

    `owners`: agents who have a callback of their own due, by id. Who has none of it here goes to nobody else's.
    """
    own, free, found = dict(owners), list(others), []
    for one, kept_for in wanted:
        agent = own.pop(kept_for, None) if kept_for is not None else free.pop(0) if free else None
        if agent is not None:
            found.append((agent, one))
    return found
