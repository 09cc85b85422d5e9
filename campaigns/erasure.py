"""Erasing a person on request: out of every table and file, with a keyed digest left so that they stay uncalled (I31).

In two transactions. `forget` puts the numbers on the list of the forgotten, which holds from its commit on. `erase`
takes the person out of the rows; it waits for calls and imports that still have them in hand. Attempts and the ledger
keep what happened and when, about nobody: a stand-in stands where the number was.

What is kept in a contact or an attempt is listed here, and everything else is emptied: a new column is emptied too.
"""

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import phonenumbers
from sqlalchemy import ColumnElement, CursorResult, Table, cast, delete, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session
from sqlalchemy.types import Text

from campaigns import forgotten, forgotten_rejects, forgotten_uploads, gate, import_storing, ledger
from campaigns.contact_numbers import numbers_of
from campaigns.db import ROW_LOCK, Base
from campaigns.do_not_call import one_line
from campaigns.models import (
    Attempt,
    Callback,
    CallbackTicket,
    Command,
    Contact,
    DoNotCall,
    Import,
    ImportChange,
    ListedRequest,
    LoggedEvent,
    Offer,
)
from dialer.calls import CallState
from dialer.errors import BadInput, TryAgainLater
from dialer.numbers import require

ERASED = "erased on request"
# What may stay: it says what happened, and to nobody.
_KEPT_OF_CONTACT = {"id", "campaign_id", "list_id", "line", "phone", "state", "next_at", "closed_because"}
_KEPT_OF_ATTEMPT = {
    "pbx", "ref", "state", "request_id", "pbx_call_id", "first_leg_id", "second_leg_id", "leg_outcome",
    "final_outcome", "number", "gateway", "caller_id", "proof", "rule_pack", "mode", "answer_group", "disposed_by",
}  # fmt: skip
# Tables without people, or dealt with one by one below.
_NOT_SWEPT = {
    "installation", "campaigns", "agents", "campaign_agents", "pbx_status", "process_beats", "leases", "forgotten",
    "pace_decisions", "forecasts", "contacts", "attempts", "logged_events", "ledger",
}  # fmt: skip
# Every table that refers to a contact or an attempt, so that a new one is not overlooked (a test compares).
SEEN_TO = {"attempts", "offers", "assignments", "agents", "callbacks", "callback_tickets", "listed_requests"}
SEEN_TO |= {"listed_tickets"}  # whose rows name nobody
_AN_HOUR = timedelta(hours=1)


@dataclass(slots=True)
class Erased:
    """What an erasure took away: counts, and no word about whom."""

    numbers: int = 0  # of the person: none of them is called again
    contacts: int = 0
    attempts: int = 0
    events: int = 0
    do_not_call: int = 0
    ledger: int = 0
    other_rows: int = 0
    file_rows: int = 0  # of reject files
    files: int = 0

    def as_json(self) -> dict[str, int]:
        """Return the counts for a program, and for the ledger."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Person:
    """Whose rows are meant: all numbers of the contacts that have the number asked about."""

    number: str
    contact_ids: tuple[int, ...]
    numbers: tuple[str, ...]
    names: frozenset[tuple[str, str]] = field(default=frozenset())  # (first, last), both given

    @classmethod
    def of(cls, session: Session, given: str, country: str) -> "Person":
        """Find everything under one number; BadInput when it is none."""
        number = require(given, country, "person").e164
        query = select(Contact).where(
            or_(
                Contact.phone == number,
                Contact.phone2 == number,
                Contact.more_numbers.contains([number]),
                Contact.next_number == number,
            )
        )
        found = session.scalars(query.order_by(Contact.id).execution_options(populate_existing=True)).all()
        numbers = {number}
        for contact in found:
            numbers.update(numbers_of(contact))
        # A number that was theirs when it was called, and that an import which was taken back took with it.
        numbers.update(session.scalars(select(Attempt.number).where(Attempt.contact_id.in_([one.id for one in found]))))
        names = {(one.first_name.casefold(), one.last_name.casefold()) for one in found}
        return cls(
            number,
            tuple(one.id for one in found),
            tuple(sorted(one for one in numbers if not one.startswith(forgotten.ERASED))),
            frozenset(name for name in names if all(name)),
        )


def forget(session: Session, given: str, *, country: str, who: str, now: datetime) -> Person:
    """Let no number of the person be called again, from the commit on. The caller commits, then erases.

    A gate that judges one of the numbers at this moment is waited for, and what was ordered and not sent is too late.
    """
    person = Person.of(session, given, country)
    gate.lock_numbers(session, person.numbers)
    forgotten.remember(session, person.numbers, who=who, now=now)
    not_sent = update(Attempt).where(_theirs(person), Attempt.state == CallState.ORDERED, Attempt.not_after > now)
    session.execute(not_sent.values(not_after=now).execution_options(synchronize_session=False))
    return person


def erase(session: Session, person: Person, *, data_dir: Path, who: str, why: str, now: datetime) -> Erased:
    """Take a person whose numbers are forgotten out of every row and file.

    TryAgainLater while a call to them, or an import that may bring them, goes on: nothing is erased then. The caller
    commits; the files are rewritten last, since they cannot be rolled back.
    """
    if not one_line(why):
        raise BadInput("an erasure needs a reason for the ledger, for example --why 'letter of 3 March'")
    session.execute(text("SET LOCAL statement_timeout = '10min'"))
    _lock(session, person)
    _nothing_in_hand(session, person)
    key = forgotten.key_of(session)
    stand_ins = {number: forgotten.stand_in(key, number) for number in person.numbers}
    erased = Erased(numbers=len(stand_ins))
    refs, calls = _calls(session, person)
    erased.events = _events(session, person, refs, calls, now)
    session.execute(
        update(Command).where(Command.ref.in_(refs)).values(arguments={}, answer="")
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    session.execute(
        update(Offer).where(Offer.contact_id.in_(person.contact_ids)).values(reason="")
        .execution_options(synchronize_session=False)
    )  # fmt: skip
    erased.other_rows = _callbacks(session, person, stand_ins)
    erased.attempts = _attempts(session, person, stand_ins)
    erased.contacts = _contacts(session, person, stand_ins)
    erased.do_not_call = _rows(session.execute(delete(DoNotCall).where(DoNotCall.number.in_(person.numbers))))
    erased.other_rows += _sweep(session, person.number, stand_ins[person.number])
    erased.ledger = _ledger(session, person, stand_ins)
    _files(session, person, data_dir, erased, now)
    shown = one_line(why)
    for number in person.numbers:
        shown = shown.replace(number, "a number")
    ledger.record(session, at=now, kind="person_erased", who=who, why=shown, **erased.as_json())
    session.flush()
    session.expire_all()
    return erased


def _lock(session: Session, person: Person) -> None:
    """Hold the person's calls, contacts and numbers, in the order in which calls that end and gates take them."""
    session.execute(select(Attempt.id).where(_theirs(person)).order_by(Attempt.id).with_for_update(**ROW_LOCK))
    theirs = select(Contact.id).where(Contact.id.in_(person.contact_ids)).order_by(Contact.id)
    session.execute(theirs.with_for_update(**ROW_LOCK))
    gate.lock_numbers(session, person.numbers)


def _nothing_in_hand(session: Session, person: Person) -> None:
    open_calls = select(func.count()).select_from(Attempt).where(_theirs(person), Attempt.ended_at.is_(None))
    if session.scalar(open_calls):
        raise TryAgainLater("a call to this person is not over: no other will be ordered; erase them again when it is")
    running = session.scalars(select(Import.id).where(Import.state.in_(("waiting", "running")))).all()
    if running:
        listed = ", ".join(str(one) for one in running)
        raise TryAgainLater(
            f"import {listed} is not done and may bring this person again: they will not be called; "
            "erase them again when it is"
        )


def _theirs(person: Person) -> ColumnElement[bool]:
    return or_(Attempt.number.in_(person.numbers), Attempt.contact_id.in_(person.contact_ids))


def _calls(session: Session, person: Person) -> tuple[list[str], list[str]]:
    rows = session.execute(select(Attempt.ref, Attempt.pbx_call_id).where(_theirs(person))).all()
    return [row.ref for row in rows], [row.pbx_call_id for row in rows if row.pbx_call_id]


def _events(session: Session, person: Person, refs: list[str], calls: list[str], now: datetime) -> int:
    """Empty the payloads of events about the person's calls, and of all others that hold a number of theirs."""
    about: list[ColumnElement[bool]] = [LoggedEvent.ref.in_(refs), LoggedEvent.call_id.in_(calls)]
    for digits in map(national, person.numbers):
        about.append(func.strpos(LoggedEvent.query, digits) > 0)
        about.append(text("position(convert_to(:d, 'UTF8') in body) > 0").bindparams(d=digits).self_group())  # type: ignore[arg-type]
    emptied = 0
    for clause in about:  # one by one: the first two have an index, and a parameter of each its own name
        emptied += _rows(
            session.execute(
                update(LoggedEvent)
                .where(clause, or_(LoggedEvent.query != "", func.length(LoggedEvent.body) > 0))
                .values(query="", body=b"", trouble="", handled_at=func.coalesce(LoggedEvent.handled_at, now))
                .execution_options(synchronize_session=False)
            )
        )
    return emptied


def _emptied(table: Table, kept: Collection[str], *, of: tuple[type, ...]) -> dict[str, object]:
    """Return what every column that may not stay becomes."""
    values: dict[str, object] = {}
    for column in table.columns:
        if column.name in kept or not isinstance(column.type, of):
            continue
        if column.nullable:
            values[column.name] = None
        elif isinstance(column.type, JSONB):
            values[column.name] = {}
        elif isinstance(column.type, Text):
            values[column.name] = ""
        elif column.type.python_type is bool:
            values[column.name] = False
    return values


def _contacts(session: Session, person: Person, stand_ins: Mapping[str, str]) -> int:
    table = Contact.__table__
    assert isinstance(table, Table)
    values = _emptied(table, _KEPT_OF_CONTACT, of=(object,))
    done = 0
    for number, stand_in in stand_ins.items():
        query = update(table).where(table.c.id.in_(person.contact_ids), table.c.phone == number)
        done += _rows(
            session.execute(
                query.values(
                    {**values, "phone": stand_in, "state": "closed", "next_at": None, "closed_because": ERASED}
                )
            )
        )
    return done


def _attempts(session: Session, person: Person, stand_ins: Mapping[str, str]) -> int:
    table = Attempt.__table__
    assert isinstance(table, Table)
    values = _emptied(table, _KEPT_OF_ATTEMPT, of=(Text, JSONB))
    done = 0
    for number, stand_in in stand_ins.items():
        theirs = table.c.contact_id.in_(person.contact_ids) | (table.c.number == person.number)
        query = update(table).where(theirs, table.c.number == number)
        proof = text("replace(proof::text, :n, :s)::jsonb").bindparams(n=number, s=stand_in)
        done += _rows(session.execute(query.values({**values, "number": stand_in, "proof": proof})))
    return done


def _callbacks(session: Session, person: Person, stand_ins: Mapping[str, str]) -> int:
    """Empty what people wrote of the person's callbacks, and delete what undoing an import would put back of them.

    That there was a callback, when and for how long, is kept: it is counted in reports.
    """
    theirs = select(Callback.id).where(Callback.contact_id.in_(person.contact_ids))
    tickets = update(CallbackTicket).where(CallbackTicket.callback_id.in_(theirs))
    done = 0
    for number, stand_in in stand_ins.items():
        done += _rows(
            session.execute(
                tickets.where(CallbackTicket.number == number).values(number=stand_in)
                .execution_options(synchronize_session=False)
            )
        )  # fmt: skip
    for change in (
        tickets.where(CallbackTicket.comment != "").values(comment=""),
        update(Callback).where(Callback.id.in_(theirs)).values(why="", alarm=""),
        delete(ImportChange).where(ImportChange.contact_id.in_(person.contact_ids)),
        update(ListedRequest).where(ListedRequest.contact_id.in_(person.contact_ids)).values(told="", trouble=""),
    ):
        done += _rows(session.execute(change.execution_options(synchronize_session=False)))
    return done


def _sweep(session: Session, number: str, stand_in: str) -> int:
    """Put the stand-in for the number that was asked about, wherever else it is written."""
    done = 0
    for table in Base.metadata.sorted_tables:
        if table.name in _NOT_SWEPT:
            continue
        for column in table.columns:
            if isinstance(column.type, Text | JSONB):
                told = cast(column, Text)
                change = update(table).where(func.strpos(told, number) > 0)
                done += _rows(
                    session.execute(change.values({column: cast(func.replace(told, number, stand_in), column.type)}))
                )
    return done


def _ledger(session: Session, person: Person, stand_ins: Mapping[str, str]) -> int:
    """Put stand-ins into the rows of the ledger that name the person, and take out what people wrote there of them.

    Its facts stay as they were: the database sees to that.
    """
    session.flush()
    session.execute(text("SET LOCAL dialer.forgetting = 'on'"))
    change = text("""
        UPDATE ledger SET why = CASE WHEN why = '' THEN '' ELSE :erased END,
               details = CAST(replace(CAST(details AS text), :number, :stand_in) AS jsonb)
                   || CASE WHEN details ? 'added_because' THEN '{"added_because": ""}'::jsonb ELSE '{}'::jsonb END
        WHERE strpos(why, :number) > 0 OR strpos(CAST(details AS text), :number) > 0
    """)
    done = sum(
        _rows(session.execute(change, {"number": number, "stand_in": stand_in, "erased": ERASED}))
        for number, stand_in in stand_ins.items()
    )
    # What agents gave as reasons names nobody by number: it is known by the call, or the contact, it was said of.
    reasons = text("""
        UPDATE ledger SET why = :erased
        WHERE why NOT IN ('', :erased) AND (
            (kind = 'disposition' AND attempt_id IN (SELECT id FROM attempts WHERE contact_id = ANY(:contacts)))
            OR (kind LIKE 'callback%' AND jsonb_typeof(details -> 'contact') = 'number'
                AND CAST(details ->> 'contact' AS bigint) = ANY(:contacts)))
    """)
    done += _rows(session.execute(reasons, {"erased": ERASED, "contacts": list(person.contact_ids)}))
    session.execute(text("SET LOCAL dialer.forgetting = 'off'"))
    return done


def _files(session: Session, person: Person, data_dir: Path, erased: Erased, now: datetime) -> None:
    folder = import_storing.folder(data_dir)
    import_storing.forget_strays(data_dir, set(), now, age=_AN_HOUR)
    digits = [national(number) for number in person.numbers]
    erased.files += forgotten_uploads.throw_away(data_dir, digits, person.names)
    for path in sorted(folder.glob("*.rejected.csv")):
        gone, left = forgotten_rejects.rewrite(path, digits, person.names)
        if gone:
            erased.file_rows += gone
            erased.files += 1
        if gone and not left:
            session.execute(update(Import).where(Import.reject_file == str(path)).values(reject_file=None))


def national(number: str) -> str:
    """Return the digits that every way of writing the number has in common: without country code and trunk prefix."""
    try:
        found = phonenumbers.national_significant_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return number.lstrip("+")
    return found if len(found) >= 6 else number.lstrip("+")


def _rows(result: Any) -> int:
    assert isinstance(result, CursorResult)
    return result.rowcount
