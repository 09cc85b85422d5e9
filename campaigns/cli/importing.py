"""Submit an import and see it through: a worker does it, or we do when no worker comes."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from campaigns import lifecycle
from campaigns.cli import output
from campaigns.db import database_now
from campaigns.import_columns import parse_mapping
from campaigns.importing import ImportOptions, run_import, submit_import, undo_import, waiting_imports
from campaigns.live import ALIVE
from campaigns.models import Import, ProcessBeat
from dialer.errors import DialerError, TryAgainLater

if TYPE_CHECKING:
    from concurrent.futures import Future

    from rich.progress import Progress

    from campaigns.application import Application

PATIENCE = 1.0  # seconds in which a worker should have taken an import up
LOOK = 0.1  # seconds between two looks at its row


def submit(app: Application, campaign: str, file: Path, who: str, given: dict[str, Any]) -> Import:
    """Keep the file and its import's row, then ring for a worker."""
    is_stdin = str(file) == "-"
    options = ImportOptions(
        delimiter=_unescaped(given["delimiter"]),
        encoding=given["encoding"],
        mapping=parse_mapping(given["mapping"]),
        dry_run=given["dry_run"],
        force=given["force"],
        list_name=given["list_name"],
        rule_pack=given.get("rule_pack") or "",
    )
    with app.transaction() as session:
        job = submit_import(
            session,
            campaign=lifecycle.get(session, campaign),
            source=sys.stdin.buffer if is_stdin else file,
            file_name="standard input" if is_stdin else file.name,
            kind=given["kind"],
            options=options,
            data_dir=app.data_dir,
            now=database_now(session),
            who=who,
        )
    app.doorbell.run_import(job.id)
    return job


def _unescaped(delimiter: str | None) -> str | None:
    """A tab cannot be typed on most command lines."""
    return {"\\t": "\t", "tab": "\t"}.get(delimiter or "", delimiter)


def finish(app: Application, import_id: int, *, show: bool) -> Import:
    """Wait for the import's end and return its row, with progress on a terminal.

    Ctrl-C cancels an import that runs here, and leaves one alone that a worker has.
    """
    with _progress(show) as progress, ThreadPoolExecutor(1, thread_name_prefix="import") as threads:
        task = progress.add_task("waiting", total=None, rows="")
        ours: Future[Import] | None = None
        patience = PATIENCE if _worker_alive(app) else 0.0
        began = app.clock.monotonic()
        try:
            while True:
                job, abandoned = _look(app, import_id)
                progress.update(
                    task, description=job.state, total=job.bytes_total or None, completed=job.bytes_done,
                    rows=f"{job.rows:,} rows" if job.rows else "",
                )  # fmt: skip
                if job.state not in ("waiting", "running"):
                    if ours is not None:
                        ours.result()
                    return job
                if ours is not None and ours.done():
                    _raise_unless_busy(ours)
                    ours = None
                if ours is None and abandoned and app.clock.monotonic() - began >= patience:
                    ours = threads.submit(_run, app, import_id)
                if ours is None:
                    app.clock.sleep(LOOK)
                else:
                    _wait(ours)
        except KeyboardInterrupt:
            _interrupted(app, import_id, ours)
            raise


def _wait(ours: Future[Import]) -> None:
    from concurrent.futures import wait

    wait([ours], timeout=LOOK)


def _run(app: Application, import_id: int) -> Import:
    with app.transaction() as session:
        now = database_now(session)
    return run_import(app.sessions, import_id, now=now, clock=app.clock)


def _raise_unless_busy(ours: Future[Import]) -> None:
    exc = ours.exception()
    if exc is not None and not isinstance(exc, TryAgainLater):
        raise exc


def _look(app: Application, import_id: int) -> tuple[Import, bool]:
    """Return the row as it is now, and whether somebody should take it up."""
    with app.transaction() as session:
        return session.get_one(Import, import_id), import_id in waiting_imports(session, database_now(session))


def _worker_alive(app: Application) -> bool:
    from sqlalchemy import select

    with app.transaction() as session:
        since = database_now(session) - ALIVE
        query = select(ProcessBeat.name).where(ProcessBeat.kind == "worker", ProcessBeat.beat_at > since)
        return session.scalars(query.limit(1)).first() is not None


def _interrupted(app: Application, import_id: int, ours: Future[Import] | None) -> None:
    if ours is None:
        click.echo(f"import {import_id} goes on without us: `dialer list show` tells its end", err=True)
        return
    with app.transaction() as session:
        try:
            undo_import(session, import_id, database_now(session), "cli", "interrupted")
        except DialerError:
            return  # it ended in the same moment; it is told by `dialer list show`
    click.echo("the import is cancelled; nothing was imported", err=True)


def _progress(show: bool) -> Progress:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    out = output.console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]}"),
        TimeRemainingColumn(),
        console=out,
        transient=True,
        disable=not (show and out.is_terminal),
    )
