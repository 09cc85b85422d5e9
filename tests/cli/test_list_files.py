"""`dialer list preview`, `diff`, `export` and `template`: what a manager sees of a file before and after."""

import csv
import io
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns.models import Campaign, Contact, Import, Ledger
from dialer.calls import CallState
from tests import factories
from tests.cli.conftest import Dialer

LIST = (
    "Telefono,Cell aziendale,Nome,Azienda,Città\n"
    "06 1234 5600,342 1234500,Ada,\"=cmd|'/C calc'!A0\",Forlì\n"
    "06 1234 5601,342 1234501,Bea,,Roma\n"
    "3.93E+11,342 1234502,Carl,,Roma\n"
    "06 1234 5601,,Dora,,\n"
)


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", state="draft")
    session.commit()
    return made


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "list.csv"
    path.write_text(LIST)
    return path


def count(session: Session, table: type) -> int:
    return session.scalar(select(func.count()).select_from(table)) or 0


# Preview ----------------------------------------------------------------------------------------------------


def test_a_preview_tells_columns_first_rows_reasons_and_repeats_and_writes_nothing(
    dialer: Dialer, session: Session, campaign: Campaign, file: Path, tmp_path: Path
) -> None:
    told = dialer.json("list", "preview", "spring", str(file), code=3)
    assert (told["rows"], told["accepted"], told["rejected"], told["duplicates"]) == (4, 2, 1, 1)
    assert (told["encoding"], told["delimiter"], told["header_line"], told["whole"]) == ("utf-8", ",", 1, True)
    columns = {one["name"]: one for one in told["columns"]}
    assert [one["becomes"] for one in told["columns"]] == ["phone", "custom", "first_name", "company", "custom"]
    assert 0.8 < columns["Telefono"]["confidence"] < 0.95  # three of four cells are numbers
    assert "--mapping 'Cell aziendale=phone'" in columns["Cell aziendale"]["why"]
    assert (columns["Nome"]["confidence"], columns["Nome"]["samples"]) == (1.0, ["Ada", "Bea", "Carl"])
    assert told["first"][0]["numbers"] == ["+390612345600 (phone)"]
    assert {one["reason"].split(":")[0] for one in told["reasons"]} >= {"duplicate of line 3"}
    assert (count(session, Import), count(session, Contact)) == (0, 0)
    assert not (tmp_path / "imports").exists() or not list((tmp_path / "imports").iterdir())


def test_a_preview_says_the_same_as_the_dry_run_with_contacts_there(
    dialer: Dialer, campaign: Campaign, file: Path, tmp_path: Path
) -> None:
    dialer("list", "import", "spring", str(file))
    more = tmp_path / "more.csv"
    more.write_text("phone,mobile\n0612345699,3421234599\n0612345698,0612345600\nx,\n")
    keys = ("rows", "accepted", "rejected", "duplicates")
    preview = dialer.json("list", "preview", "spring", str(more), code=3)
    dry = dialer.json("list", "import", "spring", str(more), "--dry-run", code=3)
    assert {key: preview[key] for key in keys} == {key: dry[key] for key in keys}
    assert preview["duplicates"] == 1


def test_a_preview_of_a_file_with_no_number_says_why_and_what_looks_like_one(
    dialer: Dialer, campaign: Campaign, tmp_path: Path
) -> None:
    path = tmp_path / "crm.csv"
    path.write_text("Contatto A,Nmae\n06 1234 5600,Ada\n06 1234 5601,Bea\n")
    result = dialer("list", "preview", "spring", str(path))
    assert result.exit_code == 2
    assert "no column holds the number" in result.stderr
    assert "--mapping 'Contatto A=phone'" in " ".join(result.stdout.split())


def test_a_preview_shows_people_the_tables(dialer: Dialer, campaign: Campaign, file: Path) -> None:
    told = dialer("list", "preview", "spring", str(file), "--rows", "1").stdout
    for expected in ("comma between columns", "First contacts, as read", "+390612345600 (phone)", "2 would be taken"):
        assert expected in told


def test_a_preview_says_of_a_whole_name_what_the_import_makes_of_it(
    dialer: Dialer, session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    path = tmp_path / "names.csv"
    path.write_text("phone,name\n0612345600,Ada Rossi\n")
    made = dialer.json("list", "preview", "spring", str(path))
    assert [one["becomes"] for one in made["columns"]] == ["phone", "last_name"]
    assert made["first"][0]["last_name"] == "Ada Rossi"
    said = dialer.json("list", "preview", "spring", str(path), "--mapping", "name=custom")
    assert [one["becomes"] for one in said["columns"]] == ["phone", "custom"]
    assert said["first"][0]["custom"] == '{"name": "Ada Rossi"}'  # somebody said so, and is taken at their word


def test_a_file_with_a_header_alone_says_that_nobody_is_in_it(
    dialer: Dialer, campaign: Campaign, tmp_path: Path
) -> None:
    path = tmp_path / "header.csv"
    path.write_text("phone,name\n")
    for command in ("preview", "import"):
        assert "column names and no rows" in dialer("list", command, "spring", str(path)).stderr


def test_an_example_without_a_value_names_its_line_alone(dialer: Dialer, campaign: Campaign, tmp_path: Path) -> None:
    path = tmp_path / "quotes.csv"
    path.write_text('phone,name\n0612345600,"A"d"a"\n0612345601,Bea\n')
    told = dialer("list", "preview", "spring", str(path)).stdout
    assert "line 2" in told
    assert "line 2:" not in told


# Diff -------------------------------------------------------------------------------------------------------


def test_a_diff_tells_added_gone_and_changed_by_column(
    dialer: Dialer, session: Session, campaign: Campaign, file: Path, tmp_path: Path
) -> None:
    dialer("list", "import", "spring", str(file))
    newer = tmp_path / "newer.csv"
    newer.write_text(
        "Telefono,Cell aziendale,Nome,Azienda,Città\n"
        "0612345601,342 1234501,Beatrice,,Milano\n0612345602,,Eva,,\nbad,,,,\n0612345602,,,,\n"
    )
    out = tmp_path / "changes.csv"
    told = dialer.json("list", "diff", "spring", str(newer), "--out", str(out))
    assert {key: told[key] for key in ("rows", "added", "gone", "changed", "same", "rejected", "repeated")} == {
        "rows": 4, "added": 1, "gone": 1, "changed": 1, "same": 0, "rejected": 1, "repeated": 1,
    }  # fmt: skip
    assert told["columns"] == {"first_name": 1, "Città": 1}
    with out.open(encoding="utf-8-sig", newline="") as text:
        rows = [(row["what"], row["line"], row["phone"], row["column"], row["loaded"], row["file"])
                for row in csv.DictReader(text)]  # fmt: skip
    assert rows == [
        ("gone", "2", "'+390612345600", "", "", ""),
        ("changed", "2", "'+390612345601", "first_name", "Bea", "Beatrice"),
        ("changed", "2", "'+390612345601", "Città", "Roma", "Milano"),
        ("added", "3", "'+390612345602", "", "", ""),
    ]
    assert out.stat().st_mode & 0o077 == 0
    assert count(session, Contact) == 2


def test_a_file_against_its_own_list_is_the_same(dialer: Dialer, campaign: Campaign, file: Path) -> None:
    dialer("list", "import", "spring", str(file))
    told = dialer.json("list", "diff", "spring", str(file))
    assert (told["added"], told["gone"], told["changed"], told["same"]) == (0, 0, 0, 2)


def test_a_diff_needs_a_list(dialer: Dialer, campaign: Campaign, file: Path) -> None:
    result = dialer("list", "diff", "spring", str(file))
    assert (result.exit_code, "no list to compare with" in result.stderr) == (4, True)


# Export -----------------------------------------------------------------------------------------------------


def exported(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_an_export_tells_state_and_outcomes_and_no_cell_is_a_formula(
    dialer: Dialer, session: Session, campaign: Campaign, file: Path
) -> None:
    dialer("list", "import", "spring", str(file))
    ada = session.scalars(select(Contact).order_by(Contact.id)).first()
    assert ada is not None
    for state in (CallState.NO_ANSWER, CallState.COMPLETED):
        factories.attempt(session, campaign, contact=ada, state=state)
    ada.state, ada.next_at, ada.closed_because = "closed", None, "reached"
    session.commit()
    told = dialer.ok("list", "export", "spring")
    rows = exported(told)
    assert [row["first_name"] for row in rows] == ["Ada", "Bea"]
    assert (rows[0]["phone"], rows[0]["company"]) == ("'+390612345600", "'=cmd|'/C calc'!A0")
    assert (rows[0]["Città"], rows[0]["dialer_state"], rows[0]["dialer_closed_because"]) == (
        "Forlì",
        "closed",
        "reached",
    )
    assert (rows[0]["dialer_attempts"], rows[0]["dialer_last_outcome"]) == ("2", "completed")
    assert rows[0]["dialer_outcomes"] == "no_answer completed"
    assert (rows[1]["dialer_attempts"], rows[1]["dialer_outcomes"]) == ("0", "")
    for cell in next(csv.reader(io.StringIO(told.replace("\n", ",", 1)))):
        assert cell[:1] not in tuple("=+-@\t\r")
    entry = session.scalars(select(Ledger).where(Ledger.kind == "list_exported")).one()
    assert (entry.details["everything"], entry.who[:4]) == (False, "cli:")


def test_an_export_comes_back_as_the_contacts_it_was(
    dialer: Dialer, session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    path, out = tmp_path / "in.csv", tmp_path / "out.csv"
    path.write_text(
        "phone,mobile,phone3,first_name,notes,priority,-odd\n"
        '0612345600,3421234500,0612345601,Zoë,"two\nlines; ""quoted""",-3,=1\n0612345602,,,\'Ana,@x,,\n'
    )
    dialer("list", "import", "spring", str(path))
    assert dialer.json("list", "export", "spring", "--out", str(out))["rows"] == 2
    told = dialer.json("list", "diff", "spring", str(out))
    assert (told["added"], told["gone"], told["same"], told["columns"]) == (0, 0, 2, {})
    assert out.stat().st_mode & 0o077 == 0


def test_lists_taken_back_are_exported_only_when_asked(
    dialer: Dialer, session: Session, campaign: Campaign, file: Path
) -> None:
    dialer("list", "import", "spring", str(file))
    ada = session.scalars(select(Contact).order_by(Contact.id)).first()
    assert ada is not None
    factories.attempt(session, campaign, contact=ada, state=CallState.NO_ANSWER)
    session.commit()
    dialer.ok("list", "undo", "spring", "--yes")
    assert exported(dialer.ok("list", "export", "spring")) == []
    assert [row["first_name"] for row in exported(dialer.ok("list", "export", "spring", "--all"))] == ["Ada"]


def test_of_whom_nothing_is_left_nothing_is_taken_out(
    dialer: Dialer, session: Session, campaign: Campaign, file: Path
) -> None:
    """What stands in place of an erased number would be called a number by whoever opens the file."""
    dialer("list", "import", "spring", str(file))
    dialer.ok("person", "erase", "+390612345600", "--yes", "--why", "asked for it")
    for more in ((), ("--all",)):
        told = dialer.ok("list", "export", "spring", *more)
        assert [row["first_name"] for row in exported(told)] == ["Bea"]
        assert "erased-" not in told


def test_an_export_into_nowhere_says_so_and_leaves_nothing(dialer: Dialer, campaign: Campaign, tmp_path: Path) -> None:
    result = dialer("list", "export", "spring", "--out", str(tmp_path / "no" / "x.csv"))
    assert (result.exit_code, "cannot be written" in result.stderr) == (2, True)
    assert dialer("list", "export", "spring", "--json").exit_code == 2


# Templates --------------------------------------------------------------------------------------------------


def test_a_template_is_saved_once_and_used_by_its_name(
    dialer: Dialer, session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    dialer.ok(
        "list", "template", "save", "CRM", "--mapping", "Uno=phone:work,Memo=description", "--duplicates", "merge"
    )
    path = tmp_path / "crm.csv"
    path.write_text("Uno,Memo\n0612345600,hello\n")
    dialer.ok("list", "import", "spring", str(path), "--mapping", "crm")
    one = session.scalars(select(Contact)).one()
    assert (one.phone, one.description) == ("+390612345600", "hello")
    job = session.scalars(select(Import)).one()
    assert (job.options["duplicates"], job.options["mapping"]["Uno"]) == ("merge", "phone:work")
    path.write_text("Uno,Memo\n0612345600,again\n")
    told = dialer.json("list", "import", "spring", str(path), "--mapping", "crm", "--duplicates", "skip", code=0)
    assert (told["duplicates"], told["updated"]) == (1, 0)
    shown = dialer.json("list", "template", "show", "Crm")
    assert shown["mapping"] == {"Uno": "phone:work", "Memo": "description"}
    assert [one["name"] for one in dialer.json("list", "template", "list")["templates"]] == ["CRM"]


def test_a_template_is_not_overwritten_by_chance_and_can_be_forgotten(dialer: Dialer) -> None:
    save = ("list", "template", "save", "crm", "--mapping")
    dialer.ok(*save, "A=phone")
    assert "--replace" in dialer(*save, "B=phone").stderr
    dialer.ok(*save, "B=phone", "--replace")
    assert dialer.json("list", "template", "show", "crm")["mapping"] == {"B": "phone"}
    dialer.ok("list", "template", "remove", "crm")
    missing = dialer("list", "template", "show", "crm")
    assert (missing.exit_code, "no mapping template" in missing.stderr) == (4, True)


@pytest.mark.parametrize(
    ("name", "mapping", "told"),
    [("a=b", "A=phone", "cannot be a template"), ("x", "A=nonsense", "no field"), ("x", "", "nothing to save")],
)
def test_a_template_that_means_nothing_is_refused(dialer: Dialer, name: str, mapping: str, told: str) -> None:
    result = dialer("list", "template", "save", name, "--mapping", mapping)
    assert (result.exit_code, told in result.stderr) == (2, True)
