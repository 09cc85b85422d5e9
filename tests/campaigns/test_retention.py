import os
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import import_storing, retention
from campaigns.models import Attempt, Import, LoggedEvent, Offer, PaceDecision
from dialer.calls import CallState
from dialer.settings import RetentionSettings
from tests import factories

NOW = factories.NOW


def old(session: Session, folder: Path, *, days: int) -> Path:
    """One of each kind, so many days old."""
    at = NOW - timedelta(days=days)
    campaign = factories.campaign(session)
    contact = factories.contact(session, campaign, state="closed", next_at=None)
    factories.attempt(session, campaign, contact=contact, state=CallState.COMPLETED, ordered_at=at)
    who = factories.agent(session, campaign)
    for handled in (at, None):
        session.add(LoggedEvent(pbx="main", method="GET", query="a=1", received_at=at, handled_at=handled))
    session.add(
        PaceDecision(
            campaign_id=campaign.id, decided_at=at, until_at=at, calls=0, ordered=0, why="", snapshot={}, limits={},
            fence=1,
        )
    )  # fmt: skip
    session.add(
        Offer(
            campaign_id=campaign.id, contact_id=contact.id, agent_id=who.id, offered_at=at, until=at, ended_at=at,
            state="skipped",
        )
    )  # fmt: skip
    path = import_storing.folder(folder) / f"{days}.rejected.csv"
    path.write_text("phone\n1\n")
    os.utime(path, (at.timestamp(), at.timestamp()))
    session.add(
        Import(
            campaign_id=campaign.id, file_name="x", stored_path="y", sha256="", kind="contacts", reject_file=str(path)
        )
    )
    session.flush()
    return path


def test_each_kind_has_its_own_days_and_records_stay(session: Session, tmp_path: Path) -> None:
    files = [old(session, tmp_path, days=days) for days in (10, 40, 100)]
    kinds = RetentionSettings(events_days=30, reject_files_days=30, offers_days=365)
    removed = retention.prune(session, now=NOW, days=90, kinds=kinds, data_dir=tmp_path)
    assert removed == {"events": 2, "decisions": 1, "offers": 0, "reject_files": 2}
    assert [path.exists() for path in files] == [True, False, False]
    assert session.scalars(select(Import.reject_file).order_by(Import.id)).all() == [str(files[0]), None, None]
    assert len(session.scalars(select(Attempt.id)).all()) == 3
    # Unhandled events are still somebody's to understand, however old.
    assert sum(one is None for one in session.scalars(select(LoggedEvent.handled_at))) == 3
    assert len(session.scalars(select(PaceDecision.id)).all()) == 2


def test_without_days_of_its_own_a_kind_has_those_of_all(session: Session, tmp_path: Path) -> None:
    old(session, tmp_path, days=40)
    assert retention.prune(session, now=NOW, days=90) == {"events": 0, "decisions": 0, "offers": 0}
    assert retention.prune(session, now=NOW, days=30) == {"events": 1, "decisions": 1, "offers": 1}
    assert session.scalars(select(Offer.id)).all() == []
