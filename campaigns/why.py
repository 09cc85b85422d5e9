"""Why a campaign, or one contact, is not being called: the gate's own rules, asked without calling anybody.

The verdicts are of this moment and bind nobody: only the gate, on locked rows, decides.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import (
    callbacks,
    caller_ids,
    cut_off,
    judging,
    list_caps,
    listed_place,
    pools,
    pools_view,
    stored_gateways,
    unseen_calls,
)
from campaigns.agent_states import FREE
from campaigns.db import MOST_ID
from campaigns.judging import Known
from campaigns.models import Attempt, Campaign, Contact, ContactList, Offer
from dialer import gate as rules
from dialer.errors import NotFound
from dialer.gate import Verdict
from dialer.modes import AGENTLESS
from dialer.numbers import Number, normalise
from dialer.retries import closed_because


@dataclass(frozen=True, slots=True)
class Explained:
    """One contact: every rule's verdict, and the tries so far."""

    contact: Contact
    number: str
    verdicts: Sequence[Verdict]
    attempts: Sequence[Attempt]
    twins: int  # other contacts of the campaign with this number

    @property
    def allowed(self) -> bool:
        """Whether the gate would let a call pass now."""
        return all(verdict.allowed for verdict in self.verdicts)

    def as_json(self) -> dict[str, Any]:
        """Return everything for a program; `next_at` is null when it is allowed, and when time alone does not help."""
        tried = [{"ordered_at": one.ordered_at, "number": one.number, "state": one.state} for one in self.attempts]
        return {
            "contact": self.contact.id,
            "number": self.number,
            "allowed": self.allowed,
            "next_at": soonest(self.verdicts),
            "rules": [verdict.as_json() for verdict in self.verdicts],
            "attempts": tried,
            "same_number": self.twins,
        }


# One contact ---------------------------------------------------------------------------------------------


def find_contact(session: Session, campaign: Campaign, given: str) -> tuple[Contact, int]:
    """Return the contact a person means by its id or by a number, and how many others have that number."""
    given = given.strip()
    if given.isdecimal() and int(given) <= MOST_ID:
        found = session.get(Contact, int(given))
        if found is not None and found.campaign_id == campaign.id:
            return found, 0
    number = normalise(given, campaign.country)
    if not isinstance(number, Number):
        raise NotFound(
            f"campaign {campaign.name} has no contact {given!r}, and as a number it cannot be read: {number}"
        )
    # One that may still be called is the one somebody asks about.
    query = (
        select(Contact)
        .join(ContactList, ContactList.id == Contact.list_id)
        .where(
            Contact.campaign_id == campaign.id,
            (Contact.phone == number.e164)
            | (Contact.phone2 == number.e164)
            | Contact.more_numbers.contains([number.e164]),
        )
        .order_by(ContactList.undone_at.is_(None).desc(), Contact.state == "closed", Contact.id.desc())
    )
    matching = session.scalars(query).all()
    if not matching:
        raise NotFound(f"campaign {campaign.name} has no contact with the number {number.e164}")
    return matching[0], len(matching) - 1


def explain(session: Session, campaign: Campaign, given: str, *, now: datetime, ring_seconds: float) -> Explained:
    """Ask every rule of the gate about one contact."""
    contact, twins = find_contact(session, campaign, given)
    number = judging.next_number(contact)
    history = session.scalars(
        select(Attempt).where(Attempt.contact_id == contact.id).order_by(Attempt.id.desc()).limit(5)
    ).all()
    known = Known.read(session, campaign, [contact], now, ring_seconds=ring_seconds)
    with_agent = judging.agent_is_kept(campaign, contact)
    verdicts: tuple[Verdict, ...] = tuple(judging.verdicts(known, contact, number, now, with_agent=with_agent))
    verdicts = (verdicts[0], _of_the_contact(session, contact), *verdicts[1:])
    if campaign.mode == AGENTLESS and contact.due_date is not None:
        told = "a callback was promised, and a campaign without agents has nobody to keep it"
        verdicts += (Verdict(False, "promised", told),)
    there = listed_place.verdict(session, contact, pools.names(session, campaign))
    if there is not None:
        verdicts += (there,)
    room = list_caps.of_contact(session, contact, now)
    if room is not None:
        verdicts += (room,)
    if contact.kept_for is not None:
        whose = callbacks.named(session, contact.kept_for)
        verdicts += (rules.kept_for_agent(now, 0, contact.kept_for, contact.kept_until, whose),)
    shown = caller_ids.looked_at(session, campaign, now).refusal
    if shown is not None:
        verdicts += (shown,)
    return Explained(contact, number, verdicts, history, twins)


def _of_the_contact(session: Session, contact: Contact) -> Verdict:
    imported = session.get_one(ContactList, contact.list_id)
    if imported.undone_at is not None:
        return Verdict(False, "contact", f"the list {imported.name} was taken back on {imported.undone_at:%Y-%m-%d}")
    if contact.state == "closed":
        reason = closed_because(contact.closed_because) or "no reason was kept"
        return Verdict(False, "contact", f"the contact is closed: {reason}")
    if contact.state == "live":
        offered = select(Offer.until).where(Offer.contact_id == contact.id, Offer.state == "open")
        until = session.scalar(offered)
        if until is not None:
            return Verdict(False, "contact", f"the contact is offered to an agent until {until:%H:%M:%S} UTC")
        return Verdict(False, "contact", "the contact is being called, or spoken with, now")
    return Verdict(True, "contact", "the contact is open")


def in_words(verdict: Verdict) -> str:
    """Return what a rule said, for people who see `until` beside it by their campaign's clock; the rule's is UTC."""
    if verdict.rule == "not_before" and not verdict.allowed:
        return "its time has not come"
    return verdict.why


def soonest(verdicts: Sequence[Verdict]) -> datetime | None:
    """When no rule will say no any more; None when one waits for more than time, or all allow it now."""
    refused = [verdict for verdict in verdicts if not verdict.allowed]
    waits = [verdict.until for verdict in refused if verdict.until is not None]
    return max(waits) if waits and len(waits) == len(refused) else None


def holding(session: Session, campaign: Campaign, *, now: datetime) -> list[str]:
    """Say what holds the whole campaign back, whoever its contacts are; empty when nothing does."""
    found = []
    state = rules.campaign_state(campaign.state)
    if not state.allowed:
        found.append(state.why)
    shown = caller_ids.looked_at(session, campaign, now).refusal
    if shown is not None:
        found.append(f"{shown.why}: `dialer caller-id list {campaign.name}`")
    found += [one.verdict().why for one in list_caps.full(session, campaign.id, now)]
    free, states = _agents(session, campaign)
    if not free and campaign.mode != AGENTLESS:
        found.append(f"no agent is free: {states or 'none is assigned'}")
    lease = session.execute(
        text("SELECT holder FROM leases WHERE name = :name AND expires_at > clock_timestamp()"),
        {"name": f"campaign:{campaign.id}"},
    ).first()
    if lease is None and state.allowed:
        found.append("no scheduler leads it: start `dialer scheduler`, or everything with `dialer up`")
    places = pools.of(session, campaign)
    for place in places:
        found += _of_pbx(session, place.pbx, running=state.allowed, several=len(places) > 1, now=now)
    if len(places) > 1:
        found += _left_talking(session, campaign)
        found += _lines_out_of_sight(session, campaign, now)
    return found


def _lines_out_of_sight(session: Session, campaign: Campaign, now: datetime) -> list[str]:
    """Say that calls nobody can see use up the limit of lines, where they do."""
    if campaign.max_lines is None or unseen_calls.lines_taken(session, campaign.id, now) < campaign.max_lines:
        return []
    parts = pools_view.parts(session, [campaign.id], now).get(campaign.id, [])
    unseen = {one.pbx: one.counted for one in parts if one.state == "out of use" and one.counted}
    if not unseen:
        return []
    where = " and ".join(f"{count} on PBX {pbx}" for pbx, count in unseen.items())
    return [
        f"its limit of {campaign.max_lines} lines is used up, with calls out of sight that may go on: {where}; "
        f"`dialer campaign pbx list {campaign.name}` says for how long, `dialer pace set` raises the limit"
    ]


def _left_talking(session: Session, campaign: Campaign) -> list[str]:
    """Name who keeps a call on a PBX that is out of use: whether it goes on only they can say."""
    rows = session.execute(
        text(
            "SELECT a.pbx, array_agg(a.user_id ORDER BY a.user_id) AS users FROM campaign_agents c "
            "JOIN agents a ON a.id = c.agent_id JOIN pbx_status s ON s.pbx = a.pbx "
            "WHERE c.campaign_id = :campaign_id AND a.state IN ('assigned','talking') "
            "AND s.out_since IS NOT NULL AND s.back_since IS NULL GROUP BY a.pbx ORDER BY a.pbx"
        ),
        {"campaign_id": campaign.id},
    )
    return [
        f"{', '.join(row.users)} may still be talking on PBX {row.pbx}: whose line is dead says so, "
        f"`dialer agent ready {row.users[0]} --pbx {row.pbx}`"
        for row in rows
    ]


def _of_pbx(session: Session, pbx: str, *, running: bool, several: bool, now: datetime) -> list[str]:
    """Say what keeps a PBX from being called on. Only one of several is watched before it is called on again."""
    found = []
    status = session.execute(
        text("SELECT read_at, trouble, gateways, out_since, back_since, out_why FROM pbx_status WHERE pbx = :pbx"),
        {"pbx": pbx},
    ).one_or_none()
    if several and status is not None and status.back_since is not None:
        found.append(f"PBX {pbx} is back since {status.back_since:%H:%M:%S} UTC after {status.out_why}: watched first")
    usable = stored_gateways.usable(status.gateways if status else None)
    if status is not None and status.read_at is not None and not usable and not status.trouble:
        no_line = f"no gateway of PBX {pbx} is enabled and registered, so there is no line to call on"
        found.append(f"{no_line}: `dialer pbx check {pbx}` names them")
    if status is not None and status.trouble:
        out = several and status.out_since is not None and status.back_since is None
        since = f" is out of use since {status.out_since:%H:%M:%S} UTC" if out else ""
        found.append(f"PBX {pbx}{since}: {status.trouble}")
    elif running and (status is None or status.read_at is None or now - status.read_at > timedelta(seconds=30)):
        found.append(f"lines and agents of PBX {pbx} were not read lately: `dialer pbx check {pbx}`")
    elif several and status is not None and status.out_since is not None and status.back_since is None and usable:
        found.append(f"PBX {pbx} is out of use since {status.out_since:%H:%M:%S} UTC: {status.out_why}")
    return found


def _agents(session: Session, campaign: Campaign) -> tuple[int, str]:
    rows = session.execute(
        text(
            f"SELECT CASE WHEN {cut_off.IS.format(campaign=':campaign_id')} THEN 'cut off with their PBX' "  # noqa: S608
            "ELSE a.state END AS state, count(*) AS agents FROM campaign_agents c JOIN agents a ON a.id = c.agent_id "
            "LEFT JOIN pbx_status s ON s.pbx = a.pbx WHERE c.campaign_id = :campaign_id GROUP BY 1 ORDER BY 2 DESC, 1"
        ),
        {"campaign_id": campaign.id},
    ).all()
    free = sum(row.agents for row in rows if row.state in FREE)
    return free, ", ".join(f"{row.agents} {row.state.replace('_', '-')}" for row in rows)
