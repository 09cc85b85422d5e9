"""A file of numbers nobody may call: with a header or without, any delimiter, all its good numbers in one transaction.

Read like a contact list, with the same limits. A number that cannot be read is told with its line; it is not on the
list, so it must not be passed over in silence.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.import_columns import find_columns, known
from campaigns.import_encoding import detect
from campaigns.import_reading import Table
from campaigns.models import DoNotCall
from dialer.errors import BadInput
from dialer.numbers import Number, normalise

BATCH = 5_000
SHOWN = 1_000  # refused rows kept to be told; more are only counted


@dataclass(frozen=True, slots=True)
class Refused:
    """One row whose number cannot be read."""

    line: int
    value: str
    reason: str


@dataclass(slots=True)
class Added:
    """What came of a file. `duplicates` were on the list already, or twice in the file."""

    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    refused: list[Refused] = field(default_factory=list)


def add_file(
    session: Session,
    path: Path,
    *,
    country: str,
    campaign_id: int | None,
    reason: str,
    who: str,
    now: datetime,
) -> Added:
    """Put every number of a file on the do-not-call list of one campaign, or of all. The caller commits."""
    added = Added()
    batch: dict[str, None] = {}
    values: dict[str, object] = {
        "campaign_id": campaign_id,
        "source": f"file {path.name}"[:200],
        "reason": reason,
        "added_by": who,
        "added_at": now,
    }
    for line, cell in _cells(path, country):
        added.rows += 1
        number = normalise(cell, country)
        if not isinstance(number, Number):
            added.rejected += 1
            if len(added.refused) < SHOWN:
                added.refused.append(Refused(line, cell[:40], str(number)))
            continue
        batch[number.e164] = None
        if len(batch) >= BATCH:
            added.accepted += _write(session, batch, values)
    added.accepted += _write(session, batch, values)
    added.duplicates = added.rows - added.rejected - added.accepted
    ledger.record(
        session,
        at=now,
        kind="dnc_imported",
        who=who,
        campaign_id=campaign_id,
        why=reason,
        file_name=path.name,
        rows=added.rows,
        accepted=added.accepted,
        rejected=added.rejected,
        duplicates=added.duplicates,
    )
    return added


def _write(session: Session, batch: dict[str, None], values: dict[str, object]) -> int:
    if not batch:
        return 0
    rows = [{**values, "number": number} for number in batch]
    batch.clear()
    return len(session.execute(insert(DoNotCall).values(rows).on_conflict_do_nothing().returning(DoNotCall.id)).all())


def _cells(path: Path, country: str) -> Iterator[tuple[int, str]]:
    """Yield line and number of each row; of a file without a header, the column its first number stands in."""
    if not path.stat().st_size:
        raise BadInput(f"{path.name} is empty: there is no number in it")
    encoding = detect(path, path.name)
    with Table(path, path.name, encoding, None, known) as table:
        bare = next((n for n, cell in enumerate(table.header) if isinstance(normalise(cell, country), Number)), None)
        if bare is not None:
            yield table.header_line, table.header[bare]
            wanted = [bare]
        else:
            place = f"{path.name}, line {table.header_line}"
            columns = find_columns(table.header, "contacts", place=place, country=country)
            wanted = [column for column in (columns.phone, columns.phone2) if column >= 0]
        for record in table.records():
            cells = [record.cells[column] for column in wanted if column < len(record.cells)]
            filled = [cell for cell in cells if cell.strip()]
            for cell in filled or [""]:
                yield record.line, cell
