"""The do-not-call list: who is on it, who took whom off, and what the gate is told."""

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, event, select
from sqlalchemy.orm import Session

from campaigns import do_not_call, do_not_call_file
from campaigns.do_not_call_file import Added, add_file
from campaigns.models import Campaign, DoNotCall, Ledger
from dialer.errors import BadInput, NotFound

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.fixture
def campaign(session: Session) -> Campaign:
    return _campaign(session, "spring")


def _campaign(session: Session, name: str) -> Campaign:
    campaign = Campaign(
        name=name, pbx="main", mode="progressive", country="IT", hours="always", caller_id="+39061234567"
    )
    session.add(campaign)
    session.flush()
    return campaign


def _add(session: Session, text: str, campaign_id: int | None = None, reason: str = "asked") -> DoNotCall:
    return do_not_call.add(session, text, country="IT", campaign_id=campaign_id, reason=reason, who="ada", now=NOW)[0]


def _kinds(session: Session) -> list[tuple[str, str, str]]:
    rows = session.scalars(select(Ledger).where(Ledger.kind.like("dnc_%")).order_by(Ledger.id))
    return [(row.kind, row.who, row.details["number"]) for row in rows]


def test_a_number_is_kept_in_e164_with_who_why_and_when(session: Session) -> None:
    entry, new = do_not_call.add(
        session, "06 1234 5678", country="IT", source="phone call", reason="moved\x00 away", who="ada", now=NOW
    )
    assert new
    assert (entry.number, entry.campaign_id, entry.source, entry.reason) == (
        "+390612345678",
        None,
        "phone call",
        "moved away",
    )
    assert (entry.added_by, entry.added_at) == ("ada", NOW)
    assert _kinds(session) == [("dnc_added", "ada", "+390612345678")]


def test_adding_a_number_again_keeps_the_older_entry_and_both_reasons_with_their_dates(session: Session) -> None:
    first = _add(session, "0612345678", reason="first")
    for reason in ("second", "second", "", "first"):  # said twice, it is written once
        again, new = do_not_call.add(
            session, "+39 06 12345678", country="IT", reason=reason, who="bob", now=NOW + timedelta(days=1)
        )
        assert not new
    kept = "first; second (person, bob, 2026-03-03)"
    assert (again.id, again.reason, again.added_at) == (first.id, kept, NOW)
    assert [kind for kind, _, _ in _kinds(session)] == ["dnc_added", "dnc_added_again"]


def test_one_number_may_be_on_the_list_of_a_campaign_and_of_all(session: Session, campaign: Campaign) -> None:
    _add(session, "0612345678", campaign.id)
    _add(session, "0612345678")
    entries = do_not_call.check(session, "0612345678", country="IT")
    assert [entry.campaign_id for entry in entries] == [None, campaign.id]


def test_check_for_a_campaign_leaves_out_the_lists_of_others(session: Session, campaign: Campaign) -> None:
    other = _campaign(session, "other")
    _add(session, "0612345678", other.id)
    assert do_not_call.check(session, "0612345678", country="IT", campaign_id=campaign.id) == []
    assert len(do_not_call.check(session, "0612345678", country="IT", campaign_id=other.id)) == 1


@pytest.mark.parametrize("text", ["", "ask Mario", "112", "3.93E+11"])
def test_what_is_no_number_is_refused_with_the_reason(session: Session, text: str) -> None:
    with pytest.raises(BadInput, match=r"do-not-call: .* cannot be called"):
        _add(session, text)
    assert session.scalars(select(DoNotCall)).all() == []


def test_a_number_comes_off_only_with_a_reason_and_the_ledger_keeps_both(session: Session) -> None:
    _add(session, "0612345678", reason="asked on the phone")
    with pytest.raises(BadInput, match="needs a reason"):
        do_not_call.remove(session, "0612345678", country="IT", reason=" \t", who="bob", now=NOW)
    do_not_call.remove(session, "0612345678", country="IT", reason="wrote to us again", who="bob", now=NOW)
    assert do_not_call.check(session, "0612345678", country="IT") == []
    row = session.scalars(select(Ledger).where(Ledger.kind == "dnc_removed")).one()
    assert (row.who, row.why, row.details["added_because"]) == ("bob", "wrote to us again", "asked on the phone")


def test_taking_off_what_is_not_on_the_list_says_where_it_is(session: Session, campaign: Campaign) -> None:
    def remove(campaign_id: int | None) -> None:
        do_not_call.remove(
            session, "0612345678", country="IT", campaign_id=campaign_id, reason="mistake", who="bob", now=NOW
        )

    with pytest.raises(NotFound, match=r"\+39 06 ••• 5678 is not on the do-not-call list of all campaigns$"):
        remove(None)
    _add(session, "0612345678", campaign.id)
    with pytest.raises(NotFound, match="name the campaign"):
        remove(None)
    remove(campaign.id)
    _add(session, "0612345678")
    with pytest.raises(NotFound, match="it is on the list of all campaigns"):
        remove(campaign.id)


def test_the_gate_is_told_in_one_query_what_binds_this_campaign(
    session: Session, campaign: Campaign, engine: Engine
) -> None:
    other = _campaign(session, "other")
    _add(session, "0612345671")
    _add(session, "0612345672", campaign.id)
    _add(session, "0612345673", other.id)
    _add(session, "0612345674", campaign.id)
    _add(session, "0612345674")
    session.flush()
    asked = []

    def keep(*args: object) -> None:
        asked.append(args[2])

    event.listen(engine, "before_cursor_execute", keep)
    numbers = [f"+39061234567{last}" for last in range(10)]
    found = do_not_call.entries(session, numbers, campaign.id)
    event.remove(engine, "before_cursor_execute", keep)
    assert len(asked) == 1
    assert {number: entry.everywhere for number, entry in found.items()} == {
        "+390612345671": True,
        "+390612345672": False,
        "+390612345674": True,
    }
    assert do_not_call.entries(session, [], campaign.id) == {}


def test_an_entry_holds_for_sessions_that_read_before(engine: Engine, session: Session, campaign: Campaign) -> None:
    session.commit()
    assert do_not_call.entries(session, ["+390612345678"], campaign.id) == {}
    with Session(engine) as elsewhere, elsewhere.begin():
        _add(elsewhere, "0612345678")
    assert list(do_not_call.entries(session, ["+390612345678"], campaign.id)) == ["+390612345678"]


# --- from a file ------------------------------------------------------------------------------------------------------


def _file(session: Session, folder: Path, content: str | bytes, campaign_id: int | None = None) -> Added:
    path = folder / "register.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return add_file(
        session,
        path,
        country="IT",
        campaign_id=campaign_id,
        reason="public\x00 register",
        who="ada",
        now=NOW,
        data_dir=folder,
    )


def _numbers(session: Session) -> list[str]:
    return sorted(session.scalars(select(DoNotCall.number)))


def _told(added: Added) -> tuple[int, int, int, int]:
    assert added.rows == added.accepted + added.rejected + added.duplicates
    return added.rows, added.accepted, added.rejected, added.duplicates


@pytest.mark.parametrize(
    "content",
    [
        "0612345678\n+39 342 1234567\n",
        "phone\n0612345678\n3421234567\n",
        "Nome;Cellulare;Telefono\nAda;3421234567;0612345678\n",
        "Ada,06 1234 5678\r\nBea,0039 342 1234567\r\n",
        "\ufeff0612345678\r3421234567",
    ],
)
def test_a_file_may_be_numbers_alone_or_a_table_with_them(session: Session, tmp_path: Path, content: str) -> None:
    added = _file(session, tmp_path, content)
    assert _numbers(session) == ["+390612345678", "+393421234567"]
    assert (added.rejected, added.duplicates, added.reject_file) == (0, 0, None)
    entry = session.scalars(select(DoNotCall)).first()
    assert entry is not None
    assert (entry.source, entry.reason, entry.added_by) == ("file register.csv", "public register", "ada")


def test_what_cannot_be_read_is_in_the_reject_file_and_told(session: Session, tmp_path: Path) -> None:
    _add(session, "0612345670")
    added = _file(session, tmp_path, b"3.93E+11\n0612345678\n0612345678\n0612345670\n112\n\n\xe8\x1b 06\n")
    assert _told(added) == (6, 1, 3, 2)
    assert [(one.line, one.value) for one in added.refused] == [(1, "3.93E+11"), (5, "112"), (7, "è\x1b 06")]
    assert added.reject_file is not None
    with Path(added.reject_file).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["column_1"], row["line"], row["column"]) for row in rows][:2] == [
        ("3.93E+11", "1", "column_1"),
        ("112", "5", "column_1"),
    ]
    assert rows[1]["reason"] == "an emergency number is never called"


def test_the_good_number_of_a_refused_row_is_added_to_be_on_the_safe_side(session: Session, tmp_path: Path) -> None:
    added = _file(session, tmp_path, "phone,mobile\n12,3421234567\n0612345678,3421234567\n,\n ,x\n")
    assert _told(added) == (3, 1, 2, 0)
    assert _numbers(session) == ["+390612345678", "+393421234567"]


def test_rows_are_counted_over_batches(session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(do_not_call_file, "BATCH", 7)
    lines = [f"06123456{n % 40:02d}" if n % 5 else "bad" for n in range(100)]
    added = _file(session, tmp_path, "\n".join(["phone", *lines]) + "\n")
    assert _told(added) == (100, 32, 20, 48)
    assert len(_numbers(session)) == 32
    row = session.scalars(select(Ledger).where(Ledger.kind == "dnc_imported")).one()
    assert (row.who, row.details["accepted"], row.details["file_name"]) == ("ada", 32, "register.csv")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is empty"),
        ("name,city\nAda,Roma\n", "no column holds the number"),
        ('phone\n0612345678\n"061\n', "line 3: a quote opened there is never closed"),
        (b"PK\x03\x04", "spreadsheet"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_is_refused(
    session: Session, tmp_path: Path, content: str | bytes, told: str
) -> None:
    with pytest.raises(BadInput) as caught:
        _file(session, tmp_path, content)
    assert told in str(caught.value)
    assert not list(tmp_path.glob("imports/*"))


def test_a_file_that_is_not_there_is_named(session: Session, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"gone\.csv cannot be read: No such file"):
        add_file(session, tmp_path / "gone.csv", country="IT", campaign_id=None, reason="", who="ada", now=NOW)
