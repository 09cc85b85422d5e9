"""Files nobody can import, and bytes nobody would call a file: our sentence every time, and nothing half imported."""

import csv
import io
import random
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from campaigns import import_reading, import_storing
from campaigns.import_columns import Columns, find_columns, known, parse_mapping
from campaigns.import_encoding import detect
from campaigns.import_judging import Judge, Problem
from campaigns.import_reading import Record, Table, sniff
from campaigns.import_rejects import RejectFile, safe
from dialer.errors import BadInput, DialerError
from tests.campaigns.importing_kit import Importer, add_campaign, counts, left_in, rejects


@pytest.fixture
def importer(engine: Engine, session: Session, tmp_path: Path) -> Importer:
    campaign = add_campaign(session)
    session.commit()
    return Importer(engine, tmp_path, campaign.id)


def read(content: bytes | str, folder: Path, kind: str = "contacts", **given: Any) -> tuple[Columns, list[Record]]:
    """The header and all records of a file, as the job reads them."""
    path = folder / "list.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with Table(path, "list.csv", detect(path, "list.csv"), given.get("delimiter"), known) as table:
        columns = find_columns(table.header, kind, place=f"list.csv, line {table.header_line}", country="IT")
        return columns, list(table.records())


def refused(content: bytes | str, folder: Path, **given: Any) -> str:
    with pytest.raises(BadInput) as caught:
        read(content, folder, **given)
    return str(caught.value)


# --- the whole way ----------------------------------------------------------------------------------------------------


def test_files_that_cannot_be_imported_fail_with_place_and_remedy(importer: Importer) -> None:
    good = "phone,notes\n0612345678,a\n0612345679,b\n"
    for content, told in {
        b"\n\n \r\n": ("list.csv is empty",),
        b"\xef\xbb\xbf": ("list.csv is empty",),
        b"0612345678,Ada\n0612345679,Bea\n": ("line 1", "holds data, not column names", "phone,first_name"),
        b"phon,nome\n1,2\n": ("line 1", "Found: 'phon', 'nome'", "Needed: phone", "Did you mean phone for 'phon'?"),
        b"phone,notes,phone\n": ("line 1", "two columns are named 'phone' (1 and 3)", "Rename one"),
        b"phone,Telefono\n": ("line 1", "'phone' and 'Telefono' are both the phone", "--mapping"),
        good.encode() + b'0612345670,"never\nends\n': ("line 4", "never closed"),
        b"PK\x03\x04" + bytes(50): ("spreadsheet workbook or a zip", "CSV UTF-8"),
        b"\xd0\xcf\x11\xe0" + bytes(50): (".xls",),
        "phone\n0612345678\n".encode("utf-16-le"): ("UTF-16 without its mark", "CSV UTF-8"),
        "phone\n0612345678\n".encode("utf-32"): ("UTF-32",),
        b"\xff\xfep": ("UTF-16 text",),
    }.items():
        error = importer.failed(content)
        for part in told:
            assert part in error, error


def test_a_line_of_200_megabytes_ends_the_import_in_bounded_memory(importer: Importer) -> None:
    path = importer.folder / "endless.csv"
    with path.open("wb") as file:
        file.write(b"phone,notes\n0612345678,fine\n0612345679,")
        block = b"x" * (1 << 20)
        for _ in range(200):
            file.write(block)
    job = importer.submit(path, file_name="endless.csv")
    tracemalloc.start()
    done = importer.run(job)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (done.state, importer.contacts()) == ("failed", [])
    assert "endless.csv, line 3: the line is longer than 1,048,576 characters" in (done.error or "")
    assert peak < 32 << 20


def test_a_file_that_is_missing_unreadable_empty_or_too_large_is_refused_at_once(
    importer: Importer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for source, told in (
        (importer.folder / "gone.csv", "there is no file gone.csv: check the path"),
        (importer.folder, "is a folder: name the CSV file in it"),
        (b"", "x.csv is empty: nothing to import"),
    ):
        with pytest.raises(BadInput) as caught:
            importer.submit(source, file_name="gone.csv" if "no file" in told else "x.csv")
        assert told in str(caught.value)
    monkeypatch.setattr(import_storing, "keep", lambda *a: _keep(*a, limit=1000))
    with pytest.raises(BadInput, match=r"larger than .* MiB, the most that is imported at once: split it"):
        importer.submit(b"phone\n" + b"0612345678\n" * 200)
    assert left_in(importer.folder) == []
    with pytest.raises(BadInput, match="use contacts or callbacks"):
        importer.submit(b"phone\n", kind="leads")


_keep = import_storing.keep


class _Cut(io.BytesIO):
    """An upload that breaks off."""

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(5, "Input/output error")


def test_an_upload_that_breaks_off_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"x\.csv cannot be read: Input/output error"):
        import_storing.keep(_Cut(), tmp_path, "x.csv")
    assert list((tmp_path / "imports").iterdir()) == []


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DialerError, match=r"cannot be made: .*; check DIALER_DATA_DIR"):
        import_storing.keep(io.BytesIO(b"x"), tmp_path / "file", "x.csv")


def test_every_kind_of_row_trouble_is_told_and_the_good_rows_are_taken(importer: Importer) -> None:
    job = importer(
        b"phone,first_name,notes\n"
        b"0612345670,Ada,fine\n"
        b"0612345671,Bea,one,too many\n"
        b'0612345672,"Carla "the boss"",x\n'
        b"0612345673,D\x00ora,nul\n"
        b"0612345674,El\xe8na,no UTF-8 among \xc3\xa8 \xc3\xa9\n"
        b"0612345675,Fabio," + b"y" * 10_001 + b"\n"
        b"0612345676,Gina," + b"z" * 140_000 + b"\n"
        b",Hugo,no number\n"
        b"0612345678,Ida,fine\n"
    )
    assert counts(job) == (9, 2, 7, 0)
    told = [(row["line"], row["column"], row["reason"]) for row in rejects(job)]
    assert told == [
        ("3", "", "the row has 4 cells and the header 3"),
        ("4", "", 'a quote inside a quoted cell is not written twice ("")'),
        ("5", "first_name", "the cell holds a NUL byte"),
        ("6", "first_name", "the cell holds bytes that are no text in the file's encoding"),
        ("7", "notes", "the cell has 10,001 characters"),
        ("8", "", "a cell is longer than 131,072 characters"),
        ("9", "phone", "there is no number in phone"),
    ]
    assert [one.first_name for one in importer.contacts(job)] == ["Ada", "Ida"]


# --- reading ----------------------------------------------------------------------------------------------------------


def test_a_quote_that_never_ends_is_found_where_it_opened(tmp_path: Path) -> None:
    head = 'phone,notes\n0612345678,"a\nb"\n'
    error = refused(head + '0612345679,"two\nlines and",x "quote\n1,"open\n2,x\n3,y\n', tmp_path)
    assert "line 6: a quote opened there is never closed" in error
    assert "line 4:" in refused(head + '0612345679,"open\n' + "0612345670,x\n" * 50_000, tmp_path)
    assert "line 1:" in refused('phone,"notes\n1,2\n', tmp_path)


def test_a_stray_quote_costs_its_own_line_only(tmp_path: Path) -> None:
    _, records = read('phone,notes\n1,"stray\n2,b\n3,"c"\n4,"x"y\n5,e\n', tmp_path)
    assert [(one.line, one.cells[0], bool(one.broken)) for one in records] == [
        (2, "1", True),
        (3, "2", False),
        (4, "3", False),
        (5, "4", True),
        (6, "5", False),
    ]


def test_a_file_made_to_be_read_again_and_again_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_reading, "READ_AGAIN_LIMIT", 10_000)
    # Each of these lines opens a quote in one reading and closes one in the other.
    error = refused("phone,notes\n" + 'x","a\n' * 200 + '"q\n', tmp_path)
    assert "never closed" in error


def test_a_row_of_many_lines_is_bounded_like_a_line(tmp_path: Path) -> None:
    cells = ",".join('"' + "a\n" * 60_000 + '"' for _ in range(12))
    assert "line 2: the row that starts there is longer than 1,048,576 characters" in refused(
        f"phone,{','.join(f'c{n}' for n in range(11))}\n{cells}\n", tmp_path
    )


def test_the_limits_of_rows_and_columns_hold_at_and_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_reading, "ROWS_LIMIT", 3)
    assert len(read("phone\n1\n2\n3\n", tmp_path)[1]) == 3
    assert "more than 3 rows: split it" in refused("phone\n1\n2\n3\n4\n", tmp_path)
    wide = ["phone", *(f"c{n}" for n in range(255))]
    assert len(read(",".join(wide) + "\n", tmp_path)[0].names) == 256
    assert "257 columns, and 256 are allowed" in refused(",".join([*wide, "d"]) + "\n", tmp_path)
    monkeypatch.setattr(import_reading, "ROW_LIMIT", 20)
    assert len(read("phone\n" + "1" * 19 + "\n", tmp_path)[1]) == 1
    assert "line 2: the line is longer" in refused("phone\n" + "1" * 20 + "\n", tmp_path)


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("", "is empty"),
        ("Mario;Rossi", "no column holds the number. Found: 'Mario', 'Rossi'. Needed: phone"),
        ("3.93E+11,Mario", "holds data"),
        ("+39 06 1234567|x", "holds data"),
        ("telephon number,x", "Did you mean phone for 'telephon number'?"),
        ("phone^nome", "read as one column: 'phone^nome'. Say what stands between the columns with --delimiter '^'"),
        ("celulare,x", "Did you mean mobile for 'celulare'?"),
        ("phone,a\x07b", "control characters"),
        ("phone," + "x" * 201, "has 201 characters"),
        ("phone,due date,Due_Date", ""),
        (",".join(f"column{n}" for n in range(20)), "and 8 more"),
    ],
)
def test_a_header_is_taken_or_refused_with_what_is_needed(tmp_path: Path, header: str, told: str) -> None:
    if told:
        assert told in refused(header + "\n", tmp_path)
    else:
        assert [name for _, name in read(header + "\n", tmp_path)[0].custom] == ["due date", "Due_Date"]


def test_a_program_or_a_picture_is_no_csv_whatever_its_name_says(tmp_path: Path) -> None:
    noise = random.Random(1).randbytes(5000)
    for content in (noise, b"phone\n" + noise, b"\x89PNG\r\n\x1a\n" + noise):
        assert "holds bytes that are no text, so it is not a CSV file: save it as" in refused(content, tmp_path)
    careless = "phone,nome\n" + "0612345678,A\x07da Lovelace in Roma\n" * 100
    assert len(read(careless, tmp_path)[1]) == 100
    cyrillic = "phone,имя\n" + "0612345678,Анна\n" * 100
    assert len(read(cyrillic.encode("utf-16"), tmp_path)[1]) == 100


def test_a_callback_list_has_its_own_words_for_what_is_missing(tmp_path: Path) -> None:
    error = refused("firstName|dueDate\n", tmp_path, kind="callbacks")
    assert "Needed: phoneNumber or mobilePhoneNumber" in error
    assert "phoneNumber|mobilePhoneNumber|firstName" in refused("0612345678|x\n", tmp_path, kind="callbacks")
    assert "both the dueDate" in refused("phoneNumber|due date|Due_Date\n", tmp_path, kind="callbacks")


@pytest.mark.parametrize(
    ("mapping", "told"),
    [
        ({"Tel": "phone"}, "a column 'Tel', and there is none. Found: 'a', 'b'"),
        ({"a": "nonsense"}, "'nonsense', which is no field. Fields: phone, mobile, first_name"),
        ({"a": "dueDate"}, "which is no field"),
        ({"a": "ignore"}, "no column holds the number"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(mapping: dict[str, str], told: str) -> None:
    with pytest.raises(BadInput) as caught:
        find_columns(["a", "b"], "contacts", place="x.csv, line 1", country="IT", mapping=mapping)
    assert told in str(caught.value)


def test_a_mapping_is_read_as_the_command_line_gives_it() -> None:
    assert parse_mapping("Tel privato=phone, Memo=description,") == {"Tel privato": "phone", "Memo": "description"}
    assert parse_mapping("a=b=phone") == {"a=b": "phone"}
    for text in ("phone", "=phone", "Tel="):
        with pytest.raises(BadInput, match="is not HEADER=FIELD"):
            parse_mapping(text)


@pytest.mark.parametrize(
    ("sample", "delimiter"),
    [
        ("phone\n1\n", ","),
        ("phone;notes\n1;a, b, c\n", ";"),
        ("phone,notes\n1,a; b; c; d\n", ","),
        ("phone|notes\n", "|"),
        ("a\tb\tc, d\n1\t2\t3\n", "\t"),
        ('"phone;x",notes\n', ","),
        ("", ","),
    ],
)
def test_the_delimiter_is_the_one_that_makes_sense_of_the_header(sample: str, delimiter: str) -> None:
    assert sniff(sample, known) == delimiter


def test_a_file_that_is_mostly_utf8_is_utf8_and_one_that_is_not_is_windows(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    for content, name, clean in (
        ("à è ì".encode(), "utf-8", True),
        ("à è ì".encode() + b" \xe0", "utf-8", False),
        ("à è ì".encode("latin-1"), "cp1252", False),
        (b"\xef\xbb\xbf\xe0", "utf-8-sig", False),
        ("à".encode("utf-16"), "utf-16", True),
        (b"plain", "utf-8", True),
        (b"a" * (1 << 20) + "é".encode() + b"b" * (1 << 20), "utf-8", True),
        (b"a" * ((1 << 20) - 1) + "é".encode(), "utf-8", True),  # a character across two blocks
        (b"a" * (40 << 20) + b"\xe9", "cp1252", False),
    ):
        path.write_bytes(content)
        found = detect(path, "x.csv")
        assert (found.name, found.clean) == (name, clean), content[:20]


# --- any bytes whatever -----------------------------------------------------------------------------------------------

_line = st.lists(
    st.sampled_from(["0612345678", "+393421234567", "12", "", '"', '""', "a", "é", "\x00", "=1", "2026-03-03", "x\r"]),
    max_size=5,
).map(",".join)
_files = st.one_of(
    st.binary(max_size=400),
    st.lists(_line, max_size=12).map(lambda lines: "\n".join(["phone,mobile,notes", *lines]).encode()),
    st.lists(_line, max_size=8).map(lambda lines: "\r\n".join(["phoneNumber,dueDate,period", *lines]).encode("utf-16")),
    st.tuples(st.just(b"phone;x\n"), st.binary(max_size=300)).map(b"".join),
)


@settings(
    max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(_files)
@example(b"phone\n\xff\xfe")
@example(b'phone\n"')
@example(b"\x00")
@example(b"phone\r0612345678\r\r\n")
def test_any_bytes_are_judged_or_refused_and_the_rejects_can_be_read(tmp_path: Path, content: bytes) -> None:
    path, out = tmp_path / "any.csv", tmp_path / "1.rejected.csv"
    path.write_bytes(content)
    rows = accepted = 0
    refused_lines = []
    try:
        encoding = detect(path, "any.csv")
        with Table(path, "any.csv", encoding, None, known) as table:
            columns = find_columns(table.header, "contacts", place="any.csv, line 1", country="IT")
            judge = Judge(columns, "IT", clean=encoding.clean)
            with RejectFile(out, columns.names, marked=encoding.marked) as kept:
                for record in table.records():
                    rows += 1
                    row = judge.judge(record)
                    if isinstance(row, list):
                        kept.add(record.line, record.cells, row)
                        refused_lines.append(record.line)
                    else:
                        accepted += 1
                        "".join(row[2:6]).encode()
                        assert row.custom.encode()
                found = kept.finish()
    except BadInput:
        assert not out.exists()
        return
    assert rows == accepted + len(refused_lines)
    assert (found is None) == (not refused_lines)
    if found is not None:
        with found.open(encoding="utf-8-sig", newline="") as file:
            told = list(csv.reader(file))
        assert told[0][-5:] == ["line", "column", "value", "reason", "remedy"]
        assert [int(row[-5]) for row in told[1:]] == sorted(refused_lines)
        assert all(row[-2] and row[-1] for row in told[1:])
        found.unlink()


def test_the_same_bytes_through_the_whole_job_add_up(importer: Importer) -> None:
    chance = random.Random(7)
    pieces = [b"0612345", b"678", b"679", b",", b"\n", b'"', b"\x00", b"\xe8", "è".encode(), b"=", b"\t", b"'", b"\r\n"]
    states = set()
    for _ in range(40):
        content = b"phone,notes\n" + b"".join(chance.choice(pieces) for _ in range(chance.randrange(1, 120)))
        job = importer(content, force=True)
        states.add(job.state)
        if job.state == "done":
            counts(job)
            assert len(importer.contacts(job)) == job.accepted if job.list_id else job.accepted == 0
        else:
            assert (job.state, job.accepted) == ("failed", 0)
    assert states == {"done", "failed"}


@given(st.text(max_size=60))
def test_a_cell_of_a_reject_file_is_inert_whatever_it_holds(cell: str) -> None:
    shown = safe(cell)
    assert not shown.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert not any(ord(char) < 32 and char not in "\t\n" for char in shown)


def test_reject_rows_survive_a_write_and_a_read(tmp_path: Path) -> None:
    cells = ["a,b", 'say "x"', "two\nlines", "caf\udce9", ""]
    with RejectFile(tmp_path / "r.csv", ["a", "b", "c", "d", "e"], marked=True) as kept:
        kept.add(7, cells, [Problem("a", "v" * 500, "reason", "remedy")])
        path = kept.finish()
    assert path is not None
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")
    with path.open(encoding="utf-8-sig", newline="") as file:
        (_, row) = list(csv.reader(file))
    assert row == [*cells[:3], "caf\\udce9", "", "7", "a", "v" * 200, "reason", "remedy"]
    assert [one.name for one in tmp_path.iterdir()] == ["r.csv"]


def test_utf_16_without_its_mark_is_read_where_somebody_says_so(tmp_path: Path) -> None:
    """In Cyrillic half of its bytes are no characters by themselves."""
    path = tmp_path / "mary.csv"
    path.write_bytes("имя,phone\nМария Кюри-Склодовская,0612345678\n".encode("utf-16-le"))
    assert detect(path, "mary.csv", "utf-16").name.startswith("utf-16")
