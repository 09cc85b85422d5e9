"""The database of a benchmark: one of its own, on the server that is named or on one started and stopped with it.

`--keep NAME` is for what takes long to fill: the database NAME is made if it is not there, stays when the benchmark is
done, and the next run finds its rows. Its schema is brought up to date each time.
"""

import argparse
import json
import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy.engine import URL, make_url

HERE = Path(__file__).resolve().parent


def product_first() -> None:
    """Let the product be imported from beside the benchmarks, and no benchmark in place of a library."""
    sys.path = [str(HERE.parent), *(place for place in sys.path if Path(place or ".").resolve() != HERE)]


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Return the arguments that every benchmark on a database has."""
    arguments = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--database-url",
        default=os.environ.get("DIALER_TEST_DATABASE_URL", ""),
        help="a PostgreSQL server, postgresql://user@host/postgres; without it one is started",
    )
    arguments.add_argument(
        "--data-dir", type=Path, default=HERE.parent / ".dialer-bench", help="of the server that is started"
    )
    arguments.add_argument("--keep", metavar="NAME", help="use the database NAME, and leave it filled for the next run")
    arguments.add_argument("--json", type=Path)
    return arguments


@dataclass(frozen=True, slots=True)
class Database:
    """A database with the newest schema."""

    url: str
    new: bool


@contextmanager
def database(given: argparse.Namespace) -> Iterator[Database]:
    """Make the database; unless it is to be kept it is gone afterwards."""
    with _server(given) as server, psycopg.connect(_text(server), autocommit=True) as admin:
        name = given.keep or f"bench_{uuid.uuid4().hex[:12]}"
        there = admin.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None
        if not there:
            admin.execute(f'CREATE DATABASE "{name}"')
        try:
            url = _text(server.set(database=name))
            _upgrade(url)
            yield Database(url, new=not there)
        finally:
            if not given.keep:
                admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


def write(figures: Any, given: argparse.Namespace) -> None:
    """Write the figures where they are wanted, if anywhere."""
    if given.json:
        given.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


def vacuum(url: str) -> None:
    """Bring statistics and visibility up to date, as autovacuum does in time."""
    with psycopg.connect(url, autocommit=True) as connection:
        for table in ("contacts", "attempts", "do_not_call"):
            connection.execute(f"VACUUM ANALYZE {table}")


@contextmanager
def indexes_made_afterwards(connection: psycopg.Connection[Any], table: str) -> Iterator[None]:
    """Drop the plain indexes of a table and make them again: filling is not what is measured."""
    kept = connection.execute(
        "SELECT indexname, indexdef FROM pg_indexes WHERE tablename = %s AND indexname LIKE 'ix%%'", (table,)
    ).fetchall()
    for index, _ in kept:
        connection.execute(f"DROP INDEX {index}")
    yield
    for _, definition in kept:
        connection.execute(definition)


@contextmanager
def _server(given: argparse.Namespace) -> Iterator[URL]:
    if given.database_url:
        yield make_url(given.database_url).set(drivername="postgresql")
        return
    from workers.embedded import EmbeddedServices

    with EmbeddedServices(given.data_dir, services=["postgres"]) as running:
        yield make_url(running.database_url).set(drivername="postgresql")


def _text(url: URL) -> str:
    return url.render_as_string(hide_password=False)


def _upgrade(url: str) -> None:
    from campaigns import schema
    from campaigns.db import engine_for
    from campaigns.installation import ensure_installation

    engine = engine_for(url)
    schema.upgrade(engine)
    ensure_installation(engine)
    engine.dispose()
