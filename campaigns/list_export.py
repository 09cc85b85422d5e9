"""Everything a campaign knows of its contacts, as a CSV file that spreadsheets do not run and the importer takes back.

Original fields first, under names the importer knows; then the list's own columns; then ours, which begin with
`dialer_` and are left out when such a file is imported again. Rows stream: a list of millions needs no memory.
"""

import csv
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, TextIO

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.forgotten import ERASED
from campaigns.import_columns import OURS_BEGIN, extra_number
from campaigns.import_rejects import safe
from campaigns.lists_view import import_to_undo
from campaigns.models import Campaign
from dialer.errors import NotFound

_AT_ONCE = 2_000
_FIELDS = ("phone", "mobile")
_TOLD = ("first_name", "last_name", "company", "description", "priority")
_STATE = (
    "contact", "list", "import", "line", "state", "closed_because", "next_at", "next_number", "same_as",
    "attempts", "last_outcome", "last_at", "last_number", "outcomes",
)  # fmt: skip

_WHOSE = f"""
    FROM contacts k JOIN lists l ON l.id = k.list_id
    WHERE k.campaign_id = :campaign AND (CAST(:list AS bigint) IS NULL OR k.list_id = :list)
      AND (:everything OR l.undone_at IS NULL) AND k.phone NOT LIKE '{ERASED}%' -- of whom nothing is left to take out
"""
_SHAPE = text(f"""
    SELECT coalesce(max(cardinality(k.more_numbers)), 0) AS more,
           coalesce(bool_or(k.due_date IS NOT NULL), false) AS due
    {_WHOSE}
""")
_NAMES = text(f"""
    SELECT name FROM (SELECT DISTINCT jsonb_object_keys(k.custom) AS name {_WHOSE} AND k.custom <> '{{}}') AS names
    ORDER BY name
""")  # noqa: S608
_ROWS = text(f"""
    SELECT k.id, k.phone, k.phone2, k.more_numbers, k.first_name, k.last_name, k.company, k.description, k.custom,
           k.due_date, p.name AS period, l.name AS list_name, i.id AS import_id, k.line, k.state, k.closed_because,
           k.next_at, k.next_number, k.priority, k.same_as, a.attempts, a.last_at, a.last_number, a.outcomes
    FROM (SELECT k.* {_WHOSE}) AS k
    JOIN lists l ON l.id = k.list_id
    LEFT JOIN periods p ON p.id = k.period_id
    LEFT JOIN LATERAL (SELECT min(id) AS id FROM imports WHERE list_id = k.list_id) AS i ON true
    CROSS JOIN LATERAL (SELECT count(*) AS attempts, max(t.ordered_at) AS last_at,
                               (array_agg(t.number ORDER BY t.id DESC)
                                   FILTER (WHERE t.number NOT LIKE '{ERASED}%'))[1] AS last_number,
                               array_agg(t.state ORDER BY t.id) AS outcomes
                        FROM attempts t WHERE t.contact_id = k.id) AS a
    ORDER BY k.id
""")  # noqa: S608


def begin(
    session: Session, campaign: Campaign, *, import_id: int | None, everything: bool, file: str, who: str, now: datetime
) -> int | None:
    """Write down who takes the contacts out, and return the list that is meant; None for all of them.

    First, and for good: who has the numbers must be known whatever becomes of the file.
    """
    list_id = None
    if import_id is not None:
        list_id = import_to_undo(session, campaign, import_id).list_id
        if list_id is None:
            raise NotFound(f"import {import_id} brought no contacts: `dialer list show` lists those that did")
    ledger.record(
        session, at=now, kind="list_exported", who=who, campaign_id=campaign.id, import_id=import_id,
        everything=everything, file=file,
    )  # fmt: skip
    return list_id


def export(session: Session, campaign: Campaign, out: TextIO, *, list_id: int | None, everything: bool) -> int:
    """Write the contacts as CSV to `out`; how many. `everything`: those of lists taken back as well.

    The rows are those of one moment: one statement reads them.
    """
    given = {"campaign": campaign.id, "list": list_id, "everything": everything}
    session.execute(text("SET LOCAL statement_timeout = '10min'"))
    shape = session.execute(_SHAPE, given).one()
    columns = list(session.scalars(_NAMES, given))
    more = [extra_number(n) for n in range(3, 3 + shape.more)]
    due = ("dueDate", "period") if shape.due else ()
    writer = csv.writer(out, lineterminator="\n")
    taken = {*_FIELDS, *more, *_TOLD, *due}
    shown = [name if name not in taken else f"{name} (custom)" for name in columns]
    header = [*_FIELDS, *more, *_TOLD, *due, *shown, *(f"{OURS_BEGIN}{name}" for name in _STATE)]
    writer.writerow([safe(name) for name in header])
    count = 0
    for row in _stream(session, given):
        custom = row.custom if isinstance(row.custom, dict) else json.loads(row.custom)
        numbers = [row.phone, row.phone2 or "", *_filled(row.more_numbers or (), shape.more)]
        told = [row.first_name, row.last_name, row.company, row.description, str(row.priority)]
        dated = [str(row.due_date or ""), row.period or ""] if due else []
        kept = [str(custom.get(name, "")) for name in columns]
        writer.writerow([safe(cell) for cell in (*numbers, *told, *dated, *kept, *_state(row))])
        count += 1
    return count


def _stream(session: Session, given: dict[str, Any]) -> Iterator[Any]:
    rows = session.execute(_ROWS, given, execution_options={"stream_results": True, "yield_per": _AT_ONCE})
    yield from rows


def _filled(numbers: Sequence[str], width: int) -> list[str]:
    return [*numbers, *[""] * (width - len(numbers))]


def _state(row: Any) -> list[str]:
    outcomes = row.outcomes or []
    cells = (
        row.id, row.list_name, row.import_id, row.line, row.state, row.closed_because, _moment(row.next_at),
        row.next_number, row.same_as, row.attempts, outcomes[-1] if outcomes else "",
        _moment(row.last_at), row.last_number, " ".join(outcomes),
    )  # fmt: skip
    return ["" if cell is None else str(cell) for cell in cells]


def _moment(at: datetime | None) -> str:
    return at.isoformat() if at is not None else ""
