"""Callbacks that were promised: when each is due, whose it is, and what became of it."""

from dataclasses import asdict, dataclass
from datetime import date, datetime, time
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import callbacks
from campaigns.models import Callback, Campaign, Contact
from dialer.callbacks import Due, due_state


@dataclass(frozen=True, slots=True)
class CallbackRow:
    """One promised callback. `overdue`: its time is over and it was not called.

    `id` is None for a due date that is on its contact alone: the scheduler writes the promise within seconds.
    """

    id: int | None
    contact: int
    campaign: str
    list: str
    phone: str
    mobile: str | None
    who: str
    description: str
    due_date: date | None
    period: str | None
    starts: time | None
    ends: time | None
    zone: str | None
    due_at: datetime | None
    deadline_at: datetime | None
    next_at: datetime | None
    owner: str | None
    taken_by: str | None
    kept_until: datetime | None  # by the one or the other
    state: str
    closed_because: str
    attempts: int
    called_at: datetime | None
    alarm: str  # what kept it from being called when it was reported
    alarmed: bool  # it breaks soon, or is broken, and was not called
    result: str
    due: str  # later, now or over; empty when it has ended
    overdue: bool

    def as_json(self) -> dict[str, Any]:
        """Return the row for a program."""
        return asdict(self)


_QUERY = text(
    """
    SELECT b.id, k.id AS contact, c.name AS campaign, l.name AS list, coalesce(k.next_number, k.phone) AS phone,
           CASE WHEN k.next_number = k.phone2 THEN k.phone ELSE k.phone2 END AS mobile,
           concat_ws(' ', nullif(k.first_name, ''), nullif(k.last_name, ''), nullif(k.company, '')) AS who,
           k.description, coalesce(b.due_date, k.due_date) AS due_date,
           coalesce(nullif(b.period, ''), p.name) AS period,
           p.starts, p.ends, b.zone, b.due_at, b.deadline_at, k.next_at,
           coalesce(nullif(o.name, ''), 'user ' || o.user_id) AS owner,
           coalesce(nullif(t.name, ''), 'user ' || t.user_id) AS taken_by,
           CASE WHEN k.kept_until > :now THEN k.kept_until END AS kept_until,
           CASE WHEN b.closed_at IS NOT NULL THEN 'closed' ELSE k.state END AS state,
           coalesce(nullif(b.why, ''), k.closed_because) AS closed_because,
           (SELECT count(*) FROM attempts a WHERE a.contact_id = k.id) AS attempts, b.called_at,
           coalesce(b.alarm, '') AS alarm, coalesce(b.result, '') AS result,
           coalesce(b.closed_at IS NULL AND b.called_at IS NULL AND b.alarm_at <= :now, false) AS alarmed,
           b.id IS NULL AND k.state = 'open' AND (k.due_date + coalesce(p.ends, time '24:00'))
             < (CAST(:now AS timestamptz) AT TIME ZONE
                coalesce(c.time_zone, CAST(:zone AS text), 'UTC')) AS unwritten_over
    FROM contacts k
    JOIN lists l ON l.id = k.list_id
    JOIN campaigns c ON c.id = k.campaign_id
    LEFT JOIN periods p ON p.id = k.period_id
    LEFT JOIN LATERAL (SELECT * FROM callbacks x WHERE x.contact_id = k.id ORDER BY x.id DESC LIMIT 1) b ON true
    LEFT JOIN agents o ON o.id = b.owner_id
    LEFT JOIN agents t ON t.id = b.taken_by
    WHERE (k.due_date IS NOT NULL OR l.kind = 'callbacks') AND l.undone_at IS NULL
      AND (CAST(:campaign_id AS bigint) IS NULL OR c.id = :campaign_id)
      AND (:closed OR k.state <> 'closed' AND (b.id IS NULL OR b.closed_at IS NULL))
      AND (NOT :alarms OR b.closed_at IS NULL AND b.called_at IS NULL AND b.alarm_at <= :now)
      AND (CAST(:agent_id AS bigint) IS NULL OR b.owner_id = :agent_id OR b.taken_by = :agent_id)
      AND (CAST(:callback_id AS bigint) IS NULL OR b.id = :callback_id)
    ORDER BY k.state = 'closed', coalesce(b.due_date, k.due_date) NULLS LAST, coalesce(b.due_at, k.next_at) NULLS LAST,
             k.id
    LIMIT :most
    """
)


def callback_rows(
    session: Session,
    campaign: Campaign | None,
    *,
    zone: str,
    now: datetime,
    closed: bool,
    most: int,
    alarms: bool = False,
    agent_id: int | None = None,
    callback_id: int | None = None,
) -> list[CallbackRow]:
    """Return the callbacks, those due first at the top. `zone`: whose clock, for a campaign that names none.

    `alarms`: only those that break soon, or are broken, and were not called. `agent_id`: owned or taken by that agent.
    `callback_id`: that one alone, and only while no other promise to its contact came after it.
    """
    campaign_id = campaign.id if campaign else None
    given = {"campaign_id": campaign_id, "zone": zone, "now": now, "closed": closed, "most": most}
    given |= {"alarms": alarms, "agent_id": agent_id, "callback_id": callback_id}
    return [_row(dict(row), now) for row in session.execute(_QUERY, given).mappings()]


def _row(row: dict[str, Any], now: datetime) -> CallbackRow:
    over = row.pop("unwritten_over")
    due = ""
    if row["state"] != "closed" and row["due_at"] is not None:
        due = str(due_state(now, row["due_at"], row["deadline_at"]))
        over = due == Due.OVER and row["called_at"] is None
    return CallbackRow(**row, due=due, overdue=bool(over))


@dataclass(frozen=True, slots=True)
class Waiting:
    """Open callbacks of a campaign that were not called yet and whose time has come."""

    due: int = 0  # inside their time
    alarmed: int = 0  # of those, about to break
    over: int = 0  # broken


_WAITING = text(
    """
    SELECT campaign_id, count(*) FILTER (WHERE deadline_at > :now) AS due,
           count(*) FILTER (WHERE deadline_at > :now AND alarm_at <= :now) AS alarmed,
           count(*) FILTER (WHERE deadline_at <= :now) AS over
    FROM callbacks WHERE closed_at IS NULL AND called_at IS NULL AND due_at <= :now AND campaign_id = ANY(:ids)
    GROUP BY campaign_id
    """
)


def waiting(session: Session, campaign_ids: list[int], now: datetime) -> dict[int, Waiting]:
    """Count, by campaign, the callbacks whose time has come: from the rows, whoever watches them."""
    rows = session.execute(_WAITING, {"ids": campaign_ids, "now": now})
    return {row.campaign_id: Waiting(row.due, row.alarmed, row.over) for row in rows}


def told(session: Session, callback: Callback) -> dict[str, Any]:
    """Return one promise for a program, as it is after whatever was just done with it."""
    contact = session.get_one(Contact, callback.contact_id)
    return {
        "callback": callback.id, "contact": contact.id, "number": contact.next_number or contact.phone,
        "due_date": callback.due_date, "period": callback.period or None, "zone": callback.zone,
        "due_at": callback.due_at, "deadline_at": callback.deadline_at,
        "owner": callbacks.named(session, callback.owner_id) if callback.owner_id is not None else None,
        "taken_by": callbacks.named(session, callback.taken_by) if callback.taken_by is not None else None,
        "kept_until": contact.kept_until, "when": callbacks.clock(callback.due_at, callback.zone),
    }  # fmt: skip
