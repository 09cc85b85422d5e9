"""Alembic's entry: migrates over the connection it is given, or opens one from DIALER_DATABASE_URL."""

import os

from alembic import context
from sqlalchemy import Connection, text

from campaigns import models
from campaigns.db import Base, engine_for

assert models.Base is Base  # importing the models fills the metadata

# A migration that cannot get its lock at once gives up: calls must not queue behind it.
LOCK_TIMEOUT = "2s"


def run(connection: Connection) -> None:
    connection.execute(text(f"SET lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text("SET statement_timeout = 0"))
    connection.commit()  # Alembic begins its own: a migration may end it, to build an index while calls go on
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        compare_type=True,
        compare_server_default=True,
        transaction_per_migration=False,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    url = os.environ.get("DIALER_DATABASE_URL")
    if not url:
        raise SystemExit("set DIALER_DATABASE_URL, or use: dialer db upgrade")
    with engine_for(url, application_name="migrations").connect() as connection:
        run(connection)
