import csv
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.cli import importing
from campaigns.importing import run_import
from campaigns.models import Campaign, Contact, Import, Ledger, ProcessBeat
from dialer.clock import SystemClock
from tests import factories
from tests.cli.conftest import Dialer

MIXED = "name;telefono\nAnna;06 1234 5678\nBruno;3,93E+11\nCarla;333 1234567\nCarla;3331234567\n"


@pytest.fixture
def campaign(session: Session) -> Campaign:
    made = factories.campaign(session, name="spring", state="draft")
    session.commit()
    return made


@pytest.fixture
def mixed(tmp_path: Path) -> str:
    path = tmp_path / "mixed.csv"
    path.write_text(MIXED)
    return str(path)


def contacts(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(Contact)) or 0


def test_an_import_works_with_no_worker_and_answers_with_its_fixed_core(
    dialer: Dialer, session: Session, campaign: Campaign, mixed: str
) -> None:
    told = dialer.json("list", "import", "spring", mixed, code=3)
    assert {key: told[key] for key in ("rows", "accepted", "rejected", "duplicates")} == {
        "rows": 4,
        "accepted": 2,
        "rejected": 1,
        "duplicates": 1,
    }
    with Path(told["reject_file"]).open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["line"], row["column"], row["value"]) for row in rows] == [
        ("3", "telefono", "3,93E+11"),
        ("5", "telefono", "3331234567"),
    ]
    assert contacts(session) == 2
    row = session.scalars(select(Ledger).where(Ledger.kind == "list_imported")).one()
    assert row.who.startswith("cli:")


def test_a_clean_file_ends_with_0_and_no_reject_file(
    dialer: Dialer, session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    (tmp_path / "clean.csv").write_text("phone\n0612345678\n")
    told = dialer.json("list", "import", "spring", str(tmp_path / "clean.csv"))
    assert (told["accepted"], told["rejected"], told["reject_file"]) == (1, 0, None)


def test_rows_not_taken_are_told_by_reason_with_what_to_do(dialer: Dialer, campaign: Campaign, mixed: str) -> None:
    result = dialer("list", "import", "spring", mixed)
    assert result.exit_code == 3
    assert "mixed.csv: 4 rows, 2 taken, 1 rejected, 1 duplicate\n" in result.stdout
    for expected in ("exponent", "format the column as text", "line 3: 3,93E+11", "rejected.csv"):
        assert expected in result.stdout
    assert "dialer list undo spring --import" in result.stderr


def test_a_dry_run_judges_and_writes_nothing(dialer: Dialer, session: Session, campaign: Campaign, mixed: str) -> None:
    told = dialer.json("list", "import", "spring", mixed, "--dry-run", code=3)
    assert (told["dry_run"], told["rejected"]) == (True, 1)
    assert contacts(session) == 0
    assert "would be taken" in dialer("list", "import", "spring", mixed, "--dry-run").stdout


def test_the_same_file_twice_is_refused_unless_forced(dialer: Dialer, campaign: Campaign, mixed: str) -> None:
    dialer("list", "import", "spring", mixed)
    result = dialer("list", "import", "spring", mixed)
    assert (result.exit_code, "--force" in result.stderr) == (2, True)
    assert dialer.json("list", "import", "spring", mixed, "--force", code=3)["duplicates"] == 3


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"0612345678\n0687654321\n", "holds data, not column names"),
        (b"colour,shape\nred,round\n", "colour"),
        (b'phone,name\n"0612345678,Anna\n', "a quote opened there is never closed"),
    ],
)
def test_a_file_that_cannot_be_imported_is_one_sentence_and_nothing_is_imported(
    dialer: Dialer, session: Session, campaign: Campaign, tmp_path: Path, content: bytes, told: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    result = dialer("list", "import", "spring", str(path))
    assert result.exit_code in (1, 2)
    assert result.stderr.startswith("error: ")
    assert told in result.stderr
    assert "Traceback" not in result.output
    assert contacts(session) == 0


def test_a_failed_import_still_answers_a_program_with_one_object(
    dialer: Dialer, campaign: Campaign, tmp_path: Path
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text("colour\nred\n")
    told = dialer.json("list", "import", "spring", str(path), code=1)
    assert (told["state"], told["accepted"], told["reject_file"]) == ("failed", 0, None)
    assert "colour" in told["error"]


def test_a_file_that_is_not_there_and_a_campaign_nobody_has(dialer: Dialer, campaign: Campaign, mixed: str) -> None:
    assert dialer("list", "import", "spring", "/no/such/file.csv").exit_code == 2
    assert dialer("list", "import", "sprng", mixed).exit_code == 4


def test_standard_input_is_a_file_too(dialer: Dialer, session: Session, campaign: Campaign) -> None:
    result = dialer("list", "import", "spring", "-", "--delimiter", "\\t", input="phone\tname\n0612345678\tAnna\n")
    assert result.exit_code == 0
    assert session.scalars(select(Contact.phone)).all() == ["+390612345678"]


def test_mapping_and_kind_reach_the_importer(
    dialer: Dialer, session: Session, campaign: Campaign, tmp_path: Path
) -> None:
    path = tmp_path / "crm.csv"
    path.write_text("Tel privato,Memo,dueDate\n0612345678,call Anna,2099-01-01\n0612345679,x,\n")
    result = dialer(
        "list", "import", "spring", str(path), "--kind", "callbacks", "--mapping", "Tel privato=phone,Memo=description",
        "--name", "promised",
    )  # fmt: skip
    assert result.exit_code == 3
    assert session.scalars(select(Contact.description)).all() == ["x"]
    assert dialer("list", "import", "spring", str(path), "--mapping", "phone").exit_code == 4


def test_no_wait_leaves_it_to_the_workers(dialer: Dialer, session: Session, campaign: Campaign, mixed: str) -> None:
    told = dialer.json("list", "import", "spring", mixed, "--no-wait")
    assert told["state"] == "waiting"
    assert contacts(session) == 0


# Who runs it ---------------------------------------------------------------------------------------------


@pytest.fixture
def timed(app: Application) -> Application:
    app.clock = SystemClock()
    return app


def submitted(app: Application, path: str) -> Import:
    given: dict[str, Any] = {
        "delimiter": None, "encoding": None, "mapping": "", "dry_run": False, "force": False, "list_name": "",
        "kind": "contacts",
    }  # fmt: skip
    return importing.submit(app, "spring", Path(path), "cli:test", given)


def test_an_import_that_a_worker_has_is_waited_for_and_not_run_twice(
    timed: Application, session: Session, campaign: Campaign, mixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    session.add(ProcessBeat(name="worker:x:1", kind="worker", started_at=now, beat_at=now))
    session.commit()
    job = submitted(timed, mixed)
    looked = Event()
    real = importing._look

    def look(app: Application, import_id: int) -> tuple[Import, bool]:
        looked.set()
        return real(app, import_id)

    monkeypatch.setattr(importing, "_look", look)
    monkeypatch.setattr(importing, "_run", lambda *_: pytest.fail("ran here what a worker has"))
    monkeypatch.setattr(importing, "PATIENCE", 60.0)

    def worker() -> None:
        assert looked.wait(20)
        run_import(timed.sessions, job.id, now=now)

    thread = Thread(target=worker)
    thread.start()
    done = importing.finish(timed, job.id, show=False)
    thread.join()
    assert (done.state, done.accepted) == ("done", 2)


def test_an_import_whose_worker_is_slow_but_alive_is_left_to_it(
    timed: Application, session: Session, campaign: Campaign, mixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = submitted(timed, mixed)
    row = session.get_one(Import, job.id)
    row.state, row.heartbeat_at = "running", datetime.now(UTC)
    session.commit()
    looks = 0
    real = importing._look

    def look(app: Application, import_id: int) -> tuple[Import, bool]:
        nonlocal looks
        looks += 1
        if looks == 4:
            row.state = "done"
            session.commit()
        return real(app, import_id)

    monkeypatch.setattr(importing, "_look", look)
    monkeypatch.setattr(importing, "_run", lambda *_: pytest.fail("ran here what a worker has"))
    assert importing.finish(timed, job.id, show=False).state == "done"
    assert looks == 4


def test_a_worker_that_does_not_come_is_waited_for_only_so_long(
    timed: Application, session: Session, campaign: Campaign, mixed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = datetime.now(UTC)
    session.add(ProcessBeat(name="worker:x:1", kind="worker", started_at=now, beat_at=now))
    session.commit()
    monkeypatch.setattr(importing, "PATIENCE", 0.3)
    began = timed.clock.monotonic()
    done = importing.finish(timed, submitted(timed, mixed).id, show=False)
    assert done.state == "done"
    assert timed.clock.monotonic() - began >= 0.3


def test_ctrl_c_cancels_an_import_that_runs_here_and_leaves_no_trace(
    timed: Application, session: Session, campaign: Campaign, mixed: str, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    interrupted = Event()
    real = importing._run

    def slow(app: Application, import_id: int) -> Import:
        assert interrupted.wait(20)
        return real(app, import_id)

    def press(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "_run", slow)
    monkeypatch.setattr(importing, "_wait", press)
    job = submitted(timed, mixed)
    real_interrupted = importing._interrupted

    def then_go_on(*args: Any) -> None:
        real_interrupted(*args)
        interrupted.set()

    monkeypatch.setattr(importing, "_interrupted", then_go_on)
    with pytest.raises(KeyboardInterrupt):
        importing.finish(timed, job.id, show=False)
    assert "cancelled; nothing was imported" in capsys.readouterr().err
    session.expire_all()
    assert session.get_one(Import, job.id).state == "undone"
    assert contacts(session) == 0


# Showing and taking back ---------------------------------------------------------------------------------


def test_show_lists_the_newest_import_first_with_its_figures(
    dialer: Dialer, campaign: Campaign, mixed: str, tmp_path: Path
) -> None:
    assert "dialer list import" in dialer("list", "show").stderr
    dialer("list", "import", "spring", mixed)
    (tmp_path / "bad.csv").write_text("colour\nred\n")
    dialer("list", "import", "spring", str(tmp_path / "bad.csv"))
    rows = dialer.json("list", "show", "spring")["lists"]
    assert [(row["name"], row["state"], row["accepted"], row["left"]) for row in rows] == [
        ("bad.csv", "failed", 0, 0),
        ("mixed", "done", 2, 2),
    ]
    result = dialer("list", "show")
    assert "mixed" in result.stdout
    assert "colour" in result.stderr


def test_undo_takes_the_newest_import_back_once(
    dialer: Dialer, session: Session, campaign: Campaign, mixed: str
) -> None:
    assert dialer("list", "undo", "spring", "--yes").exit_code == 4
    dialer("list", "import", "spring", mixed)
    unasked = dialer("list", "undo", "spring")
    assert (unasked.exit_code, "with its 2 contacts?" in unasked.stderr) == (2, True)
    assert contacts(session) == 2
    assert dialer.json("list", "undo", "spring", "--yes", "--why", "wrong file")["removed"] == 2
    assert contacts(session) == 0
    assert session.scalars(select(Ledger.why).where(Ledger.kind == "import_undone")).one() == "wrong file"
    assert dialer("list", "undo", "spring", "--yes").exit_code == 4


def test_an_import_of_another_campaign_is_not_found_here(
    dialer: Dialer, session: Session, campaign: Campaign, mixed: str
) -> None:
    told = dialer.json("list", "import", "spring", mixed, code=3)
    factories.campaign(session, name="autumn")
    session.commit()
    result = dialer("list", "undo", "autumn", "--import", str(told["import"]), "--yes")
    assert result.exit_code == 4
    assert contacts(session) == 2
