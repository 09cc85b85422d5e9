import psycopg.errors
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from campaigns import schema
from campaigns.db import Base


def differences(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, Base.metadata))


def test_migrations_from_empty_equal_the_models(engine: Engine) -> None:
    assert differences(engine) == []
    assert schema.current(engine) == schema.newest()


def test_the_revision_we_compare_with_is_alembics_newest() -> None:
    assert schema.newest() == ScriptDirectory.from_config(schema.alembic_config()).get_current_head()


def test_an_empty_database_is_at_no_revision(engine: Engine) -> None:
    schema.downgrade(engine)
    assert schema.current(engine) is None


def test_the_comparison_notices_a_missing_column(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE contacts DROP COLUMN company"))
    assert differences(engine) != []


def test_down_leaves_nothing_and_up_again_equals_the_models(engine: Engine) -> None:
    schema.downgrade(engine)
    with engine.connect() as connection:
        left = connection.execute(
            text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'")
        ).all()
        functions = connection.execute(
            text("SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
        ).all()
    assert (left, functions) == ([], [])
    schema.upgrade(engine)
    assert differences(engine) == []


@pytest.mark.parametrize("change", ["UPDATE ledger SET why = ''", "DELETE FROM ledger", "TRUNCATE ledger"])
def test_the_ledger_refuses_every_change(engine: Engine, change: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO ledger (at, kind, who) VALUES (now(), 'started', 'test')"))
    with pytest.raises(DBAPIError) as refused, engine.begin() as connection:
        connection.execute(text(change))
    assert isinstance(refused.value.orig, psycopg.errors.InsufficientPrivilege)
    assert "append-only" in str(refused.value)
