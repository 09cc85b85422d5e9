"""Where a request that a PBX keeps may be called: from that PBX alone, which takes it, starts its call and writes its
ticket. On the campaign's other PBXs such a contact is passed over; it waits for a line and an agent of its own."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import BindParameter, ColumnElement, bindparam, exists, select
from sqlalchemy.orm import Session

from campaigns.models import Contact, ListedRequest
from dialer.gate import Verdict

# Asked at every tick of campaigns of several PBXs, so built once.
_CAMPAIGN: BindParameter[int] = bindparam("campaign_id")
_PBX: BindParameter[str] = bindparam("pbx")
_UNTIL: BindParameter[datetime] = bindparam("until")


def callable_on(pbx: str | BindParameter[str]) -> ColumnElement[bool]:
    """Say of a contact that no other PBX keeps the request it stands for. Only promises stand for one."""
    return ~exists().where(
        ListedRequest.contact_id == Contact.id, ListedRequest.gone_at.is_(None), ListedRequest.pbx != pbx
    )


_KEPT_BY_OTHERS = select(
    exists().where(
        ListedRequest.contact_id == Contact.id, ListedRequest.gone_at.is_(None), ListedRequest.pbx != _PBX,
        Contact.campaign_id == _CAMPAIGN, Contact.state == "open", Contact.due_date.is_not(None),
    )
)  # fmt: skip
_FIRST_HERE = (
    select(Contact.id)
    .where(Contact.campaign_id == _CAMPAIGN, Contact.state == "open", Contact.next_at <= _UNTIL)
    .where(Contact.due_date.is_(None) | callable_on(_PBX))
    .order_by(Contact.next_at, Contact.id)
    .limit(1)
)


def nobody_else(session: Session, campaign_id: int, pbx: str, until: datetime) -> bool:
    """Whether whoever is due by `until` is a request that another PBX than `pbx` keeps, so nobody is due there.

    To be asked where somebody is due. Requests are few and looked for first; then the first due who is none of them.
    """
    if not session.scalar(_KEPT_BY_OTHERS, {"campaign_id": campaign_id, "pbx": pbx}):
        return False
    return session.scalar(_FIRST_HERE, {"campaign_id": campaign_id, "pbx": pbx, "until": until}) is None


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
