"""A file against the list it became, or an earlier one: who is new in it, who is gone from it, and what changed.

Rows are the same when the number tried first is. The file is judged as an import would, put into a table that ends
with the transaction, and compared by the database. Nothing is changed.
"""

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, TextIO

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.import_calendar import callback_rows
from campaigns.import_columns import find_columns, known
from campaigns.import_copying import COLUMNS, copy_lines, driver
from campaigns.import_encoding import detect
from campaigns.import_judging import GoodRow, Judge
from campaigns.import_options import ImportOptions
from campaigns.import_reading import Table
from campaigns.import_rejects import safe
from campaigns.import_repeats import Seen
from campaigns.models import Campaign, ContactList, Import
from dialer.errors import NotFound

_AT_ONCE = 5_000
COMPARED = ("phone2", "more_numbers", "first_name", "last_name", "company", "description", "priority", "due_date")


@dataclass(frozen=True, slots=True)
class Difference:
    """One contact, or one of its columns, that is not the same: `loaded` here, `read` in the file."""

    what: str  # added, gone or changed
    line: int  # of the file; of the file it came from, for who is gone
    phone: str
    column: str = ""
    loaded: str = ""
    read: str = ""


@dataclass(slots=True)
class Diff:
    """How a file differs from a list."""

    list_name: str
    import_id: int
    rows: int = 0
    added: int = 0
    gone: int = 0
    changed: int = 0
    same: int = 0
    rejected: int = 0
    repeated: int = 0  # rows of the file that repeat an earlier one of it
    columns: Counter[str] = field(default_factory=Counter)  # contacts changed in each

    def as_json(self) -> dict[str, Any]:
        """Return the figures for a program."""
        figures = ("rows", "added", "gone", "changed", "same", "rejected", "repeated")
        told = {name: getattr(self, name) for name in figures}
        return {"list": self.list_name, "import": self.import_id, **told, "columns": dict(self.columns)}


def writer(file: TextIO) -> Callable[[Difference], None]:
    """Return what writes each difference to a CSV file that spreadsheets do not run."""
    out = csv.writer(file, lineterminator="\n")
    out.writerow(["what", "line", "phone", "column", "loaded", "file"])

    def tell(one: Difference) -> None:
        out.writerow([safe(cell) for cell in (one.what, str(one.line), one.phone, one.column, one.loaded, one.read)])

    return tell


def loaded_import(session: Session, campaign: Campaign, file_name: str, import_id: int | None) -> Import:
    """Return the import to compare with: the one named, else the newest of a file of that name, else the newest."""
    query = (
        select(Import)
        .join(ContactList, ContactList.id == Import.list_id)
        .where(Import.campaign_id == campaign.id, Import.state == "done", ContactList.undone_at.is_(None))
    )
    if import_id is not None:
        query = query.where(Import.id == import_id)
    found = session.scalars(query.order_by((Import.file_name == file_name).desc(), Import.id.desc())).first()
    if found is None:
        what = f"no import {import_id} with a list" if import_id is not None else "no list to compare with"
        raise NotFound(f"campaign {campaign.name} has {what}: `dialer list show` lists them")
    return found


def diff(
    session: Session,
    campaign: Campaign,
    path: Path,
    *,
    file_name: str,
    loaded: Import,
    options: ImportOptions,
    now: datetime,
    tell: Callable[[Difference], None] = lambda _: None,
) -> Diff:
    """Compare; every difference goes to `tell`, in the order of the numbers. BadInput when the file cannot be read."""
    session.execute(text("SET LOCAL statement_timeout = '10min'"))
    listed = session.get_one(ContactList, loaded.list_id)
    made = Diff(listed.name, loaded.id)
    _read(session, campaign, path, file_name, loaded.kind, options, now, made)
    given = {"list": listed.id}
    here = session.scalar(text("SELECT count(*) FROM contacts WHERE list_id = :list"), given) or 0
    for row in session.execute(_QUERY, given, execution_options={"stream_results": True, "yield_per": 2_000}):
        if row.loaded is None:
            made.added += 1
            tell(Difference("added", row.line, row.phone))
        elif row.read is None:
            made.gone += 1
            tell(Difference("gone", row.line, row.phone))
        else:
            made.changed += 1
            for column, before, after in _columns(row.loaded, row.read):
                made.columns[column] += 1
                tell(Difference("changed", row.line, row.phone, column, before, after))
    made.same = here - made.gone - made.changed
    return made


_FIELDS = ", ".join(f"'{name}', {{0}}.{name}" for name in (*COMPARED, "custom"))
_SAME = " AND ".join(f"k.{name} IS NOT DISTINCT FROM n.{name}" for name in (*COMPARED, "custom"))
_QUERY = text(f"""
    SELECT coalesce(n.line, k.line) AS line, coalesce(n.phone, k.phone) AS phone,
           CASE WHEN k.phone IS NOT NULL THEN jsonb_build_object({_FIELDS.format("k")}) END AS loaded,
           CASE WHEN n.phone IS NOT NULL THEN jsonb_build_object({_FIELDS.format("n")}) END AS read
    FROM (SELECT * FROM contacts WHERE list_id = :list) k FULL JOIN incoming n ON n.phone = k.phone
    WHERE k.phone IS NULL OR n.phone IS NULL OR NOT ({_SAME})
    ORDER BY 2
""")  # noqa: S608 (names of our own)


def _columns(loaded: dict[str, Any], read: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    for name in COMPARED:
        if loaded[name] != read[name]:
            yield name, _shown(loaded[name]), _shown(read[name])
    for name in sorted(loaded["custom"].keys() | read["custom"].keys()):
        before, after = loaded["custom"].get(name), read["custom"].get(name)
        if before != after:
            yield name, _shown(before), _shown(after)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _read(
    session: Session,
    campaign: Campaign,
    path: Path,
    file_name: str,
    kind: str,
    options: ImportOptions,
    now: datetime,
    made: Diff,
) -> None:
    """Judge the file into the table `incoming`."""
    session.execute(text(f"CREATE TEMPORARY TABLE incoming ON COMMIT DROP AS SELECT {COLUMNS} FROM contacts LIMIT 0"))  # noqa: S608
    encoding = detect(path, file_name, options.encoding)
    with Table(path, file_name, encoding, options.delimiter, known) as table:
        place = f"{file_name}, line {table.header_line}"
        columns = find_columns(table.header, kind, place=place, country=campaign.country, mapping=options.mapping)
        callbacks = callback_rows(session, campaign, options, now)[0] if kind == "callbacks" else None
        judge = Judge(columns, campaign.country, clean=encoding.clean, callbacks=callbacks)
        seen, batch = Seen(), list[tuple[int, GoodRow]]()
        for record in table.records():
            made.rows += 1
            row = judge.judge(record)
            if isinstance(row, list):
                made.rejected += 1
            elif seen.first((row.phone,), record.line)[1] != record.line:
                made.repeated += 1
            else:
                batch.append((record.line, row))
            if len(batch) >= _AT_ONCE:
                _copy(session, batch, campaign.id, now)
        _copy(session, batch, campaign.id, now)
    session.execute(text("ANALYZE incoming"))


def _copy(session: Session, batch: list[tuple[int, GoodRow]], campaign_id: int, now: datetime) -> None:
    if batch:
        with driver(session).cursor() as cursor, cursor.copy(f"COPY incoming ({COLUMNS}) FROM STDIN") as copy:
            copy.write("".join(copy_lines(batch, campaign_id, 0, now)).encode())
        batch.clear()
