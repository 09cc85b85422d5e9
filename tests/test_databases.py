"""The databases of the tests: one that is lent again is as if fresh, or it is another."""

from collections.abc import Iterator

import psycopg
import pytest
from sqlalchemy.engine import make_url

from campaigns.db import engine_for, session_factory
from tests import factories
from tests.databases import Databases


@pytest.fixture
def server(services: tuple[str, str]) -> str:
    return make_url(services[0]).set(drivername="postgresql").render_as_string(hide_password=False)


@pytest.fixture
def own(server: str, template_database: str) -> Iterator[Databases]:
    databases = Databases(server, template_database)
    yield databases
    databases.close()


def at(server: str, name: str, driver: str = "postgresql") -> str:
    return make_url(server).set(drivername=driver, database=name).render_as_string(hide_password=False)


def filled(server: str, name: str) -> tuple[int, int]:
    """Write a campaign, its list, a contact and a call; returns the ids of contact and call."""
    engine = engine_for(at(server, name, "postgresql+psycopg"))
    with session_factory(engine)() as session:
        made = factories.attempt(session, factories.campaign(session))
        session.commit()
        ids = made.contact_id, made.id
    engine.dispose()
    return ids


def rows(server: str, name: str) -> dict[str, int]:
    with psycopg.connect(at(server, name)) as connection:
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        return {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for (table,) in tables}


def test_what_a_test_wrote_is_gone_and_ids_begin_anew(server: str, own: Databases) -> None:
    with own.lent() as name:
        fresh = rows(server, name)
        first = filled(server, name)
        assert rows(server, name) != fresh
    for _ in range(2):
        with own.lent() as again:
            assert again == name
            assert rows(server, name) == fresh
            assert filled(server, name) == first


def test_what_is_still_connected_is_cut_off(server: str, own: Databases) -> None:
    with own.lent() as name:
        left = psycopg.connect(at(server, name))
        left.execute("SELECT 1 FROM campaigns FOR UPDATE")
    with pytest.raises(psycopg.OperationalError):
        left.execute("SELECT 1")


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE contacts ADD COLUMN more text",
        "DROP INDEX ix_ledger_campaign",
        "CREATE TABLE another (n int)",
        "DELETE FROM alembic_version",
        "INSERT INTO ledger (at, kind, who, why, details) SELECT now(), 'x', 'x', repeat(md5(n::text), 20), '{}' "
        "FROM generate_series(1, 9000) n",
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND pid <> pg_backend_pid()",
    ],
    ids=["column", "index", "table", "what migrations wrote", "much larger", "connection cut"],
)
def test_where_more_than_rows_changed_the_next_test_gets_another(server: str, own: Databases, change: str) -> None:
    with own.lent() as name:
        fresh = rows(server, name)
        with psycopg.connect(at(server, name), autocommit=True) as connection:
            connection.execute(change)
    with own.lent() as again:
        assert again != name
        assert rows(server, again) == fresh
