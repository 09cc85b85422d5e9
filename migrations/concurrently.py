"""Indexes on tables that calls write to all the time: built and dropped beside them, and whole after a broken try.

A plain CREATE INDEX keeps every write of its table waiting until it is done, which on ten million contacts is minutes
without a call. Built concurrently, it only waits for transactions older than itself.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from alembic import op

from migrations import LOCK_TIMEOUT

_INVALID = sa.text("SELECT NOT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")


@contextmanager
def beside_calls() -> Iterator[None]:
    """Leave the migration's transaction, for what may run in none.

    What came before is committed, and must bear a second run. There is no limit on waiting: the locks taken in here
    stop nobody but other changes of the schema.
    """
    with op.get_context().autocommit_block():
        op.execute("SET lock_timeout = 0")
        try:
            yield
        finally:
            op.execute(f"SET lock_timeout = '{LOCK_TIMEOUT}'")


def build(name: str, table: str, columns: list[Any], **how: Any) -> None:
    """Build an index inside `beside_calls`; one that an interrupted build left behind is built anew."""
    if op.get_bind().scalar(_INVALID, {"name": name}):
        drop(name, table)
    op.create_index(name, table, columns, postgresql_concurrently=True, if_not_exists=True, **how)


def drop(name: str, table: str) -> None:
    """Drop an index inside `beside_calls`, if it is there."""
    op.drop_index(name, table_name=table, postgresql_concurrently=True, if_exists=True)
