"""Lists and imports as people ask about them: what came in, what was refused, what is left to call."""

import csv
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns.db import MOST_ID
from campaigns.import_columns import OURS
from campaigns.models import Campaign, ContactList, Import
from dialer.errors import BadInput, NotFound

_MOST_ROWS_READ = 200_000  # of a reject file, to group its reasons


@dataclass(frozen=True, slots=True)
class ListRow:
    """One import and the list it became."""

    import_id: int
    campaign: str
    name: str
    file_name: str
    kind: str
    state: str
    created_at: datetime
    rows: int
    accepted: int
    rejected: int
    duplicates: int
    reject_file: str | None
    error: str | None
    contacts: int
    left: int
    dry_run: bool
    updated: int  # of the duplicates: those that changed a contact
    note: str | None
    who: str
    bytes_total: int
    bytes_done: int
    finished_at: datetime | None
    remarks_file: str | None = None
    list_id: int | None = None
    tried: int = 0  # contacts called at least once
    cap: str = ""  # how many of them may be, at all and a day (`dialer.list_caps`)
    cap_today: str = ""

    @property
    def penetration(self) -> float:
        """The share of its contacts that were tried at least once, 0 to 1."""
        return self.tried / self.contacts if self.contacts else 0.0

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state not in ("waiting", "running")

    @property
    def progress(self) -> float:
        """How much of the file was read, 0 to 1."""
        if self.state == "done":
            return 1.0
        return min(1.0, self.bytes_done / self.bytes_total) if self.bytes_total else 0.0

    def as_json(self) -> dict[str, Any]:
        """Return the row for a program."""
        return asdict(self)


_QUERY = text(
    """
    SELECT i.id AS import_id, c.name AS campaign, coalesce(l.name, i.file_name) AS name, i.file_name, i.kind, i.state,
           i.created_at, i.rows, i.accepted, i.rejected, i.duplicates, i.reject_file, i.error,
           coalesce((i.options->>'dry_run')::boolean, false) AS dry_run, i.updated, i.options->>'note' AS note,
           coalesce(i.options->>'who', 'system') AS who, i.bytes_total, i.bytes_done, i.finished_at,
           i.options->>'remarks_file' AS remarks_file,
           count(k.id) AS contacts, count(k.id) FILTER (WHERE k.state <> 'closed') AS left,
           l.id AS list_id, count(k.id) FILTER (WHERE k.tried > 0) AS tried,
           coalesce(l.cap, '') AS cap, coalesce(l.cap_today, '') AS cap_today
    FROM imports i
    JOIN campaigns c ON c.id = i.campaign_id
    LEFT JOIN lists l ON l.id = i.list_id
    LEFT JOIN contacts k ON k.list_id = i.list_id
    WHERE (CAST(:campaign_id AS bigint) IS NULL OR i.campaign_id = :campaign_id)
      AND (CAST(:import_id AS bigint) IS NULL OR i.id = :import_id)
    GROUP BY i.id, c.name, l.id
    ORDER BY i.id DESC
    LIMIT :most
    """
)


def list_rows(session: Session, campaign: Campaign | None, *, most: int = 200) -> list[ListRow]:
    """Return the newest imports first, of one campaign or of all."""
    given = {"campaign_id": campaign.id if campaign else None, "import_id": None, "most": most}
    return [ListRow(**row) for row in session.execute(_QUERY, given).mappings()]


def list_row(session: Session, campaign: Campaign, import_id: int) -> ListRow:
    """Return one import of a campaign; NotFound when it is none of its own."""
    given = {"campaign_id": campaign.id, "import_id": import_id, "most": 1}
    found = session.execute(_QUERY, given).mappings().one_or_none() if 0 < import_id <= MOST_ID else None
    if found is None:
        raise NotFound(f"campaign {campaign.name} has no import {import_id}: `dialer list show` lists them")
    return ListRow(**found)


def reject_path(row: ListRow) -> Path:
    """Return the reject file of an import; NotFound when nothing was refused, or it is not kept any more."""
    if row.reject_file is None:
        raise NotFound(f"import {row.import_id} has no rejected rows" if row.over else "the import is not over yet")
    path = Path(row.reject_file)
    if not path.is_file():
        raise NotFound(
            f"the rejected rows of import {row.import_id} are not kept any more (retention.reject_files_days), or "
            "lie on another host: web and workers must share one data folder"
        )
    return path


def remarks_path(row: ListRow) -> Path:
    """Return the file of what was changed in rows that were taken; NotFound when there is none, or none any more."""
    path = Path(row.remarks_file) if row.remarks_file is not None else None
    if path is None or not path.is_file():
        raise NotFound(
            f"import {row.import_id} has no remarks" if path is None else "the remarks are not kept any more"
        )
    return path


def list_named(session: Session, campaign: Campaign, name: str) -> ContactList:
    """Find a list by its name, or by the number of its import."""
    query = select(ContactList).where(ContactList.campaign_id == campaign.id, ContactList.undone_at.is_(None))
    found = session.scalars(query.where(ContactList.name == name)).all()
    if not found and name.isascii() and name.isdecimal():
        found = session.scalars(
            query.join(Import, Import.list_id == ContactList.id).where(Import.id == int(name[:18]))
        ).all()
    if not found:
        known = ", ".join(repr(one.name) for one in session.scalars(query.limit(12))) or "none"
        raise NotFound(f"campaign {campaign.name} has no list {name!r} (there are: {known})")
    if len(found) > 1:
        raise BadInput(f"{len(found)} lists are named {name!r}: give the import's number from `dialer list show`")
    return found[0]


def import_to_undo(session: Session, campaign: Campaign, import_id: int | None) -> Import:
    """Return the import a person means: by its number, or the newest of the campaign that brought something."""
    query = select(Import).where(Import.campaign_id == campaign.id)
    if import_id is not None:
        found = session.scalars(query.where(Import.id == import_id)).one_or_none()
        if found is None:
            raise NotFound(f"campaign {campaign.name} has no import {import_id}: `dialer list show` lists them")
        return found
    newest = query.where(
        Import.state.in_(("waiting", "running", "done")), Import.options["dry_run"].as_boolean().is_not(True)
    )
    found = session.scalars(newest.order_by(Import.id.desc()).limit(1)).one_or_none()
    if found is None:
        raise NotFound(f"campaign {campaign.name} has no import that could be taken back")
    return found


@dataclass(frozen=True, slots=True)
class Reason:
    """Rows refused for one reason: how many, and one of them."""

    rows: int
    column: str
    reason: str
    remedy: str
    line: str
    value: str


def grouped(column: str, reason: str, remedy: str) -> tuple[str, str, str]:
    """Return what refused rows are counted by: the line and the list differ from row to row, the reason does not."""
    return column, re.sub(r"\d+|'[^']*'", "…", reason), remedy


def reasons(reject_file: Path, *, most: int = 8) -> Sequence[Reason]:
    """Group the rows of a reject file by what is to be done about them, the commonest first."""
    counts: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], dict[str, str]] = {}
    with reject_file.open(encoding="utf-8-sig", newline="") as file:
        for number, cells in enumerate(csv.reader(file)):
            if number == 0 or len(cells) < len(OURS):
                continue
            row = dict(zip(OURS, cells[-len(OURS) :], strict=True))
            group = grouped(row["column"], row["reason"], row["remedy"])
            counts[group] += 1
            first.setdefault(group, row)
            if number >= _MOST_ROWS_READ:
                break
    return [
        Reason(rows, group[0], first[group]["reason"], group[2], first[group]["line"], first[group]["value"])
        for group, rows in counts.most_common(most)
    ]
