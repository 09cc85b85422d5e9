from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import Any

import psycopg.errors
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, event, text
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


# While calls go on ---------------------------------------------------------------------------------------

CONTACT = (
    "INSERT INTO lists (campaign_id, name, kind) VALUES (1, 'x', 'contacts'); "
    "INSERT INTO contacts (campaign_id, list_id, line, phone, first_name, last_name, company, description, custom) "
    "VALUES (1, 1, 2, '+390612345678', '', '', '', '', '{}')"
)


def before_the_indexes(engine: Engine, revision: str = "0007") -> None:
    """A database of the release before, with somebody to call."""
    schema.downgrade(engine, revision)
    with engine.begin() as connection:
        connection.execute(text(CAMPAIGN), {"name": "spring", "mode": "predictive", "limit": 0.03})
        connection.execute(text(CONTACT))


def test_contacts_are_written_to_while_their_indexes_are_built(engine: Engine) -> None:
    before_the_indexes(engine)
    beside: list[str] = []

    def write_beside(*args: Any) -> None:
        statement = " ".join(args[2].split())
        if " ix_contacts_" in statement and statement.startswith(("CREATE INDEX", "DROP INDEX")):
            assert "CONCURRENTLY" in statement, f"{statement} keeps every call waiting"
            with engine.begin() as calls:
                calls.execute(text("SET LOCAL lock_timeout = '300ms'"))
                calls.execute(text("UPDATE contacts SET next_at = now()"))
            beside.append(statement)

    event.listen(engine, "before_cursor_execute", write_beside)
    schema.upgrade(engine)
    event.remove(engine, "before_cursor_execute", write_beside)
    assert len(beside) == 7, "nothing was seen, so nothing was shown"
    assert differences(engine) == []


def test_an_index_that_was_being_built_when_all_went_down_is_built_by_the_next_try(engine: Engine) -> None:
    before_the_indexes(engine)

    def power_cut(*args: Any) -> None:
        if "ix_contacts_lanes" in args[2]:
            raise RuntimeError("the power is gone")

    event.listen(engine, "before_cursor_execute", power_cut)
    with pytest.raises(RuntimeError, match="power"):
        schema.upgrade(engine)
    event.remove(engine, "before_cursor_execute", power_cut)
    with engine.begin() as connection:  # what a build leaves that ended half-way
        connection.execute(
            text("UPDATE pg_index SET indisvalid = false WHERE indexrelid = to_regclass('ix_contacts_phone2')")
        )
    assert schema.current(engine) == "0007"
    schema.upgrade(engine)
    assert differences(engine) == []
    with engine.connect() as connection:
        invalid = connection.execute(text("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid")).all()
    assert invalid == []


ATTEMPT = (
    "INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof, "
    "answer_limit, rule_pack, pbx, ref, state, ordered_at, not_after, ended_at) "
    "VALUES (1, :contact, :number, '4', 'x', 1, 1, '{}', 2, 'p', 'main', :number, 'no_answer', now(), now(), now())"
)


def test_who_lost_a_number_before_the_database_noted_it_is_found_by_their_calls(engine: Engine) -> None:
    before_the_indexes(engine, "0020")
    with engine.begin() as connection:
        connection.execute(text(CONTACT.replace("45678", "45679")))
        for contact, number in ((1, "+390612345678"), (2, "+390612345679"), (2, "+390699999999")):
            connection.execute(text(ATTEMPT), {"contact": contact, "number": number})
    schema.upgrade(engine)
    with engine.connect() as connection:
        lost = connection.execute(text("SELECT id, renumbered FROM contacts ORDER BY id")).all()
    assert lost == [(1, False), (2, True)]


def test_a_migration_leaves_no_time_outs_on_the_connections_that_calls_use(engine: Engine) -> None:
    before_the_indexes(engine)
    schema.upgrade(engine)
    with engine.connect() as connection:
        assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "5s"
        assert connection.execute(text("SHOW statement_timeout")).scalar_one() == "1min"


def test_two_who_migrate_at_once_take_turns(engine: Engine) -> None:
    before_the_indexes(engine)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: schema.upgrade(engine), range(2)))
    assert differences(engine) == []


def test_promises_of_the_release_before_begin_the_count_anew(engine: Engine) -> None:
    schema.downgrade(engine, "0008")
    promise = (
        "INSERT INTO callbacks (campaign_id, contact_id, due_date, zone, due_at, deadline_at, alarm_at, made_at, "
        "made_by, attempts_before, result, closed_at) "
        "SELECT 1, id, '2026-03-02', 'UTC', now(), now() + interval '1 h', now(), '2026-03-01', 'a', :before, :result, "
        "CASE WHEN :result = '' THEN NULL ELSE now() END FROM contacts WHERE id = :id"
    )
    with engine.begin() as connection:
        connection.execute(text(CAMPAIGN), {"name": "spring", "mode": "predictive", "limit": 0.03})
        connection.execute(text(CONTACT))
        for n in (2, 3, 4):
            connection.execute(
                text(
                    "INSERT INTO contacts (campaign_id, list_id, line, phone, first_name, last_name, company, "
                    "description, custom, promised_at) "
                    "SELECT 1, 1, CAST(:n AS int), '+3906' || :n, '', '', '', '', '{}', CAST(:at AS timestamptz)"
                ),
                {"n": str(n), "at": "2026-02-01" if n == 4 else None},
            )
        for contact, before, result in ((1, 3, ""), (2, 0, ""), (3, 3, "kept"), (4, 3, "")):
            connection.execute(text(promise), {"id": contact, "before": before, "result": result})
    schema.upgrade(engine)
    with engine.connect() as connection:
        marks = connection.execute(text("SELECT promised_at::date::text FROM contacts ORDER BY id")).scalars().all()
    assert marks == ["2026-03-01", None, None, "2026-02-01"]


def test_every_campaign_of_the_release_before_begins_with_a_pool_of_its_number(engine: Engine) -> None:
    schema.downgrade(engine, "0010")
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
    schema.downgrade(engine, "0010")
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(schema.upgrade, engine) for _ in range(3)]:
            done.result(timeout=60)
    assert differences(engine) == []
    with engine.connect() as connection:
        valid = "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_attempts_caller_id'::regclass"
        assert connection.execute(text(valid)).scalar_one()


def test_an_index_is_built_while_calls_go_on(engine: Engine) -> None:
    """A call that is being ordered keeps the build waiting, and the build keeps no call from being ordered."""
    schema.downgrade(engine, "0010")
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
