"""Which rules of calling hold for a contact: its campaign's rule pack and its list's, where its phone may be.

Read from rows by whoever asks; the gate does so on rows it has locked. The rules themselves are in `dialer`.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.capping import numbers_of
from campaigns.models import Attempt, Campaign, Contact, ContactList
from dialer import caps
from dialer import gate as rules
from dialer.abandonment import RulePack, rule_pack
from dialer.calling_rules import InForce, in_force
from dialer.calls import CallState
from dialer.caps import Call, Earlier
from dialer.gate import Verdict
from dialer.places import Address, Place, place_of
from dialer.retries import NEVER_RANG
from dialer.windows import Hours, judge, zones_to_judge

# Calls are found by when they were ordered, and count from when they were sent, or from their end: no call is longer.
A_CALL = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Laws:
    """The packs of a campaign and, by list, of its lists."""

    campaign: RulePack
    lists: Mapping[int, RulePack]

    @classmethod
    def read(cls, session: Session, campaign: Campaign, list_ids: Collection[int]) -> "Laws":
        """Read the packs of these lists; one that names none is under its campaign's alone."""
        rows = session.execute(
            select(ContactList.id, ContactList.rule_pack).where(
                ContactList.id.in_(set(list_ids)), ContactList.rule_pack.is_not(None)
            )
        )
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
            everywhere = (pack.calling, *pack.calling.regions.values())
            found += [caps.reach(one.caps) for one in everywhere]
        return max(found) + A_CALL


def place(campaign: Campaign, contact: Contact, number: str) -> Place:
    """Return where the contact's phone may be, by its number and by its address."""
    return place_of(number, Address(contact.region, contact.postcode, contact.time_zone), campaign.country)


def zones(campaign: Campaign, where: Place) -> tuple[str, ...]:
    """Return the zones in which the hours must allow a call."""
    return zones_to_judge(where.zones, campaign.time_zone)


@dataclass(frozen=True, slots=True)
class History:
    """Calls that may have rung, of any campaign: to certain numbers, and of certain contacts."""

    calls: list[tuple[int, str, Call]]  # contact, number
    abandoned: Mapping[str, datetime]  # number -> when its last abandoned call ended

    @classmethod
    def read(
        cls, session: Session, contacts: Sequence[Contact], numbers: Collection[str], since: datetime
    ) -> "History":
        """Read what happened since then to these numbers, and to all numbers of these contacts."""
        everything = set(numbers).union(*map(numbers_of, contacts))
        columns = select(
            Attempt.id, Attempt.contact_id, Attempt.number, Attempt.ordered_at, Attempt.sent_at, Attempt.joined_at,
            Attempt.state, Attempt.ended_at,
        ).where(Attempt.ordered_at > since, Attempt.state.not_in(NEVER_RANG))  # fmt: skip
        rows = {
            row.id: row
            for query in (
                columns.where(Attempt.number.in_(everything)),
                columns.where(Attempt.contact_id.in_([contact.id for contact in contacts])),
            )
            for row in session.execute(query)
        }
        abandoned: dict[str, datetime] = {}
        for row in rows.values():
            if row.state == CallState.ABANDONED and row.ended_at is not None:
                abandoned[row.number] = max(row.ended_at, abandoned.get(row.number, row.ended_at))
        calls = [
            (row.contact_id, row.number, Call(row.sent_at or row.ordered_at, row.joined_at is not None))
            for row in rows.values()
        ]
        return cls(calls, abandoned)

    def add(self, contact: Contact, number: str, at: datetime) -> None:
        """Count a call that is being ordered, for what is judged after it in the same transaction."""
        self.calls.append((contact.id, number, Call(at)))

    def earlier(self, contact: Contact, number: str) -> Earlier:
        """Return the earlier calls that a cap counts for this contact and the number to be called."""
        numbers = {number, *numbers_of(contact)}
        return Earlier(
            number=[call for _, to, call in self.calls if to == number],
            contact=[call for of, to, call in self.calls if of == contact.id or to in numbers],
        )


def verdicts(
    campaign: Campaign,
    contact: Contact,
    number: str,
    laws: Laws,
    history: History,
    *,
    now: datetime,
    ring_seconds: float,
    hours: Hours,
    with_agent: bool,
) -> tuple[Verdict, ...]:
    """Ask hours, rest, caps and consent about one call. `with_agent`: an agent is kept for whoever answers."""
    where = place(campaign, contact, number)
    law = laws.of(contact, where, campaign.mode)
    at = zones(campaign, where)
    needed_by = law.consent or (f"campaign {campaign.name}" if campaign.needs_consent else "")
    packs = [pack for pack in laws.packs(contact.list_id) if pack.calling.rest_with_agent or not with_agent]
    found = [judge(now, hours, at, ring_seconds=ring_seconds, also=law.timetables)]
    if packs:
        strictest = max(packs, key=lambda pack: pack.rest)
        found.append(rules.rest(now, history.abandoned.get(number), strictest.rest, strictest.name))
    found += caps.judge(law.caps, now, history.earlier(contact, number), at)
    if needed_by:
        agreed = rules.Agreement(contact.consent_source, contact.consent_at) if contact.consent else None
        found.append(rules.consent(now, needed_by, agreed))
    return tuple(found)
