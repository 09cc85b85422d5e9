"""Bring a database to the newest schema, one process at a time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import text

import migrations

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

# Any constant does; it keeps two hosts from migrating at once. Released with the transaction that took it.
_MIGRATION_LOCK = 0x0D1A1E12
_LOOK_AGAIN = 0.2  # seconds


def alembic_config() -> Config:
    """Return Alembic's configuration for our migrations, wherever the package is installed."""
    from alembic.config import Config  # half a second to load, and only migrating needs it

    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    return config


def newest() -> str:
    """Return the revision this code was written for."""
    return migrations.HEAD


def current(engine: Engine) -> str | None:
    """Return the revision the database is at; None for an empty one."""
    with engine.connect() as connection:
        if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
            return None
        found: str | None = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()
        return found


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate up. Concurrent callers wait for each other and find nothing left to do."""
    _run(engine, "upgrade", revision)


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Migrate down; for tests and for a release taken back."""
    _run(engine, "downgrade", revision)


def _run(engine: Engine, direction: str, revision: str) -> None:
    from alembic import command

    config = alembic_config()
    with _turn(engine), engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            getattr(command, direction)(config, revision)
        finally:
            connection.invalidate()  # its time-outs are a migration's, and no call's


@contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """Wait until nobody else migrates, and keep it so. On a connection of its own: a migration may need no transaction.

    An index that is built concurrently waits for every statement that began before it, so nobody here may wait in one,
    and the last thing this transaction did must be something that sees no rows.
    """
    with engine.connect() as connection:
        while not connection.execute(text("SELECT pg_try_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}).scalar():
            connection.rollback()
            time.sleep(_LOOK_AGAIN)
        connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield
