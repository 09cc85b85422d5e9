"""Contacts that hours and consent cannot tell apart, in groups: what is reckoned once for each group, in Python.

Laws and zones are no work for SQL, and a million contacts are too many to ask one by one. What the rules look at
(the packs in force, the head of the number, the address, the consent) is the group; any contact of it stands for all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import laws
from campaigns.models import Campaign, ContactList
from dialer import gate as rules
from dialer.abandonment import RulePack, rule_pack
from dialer.calling_rules import InForce, in_force
from dialer.caps import Cap
from dialer.gate import Verdict
from dialer.modes import AUTOMATIC, MANUAL, PREVIEW
from dialer.numbers import ZONE_HEAD, ZONE_HEAD_AMERICA, country_prefix, zone_heads, zones_of
from dialer.places import Address, Place, place_of
from dialer.windows import Hours, judge

_NO_NUMBER = "no number begins so"
_WHEN_LIST = " WHEN k.list_id = ANY(:pack_{n}) THEN {n}"
_WHEN_HEAD = " WHEN left({number}, 5) = ANY(:heads_{length}) THEN left({number}, {length})"
_NUMBER = "coalesce(k.next_number, k.phone)"
_HEAD = (
    "CASE WHEN starts_with({number}, :own) THEN :own"
    " WHEN left({number}, 5) = ANY(:longer_heads) THEN CASE{longer} END"
    " WHEN starts_with({number}, '+1') THEN left({number}, {america}) ELSE left({number}, {elsewhere}) END"
)
# Postcodes say where a phone is by their first letters, and in America only if they are whole.
_ADDRESS = r"""
    CASE WHEN k.postcode = '' AND k.time_zone = '' THEN k.region
         ELSE concat_ws('/', k.region, k.time_zone, left(translate(k.postcode, E' \t\n\r\f\v', ''), 3),
                        length(translate(k.postcode, E' \t\n\r\f\v', '')) < 5) END"""
_CONSENT = "CASE WHEN NOT k.consent THEN 0 WHEN k.consent_at > :now THEN 1 ELSE 2 END"
NO_CONSENT, LATER, GIVEN = 0, 1, 2


def columns(packs: "Packs", campaign: Campaign) -> Mapping[str, str]:
    """Return, as SQL about a contact `k`, what makes a group; its parameters are `parameters`.

    What no rule of the campaign looks at is the same for all: each key costs a tenth of the time to count the rows.
    """
    everything = [pack.calling for several in packs.all for pack in several]
    of_list = "".join(_WHEN_LIST.format(n=n) for n in range(1, len(packs.all)))
    longer = "".join(_WHEN_HEAD.format(number=_NUMBER, length=length) for length in zone_heads())
    anywhere = Hours.parse(campaign.hours).always and all(
        law.hours.always and not law.holidays and not law.regions for law in everything
    )
    asks_consent = campaign.needs_consent or any(
        campaign.mode in law.consent for one in everything for law in (one, *one.regions.values())
    )
    return {
        "pack": f"CASE{of_list} ELSE 0 END" if of_list else "0",
        "head": "''"
        if anywhere
        else _HEAD.format(number=_NUMBER, longer=longer, america=ZONE_HEAD_AMERICA, elsewhere=ZONE_HEAD),
        "address": "''" if anywhere else _ADDRESS,
        "consent": _CONSENT if asks_consent else str(GIVEN),
        "consent_at": "k.consent_at" if asks_consent else "CAST(NULL AS timestamptz)",
    }


@dataclass(frozen=True, slots=True)
class Packs:
    """The rule packs of a campaign's lists: `all` begins with the campaign's alone, which holds for most lists."""

    all: Sequence[tuple[RulePack, ...]]
    lists: Mapping[int, Sequence[int]]  # place in `all` -> the lists under it
    laws: laws.Laws

    @classmethod
    def read(cls, session: Session, campaign: Campaign) -> "Packs":
        """Read them, of every list of the campaign."""
        query = select(ContactList.id).where(ContactList.campaign_id == campaign.id, ContactList.rule_pack.is_not(None))
        named = session.scalars(query.order_by(ContactList.id)).all()
        known = laws.Laws.read(session, campaign, named)
        by_packs: dict[tuple[RulePack, ...], list[int]] = {(rule_pack(campaign.rule_pack),): []}
        for list_id in named:
            by_packs.setdefault(known.packs(list_id), []).append(list_id)
        return cls(list(by_packs), dict(enumerate(by_packs.values())), known)

    def caps(self) -> tuple[Cap, ...]:
        """Return every cap that any of the packs may ask for, somewhere."""
        found = {one for packs in self.all for one in packs}
        return tuple(cap for one in found for law in (one.calling, *one.calling.regions.values()) for cap in law.caps)

    @property
    def ask_of_refusals(self) -> bool:
        """Whether any of the packs may leave people in peace after they said no, somewhere."""
        found = {one for packs in self.all for one in packs}
        return any(law.rest_after_refusal for one in found for law in (one.calling, *one.calling.regions.values()))

    def rests(self, mode: str, *, with_agent: bool) -> list[float]:
        """Return, in the order of `all`, the rest after an abandoned call in seconds; 0 where none is asked for."""
        asked = [[one for one in packs if one.calling.rest_with_agent or not with_agent] for packs in self.all]
        return [max((one.rest_in(mode).total_seconds() for one in packs), default=0.0) for packs in asked]


def always_with_agent(mode: str) -> bool:
    """Whether whoever answers has an agent kept for them in this mode."""
    return mode in (PREVIEW, MANUAL)


def with_agent(mode: str) -> str:
    """Return the SQL that says so of a contact `k`: a promised callback is ordered with one where a pacer orders."""
    if mode in AUTOMATIC:
        return "(k.due_date IS NOT NULL)"
    return "true" if always_with_agent(mode) else "false"


def parameters(campaign: Campaign, packs: Packs, *, now: datetime, ring_seconds: float) -> dict[str, Any]:
    """Return the values of `columns`."""
    values: dict[str, Any] = {f"heads_{length}": list(heads) for length, heads in zone_heads().items()}
    values["longer_heads"] = [head for heads in zone_heads().values() for head in heads]
    values |= {f"pack_{n}": list(lists) for n, lists in packs.lists.items() if n}
    return {**values, "now": now, "own": _alike(campaign, packs, now, ring_seconds)}


def _alike(campaign: Campaign, packs: Packs, now: datetime, ring_seconds: float) -> str:
    """Return the beginning of the numbers of the campaign's country if all of its zones give one verdict now.

    Where a pack has rules of its own for a region, no two numbers are alike until they are looked at.
    """
    if any(pack.calling.regions for several in packs.all for pack in several):
        return _NO_NUMBER
    places = Places(campaign, packs, now, ring_seconds)
    for number in range(len(packs.all)):
        verdicts = [places.hours(number, Place((), (zone,))) for zone in zones_of(campaign.country)]
        if len({(one.allowed, one.until) for one in verdicts}) != 1:
            return _NO_NUMBER
    return country_prefix(campaign.country)


class Places:
    """What the laws say of places, each asked about once."""

    def __init__(self, campaign: Campaign, packs: Packs, now: datetime, ring_seconds: float) -> None:
        self._campaign, self._packs, self._now, self._ring_seconds = campaign, packs, now, ring_seconds
        self._hours = Hours.parse(campaign.hours)
        self._laws: dict[tuple[int, Place], InForce] = {}
        self._verdicts: dict[tuple[int, Place], Verdict] = {}

    def law(self, packs: int, where: Place) -> InForce:
        """Return what these packs ask of a call to this place."""
        if (packs, where) not in self._laws:
            named = [(pack.name, pack.calling) for pack in self._packs.all[packs]]
            self._laws[packs, where] = in_force(named, where, self._campaign.mode)
        return self._laws[packs, where]

    def hours(self, packs: int, where: Place) -> Verdict:
        """Ask whether a phone in this place may ring now."""
        if (packs, where) not in self._verdicts:
            zones = laws.zones(self._campaign, where)
            tables = self.law(packs, where).timetables
            verdict = judge(self._now, self._hours, zones, ring_seconds=self._ring_seconds, also=tables)
            self._verdicts[packs, where] = verdict
        return self._verdicts[packs, where]


class Judge:
    """Says of each group which rule of its own, hours or consent, refuses all of it first."""

    def __init__(self, campaign: Campaign, packs: Packs, *, now: datetime, ring_seconds: float) -> None:
        self._campaign, self._now = campaign, now
        self._places = Places(campaign, packs, now, ring_seconds)

    def refusal(self, one: Any, packs: int, consent: int, consent_at: datetime | None) -> Verdict | None:
        """Ask about the number and the address of `one` of a group, and what the whole group has in common."""
        where = place_of(one.number, Address(one.region, one.postcode, one.time_zone), self._campaign.country)
        verdicts = [self._places.hours(packs, where)]
        needed_by = self._places.law(packs, where).consent
        if not needed_by and self._campaign.needs_consent:
            needed_by = f"campaign {self._campaign.name}"
        if needed_by:
            agreed = None
            if consent != NO_CONSENT:
                agreed = rules.Agreement("", consent_at if consent == LATER else None)
            verdicts.append(rules.consent(self._now, needed_by, agreed))
        return next((verdict for verdict in verdicts if not verdict.allowed), None)
