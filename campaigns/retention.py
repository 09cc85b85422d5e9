"""Delete what is older than its retention, each kind by its own. Attempts, consents and the ledger stay for good."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import ColumnElement, CursorResult, delete, update
from sqlalchemy.orm import Session

from campaigns import import_storing
from campaigns.models import Import, LoggedEvent, Offer, PaceDecision
from dialer.settings import RetentionSettings


def prune(
    session: Session,
    *,
    now: datetime,
    days: float,
    kinds: RetentionSettings | None = None,
    data_dir: Path | None = None,
) -> dict[str, int]:
    """Delete handled events, pace decisions, offers that led to no call, and reject files; how many of each.

    `days` holds for every kind that `kinds` says nothing of. Reject files only where the data folder is given.
    """
    kinds = kinds or RetentionSettings()

    def before(kept: float | None) -> datetime:
        return now - timedelta(days=kept if kept is not None else days)

    old_events = (LoggedEvent.received_at < before(kinds.events_days), LoggedEvent.handled_at.is_not(None))
    old_offers = (Offer.ended_at < before(kinds.offers_days), Offer.attempt_id.is_(None))
    removed = {
        "events": _delete(session, LoggedEvent, old_events),
        "decisions": _delete(session, PaceDecision, [PaceDecision.until_at < before(kinds.pace_decisions_days)]),
        "offers": _delete(session, Offer, old_offers),
    }
    if data_dir is not None:
        removed["reject_files"] = _reject_files(session, data_dir, before(kinds.reject_files_days))
    return removed


def _delete(
    session: Session, kind: type[LoggedEvent | PaceDecision | Offer], where: Sequence[ColumnElement[bool]]
) -> int:
    done = session.execute(delete(kind).where(*where).execution_options(synchronize_session=False))
    assert isinstance(done, CursorResult)
    return done.rowcount


def _reject_files(session: Session, data_dir: Path, before: datetime) -> int:
    gone = 0
    folder = import_storing.folder(data_dir)
    for path in (one for ending in import_storing.TOLD for one in folder.glob(f"*{ending}")):
        if path.stat().st_mtime < before.timestamp():
            session.execute(update(Import).where(Import.reject_file == str(path)).values(reject_file=None))
            import_storing.forget(path)
            gone += 1
    return gone
