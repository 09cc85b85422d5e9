"""How far a campaign's lists are worked, as the gate asks: whose untried contacts may be chosen, and how many of them.

Whoever looks for contacts passes over those never tried of a list at its cap; whoever orders holds the row of the
list's count until the order is committed, so that several who order at once share one room, to the contact. Retries
and promised callbacks are asked nothing here, and a person who calls somebody certain is not held back; first attempts
count whoever makes them.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.orm import Session

from campaigns import ledger, lifecycle, list_counts
from campaigns.application import Application
from campaigns.campaign_values import usual_zone
from campaigns.db import database_now
from campaigns.lists_view import list_named
from campaigns.models import Campaign, Contact, ContactList, ListCount
from dialer.errors import BadInput, NotFound
from dialer.gate import Verdict
from dialer.list_caps import ListCap, Standing
from dialer.rate_windows import midnight

# The lists of campaign {campaign} that have a cap, for those who look at a whole campaign in one question (`of_json`).
AS_JSON = """
    (SELECT json_agg(json_build_array(l.id, l.name, l.cap, l.cap_today, n.contacts, n.tried, n.today, n.today_until))
       FROM list_counts n JOIN lists l ON l.id = n.list_id
      WHERE n.campaign_id = {campaign} AND l.undone_at IS NULL AND (l.cap <> '' OR l.cap_today <> ''))"""
_STANDINGS = (
    select(
        ContactList.id, ContactList.name, ContactList.cap, ContactList.cap_today,
        ListCount.contacts, ListCount.tried, ListCount.today, ListCount.today_until,
    )
    .join(ListCount, ListCount.list_id == ContactList.id)
    .where(ContactList.campaign_id == bindparam("campaign"), ContactList.undone_at.is_(None))
    .order_by(ContactList.id)
)  # fmt: skip
_OFFERED = text("""
    SELECT k.list_id, count(*) AS contacts FROM offers o JOIN contacts k ON k.id = o.contact_id
    WHERE o.campaign_id = :campaign AND o.state = 'open' AND k.tried = 0 AND k.due_date IS NULL GROUP BY k.list_id
""")


def standings(session: Session, campaign_id: int, now: datetime, *, only: int | None = None) -> list[Standing]:
    """Return how far the campaign's lists were worked that are counted; of one list alone with `only`."""
    query = _STANDINGS if only is None else _STANDINGS.where(ContactList.id == only)
    rows = session.execute(query, {"campaign": campaign_id}).all()
    capped = any(row.cap or row.cap_today for row in rows)
    shown = offered(session, campaign_id) if capped else Counter()
    return [Standing.of(row, now, shown[row.id]) for row in rows]


def full(session: Session, campaign_id: int, now: datetime) -> list[Standing]:
    """Return the lists whose untried contacts are not called now."""
    return [one for one in standings(session, campaign_id, now) if one.full]


def full_of_json(rows: Iterable[Any] | None, now: datetime) -> list[Standing]:
    """Return the same from `AS_JSON`; what is offered to agents this moment is not in it."""
    found = (Standing.of((*row[:7], datetime.fromisoformat(row[7])), now) for row in rows or ())
    return [one for one in found if one.full]


def is_new(contact: Contact) -> bool:
    """Whether the caps of its list are about this contact: never called, and nothing promised."""
    return contact.tried == 0 and contact.due_date is None


@dataclass(slots=True)
class Rooms:
    """The lists of some contacts with their counts locked, and how many new contacts of each may still be called."""

    campaign: Campaign
    now: datetime
    standing: Mapping[int, Standing] = field(default_factory=dict)
    counts: Mapping[int, ListCount] = field(default_factory=dict)
    taken: Counter[int] = field(default_factory=Counter)  # list -> contacts that were let through

    @classmethod
    def locked(cls, session: Session, campaign: Campaign, contacts: Collection[Contact], now: datetime) -> "Rooms":
        """Lock what counts the untried among these contacts; nothing is locked where there is none."""
        lists = {contact.list_id for contact in contacts if contact.tried == 0}
        if not lists:
            return cls(campaign, now)
        query = (
            select(ListCount)
            .where(ListCount.list_id.in_(lists))
            .order_by(ListCount.list_id)
            .with_for_update(key_share=True)
            .execution_options(populate_existing=True)
        )
        counts = {one.list_id: one for one in session.scalars(query)}
        if not counts:
            return cls(campaign, now)
        capped = {one.list_id: one for one in standings(session, campaign.id, now) if one.list_id in counts}
        return cls(campaign, now, capped, counts)

    def verdict(self, contact: Contact) -> Verdict | None:
        """Say whether its list has room for it, besides those let through; None where no cap is about it."""
        standing = self.standing.get(contact.list_id)
        if standing is None or standing.room is None or not is_new(contact):
            return None
        return standing.verdict(self.taken[contact.list_id])

    def take(self, contact: Contact) -> None:
        """Let a new contact through."""
        self.taken[contact.list_id] += 1

    def tried(self, contact: Contact, attempt_no: int) -> None:
        """Count the attempt that is being ordered, if it is the contact's first; its `tried` is still the old one."""
        kept = self.counts.get(contact.list_id)
        if kept is None or contact.tried > 0:
            return
        kept.tried += 1
        if attempt_no == 1:
            if self.now >= kept.today_until:
                zone = usual_zone(self.campaign.country, self.campaign.time_zone)
                kept.today, kept.today_until = 0, midnight(self.now, zone, days=1)
            kept.today += 1


def of_contact(session: Session, contact: Contact, now: datetime) -> Verdict | None:
    """Say whether the list of a contact has room for it; None where no cap is about it."""
    if not is_new(contact):
        return None
    found = standings(session, contact.campaign_id, now, only=contact.list_id)
    return found[0].verdict() if found and found[0].room is not None else None


def offered(session: Session, campaign_id: int) -> Counter[int]:
    """Count by list the contacts never tried that agents are shown this moment and may call."""
    return Counter({row.list_id: row.contacts for row in session.execute(_OFFERED, {"campaign": campaign_id})})


# Setting them --------------------------------------------------------------------------------------------


def which(session: Session, campaign: Campaign, asked: str | int) -> ContactList:
    """Return a list of the campaign by its id, or by its name or its import's number; NotFound for no such list."""
    if isinstance(asked, str):
        return list_named(session, campaign, asked)
    found = session.get(ContactList, asked)
    if found is None or found.campaign_id != campaign.id or found.undone_at is not None:
        raise NotFound(f"campaign {campaign.name} has no list with the id {asked}")
    return found


def change(
    application: Application,
    campaign: str,
    asked: str | int,
    *,
    cap: str | None,
    today: str | None,
    who: str,
    why: str = "",
) -> ContactList:
    """Give a list other caps, as `set_caps` does, and count it before without keeping calls waiting.

    From the first transaction on whoever orders a first attempt adds it to the count, which so is whole when the cap
    begins to hold.
    """
    with application.transaction() as session:
        found = lifecycle.get(session, campaign, lock=True)
        one = which(session, found, asked)
        list_counts.begin(session, found, one.id, database_now(session))
    with application.transaction() as session:
        list_counts.count(session, lifecycle.get(session, campaign), one.id, database_now(session))
    with application.transaction() as session:
        found = lifecycle.get(session, campaign, lock=True)
        return set_caps(session, found, one.id, cap=cap, today=today, who=who, now=database_now(session), why=why)


def set_caps(
    session: Session,
    campaign: Campaign,
    asked: str | int,
    *,
    cap: str | None = None,
    today: str | None = None,
    who: str,
    now: datetime,
    why: str = "",
) -> ContactList:
    """Give a list (`which`) other caps; None stays, `none` takes one away.

    The caller holds the campaign's row. BadInput for a cap that cannot be read.
    """
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: the caps of its lists cannot be changed")
    found = which(session, campaign, asked)
    before = {"cap": found.cap, "cap_today": found.cap_today}
    after = {
        "cap": before["cap"] if cap is None else _written(cap),
        "cap_today": before["cap_today"] if today is None else _written(today),
    }
    if after == before:
        return found
    found.cap, found.cap_today = after["cap"], after["cap_today"]
    session.flush()
    if (found.cap or found.cap_today) and session.get(ListCount, found.id) is None:
        list_counts.count(session, campaign, found.id, now)
    ledger.record(
        session, at=now, kind="list_caps", who=who, campaign_id=campaign.id, why=why, list=found.name, list_id=found.id,
        before=before, after=after,
    )  # fmt: skip
    return found


def _written(given: str) -> str:
    cap = ListCap.parse(given)
    return str(cap) if cap is not None else ""
