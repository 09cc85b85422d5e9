"""For whom a word about the do-not-call list holds, and how its number is read: the same on every way in."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import do_not_call, forgotten, lifecycle
from campaigns import person as people
from campaigns.campaign_values import checked_country
from campaigns.erasure import Person
from campaigns.models import Campaign, DoNotCall
from dialer.errors import BadInput
from dialer.numbers import require


def where(session: Session, campaign: str | None, country: str, number: str) -> tuple[int | None, str]:
    """Return the campaign's id (None: every campaign), and the country to read numbers with.

    BadInput where nobody says it: a guess would block the wrong person.
    """
    found = lifecycle.get(session, campaign) if campaign else None
    if country:
        return (found.id if found else None), checked_country(country)
    if found is not None:
        return found.id, found.country
    countries = session.scalars(select(Campaign.country).distinct().limit(2)).all()
    if len(countries) == 1:
        return None, countries[0]
    if number.strip().startswith(("+", "00")):
        return None, "IT"  # never asked: the number says its own
    raise BadInput(
        "say by which country's rules the number is read (--country, or `country`), or write it with + and its code"
    )


def still_free(session: Session, number: str, bound: list[str], *, country: str, campaign_id: int | None) -> list[str]:
    """Return the other numbers of the same person at which they may still be called."""
    others = [one for one in people.others(Person.of(session, number, country)) if one not in bound]
    return [one for one in others if not do_not_call.check(session, one, country=country, campaign_id=campaign_id)]


@dataclass(frozen=True, slots=True)
class Checked:
    """What stands against calling a number: entries of the list, or that its owner was erased on request."""

    number: str  # as it was asked about
    entries: Sequence[DoNotCall]
    names: dict[int, str]  # of the campaigns
    erased_at: datetime | None

    @property
    def blocked(self) -> bool:
        return bool(self.entries) or self.erased_at is not None

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        entries = [told(entry, self.names) for entry in self.entries]
        return {"number": self.number, "blocked": self.blocked, "entries": entries, "erased_at": self.erased_at}


def checked(session: Session, number: str, *, campaign_id: int | None, country: str) -> Checked:
    """Ask whether a number may be called, as far as the list and erasures go."""
    e164 = require(number, country, "do-not-call").e164
    entries = do_not_call.check(session, number, country=country, campaign_id=campaign_id)
    return Checked(number, entries, names(session), forgotten.among(session, [e164]).get(e164))


def names(session: Session) -> dict[int, str]:
    """Return the campaigns' names, for `told`."""
    return {row.id: row.name for row in session.execute(select(Campaign.id, Campaign.name))}


def told(entry: DoNotCall, named: dict[int, str]) -> dict[str, Any]:
    """Return an entry for a program; its campaign is null when it holds for every one."""
    return {
        "number": entry.number, "campaign": named.get(entry.campaign_id) if entry.campaign_id else None,
        "reason": entry.reason, "source": entry.source, "added_by": entry.added_by, "added_at": entry.added_at,
    }  # fmt: skip
