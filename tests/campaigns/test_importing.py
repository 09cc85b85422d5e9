"""Files become contacts: what is taken, how, and what is told of the rest."""

import itertools
import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session

from campaigns import import_running, import_storing, importing, periods
from campaigns.db import session_factory
from campaigns.importing import ImportOptions
from campaigns.models import Campaign, Contact, ContactList, Import, Ledger
from dialer.clock import ManualClock
from dialer.errors import BadInput, DialerError, NotFound, TryAgainLater
from tests.campaigns.importing_kit import DATA, NOW, Importer, add_campaign, counts, left_in, rejects


@pytest.fixture
def importer(engine: Engine, session: Session, tmp_path: Path) -> Importer:
    campaign = add_campaign(session)
    session.commit()
    return Importer(engine, tmp_path, campaign.id)


def ledger_rows(engine: Engine) -> list[Ledger]:
    with Session(engine) as session:
        return list(session.scalars(select(Ledger).order_by(Ledger.id)))


def test_a_plain_list_becomes_contacts_due_at_once(importer: Importer) -> None:
    job = importer(
        "Telefono,Cellulare,Nome,Cognome,Azienda,Note,Codice cliente,Città\n"
        '06 1234 5678,342 1234567,Zoë,O\'Neill,"Rossi, SRL","two\nlines",007,Forlì\n'
        ",+39 342 1234568,Luca,,,,,\n"
    )
    assert counts(job) == (2, 2, 0, 0)
    assert job.reject_file is None
    first, second = importer.contacts(job)
    assert (first.phone, first.phone2, first.line, first.state) == ("+390612345678", "+393421234567", 2, "open")
    assert (first.first_name, first.last_name, first.company) == ("Zoë", "O'Neill", "Rossi, SRL")
    assert (first.description, first.custom) == ("two\nlines", {"Codice cliente": "007", "Città": "Forlì"})
    assert (first.next_at, first.due_date, first.period_id) == (NOW, None, None)
    assert (second.phone, second.phone2, second.line, second.custom) == ("+393421234568", None, 4, {})


def test_an_import_makes_a_list_and_tells_the_ledger(importer: Importer, engine: Engine) -> None:
    job = importer("phone\n0612345678\n12\n", file_name="C:\\lists\\spring 2026.csv")
    with Session(engine) as session:
        listed = session.get_one(ContactList, job.list_id)
        assert (listed.name, listed.kind, listed.created_at) == ("spring 2026", "contacts", NOW)
    row = ledger_rows(engine)[-1]
    assert (row.kind, row.who, row.campaign_id, row.at) == ("list_imported", "ada", importer.campaign_id, NOW)
    assert row.details["accepted"] == 1
    assert row.details["rejected"] == 1
    assert "0612345678" not in str(row.details)


def test_the_answer_of_the_command_line_has_its_fields(importer: Importer) -> None:
    job = importer("phone\n0612345678\n0612345678\n12\n")
    assert importing.result(job) == {
        "rows": 3,
        "accepted": 1,
        "rejected": 1,
        "duplicates": 1,
        "reject_file": str(importer.folder / "imports" / f"{job.id}.rejected.csv"),
        "remarks_file": None,
    }


@pytest.mark.parametrize(("rows", "dry", "told"), [(3, False, True), (2, False, False), (4, True, False)])
def test_the_server_is_told_of_many_new_contacts_at_once(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch, rows: int, dry: bool, told: bool
) -> None:
    monkeypatch.setattr(import_running, "STATISTICS_FROM", 3)
    before = contacts_by_the_planner(engine)
    importer("".join(["phone\n", *(f"061234567{n}\n" for n in range(rows))]), dry_run=dry)
    assert contacts_by_the_planner(engine) == (rows if told else before)


def contacts_by_the_planner(engine: Engine) -> float:
    """How many it believes there are; -1: the server has never looked."""
    with Session(engine) as session:
        return session.execute(text("SELECT reltuples FROM pg_class WHERE oid = 'contacts'::regclass")).scalar_one()


def test_an_import_is_done_though_the_server_cannot_look_at_it_now(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_running, "STATISTICS_FROM", 1)
    with engine.begin() as busy:
        busy.execute(text("LOCK TABLE contacts IN SHARE UPDATE EXCLUSIVE MODE"))  # as a VACUUM has it
        assert importer("phone\n0612345678\n").state == "done"


def test_the_kept_copy_goes_when_the_import_is_over(importer: Importer) -> None:
    job = importer.submit("phone\n0612345678\n")
    assert Path(job.stored_path).read_bytes() == b"phone\n0612345678\n"
    assert Path(job.stored_path).stat().st_mode & 0o077 == 0
    importer.run(job)
    assert left_in(importer.folder) == []


# --- formats ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "file",
    ["contacts_latin1.csv", "contacts_utf8_bom.csv", "contacts_utf16.csv"],
    ids=["latin-1", "utf-8-bom", "utf-16"],
)
def test_accents_survive_every_encoding(importer: Importer, engine: Engine, file: str) -> None:
    with Session(engine) as session, session.begin():
        french = add_campaign(session, "french", country="FR").id
    job = importer(DATA / file, campaign_id=french)
    assert counts(job) == (2, 2, 0, 0)
    told = [(one.phone, one.first_name, one.last_name, one.company, one.custom) for one in importer.contacts(job)]
    assert told == [
        ("+33612345678", "Zoé", "Lefèvre", 'Boulangerie "Le Pain"', {"Ville": "Besançon", "N° client": "007"}),
        ("+33142685300", "François", "Côté", "Éts Nuñez", {"Ville": "Orléans", "N° client": "008"}),
    ]


def test_windows_1252_and_lines_that_end_in_cr_alone(importer: Importer) -> None:
    job = importer(DATA / "contacts_cp1252.csv")
    told = [(one.last_name, one.description, one.line) for one in importer.contacts(job)]
    assert told == [("O’Brien", "“50 €”", 2), ("Žižka", "…", 3)]


def test_any_delimiter_and_line_ending_is_found_out(importer: Importer) -> None:
    for series, (delimiter, end) in enumerate(itertools.product(",;|\t", ["\n", "\r\n", "\r"])):
        rows = [
            ["phone", "first_name", "notes"],
            [f"06123456{series:02d}", "Ada", '"a, b; c | d"'],
            [f"06123457{series:02d}", "Bea", ""],
        ]
        job = importer(end.join(delimiter.join(row) for row in rows))
        assert counts(job) == (2, 2, 0, 0), (delimiter, end)
        assert [one.description for one in importer.contacts(job)] == ["a, b; c | d", ""]


def test_a_delimiter_nobody_guesses_can_be_given(importer: Importer) -> None:
    job = importer("phone:first_name\n0612345678:Ada\n", delimiter=":")
    assert importer.contacts(job)[0].first_name == "Ada"
    assert "'ab' cannot be a delimiter" in importer.failed("phone\n0612345678\n", delimiter="ab")


def test_the_encoding_can_be_given(importer: Importer) -> None:
    job = importer("phone,name\n0612345678,Zoë\n".encode("latin-1"), encoding="iso-8859-1")
    assert importer.contacts(job)[0].last_name == "Zoë"
    assert "use utf-8, latin-1" in importer.failed("phone\n0612345678\n", encoding="klingon")
    assert "use utf-8, latin-1" in importer.failed("phone\n0612345678\n", encoding="base64")


def test_what_spreadsheets_do_to_numbers_is_refused_row_by_row(importer: Importer) -> None:
    job = importer(DATA / "spreadsheet_ruins.csv")
    assert counts(job) == (8, 2, 6, 0)
    assert [one.phone for one in importer.contacts(job)] == ["+390612345679", "+390612345680"]
    told = [(row["line"], row["column"], row["value"], row["reason"], row["remedy"]) for row in rejects(job)]
    text_column = "format the column as text in the spreadsheet and export again"
    assert told[0] == ("3", "phone", "3.93E+11", "a spreadsheet turned the number into an exponent", text_column)
    assert [reason for _, _, _, reason, _ in told[1:]] == [
        "a spreadsheet turned the number into an exponent",
        "it looks like a lost leading zero",
        "it looks like a lost leading zero",
        "a spreadsheet turned the number into a decimal",
        "the cell is a spreadsheet formula",
    ]


def test_columns_are_found_in_any_spelling_and_order(importer: Importer) -> None:
    job = importer("COMPANY;  Last Name ;first-name;Mobile_Phone-Number\nAcme;Doe;Jo;3421234567\n")
    (contact,) = importer.contacts(job)
    assert (contact.phone, contact.first_name, contact.last_name, contact.company) == (
        "+393421234567",
        "Jo",
        "Doe",
        "Acme",
    )


def test_one_column_with_the_whole_name_is_the_last_name(importer: Importer) -> None:
    assert importer.contacts(importer("phone,name\n0612345678,Ada Rossi\n"))[0].last_name == "Ada Rossi"
    both = importer("phone,name,surname\n0612345679,Ada,Rossi\n")
    assert (importer.contacts(both)[0].last_name, importer.contacts(both)[0].custom) == ("Rossi", {"name": "Ada"})


def test_a_mapping_says_what_headers_do_not(importer: Importer) -> None:
    job = importer(
        "Tel privato,Memo,Segreto\n0612345678,hello,x\n",
        mapping={"Tel privato": "phone", "Memo": "description", "Segreto": "ignore"},
    )
    (contact,) = importer.contacts(job)
    assert (contact.phone, contact.description, contact.custom) == ("+390612345678", "hello", {})


def test_short_rows_blank_lines_and_empty_ends_are_no_trouble(importer: Importer) -> None:
    job = importer("phone,first_name,notes,,\n0612345678\n\n , ,,,\n,,\n0612345679,Ada,x,,\n\n")
    assert counts(job) == (2, 2, 0, 0)  # a line without a letter is no row
    assert [(one.line, one.first_name) for one in importer.contacts(job)] == [(2, ""), (6, "Ada")]


def test_formulas_stay_text_and_control_characters_go(importer: Importer) -> None:
    job = importer('phone,first_name,notes,x\n0612345678,=1+1,"\'=2+2",a\\b\x1b[31m\u202ec\n')
    (contact,) = importer.contacts(job)
    assert (contact.first_name, contact.description, contact.custom) == ("=1+1", "=2+2", {"x": "a\\b [31mc"})


def test_text_that_copy_or_json_would_read_as_something_else_arrives_as_it_is(importer: Importer) -> None:
    nasty = ["\\N", "\\.", "a\\tb", '{"a": 1}', "\\\\", "%s", "'; DROP TABLE contacts;--"]
    rows = "".join(
        f'061234567{n},"{cell.replace(chr(34), chr(34) * 2)}","{cell.replace(chr(34), chr(34) * 2)}"\n'
        for n, cell in enumerate(nasty)
    )
    job = importer(f"phone,first_name,odd\n{rows}")
    assert [(one.first_name, one.custom) for one in importer.contacts(job)] == [(cell, {"odd": cell}) for cell in nasty]


# --- repeats ----------------------------------------------------------------------------------------------------------


def test_repeats_are_counted_apart_and_told_with_the_line_of_the_first(importer: Importer) -> None:
    job = importer("phone,first_name\n06 1234 5678,Ada\n0612345679,Bea\n+390612345678,Ada again\nabc,Carla\n")
    assert counts(job) == (4, 2, 1, 1)
    assert [(row["line"], row["column"], row["reason"][:19]) for row in rejects(job)] == [
        ("4", "phone", "duplicate of line 2"),
        ("5", "phone", "there are letters i"),
    ]


def test_numbers_the_campaign_has_are_duplicates_also_when_they_were_called(importer: Importer, engine: Engine) -> None:
    importer("phone\n0612345678\n0612345679\n", file_name="first.csv")
    with engine.begin() as connection:
        connection.execute(text("UPDATE contacts SET state = 'closed' WHERE line = 2"))
    job = importer("phone\n0612345678\n0612345679\n0612345670\n")
    assert counts(job) == (3, 1, 0, 2)
    assert "(list 'first')" in rejects(job)[0]["reason"]


def test_another_campaign_may_have_the_same_number(importer: Importer, engine: Engine) -> None:
    importer("phone\n0612345678\n")
    with Session(engine) as session, session.begin():
        other = add_campaign(session, "other").id
    assert counts(importer("phone\n0612345678\n", campaign_id=other)) == (1, 1, 0, 0)


def test_the_rejects_of_many_batches_are_in_the_order_of_their_lines(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_running, "BATCH_ROWS", 10)
    importer("phone\n" + "".join(f"06123456{n:02d}\n" for n in range(0, 100, 3)))
    job = importer("phone\n" + "".join(f"06123456{n:02d}\n" if n % 2 else "bad\n" for n in range(100)))
    assert counts(job) == (100, 33, 50, 17)
    lines = [int(row["line"]) for row in rejects(job)]
    assert lines == sorted(lines)
    assert len(lines) == 67


# --- the reject file --------------------------------------------------------------------------------------------------


def test_a_reject_file_has_the_original_columns_and_five_of_ours(importer: Importer) -> None:
    job = importer('Nome;Telefono;Note\nZoë;12;"a;b"\n')
    assert rejects(job) == [
        {
            "Nome": "Zoë",
            "Telefono": "12",
            "Note": "a;b",
            "line": "2",
            "column": "Telefono",
            "value": "12",
            "reason": "it has too few digits for a number of IT",
            "remedy": "write it with its area code",
        }
    ]


def test_all_problems_of_a_row_are_told_at_once(importer: Importer) -> None:
    (row,) = rejects(importer("phone,mobile\nabc,12\n"))
    assert (row["column"], row["value"]) == ("phone", "abc")
    assert row["reason"] == "there are letters in the number (also mobile: it has too few digits for a number of IT)"


def test_one_bad_number_is_not_dropped_in_silence_when_the_other_is_good(importer: Importer) -> None:
    job = importer("phone,mobile\n12,3421234567\n")
    assert counts(job) == (1, 0, 1, 0)
    assert "empty the cell: the row's other number is good" in rejects(job)[0]["remedy"]


def test_nothing_in_a_reject_file_is_run_by_a_spreadsheet_or_obeyed_by_a_terminal(importer: Importer) -> None:
    job = importer('phone,first_name,notes\n"=cmd|calc",@SUM(A1),-1+1\n+,\tx\x1b[2J,\x00\n')
    assert job.reject_file is not None
    raw = Path(job.reject_file).read_text("utf-8")
    assert "\x1b" not in raw
    assert "\x00" not in raw
    for row in rejects(job):
        for cell in row.values():
            assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell


def test_a_mended_reject_file_can_be_imported_as_it_is(importer: Importer) -> None:
    job = importer("phone,first_name,city\n+39 06 12,=Ada,Roma\n0612345678,Bea,Milano\n")
    assert job.reject_file is not None
    mended = Path(job.reject_file).read_text("utf-8").replace("'+39 06 12,", "'+39 06 1234 5679,", 1)
    again = importer(mended)
    assert counts(again) == (1, 1, 0, 0)
    (contact,) = importer.contacts(again)
    assert (contact.phone, contact.first_name, contact.custom) == ("+390612345679", "=Ada", {"city": "Roma"})


def test_a_dry_run_judges_everything_and_writes_no_contact(importer: Importer, engine: Engine) -> None:
    content = "phone\n0612345678\n12\n0612345678\n"
    job = importer(content, dry_run=True)
    assert counts(job) == (3, 1, 1, 1)
    assert (job.list_id, importer.contacts(), len(rejects(job))) == (None, [], 2)
    assert ledger_rows(engine) == []
    assert counts(importer(content)) == (3, 1, 1, 1)  # and is not "the same file again"


# --- callbacks --------------------------------------------------------------------------------------------------------


@pytest.fixture
def with_periods(engine: Engine, importer: Importer) -> Importer:
    with Session(engine) as session, session.begin():
        for name, starts, ends, default in (("Morning", "9:00", "12:00", True), ("Afternoon", "14:00", "17:00", False)):
            periods.define(session, importer.campaign_id, name, starts, ends, default=default, who="ada", now=NOW)
    return importer


def due(contact: Contact) -> tuple[Any, ...]:
    assert contact.due_date is not None
    assert contact.next_at is not None
    return contact.due_date.isoformat(), contact.next_at.astimezone(UTC).isoformat()


def test_a_callback_list_as_its_maker_documents_it(with_periods: Importer, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.get_one(Campaign, with_periods.campaign_id).country = "FR"
    job = with_periods(DATA / "xivo_callbacks.csv", kind="callbacks")
    assert counts(job) == (2, 2, 0, 0)
    john, alice = with_periods.contacts(job)
    assert (john.phone, john.phone2, john.first_name, john.last_name) == (
        "+33230210092",
        "+33689746321",
        "John",
        "Doe",
    )
    assert (john.company, john.description, john.custom) == ("MyCompany", "Call back quickly", {})
    assert (alice.phone, alice.last_name, alice.description) == ("+33587963214", "O'Neill", "")
    with Session(engine) as session:
        named = {one.name: one.id for one in periods.all_of(session, with_periods.campaign_id)}
    assert (john.period_id, alice.period_id) == (named["Morning"], named["Afternoon"])
    assert due(john) == ("2026-03-03", "2026-03-03T08:00:00+00:00")  # tomorrow, nine in Paris
    assert due(alice) == ("2026-08-01", "2026-08-01T12:00:00+00:00")  # two in the afternoon, in summer


def test_the_columns_of_a_callback_list_may_come_in_any_order_and_delimiter(with_periods: Importer) -> None:
    job = with_periods(
        "period;dueDate;mobilePhoneNumber\nAFTERNOON;2026-03-29;3421234567\n;;3421234568\n", kind="callbacks"
    )
    assert [due(one)[0] for one in with_periods.contacts(job)] == ["2026-03-29", "2026-03-03"]


def test_callbacks_without_any_period_wait_for_the_calling_hours(importer: Importer, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        session.get_one(Campaign, importer.campaign_id).hours = "09:30-20:00"
    job = importer("phoneNumber\n0612345678\n", kind="callbacks")
    (contact,) = importer.contacts(job)
    assert (due(contact), contact.period_id) == (("2026-03-03", "2026-03-03T08:30:00+00:00"), None)


@pytest.mark.parametrize(
    ("day", "period", "column", "reason", "remedy"),
    [
        ("2026-03-01", "", "dueDate", "the due date 2026-03-01 is in the past", "give a date from 2026-03-02 on"),
        ("2016-08-01", "Morning", "dueDate", "the due date 2016-08-01 is in the past", "empty means tomorrow"),
        ("01/08/2026", "", "dueDate", "the due date is not an ISO date", "for example 2026-03-03"),
        ("20260801", "", "dueDate", "the due date is not an ISO date", "YYYY-MM-DD"),
        ("2026-02-30", "", "dueDate", "there is no such day", "YYYY-MM-DD"),
        ("9999-12-31", "", "dueDate", "the due date is more than two years ahead", "YYYY-MM-DD"),
        ("", "Noon", "period", "there is no period 'Noon' in this campaign (there are: Morning, Afternoon)", "define"),
    ],
)
def test_a_callback_that_cannot_be_kept_is_refused(
    with_periods: Importer, day: str, period: str, column: str, reason: str, remedy: str
) -> None:
    job = with_periods(f"phoneNumber|dueDate|period\n0612345678|{day}|{period}\n", kind="callbacks")
    assert counts(job) == (1, 0, 1, 0)
    (row,) = rejects(job)
    assert (row["column"], row["reason"]) == (column, reason)
    assert remedy in row["remedy"]


def test_a_callback_for_a_period_of_today_that_is_over_is_refused(with_periods: Importer) -> None:
    with_periods.now = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)  # one in the afternoon in Rome
    job = with_periods(
        "phoneNumber|dueDate|period\n0612345678|2026-03-02|Morning\n0612345679|2026-03-02|Afternoon\n",
        kind="callbacks",
    )
    assert counts(job) == (2, 1, 1, 0)
    assert rejects(job)[0]["reason"] == "the period Morning of today was over at 12:00"
    assert rejects(job)[0]["remedy"] == "give a later period, or a date from 2026-03-03 on; empty means tomorrow"


def test_tomorrow_is_tomorrow_where_the_campaign_is(with_periods: Importer) -> None:
    with_periods.now = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    job = with_periods("phoneNumber\n0612345678\n", kind="callbacks")
    assert with_periods.contacts(job)[0].due_date == date(2026, 3, 4)


def test_a_callback_is_no_duplicate_of_a_contact_but_of_an_open_callback(
    with_periods: Importer, engine: Engine
) -> None:
    with_periods("phone\n0612345678\n")
    first = with_periods("phoneNumber\n0612345678\n", kind="callbacks")
    assert counts(first) == (1, 1, 0, 0)
    assert counts(with_periods("phoneNumber|x\n0612345678|\n", kind="callbacks")) == (1, 0, 0, 1)
    with engine.begin() as connection:
        connection.execute(text("UPDATE contacts SET state = 'closed' WHERE list_id = :l"), {"l": first.list_id})
    assert counts(with_periods("phoneNumber|y\n0612345678|\n", kind="callbacks")) == (1, 1, 0, 0)


def test_a_country_of_many_zones_is_noted(importer: Importer, engine: Engine) -> None:
    with Session(engine) as session, session.begin():
        american = add_campaign(session, "us", country="US").id
    job = importer("phoneNumber\n2125550123\n", kind="callbacks", campaign_id=american)
    assert "US has several time zones" in job.options["note"]


# --- the job ----------------------------------------------------------------------------------------------------------


def test_the_same_file_is_not_imported_twice_unless_forced_or_undone(importer: Importer, engine: Engine) -> None:
    content = "phone\n0612345678\n"
    job = importer(content, file_name="spring.csv")
    with pytest.raises(BadInput, match=r"the same file was imported as spring.csv on 2026-03-02 09:00 UTC \(import"):
        importer.submit(content)
    assert left_in(importer.folder) == []
    assert counts(importer(content, force=True)) == (1, 0, 0, 1)
    with Session(engine) as session, session.begin():
        importing.undo_import(session, job.id, NOW, "ada")
    assert counts(importer(content)) == (1, 1, 0, 0)


def test_a_file_that_waits_is_not_taken_again_but_one_that_brought_nothing_is(importer: Importer) -> None:
    assert counts(importer("phone\nabc\n")) == (1, 0, 1, 0)
    assert counts(importer("phone\nabc\n")) == (1, 0, 1, 0)
    importer.failed("nothing,here\n1,2\n")
    importer.failed("nothing,here\n1,2\n")
    importer.submit("phone\n0612345678\n")
    with pytest.raises(BadInput, match="already"):
        importer.submit("phone\n0612345678\n")


def test_an_import_that_is_over_is_not_run_again(importer: Importer) -> None:
    job = importer("phone\n0612345678\n")
    assert counts(importer.run(job)) == (1, 1, 0, 0)
    assert len(importer.contacts()) == 1


def test_running_an_import_that_is_not_there_says_so(importer: Importer) -> None:
    with pytest.raises(NotFound, match="no import 4711"):
        importing.run_import(session_factory(importer.engine), 4711, now=NOW)


def test_an_archived_campaign_takes_no_lists(importer: Importer, engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE campaigns SET state = 'archived'"))
    with pytest.raises(BadInput, match="archived"):
        importer.submit("phone\n0612345678\n")


class _Died(Exception):
    """The worker is gone."""


def _die_after(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = import_running.Judge.judge

    def judge_or_die(self: Any, record: Any) -> Any:
        if record.line > rows:
            raise _Died
        return judge(self, record)

    monkeypatch.setattr(import_running.Judge, "judge", judge_or_die)


def test_a_dead_workers_import_is_taken_up_from_the_start_and_nothing_is_doubled(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_running, "BATCH_ROWS", 10)
    job = importer.submit("phone\nbad\n" + "".join(f"06123456{n:02d}\n" for n in range(50)))
    with monkeypatch.context() as patched:
        _die_after(30, patched)
        with pytest.raises(_Died):
            importer.run(job)
    assert importer.contacts() == []
    with Session(engine) as session:
        assert session.get_one(Import, job.id).state == "running"
        assert importing.waiting_imports(session, NOW + timedelta(seconds=30)) == []
        assert importing.waiting_imports(session, NOW + timedelta(seconds=31)) == [job.id]
    with pytest.raises(TryAgainLater, match="taken up by another worker a moment ago"):
        importer.run(job)
    importer.now = NOW + timedelta(seconds=31)
    done = importer.run(job)
    assert counts(done) == (51, 50, 1, 0)
    assert len(importer.contacts()) == 50
    assert len(rejects(done)) == 1
    assert left_in(importer.folder) == []


def test_a_file_that_ends_every_worker_is_given_up_with_the_reason(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = importer.submit("phone\n0612345678\n")
    _die_after(0, monkeypatch)
    for _ in range(import_running.TRIES):
        with pytest.raises(_Died):
            importer.run(job)
        importer.now += timedelta(minutes=1)
    given_up = importer.run(job)
    assert given_up.state == "failed"
    assert "begun 3 times and its worker died each time" in (given_up.error or "")
    with Session(engine) as session:
        assert importing.waiting_imports(session, NOW + timedelta(days=1)) == []


def test_two_workers_never_run_one_import_or_two_of_one_campaign(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = importer.submit("phone\n0612345678\n")
    second = importer.submit("phone\n0612345679\n")
    inside, go_on = threading.Event(), threading.Event()
    judge = import_running.Judge.judge

    def slow(self: Any, record: Any) -> Any:
        inside.set()
        assert go_on.wait(30)
        return judge(self, record)

    monkeypatch.setattr(import_running.Judge, "judge", slow)
    worker = threading.Thread(target=importer.run, args=(first,))
    worker.start()
    try:
        assert inside.wait(30)
        late = Importer(importer.engine, importer.folder, importer.campaign_id, NOW + timedelta(minutes=5))
        for job in (first, second):
            # The first has a silent heart, but its transaction lives: a frozen worker is not a dead one.
            with pytest.raises(TryAgainLater, match="another import of this campaign is running"):
                late.run(job)
    finally:
        go_on.set()
        worker.join(30)
    assert counts(importer.run(first)) == (1, 1, 0, 0)
    assert counts(importer.run(second)) == (1, 1, 0, 0)


def test_progress_is_seen_from_outside_while_the_rows_are_not(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_running, "BATCH_ROWS", 10)
    clock, seen = ManualClock(NOW), []
    flush = import_running._Run._flush

    def flush_and_look(*arguments: Any) -> None:
        flush(*arguments)
        clock.advance(0.7)
        with Session(engine) as session:
            row = session.scalars(select(Import)).one()
            seen.append((row.state, row.rows, row.bytes_done > 0, row.heartbeat_at))
        assert importer.contacts() == []

    monkeypatch.setattr(import_running._Run, "_flush", flush_and_look)
    job = importer.submit("phone\n" + "".join(f"06123456{n:02d}\n" for n in range(40)))
    done = importing.run_import(session_factory(engine), job.id, now=NOW, clock=clock)
    assert [row[:3] for row in seen] == [
        ("running", 0, False),
        ("running", 0, False),
        ("running", 20, True),
        ("running", 20, True),
        ("running", 40, True),
    ]
    assert seen[2][3] == NOW + timedelta(seconds=1.4)
    assert (done.bytes_done, done.finished_at) == (done.bytes_total, NOW + timedelta(seconds=3.5))


def test_an_import_that_is_taken_back_while_it_runs_leaves_nothing(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = importer.submit("phone\nbad\n0612345678\n")
    rows = import_running._Run.rows

    def rows_then_undo(*arguments: Any) -> Any:
        found = rows(*arguments)
        with Session(engine) as session, session.begin():
            importing.undo_import(session, job.id, NOW, "ada", "wrong file")
        return found

    monkeypatch.setattr(import_running._Run, "rows", rows_then_undo)
    assert importer.run(job).state == "undone"
    assert importer.contacts() == []
    assert list((importer.folder / "imports").iterdir()) == []


def test_an_import_that_waits_can_be_taken_back(importer: Importer, engine: Engine) -> None:
    job = importer.submit("phone\n0612345678\n")
    with Session(engine) as session, session.begin():
        assert importing.undo_import(session, job.id, NOW, "ada") == importing.Undone(0, 0)
    assert importer.run(job).state == "undone"
    assert (importer.contacts(), left_in(importer.folder)) == ([], [])


def _attempt(engine: Engine, contact: Contact) -> None:
    with engine.begin() as connection:
        connection.execute(
            text("""
                INSERT INTO attempts (campaign_id, contact_id, number, gateway, caller_id, attempt_no, fence, proof,
                    answer_limit, rule_pack, pbx, ref, state, ordered_at, not_after, ended_at)
                VALUES (:campaign, :contact, :phone, '4', 'x', 1, 1, '{}', 2, 'p', 'main', :ref, 'busy',
                    :now, :now, :now)
            """),
            {
                "campaign": contact.campaign_id,
                "contact": contact.id,
                "phone": contact.phone,
                "ref": f"a{contact.id}",
                "now": NOW,
            },
        )


def test_undo_removes_the_untried_and_closes_the_others_for_good(importer: Importer, engine: Engine) -> None:
    job = importer("phone\n0612345671\n0612345672\n0612345673\n0612345674\n")
    kept = importer("phone\n0612345675\n")
    tried, live, finished, _ = importer.contacts(job)
    for contact in (tried, live, finished):
        _attempt(engine, contact)
    with engine.begin() as connection:
        connection.execute(text("UPDATE contacts SET state = 'live' WHERE id = :i"), {"i": live.id})
        connection.execute(
            text("UPDATE contacts SET state = 'closed', closed_because = 'sold' WHERE id = :i"), {"i": finished.id}
        )
    with Session(engine) as session, session.begin():
        undone = importing.undo_import(session, job.id, NOW, "ada", "wrong list")
    assert undone == importing.Undone(removed=1, closed=2)
    left = {one.line: (one.state, one.next_at, one.closed_because) for one in importer.contacts(job)}
    assert left == {
        2: ("closed", None, "import undone"),
        3: ("closed", None, "import undone"),
        4: ("closed", NOW, "sold"),
    }
    assert importer.contacts(kept)[0].state == "open"
    with Session(engine) as session:
        assert session.get_one(ContactList, job.list_id).undone_at == NOW
        assert session.get_one(Import, job.id).state == "undone"
    row = ledger_rows(engine)[-1]
    assert (row.kind, row.who, row.why, row.details["removed"]) == ("import_undone", "ada", "wrong list", 1)
    assert counts(importer("phone\n0612345671\n0612345672\n")) == (2, 2, 0, 0)  # what was taken back may come again


def test_there_is_nothing_to_undo_twice_or_of_a_failure(importer: Importer, engine: Engine) -> None:
    job = importer("phone\n0612345671\n")
    failed = importer("nothing\nx\n")
    dry = importer("phone\n0612345672\n", dry_run=True)

    def undo(import_id: int) -> None:
        with Session(engine) as session, session.begin():
            importing.undo_import(session, import_id, NOW, "ada")

    undo(job.id)
    for import_id, told in ((job.id, "taken back already"), (failed.id, "imported nothing"), (dry.id, "no contacts")):
        with pytest.raises(BadInput, match=told):
            undo(import_id)
    with pytest.raises(NotFound, match="no import 4711"):
        undo(4711)


def test_a_database_that_fails_at_the_end_leaves_the_import_to_be_taken_up(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = importer.submit("phone\n0612345678\n")

    def fail(*arguments: Any, **named: Any) -> None:
        raise ConnectionError("the server went away")

    with monkeypatch.context() as patched:
        patched.setattr(import_running.ledger, "record", fail)
        with pytest.raises(ConnectionError):
            importer.run(job)
    assert importer.contacts() == []
    importer.now += timedelta(minutes=1)
    assert counts(importer.run(job)) == (1, 1, 0, 0)


def test_a_copy_error_of_the_server_comes_out_and_nothing_is_written(
    importer: Importer, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    monkeypatch.setattr("campaigns.import_copying.copy_lines", lambda *_, **__: ["nonsense\n"])
    job = importer.submit("phone\n0612345678\n")
    with pytest.raises(psycopg.Error):
        importer.run(job)
    assert importer.contacts() == []


def test_options_survive_their_row_and_a_newer_version() -> None:
    options = ImportOptions(delimiter=";", mapping={"a": "phone"}, dry_run=True, list_name="x")
    assert ImportOptions.from_json(options.as_json() | {"who": "ada", "tries": 2, "new": 1}) == options


def test_stray_copies_go_after_a_day_and_reject_files_stay(importer: Importer, engine: Engine) -> None:
    waits = importer.submit("phone\n0612345678\n")
    job = importer("phone\nbad\n")
    folder = importer.folder / "imports"
    (folder / "stray.csv").write_text("phone\n")
    with Session(engine) as session:
        late = datetime.now(UTC) + timedelta(hours=25)
        assert importing.forget_strays(session, importer.folder, datetime.now(UTC)) == 0
        assert importing.forget_strays(session, importer.folder, late) == 1
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [Path(waits.stored_path).name, f"{job.id}.rejected.csv"]
    )


def test_a_kept_copy_that_is_on_another_host_is_said(importer: Importer) -> None:
    job = importer.submit("phone\n0612345678\n")
    Path(job.stored_path).unlink()
    error = importer.run(job).error or ""
    assert "web and workers must share one data folder" in error


def test_a_full_disk_at_submission_is_our_sentence_and_leaves_nothing(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_storing.os, "fsync", full)
    with pytest.raises(DialerError, match=r"No space left on device\. Make room in the data folder"):
        importer.submit("phone\n0612345678\n")
    assert left_in(importer.folder) == []


def test_a_full_disk_for_the_reject_file_fails_the_import_whole(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    job = importer.submit("phone\n0612345678\nbad\n")
    monkeypatch.setattr("campaigns.import_rejects.os.fsync", full)
    done = importer.run(job)
    assert (done.state, importer.contacts()) == ("failed", [])
    assert "the reject file" in (done.error or "")
    assert list((importer.folder / "imports").iterdir()) == []
