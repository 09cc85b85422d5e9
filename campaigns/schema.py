"""Bring a database to the newest schema, one process at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import sleep
from typing import TYPE_CHECKING

from sqlalchemy import text

import migrations

if TYPE_CHECKING:
    from alembic.config import Config
    from sqlalchemy import Engine

# Any constant does; it keeps two hosts from migrating at once. Released with the transaction.
_MIGRATION_LOCK = 0x0D1A1E12
_ASK_AGAIN = 0.2


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
    with _alone(engine), engine.connect() as connection:
        config.attributes["connection"] = connection
        try:
            getattr(command, direction)(config, revision)
        finally:
            connection.invalidate()  # what is set on it for migrating does not go back to the pool


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """Let nobody else migrate meanwhile.

    The lock is a transaction's, for behind a pooler a session's would outlive us. An index that is built concurrently
    waits for every statement that began before it: who waits for this lock asks again and again, and does not stand
    in one.
    """
    with engine.connect() as guard:
        ask = text("SELECT pg_try_advisory_xact_lock(:key)")
        while not guard.execute(ask, {"key": _MIGRATION_LOCK}).scalar_one():
            guard.rollback()
            sleep(_ASK_AGAIN)
        guard.execute(text("SET LOCAL idle_in_transaction_session_timeout = 0"))
        yield
