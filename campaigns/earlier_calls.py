"""The earlier calls to some contacts and their numbers, whichever campaign made them: one question, by index.

The gate asks it after it has locked every number that counts, so two campaigns never let the last allowed call pass
twice. Whoever explains or plans asks it without locks, and what it says then binds nobody.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple, Self

from sqlalchemy import text
from sqlalchemy.orm import Session

from campaigns.contact_numbers import numbers_of
from campaigns.db import array
from campaigns.models import Contact
from dialer.calls import CallState
from dialer.caps import Earlier
from dialer.refusals import REFUSES
from dialer.retries import NEVER_RANG

# Calls are found by when they were ordered, and count from when they were sent, or from their end: no call is longer.
A_CALL = timedelta(days=1)

# Three parts, each with an index of its own and none with a call of another: of these contacts, whenever; to these
# numbers by others, as far back as anything counts; and open ones, however old.
_COLUMNS = "id, contact_id, number, state, ordered_at, sent_at, joined_at, ended_at, disposition_id, disposed_at"
_CONTACTS = "CAST(:contacts AS bigint[])"
_BY_OTHERS = f"number = ANY(CAST(:numbers AS text[])) AND contact_id <> ALL({_CONTACTS})"
_EARLIER = text(f"""
    SELECT a.id, a.contact_id, a.number, a.state, a.ordered_at, coalesce(a.sent_at, a.ordered_at) AS at,
           a.joined_at IS NOT NULL AS talked, a.ended_at,
           CASE WHEN d.meaning = ANY(:refuses) THEN coalesce(a.ended_at, a.disposed_at) END AS refused_at
    FROM (SELECT {_COLUMNS} FROM attempts WHERE contact_id = ANY({_CONTACTS})
          UNION ALL
          SELECT {_COLUMNS} FROM attempts WHERE {_BY_OTHERS} AND ordered_at > :since
          UNION ALL
          SELECT {_COLUMNS} FROM attempts WHERE {_BY_OTHERS} AND ordered_at <= :since AND ended_at IS NULL) a
    LEFT JOIN dispositions d ON d.id = a.disposition_id
    ORDER BY a.id
""")  # noqa: S608 (names of our own)


class Made(NamedTuple):
    """One call that was ordered: `at` is when it was sent; `refused_at`, when the person said no in it."""

    id: int
    contact_id: int
    number: str
    state: str
    ordered_at: datetime
    at: datetime
    talked: bool
    ended_at: datetime | None
    refused_at: datetime | None

    @property
    def may_have_rung(self) -> bool:
        """Whether it counts against what protects people."""
        return self.state not in NEVER_RANG


def since(promised_at: datetime | None, ordered_at: datetime) -> bool:
    """Whether an attempt counts against its contact's cap: who asked to be called again begins anew."""
    return promised_at is None or ordered_at > promised_at


@dataclass(slots=True)
class EarlierCalls:
    """Calls of some contacts, ever, and to their numbers, as far back as was asked; oldest first."""

    of: dict[int, list[Made]] = field(default_factory=lambda: defaultdict(list))
    to: dict[str, list[Made]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def read(cls, session: Session, contacts: Iterable[Contact], since: datetime, *numbers: str) -> Self:
        """Read them for these contacts, all their numbers, and `numbers` besides."""
        these = list(contacts)
        everything = {*numbers, *(number for contact in these for number in numbers_of(contact))}
        given = {
            "contacts": array(contact.id for contact in these),
            "numbers": array(everything),
            "since": since,
            "refuses": list(REFUSES),
        }
        found = cls()
        for row in session.execute(_EARLIER, given).all():
            found._keep(Made._make(row))
        return found

    def add(self, contact: Contact, number: str, at: datetime) -> None:
        """Count a call that is being ordered, for what is judged after it in the same transaction."""
        self._keep(Made(0, contact.id, number, CallState.ORDERED, at, at, False, None, None))

    def _keep(self, made: Made) -> None:
        self.of[made.contact_id].append(made)
        self.to[made.number].append(made)

    def open(self, number: str) -> Made | None:
        """Return the open call to a number: there is at most one (I1)."""
        for made in self.to.get(number, ()):
            if made.ended_at is None:
                return made
        return None

    def tried(self, contact: Contact) -> int:
        """Count the contact's attempts, whatever came of them."""
        return len(self.of.get(contact.id, ()))

    def counted(self, contact: Contact) -> int:
        """Count the contact's attempts that may have rung since a call was last promised to them, if one was."""
        mine = [made for made in self.of.get(contact.id, ()) if made.may_have_rung]
        promised_at = contact.promised_at if mine else None
        return sum(since(promised_at, made.ordered_at) for made in mine)

    def last(self, contact: Contact) -> Made | None:
        """Return the contact's newest attempt."""
        mine = self.of.get(contact.id)
        return mine[-1] if mine else None

    def last_called(self, number: str) -> datetime | None:
        """Return when any campaign last called a number."""
        return max([made.at for made in self.to.get(number, ()) if made.may_have_rung], default=None)

    def abandoned_at(self, number: str) -> datetime | None:
        """Return when the last abandoned call to a number ended."""
        ends = [made.ended_at for made in self.to.get(number, ()) if made.state == CallState.ABANDONED]
        return max([at for at in ends if at is not None], default=None)

    def left_alone_at(self, number: str) -> datetime | None:
        """Return when the last abandoned call to a number ended, if nobody has spoken with them on it since."""
        at = self.abandoned_at(number)
        met = at is not None and any(made.talked and made.at > at for made in self.to.get(number, ()))
        return None if met else at

    def refused_at(self, contact: Contact, number: str) -> datetime | None:
        """Return when the person last said no, in whatever campaign and on whichever of their numbers."""
        said = (made.refused_at for made in self._to_person(contact, number))
        return max((at for at in said if at is not None), default=None)

    def earlier(self, contact: Contact, number: str) -> Earlier:
        """Return what a cap counts: calls to the number to be called, and to the contact or any of their numbers."""
        return Earlier(_that_rang(self.to.get(number, ())), _that_rang(self._to_person(contact, number)))

    def _to_person(self, contact: Contact, number: str) -> Sequence[Made]:
        found = list(self.to.get(number, ()))
        others = [one for one in numbers_of(contact) if one != number]
        for one in others:
            found += self.to.get(one, ())
        # And to numbers that are theirs no more.
        mine = self.of.get(contact.id, ())
        return found + [made for made in mine if made.number != number and made.number not in others]


def _that_rang(made: Iterable[Made]) -> list[Made]:
    return [one for one in made if one.may_have_rung]
