"""Callbacks that were promised: when each is due, in which period, and what became of it."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.models import Campaign


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """One promised callback. `overdue`: its day's period is over and nobody was reached."""

    contact: int
    campaign: str
    list: str
    phone: str
    who: str
    description: str
    due_date: date | None
    period: str | None
    starts: time | None
    ends: time | None
    next_at: datetime | None
    state: str
    closed_because: str
    attempts: int
    overdue: bool

    def as_json(self) -> dict[str, Any]:
        """Return the row for a program."""
        return asdict(self)


_QUERY = text(
    """
    SELECT k.id AS contact, c.name AS campaign, l.name AS list, coalesce(k.next_number, k.phone) AS phone,
           concat_ws(' ', nullif(k.first_name, ''), nullif(k.last_name, ''), nullif(k.company, '')) AS who,
           k.description, k.due_date, p.name AS period, p.starts, p.ends, k.next_at, k.state, k.closed_because,
           (SELECT count(*) FROM attempts a WHERE a.contact_id = k.id) AS attempts,
           k.state = 'open' AND k.due_date IS NOT NULL
             AND (k.due_date + coalesce(p.ends, time '24:00')) < (CAST(:now AS timestamptz) AT TIME ZONE
                 coalesce(c.time_zone, CAST(:zone AS text), 'UTC')) AS overdue
    FROM contacts k
    JOIN lists l ON l.id = k.list_id
    JOIN campaigns c ON c.id = k.campaign_id
    LEFT JOIN periods p ON p.id = k.period_id
    WHERE (l.kind = 'callbacks' OR k.promised_at IS NOT NULL) AND l.undone_at IS NULL
      AND (CAST(:campaign_id AS bigint) IS NULL OR c.id = :campaign_id)
      AND (:closed OR k.state <> 'closed')
    ORDER BY k.state = 'closed', k.due_date NULLS LAST, p.starts NULLS LAST, k.next_at NULLS LAST, k.id
    LIMIT :most
    """
)


def callback_rows(
    session: Session, campaign: Campaign | None, *, zone: str, now: datetime, closed: bool, most: int
) -> list[CallbackRow]:
    """Return the callbacks, those due first at the top. `zone`: whose clock, for a campaign that names none."""
    campaign_id = campaign.id if campaign else None
    given = {"campaign_id": campaign_id, "zone": zone, "now": now, "closed": closed, "most": most}
    return [CallbackRow(**row) for row in session.execute(_QUERY, given).mappings()]
