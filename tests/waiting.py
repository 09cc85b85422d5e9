"""Waiting for what other threads and processes do: as long as it takes, and no longer than it may."""

import time
from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

T = TypeVar("T")


def until(condition: Callable[[], T], within: float = 30.0) -> T:
    """Look again and again until `condition` holds, and return what it said; fail after `within` seconds."""
    end = time.monotonic() + within
    while not (found := condition()):
        assert time.monotonic() < end, f"it did not come to that within {within:g} s"
        time.sleep(0.005)
    return found


def once_within(seconds: float, act: Callable[[], object], tries: int = 4) -> None:
    """`act` takes no longer than this at its best: a busy machine may be slow a few times, a fixed wait always is."""
    took = []
    for _ in range(tries):
        began = time.monotonic()
        act()
        took.append(time.monotonic() - began)
        if took[-1] < seconds:
            return
    raise AssertionError(f"it never took less than {seconds:g} s: {took}")


def until_somebody_waits_for_a_lock(session: Session) -> None:
    """Wait until another transaction on this database stands still for a lock."""
    waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

    def somebody_waits() -> bool:
        found: int = session.execute(text(waits)).scalar_one()
        session.rollback()  # else every look is the first one: the view does not change within a transaction
        return found > 0

    until(somebody_waits)
