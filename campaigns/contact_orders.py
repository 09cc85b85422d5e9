"""A campaign's order of contacts and the mix of its lists, as people set them. The caller owns the transaction."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import best_time_order, best_times, ledger
from campaigns.lists_view import list_named
from campaigns.models import Campaign, ContactList
from dialer.errors import BadInput
from dialer.next_contact import BEST_TIME, parse_order


@dataclass(frozen=True, slots=True)
class Order:
    """In which order contacts are taken, and each list's share of the calls, of those that have one."""

    order: str  # "": by due time alone, and as the pacer wishes
    shares: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        """Return the order for a program."""
        return {"order": self.order, "shares": dict(self.shares)}


def order_of(session: Session, campaign: Campaign) -> Order:
    """Return the order in force."""
    query = select(ContactList).where(
        ContactList.campaign_id == campaign.id, ContactList.share.is_not(None), ContactList.undone_at.is_(None)
    )
    shares = {one.name: one.share or 0.0 for one in session.scalars(query.order_by(ContactList.id))}
    return Order(campaign.contact_order, shares)


def set_order(
    session: Session,
    campaign: Campaign,
    *,
    order: str | None = None,
    shares: Mapping[str, float] | None = None,
    who: str,
    now: datetime,
    why: str = "",
) -> Order:
    """Set what is given and keep the rest. `order` "": as the pacer wishes. Shares replace all there were."""
    before = order_of(session, campaign)
    if order is not None:
        campaign.contact_order = ",".join(parse_order(order))
        if BEST_TIME in parse_order(order):
            best_times.keep(session, campaign.id, best_times.learn(session, campaign, now), now)
        else:
            best_time_order.take_back(session, campaign.id, now)  # the first of them; the scheduler brings the others
    if shares is not None:
        _share_out(session, campaign, shares)
    session.flush()
    after = order_of(session, campaign)
    if after.shares and not campaign.contact_order:
        campaign.contact_order = "due"  # a mix needs the lanes, whatever comes first in each
        session.flush()
        after = order_of(session, campaign)
    if after != before:
        ledger.record(
            session,
            at=now,
            kind="contact_order",
            who=who,
            campaign_id=campaign.id,
            why=why,
            before=before.as_json(),
            after=after.as_json(),
        )
    return after


def _share_out(session: Session, campaign: Campaign, shares: Mapping[str, float]) -> None:
    for name, share in shares.items():
        if not 0 < share <= 1:
            raise BadInput(f"the share of {name!r} is {share:g}: give each list more than 0 and at most 100 %")
    if shares and sum(shares.values()) > 1 + 1e-9:
        raise BadInput(f"the shares come to {sum(shares.values()):.0%}: 100 % is all there is")
    here = select(ContactList).where(ContactList.campaign_id == campaign.id, ContactList.undone_at.is_(None))
    named = {name: list_named(session, campaign, name) for name in shares}
    for one in session.scalars(here.with_for_update(key_share=True)):
        one.share = next((share for name, share in shares.items() if named[name].id == one.id), None)
