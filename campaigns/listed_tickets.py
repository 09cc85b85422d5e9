"""Tickets written back to the PBX that keeps the request: once the call is over and said, until they are there.

A request whose contact is called again is put to that day and period (XiVO's `Callback`); any other word closes it. The
PBX's ticket takes the same words twice, so a try whose end nobody told is repeated, after a look whether it is there.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import callbacks, listed_calls, periods
from campaigns.application import Application
from campaigns.callback_dates import WantedPeriod
from campaigns.callback_tickets import ANSWERED, CALLBACK, NO_ANSWER
from campaigns.db import ROW_LOCK, database_now
from campaigns.listed_requests import keeper
from campaigns.models import Attempt, CallbackTicket, Campaign, Contact, Disposition, ListedRequest, ListedTicket
from dialer.errors import PbxError
from dialer.pbx.callback_lists import Word

AT_ONCE = 20
AGAIN, LONGEST = timedelta(seconds=5), timedelta(minutes=5)
GIVEN_UP_AFTER = timedelta(days=7)
# Who has talked may still say what came of it while their wrap-up lasts, and a moment longer.
_READY = text(
    """
    SELECT t.id FROM listed_tickets t
    JOIN attempts a ON a.id = t.attempt_id JOIN contacts k ON k.id = a.contact_id
    JOIN campaigns c ON c.id = a.campaign_id
    WHERE t.pbx = :pbx AND t.state = 'open' AND t.due_at <= :now AND a.ended_at IS NOT NULL AND k.state <> 'live'
      AND (a.joined_at IS NULL OR a.disposition_id IS NOT NULL
           OR a.ended_at < :now - make_interval(secs => c.wrap_up_limit + 2))
    ORDER BY t.due_at, t.id LIMIT :most
    """
)


@dataclass(slots=True)
class Written:
    """What one look did."""

    written: int = 0
    waiting: int = 0  # tried, and not there yet
    given_up: int = 0
    trouble: str = ""


@dataclass(frozen=True, slots=True)
class _Job:
    ticket: int
    row: int
    attempt: int
    ticket_id: str
    request_id: str
    user_id: str
    word: Word
    again: bool


def write(application: Application, name: str) -> Written:
    """Write the tickets of a PBX whose calls are over. Each is a question of its own between two transactions."""
    done = Written()
    pbx = keeper(application.pbxes.get(name))
    if pbx is None:
        return done
    with application.transaction() as session:
        now = database_now(session)
        ready = session.scalars(_READY, {"pbx": name, "now": now, "most": AT_ONCE}).all()
    for ticket in ready:
        with application.transaction() as session:
            job = _job(session, ticket, database_now(session), done)
        if job is None:
            continue
        why = period = ""
        try:
            period = pbx.write_ticket(job.ticket_id, job.request_id, job.user_id, job.word, again=job.again)
        except PbxError as exc:
            why = exc.why
        with application.transaction() as session:
            _record(session, job, period, why, database_now(session), done)
    return done


def _job(session: Session, ticket_id: int, now: datetime, done: Written) -> _Job | None:
    ticket = session.get_one(ListedTicket, ticket_id, with_for_update=ROW_LOCK, populate_existing=True)
    if ticket.state != "open":
        return None
    row = session.get_one(ListedRequest, ticket.request_id)
    if not ticket.ticket_id or now - ticket.made_at > GIVEN_UP_AFTER:
        # Without its id it cannot be written. The request is free again: whoever looks at it in the PBX sees it open.
        ticket.state, ticket.done_at = "given_up", now
        ticket.trouble = ticket.trouble or listed_calls.NEVER_TOLD
        done.given_up += 1
        return None
    attempt = session.get_one(Attempt, ticket.attempt_id)
    tries = ticket.tries
    ticket.tries, ticket.due_at = tries + 1, now + min(AGAIN * 2**tries, LONGEST)
    return _Job(
        ticket.id, row.id, attempt.id, ticket.ticket_id, row.request_id, ticket.user_id,
        word_of(session, attempt, row, now), tries > 0,
    )  # fmt: skip


def _record(session: Session, job: _Job, period: str, why: str, now: datetime, done: Written) -> None:
    ticket = session.get_one(ListedTicket, job.ticket, with_for_update=ROW_LOCK, populate_existing=True)
    ticket.trouble = why[:500]
    if why:
        done.waiting += 1
        done.trouble = why
        return
    ticket.state, ticket.status, ticket.done_at = "written", job.word.status, now
    done.written += 1
    listed_calls.let_go(session, job.row, job.attempt, written_at=now)
    row = session.get_one(ListedRequest, job.row)
    if job.word.day is not None:
        row.due_date, row.period_id = job.word.day, period
    else:
        row.gone_at = now


def word_of(session: Session, attempt: Attempt, row: ListedRequest, now: datetime) -> Word:
    """What is to be written of a call that is over."""
    own = session.scalars(select(CallbackTicket).where(CallbackTicket.attempt_id == attempt.id)).one_or_none()
    contact = session.get_one(Contact, attempt.contact_id, populate_existing=True)
    comment = _comment(session, attempt, own)
    if contact.state == "closed":
        status = own.status if own is not None else ""
        if status in ("", CALLBACK):
            status = ANSWERED if attempt.joined_at is not None else NO_ANSWER
        return Word(status, comment)
    campaign = session.get_one(Campaign, attempt.campaign_id)
    callback = callbacks.open_of(session, contact.id)
    calendar = callbacks.where_it_is(callbacks.calendar_of(session, campaign, now), contact.phone)
    promised = callback is not None and callback.called_at is None
    if callback is not None and promised and callback.due_at > now:
        zone = ZoneInfo(callback.zone)
        name = callback.period or _period_at(session, campaign.id, callback.due_at.astimezone(zone))
        return Word(CALLBACK, comment, callback.due_date, name, row.period_id)
    at = max(contact.next_at or now, now).astimezone(calendar.zone)
    return Word(CALLBACK, comment, at.date(), _period_at(session, campaign.id, at), row.period_id)


def _comment(session: Session, attempt: Attempt, own: CallbackTicket | None) -> str:
    said = session.get(Disposition, attempt.disposition_id) if attempt.disposition_id is not None else None
    parts = [own.comment if own is not None else "", attempt.note, said.label if said is not None else ""]
    told = next((part for part in parts if part.strip()), "")
    return " ".join(told.split())[:500] or ("" if attempt.joined_at is not None else "not reached")


def _period_at(session: Session, campaign_id: int, at: datetime) -> str:
    """The period a moment lies in, by the clock it is shown by; the shortest one, and empty when it lies in none."""
    by_name, _ = periods.wanted(session, campaign_id)
    inside = [one for one in by_name.values() if one.starts <= at.time() and (one.ends is None or at.time() < one.ends)]
    return min(inside, key=_length).name if inside else ""


def _length(period: WantedPeriod) -> int:
    begin, end = period.starts, period.ends
    return 24 * 60 if end is None else (end.hour - begin.hour) * 60 + end.minute - begin.minute
