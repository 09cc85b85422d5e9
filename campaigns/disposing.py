"""An agent's word for a call, and what it brings about: the contact closed, tried again, called back, or never more.

The word is kept on the attempt with who said it and when, and every change of it in the ledger. Do-not-call holds from
the moment it is said. The contact is moved when the call is over: by its end, or at once when the word comes later. The
caller owns the transaction. Locks are taken attempt, agent, contact.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import agents, callbacks, dispositions, do_not_call, ledger, planning
from campaigns.callback_dates import When
from campaigns.contact_numbers import numbers_of
from campaigns.db import ROW_LOCK
from campaigns.models import Agent, Assignment, Attempt, Campaign, Contact, ContactList
from campaigns.models import Disposition as Row
from dialer import forms, retries
from dialer.errors import BadInput, NotFound, TryAgainLater
from dialer.forms import Field
from dialer.settings import TimingSettings

NOTE_LENGTH = 2_000
# A contact that an attempt closed may be opened again by another word for that attempt; one that was closed for any
# other reason (its list was taken back) may not.
_BY_A_CALL = (
    "",
    retries.REACHED,
    retries.MESSAGE_PLAYED,
    retries.ATTEMPTS_USED_UP,
    retries.UNREACHABLE,
    retries.NUMBERS_USED_UP,
    retries.REFUSED_BY_PBX,
    retries.DO_NOT_CALL,
    planning.DIALLED_BY_HAND,
)


@dataclass(frozen=True, slots=True)
class Said:
    """A call with its word, and what became of the contact. `unmoved`: why the contact stays as it is."""

    attempt: Attempt
    row: Row
    before: str | None  # the code said before
    contact: Contact
    campaign: Campaign
    forbidden: int = 0  # numbers put on the do-not-call list
    unmoved: str = ""


@dataclass(frozen=True, slots=True)
class _Callback:
    """What was said of a callback with the word, if it promises one."""

    due: date | datetime | None
    period: str
    owner: Agent | None
    timing: TimingSettings


def told(said: Said) -> dict[str, Any]:
    """Return for a program what was said of a call and what became of the contact."""
    contact = said.contact
    return {
        "call": said.attempt.ref, "disposition": said.row.code, "before": said.before,
        "contact": contact.id, "contact_state": contact.state, "next_at": contact.next_at,
        "next_number": contact.next_number or contact.phone, "closed_because": contact.closed_because,
        "callback_at": said.attempt.callback_at, "do_not_call": said.forbidden, "unmoved": said.unmoved,
    }  # fmt: skip


def dispose(
    session: Session,
    agent: Agent,
    code: str,
    *,
    call: str = "",
    note: str = "",
    answers: Mapping[str, str] | None = None,
    due: date | datetime | None = None,
    period: str = "",
    mine: bool = False,
    ready: bool = False,
    timing: TimingSettings,
    now: datetime,
    who: str,
) -> Said:
    """Keep an agent's word for the call in hand, or for the last one while its wrap-up lasts.

    `call`: the reference of an earlier call of theirs instead. `answers`: to the campaign's form, as typed. `due`,
    `period`: when a callback is promised for, by the clock where the phone is. `mine`: this agent is to call. `ready`:
    the wrap-up is over with this. NotFound and TryAgainLater say why there is no call.
    """
    found = _named(session, call, agent) if call else _in_hand_or_last(session, agent)
    session.refresh(found, with_for_update=ROW_LOCK)
    if ready:
        held = agents.locked(session, agent.id)
        if held.state in ("assigned", "talking"):
            raise BadInput(f"agent {_name(held)} is still in the call: say --ready when it is over")
        agents.ready(session, held.id, now=now, who=who)
    callback = _Callback(due, period, agent if mine else None, timing)
    return _say(session, found, code, note=note, answers=answers or {}, callback=callback, now=now, who=who, why="")


def correct(
    session: Session,
    call: str,
    code: str,
    *,
    note: str | None = None,
    due: date | datetime | None = None,
    period: str = "",
    why: str,
    timing: TimingSettings,
    now: datetime,
    who: str,
) -> Said:
    """Change the word for any call an agent met somebody in, with a reason that the ledger keeps."""
    if not why.strip():
        raise BadInput("changing what was said of a call needs a reason: give it with --why, the ledger keeps it")
    found = _named(session, call, None)
    session.refresh(found, with_for_update=ROW_LOCK)
    callback = _Callback(due, period, None, timing)
    return _say(session, found, code, note=note, answers=None, callback=callback, now=now, who=who, why=why)


def carry_out(session: Session, attempt: Attempt, contact: Contact, campaign: Campaign, *, now: datetime) -> None:
    """Move the contact of a call that is over as its word says. The caller holds the contact's row."""
    word = dispositions.word_of(session.get_one(Row, attempt.disposition_id))
    by_hand = session.get_one(ContactList, contact.list_id).kind == "manual"
    if word.does == "callback":
        # The promise was made when the word was said. Should it have ended since, the watch closes what is left of it.
        contact.state, contact.closed_because, contact.next_at = "open", "", attempt.callback_at
    elif word.does == "retry" and by_hand:
        # The dialer never calls by itself a number that somebody dialled; a promise is another thing.
        contact.state, contact.closed_because, contact.next_at = "closed", planning.DIALLED_BY_HAND, None
    else:
        planning.replan(session, attempt, contact, campaign, word=word, now=now)


# Which call ----------------------------------------------------------------------------------------------


def _named(session: Session, ref: str, agent: Agent | None) -> Attempt:
    found = session.scalars(select(Attempt).where(Attempt.ref == ref.strip())).one_or_none()
    if found is None or (agent is not None and found.agent_id != agent.id):
        whose = f" of agent {_name(agent)}" if agent is not None else ""
        raise NotFound(f"there is no call {ref.strip()[:60]!r}{whose}: `dialer report attempts --json` has references")
    if found.agent_id is None:
        raise BadInput(f"in call {found.ref} no agent met anybody, so there is nothing to say of it")
    return found


def _in_hand_or_last(session: Session, agent: Agent) -> Attempt:
    query = select(Assignment).where(Assignment.agent_id == agent.id).order_by(Assignment.id.desc())
    in_hand = session.scalars(query.where(Assignment.ended_at.is_(None)).limit(1)).one_or_none()
    if in_hand is not None:
        found = session.get_one(Attempt, in_hand.attempt_id)
        if found.joined_at is None:
            raise TryAgainLater(f"agent {_name(agent)} is just being given a customer: say it when they have spoken")
        return found
    last = session.scalars(query.where(Assignment.result == "talked").limit(1)).one_or_none()
    if last is None or agent.state != "wrap_up":
        told = "has no call in hand, and no wrap-up of one" if last is not None else "has spoken with nobody yet"
        raise NotFound(f"agent {_name(agent)} {told}; name an earlier call with --call REFERENCE")
    return session.get_one(Attempt, last.attempt_id)


# What is said --------------------------------------------------------------------------------------------


def _say(
    session: Session,
    attempt: Attempt,
    code: str,
    *,
    note: str | None,
    answers: Mapping[str, str] | None,
    callback: "_Callback",
    now: datetime,
    who: str,
    why: str,
) -> Said:
    """Keep the word of a call whose row is locked, and carry it out as far as that can be now."""
    campaign = session.get_one(Campaign, attempt.campaign_id)
    contact = session.get_one(Contact, attempt.contact_id, with_for_update=ROW_LOCK, populate_existing=True)
    row = dispositions.get(session, campaign, code)
    promise = _promise(session, attempt, campaign, contact, row, callback, now)
    before = session.get(Row, attempt.disposition_id) if attempt.disposition_id is not None else None
    if _promised_in(attempt, contact):
        contact.due_date = contact.period_id = contact.promised_at = None  # and is no longer, or anew
        written = callbacks.open_of(session, contact.id, lock=True)
        if written is not None:
            callbacks.end(session, written, contact, now=now, who=who, why="another word for the call", moved=True)
    attempt.disposition_id, attempt.disposed_at, attempt.disposed_by = row.id, now, who
    attempt.callback_at = promise.due_at if promise is not None else None
    attempt.callback_period_id = promise.period_id if promise is not None else None
    if note is not None:
        attempt.note = _printable(note)
    if answers is not None:
        form = [Field.of(kept) for kept in campaign.form]
        attempt.answers = forms.answers(form, attempt.answers, answers, complete=row.meaning == "sale")
    forbidden = _forbid(session, attempt, contact, campaign, row, now=now, who=who) if row.does == "dnc" else 0
    unmoved = _in_the_way(session, attempt, contact)
    if not unmoved and attempt.ended_at is not None:
        carry_out(session, attempt, contact, campaign, now=now)
    if not unmoved and promise is not None:
        contact.next_number = None if attempt.number == contact.phone else attempt.number
        callbacks.promise(
            session, campaign, contact, promise, owner=callback.owner, timing=callback.timing, now=now, who=who,
            why=row.label,
        )  # fmt: skip
    session.flush()
    _record(session, attempt, row, before, promise, now=now, who=who, why=why)
    return Said(attempt, row, before.code if before is not None else None, contact, campaign, forbidden, unmoved)


def _promise(
    session: Session,
    attempt: Attempt,
    campaign: Campaign,
    contact: Contact,
    row: Row,
    callback: "_Callback",
    now: datetime,
) -> When | None:
    if row.does != "callback":
        if callback.due is not None or callback.period or callback.owner is not None:
            raise BadInput(f"disposition {row.code} promises no callback: leave out --due, --period and --mine")
        return None
    if callback.due is None:
        raise BadInput(f"disposition {row.code} promises a callback: say when with --due 2026-03-31 [--period NAME]")
    return callbacks.when(
        session, campaign, contact, due=callback.due, period=callback.period, number=attempt.number,
        timing=callback.timing, now=now,
    )  # fmt: skip


def _promised_in(attempt: Attempt, contact: Contact) -> bool:
    """Whether the contact's promise is that of this call, as it was said or as it was moved since."""
    if attempt.callback_at is None or attempt.disposed_at is None or contact.promised_at is None:
        return False
    return contact.promised_at >= attempt.disposed_at


def _forbid(
    session: Session, attempt: Attempt, contact: Contact, campaign: Campaign, row: Row, *, now: datetime, who: str
) -> int:
    """Put every number of a person who said no on the list; how many were not on it."""
    scope = None if row.everywhere else campaign.id
    added = 0
    for number in dict.fromkeys((attempt.number, *numbers_of(contact))):
        _, new = do_not_call.add(
            session,
            number,
            country=campaign.country,
            campaign_id=scope,
            source="agent",
            reason=row.label,
            who=who,
            now=now,
        )
        added += new
    return added


def _in_the_way(session: Session, attempt: Attempt, contact: Contact) -> str:
    """Say why the contact does not follow the word; empty when it does."""
    if session.get_one(ContactList, contact.list_id).undone_at is not None:
        return "its list was taken back"
    newer = select(Attempt.id).where(Attempt.contact_id == contact.id, Attempt.id > attempt.id).limit(1)
    if session.scalar(newer) is not None:
        return "it was called again since"
    by_a_call = contact.closed_because in _BY_A_CALL or contact.closed_because.startswith(retries.SAID)
    if contact.state == "closed" and not by_a_call:
        return f"it is closed: {contact.closed_because}"
    return ""


def _record(
    session: Session,
    attempt: Attempt,
    row: Row,
    before: Row | None,
    promise: When | None,
    *,
    now: datetime,
    who: str,
    why: str,
) -> None:
    # The note stays on the attempt: it is about a person, who may be forgotten, and the ledger forgets nothing.
    details: dict[str, Any] = {"code": row.code, "does": row.does, "before": before.code if before else None}
    if promise is not None:
        details["callback_at"] = promise.due_at.isoformat()
    ledger.record(
        session,
        at=now,
        kind="disposition",
        who=who,
        campaign_id=attempt.campaign_id,
        attempt_id=attempt.id,
        agent_id=attempt.agent_id,
        why=why,
        **details,
    )


def _printable(note: str) -> str:
    kept = "".join(char if char.isprintable() or char == "\n" else " " for char in note.replace("\r\n", "\n")).strip()
    if len(kept) > NOTE_LENGTH:
        raise BadInput(f"the note has {len(kept):,} characters: {NOTE_LENGTH:,} are allowed")
    return kept


def _name(agent: Agent) -> str:
    return agent.name or agent.user_id
