"""Files that come by themselves: looked for in a folder, or at an address, and handed to the importer.

One file of a pull is under way at a time. A file in a folder stays there until its import is over, then it is moved to
`done`, or to `failed` with the reason beside it; what a dead process leaves is found by the next look. Whoever looks
first at the due time takes the turn, by compare-and-set on the pull's row, so any number of schedulers may look.
"""

import fnmatch
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import import_storing, importing, lifecycle, pull_fetching
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.import_templates import options_of
from campaigns.models import Import, ImportPull
from dialer.errors import BadInput, DialerError
from dialer.settings import PullSettings

SETTLED = timedelta(seconds=5)  # a file younger than this may still be being written
DONE, FAILED = "done", "failed"


@dataclass(frozen=True, slots=True)
class Looked:
    """What one look came to. All empty: nothing new."""

    import_id: int | None = None
    file_name: str = ""
    trouble: str = ""


_CLAIM = text("""
    INSERT INTO import_pulls (name, looked_at) VALUES (:name, :now)
    ON CONFLICT (name) DO UPDATE SET looked_at = :now WHERE import_pulls.looked_at <= :before
    RETURNING name
""")


def look(
    application: Application,
    name: str,
    *,
    at_once: bool = False,
    environ: Mapping[str, str] | None = None,
) -> Looked | None:
    """Look for one file of a pull, if it is due (or `at_once`); None when it is not. Troubles are told, not raised.

    One file a look: those behind it come with the next.
    """
    settings = application.settings.pulls[name]
    with application.transaction() as session:
        now = database_now(session)
        before = now if at_once else now - timedelta(seconds=settings.every)
        if session.execute(_CLAIM, {"name": name, "now": now, "before": before}).first() is None:
            return None
    try:
        found = (
            _folder(application, name, settings, now) if settings.path else _url(application, name, settings, environ)
        )
    except DialerError as exc:
        found = Looked(trouble=str(exc))
    with application.transaction() as session:
        session.get_one(ImportPull, name).trouble = found.trouble[:2000]
    if found.import_id is not None:
        application.doorbell.run_import(found.import_id)
    return found


# A folder ----------------------------------------------------------------------------------------------------


def _folder(application: Application, name: str, settings: PullSettings, now: datetime) -> Looked:
    place = Path(settings.path)
    if not place.is_dir():
        raise BadInput(f"import.{name}.path: there is no folder {place}: make it, or correct the path")
    trouble, under_way = _finish(application, name, place)
    if under_way:
        return Looked(trouble=trouble)
    for file in _waiting(place, settings.pattern, now):
        if import_storing.clean_name(file.name) != file.name:
            trouble = _move(file, FAILED, "the file's name is too long, or holds characters that cannot be shown")
            continue
        try:
            job = _submit(application, name, settings, file, file.name)
        except BadInput as exc:
            trouble = _move(file, FAILED, str(exc))
            continue
        return Looked(job, file.name, trouble)
    return Looked(trouble=trouble)


def _waiting(place: Path, pattern: str, now: datetime) -> list[Path]:
    """Return the files to take, the oldest first. Links lead elsewhere and are left alone."""
    found = []
    for file in place.iterdir():
        with suppress(OSError):
            whole = file.stat().st_mtime <= (now - SETTLED).timestamp()
            if fnmatch.fnmatch(file.name, pattern) and file.is_file() and not file.is_symlink() and whole:
                found.append((file.stat().st_mtime, file.name, file))
    return [file for _, _, file in sorted(found)]


def _finish(application: Application, name: str, place: Path) -> tuple[str, bool]:
    """Put the file of the last import where it belongs; (trouble, whether that import is still under way)."""
    with application.transaction() as session:
        row = session.get_one(ImportPull, name)
        job = session.get(Import, row.import_id) if row.file_name and row.import_id is not None else None
        if job is None:
            return "", False
        if job.state in ("waiting", "running"):
            return row.trouble, True
        file, trouble = place / row.file_name, ""
        # Another file may have come under the same name meanwhile: that one has its turn.
        if file.is_file() and not file.is_symlink() and _sha256(file) == job.sha256:
            failed = "" if job.state == "done" else job.error or "the import was taken back"
            trouble = _move(file, FAILED if failed else DONE, failed)
        row.file_name = ""
        return trouble, False


def _move(file: Path, where: str, why: str) -> str:
    """Move a file aside, under a free name, with the reason beside it; returns the trouble to show."""
    into = file.parent / where
    try:
        into.mkdir(mode=0o700, exist_ok=True)
        target = into / file.name
        count = 1
        while target.exists():
            count += 1
            target = into / f"{file.stem}-{count}{file.suffix}"
        file.rename(target)
        if why:
            target.with_name(f"{target.name}.why.txt").write_text(f"{why}\n", "utf-8")
    except OSError as exc:
        raise DialerError(
            f"{file} cannot be moved to {into}: {exc.strerror or exc}; give us the right to write there"
        ) from None
    return f"{file.name}: {why}" if why else ""


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


# An address --------------------------------------------------------------------------------------------------


def _url(application: Application, name: str, settings: PullSettings, environ: Mapping[str, str] | None) -> Looked:
    with application.transaction() as session:
        last = session.get_one(ImportPull, name).import_id
        job = session.get(Import, last) if last is not None else None
        if job is not None and job.state in ("waiting", "running"):
            return Looked()
    with pull_fetching.fetched(name, settings, application.data_dir, environ) as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]
        file.seek(0)
        if job is not None and job.sha256 == digest:
            return Looked(trouble=job.error or "")  # the same as last time
        file_name = pull_fetching.file_name(name, settings)
        return Looked(_submit(application, name, settings, file, file_name), file_name)


def _submit(application: Application, name: str, settings: PullSettings, source: Any, file_name: str) -> int:
    with application.transaction() as session:
        row = session.get_one(ImportPull, name, with_for_update=True)
        if row.file_name:
            raise DialerError(f"import.{name}: another scheduler took {row.file_name} up a moment ago")
        job = importing.submit_import(
            session,
            campaign=lifecycle.get(session, settings.campaign),
            source=source,
            file_name=file_name,
            kind=settings.kind,
            options=options_of(session, {}, settings.template),
            data_dir=application.data_dir,
            now=database_now(session),
            who=f"import:{name}",
        )
        row.import_id = job.id
        row.file_name = file_name if settings.path else ""
        return job.id


# What people see ---------------------------------------------------------------------------------------------


def overview(session: Session, pulls: Mapping[str, PullSettings]) -> list[dict[str, Any]]:
    """Return each pull of the settings with its last look and what that brought."""
    rows = {row.name: row for row in session.scalars(select(ImportPull))}
    told = []
    for name, settings in pulls.items():
        row = rows.get(name)
        job = session.get(Import, row.import_id) if row is not None and row.import_id is not None else None
        told.append(
            {
                "name": name,
                "campaign": settings.campaign,
                "from": settings.path or settings.url.partition("?")[0],
                "every": settings.every,
                "looked_at": row.looked_at if row is not None else None,
                "import": job.id if job is not None else None,
                "state": job.state if job is not None else None,
                "file": job.file_name if job is not None else None,
                "trouble": row.trouble if row is not None else "",
            }
        )
    return told
