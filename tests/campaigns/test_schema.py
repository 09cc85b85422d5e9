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


CAMPAIGN = (
    "INSERT INTO campaigns (name, pbx, mode, state, country, hours, caller_id, max_attempts, number_gap, retry_delay, "
    "max_abandonment, answer_limit, wrap_up_limit, rule_pack, agents_spec) "
    "VALUES (:name, 'main', :mode, 'running', 'IT', 'always', '', 3, 0, 0, :limit, 2, 30, 'default-2026', '')"
)


def test_a_limit_nobody_had_the_right_to_raise_is_written_down_as_what_really_held(engine: Engine) -> None:
    schema.downgrade(engine, "0001")
    with engine.begin() as connection:
        for name, limit in (("calm", 0.02), ("raised", 0.05)):
            connection.execute(text(CAMPAIGN), {"name": name, "mode": "predictive", "limit": limit})
    schema.upgrade(engine)
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT name, max_abandonment, weight FROM campaigns ORDER BY name")).all()
        told = connection.execute(text("SELECT kind, details ->> 'old', details ->> 'new' FROM ledger")).all()
    assert [tuple(row) for row in kept] == [("calm", 0.02, 1.0), ("raised", 0.03, 1.0)]
    assert [tuple(row) for row in told] == [("pace", "0.05", "0.03")]


def test_a_mode_the_release_before_does_not_know_does_not_dial_there(engine: Engine) -> None:
    with engine.begin() as connection:
        for mode in ("manual", "predictive"):
            connection.execute(text(CAMPAIGN), {"name": mode, "mode": mode, "limit": 0.03})
    schema.downgrade(engine, "0001")
    with engine.connect() as connection:
        rows = connection.execute(text("SELECT name, mode, state FROM campaigns ORDER BY name")).all()
    assert [tuple(row) for row in rows] == [
        ("manual", "progressive", "stopped"),
        ("predictive", "predictive", "running"),
    ]


@pytest.mark.parametrize("goal", ["weight = 0", "ratio = 0", "calls_per_second = 0", "min_ring = -1"])
def test_the_database_refuses_goals_that_mean_nothing(engine: Engine, goal: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(CAMPAIGN), {"name": "spring", "mode": "predictive", "limit": 0.03})
    with pytest.raises(DBAPIError, match="ck_campaigns_goals"), engine.begin() as connection:
        connection.execute(text(f"UPDATE campaigns SET {goal}"))
