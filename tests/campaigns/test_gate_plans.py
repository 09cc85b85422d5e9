"""What the gate asks of the database is answered through indexes, however the server plans it.

On tables so large that reading one pays for no planner; what PostgreSQL counts in the transaction is the judge.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.orm import Session

from campaigns import forgotten, gate
from campaigns.db import engine_for, session_factory
from campaigns.gate import Claim
from campaigns.models import Campaign
from dialer.settings import TimingSettings
from tests import factories
from tests.databases import Databases
from tests.factories import NOW
from tests.statements import statements

ROWS = 20_000
LARGE = ("contacts", "attempts", "do_not_call", "forgotten")
FILL = (
    "INSERT INTO contacts (campaign_id, list_id, line, phone, phone2, first_name, last_name, company, description, "
    "custom, next_at, priority, tried, consent) SELECT :campaign, :list, n, '+3906' || lpad(n::text, 8, '0'), "
    "CASE WHEN n % 3 = 0 THEN '+3902' || lpad(n::text, 8, '0') END, '', '', '', '', '{}', "
    "CAST(:now AS timestamptz) - n * interval '1 s', n % 5, n % 3, true FROM generate_series(1, :rows) n",
    "INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof, "
    "answer_limit, rule_pack, pbx, ref, state, ordered_at, not_after, ended_at, disposition_id) "
    "SELECT :campaign, k.id, k.phone, '4', 'x', 1, 1, '{}', 2, 'p', 'main', 'r' || k.id || t, 'no_answer', "
    "CAST(:now AS timestamptz) - t * interval '3 days', :now, :now, NULL "
    "FROM contacts k, generate_series(1, 2) t",
    "INSERT INTO do_not_call (number, source) SELECT '+3906' || lpad((n * 7)::text, 8, '0'), 'x' "
    "FROM generate_series(1, :rows) n",
    "INSERT INTO forgotten (digest) SELECT md5(n::text) || md5(n::text) FROM generate_series(1, 4 * :rows) n",
)


# Filled once, and for all of them.
pytestmark = pytest.mark.xdist_group("gate plans")


@pytest.fixture(scope="module")
def filled(services: tuple[str, str], databases: Databases) -> Iterator[tuple[str, int]]:
    """The address of a database with large tables, and its campaign."""
    with databases.lent() as name:
        url = make_url(services[0]).set(database=name).render_as_string(hide_password=False)
        engine = engine_for(url)
        with session_factory(engine)() as session:
            of = _fill(session)
        engine.dispose()
        yield url, of


@pytest.fixture
def database_url(filled: tuple[str, int]) -> str:
    return filled[0]


@pytest.fixture
def large(session: Session, filled: tuple[str, int]) -> Iterator[Campaign]:
    yield session.get_one(Campaign, filled[1])
    session.rollback()
    session.execute(update(Campaign).values(contact_order="", number_gap=600.0))
    session.commit()


def _fill(session: Session) -> int:
    made = factories.campaign(
        session, rule_pack="fr-2026", number_caps="3/day, 7/7d", contact_caps="9/7d", number_gap=600.0, max_attempts=9,
        contact_filter=[], mode="progressive",
    )  # fmt: skip
    factories.lease(session, made)
    of = factories.contact_list(session, made)
    forgotten.key_of(session)
    given = {"campaign": made.id, "list": of.id, "now": NOW, "rows": ROWS}
    for statement in FILL:
        session.execute(text(statement), given)
    session.commit()
    session.execute(text("ANALYZE " + ", ".join(LARGE)))
    session.commit()
    return made.id


def read_whole(session: Session) -> dict[str, int]:
    """Sequential scans of the large tables in this transaction."""
    query = text("SELECT relname, seq_scan FROM pg_stat_xact_user_tables WHERE relname = ANY(:large) AND seq_scan > 0")
    return {row.relname: row.seq_scan for row in session.execute(query, {"large": list(LARGE)})}


def let_through(session: Session, of: Campaign, groups: tuple[str, ...] = ()) -> gate.Allowed:
    claim = Claim(f"campaign:{of.id}", "test", 1)
    return gate.let_through(session, of.id, 100, claim, now=NOW, timing=TimingSettings(), groups=groups)


@contextmanager
def undone(session: Session) -> Iterator[None]:
    """Undo and commit, as the gate's callers do: after a rollback the driver forgets what it had prepared."""
    raw = session.connection().connection.driver_connection.pgconn  # type: ignore[union-attr]
    raw.exec_(b"SAVEPOINT before")
    yield
    raw.exec_(b"ROLLBACK TO SAVEPOINT before")
    session.expunge_all()
    session.commit()


@pytest.mark.parametrize("mode", ["auto", "force_custom_plan"])
@pytest.mark.parametrize("order", ["", "priority,freshest", "pacer"])
def test_no_large_table_is_read_whole(session: Session, large: Campaign, order: str, mode: str) -> None:
    large.contact_order = order if order != "pacer" else ""
    session.commit()
    groups = ("1/1",) if order == "pacer" else ()
    session.execute(text(f"SET plan_cache_mode = {mode}"))
    session.commit()
    for _ in range(12):  # after five times a statement is prepared, after five more it may be planned for any values
        with undone(session):
            allowed = let_through(session, large, groups)
            session.flush()
            assert len(allowed.contacts) == 100
            assert read_whole(session) == {}
    prepared = text("SELECT sum(generic_plans) AS any_values, sum(custom_plans) AS these FROM pg_prepared_statements")
    plans = session.execute(prepared).one()
    assert plans.these, "nothing was prepared, so nothing was tried"
    assert bool(plans.any_values) == (mode == "auto")


def test_reading_one_is_noticed(session: Session, large: Campaign) -> None:
    session.execute(text("SELECT count(*) FROM attempts WHERE answered_at IS NULL"))
    assert read_whole(session) == {"attempts": 1}


def test_the_plans_name_the_indexes(engine: Engine, session: Session, large: Campaign) -> None:
    asked: list[tuple[str, Any]] = []

    def keep(*args: Any) -> None:
        if args[2].lstrip().startswith(("SELECT", "WITH")):
            asked.append((args[2], args[3]))

    event.listen(engine, "before_cursor_execute", keep)
    let_through(session, large)
    event.remove(engine, "before_cursor_execute", keep)
    session.rollback()
    driver = session.connection().connection.cursor()
    plans = []
    for statement, values in asked:
        driver.execute("EXPLAIN " + statement, values)
        plans.append("\n".join(row[0] for row in driver.fetchall()))
    together = "\n\n".join(plans)
    for index in ("ix_contacts_due_in_order", "ix_attempts_contact", "ix_attempts_number",
                  "uq_do_not_call_number", "pk_forgotten"):  # fmt: skip
        assert index in together, together
    assert not [table for table in LARGE if f"Seq Scan on {table}" in together], together


@pytest.mark.parametrize(
    ("order", "wished", "most"),
    [("", (), 10), ("priority,freshest", (), 13), ("best-time", (), 15), ("", ("1/1",), 11)],
    ids=["due time", "priority", "best time", "pacer's wish"],
)
def test_a_choice_is_so_many_questions(
    engine: Engine, session: Session, large: Campaign, order: str, wished: tuple[str, ...], most: int
) -> None:
    """Each is a way to the server and back, and on a busy machine a wait: one more is to be worth it."""
    large.contact_order = order
    session.commit()
    session.execute(text("SELECT 1"))  # the connection is there
    with statements(engine) as asked:
        allowed = let_through(session, large, wished)
        session.flush()
    assert len(allowed.contacts) == 100
    put_off = sum(one.lstrip().startswith("UPDATE contacts") for one in asked)
    assert put_off == 1, "all at once, whatever the rules, and none for those who pass"
    assert len(asked) - put_off == most, asked


def test_what_is_asked_does_not_grow_with_those_that_are_put_off(
    engine: Engine, session: Session, large: Campaign
) -> None:
    """All were called three days ago, which is too lately: a handful of questions says so, and not some for each."""
    asked: list[str] = []

    def keep(*args: Any) -> None:
        asked.append(args[2])

    large.number_gap = 10 * 86_400.0
    session.commit()
    event.listen(engine, "before_cursor_execute", keep)
    allowed = let_through(session, large)
    session.flush()
    event.remove(engine, "before_cursor_execute", keep)
    assert allowed.passed.refused["number_gap"] > 100
    assert len(asked) <= 15, Counter(one[:60] for one in asked)
    assert session.scalar(text("SELECT min(next_at) FROM contacts WHERE next_at > :now"), {"now": NOW}) == datetime(
        2026, 3, 9, 9, 0, tzinfo=UTC
    )
