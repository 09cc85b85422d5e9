from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns.models import DoNotCall, Ledger
from tests import factories
from tests.cli.conftest import Dialer

ROME = "+390612345678"


def test_a_number_is_added_checked_and_removed_with_a_reason(dialer: Dialer, session: Session) -> None:
    assert dialer.json("dnc", "check", ROME)["blocked"] is False
    told = dialer.json("dnc", "add", ROME, "--reason", "asked us")
    assert (told["number"], told["added"]) == (ROME, True)
    assert "already" in dialer.ok("dnc", "add", ROME)
    assert dialer.json("dnc", "check", ROME)["entries"][0]["reason"] == "asked us"
    assert dialer("dnc", "remove", ROME, "--yes").exit_code == 2  # no reason
    assert dialer("dnc", "remove", ROME, "--why", "asked again").exit_code == 2  # nobody was asked
    assert session.scalars(select(DoNotCall.number)).all() == [ROME]
    dialer.ok("dnc", "remove", ROME, "--why", "asked again", "--yes")
    assert dialer("dnc", "remove", ROME, "--why", "asked again", "--yes").exit_code == 4
    kinds = session.execute(select(Ledger.kind, Ledger.why).order_by(Ledger.id)).all()
    assert [tuple(row) for row in kinds] == [("dnc_added", "asked us"), ("dnc_removed", "asked again")]


def test_one_number_is_bound_and_the_persons_others_are_told_or_bound_too(dialer: Dialer, session: Session) -> None:
    campaign = factories.campaign(session, name="spring")
    mobile, office = "+393331234567", "+390687654321"
    factories.contact(session, campaign, phone=ROME, phone2=mobile, more_numbers=[office])
    session.commit()
    told = dialer.json("dnc", "add", ROME)
    assert (told["bound"], told["also_theirs"]) == ([ROME], [office, mobile])
    assert not dialer.json("dnc", "check", mobile)["blocked"]
    result = dialer("dnc", "add", ROME)
    assert f"may still be called at {office}, {mobile}: `dialer dnc add {ROME} --person`" in result.stderr
    told = dialer.json("dnc", "add", mobile, "--person", "--reason", "letter of 3 March")
    assert (told["bound"], told["also_theirs"]) == ([mobile, ROME, office], [])
    assert dialer.json("dnc", "check", office)["entries"][0]["reason"] == "letter of 3 March"
    assert "letter of 3 March" in dialer.ok("dnc", "check", ROME), "the reason given later is not dropped"


def test_a_number_is_read_as_its_campaign_writes_it(dialer: Dialer, session: Session) -> None:
    factories.campaign(session, name="spring", country="FR")
    factories.campaign(session, name="herbst", country="DE")
    session.commit()
    assert dialer.json("dnc", "add", "01 42 68 53 00", "--campaign", "spring")["number"] == "+33142685300"
    assert dialer.json("dnc", "add", "01 42 68 53 00", "--country", "fr")["number"] == "+33142685300"
    unclear = dialer("dnc", "add", "01 42 68 53 00")
    assert (unclear.exit_code, "--country" in unclear.stderr) == (2, True)
    assert "dialer dnc" in dialer.ok("dnc", "--help")


def test_one_campaigns_list_binds_that_campaign_alone(dialer: Dialer, session: Session) -> None:
    for name in ("spring", "autumn"):
        factories.campaign(session, name=name)
    session.commit()
    dialer.ok("dnc", "add", ROME, "--campaign", "spring")
    assert dialer.json("dnc", "check", ROME, "--campaign", "spring")["blocked"]
    assert not dialer.json("dnc", "check", ROME, "--campaign", "autumn")["blocked"]
    assert dialer.json("dnc", "check", ROME)["entries"][0]["campaign"] == "spring"
    assert "spring" in dialer.ok("dnc", "check", ROME)


@pytest.mark.parametrize(("number", "told"), [("hello", "letters"), ("+39 112", "emergency"), ("12", "")])
def test_what_is_no_number_is_refused(dialer: Dialer, number: str, told: str) -> None:
    result = dialer("dnc", "add", number, "--country", "IT")
    assert (result.exit_code, told in result.stderr) == (2, True)


@pytest.mark.parametrize("head", ["", "phone\n", "nome;telefono\n"])
def test_a_file_is_taken_with_a_header_or_without(dialer: Dialer, session: Session, tmp_path: Path, head: str) -> None:
    path = tmp_path / "register.csv"
    first = "x;" if ";" in head else ""
    path.write_text(head + f"{first}06 1234 5678\n{first}333 1234567\n{first}0612345678\n")
    told = dialer.json("dnc", "import", str(path), "--country", "IT", "--reason", "register")
    assert (told["rows"], told["accepted"], told["duplicates"], told["rejected"]) == (3, 2, 1, 0)
    assert set(session.scalars(select(DoNotCall.number))) == {ROME, "+393331234567"}
    assert dialer.json("dnc", "import", str(path), "--country", "IT")["duplicates"] == 3


def test_numbers_that_cannot_be_read_are_told_with_their_line(dialer: Dialer, session: Session, tmp_path: Path) -> None:
    path = tmp_path / "register.csv"
    path.write_text("phone\n0612345678\n3.93E+11\n\n99\n")
    result = dialer("dnc", "import", str(path), "--country", "IT")
    assert result.exit_code == 3
    assert "3.93E+11" in result.stdout
    assert "exponent" in result.stdout
    told = dialer.json("dnc", "import", str(path), "--country", "IT", code=3)
    assert [one["line"] for one in told["refused"]] == [3, 5]
    assert session.scalars(select(DoNotCall.number)).all() == [ROME]


def test_a_file_that_cannot_be_read_adds_nothing(dialer: Dialer, session: Session, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "quote.csv").write_text('phone\n0612345678\n"06')
    for name in ("empty.csv", "quote.csv"):
        result = dialer("dnc", "import", str(tmp_path / name), "--country", "IT")
        assert (result.exit_code, result.stderr.startswith(f"error: {name}")) == (2, True)
    assert session.scalars(select(DoNotCall)).all() == []
