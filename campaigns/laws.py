"""Which rules of calling hold for a contact: its campaign's rule pack and its list's, where its phone may be.

Read from rows by whoever asks; the gate does so on rows it has locked. The rules themselves are in `dialer`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Contact, ContactList
from dialer import caps
from dialer.abandonment import RulePack, rule_pack
from dialer.calling_rules import InForce, in_force
from dialer.places import Address, Place, place_of
from dialer.windows import zones_to_judge

_PACKS = select(ContactList.id, ContactList.rule_pack).where(
    ContactList.id == any_(bindparam("lists", type_=ARRAY(BigInteger))), ContactList.rule_pack.is_not(None)
)


@dataclass(frozen=True, slots=True)
class Laws:
    """The packs of a campaign and, by list, of its lists."""

    campaign: RulePack
    lists: Mapping[int, RulePack]

    @classmethod
    def read(cls, session: Session, campaign: Campaign, list_ids: Collection[int]) -> "Laws":
        """Read the packs of these lists; one that names none is under its campaign's alone."""
        rows = session.execute(_PACKS, {"lists": list(set(list_ids))})
        return cls(rule_pack(campaign.rule_pack), {row.id: rule_pack(row.rule_pack) for row in rows})

    def packs(self, list_id: int) -> tuple[RulePack, ...]:
        """Return the packs that hold for contacts of a list, the campaign's first."""
        own = self.lists.get(list_id)
        return (self.campaign,) if own is None or own is self.campaign else (self.campaign, own)

    def of(self, contact: Contact, place: Place, mode: str) -> InForce:
        """Return what holds for one contact whose phone may be in `place`."""
        return in_force([(pack.name, pack.calling) for pack in self.packs(contact.list_id)], place, mode)

    def reach(self) -> timedelta:
        """How far back calls may count for any of the packs."""
        packs = {self.campaign, *self.lists.values()}
        found = [pack.rest for pack in packs]
        for pack in packs:
            found.append(pack.calling.agent_after_abandoned)
            for one in (pack.calling, *pack.calling.regions.values()):
                found += [caps.reach(one.caps), one.rest_after_refusal + caps.UNKNOWN_DAY]
        return max(found)


def place(campaign: Campaign, contact: Contact, number: str) -> Place:
    """Return where the contact's phone may be, by its number and by its address."""
    return place_of(number, Address(contact.region, contact.postcode, contact.time_zone), campaign.country)


def zones(campaign: Campaign, where: Place) -> tuple[str, ...]:
    """Return the zones in which the hours must allow a call."""
    return zones_to_judge(where.zones, campaign.time_zone)
