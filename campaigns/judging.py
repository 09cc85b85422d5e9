"""Every rule of calling, asked about one contact in one order: what the gate asks, and whoever plans or explains.

The gate asks it on rows it has locked, and only there is a verdict worth a call. What the rules need is read once for
all contacts of a batch.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Self

from sqlalchemy.orm import Session

from campaigns import capping, contact_filters, do_not_call, laws
from campaigns.earlier_calls import A_CALL, EarlierCalls
from campaigns.laws import Laws
from campaigns.models import Campaign, Contact
from dialer import caps, refusals
from dialer import gate as rules
from dialer.calling_rules import InForce
from dialer.caps import Cap
from dialer.contact_filter import Past, from_json, verdict
from dialer.gate import DoNotCallEntry, Verdict
from dialer.modes import AGENTLESS, AUTOMATIC
from dialer.places import Place
from dialer.windows import Hours, judge


@dataclass(frozen=True, slots=True)
class Here:
    """What holds for calls to phones in one place at one moment: the same for many contacts of a list."""

    law: InForce
    zones: Sequence[str]
    hour: Verdict
    rests: Mapping[bool, tuple[timedelta, str] | None]  # with an agent kept and without: how long, and by which pack
    law_caps: caps.Moment
    own_caps: caps.Moment
    consent_for: str  # who calls only people who agreed to it; empty: nobody


@dataclass(slots=True)
class Known:
    """What the rules need to know of some contacts of a campaign, each to be called at one number."""

    campaign: Campaign
    calls: EarlierCalls
    caps: tuple[Cap, ...]  # of the campaign and the installation
    packs: Laws
    hours: Hours
    ring_seconds: float
    forbidden: Mapping[str, DoNotCallEntry] = field(default_factory=dict)
    _here: dict[tuple[Place, int, datetime], Here] = field(default_factory=dict)  # by place, list and moment

    @classmethod
    def read(
        cls,
        session: Session,
        campaign: Campaign,
        contacts: Collection[Contact],
        now: datetime,
        *,
        ring_seconds: float,
        numbers: Collection[str] = (),
    ) -> Self:
        """Read it as of now. `numbers`: those to be called, where they may be others than the contacts' next."""
        packs = Laws.read(session, campaign, {contact.list_id for contact in contacts})
        kept = capping.in_force(session, campaign)
        reach = max(packs.reach(), caps.reach(kept), timedelta(seconds=campaign.number_gap)) + A_CALL
        called = {*numbers, *map(next_number, contacts)}
        return cls(
            campaign=campaign,
            calls=EarlierCalls.read(session, contacts, now - reach, *numbers),
            caps=kept,
            packs=packs,
            hours=Hours.parse(campaign.hours),
            ring_seconds=ring_seconds,
            forbidden=do_not_call.entries(session, called, campaign.id),
        )

    def here(self, contact: Contact, number: str, now: datetime) -> Here:
        """Return what holds where the phone may be: what the laws ask, its zones, the hour and the days of the caps."""
        place = laws.place(self.campaign, contact, number)
        key = (place, contact.list_id, now)
        found = self._here.get(key)
        if found is None:
            law = self.packs.of(contact, place, self.campaign.mode)
            zones = laws.zones(self.campaign, place)
            hour = judge(now, self.hours, zones, ring_seconds=self.ring_seconds, also=law.timetables)
            found = self._here[key] = Here(
                law=law,
                zones=zones,
                hour=hour,
                rests={kept: self._rest(contact, with_agent=kept) for kept in (True, False)},
                law_caps=caps.at(law.caps, now, zones),
                own_caps=caps.at(self.caps, now, zones),
                consent_for=law.consent or (f"campaign {self.campaign.name}" if self.campaign.needs_consent else ""),
            )
        return found

    def _rest(self, contact: Contact, *, with_agent: bool) -> tuple[timedelta, str] | None:
        """Return the strictest rest after an abandoned call, and whose it is; None where no pack asks for one."""
        packs = [one for one in self.packs.packs(contact.list_id) if one.calling.rest_with_agent or not with_agent]
        rests = [(one.rest_in(self.campaign.mode), one.name) for one in packs]
        return max(rests, key=lambda rest: rest[0], default=None)


def next_number(contact: Contact) -> str:
    """Return the number a contact is called at next."""
    return contact.next_number or contact.phone


def agent_is_kept(campaign: Campaign, contact: Contact) -> bool:
    """Whether an agent is kept for the contact's call, as far as mode and promise say; the gate's caller knows."""
    return contact.due_date is not None or campaign.mode not in (*AUTOMATIC, AGENTLESS)


def verdicts(known: Known, contact: Contact, number: str, now: datetime, *, with_agent: bool) -> Iterator[Verdict]:
    """Ask every rule about a call now. `with_agent`: an agent is kept for whoever answers."""
    campaign, calls = known.campaign, known.calls
    ringing = calls.open(number)
    whose = "this contact" if ringing is not None and ringing.contact_id == contact.id else "another contact"
    yield rules.campaign_state(campaign.state)
    yield rules.number_open(now, ringing.ordered_at if ringing else None, whose, known.ring_seconds)
    yield rules.do_not_call(known.forbidden.get(number))
    yield rules.attempt_cap(calls.counted(contact), campaign.max_attempts)
    yield from of_the_time(known, contact, number, now, with_agent=with_agent)
    yield rules.not_before(now, contact.next_at)
    yield from _filter(known, contact, now)


def of_the_time(known: Known, contact: Contact, number: str, now: datetime, *, with_agent: bool) -> Iterator[Verdict]:
    """Ask the rules that time alone may change: hours, rests, caps, consent, gap."""
    calls, here = known.calls, known.here(contact, number, now)
    law, earlier = here.law, calls.earlier(contact, number)
    yield here.hour
    rest = here.rests[with_agent]
    if rest is not None:
        yield rules.rest(now, calls.abandoned_at(number), *rest)
    if law.refusal_by:
        refused_at = calls.refused_at(contact, number)
        yield refusals.refusal(now, refused_at, law.rest_after_refusal, here.zones, law.refusal_by)
    yield from here.law_caps.judge(earlier)
    if here.consent_for:
        agreed = rules.Agreement(contact.consent_source, contact.consent_at) if contact.consent else None
        yield rules.consent(now, here.consent_for, agreed)
    yield rules.number_gap(now, calls.last_called(number), known.campaign.number_gap)
    yield from here.own_caps.judge(earlier)


def asks_for_agent(known: Known, contact: Contact, number: str, now: datetime) -> str:
    """Return the pack by which an agent must be kept for this call, since the last one was abandoned; empty: none."""
    abandoned_at = known.calls.left_alone_at(number)
    if abandoned_at is None:
        return ""
    asking = max(known.packs.packs(contact.list_id), key=lambda pack: pack.calling.agent_after_abandoned)
    owed = asking.calling.agent_after_abandoned
    return asking.name if owed and now - abandoned_at < owed else ""


def _filter(known: Known, contact: Contact, now: datetime) -> Sequence[Verdict]:
    """Ask the campaign's filter, where it has one; a callback that was promised is kept whatever it says."""
    if not known.campaign.contact_filter or contact.due_date is not None:
        return ()
    last = known.calls.last(contact)
    outcome, at = (last.state, last.ordered_at) if last is not None else ("", None)
    past = Past(known.calls.tried(contact), outcome, at)
    return (verdict(from_json(known.campaign.contact_filter), contact_filters.fields_of(contact), past, now),)
