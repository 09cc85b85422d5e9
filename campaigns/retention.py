"""Delete what is older than its retention: raw events and pace decisions. Attempts and the ledger stay."""

from datetime import datetime, timedelta

from sqlalchemy import CursorResult, delete
from sqlalchemy.orm import Session

from campaigns.models import LoggedEvent, PaceDecision


def prune(session: Session, *, now: datetime, days: float) -> dict[str, int]:
    """Delete handled events and pace decisions older than `days`; returns how many of each."""
    before = now - timedelta(days=days)
    events: CursorResult[object] = session.execute(  # type: ignore[assignment]
        delete(LoggedEvent).where(LoggedEvent.received_at < before, LoggedEvent.handled_at.is_not(None))
    )
    decisions: CursorResult[object] = session.execute(  # type: ignore[assignment]
        delete(PaceDecision).where(PaceDecision.until_at < before)
    )
    return {"events": events.rowcount, "decisions": decisions.rowcount}
