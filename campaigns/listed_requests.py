"""Callback lists that a PBX keeps, read into callbacks of ours: each request once, its changes and its end followed.

A request becomes a contact of a list of its own campaign and a promise; the PBX's id of it is kept. What an agent has
taken in the PBX's own page is kept from us for as long as reads say so. A request that is missing is only believed to
be gone at the second read without it, and never when its whole list is missing. One process reads: whoever leads the
PBX.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from campaigns import callback_watch, callbacks, forgotten, lifecycle, periods, pools
from campaigns.application import Application
from campaigns.callback_dates import Calendar, WantedPeriod, When
from campaigns.db import ROW_LOCK, database_now
from campaigns.models import Campaign, Contact, ContactList, ListedRequest, PbxList
from dialer.errors import BadInput, DialerError, NotFound, PbxError
from dialer.numbers import Number, normalise
from dialer.pbx.base import Pbx
from dialer.pbx.callback_lists import KeepsCallbacks, Request, RequestList
from dialer.settings import TimingSettings

SETTLED_THERE = "settled in the PBX's own list"
FORGOTTEN = "the person asked to be forgotten: close the request in the PBX's page"
# A request somebody has taken there is kept from us for so many reads: a reader that stops must not keep it for ever.
READS_KEPT = 4
NEW_AT_ONCE = 500  # in one transaction; the others come with the next reads
# The scheduler and a person may read at once; a lock on the campaign's row would keep its calls waiting.
_ONE_READER = text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 718))")


@dataclass(slots=True)
class Read:
    """What one read of one list came to."""

    name: str
    campaign: str
    requests: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    taken: int = 0  # by agents in the PBX's own page
    refused: int = 0  # that cannot be called; each says why
    trouble: str = ""

    def as_json(self) -> dict[str, object]:
        """Return the counts for a log, or a program."""
        return {name: getattr(self, name) for name in self.__slots__}


def keeper(pbx: Pbx | None) -> KeepsCallbacks | None:
    """Return the PBX as one that keeps callback lists we work through; None when it is none, or none is bound."""
    return pbx if isinstance(pbx, KeepsCallbacks) and pbx.callback_lists else None


def read(application: Application, name: str) -> list[Read]:
    """Read the bound lists of a PBX into callbacks; troubles are told, not raised. Each list is one transaction."""
    pbx = keeper(application.pbxes.get(name))
    if pbx is None:
        return []
    with application.transaction() as session:
        asked_at = database_now(session)
    told: Sequence[RequestList] = ()
    why = ""
    try:
        told = pbx.read_lists()
    except PbxError as exc:
        why = exc.why
    done = []
    for bound_as, campaign in pbx.callback_lists.items():
        listed = next((one for one in told if bound_as in (one.id, one.name)), None)
        result = Read(bound_as, campaign, trouble=why)
        if listed is None and not why:
            result.trouble = (
                f"the PBX shows no callback list {bound_as!r}: its name or id, or the user's rights, changed"
            )
        if listed is not None:
            keep = timedelta(seconds=pbx.callback_poll * READS_KEPT)
            result = _one_list(application, name, bound_as, result, listed, asked_at, keep)
        _note(application, name, bound_as, result)
        done.append(result)
    return done


def _one_list(
    application: Application,
    name: str,
    bound_as: str,
    result: Read,
    listed: RequestList,
    asked_at: datetime,
    keep: timedelta,
) -> Read:
    result.name, result.requests = listed.name or listed.id, len(listed.requests)
    if listed.unread:
        result.trouble = f"{listed.unread} entries of the list have no id, and were passed over"
    try:
        with application.transaction() as session:
            reader = _Reader(session, application.settings.timing, name, bound_as, result, listed, asked_at, keep)
            reader.read()
    except (BadInput, NotFound) as exc:
        result.trouble = str(exc)
    return result


def _note(application: Application, name: str, bound_as: str, result: Read) -> None:
    with application.transaction() as session:
        row = session.get(PbxList, (name, bound_as))
        if row is None:
            row = PbxList(pbx=name, bound_as=bound_as)
            session.add(row)
        row.trouble = result.trouble[:500]
        if not result.trouble:
            row.read_at = database_now(session)


@dataclass
class _Reader:
    """One list under the eyes of one transaction."""

    session: Session
    timing: TimingSettings
    pbx: str
    bound_as: str
    result: Read
    listed: RequestList
    asked_at: datetime
    keep: timedelta
    now: datetime = field(init=False)
    campaign: Campaign = field(init=False)
    home: ContactList = field(init=False)
    calendar: Calendar = field(init=False)

    def read(self) -> None:
        session = self.session
        session.execute(_ONE_READER, {"name": f"{self.pbx} {self.listed.id}"})
        self.campaign = lifecycle.get(session, self.result.campaign)
        pool = pools.in_the_pool(session, self.campaign)
        if self.pbx not in pool:
            raise BadInput(
                f"campaign {self.campaign.name} calls through PBX {' and '.join(pool)}, and its callback list is kept "
                f"by {self.pbx}: bind the list to a campaign of {self.pbx}, or give this campaign the PBX with "
                f"`dialer campaign pbx add`"
            )
        self.now = database_now(session)
        self.home = self._home()
        self._periods()
        self.calendar = callbacks.calendar_of(session, self.campaign, self.now)
        known = self._known()
        self._ended(known)
        for request in sorted(self.listed.requests, key=lambda one: one.id not in known):
            self._request(request, known.get(request.id))

    def _home(self) -> ContactList:
        """The list of ours in which its people are, made with the first read."""
        bound = self.session.get(PbxList, (self.pbx, self.bound_as))
        if bound is None:
            bound = PbxList(pbx=self.pbx, bound_as=self.bound_as)
            self.session.add(bound)
        bound.pbx_list, bound.name, bound.campaign_id = self.listed.id, self.listed.name, self.campaign.id
        home = self.session.get(ContactList, bound.list_id) if bound.list_id is not None else None
        if home is None or home.campaign_id != self.campaign.id or home.undone_at is not None:
            home = ContactList(campaign_id=self.campaign.id, name=self.result.name, kind="callbacks")
            home.created_at = self.now
            self.session.add(home)
            self.session.flush()
            bound.list_id = home.id
        return home

    def _known(self) -> dict[str, ListedRequest]:
        query = select(ListedRequest).where(
            ListedRequest.pbx == self.pbx,
            ListedRequest.request_id.in_([one.id for one in self.listed.requests])
            | ((ListedRequest.pbx_list == self.listed.id) & ListedRequest.gone_at.is_(None)),
        )
        found = self.session.scalars(query.order_by(ListedRequest.id))
        return {one.request_id: one for one in found}

    def _periods(self) -> None:
        """The campaign's periods follow the PBX's, by name; callbacks that wait for one move with it."""
        mine = {one.name.casefold(): one for one in periods.all_of(self.session, self.campaign.id)}
        for period in {one.period.name.casefold(): one.period for one in self.listed.requests if one.period}.values():
            there = mine.get(period.name.casefold())
            same = there is not None and (there.starts, there.ends) == (period.starts, period.ends)
            if (same and (there is None or there.is_default or not period.default)) or period.starts >= period.ends:
                continue
            made = periods.define(
                self.session, self.campaign.id, period.name, period.starts, period.ends, default=period.default,
                who=self._who, now=self.now,
            )  # fmt: skip
            callback_watch.retime(
                self.session, period_id=made.id, now=self.now, timing=self.timing, who=self._who,
                why=f"period {made.name} changed in the PBX",
            )  # fmt: skip

    @property
    def _who(self) -> str:
        return f"pbx:{self.pbx}"

    # what is gone -------------------------------------------------------------------------------------

    def _ended(self, known: dict[str, ListedRequest]) -> None:
        shown = {one.id for one in self.listed.requests}
        for row in known.values():
            if row.request_id in shown:
                row.missing_since = None
            elif row.gone_at is None and row.missing_since is None:
                row.missing_since = self.asked_at
            elif row.gone_at is None and row.missing_since is not None and row.missing_since < self.asked_at:
                self._gone(row)

    def _gone(self, row: ListedRequest) -> None:
        """It was closed there, or deleted. What of it is in hand with us goes on to its end first."""
        if row.contact_id is not None:
            contact = callbacks.locked_contact(self.session, row.contact_id)
            if contact.state == "live":
                return
            self._end(contact, SETTLED_THERE)
        row.gone_at, row.taken_by = self.now, ""
        self.result.gone += 1

    def _end(self, contact: Contact, why: str) -> None:
        callback = callbacks.open_of(self.session, contact.id, lock=True)
        if callback is None:
            return
        if contact.state == "open":
            contact.state, contact.next_at, contact.closed_because = "closed", None, why
        callbacks.end(self.session, callback, contact, now=self.now, who=self._who, why=why, still_wanted=False)

    # what is there ------------------------------------------------------------------------------------

    def _request(self, request: Request, row: ListedRequest | None) -> None:
        if row is None:
            if self.result.new >= NEW_AT_ONCE:
                return
            row = ListedRequest(pbx=self.pbx, request_id=request.id, pbx_list=self.listed.id, seen_at=self.now)
            row.told = row.period = row.period_id = row.taken_by = row.held_by = row.trouble = ""
            self.session.add(row)
        if row.written_at is not None and row.written_at >= self.asked_at:
            return  # what was read is older than what we wrote there
        back = row.gone_at is not None
        if self._differs(row, request) or back or row.contact_id is None:  # what stood in the way may be gone
            self._follow(row, request, new=row.contact_id is None or back)
        self._taken(row, request)
        self.result.refused += bool(row.trouble)

    def _differs(self, row: ListedRequest, request: Request) -> bool:
        period = request.period.id if request.period is not None else ""
        return (row.told, row.due_date, row.period_id) != (_digest(request), request.due_date, period)

    def _follow(self, row: ListedRequest, request: Request, *, new: bool) -> None:
        """Bring contact and promise to what the request says now."""
        contact = callbacks.locked_contact(self.session, row.contact_id) if row.contact_id is not None else None
        if contact is not None and contact.state == "live":
            return  # its call first: the next read finds the difference again
        row.trouble = ""
        try:
            with self.session.begin_nested():
                self._promise(row, contact, request)
                self.session.flush()
        except DialerError as exc:
            row.trouble = str(exc)[:500]
        except IntegrityError:
            row.trouble = f"{_OTHER_FIRST}, which is called before it"
        row.gone_at = None if row.contact_id is not None or not row.trouble else row.gone_at
        row.told = "" if row.trouble == FORGOTTEN else _digest(request)
        row.due_date = request.due_date
        row.period_id = request.period.id if request.period is not None else ""
        row.period = request.period.name if request.period is not None else ""
        if not row.trouble:
            self.result.new += new
            self.result.changed += not new

    def _promise(self, row: ListedRequest, contact: Contact | None, request: Request) -> None:
        numbers = self._numbers(request)
        if contact is not None and contact.phone != numbers[0]:
            self._end(contact, "another number was written in the PBX's list")
            contact = row.contact_id = None
        if contact is None:
            contact = self._contact(row, numbers[0])
        contact.phone2 = numbers[1] if len(numbers) > 1 else None
        contact.next_number = None
        contact.first_name, contact.last_name = request.first_name, request.last_name
        contact.company, contact.description = request.company, request.description
        row.contact_id, row.gone_at = contact.id, None
        when = self._when(contact, request)
        callbacks.promise(
            self.session, self.campaign, contact, when, timing=self.timing, now=self.now, who=self._who,
            why=f"asked for in the list {self.result.name} of PBX {self.pbx}",
        )  # fmt: skip

    def _numbers(self, request: Request) -> list[str]:
        found: list[str] = []
        wrong = ""
        for given in filter(None, (request.phone, request.mobile)):
            number = normalise(given, self.campaign.country)
            if not isinstance(number, Number):
                wrong = wrong or f"a number of the request cannot be called: {number}; correct it in the PBX's list"
            elif number.e164 not in found:
                found.append(number.e164)
        if not found:
            raise BadInput(wrong or "the request has no number; add one in the PBX's list")
        if forgotten.among(self.session, found):
            raise BadInput(FORGOTTEN)
        return found

    def _contact(self, row: ListedRequest, phone: str) -> Contact:
        """The contact of a number on this list: one for all requests of that number, one after the other."""
        query = select(Contact).where(Contact.list_id == self.home.id, Contact.phone == phone)
        found = self.session.scalars(query.with_for_update(**ROW_LOCK)).one_or_none()
        if found is None:
            found = Contact(
                campaign_id=self.campaign.id, list_id=self.home.id, line=row.id or 0, phone=phone, custom={}
            )
            found.state, found.closed_because = "closed", "not promised yet"
            self.session.add(found)
            self.session.flush()
        other = select(ListedRequest.request_id).where(
            ListedRequest.contact_id == found.id, ListedRequest.gone_at.is_(None), ListedRequest.id != row.id
        )
        if found.state == "live" or self.session.scalar(other) is not None:
            raise BadInput(f"{_OTHER_FIRST}, which is called before it")
        return found

    def _when(self, contact: Contact, request: Request) -> When:
        calendar = callbacks.where_it_is(self.calendar, contact.phone)
        day = request.due_date or calendar.tomorrow
        period: WantedPeriod | None = None
        if request.period is not None and request.period.starts < request.period.ends:
            period = calendar.period(request.period.name)
        period = period or calendar.period_of(day)
        begins, ends = calendar.starts(day, period), calendar.ends(day, period)
        ends = max(ends, begins + timedelta(minutes=1))
        return When(day, period.id, period.name if period.id is not None else "", calendar.zone.key, begins, ends)

    # who has it ---------------------------------------------------------------------------------------

    def _taken(self, row: ListedRequest, request: Request) -> None:
        """Keep from us what somebody has taken there, and have back what they gave back."""
        ours = bool(row.held_by) and request.taken_by == row.held_by
        before, row.taken_by = row.taken_by, "" if ours else request.taken_by
        if not before and not row.taken_by:
            return  # of most it is so, and there may be thousands
        if row.contact_id is None or row.gone_at is not None:
            return
        contact = callbacks.locked_contact(self.session, row.contact_id)
        callback = callbacks.open_of(self.session, contact.id, lock=True)
        if callback is None or contact.state != "open":
            return
        if row.taken_by:
            self.result.taken += 1
            callbacks.keep(callback, contact, callbacks.ELSEWHERE, callbacks.TAKEN, self.now + self.keep)
        elif contact.kept_for == callbacks.ELSEWHERE:
            callbacks.hold_for_owner(callback, contact)


_OTHER_FIRST = "the number has another open request on this list"


def _digest(request: Request) -> str:
    """What a request says of its person, so that a change is seen and nothing of it is kept twice."""
    said = (request.phone, request.mobile, request.first_name, request.last_name, request.company, request.description)
    return hashlib.sha256("\x00".join(said).encode()).hexdigest()[:32]
