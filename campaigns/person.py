"""Everything that is known about one person, by a number of theirs: what to answer when they ask (subject access)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.orm import Session

from campaigns import do_not_call, forgotten, ledger
from campaigns.erasure import Person, national
from campaigns.models import (
    Agent,
    Attempt,
    Callback,
    CallbackTicket,
    Campaign,
    Contact,
    ContactList,
    DoNotCall,
    Import,
    LoggedEvent,
    Offer,
)
from dialer.errors import BadInput, NotFound


@dataclass(frozen=True, slots=True)
class Known:
    """All of it, ready to be printed or given as JSON."""

    number: str
    forgotten_since: datetime | None
    contacts: list[dict[str, Any]]
    calls: list[dict[str, Any]]
    offers: list[dict[str, Any]]
    callbacks: list[dict[str, Any]]
    do_not_call: list[dict[str, Any]]
    events: int  # of the PBX that hold the number, until their retention is over

    @property
    def nothing(self) -> bool:
        """Whether there is no word about them."""
        found = (self.contacts, self.calls, self.do_not_call, self.events, self.forgotten_since)
        return not any(found)

    def as_json(self) -> dict[str, Any]:
        """Return everything for a program, or for the person."""
        return {
            "number": self.number, "known": not self.nothing, "forgotten_since": self.forgotten_since,
            "contacts": self.contacts, "calls": self.calls, "offers": self.offers,
            "callbacks": self.callbacks, "do_not_call": self.do_not_call, "events": self.events,
        }  # fmt: skip


def known(session: Session, given: str, *, country: str, who: str, now: datetime) -> Known:
    """Collect what every table holds of the person. That it was looked at is in the ledger, under a stand-in."""
    person = Person.of(session, given, country)
    lists = {
        row.id: row
        for row in session.execute(
            select(ContactList.id, ContactList.name, Campaign.name.label("campaign"), Import.file_name)
            .join(Campaign, Campaign.id == ContactList.campaign_id)
            .outerjoin(Import, Import.list_id == ContactList.id)
        )
    }
    contacts = session.scalars(select(Contact).where(Contact.id.in_(person.contact_ids)).order_by(Contact.id)).all()
    theirs = or_(Attempt.number == person.number, Attempt.contact_id.in_(person.contact_ids))
    calls = session.execute(
        select(Attempt, Campaign.name.label("campaign"), Agent.name.label("agent"))
        .join(Campaign, Campaign.id == Attempt.campaign_id)
        .outerjoin(Agent, Agent.id == Attempt.agent_id)
        .where(theirs)
        .order_by(Attempt.id)
    ).all()
    offers = session.execute(
        select(Offer, Agent.name.label("agent"))
        .join(Agent, Agent.id == Offer.agent_id)
        .where(Offer.contact_id.in_(person.contact_ids))
        .order_by(Offer.id)
    ).all()
    entries = session.scalars(select(DoNotCall).where(DoNotCall.number.in_(person.numbers))).all()
    found = Known(
        number=person.number,
        forgotten_since=forgotten.among(session, [person.number]).get(person.number),
        contacts=[_contact(one, lists[one.list_id]) for one in contacts],
        calls=[_call(row.Attempt, row.campaign, row.agent) for row in calls],
        offers=[
            {"contact": row.Offer.contact_id, "offered_at": row.Offer.offered_at, "agent": row.agent,
             "state": row.Offer.state, "reason": row.Offer.reason}
            for row in offers
        ],
        callbacks=_callbacks(session, person),
        do_not_call=[
            {"number": one.number, "everywhere": one.campaign_id is None, "source": one.source, "reason": one.reason,
             "added_by": one.added_by, "added_at": one.added_at}
            for one in entries
        ],
        events=session.scalar(
            select(func.count()).select_from(LoggedEvent)
            .where(func.strpos(LoggedEvent.query, national(person.number)) > 0)
        ) or 0,
    )  # fmt: skip
    stand_in = forgotten.stand_in(forgotten.key_of(session), person.number)
    ledger.record(session, at=now, kind="person_shown", who=who, person=stand_in)
    return found


def _callbacks(session: Session, person: Person) -> list[dict[str, Any]]:
    mine = select(Callback).where(Callback.contact_id.in_(person.contact_ids)).order_by(Callback.id)
    found = session.scalars(mine).all()
    tickets = select(CallbackTicket).where(CallbackTicket.callback_id.in_([one.id for one in found]))
    comments: dict[int, list[str]] = {}
    for ticket in session.scalars(tickets.order_by(CallbackTicket.id)):
        comments.setdefault(ticket.callback_id, []).append(ticket.comment)
    return [
        {"contact": one.contact_id, "due_at": one.due_at, "made_at": one.made_at, "made_by": one.made_by,
         "result": one.result, "why": one.why, "comments": [told for told in comments.get(one.id, []) if told]}
        for one in found
    ]  # fmt: skip


def _contact(one: Contact, where: Any) -> dict[str, Any]:
    return {
        "contact": one.id, "campaign": where.campaign, "list": where.name, "file": where.file_name, "line": one.line,
        "phone": one.phone, "phone2": one.phone2, "more_numbers": one.more_numbers,
        "first_name": one.first_name, "last_name": one.last_name,
        "company": one.company, "description": one.description, "custom": one.custom, "region": one.region,
        "postcode": one.postcode, "time_zone": one.time_zone, "consent": one.consent, "consent_at": one.consent_at,
        "consent_source": one.consent_source, "due_date": one.due_date, "state": one.state, "next_at": one.next_at,
        "closed_because": one.closed_because,
    }  # fmt: skip


def _call(one: Attempt, campaign: str, agent: str | None) -> dict[str, Any]:
    return {
        "ref": one.ref, "campaign": campaign, "number": one.number, "caller_id": one.caller_id,
        "ordered_at": one.ordered_at, "answered_at": one.answered_at, "joined_at": one.joined_at,
        "ended_at": one.ended_at, "outcome": one.state, "agent": agent, "rule_pack": one.rule_pack,
        "note": one.note, "answers": one.answers,
    }  # fmt: skip


def forbid(
    session: Session, given: str, *, country: str, campaign_id: int | None, reason: str, who: str, now: datetime
) -> list[tuple[DoNotCall, bool]]:
    """Put every number of the person with this number on the do-not-call list; each entry, and whether it is new."""
    person = Person.of(session, given, country)
    add = partial(do_not_call.add, session, country=country, campaign_id=campaign_id, reason=reason, who=who, now=now)
    return [add(number) for number in (person.number, *others(person))]


def others(person: Person) -> list[str]:
    """Return the person's numbers but the one asked about."""
    return [number for number in person.numbers if number != person.number]


def set_consent(
    session: Session,
    given: str,
    *,
    country: str,
    agreed: bool,
    at: datetime | None,
    source: str,
    who: str,
    now: datetime,
) -> int:
    """Write down that a person agreed to be called, or does so no more; how many contacts of theirs it changes.

    Contacts never tried, which waited for it, are due at once. NotFound when nobody has the number. BadInput for an
    agreement of a day to come, or when nobody says where it was said: it would prove nothing. A no needs no proof.
    """
    person = Person.of(session, given, country)
    if not person.contact_ids:
        raise NotFound(f"no contact has the number {person.number}")
    mine = Contact.id.in_(person.contact_ids)
    source = do_not_call.one_line(source)
    if agreed and not source:
        raise BadInput("say where it was said, and how it can be proved, for example --source 'web form'")
    if (
        agreed and at is not None and at > now + timedelta(days=1)
    ):  # a day begins earlier where they are than it does in UTC
        raise BadInput(f"nobody can have agreed on {at:%Y-%m-%d}, a day to come: give the day it was said on")
    values = {"consent": agreed, "consent_at": (at or now) if agreed else None, "consent_source": source}
    session.execute(update(Contact).where(mine).values(values).execution_options(synchronize_session=False))
    if agreed:
        session.execute(
            update(Contact)
            .where(
                mine,
                Contact.state == "open",
                Contact.next_at > now,
                Contact.due_date.is_(None),
                ~exists().where(Attempt.contact_id == Contact.id),
            )
            .values(next_at=now)
            .execution_options(synchronize_session=False)
        )
    session.expire_all()
    ledger.record(
        session, at=now, kind="consent_given" if agreed else "consent_withdrawn", who=who, why=source,
        number=person.number, contacts=len(person.contact_ids),
    )  # fmt: skip
    return len(person.contact_ids)
