"""A campaign's script and form, and what one agent sees of them for the person at hand.

The caller owns the transaction.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import dispositions, ledger
from campaigns.models import Agent, Assignment, Attempt, Campaign, Contact, Offer
from dialer import forms
from dialer import scripts as rules
from dialer.errors import BadInput, NotFound
from dialer.forms import Field

# As many contacts are looked at to tell a column nobody has from one that some have.
_LOOKED_AT = 1_000


def set_script(session: Session, campaign: Campaign, text: str, *, now: datetime, who: str) -> list[str]:
    """Give a campaign another script, or none; returns the list columns it reads that no contact seen has.

    The caller holds the campaign's row. BadInput for a field nobody knows.
    """
    _not_archived(campaign)
    text = rules.checked(text)
    if text != campaign.script:
        campaign.script = text
        ledger.record(session, at=now, kind="script", who=who, campaign_id=campaign.id, characters=len(text))
    wanted = [name.removeprefix(rules.CUSTOM) for name in rules.fields_of(text) if name.startswith(rules.CUSTOM)]
    if not wanted:
        return []
    seen: set[str] = set()
    for custom in session.scalars(select(Contact.custom).where(Contact.campaign_id == campaign.id).limit(_LOOKED_AT)):
        seen.update(custom)
    return [name for name in wanted if name not in seen]


def set_form(
    session: Session, campaign: Campaign, fields: Iterable[str], *, now: datetime, who: str
) -> tuple[Field, ...]:
    """Give a campaign another form, its fields as they are written; answers kept already stay."""
    _not_archived(campaign)
    form = forms.parse_all(fields)
    kept = [field.as_json() for field in form]
    if kept != campaign.form:
        ledger.record(session, at=now, kind="form", who=who, campaign_id=campaign.id, old=campaign.form, new=kept)
        campaign.form = kept
    return form


def form_of(campaign: Campaign) -> tuple[Field, ...]:
    """Return the campaign's form."""
    return tuple(Field.of(kept) for kept in campaign.form)


@dataclass(frozen=True, slots=True)
class Shown:
    """What an agent sees: the script with this person's fields, what to ask, and the words there are."""

    campaign: str
    contact: Contact
    number: str
    call: str | None
    text: str
    form: Sequence[Field]
    answers: Mapping[str, Any]
    words: Sequence[str]

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "campaign": self.campaign,
            "contact": self.contact.id,
            "number": self.number,
            "call": self.call,
            "script": self.text,
            "form": [field.as_json() for field in self.form],
            "answers": dict(self.answers),
            "dispositions": list(self.words),
        }


def for_agent(session: Session, agent: Agent) -> Shown:
    """Return what an agent reads for the call in hand, the one kept for them, the offer, or the one just over."""
    attempt, contact = _at_hand(session, agent)
    campaign = session.get_one(Campaign, contact.campaign_id)
    number = attempt.number if attempt is not None else contact.next_number or contact.phone
    words = [row.code for row in dispositions.all_of(session, campaign.id)]
    text = rules.fill(campaign.script, fields_of(contact, number, agent, campaign))
    return Shown(
        campaign.name,
        contact,
        number,
        attempt.ref if attempt is not None else None,
        text,
        form_of(campaign),
        attempt.answers if attempt is not None else {},
        words,
    )


def fields_of(contact: Contact, number: str, agent: Agent, campaign: Campaign) -> dict[str, str]:
    """Return what a script can say of a person."""
    known = {
        "first_name": contact.first_name,
        "last_name": contact.last_name,
        "company": contact.company,
        "description": contact.description,
        "number": number,
        "agent": agent.name or agent.user_id,
        "campaign": campaign.name,
    }
    return known | {f"{rules.CUSTOM}{name}": str(value) for name, value in contact.custom.items() if value is not None}


def _at_hand(session: Session, agent: Agent) -> tuple[Attempt | None, Contact]:
    given = select(Attempt).join(Assignment, Assignment.attempt_id == Attempt.id).where(Assignment.agent_id == agent.id)
    given = given.order_by(Assignment.id.desc()).limit(1)
    found = session.scalars(given.where(Assignment.ended_at.is_(None))).one_or_none()
    if found is None and agent.reserved_attempt_id is not None:
        found = session.get(Attempt, agent.reserved_attempt_id)
    if found is None:
        offered = select(Offer.contact_id).where(Offer.agent_id == agent.id, Offer.state == "open")
        contact_id = session.scalar(offered)
        if contact_id is not None:
            return None, session.get_one(Contact, contact_id)
        if agent.state == "wrap_up":
            found = session.scalars(given.where(Assignment.result == "talked")).one_or_none()
    if found is None:
        raise NotFound(
            f"agent {agent.name or agent.user_id} is {agent.state.replace('_', '-')} and has nobody to read to"
        )
    return found, session.get_one(Contact, found.contact_id)


def _not_archived(campaign: Campaign) -> None:
    if campaign.state == "archived":
        raise BadInput(f"campaign {campaign.name} is archived: it stays as it is")
