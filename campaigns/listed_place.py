"""Where a request that a PBX keeps may be called: from that PBX alone, which takes it, starts its call and writes its
ticket. On the campaign's other PBXs such a contact is passed over; it waits for a line and an agent of its own."""

from collections.abc import Collection

from sqlalchemy import BindParameter, ColumnElement, exists, select
from sqlalchemy.orm import Session

from campaigns.models import Contact, ListedRequest
from dialer.gate import Verdict


def callable_on(pbx: str | BindParameter[str]) -> ColumnElement[bool]:
    """Say of a contact that no other PBX keeps the request it stands for. Only promises stand for one."""
    return ~exists().where(
        ListedRequest.contact_id == Contact.id, ListedRequest.gone_at.is_(None), ListedRequest.pbx != pbx
    )


def verdict(session: Session, contact: Contact, pbxes: Collection[str]) -> Verdict | None:
    """Say whether a contact may be called on any of these PBXs; None where no PBX keeps a request of theirs."""
    if contact.due_date is None:
        return None
    query = select(ListedRequest.pbx).where(ListedRequest.contact_id == contact.id, ListedRequest.gone_at.is_(None))
    keeper = session.scalar(query)
    if keeper is None:
        return None
    against = {"kept_by": keeper}
    if keeper in pbxes:
        return Verdict(True, "listed", f"the callback is kept by PBX {keeper}, and called there", against=against)
    why = f"the callback is kept by PBX {keeper}, which alone may call it"
    return Verdict(False, "listed", why, against=against)
