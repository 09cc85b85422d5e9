"""A database for each test, without the cost of making one: emptied after a test, made anew if more than rows changed.

Copying the template takes some fifty times as long as emptying, and thousands of tests want one.
"""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy.engine import make_url

# Growth (bytes) from which a database is thrown away: dead rows and statistics would steer the next test's plans.
MOST_GROWN = 4_000_000

_OURS = "relnamespace = 'public'::regnamespace"
_SHAPE = f"""
SELECT (SELECT jsonb_agg(jsonb_build_array(oid::bigint, relname, relfilenode::bigint, relchecks, reltuples)
                         ORDER BY oid) FROM pg_class WHERE {_OURS}),
       (SELECT jsonb_build_array(count(*), max(a.xmin::text::bigint)) FROM pg_attribute a
          JOIN pg_class c ON c.oid = attrelid WHERE {_OURS}),
       (SELECT jsonb_build_array(count(*), sum(oid::bigint), max(xmin::text::bigint)) FROM pg_constraint
         WHERE connamespace = 'public'::regnamespace),
       (SELECT jsonb_build_array(count(*), sum(oid::bigint), max(xmin::text::bigint)) FROM pg_proc
         WHERE pronamespace = 'public'::regnamespace),
       (SELECT jsonb_build_array(count(*), sum(oid::bigint), max(xmin::text::bigint)) FROM pg_trigger),
       (SELECT jsonb_build_array(count(*), sum(oid::bigint)) FROM pg_namespace WHERE nspname NOT LIKE 'pg_temp%'
          AND nspname NOT LIKE 'pg_toast_temp%'),
       (SELECT count(*) FROM pg_db_role_setting JOIN pg_database d ON d.oid = setdatabase
         WHERE d.datname = current_database())
"""
_SIZES = f"""
SELECT quote_ident(relname), relkind = 'r', pg_relation_size(oid) FROM pg_class WHERE relkind IN ('r', 'i') AND {_OURS}
"""
_USED = """
SELECT quote_literal(quote_ident(sequencename)), start_value FROM pg_sequences
 WHERE schemaname = 'public' AND last_value IS NOT NULL
"""
_OTHERS = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


class Databases:
    """Lends databases of the template's content; one that a test gave back is lent again."""

    def __init__(self, server: str, template: str) -> None:
        self._server, self._template = server, template
        self._free: list[_Database] = []

    @contextmanager
    def lent(self) -> Iterator[str]:
        """The name of a database nobody else uses, with the newest schema and what its migrations wrote."""
        database = self._free.pop() if self._free else self._made()
        try:
            yield database.name
        finally:
            if database.emptied():
                self._free.append(database)
            else:
                database.close()
                self._drop(database.name)

    def close(self) -> None:
        while self._free:
            (database := self._free.pop()).close()
            self._drop(database.name)

    def _made(self) -> "_Database":
        name = f"test_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self._server, autocommit=True) as admin:
            admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{self._template}" STRATEGY file_copy')
        return _Database(self._server, name)

    def _drop(self, name: str) -> None:
        with psycopg.connect(self._server, autocommit=True) as admin:
            admin.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


class _Database:
    """One database, and what it was like when it was new.

    It keeps its connection: what a new one must learn of the catalogs takes longer than what it is asked.
    """

    def __init__(self, server: str, name: str) -> None:
        self.name = name
        self._url = make_url(server).set(database=name).render_as_string(hide_password=False)
        self._connection = self._connected()
        self._shape = self._connection.execute(_SHAPE).fetchall()
        sizes = self._sizes()
        self._size = sum(size for _, _, size in sizes)
        tables = [name for name, is_table, _ in sizes if is_table]
        self._seeded = {table: rows for table in tables if (rows := _rows(self._connection, table))}
        self._begun = {sequence for sequence, _ in self._used()}
        # Past foreign keys, and past the ledger that refuses it.
        self._connection.execute("SET session_replication_role = replica")

    def emptied(self) -> bool:
        """Take out every row that was not there at first; false if that does not make it as it was."""
        try:
            return self._empty()
        except psycopg.Error:  # the server was stopped, or the database renamed: this test's own matter
            return False

    def close(self) -> None:
        self._connection.close()

    def _empty(self) -> bool:
        self._connection.execute(_OTHERS)
        if self._connection.execute(_SHAPE).fetchall() != self._shape:
            return False
        sizes = self._sizes()
        if sum(size for _, _, size in sizes) > self._size + MOST_GROWN:
            return False
        if any(_rows(self._connection, table) != rows for table, rows in self._seeded.items()):
            return False
        used = [table for table, is_table, size in sizes if is_table and size and table not in self._seeded]
        begun = [(sequence, start) for sequence, start in self._used() if sequence not in self._begun]
        again = [
            *(f"DELETE FROM {table}" for table in used),
            *(f"SELECT setval({sequence}, {start}, false)" for sequence, start in begun),
        ]
        if again:
            self._connection.execute("; ".join(again))
        return True

    def _sizes(self) -> list[tuple[str, bool, int]]:
        """Every table and index: its name, whether it is a table, and how many bytes it has."""
        return self._connection.execute(_SIZES).fetchall()

    def _used(self) -> list[tuple[str, int]]:
        """Every sequence a number was taken from, and where it began."""
        return self._connection.execute(_USED).fetchall()

    def _connected(self) -> "psycopg.Connection[tuple[Any, ...]]":
        return psycopg.connect(self._url, autocommit=True)


def _rows(connection: "psycopg.Connection[tuple[Any, ...]]", table: str) -> list[tuple[Any, ...]]:
    return connection.execute(f"SELECT t::text FROM {table} t ORDER BY 1 LIMIT 1000").fetchall()
