"""What was done about a callback, and with what result: XiVO's tickets, one for each call, and what agents say of it.

A call writes its ticket by itself when it ends; an agent who starts one has it from the start, and may say more. The
caller owns the transaction. Locks are taken attempt, agent, contact, callback.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TextIO
from zoneinfo import ZoneInfo

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from campaigns import callbacks
from campaigns.callback_dates import When
from campaigns.campaign_values import usual_time_zone
from campaigns.db import MOST_ID, ROW_LOCK
from campaigns.models import Agent, Attempt, Callback, CallbackTicket, Campaign, Contact
from campaigns.report_shape import inert
from dialer.calls import CallState
from dialer.errors import BadInput, NotFound, RefusedByRule
from dialer.retries import DO_NOT_CALL, counts_against_cap
from dialer.settings import TimingSettings

# XiVO's words for what came of a callback. `Callback` means another time was agreed.
NO_ANSWER, ANSWERED, FAX, EMAIL, CALLBACK = "NoAnswer", "Answered", "Fax", "Email", "Callback"
CLOSING = (ANSWERED, NO_ANSWER, FAX, EMAIL)
# Settled without a call: nobody has to ring any more.
_WITHOUT_A_CALL = (FAX, EMAIL)
_COMMENT_LENGTH = 2000
_BECAUSE = {ANSWERED: "callback answered", NO_ANSWER: "callback not answered", FAX: "answered by fax"} | {
    EMAIL: "answered by email"
}


# Calls ---------------------------------------------------------------------------------------------------


def after_call(session: Session, attempt: Attempt, *, now: datetime) -> None:
    """A call has ended and its contact's next try is planned: bring the contact's promise up to date with it.

    The caller holds the attempt's lock and the contact's.
    """
    contact = callbacks.locked_contact(session, attempt.contact_id)
    if contact.due_date is None:
        return
    callback = callbacks.open_of(session, contact.id, lock=True)
    if callback is None:
        return
    rang_at = attempt.ringing_at or attempt.answered_at
    if rang_at is None and counts_against_cap(CallState(attempt.state)):
        rang_at = attempt.sent_at or attempt.ordered_at  # it may have rung, and nobody told us when
    if attempt.ordered_at < callback.made_at:
        _as_promised(callback, contact)
        earlier = _called_for(session, attempt)
        if earlier is not None and rang_at is not None:
            _ticket_of_call(session, earlier, attempt, rang_at, now)
        return
    if rang_at is not None:
        callbacks.called(callback, attempt, rang_at)
        _ticket_of_call(session, callback, attempt, rang_at, now)
    if contact.state == "closed":
        callbacks.end_with_contact(session, callback, contact, now=now, who="dialer")
    elif callback.taken_by is None and callbacks.whose(contact, now) != callbacks.ELSEWHERE:
        callbacks.hold_for_owner(callback, contact)


def _called_for(session: Session, attempt: Attempt) -> Callback | None:
    """Return the promise that stood when a call was ordered, and was replaced while it ran."""
    query = select(Callback).where(
        Callback.contact_id == attempt.contact_id,
        Callback.made_at <= attempt.ordered_at,
        Callback.closed_at >= attempt.ordered_at,
    )
    return session.scalars(query.order_by(Callback.id.desc()).limit(1)).one_or_none()


def _as_promised(callback: Callback, contact: Contact) -> None:
    """It was promised while this call was in hand: whatever its end would mean, the person expects the next one."""
    if contact.closed_because in (DO_NOT_CALL, callbacks.UNDONE):
        return  # the watch ends the promise
    contact.state, contact.next_at, contact.closed_because = "open", callback.due_at, ""
    callbacks.hold_for_owner(callback, contact)


def _ticket_of_call(
    session: Session, callback: Callback, attempt: Attempt, rang_at: datetime, now: datetime
) -> CallbackTicket:
    ticket = session.scalars(select(CallbackTicket).where(CallbackTicket.attempt_id == attempt.id)).one_or_none()
    if ticket is None:
        ticket = CallbackTicket(callback_id=callback.id, attempt_id=attempt.id, started_at=rang_at, updated_at=now)
        ticket.status = ticket.comment = ""
        session.add(ticket)
    ticket.number = attempt.number
    ticket.agent_id = attempt.agent_id or ticket.agent_id
    ticket.status = ticket.status or (ANSWERED if attempt.joined_at is not None else NO_ANSWER)
    ticket.updated_at = now
    session.flush()
    return ticket


def started(session: Session, callback: Callback, attempt: Attempt, agent: Agent, *, now: datetime) -> CallbackTicket:
    """An agent has started the call: the ticket is there from now on."""
    ticket = CallbackTicket(
        callback_id=callback.id,
        attempt_id=attempt.id,
        agent_id=agent.id,
        number=attempt.number,
        started_at=now,
        updated_at=now,
        status="",
        comment="",
    )
    session.add(ticket)
    session.flush()
    return ticket


# What people say of it -----------------------------------------------------------------------------------


def close(session: Session, callback_id: int, *, status: str, comment: str = "", now: datetime, who: str) -> Callback:
    """Say what came of a callback, in XiVO's words, and end it. One that has ended keeps its end, and gets the word.

    RefusedByRule for a status that needs a call when there was none, and while the call still runs.
    """
    if status not in CLOSING:
        raise BadInput(f"{status!r} closes no callback: use {', '.join(CLOSING)}; for another time, reschedule it")
    callback, contact, over = _any(session, callback_id)
    ticket = last_ticket(session, callback.id)
    if ticket is None and (over or status not in _WITHOUT_A_CALL):
        raise RefusedByRule(
            f"callback {callback_id} ended without a call"
            if over
            else f"callback {callback_id} was not called yet: start it, or close it as {' or '.join(_WITHOUT_A_CALL)}"
        )
    if contact.state == "live" and not over:
        raise RefusedByRule(f"callback {callback_id} is being called now: close it when the call is over")
    _say(session, callback, ticket, status, comment, now)
    if not over:
        contact.state, contact.next_at, contact.closed_because = "closed", None, _BECAUSE[status]
        callbacks.end(
            session, callback, contact, now=now, who=who, why=_one_line(comment) or _BECAUSE[status],
            still_wanted=status not in _WITHOUT_A_CALL,
        )  # fmt: skip
    else:
        callbacks.record(session, callback, "said", now=now, who=who, why=_one_line(comment), status=status)
    return callback


def reschedule(
    session: Session,
    callback_id: int,
    when: When,
    *,
    owner: Agent | None = None,
    fallback: float | None = None,
    comment: str = "",
    timing: TimingSettings,
    now: datetime,
    who: str,
) -> Callback:
    """Agree on another time: a new promise, and the old one ends as what it has come to. Keeps its owner by default.

    One that has ended may be promised anew, as after a talk in which another was agreed.
    """
    callback, contact, _ = _any(session, callback_id)
    campaign = session.get_one(Campaign, callback.campaign_id)
    if owner is None and callback.owner_id is not None:
        owner = session.get(Agent, callback.owner_id)
    ticket = last_ticket(session, callback.id)
    if ticket is not None:
        _say(session, callback, ticket, CALLBACK, comment, now)
    return callbacks.promise(
        session, campaign, contact, when, owner=owner,
        fallback=callback.fallback if fallback is None and callback.owner_id is not None else fallback,
        timing=timing, now=now, who=who, why=_one_line(comment),
    )  # fmt: skip


def find(session: Session, callback_id: int) -> tuple[Callback, Contact]:
    """Return a callback, whatever became of it, and its contact, both locked; NotFound when there is none."""
    callback, contact, _ = _any(session, callback_id)
    return callback, contact


def _any(session: Session, callback_id: int) -> tuple[Callback, Contact, bool]:
    found = session.get(Callback, callback_id) if callback_id <= MOST_ID else None
    if found is None:
        raise NotFound(f"there is no callback {callback_id}: `dialer callbacks list` shows them")
    contact = callbacks.locked_contact(session, found.contact_id)
    callback = session.get_one(Callback, callback_id, with_for_update=ROW_LOCK, populate_existing=True)
    return callback, contact, callback.closed_at is not None


def last_ticket(session: Session, callback_id: int) -> CallbackTicket | None:
    """Return the newest ticket of a callback."""
    query = select(CallbackTicket).where(CallbackTicket.callback_id == callback_id)
    return session.scalars(query.order_by(CallbackTicket.id.desc()).limit(1)).one_or_none()


def _say(
    session: Session, callback: Callback, ticket: CallbackTicket | None, status: str, comment: str, now: datetime
) -> None:
    if ticket is None:
        ticket = CallbackTicket(callback_id=callback.id, started_at=now, number="", agent_id=callback.taken_by)
        session.add(ticket)
    ticket.status, ticket.updated_at = status, now
    ticket.comment = comment.strip()[:_COMMENT_LENGTH] or ticket.comment or ""
    session.flush()


def _one_line(comment: str) -> str:
    return " ".join(comment.split())


# Download ------------------------------------------------------------------------------------------------

# The first eight are the names of XiVO's import, to the letter; its manual names the five others in words only
# ("Start date", "Last update", "Comment", "Status", "Agent"), so these spellings are our reading.
XIVO_COLUMNS = ("phoneNumber", "mobilePhoneNumber", "firstName", "lastName", "company", "description", "dueDate",
                "period", "startDate", "lastUpdate", "comment", "status", "agent")  # fmt: skip
MORE_COLUMNS = ("callback", "campaign", "number", "agentName", "result")

_TICKETS = text(
    """
    SELECT k.phone AS "phoneNumber", k.phone2 AS "mobilePhoneNumber", k.first_name AS "firstName",
           k.last_name AS "lastName", k.company, k.description, b.due_date AS "dueDate", b.period,
           t.started_at AS "startDate", t.updated_at AS "lastUpdate", t.comment, t.status,
           coalesce(nullif(a.extension, ''), a.user_id) AS agent,
           b.id AS callback, c.name AS campaign, t.number, a.name AS "agentName", b.result, c.country, c.time_zone
    FROM callback_tickets t JOIN callbacks b ON b.id = t.callback_id JOIN contacts k ON k.id = b.contact_id
    JOIN campaigns c ON c.id = b.campaign_id LEFT JOIN agents a ON a.id = t.agent_id
    WHERE (CAST(:campaign_id AS bigint) IS NULL OR b.campaign_id = :campaign_id)
      AND t.started_at >= :start AND t.started_at < :end
    ORDER BY t.started_at, t.id
    """
)


@dataclass(frozen=True, slots=True)
class Ticket:
    """One ticket with everything it tells, its moments by the campaign's clock."""

    told: dict[str, Any]

    def cells(self) -> list[str]:
        """Return the row of the download."""
        return [inert(_cell(self.told[name])) for name in XIVO_COLUMNS]


def tickets(session: Session, campaign: Campaign | None, *, start: datetime, end: datetime) -> Iterator[Ticket]:
    """Yield the tickets started in [start, end), oldest first."""
    given = {"campaign_id": campaign.id if campaign else None, "start": start, "end": end}
    for row in session.execute(_TICKETS, given).mappings():
        told = dict(row)
        zone = ZoneInfo(usual_time_zone(told.pop("country"), told.pop("time_zone")))
        told |= {name: told[name].astimezone(zone) for name in ("startDate", "lastUpdate")}
        yield Ticket(told)


def write_csv(found: Iterator[Ticket], file: TextIO) -> int:
    """Write tickets as XiVO's manager page lets them be downloaded: `|` between the cells, a header; how many."""
    writer = csv.writer(file, delimiter="|", lineterminator="\r\n")
    writer.writerow(XIVO_COLUMNS)
    count = 0
    for count, one in enumerate(found, 1):  # noqa: B007 (the count is what is asked for)
        writer.writerow(one.cells())
    return count


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    return str(value)
