"""Forgotten people stay uncalled, and are nowhere (I31)."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session, sessionmaker

from campaigns import do_not_call, erasure, forgotten, gate, import_storing, ledger, person, uploads
from campaigns.application import Application
from campaigns.db import ROW_LOCK, Base, database_now, session_factory
from campaigns.gate import Claim
from campaigns.importing import ImportOptions, run_import, submit_import
from campaigns.lines import Lines
from campaigns.models import (
    Attempt,
    Callback,
    CallbackTicket,
    Campaign,
    Contact,
    DoNotCall,
    Forgotten,
    Import,
    ImportChange,
    Ledger,
    LoggedEvent,
)
from campaigns.placing import place
from dialer.calls import CallState
from dialer.clock import ManualClock
from dialer.errors import BadInput, TryAgainLater
from dialer.retries import DO_NOT_CALL
from dialer.settings import TimingSettings
from tests import factories
from tests.factories import NOW
from tests.fakes import FakePbx
from tests.waiting import until_somebody_waits_for_a_lock

NUMBER, MOBILE, OTHER = "+390612345678", "+393331234567", "+390698765432"
THIRD, FORMER = "+390255501234", "+390255509876"  # a number after the second, and one an import took back
FILE = (
    "phone,mobile,first_name,last_name,company,description,Colour\n"
    "06 1234 5678,333 1234567,Ilaria,Zanfranceschi,Oleificio,likes olives,blue\n"
    "06 98765432,,Bruno,Conti,,,red\n"
    "06 1234 5678,,Ilaria,Zanfranceschi,twice,,\n"  # a duplicate: in the reject file
    "12,,Ilaria,Zanfranceschi,broken number,,\n"  # known by the name alone
)
TRACES = ("612345678", "3331234567", "255501234", "255509876", "Zanfranceschi", "Ilaria", "olives", "Oleificio")


@pytest.fixture
def sessions(engine: Engine) -> sessionmaker[Session]:
    return session_factory(engine)


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, mode="progressive", number_gap=0)
    factories.lease(session, made)
    session.commit()
    return made


def bring(
    session: Session, sessions: sessionmaker[Session], of: Campaign, folder: Path, *, force: bool = False
) -> Import:
    source = folder / "people.csv"
    source.write_text(FILE)
    job = submit_import(
        session, campaign=session.get_one(Campaign, of.id), source=source, file_name="people.csv", data_dir=folder,
        options=ImportOptions(force=force), now=database_now(session),
    )  # fmt: skip
    session.commit()
    done = run_import(sessions, job.id, now=database_now(session), clock=ManualClock(factories.NOW))
    session.commit()
    source.unlink()
    assert done.state == "done", done.error
    return done


def order(session: Session, of: Campaign) -> list[str]:
    passed = gate.order(
        session, of.id, 10, Lines({"4": 50}), Claim(f"campaign:{of.id}", "test", 1), now=database_now(session),
        timing=TimingSettings(),
    )  # fmt: skip
    session.commit()
    return passed.refs


def everywhere(session: Session, folder: Path) -> Iterator[tuple[str, str]]:
    """Every row of every table as text, and every file."""
    for table in Base.metadata.sorted_tables:
        for row in session.execute(text(f'SELECT to_jsonb(t)::text FROM "{table.name}" t')).scalars():
            shown = json.loads(row)
            body = bytes.fromhex(shown["body"][2:]).decode("latin-1") if shown.get("body") else ""
            yield table.name, row + body
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.name, path.read_text("utf-8", "replace").replace(" ", "")


def traces(session: Session, folder: Path) -> list[tuple[str, str]]:
    return [(where, trace) for where, row in everywhere(session, folder) for trace in TRACES if trace in row]


def call_is_over(session: Session, attempt: Attempt) -> None:
    attempt.state, attempt.ended_at = CallState.ABANDONED, database_now(session)
    attempt.trouble, attempt.pbx_call_id = f"the PBX said {attempt.number}", "9001"
    session.get_one(Contact, attempt.contact_id).state = "closed"
    for query, body, ref in (
        (f"called=%2B{NUMBER[1:]}&name=Ilaria", b"", attempt.ref),
        ("", b'{"caller": "0612345678", "who": "Ilaria Zanfranceschi"}', None),
    ):
        session.add(LoggedEvent(pbx="main", method="POST", query=query, body=body, ref=ref, handled_at=factories.NOW))
    session.commit()


def word_of_agents(session: Session, attempt: Attempt, job_id: int) -> None:
    """What agents wrote of the call and of a callback, and what later imports changed: in every table that has it."""
    contact, now = session.get_one(Contact, attempt.contact_id), database_now(session)
    contact.more_numbers, contact.number_types, contact.priority = [THIRD], ["work", "mobile", "home"], 3
    attempt.note, attempt.answers = "Ilaria likes olives", {"who": "Ilaria Zanfranceschi"}
    of = session.get_one(Campaign, attempt.campaign_id)
    factories.attempt(session, of, contact=contact, number=FORMER, state=CallState.NO_ANSWER, note="not Ilaria")
    callback = Callback(
        campaign_id=of.id, contact_id=contact.id, due_date=now.date(), zone="Europe/Rome", due_at=now,
        deadline_at=now + timedelta(hours=1), alarm_at=now, made_at=now, made_by="cli:anna", alarm=f"{THIRD} is busy",
        closed_at=now, closed_by="cli:anna", result="withdrawn", why="Ilaria called us",
    )  # fmt: skip
    session.add(callback)
    session.flush()
    session.add(
        CallbackTicket(
            callback_id=callback.id, attempt_id=attempt.id, number=THIRD, started_at=now, updated_at=now,
            status="Answered", comment="Ilaria was in the Oleificio",
        )
    )  # fmt: skip
    shown = {"last_name": "Zanfranceschi", "more_numbers": [FORMER]}
    session.add(ImportChange(import_id=job_id, contact_id=contact.id, before=shown, after=shown))
    about = {"callback": callback.id, "contact": contact.id}
    ledger.record(session, at=now, kind="callback", who="cli:anna", campaign_id=of.id, why="Ilaria called us", **about)
    ledger.record(
        session, at=now, kind="disposition", who="cli:anna", campaign_id=of.id, attempt_id=attempt.id,
        why="Ilaria said so later",
    )  # fmt: skip
    session.commit()


def erase(session: Session, folder: Path, given: str = NUMBER) -> erasure.Erased:
    found = erasure.forget(session, given, country="IT", who="cli:anna", now=database_now(session))
    session.commit()
    try:
        return erasure.erase(
            session, found, data_dir=folder, who="cli:anna", why=f"letter about {NUMBER}", now=database_now(session)
        )
    finally:
        session.commit()


def test_a_person_is_erased_everywhere_and_never_called_again(
    session: Session, sessions: sessionmaker[Session], campaign: Campaign, tmp_path: Path
) -> None:
    job = bring(session, sessions, campaign, tmp_path)
    do_not_call.add(
        session,
        MOBILE,
        country="IT",
        reason="Ilaria asked for calls at home",
        who="cli:anna",
        now=database_now(session),
    )
    assert len(order(session, campaign)) == 2
    mine = session.scalars(select(Attempt).where(Attempt.number == NUMBER)).one()
    call_is_over(session, mine)
    word_of_agents(session, mine, job.id)
    before = {where for where, _ in traces(session, tmp_path)}
    found = {"contacts", "attempts", "logged_events", "ledger", "do_not_call", "callbacks", "callback_tickets"}
    assert found | {"import_changes"} <= before  # the search does find
    assert any(name.endswith(".rejected.csv") for name in before)

    done = erase(session, tmp_path)
    assert traces(session, tmp_path) == []
    assert (done.numbers, done.contacts, done.attempts, done.events, done.do_not_call) == (4, 1, 2, 2, 1)
    assert done.file_rows == 2
    session.expire_all()
    # What happened is still counted, and about nobody.
    assert session.get_one(Attempt, mine.id).state == CallState.ABANDONED
    assert session.get_one(Attempt, mine.id).number.startswith(forgotten.ERASED)
    assert session.get_one(Contact, mine.contact_id).closed_because == erasure.ERASED
    audit = session.scalars(select(Ledger).where(Ledger.kind == "person_erased")).one()
    assert (audit.who, audit.why, audit.details["contacts"]) == ("cli:anna", "letter about a number", 1)
    # The other person is as before.
    assert session.scalars(select(Contact.last_name).where(Contact.phone == OTHER)).one() == "Conti"

    session.execute(text("UPDATE attempts SET state = 'no_answer', ended_at = now() WHERE ended_at IS NULL"))
    session.execute(text("UPDATE contacts SET state = 'closed', next_at = NULL"))
    again = bring(session, sessions, campaign, tmp_path, force=True)
    assert (again.accepted, again.rejected, again.duplicates) == (0, 2, 2)
    # Of the rows with a number of theirs the new reject file repeats nothing; whose the fourth is, nobody can know.
    assert {trace for _, trace in traces(session, tmp_path)} <= {"Zanfranceschi", "Ilaria"}
    assert Path(str(again.reject_file)).read_text().count("Zanfranceschi") == 1
    assert order(session, campaign) == []
    assert session.scalars(select(Attempt.number).where(Attempt.ended_at.is_(None))).all() == []


def test_a_person_is_found_by_any_number_and_by_none_of_them_called(
    session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    first = factories.contact(session, campaign, phone=NUMBER, more_numbers=[THIRD], state="closed", next_at=None)
    erase(session, tmp_path, THIRD)
    session.expire_all()
    assert (first.closed_because, first.more_numbers) == (erasure.ERASED, None)
    factories.contact(session, campaign, phone=OTHER, more_numbers=[THIRD], next_number=THIRD, next_at=factories.NOW)
    session.commit()
    assert order(session, campaign) == []


def test_no_number_column_of_a_file_brings_a_forgotten_person_back(
    session: Session, sessions: sessionmaker[Session], campaign: Campaign, tmp_path: Path
) -> None:
    erase(session, tmp_path)
    source = tmp_path / "more.csv"
    source.write_text("phone,phone3,last_name\n06 98765432,06 1234 5678,Zanfranceschi\n06 98765499,,Conti\n")
    factories.contact(session, campaign, phone=OTHER, next_at=None, state="closed")
    for duplicates in ("skip", "update", "merge", "link"):
        job = submit_import(
            session, campaign=session.get_one(Campaign, campaign.id), source=source, file_name="more.csv",
            data_dir=tmp_path, options=ImportOptions(force=True, duplicates=duplicates), now=database_now(session),
        )  # fmt: skip
        session.commit()
        done = run_import(sessions, job.id, now=database_now(session), clock=ManualClock(factories.NOW))
        session.commit()
        assert (done.state, done.rejected, done.updated) == ("done", 1, 0)
        assert "Zanfranceschi" not in Path(str(done.reject_file)).read_text()
    assert session.scalars(select(Contact.id).where(Contact.last_name == "Zanfranceschi")).all() == []


def test_who_slips_in_by_another_way_is_stopped_by_the_gate(
    session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    erase(session, tmp_path)
    contact = factories.contact(session, campaign, phone=NUMBER, next_at=database_now(session))
    session.commit()
    assert order(session, campaign) == []
    session.expire_all()
    assert contact.closed_because == DO_NOT_CALL


def test_without_the_digest_they_would_be_called(session: Session, campaign: Campaign, tmp_path: Path) -> None:
    """The sabotage of the test above: it is the digest that holds them back."""
    erase(session, tmp_path)
    session.execute(text("DELETE FROM forgotten"))
    factories.contact(session, campaign, phone=NUMBER, next_at=database_now(session))
    session.commit()
    assert len(order(session, campaign)) == 1


def test_while_a_call_goes_on_nothing_is_erased_but_no_other_is_ordered(
    session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    contact = factories.contact(
        session, campaign, phone=NUMBER, last_name="Zanfranceschi", next_at=database_now(session)
    )
    session.commit()
    assert len(order(session, campaign)) == 1
    with pytest.raises(TryAgainLater, match="not over"):
        erase(session, tmp_path)
    session.expire_all()
    assert contact.last_name == "Zanfranceschi"
    assert session.scalars(select(Forgotten.digest)).all()


def test_a_call_ordered_and_not_yet_sent_does_not_ring_who_asked_to_be_forgotten(
    application: Application, session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    pbx = FakePbx()
    application.pbxes = {"main": pbx}
    factories.contact(session, campaign, phone=OTHER, phone2=NUMBER, next_at=database_now(session))
    session.commit()
    (ref,) = order(session, campaign)
    with pytest.raises(TryAgainLater, match="not over"):
        erase(session, tmp_path)
    session.commit()
    assert place(application, ref) == CallState.EXPIRED
    assert pbx.sent == []


def test_whoever_is_forgotten_while_a_gate_judges_them_waits_for_it_and_finds_its_order(
    session: Session, sessions: sessionmaker[Session], campaign: Campaign
) -> None:
    with sessions() as judging:
        gate.lock_numbers(judging, [NUMBER])  # a gate between its rules and its commit
        session.execute(text("SET LOCAL lock_timeout = '50ms'"))
        with pytest.raises(OperationalError, match="lock timeout"):
            erasure.forget(session, NUMBER, country="IT", who="cli:ada", now=database_now(session))


def test_an_erasure_and_a_gate_that_met_the_contact_first_do_not_wait_for_each_other_in_a_ring(
    session: Session, sessions: sessionmaker[Session], campaign: Campaign, tmp_path: Path
) -> None:
    contact = factories.contact(session, campaign, phone=NUMBER, state="closed")
    attempt = factories.attempt(session, campaign, contact=contact, number=NUMBER, state=CallState.BUSY, ended_at=NOW)
    session.commit()
    person = erasure.forget(session, NUMBER, country="IT", who="cli:ada", now=database_now(session))
    session.commit()

    def erased() -> int:
        with sessions.begin() as other:
            return erasure.erase(other, person, data_dir=tmp_path, who="cli:ada", why="letter", now=NOW).contacts

    with ThreadPoolExecutor(1) as pool, sessions() as judging:
        for model, one in ((Attempt, attempt.id), (Contact, contact.id)):
            judging.get_one(model, one, with_for_update=ROW_LOCK)
        done = pool.submit(erased)
        until_somebody_waits_for_a_lock(session)
        gate.lock_numbers(judging, [NUMBER])
        judging.rollback()
        assert done.result(timeout=60) == 1


def uploaded(folder: Path, campaign: Campaign, raw: bytes) -> Path:
    incoming = import_storing.Incoming(folder, "more.csv")
    incoming.write(raw)
    return uploads.keep(incoming, campaign, "more.csv", who="web:ada", now=NOW).path


@pytest.mark.parametrize(
    ("raw", "stays"),
    [
        ("phone;name\r\n(06) 1234-5678;x\r\n".encode("cp1252"), False),
        ("phone;name\n333\xa0123 45.67;x\n".encode(), False),
        ("phone\tname\r\n06 12345678\tx\r\n".encode("utf-16"), False),
        ("phone;name\r12;Ilaria ZANFRANCESCHI\r".encode("latin-1"), False),
        (b"phone\n" + b"0698765432\n" * 95_324 + b"06 12345678\n", False),  # across two blocks of the file
        (b"phone;name\n0698765432;Ilaria\n0255501111;Zanfranceschi\n", True),
        (b"phone\n0612345679\n", True),
    ],
)
def test_an_upload_that_waits_and_tells_of_the_person_is_thrown_away(
    session: Session, campaign: Campaign, tmp_path: Path, raw: bytes, stays: bool
) -> None:
    factories.contact(
        session, campaign, phone=NUMBER, phone2=MOBILE, first_name="Ilaria", last_name="Zanfranceschi", state="closed"
    )
    session.commit()
    path = uploaded(tmp_path, campaign, raw)
    erased = erase(session, tmp_path)
    assert (path.exists(), path.with_suffix(".json").exists(), erased.files) == (stays, stays, int(not stays))


def test_while_an_import_runs_it_is_said_again_later(session: Session, campaign: Campaign, tmp_path: Path) -> None:
    source = tmp_path / "later.csv"
    source.write_text(FILE)
    submit_import(
        session, campaign=campaign, source=source, file_name="later.csv", data_dir=tmp_path, now=database_now(session)
    )
    session.commit()
    with pytest.raises(TryAgainLater, match=r"import \d+ is not done"):
        erase(session, tmp_path)


def test_an_erasure_needs_a_reason(session: Session, campaign: Campaign, tmp_path: Path) -> None:
    found = erasure.forget(session, NUMBER, country="IT", who="x", now=factories.NOW)
    with pytest.raises(BadInput, match="reason"):
        erasure.erase(session, found, data_dir=tmp_path, who="x", why=" ", now=factories.NOW)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE ledger SET who = 'nobody'",
        "UPDATE ledger SET at = at - interval '1 day'",
        "UPDATE ledger SET kind = 'other'",
        "UPDATE ledger SET details = details - 'number'",
        "UPDATE ledger SET attempt_id = 7",
        "DELETE FROM ledger",
    ],
)
def test_even_an_erasure_may_not_change_a_fact_of_the_ledger(session: Session, change: str) -> None:
    row = "INSERT INTO ledger (at, kind, who, details) VALUES (now(), 'ordered', 'test', '{\"number\": \"+39\"}')"
    session.execute(text(row))
    session.execute(text("SET LOCAL dialer.forgetting = 'on'"))
    session.execute(text("UPDATE ledger SET details = jsonb_set(details, '{number}', '\"erased-1\"')"))
    with pytest.raises(DBAPIError, match="append-only"):
        session.execute(text(change))


def test_every_table_that_refers_to_a_contact_or_a_call_was_thought_of() -> None:
    """A new table must be dealt with in campaigns/erasure.py, and then named in SEEN_TO."""
    refers = {
        table.name
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in ("contacts", "attempts")
    }
    assert refers == erasure.SEEN_TO


def test_the_key_is_drawn_once_and_no_digest_can_be_made_without_it(session: Session, campaign: Campaign) -> None:
    key = forgotten.key_of(session)
    assert forgotten.key_of(session) == key
    assert len(key) == 32
    assert forgotten.digest(key, NUMBER) != forgotten.digest(b"another", NUMBER)


def test_a_person_is_shown_with_everything_that_is_known(
    session: Session, sessions: sessionmaker[Session], campaign: Campaign, tmp_path: Path
) -> None:
    job = bring(session, sessions, campaign, tmp_path)
    order(session, campaign)
    known = person.known(session, NUMBER, country="IT", who="cli:anna", now=factories.NOW)
    (contact,) = known.contacts
    assert (contact["last_name"], contact["custom"], contact["file"]) == (
        "Zanfranceschi",
        {"Colour": "blue"},
        "people.csv",
    )
    assert [call["number"] for call in known.calls] == [NUMBER]
    looked = session.scalars(select(Ledger).where(Ledger.kind == "person_shown")).one()
    word_of_agents(session, session.scalars(select(Attempt).where(Attempt.number == NUMBER)).one(), job.id)
    known = person.known(session, THIRD, country="IT", who="cli:anna", now=factories.NOW)
    assert [call["note"] for call in known.calls] == ["Ilaria likes olives", "not Ilaria"]
    assert [one["comments"] for one in known.callbacks] == [["Ilaria was in the Oleificio"]]
    assert NUMBER not in str(looked.details)
    assert person.known(session, OTHER, country="IT", who="x", now=factories.NOW).contacts[0]["last_name"] == "Conti"
    assert person.known(session, "+390699999999", country="IT", who="x", now=factories.NOW).nothing


def test_do_not_call_entries_of_others_stay(session: Session, campaign: Campaign, tmp_path: Path) -> None:
    session.add(DoNotCall(number=OTHER, source="test", added_at=factories.NOW - timedelta(days=1)))
    session.commit()
    erase(session, tmp_path)
    assert session.scalars(select(DoNotCall.number)).all() == [OTHER]
