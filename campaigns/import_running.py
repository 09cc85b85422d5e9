"""One import from start to end, in one transaction, while a second connection tells how far it is.

A worker that dies leaves nothing behind but the import's row, which another takes up again from the start. Who runs
holds a lock that goes with the transaction, and closes the import in that same transaction, so a worker that was only
frozen cannot import the file a second time.
"""

import dataclasses
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, text, update
from sqlalchemy.orm import Session, sessionmaker

from campaigns import import_storing, ledger, periods
from campaigns.callback_dates import Calendar, campaign_zone
from campaigns.import_columns import Columns, find_columns, known
from campaigns.import_copying import ContactWriter
from campaigns.import_encoding import detect
from campaigns.import_judging import GoodRow, Judge, Problem
from campaigns.import_options import SILENCE, ImportOptions
from campaigns.import_reading import Table
from campaigns.import_rejects import RejectFile
from campaigns.models import Campaign, Import
from dialer.clock import Clock, SystemClock
from dialer.errors import BadInput, DialerError, NotFound, ServiceUnreachable, TryAgainLater
from dialer.windows import Hours

TRIES = 3  # a file that ends three workers ends no fourth
BEAT = 1.0  # seconds between two signs of progress
BATCH_ROWS, BATCH_CHARACTERS = 5_000, 4 << 20
_ONE_RUNS = 0x0D1A0002  # first part of a transaction lock of PostgreSQL; the second is the campaign


@dataclass(slots=True)
class _Counts:
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0


def run_import(sessions: sessionmaker[Session], import_id: int, *, now: datetime, clock: Clock | None = None) -> Import:
    """Do one import from start to end, or from the start again; its row tells what came of it.

    A file that cannot be imported is a failed import, not an exception. TryAgainLater when another import of the
    campaign runs; any other error leaves the row `running`, to be taken up again when its heart has stopped.
    """
    heart = _Heart(sessions, import_id, now, clock or SystemClock())
    try:
        with sessions() as session, session.begin():
            job = session.get(Import, import_id)
            if job is None:
                raise NotFound(f"there is no import {import_id}")
            if job.state not in ("waiting", "running"):
                import_storing.forget(Path(job.stored_path))  # cancelled before it began
                return job
            _only_one(session, job)
            heart.claim(job.file_name)
            _do(session, job, heart, now)
    except (TryAgainLater, ServiceUnreachable, NotFound):
        raise
    except DialerError as exc:
        heart.stopped(str(exc))
    with sessions() as session:
        job = session.get_one(Import, import_id)
    if job.state not in ("waiting", "running"):
        import_storing.forget(Path(job.stored_path))
    if job.state in ("failed", "undone"):
        import_storing.forget(_reject_path(job))
    return job


def _only_one(session: Session, job: Import) -> None:
    """Let one import of a campaign run at a time; the lock goes with this transaction, however it ends."""
    keys = {"a": _ONE_RUNS, "b": job.campaign_id}
    if not session.scalar(text("SELECT pg_try_advisory_xact_lock(:a, :b)"), keys):
        raise TryAgainLater(f"{job.file_name}: another import of this campaign is running; this one comes after it")


class _Heart:
    """Shows on a connection of its own that an import is alive, and how far it is."""

    def __init__(self, sessions: sessionmaker[Session], import_id: int, now: datetime, clock: Clock) -> None:
        self._sessions = sessions
        self._id = import_id
        self._now = now
        self._clock = clock
        self._began = self._last = clock.monotonic()

    @property
    def now(self) -> datetime:
        return self._now + timedelta(seconds=self._clock.monotonic() - self._began)

    def claim(self, file_name: str) -> None:
        """Make the import ours by compare-and-set; its contacts are not committed before its end, so start afresh."""
        query = text("""
            UPDATE imports SET state = 'running', heartbeat_at = :now, bytes_done = 0, rows = 0,
                options = options || jsonb_build_object('tries', coalesce((options->>'tries')::int, 0) + 1)
            WHERE id = :id AND (state = 'waiting' OR (state = 'running' AND heartbeat_at < :silent))
            RETURNING (options->>'tries')::int
        """)
        with self._sessions() as session, session.begin():
            tries = session.execute(query, {"id": self._id, "now": self._now, "silent": self._now - SILENCE}).scalar()
        if tries is None:
            raise TryAgainLater(f"{file_name}: import {self._id} was taken up by another worker a moment ago")
        if tries > TRIES:
            raise BadInput(
                f"{file_name}: the import was begun {TRIES} times and its worker died each time; "
                "see the workers' log, and import the file in parts"
            )

    def beat(self, bytes_done: int, rows: int) -> None:
        """Tell how far it is, at most once a second. DialerError when the import was cancelled."""
        if self._clock.monotonic() - self._last < BEAT:
            return
        self._last = self._clock.monotonic()
        changed = self._update(bytes_done=bytes_done, rows=rows, heartbeat_at=self.now)
        if not changed:
            raise _cancelled()

    def stopped(self, error: str) -> None:
        """The import has failed, and its transaction is rolled back."""
        self._update(state="failed", error=error[:2000], finished_at=self.now, heartbeat_at=self.now)

    def _update(self, **values: Any) -> int:
        query = update(Import).where(Import.id == self._id, Import.state == "running").values(**values)
        with self._sessions() as session, session.begin():
            done = session.execute(query)
            assert isinstance(done, CursorResult)
            return done.rowcount


def _cancelled() -> DialerError:
    return DialerError("the import was cancelled; nothing was imported")


def _do(session: Session, job: Import, heart: _Heart, now: datetime) -> None:
    options = ImportOptions.from_json(job.options)
    campaign = session.get_one(Campaign, job.campaign_id)
    stored = Path(job.stored_path)
    if not stored.is_file():
        raise DialerError(
            f"{job.file_name}: the kept copy {stored} is not on this host; web and workers must share one data folder "
            "(DIALER_DATA_DIR). Import the file again"
        )
    encoding = detect(stored, job.file_name, options.encoding)
    with Table(stored, job.file_name, encoding, options.delimiter, known) as table:
        columns = find_columns(
            table.header,
            job.kind,
            place=f"{job.file_name}, line {table.header_line}",
            country=campaign.country,
            mapping=options.mapping,
        )
        calendar, note = _calendar(session, campaign, now) if job.kind == "callbacks" else (None, "")
        judge = Judge(columns, campaign.country, clean=encoding.clean, calendar=calendar)
        with (
            ContactWriter(
                session,
                campaign.id,
                kind=job.kind,
                name=options.list_name or Path(job.file_name).stem,
                rule_pack=options.rule_pack or None,
                now=now,
                dry=options.dry_run,
            ) as writer,
            RejectFile(_reject_path(job), columns.names, marked=encoding.marked) as rejects,
        ):
            counts = _rows(table, judge, columns, writer, rejects, heart)
            reject_file = rejects.finish()
    _finish(session, job, counts, writer.list_id, reject_file, heart, note)


def _calendar(session: Session, campaign: Campaign, now: datetime) -> tuple[Calendar, str]:
    zone, note = campaign_zone(campaign.time_zone, campaign.country, now)
    by_name, default = periods.wanted(session, campaign.id)
    return Calendar(zone, now, Hours.parse(campaign.hours), by_name, default), note


def _rows(
    table: Table, judge: Judge, columns: Columns, writer: ContactWriter, rejects: RejectFile, heart: _Heart
) -> _Counts:
    """Judge every row; the good ones to the writer in batches, the others to the reject file."""
    counts, seen = _Counts(), dict[int, int]()
    batch: list[tuple[int, list[str], GoodRow]] = []
    flushed_rows = flushed_characters = 0
    for record in table.records():
        counts.rows += 1
        row = judge.judge(record)
        if isinstance(row, list):
            counts.rejected += 1
            rejects.add(record.line, record.cells, row)
        else:
            first = seen.setdefault(int(row.phone), record.line)
            if first == record.line:
                batch.append((record.line, record.cells, row))
            else:
                counts.duplicates += 1
                repeat = f"duplicate of line {first}: the number is the same"
                problem = _repeat(columns, record.cells, repeat, "keep one of the rows")
                if writer.forgotten([row.phone]):
                    rejects.add(record.line, [""] * len(record.cells), [problem._replace(value="")])
                else:
                    rejects.add(record.line, record.cells, [problem])
        read = table.characters
        if counts.rows - flushed_rows >= BATCH_ROWS or read - flushed_characters >= BATCH_CHARACTERS:
            _flush(batch, counts, columns, writer, rejects)
            heart.beat(table.bytes_done, counts.rows)
            flushed_rows, flushed_characters = counts.rows, read
    _flush(batch, counts, columns, writer, rejects)
    return counts


def _flush(
    batch: list[tuple[int, list[str], GoodRow]],
    counts: _Counts,
    columns: Columns,
    writer: ContactWriter,
    rejects: RejectFile,
) -> None:
    there = writer.already_there([row.phone for _, _, row in batch])
    gone = writer.forgotten([number for _, _, row in batch for number in (row.phone, row.phone2) if number])
    new = []
    for line, cells, row in batch:
        if row.phone in gone or row.phone2 in gone:
            counts.rejected += 1
            # The row is about somebody who is to be in no file of ours: nothing of it is repeated.
            rejects.add(line, [""] * len(cells), [Problem("", "", FORGOTTEN, "take the row out of the source")])
        elif row.phone in there:
            counts.duplicates += 1
            reason = f"duplicate: the number is in this campaign already (list {there[row.phone]!r})"
            rejects.add(line, cells, [_repeat(columns, cells, reason, "nothing to do; it is called from that list")])
        else:
            new.append((line, row))
    writer.write(new)
    counts.accepted += len(new)
    rejects.flush()
    batch.clear()


FORGOTTEN = "the person asked to be erased, and is not called"


def _repeat(columns: Columns, cells: list[str], reason: str, remedy: str) -> Problem:
    where = [index for index in (columns.phone, columns.phone2) if 0 <= index < len(cells) and cells[index].strip()]
    return Problem(columns.names[where[0]], cells[where[0]], reason, remedy)


def _finish(
    session: Session,
    job: Import,
    counts: _Counts,
    list_id: int | None,
    reject_file: Path | None,
    heart: _Heart,
    note: str,
) -> None:
    """Close the import in the transaction of its contacts: both are there, or neither."""
    options = ImportOptions.from_json(job.options)
    done = session.execute(
        update(Import)
        .where(Import.id == job.id, Import.state == "running")
        .values(
            state="done",
            list_id=list_id,
            bytes_done=job.bytes_total,
            reject_file=str(reject_file) if reject_file else None,
            finished_at=heart.now,
            heartbeat_at=heart.now,
            options=Import.options.op("||")({"note": note} if note else {}),
            **dataclasses.asdict(counts),
        )
        .execution_options(synchronize_session=False)
    )
    assert isinstance(done, CursorResult)
    if done.rowcount != 1:
        raise _cancelled()
    if not options.dry_run:
        ledger.record(
            session,
            at=heart.now,
            kind="list_imported",
            who=str(job.options.get("who", "system")),
            campaign_id=job.campaign_id,
            import_id=job.id,
            list_id=list_id,
            list_kind=job.kind,
            file_name=job.file_name,
            sha256=job.sha256,
            **dataclasses.asdict(counts),
        )


def _reject_path(job: Import) -> Path:
    return Path(job.stored_path).parent / f"{job.id}.rejected.csv"
