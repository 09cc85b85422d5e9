"""One import from start to end, in one transaction, while a second connection tells how far it is.

A worker that dies leaves nothing behind but the import's row, which another takes up again from the start. Who runs
holds a lock that goes with the transaction, and closes the import in that same transaction, so a worker that was only
frozen cannot import the file a second time.
"""

import dataclasses
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import CursorResult, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker

from campaigns import callback_watch, contact_filters, import_storing, ledger
from campaigns.import_calendar import callback_rows
from campaigns.import_columns import Columns, find_columns, known
from campaigns.import_copying import ContactWriter
from campaigns.import_encoding import detect
from campaigns.import_judging import GoodRow, Judge, Problem
from campaigns.import_options import MOVE, SILENCE, ImportOptions
from campaigns.import_reading import Table
from campaigns.import_rejects import RejectFile
from campaigns.import_repeats import LINK, SKIP, Changes, Earlier, Repeats, Seen, repeated
from campaigns.models import Campaign, Import
from dialer.clock import Clock, SystemClock
from dialer.errors import BadInput, DialerError, NotFound, ServiceUnreachable, TryAgainLater
from dialer.settings import TimingSettings

TRIES = 3  # a file that ends three workers ends no fourth
BEAT = 1.0  # seconds between two signs of progress
BATCH_ROWS, BATCH_CHARACTERS = 5_000, 4 << 20
STATISTICS_FROM = 10_000  # contacts of one import that change what the server's planner must know
# A spreadsheet that made 3.90612E+11 of a number and a number of that again leaves zeros. So many would be no accident.
_ROUNDED, _ROUNDED_ROWS, _ROUNDED_SHARE = "00000", 3, 0.01
FORGOTTEN = "the person asked to be erased, and is not called"
_ONE_RUNS = 0x0D1A0002  # first part of a transaction lock of PostgreSQL; the second is the campaign


@dataclass(slots=True)
class _Counts:
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    updated: int = 0  # of the duplicates: those that changed a contact


def run_import(
    sessions: sessionmaker[Session],
    import_id: int,
    *,
    now: datetime,
    clock: Clock | None = None,
    timing: TimingSettings | None = None,
) -> Import:
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
            _do(session, job, heart, now, timing or TimingSettings())
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
        import_storing.forget(remarks_path(job))
    if job.state == "done" and job.list_id is not None and job.accepted >= STATISTICS_FROM:
        _tell_the_planner(sessions)
    return job


def _tell_the_planner(sessions: sessionmaker[Session]) -> None:
    """Have the server look at the contacts as they are now: until it does, what is asked of them takes five times as
    long. By itself it does so within a minute or two; so where it cannot now, nothing is lost."""
    with suppress(SQLAlchemyError), sessions() as session, session.begin():
        session.execute(text("SET LOCAL statement_timeout = '8s'"))
        session.execute(text("ANALYZE (SKIP_LOCKED) contacts"))


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


def _do(session: Session, job: Import, heart: _Heart, now: datetime, timing: TimingSettings) -> None:
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
        callbacks, note = callback_rows(session, campaign, options, now) if job.kind == "callbacks" else (None, "")
        judge = Judge(columns, campaign.country, clean=encoding.clean, callbacks=callbacks)
        with (
            ContactWriter(
                session,
                campaign.id,
                kind=job.kind,
                name=options.list_name or Path(job.file_name).stem,
                rule_pack=options.rule_pack or None,
                now=now,
                dry=options.dry_run,
                owned=columns.owner >= 0,
            ) as writer,
            RejectFile(_reject_path(job), columns.names, marked=encoding.marked) as rejects,
            RejectFile(remarks_path(job), (), marked=encoding.marked) as remarks,
        ):
            repeats = Repeats(
                session,
                campaign.id,
                kind=job.kind,
                scope=options.duplicates_in,
                within_days=options.within_days,
                now=now,
            )
            changes = Changes(session, job.id, options.duplicates, dry=options.dry_run)
            run = _Run(columns, writer, rejects, remarks, repeats, changes, options.duplicates)
            counts = run.rows(table, judge, heart)
            note = "; ".join(filter(None, (note, run.note, run.remarked(options.outside_hours))))
            reject_file, remarks_file = rejects.finish(), remarks.finish()
    if writer.list_id is not None:
        contact_filters.apply_to_list(session, campaign, writer.list_id, now)
    if job.kind == "callbacks" and writer.list_id is not None:
        _promise(session, writer.list_id, heart, str(job.options.get("who", "system")), timing)
    _finish(session, job, counts, writer.list_id, reject_file, remarks_file, heart, note)


def _promise(session: Session, list_id: int, heart: _Heart, who: str, timing: TimingSettings) -> None:
    """Write a promise for every callback of the list, in the transaction that brings it."""
    while callback_watch.write_down(session, list_id=list_id, now=heart.now, timing=timing, who=who):
        pass


class _Run:
    """The rows of one file on their way: to the table, to a contact they change, or to the reject file."""

    def __init__(
        self,
        columns: Columns,
        writer: ContactWriter,
        rejects: RejectFile,
        remarks: RejectFile,
        repeats: Repeats,
        changes: Changes,
        action: str,
    ) -> None:
        self._columns = columns
        self._writer = writer
        self._rejects = rejects
        self._remarks = remarks
        self._remarked = 0
        self._repeats = repeats
        self._changes = changes
        self._action = action
        self._counts = _Counts()
        self._rounded = 0
        self._batch: list[tuple[int, list[str], GoodRow]] = []

    def rows(self, table: Table, judge: Judge, heart: _Heart) -> _Counts:
        """Judge every row; the good ones to the writer in batches, the others to the reject file."""
        counts, seen = self._counts, Seen()
        flushed_rows = flushed_characters = 0
        for record in table.records():
            counts.rows += 1
            row = judge.judge(record)
            if isinstance(row, list):
                counts.rejected += 1
                self._rejects.add(record.line, record.cells, row)
            else:
                self._rounded += row.phone.endswith(_ROUNDED)
                # Linked rows may share a number with others of the file; a list has each first number once.
                number, first = seen.first(row.numbers if self._action != LINK else (row.phone,), record.line)
                if first == record.line:
                    self._batch.append((record.line, record.cells, row))
                else:
                    told = f"duplicate of line {first}: the number is the same"
                    self._refuse(record.line, record.cells, row, number, told)
            read = table.characters
            if counts.rows - flushed_rows >= BATCH_ROWS or read - flushed_characters >= BATCH_CHARACTERS:
                self._flush()
                heart.beat(table.bytes_done, counts.rows)
                flushed_rows, flushed_characters = counts.rows, read
        self._flush()
        self._writer.settle()
        counts.updated = self._changes.apply(lambda: heart.beat(table.bytes_done, counts.rows))
        return counts

    @property
    def note(self) -> str:
        """Say what is not wrong with any one row, and looks wrong with the file."""
        taken = self._counts.rows - self._counts.rejected
        if self._rounded < _ROUNDED_ROWS or self._rounded < _ROUNDED_SHARE * taken:
            return ""
        return (
            f"{self._rounded:,} numbers end in five zeros: a spreadsheet may have rounded them, and they would ring "
            "strangers. Look at the file; if so, take the import back and export the column as text"
        )

    def remarked(self, outside_hours: str) -> str:
        """Say how many callbacks were moved, or kept for a time at which nobody may be called."""
        if not self._remarked:
            return ""
        lie = "callback lies" if self._remarked == 1 else "callbacks lie"
        done = "moved to the next time that is allowed" if outside_hours == MOVE else "kept as they are"
        return f"{self._remarked:,} {lie} outside the hours in which the phone may be called: {done}"

    def _refuse(
        self, line: int, cells: list[str], row: GoodRow, number: str, reason: str, remedy: str = "keep one of the rows"
    ) -> None:
        self._counts.duplicates += 1
        problem = repeated(self._columns, cells, number, reason, remedy)
        if self._writer.forgotten(row.numbers):
            self._rejects.add(line, [""] * len(cells), [problem._replace(value="")])
        else:
            self._rejects.add(line, cells, [problem])

    def _flush(self) -> None:
        there: dict[str, Earlier] = {}
        if self._repeats.looks:
            self._writer.settle()
            there = self._repeats.of([number for _, _, row in self._batch for number in row.numbers])
        new = []
        gone = self._writer.forgotten({number for _, _, row in self._batch for number in row.numbers})
        for line, cells, row in self._batch:
            number = next((number for number in row.numbers if number in there), "") if there else ""
            if gone and not gone.isdisjoint(row.numbers):
                self._counts.rejected += 1
                # The row is about somebody who is to be in no file of ours: nothing of it is repeated.
                self._rejects.add(
                    line, [""] * len(cells), [Problem("", "", FORGOTTEN, "take the row out of the source")]
                )
            elif not number:
                new.append((line, row))
            elif self._action == LINK:
                new.append((line, row._replace(same_as=there[number].contact_id)))
            elif self._action == SKIP:
                where, remedy = self._where(there[number])
                self._refuse(line, cells, row, number, f"duplicate: the number is in {where}", remedy)
            else:
                first = self._changes.add(there[number].contact_id, line, row)
                if first is None:
                    self._counts.duplicates += 1  # what it says goes to the contact there is
                else:
                    self._refuse(line, cells, row, number, f"duplicate of line {first}: both change the same contact")
        for line, row in new:
            if row.remark is not None:
                self._remarked += 1
                self._remarks.add(line, [], [row.remark])
        self._writer.write(new)
        self._changes.flush(self._writer.connection)
        self._counts.accepted += len(new)
        self._rejects.flush()
        self._remarks.flush()
        self._batch.clear()

    def _where(self, earlier: Earlier) -> tuple[str, str]:
        if self._repeats.campaign_id == earlier.campaign_id:
            return (
                f"this campaign already (list {earlier.list_name!r})",
                "nothing to do; it is called from that list",
            )
        return (
            f"another campaign already (list {earlier.list_name!r})",
            "nothing to do; or import with --duplicates-in campaign to call it from here as well",
        )


def _finish(
    session: Session,
    job: Import,
    counts: _Counts,
    list_id: int | None,
    reject_file: Path | None,
    remarks_file: Path | None,
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
            options=Import.options.op("||")(
                ({"note": note} if note else {}) | ({"remarks_file": str(remarks_file)} if remarks_file else {})
            ),
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


def remarks_path(job: Import) -> Path:
    """Where it is told of rows that were taken, and are not as the file has them. Names nobody."""
    return Path(job.stored_path).parent / f"{job.id}.remarks.csv"


def _reject_path(job: Import) -> Path:
    return Path(job.stored_path).parent / f"{job.id}.rejected.csv"
