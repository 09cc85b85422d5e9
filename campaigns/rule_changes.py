"""Another rule pack for a campaign or for one of its lists: tightening is free, loosening needs the right and a reason.

The change is in the row the gate locks, so it holds from the next call on. Calls that were made keep the pack they were
made under. The caller owns the transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import ledger
from campaigns.models import Campaign, ContactList
from dialer.abandonment import RulePack, rule_pack
from dialer.errors import BadInput, RefusedByRule
from dialer.loosening import loosened


@dataclass(frozen=True, slots=True)
class PackChange:
    """The pack before and after, None for none; and what is asked less strictly than before."""

    old: str | None
    new: str | None
    loosened: Sequence[str]

    @property
    def changed(self) -> bool:
        """Whether there was anything to do."""
        return self.old != self.new


def set_campaign_pack(
    session: Session,
    campaign: Campaign,
    name: str,
    *,
    may_loosen: Collection[str] = (),
    now: datetime,
    who: str,
    why: str = "",
) -> PackChange:
    """Put a campaign, whose row the caller has locked, under another pack.

    Its limits follow: the answer limit is the pack's; an abandonment limit above the new pack's comes down to it,
    unless somebody with the right had set it above the old one's. NotFound for no such pack, RefusedByRule for
    loosening without the right or without a reason. A campaign that never was started has kept no law yet: it is put
    under any, as it could have been created under any.
    """
    _not_archived(campaign)
    old, new = rule_pack(campaign.rule_pack), rule_pack(name)
    less = loosened(old, new) if new is not old else []
    if campaign.started_at is not None:
        _may(less, f"campaign {campaign.name} under {new.name} instead of {old.name}", may_loosen, who, why)
    change = PackChange(old.name, new.name, less)
    if not change.changed:
        return change
    before = {"max_abandonment": campaign.max_abandonment, "answer_limit": campaign.answer_limit}
    campaign.rule_pack, campaign.answer_limit = new.name, new.answer_limit.total_seconds()
    if campaign.max_abandonment <= old.ceiling:
        campaign.max_abandonment = min(campaign.max_abandonment, new.ceiling)
    if campaign.min_ring is not None:
        campaign.min_ring = max(campaign.min_ring, new.ring_minimum.total_seconds())
    after = {"max_abandonment": campaign.max_abandonment, "answer_limit": campaign.answer_limit}
    _record(session, campaign, change, now, who, why, list=None, before=before, after=after)
    return change


def set_list_pack(
    session: Session,
    campaign: Campaign,
    contact_list: ContactList,
    name: str | None,
    *,
    may_loosen: Collection[str] = (),
    now: datetime,
    who: str,
    why: str = "",
) -> PackChange:
    """Put a list under a pack of its own besides its campaign's; None takes it away.

    The caller has locked the campaign's row, which every gate reads under a lock of its own. What the campaign's own
    pack asks as strictly is not loosened. Errors as for a campaign.
    """
    _not_archived(campaign)
    new = rule_pack(name) if name is not None else None
    session.refresh(contact_list, with_for_update={"key_share": True})
    old = rule_pack(contact_list.rule_pack) if contact_list.rule_pack is not None else None
    less = _less(old, new, rule_pack(campaign.rule_pack))
    told = f"list {contact_list.name} without {old.name}" if old is not None else ""
    _may(less, told, may_loosen, who, why)
    change = PackChange(old.name if old else None, new.name if new else None, less)
    if change.changed:
        contact_list.rule_pack = change.new
        _record(session, campaign, change, now, who, why, list=contact_list.id, list_name=contact_list.name)
    return change


def _less(old: RulePack | None, new: RulePack | None, of_campaign: RulePack) -> list[str]:
    """Return what a list's old pack asks that neither the new one nor the campaign's does: of calls, not of rates."""
    if old is None or old is new:
        return []
    rates = ("time from the answer to an agent", "minimum ring", "windows of the abandonment rate")
    anyway = set(loosened(old, of_campaign))
    return [one for one in loosened(old, new) if one in anyway and one not in rates]


def _may(less: Sequence[str], told: str, may_loosen: Collection[str], who: str, why: str) -> None:
    if not less:
        return
    asked = f"{told} would keep less strictly: {', '.join(less)}"
    if who not in may_loosen:
        raise RefusedByRule(
            f"{asked}; {who} may not loosen it: let an operator add {who!r} to may_raise_ceiling under [rights] in the "
            "settings"
        )
    if not why.strip():
        raise RefusedByRule(f"{asked}: give the reason with --why, it is kept in the ledger")


def _not_archived(campaign: Campaign) -> None:
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: its rules cannot be changed")


def _record(
    session: Session, campaign: Campaign, change: PackChange, now: datetime, who: str, why: str, **more: Any
) -> None:
    ledger.record(
        session, at=now, kind="rule_pack", who=who, campaign_id=campaign.id, why=why, old=change.old, new=change.new,
        loosened=list(change.loosened), **more,
    )  # fmt: skip
    session.flush()


def lists_with_packs(session: Session, campaign: Campaign) -> list[ContactList]:
    """Return the campaign's lists that are under a pack of their own, the oldest first."""
    query = select(ContactList).where(
        ContactList.campaign_id == campaign.id, ContactList.rule_pack.is_not(None), ContactList.undone_at.is_(None)
    )
    return list(session.scalars(query.order_by(ContactList.id)))
