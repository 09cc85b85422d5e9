"""A file of numbers nobody may call: with a header or without, any delimiter, all its good numbers in one transaction.

Read like a contact list, with the same limits and a reject file alike. A number that cannot be read is told with its
line; it is not on the list, so it must not be passed over in silence.
"""

import itertools
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import import_storing, ledger
from campaigns.do_not_call import one_line
from campaigns.import_columns import find_columns, known
from campaigns.import_encoding import detect
from campaigns.import_judging import Problem
from campaigns.import_reading import Record, Table
from campaigns.import_rejects import RejectFile
from dialer.errors import BadInput
from dialer.number_reader import NumberReader
from dialer.numbers import NumberProblem, normalise

BATCH = 5_000
SHOWN = 1_000  # refused rows kept to be told; the reject file has them all
_INSERT = text("""
    INSERT INTO do_not_call (number, campaign_id, source, reason, added_by, added_at)
    SELECT n, CAST(:campaign_id AS bigint), :source, :reason, :added_by, :added_at
    FROM unnest(CAST(:numbers AS text[])) AS n
    ON CONFLICT DO NOTHING RETURNING number
""")


@dataclass(frozen=True, slots=True)
class Refused:
    """One row with a number that cannot be read."""

    line: int
    value: str
    reason: str


@dataclass(slots=True)
class Added:
    """What came of a file. `duplicates`: rows whose numbers were on the list already, or above in the file."""

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    refused: list[Refused] = field(default_factory=list)
    reject_file: str | None = None


def add_file(
    session: Session,
    path: Path,
    *,
    country: str,
    campaign_id: int | None,
    reason: str,
    who: str,
    now: datetime,
    data_dir: Path | None = None,
) -> Added:
    """Put every number of a file on the do-not-call list of one campaign, or of all. The caller commits.

    A row may hold two numbers; the good one of a refused row is added all the same, which errs on the side of the
    person. With `data_dir`, refused rows go to a reject file there. BadInput when the file cannot be read to its end.
    """
    added, name = Added(), import_storing.clean_name(path.name)
    values: dict[str, object] = {
        "campaign_id": campaign_id,
        "source": f"file {name}",
        "reason": one_line(reason),
        "added_by": who,
        "added_at": now,
    }
    try:
        encoding = detect(path, name)
        with ExitStack() as stack:
            table = stack.enter_context(Table(path, name, encoding, None, known))
            wanted, first = _number_columns(table, name, country)
            names = table.header if not first else [f"column_{at + 1}" for at in range(len(table.header))]
            rejects = None
            if data_dir is not None:
                file = import_storing.folder(data_dir) / f"dnc-{uuid.uuid4().hex[:12]}.rejected.csv"
                rejects = stack.enter_context(RejectFile(file, names, marked=encoding.marked))
            records = itertools.chain(first, table.records())
            for batch in _judged(records, wanted, NumberReader(country), names, added, rejects):
                _write(session, batch, values, added)
            if rejects is not None:
                found = rejects.finish()
                added.reject_file = str(found) if found else None
    except OSError as exc:
        raise BadInput(f"{name} cannot be read: {exc.strerror or exc}") from None
    ledger.record(
        session,
        at=now,
        kind="dnc_imported",
        who=who,
        campaign_id=campaign_id,
        why=reason,
        file_name=name,
        rows=added.rows,
        accepted=added.accepted,
        rejected=added.rejected,
        duplicates=added.duplicates,
    )
    return added


def _number_columns(table: Table, name: str, country: str) -> tuple[list[int], list[Record]]:
    """Return the columns that hold numbers and, when there is no header, the first line as the row it is."""
    header = table.header
    if not any(map(known, header)):
        numbers = [at for at, cell in enumerate(header) if _like_a_number(cell, country)]
        if numbers:
            return numbers[:1], [Record(table.header_line, header)]
    columns = find_columns(header, "contacts", place=f"{name}, line {table.header_line}", country=country)
    return [at for at, _ in columns.numbers], []


def _like_a_number(cell: str, country: str) -> bool:
    """Whether a cell of the first line is a number, if a bad one: more digits than anything else."""
    number = normalise(cell, country)
    digits = sum(char.isdigit() for char in cell)
    return not isinstance(number, NumberProblem) or (number.code != "letters" and digits * 2 > len(cell))


def _judged(
    records: Iterable[Record],
    wanted: Sequence[int],
    reader: NumberReader,
    names: Sequence[str],
    added: Added,
    rejects: RejectFile | None,
) -> Iterator[list[list[str]]]:
    """Yield the good numbers of the rows, in batches; one of a refused row ends with an empty text."""
    batch: list[list[str]] = []
    for record in records:
        added.rows += 1
        cells = [(at, cell) for at in wanted if at < len(record.cells) and (cell := record.cells[at].strip())]
        verdicts = [(at, cell, reader.read(cell)) for at, cell in cells or [(wanted[0], "")]]
        bad = [(at, cell, one) for at, cell, one in verdicts if isinstance(one, NumberProblem)]
        good = [one for _, _, one in verdicts if isinstance(one, str)]
        if bad:
            _refuse(record, bad, names, added, rejects)
        if good:
            batch.append([*good, ""] if bad else good)
        if len(batch) >= BATCH:
            yield batch
            batch = []
            if rejects is not None:
                rejects.flush()
    yield batch


def _refuse(
    record: Record,
    bad: Sequence[tuple[int, str, NumberProblem]],
    names: Sequence[str],
    added: Added,
    rejects: RejectFile | None,
) -> None:
    added.rejected += 1
    if len(added.refused) < SHOWN:
        shown = bad[0][1][:40].encode("utf-8", "backslashreplace").decode()
        added.refused.append(Refused(record.line, shown, str(bad[0][2])))
    if rejects is not None:
        problems = [Problem(names[at], cell, one.reason, one.remedy) for at, cell, one in bad]
        rejects.add(record.line, record.cells, problems)


def _write(session: Session, batch: list[list[str]], values: dict[str, object], added: Added) -> None:
    """Add the numbers of these rows; a row is new when one of its numbers is."""
    if not batch:
        return
    numbers = list(dict.fromkeys(one for row in batch for one in row if one))
    new = set(session.scalars(_INSERT, {**values, "numbers": numbers}))
    for row in batch:
        if row[-1] == "":
            continue
        if new.isdisjoint(row):
            added.duplicates += 1
        else:
            added.accepted += 1
            new.difference_update(row)
