"""A file becomes contacts: a job that survives the one who asked for it, and imports all of its good rows or none.

`submit_import` keeps a copy of the file and a row that waits; `run_import` (campaigns.import_running) does the work;
`undo_import` takes it back. `rows` are the data rows read: accepted, rejected and duplicates add up to them, and every
row of the last two is in the reject file.
"""

import dataclasses
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from sqlalchemy import or_, select, text
from sqlalchemy.orm import Session

from campaigns import import_repeats, import_storing, ledger
from campaigns.contact_filters import NOT_WANTED
from campaigns.db import Base
from campaigns.import_options import KINDS, OUTSIDE_HOURS, SILENCE, ImportOptions
from campaigns.import_running import run_import
from campaigns.models import Campaign, ContactList, Import
from dialer.errors import AlreadyThere, BadInput, NotFound

__all__ = [
    "ImportOptions",
    "Undone",
    "forget_strays",
    "result",
    "run_import",
    "submit_import",
    "undo_import",
    "waiting_imports",
]

UNDONE = "import undone"
_ONE_SUBMITS = 0x0D1A0001  # first part of a transaction lock of PostgreSQL; the second is the campaign


@dataclass(frozen=True, slots=True)
class Undone:
    """What became of the contacts of an import that was taken back."""

    removed: int  # never tried
    closed: int  # tried before, or being talked to; called no more
    put_back: int = 0  # of other lists, changed by this import, as they were before


def submit_import(
    session: Session,
    *,
    campaign: Campaign,
    source: Path | BinaryIO,
    file_name: str,
    kind: str = "contacts",
    options: ImportOptions | None = None,
    data_dir: Path,
    now: datetime,
    who: str = "system",
) -> Import:
    """Keep a copy of the file and a row that says it waits. The caller commits, then rings `run_import`.

    BadInput for a file that is missing, empty or too large; AlreadyThere when this campaign has it (unless forced).
    """
    options = options or ImportOptions()
    if kind not in KINDS:
        raise BadInput(f"there is no kind of list {kind!r}: use contacts or callbacks")
    if options.duplicates not in import_repeats.ACTIONS or options.duplicates_in not in import_repeats.SCOPES:
        raise BadInput(
            f"duplicates {options.duplicates!r} in {options.duplicates_in!r}: use one of "
            f"{', '.join(import_repeats.ACTIONS)} in one of {', '.join(import_repeats.SCOPES)}"
        )
    if options.outside_hours not in OUTSIDE_HOURS:
        raise BadInput(f"outside hours {options.outside_hours!r}: use one of {', '.join(OUTSIDE_HOURS)}")
    if options.duplicates in (import_repeats.UPDATE, import_repeats.MERGE) and (
        options.duplicates_in == import_repeats.SYSTEM or kind != "contacts"
    ):
        raise BadInput(
            "a file changes contacts of its own campaign only, and no callbacks: use --duplicates-in campaign, "
            "or --duplicates skip"
        )
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name!r} is archived: it takes no more lists")
    file_name = import_storing.clean_name(file_name)
    kept = import_storing.keep(source, data_dir, file_name)
    try:
        if not options.force and not options.dry_run:
            session.execute(text("SELECT pg_advisory_xact_lock(:a, :b)"), {"a": _ONE_SUBMITS, "b": campaign.id})
            _not_twice(session, campaign, kept.sha256, file_name)
        job = Import(
            campaign_id=campaign.id,
            file_name=file_name,
            stored_path=str(kept.path),
            sha256=kept.sha256,
            kind=kind,
            options=options.as_json() | {"who": who},
            bytes_total=kept.size,
            created_at=now,
        )
        session.add(job)
        session.flush()
    except BaseException:
        import_storing.forget(kept.path)
        raise
    return job


def waiting_imports(session: Session, now: datetime) -> list[int]:
    """Return the imports somebody must run, oldest first: those that wait, and those whose worker is gone."""
    query = (
        select(Import.id)
        .where(
            or_(Import.state == "waiting", (Import.state == "running") & (Import.heartbeat_at < now - SILENCE)),
        )
        .order_by(Import.id)
    )
    return list(session.scalars(query))


def undo_import(session: Session, import_id: int, now: datetime, who: str, why: str = "") -> Undone:
    """Take an import back: contacts never tried are removed, the others closed, and none of them is called again.

    One that waits or runs is cancelled and leaves nothing. BadInput when there is nothing to take back.
    """
    job = session.get(Import, import_id, with_for_update=True, populate_existing=True)
    if job is None:
        raise NotFound(f"there is no import {import_id}")
    if job.state in ("failed", "undone") or (job.state == "done" and job.list_id is None and not job.updated):
        what = {"failed": "failed and imported nothing", "undone": "was taken back already"}
        raise BadInput(f"import {import_id} {what.get(job.state, 'wrote no contacts')}: there is nothing to undo")
    put_back = import_repeats.put_back(session, job.id) if job.updated else 0
    undone = Undone(0, 0, put_back)
    if job.list_id is not None:
        undone = dataclasses.replace(_take_back(session, job.list_id), put_back=put_back)
        session.get_one(ContactList, job.list_id).undone_at = now
    job.state = "undone"
    job.finished_at = job.finished_at or now
    ledger.record(
        session,
        at=now,
        kind="import_undone",
        who=who,
        campaign_id=job.campaign_id,
        why=why,
        import_id=job.id,
        list_id=job.list_id,
        file_name=job.file_name,
        removed=undone.removed,
        closed=undone.closed,
        put_back=put_back,
    )
    session.flush()
    return undone


def result(job: Import) -> dict[str, Any]:
    """Return the answer of `dialer list import --json`."""
    return {
        "rows": job.rows,
        "accepted": job.accepted,
        "rejected": job.rejected,
        "duplicates": job.duplicates,
        "reject_file": job.reject_file,
        "remarks_file": job.options.get("remarks_file"),
    }


def forget_strays(session: Session, data_dir: Path, now: datetime) -> int:
    """Remove kept files that no import wants any more; how many."""
    wanted = session.scalars(select(Import.stored_path).where(Import.state.in_(("waiting", "running")))).all()
    return import_storing.forget_strays(data_dir, set(wanted), now)


def _not_twice(session: Session, campaign: Campaign, sha256: str, file_name: str) -> None:
    query = select(Import).where(
        Import.campaign_id == campaign.id,
        Import.sha256 == sha256,
        Import.options["dry_run"].as_boolean().is_not(True),
        or_(
            Import.state.in_(("waiting", "running")),
            (Import.state == "done") & ((Import.accepted > 0) | (Import.updated > 0)),
        ),
    )
    earlier = session.scalars(query.order_by(Import.id.desc())).first()
    if earlier is None:
        return
    when = f"{earlier.created_at:%Y-%m-%d %H:%M} UTC"
    named = "" if earlier.file_name == file_name else f" as {earlier.file_name}"
    raise AlreadyThere(
        f"{file_name} is in campaign {campaign.name!r} already: the same file was imported{named} on {when} "
        f"(import {earlier.id}). Undo that import first, or import it again with --force"
    )


def _take_back(session: Session, list_id: int) -> Undone:
    """Remove the contacts nothing refers to, and close the others: part by part, each locked before it is looked at.

    Once a contact is locked the gate passes it by, and whatever was ordered before is seen by the next statement. The
    parts share one transaction: all are gone, or none.
    """
    session.execute(text("SET LOCAL statement_timeout = '2min'"))
    removed, given = 0, {"list": list_id, "after": 0, "most": _AT_ONCE, "why": UNDONE, "not_wanted": NOT_WANTED}
    while True:
        ids = session.scalars(_LOCK_PART, given).all()
        if not ids:
            break
        done = session.execute(text(_remove()), {"ids": ids})
        removed += int(getattr(done, "rowcount", 0))
        session.execute(_CLOSE, {**given, "ids": ids})
        given["after"] = ids[-1]
    query = text("SELECT count(*) FROM contacts WHERE list_id = :list AND closed_because = :why")
    return Undone(removed, int(session.scalar(query, given) or 0))


_AT_ONCE = 20_000
_LOCK_PART = text("""
    SELECT id FROM contacts WHERE list_id = :list AND id > :after ORDER BY id LIMIT :most FOR UPDATE
""")
_CLOSE = text("""
    UPDATE contacts SET state = 'closed', next_at = NULL, closed_because = :why
    WHERE id = ANY(:ids) AND (state <> 'closed' OR closed_because = :not_wanted)
""")


def _remove() -> str:
    """Delete contacts that no row of another table refers to; those others are found from the foreign keys."""
    held = "".join(
        f" AND NOT EXISTS (SELECT FROM {key.parent.table.name} o WHERE o.{key.parent.name} = k.id)"
        for table in Base.metadata.sorted_tables
        for key in sorted(table.foreign_keys, key=lambda key: key.parent.name)
        if key.column.table.name == "contacts" and key.ondelete != "CASCADE"
    )
    return (
        f"DELETE FROM contacts k WHERE k.id = ANY(:ids){held}"  # noqa: S608 (names of our own)
        # A promise goes with its contact, unless something was done about it.
        " AND NOT EXISTS (SELECT FROM callbacks b JOIN callback_tickets t ON t.callback_id = b.id"
        " WHERE b.contact_id = k.id)"
    )
