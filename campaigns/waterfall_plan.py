"""How the server is to plan what counts a million contacts: told for each statement, because it guesses badly there.

It takes every contact for a group of its own. What is set here holds until the statement is done; then what was set
before is set again.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

# Sets as large as a list are kept hashed in memory, and so is an array of numbers while the plan knows it: a plan for
# any array would compare each contact with all of them. The table is not read from end to end for one campaign, which
# the server would begin as soon as several processes may share it.
_COUNTING = {
    "work_mem": "128MB",
    "enable_sort": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "plan_cache_mode": "force_custom_plan",
    "parallel_setup_cost": "0",
    "parallel_tuple_cost": "0",
}
# Rows that come in the order of their groups are counted as they come, in a third of the time that hashing takes.
_IN_ORDER = {"enable_hashagg": "off", "enable_sort": "off", "max_parallel_workers_per_gather": "0"}
# Two indexes in the same order are read side by side, by one process: less than half of the time it takes to hash a
# million numbers. Who is on both is looked up, which is a nested loop that nothing forbids.
_SIDE_BY_SIDE = {
    "enable_hashjoin": "off",
    "enable_nestloop": "off",
    "enable_sort": "off",
    "max_parallel_workers_per_gather": "0",
}


@contextmanager
def counting(session: Session) -> Iterator[None]:
    """Let statements keep large sets hashed."""
    yield from _with(session, _COUNTING)


@contextmanager
def in_order(session: Session) -> Iterator[None]:
    """Let a statement group what an index gives in the order of the groups."""
    yield from _with(session, _IN_ORDER)


@contextmanager
def side_by_side(session: Session) -> Iterator[None]:
    """Let a statement compare two long lists of numbers in the order of their indexes."""
    yield from _with(session, _SIDE_BY_SIDE)


def guessed_rows(session: Session, query: str, values: Mapping[str, Any]) -> float:
    """Return how many rows the server believes a query to find. Nothing but the choice of a plan may depend on it."""
    return float(session.execute(text(f"EXPLAIN (FORMAT JSON) {query}"), values).scalar_one()[0]["Plan"]["Plan Rows"])


def _with(session: Session, wanted: Mapping[str, str]) -> Iterator[None]:
    before = {row.name: row.setting for row in session.execute(_NOW, {"names": list(wanted)})}
    session.execute(_SET, {"names": list(wanted), "settings": list(wanted.values())})
    yield
    session.execute(_SET, {"names": list(before), "settings": list(before.values())})


_NOW = text("SELECT name, current_setting(name) AS setting FROM unnest(CAST(:names AS text[])) AS name")
_SET = text("""
    SELECT set_config(name, setting, true)
    FROM unnest(CAST(:names AS text[]), CAST(:settings AS text[])) AS s (name, setting)
""")
