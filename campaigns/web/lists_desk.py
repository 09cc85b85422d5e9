"""What the API and the pages do with lists, each in one transaction: the same parts the command line is made of."""

from asyncio import to_thread
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import BoundedSemaphore
from typing import Any, TextIO

from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import FileResponse

from campaigns import (
    import_preview,
    lifecycle,
    list_caps,
    list_caps_view,
    list_diff,
    list_export,
    lists_view,
    uploads,
)
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.import_options import ImportOptions
from campaigns.import_preview import Preview
from campaigns.importing import Undone, submit_import, undo_import
from campaigns.list_diff import Diff, Difference
from campaigns.lists_view import ListRow
from campaigns.models import Campaign
from campaigns.uploads import Upload
from campaigns.web import downloads
from campaigns.web.receiving import Receiver
from dialer.errors import TooLarge, TryAgainLater
from dialer.list_caps import Standing

COMPARED = 64 << 20  # bytes of a file that a web process compares: it has events to take as well
_HEAVY = 2  # previews and comparisons at once
Choose = Callable[[Session], ImportOptions]


@dataclass(slots=True)
class Compared:
    """A comparison and its first differences."""

    diff: Diff
    rows: list[Difference] = field(default_factory=list)


class ListsDesk:
    """Lists of one web process. Everything here blocks, except `receive`."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self.receiver = Receiver(application.data_dir, application.settings.web.upload_limit << 20)
        self._heavy = BoundedSemaphore(_HEAVY)

    # Looking --------------------------------------------------------------------------------------------------

    def campaign(self, name: str) -> Campaign:
        """Return a campaign by its name."""
        with self.application.transaction() as session:
            return found(session, name)

    def rows(self, name: str, most: int = 200) -> tuple[Campaign, list[ListRow]]:
        """Return a campaign and its imports, newest first."""
        with self.application.transaction() as session:
            campaign = found(session, name)
            return campaign, lists_view.list_rows(session, campaign, most=most)

    def row(self, name: str, import_id: int) -> ListRow:
        """Return one import."""
        with self.application.transaction() as session:
            return lists_view.list_row(session, found(session, name), import_id)

    def upload(self, name: str, upload_id: str) -> Upload:
        """Return an uploaded file."""
        with self.application.transaction() as session:
            return uploads.get(self.application.data_dir, found(session, name), upload_id)

    def preview(self, name: str, upload_id: str, choose: Choose, *, kind: str, most: int, shown: int) -> Preview:
        """Say what an import would make of an uploaded file."""
        with self._one_of_few(), self.application.transaction() as session:
            campaign = found(session, name)
            upload = uploads.get(self.application.data_dir, campaign, upload_id)
            return import_preview.preview(
                session, campaign, upload.path, file_name=upload.file_name, kind=kind, options=choose(session),
                now=database_now(session), most=most, shown=shown,
            )  # fmt: skip

    def compare(
        self,
        name: str,
        upload_id: str,
        choose: Choose,
        *,
        import_id: int | None,
        most: int,
        tell: Callable[[Difference], None] | None = None,
    ) -> Compared:
        """Compare an uploaded file with a list; the first `most` differences are kept, `tell` hears them all."""
        with self._one_of_few(), self.application.transaction() as session:
            campaign = found(session, name)
            upload = uploads.get(self.application.data_dir, campaign, upload_id)
            if upload.size > COMPARED:
                raise TooLarge(
                    f"{upload.file_name} is larger than {COMPARED >> 20} MiB, the most that is compared here: "
                    "`dialer list diff` compares it on the machine itself"
                )
            rows: list[Difference] = []

            def keep(one: Difference) -> None:
                if len(rows) < most:
                    rows.append(one)
                if tell is not None:
                    tell(one)

            loaded = list_diff.loaded_import(session, campaign, upload.file_name, import_id)
            made = list_diff.diff(
                session, campaign, upload.path, file_name=upload.file_name, loaded=loaded, options=choose(session),
                now=database_now(session), tell=keep,
            )  # fmt: skip
            return Compared(made, rows)

    def differences(self, name: str, upload_id: str, choose: Choose, *, import_id: int | None) -> FileResponse:
        """Return every difference as a CSV file."""

        def write(file: TextIO) -> None:
            self.compare(name, upload_id, choose, import_id=import_id, most=0, tell=list_diff.writer(file))

        return downloads.made(self.application.data_dir, "differences.csv", write)

    def rejects(self, name: str, import_id: int) -> FileResponse:
        """Return the rejected rows of an import as the CSV file that can be mended and imported."""
        row = self.row(name, import_id)
        return downloads.kept(lists_view.reject_path(row), f"rejected-{import_id}-{row.file_name}")

    def remarks(self, name: str, import_id: int) -> FileResponse:
        """Return what was changed in rows that were taken: line, column, value, reason, and what was done."""
        row = self.row(name, import_id)
        return downloads.kept(lists_view.remarks_path(row), f"remarks-{import_id}-{row.file_name}")

    def worked(self, name: str) -> Sequence[Standing]:
        """Return how far each list of a campaign was worked, and its caps."""
        with self.application.transaction() as session:
            return list_caps_view.worked(session, found(session, name), database_now(session))

    # Doing ----------------------------------------------------------------------------------------------------

    async def receive(
        self, request: Request, name: str, *, who: str, file_name: str, trusted: Callable[[str], bool] | None = None
    ) -> tuple[Upload, dict[str, str]]:
        """Take a file. The campaign is looked for first: nobody sends 200 MB to a name that is misspelt."""

        def look() -> tuple[Campaign, Any]:
            with self.application.transaction() as session:
                return found(session, name), database_now(session)

        campaign, now = await to_thread(look)
        return await self.receiver.receive(request, campaign, who=who, now=now, name=file_name, trusted=trusted)

    def throw_away(self, name: str, upload_id: str) -> Upload:
        """Forget an uploaded file."""
        upload = self.upload(name, upload_id)
        uploads.forget(upload)
        return upload

    def begin(self, name: str, upload_id: str, choose: Choose, *, kind: str, who: str) -> ListRow:
        """Have an uploaded file imported by a worker: the job of the command line, and of nobody's request."""
        with self.application.transaction() as session:
            campaign = found(session, name)
            upload = uploads.get(self.application.data_dir, campaign, upload_id)
            options = choose(session)
            job = submit_import(
                session, campaign=campaign, source=upload.path, file_name=upload.file_name, kind=kind, options=options,
                data_dir=self.application.data_dir, now=database_now(session), who=who,
            )  # fmt: skip
            row = lists_view.list_row(session, campaign, job.id)
        self.application.doorbell.run_import(job.id)
        if not options.dry_run:
            uploads.forget(upload)
        return row

    def undo(self, name: str, import_id: int, *, who: str, why: str) -> tuple[ListRow, Undone]:
        """Take an import back, or stop one that waits or runs."""
        with self.application.transaction() as session:
            campaign = found(session, name)
            job = lists_view.import_to_undo(session, campaign, import_id)
            undone = undo_import(session, job.id, database_now(session), who, why)
            return lists_view.list_row(session, campaign, import_id), undone

    def cap(self, name: str, list_id: int, *, cap: str | None, today: str | None, who: str, why: str) -> Standing:
        """Say how far a list is to be worked; None leaves a cap as it is."""
        campaign = self.campaign(name).name
        list_caps.change(self.application, campaign, list_id, cap=cap, today=today, who=who, why=why)
        return next(one for one in self.worked(campaign) if one.list_id == list_id)

    def export(self, name: str, *, import_id: int | None, everything: bool, who: str) -> FileResponse:
        """Return the contacts of a campaign, or of one import, with their state and what came of every try."""
        with self.application.transaction() as session:
            campaign = found(session, name)
            list_id = list_export.begin(
                session, campaign, import_id=import_id, everything=everything, file="download", who=who,
                now=database_now(session),
            )  # fmt: skip

        def write(file: TextIO) -> None:
            with self.application.transaction() as session:
                list_export.export(session, campaign, file, list_id=list_id, everything=everything or bool(list_id))

        return downloads.made(self.application.data_dir, f"{campaign.name}.csv", write)

    @contextmanager
    def _one_of_few(self) -> Iterator[None]:
        if not self._heavy.acquire(blocking=False):
            raise TryAgainLater("other files are being looked at right now: try again in a moment")
        try:
            yield
        finally:
            self._heavy.release()


def found(session: Session, name: str) -> Campaign:
    """Return a campaign by its name; NotFound suggests the nearest one."""
    return lifecycle.get(session, name)
