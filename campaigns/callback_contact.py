"""Whom a person means who promises a callback: a contact by its id or number, or somebody new.

The caller owns the transaction.
"""

from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns import callbacks
from campaigns.db import MOST_ID, ROW_LOCK
from campaigns.models import Campaign, Contact, ContactList
from dialer.errors import BadInput
from dialer.numbers import Number, normalise

BY_HAND = "promised by hand"  # the list of those who were on none


def contact_for(session: Session, campaign: Campaign, given: str, now: datetime) -> Contact:
    """Return, locked, the contact a person means by its id or number; a number nobody has becomes a new contact.

    Numbers dialled by hand are on a list the dialer never calls from, so they become one too.
    """
    found = _known_contact(session, campaign, given) or _somebody_new(session, campaign, given, now)
    return callbacks.locked_contact(session, found.id)


def _somebody_new(session: Session, campaign: Campaign, given: str, now: datetime) -> Contact:
    read = normalise(given, campaign.country)
    if not isinstance(read, Number):
        raise BadInput(f"{given!r} is neither a contact of campaign {campaign.name} nor a number: {read}")
    kept = _list_by_hand(session, campaign, now)
    line = session.scalar(select(func.count()).select_from(Contact).where(Contact.list_id == kept.id)) or 0
    new = Contact(campaign_id=campaign.id, list_id=kept.id, line=line + 1, phone=read.e164, custom={})
    new.state, new.closed_because = "closed", "not promised yet"
    session.add(new)
    session.flush()
    return new


def _list_by_hand(session: Session, campaign: Campaign, now: datetime) -> ContactList:
    # One such list per campaign, whoever promises first: the campaign's row is held for it.
    session.get_one(Campaign, campaign.id, with_for_update=ROW_LOCK, populate_existing=True)
    found = session.scalars(
        select(ContactList)
        .where(
            ContactList.campaign_id == campaign.id,
            ContactList.kind == "callbacks",
            ContactList.name == BY_HAND,
            ContactList.undone_at.is_(None),
        )
        .order_by(ContactList.id)
        .limit(1)
    ).one_or_none()
    if found is None:
        found = ContactList(campaign_id=campaign.id, name=BY_HAND, kind="callbacks", created_at=now)
        session.add(found)
        session.flush()
    return found


def _known_contact(session: Session, campaign: Campaign, given: str) -> Contact | None:
    query = (
        select(Contact)
        .join(ContactList, ContactList.id == Contact.list_id)
        .where(
            Contact.campaign_id == campaign.id,
            ContactList.undone_at.is_(None),
            ContactList.kind != "manual",
        )
    )
    given = given.strip()
    if given.isdecimal() and int(given) <= MOST_ID:
        found = session.scalars(query.where(Contact.id == int(given))).one_or_none()
        if found is not None:
            return found
    read = normalise(given, campaign.country)
    if not isinstance(read, Number):
        return None
    query = query.where((Contact.phone == read.e164) | (Contact.phone2 == read.e164))
    # One that waits for a callback is the one somebody means; then one that may still be called.
    query = query.order_by(Contact.due_date.is_(None), Contact.state == "closed", Contact.id.desc()).limit(1)
    return session.scalars(query).one_or_none()
