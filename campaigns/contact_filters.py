"""The campaign's filter put into practice: contacts it does not want are closed, and open again when it does.

What stands in a contact's own columns is judged once, when the filter or the contact comes, so the queue holds only
those who are wanted; history is judged at the gate, for the few who are tried. A closed contact keeps its next time, so
it comes back as it went.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.application import Application
from campaigns.models import Campaign
from dialer.contact_filter import FIELDS, HISTORY, MOST, Condition, from_json, wanted
from dialer.errors import BadInput

NOT_WANTED = "not wanted by the campaign's filter"
_AT_ONCE = 5_000


class Known(Protocol):
    """What a filter looks at: a contact, or a row of its columns."""

    first_name: str
    last_name: str
    company: str
    description: str
    phone: str
    priority: int
    custom: dict[str, Any]


def fields_of(contact: Known) -> dict[str, str]:
    """Return what a filter may ask of a contact, by name; a column of its own cannot hide one of ours."""
    own = {name: str(getattr(contact, name)) for name in FIELDS}
    return {str(name): str(value) for name, value in contact.custom.items()} | own


def set_filter(
    session: Session, campaign: Campaign, conditions: Sequence[Condition], *, who: str, now: datetime, why: str = ""
) -> None:
    """Keep the conditions; `apply` then judges the contacts there are. BadInput when there are too many."""
    if len(conditions) > MOST:
        raise BadInput(f"{len(conditions)} conditions: at most {MOST}")
    _known_columns(session, campaign, conditions)
    before = list(campaign.contact_filter)
    campaign.contact_filter = [one.as_json() for one in conditions]
    ledger.record(
        session,
        at=now,
        kind="contact_filter",
        who=who,
        campaign_id=campaign.id,
        why=why,
        before=before,
        after=campaign.contact_filter,
    )
    session.flush()


def _known_columns(session: Session, campaign: Campaign, conditions: Sequence[Condition]) -> None:
    """A name that no contact has wants nobody, which is nearly always a typing mistake."""
    query = text("""
        SELECT EXISTS (SELECT FROM contacts WHERE campaign_id = :campaign AND state <> 'closed'),
               EXISTS (SELECT FROM contacts WHERE campaign_id = :campaign AND custom ? :name)
    """)
    for one in conditions:
        if one.field in FIELDS or one.field in HISTORY:
            continue
        some, found = session.execute(query, {"campaign": campaign.id, "name": one.field}).one()
        if some and not found:
            raise BadInput(
                f"{one}: no contact of the campaign has a column {one.field!r}. Fields: {', '.join(FIELDS + HISTORY)}, "
                "and the names of the list's own columns as the file wrote them"
            )


_PART = text("""
    SELECT k.id, k.state, k.first_name, k.last_name, k.company, k.description, k.phone, k.priority, k.custom
    FROM contacts k JOIN lists l ON l.id = k.list_id
    WHERE k.campaign_id = :campaign AND k.id > :after AND (CAST(:list AS bigint) IS NULL OR k.list_id = :list)
      AND (k.state = 'open' OR k.closed_because = :why) AND k.due_date IS NULL AND l.undone_at IS NULL
    ORDER BY k.id LIMIT :most
""")
_CLOSE = text("UPDATE contacts SET state = 'closed', closed_because = :why WHERE id = ANY(:ids) AND state = 'open'")
_OPEN = text("""
    UPDATE contacts SET state = 'open', closed_because = '', next_at = coalesce(next_at, :now)
    WHERE id = ANY(:ids) AND closed_because = :why
""")


def apply(application: Application, campaign_id: int, now: datetime, tell: Callable[[int], None]) -> tuple[int, int]:
    """Judge all contacts by the campaign's filter, part by part, each in a short transaction; (closed, opened).

    Interrupted, it is simply done again. `tell` hears how many were judged.
    """
    after, closed, opened, judged = 0, 0, 0, 0
    while True:
        with application.transaction() as session:
            campaign = session.get_one(Campaign, campaign_id)
            last, count, out, back = _part(session, campaign, None, after, now)
        judged, closed, opened = judged + count, closed + out, opened + back
        tell(judged)
        if not count:
            return closed, opened
        after = last


def apply_to_list(session: Session, campaign: Campaign, list_id: int, now: datetime) -> int:
    """Judge the contacts of a list that was just written, in its transaction; how many are not wanted."""
    session.refresh(campaign)  # as it is now: the file took its time
    after, closed = 0, 0
    while campaign.contact_filter:
        last, count, out, _ = _part(session, campaign, list_id, after, now)
        if not count:
            break
        after, closed = last, closed + out
    return closed


def _part(
    session: Session, campaign: Campaign, list_id: int | None, after: int, now: datetime
) -> tuple[int, int, int, int]:
    conditions = from_json(campaign.contact_filter)
    given: Mapping[str, Any] = {"campaign": campaign.id, "list": list_id, "after": after, "why": NOT_WANTED}
    rows = session.execute(_PART, {**given, "most": _AT_ONCE}).all()
    if not rows:
        return after, 0, 0, 0
    out = [row.id for row in rows if row.state == "open" and not wanted(conditions, fields_of(row))]
    back = [row.id for row in rows if row.state == "closed" and wanted(conditions, fields_of(row))]
    closed = session.execute(_CLOSE, {"ids": out, "why": NOT_WANTED}) if out else None
    opened = session.execute(_OPEN, {"ids": back, "why": NOT_WANTED, "now": now}) if back else None
    counts = [int(getattr(done, "rowcount", 0)) for done in (closed, opened)]
    return rows[-1].id, len(rows), counts[0], counts[1]
