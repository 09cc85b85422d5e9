from concurrent.futures import ThreadPoolExecutor
from time import sleep

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


def test_every_campaign_of_the_release_before_begins_with_a_pool_of_its_number(engine: Engine) -> None:
    schema.downgrade(engine, "0008")
    with engine.begin() as connection:
        for name in ("one", "two"):
            connection.execute(
                text(
                    "INSERT INTO campaigns (name, pbx, mode, country, hours, caller_id, max_attempts, number_gap, "
                    "retry_delay, max_abandonment, answer_limit, wrap_up_limit, rule_pack, agents_spec) VALUES "
                    "(:name, 'main', 'manual', 'IT', 'always', '+390612345678', 3, 600, 3600, 0.03, 2, 30, "
                    "'default-2026', '')"
                ),
                {"name": name},
            )
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT number, daily_cap FROM caller_ids")).all() == [("+390612345678", None)]
        assert connection.execute(text("SELECT count(*) FROM campaign_caller_ids")).scalar_one() == 2


def test_hosts_that_migrate_at_once_wait_for_each_other_and_the_index_is_whole(engine: Engine) -> None:
    schema.downgrade(engine, "0008")
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(schema.upgrade, engine) for _ in range(3)]:
            done.result(timeout=60)
    assert differences(engine) == []
    with engine.connect() as connection:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_attempts_caller_id'::regclass"
        assert connection.execute(text(valid)).scalar_one()


def test_an_index_is_built_while_calls_go_on(engine: Engine) -> None:
    """A call that is being ordered keeps the build waiting, and the build keeps no call from being ordered."""
    schema.downgrade(engine, "0008")
    with ThreadPoolExecutor(1) as threads, engine.connect() as calling, engine.connect() as next_call:
        calling.execute(text("LOCK TABLE attempts IN ROW EXCLUSIVE MODE"))
        migrating = threads.submit(schema.upgrade, engine)
        with engine.connect() as looking:
            waits = (
                "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX%' AND wait_event_type = 'Lock'"
            )
            while not looking.execute(text(waits)).scalar_one():
                looking.rollback()
                assert not migrating.done()
                sleep(0.02)
        next_call.execute(text("SET lock_timeout = '1s'"))
        next_call.execute(text("LOCK TABLE attempts IN ROW EXCLUSIVE MODE"))
        next_call.rollback()
        calling.rollback()
        migrating.result(timeout=60)
    assert differences(engine) == []
