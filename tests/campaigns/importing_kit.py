"""What the tests of importing share: a campaign, and a file sent through the whole job."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from campaigns import importing
from campaigns.db import session_factory
from campaigns.importing import ImportOptions
from campaigns.models import Campaign, Contact, Import
from dialer.clock import ManualClock

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)  # a Monday
DATA = Path(__file__).parent.parent / "data"


def add_campaign(session: Session, name: str = "spring", country: str = "IT", **values: Any) -> Campaign:
    campaign = Campaign(
        name=name,
        pbx="main",
        mode="progressive",
        country=country,
        caller_id="+39061234567",
        **({"hours": "always"} | values),
    )
    session.add(campaign)
    session.flush()
    return campaign


@dataclass
class Importer:
    """Sends files through submit and run, as the command line and a worker do together."""

    engine: Engine
    folder: Path
    campaign_id: int
    now: datetime = NOW

    def submit(
        self,
        content: bytes | str | Path,
        *,
        kind: str = "contacts",
        file_name: str = "list.csv",
        campaign_id: int | None = None,
        **options: Any,
    ) -> Import:
        source = content if isinstance(content, Path) else io.BytesIO(_bytes(content))
        with session_factory(self.engine)() as session, session.begin():
            return importing.submit_import(
                session,
                campaign=session.get_one(Campaign, campaign_id or self.campaign_id),
                source=source,
                file_name=file_name,
                kind=kind,
                options=ImportOptions(**options),
                data_dir=self.folder,
                now=self.now,
                who="ada",
            )

    def run(self, job: Import) -> Import:
        return importing.run_import(session_factory(self.engine), job.id, now=self.now, clock=ManualClock(self.now))

    def __call__(self, content: bytes | str | Path, **options: Any) -> Import:
        return self.run(self.submit(content, **options))

    def contacts(self, job: Import | None = None) -> Sequence[Contact]:
        query = select(Contact).order_by(Contact.list_id, Contact.line)
        if job is not None:
            query = query.where(Contact.list_id == job.list_id)
        with Session(self.engine) as session:
            return session.scalars(query).all()

    def failed(self, content: bytes | str, **options: Any) -> str:
        """Import a file that cannot be imported; the sentence. Nothing may have been written."""
        before = len(self.contacts())
        job = self(content, **options)
        assert (job.state, job.accepted, job.list_id, job.reject_file) == ("failed", 0, None, None), job.error
        assert len(self.contacts()) == before
        assert left_in(self.folder) == []
        assert job.error
        return job.error


def counts(job: Import) -> tuple[int, int, int, int]:
    """(rows, accepted, rejected, duplicates) of an import that was done."""
    assert job.state == "done", job.error
    assert job.rows == job.accepted + job.rejected + job.duplicates
    return job.rows, job.accepted, job.rejected, job.duplicates


def rejects(job: Import) -> list[dict[str, str]]:
    """The rows of the reject file."""
    assert job.reject_file is not None
    with Path(job.reject_file).open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def left_in(folder: Path) -> list[str]:
    """The files the importer left behind, reject files apart."""
    return [path.name for path in (folder / "imports").iterdir() if not path.name.endswith(".rejected.csv")]


def _bytes(content: bytes | str | Path) -> bytes:
    return content.encode() if isinstance(content, str) else bytes(content)  # type: ignore[arg-type]
