"""Files that come by themselves: from a folder and from an address, once each, and only from where we were told."""

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from campaigns import import_templates, importing, pulling
from campaigns.application import Application
from campaigns.db import database_now
from campaigns.models import Contact, Import, ImportPull
from dialer.errors import SettingsError
from dialer.settings import PullSettings
from dialer.settings_reading import load_settings
from tests import factories


@pytest.fixture
def spring(session: Session) -> None:
    factories.campaign(session, name="spring", state="draft")
    session.commit()


def pulling_from(application: Application, **settings: object) -> Application:
    pull = PullSettings(campaign="spring", **settings)  # type: ignore[arg-type]
    made = application.settings.model_copy(update={"pulls": {"crm": pull}})
    return replace(application, settings=made)


def put(folder: Path, name: str, content: str, *, age: float = 60) -> Path:
    file = folder / name
    file.write_text(content)
    at = file.stat().st_mtime - age
    os.utime(file, (at, at))
    return file


def run(app: Application) -> None:
    with app.transaction() as session:
        now: datetime = database_now(session)
        waiting = importing.waiting_imports(session, now)
    for import_id in waiting:
        importing.run_import(app.sessions, import_id, now=now)


def phones(app: Application) -> list[str]:
    with app.transaction() as session:
        return list(session.scalars(select(Contact.phone).order_by(Contact.id)))


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


# A folder ---------------------------------------------------------------------------------------------------


def test_a_file_is_imported_once_and_then_moved_to_done(application: Application, spring: None, inbox: Path) -> None:
    app = pulling_from(application, path=str(inbox))
    put(inbox, "b.csv", "phone\n0612345601\n", age=30)
    put(inbox, "a.csv", "phone\n0612345600\n", age=60)
    first = pulling.look(app, "crm", at_once=True)
    assert first is not None
    assert (first.file_name, first.trouble) == ("a.csv", "")
    assert pulling.look(app, "crm", at_once=True) == pulling.Looked()  # it is under way
    assert {one.name for one in inbox.iterdir()} == {"a.csv", "b.csv"}
    run(app)
    second = pulling.look(app, "crm", at_once=True)
    assert second is not None
    assert second.file_name == "b.csv"
    run(app)
    assert pulling.look(app, "crm", at_once=True) == pulling.Looked()
    assert {one.name for one in (inbox / "done").iterdir()} == {"a.csv", "b.csv"}
    assert phones(app) == ["+390612345600", "+390612345601"]
    with app.transaction() as session:
        assert session.scalars(select(Import.options["who"].as_string())).all() == ["import:crm"] * 2


def test_what_cannot_be_imported_goes_to_failed_with_the_reason(
    application: Application, spring: None, inbox: Path
) -> None:
    app = pulling_from(application, path=str(inbox))
    put(inbox, "bad.csv", "name\nAda\n", age=90)
    put(inbox, "empty.csv", "", age=60)
    assert pulling.look(app, "crm", at_once=True)
    run(app)
    looked = pulling.look(app, "crm", at_once=True)
    assert looked is not None
    assert looked.trouble.startswith("empty.csv: empty.csv is empty")
    assert {one.name for one in (inbox / "failed").iterdir()} == {
        "bad.csv", "bad.csv.why.txt", "empty.csv", "empty.csv.why.txt",
    }  # fmt: skip
    assert "no column holds the number" in (inbox / "failed" / "bad.csv.why.txt").read_text()
    with app.transaction() as session:
        assert pulling.overview(session, app.settings.pulls)[0]["trouble"] == looked.trouble


def test_a_file_still_being_written_a_link_and_another_name_are_left_alone(
    application: Application, spring: None, inbox: Path, tmp_path: Path
) -> None:
    app = pulling_from(application, path=str(inbox))
    put(inbox, "young.csv", "phone\n0612345600\n", age=0)
    put(inbox, "notes.txt", "phone\n0612345600\n")
    (inbox / "link.csv").symlink_to(put(tmp_path, "secret", "phone\n0612345600\n"))
    assert pulling.look(app, "crm", at_once=True) == pulling.Looked()


def test_a_new_file_under_the_old_name_is_not_taken_for_the_old_one(
    application: Application, spring: None, inbox: Path
) -> None:
    app = pulling_from(application, path=str(inbox))
    put(inbox, "a.csv", "phone\n0612345600\n")
    pulling.look(app, "crm", at_once=True)
    run(app)
    put(inbox, "a.csv", "phone\n0612345601\n")
    pulling.look(app, "crm", at_once=True)
    run(app)
    pulling.look(app, "crm", at_once=True)
    assert phones(app) == ["+390612345600", "+390612345601"]
    assert [one.read_text() for one in (inbox / "done").iterdir()] == ["phone\n0612345601\n"]


def test_only_one_of_many_schedulers_takes_a_turn(application: Application, spring: None, inbox: Path) -> None:
    app = pulling_from(application, path=str(inbox), every=3600.0)
    put(inbox, "a.csv", "phone\n0612345600\n")
    barrier, found = threading.Barrier(4), []

    def one() -> None:
        barrier.wait(60)
        found.append(pulling.look(app, "crm"))

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(looked is None for looked in found) == [False, True, True, True]
    assert pulling.look(app, "crm") is None
    with app.transaction() as session:
        session.get_one(ImportPull, "crm").looked_at -= timedelta(hours=1)
    assert pulling.look(app, "crm") is not None


def test_a_folder_that_is_missing_and_a_campaign_that_is_not_there_are_told(
    application: Application, spring: None, inbox: Path
) -> None:
    looked = pulling.look(pulling_from(application, path=str(inbox / "none")), "crm", at_once=True)
    assert looked is not None
    assert "there is no folder" in looked.trouble
    app = pulling_from(application, path=str(inbox))
    pulls = {"crm": app.settings.pulls["crm"].model_copy(update={"campaign": "sprng"})}
    app = replace(app, settings=app.settings.model_copy(update={"pulls": pulls}))
    put(inbox, "a.csv", "phone\n0612345600\n")
    looked = pulling.look(app, "crm", at_once=True)
    assert looked is not None
    assert "sprng" in looked.trouble
    assert (inbox / "a.csv").is_file()  # the settings are wrong, not the file


def test_a_pull_reads_by_its_template(application: Application, session: Session, spring: None, inbox: Path) -> None:
    import_templates.save(session, "crm", {"mapping": {"X": "phone"}}, who="ada", now=database_now(session))
    session.commit()
    app = pulling_from(application, path=str(inbox), template="crm")
    put(inbox, "a.csv", "X\n0612345600\n")
    pulling.look(app, "crm", at_once=True)
    run(app)
    assert phones(app) == ["+390612345600"]


# An address -------------------------------------------------------------------------------------------------


class Site(BaseHTTPRequestHandler):
    files: dict[str, tuple[int, dict[str, str], bytes]] = {}  # noqa: RUF012
    asked: list[tuple[str, str | None]] = []  # noqa: RUF012

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers.get("Authorization")))
        status, headers, body = self.files.get(self.path.partition("?")[0], (404, {}, b""))
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def site() -> Iterator[str]:
    Site.files, Site.asked = {}, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_an_address_is_read_and_read_again_only_when_it_changed(
    application: Application, spring: None, site: str
) -> None:
    app = pulling_from(application, url=f"{site}/list.csv?key=SECRET", authorization_env="CRM")
    Site.files["/list.csv"] = (200, {}, b"phone\n0612345600\n")
    looked = pulling.look(app, "crm", at_once=True, environ={"CRM": "Bearer s3cret"})
    assert looked is not None
    assert (looked.file_name, looked.trouble) == ("list.csv", "")
    run(app)
    assert pulling.look(app, "crm", at_once=True, environ={"CRM": "Bearer s3cret"}) == pulling.Looked()
    Site.files["/list.csv"] = (200, {}, b"phone\n0612345601\n")
    pulling.look(app, "crm", at_once=True, environ={"CRM": "Bearer s3cret"})
    run(app)
    assert phones(app) == ["+390612345600", "+390612345601"]
    assert Site.asked == [("/list.csv?key=SECRET", "Bearer s3cret")] * 3


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_no_redirect_is_followed(application: Application, spring: None, site: str, status: int) -> None:
    Site.files["/list.csv"] = (status, {"Location": f"{site}/other.csv"}, b"")
    Site.files["/other.csv"] = (200, {}, b"phone\n0612345600\n")
    looked = pulling.look(pulling_from(application, url=f"{site}/list.csv"), "crm", at_once=True)
    assert looked is not None
    assert "redirects are not followed" in looked.trouble
    assert [path for path, _ in Site.asked] == ["/list.csv"]


def test_no_proxy_of_the_environment_is_asked(
    application: Application, spring: None, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    Site.files["/list.csv"] = (200, {}, b"phone\n0612345600\n")
    looked = pulling.look(pulling_from(application, url=f"{site}/list.csv"), "crm", at_once=True)
    assert looked is not None
    assert looked.trouble == ""


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, {}, b""), "HTTP 404"),
        ((200, {"Content-Encoding": "gzip"}, b"x"), "compressed"),
        ((200, {}, b""), "is empty"),
    ],
)
def test_an_answer_that_is_no_file_is_told_without_the_secret(
    application: Application, spring: None, site: str, answer: tuple[int, dict[str, str], bytes], told: str
) -> None:
    Site.files["/list.csv"] = answer
    looked = pulling.look(pulling_from(application, url=f"{site}/list.csv?key=SECRET"), "crm", at_once=True)
    assert looked is not None
    assert (told in looked.trouble, "SECRET" in looked.trouble) == (True, False)


def test_a_file_larger_than_allowed_is_refused(
    application: Application, spring: None, site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pulling.pull_fetching, "SIZE_LIMIT", 10)
    Site.files["/list.csv"] = (200, {}, b"phone\n0612345600\n")
    looked = pulling.look(pulling_from(application, url=f"{site}/list.csv"), "crm", at_once=True)
    assert looked is not None
    assert "larger than" in looked.trouble
    assert not list((application.data_dir / "imports").iterdir())


def test_nobody_there_is_told(application: Application, spring: None) -> None:
    looked = pulling.look(pulling_from(application, url="http://127.0.0.1:9/x.csv?key=SECRET"), "crm", at_once=True)
    assert looked is not None
    assert ("cannot be read" in looked.trouble, "SECRET" in looked.trouble) == (True, False)


# Settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ('campaign = "x"', "either path"),
        ('campaign = "x"\npath = "/a"\nurl = "https://b.example/"', "either path"),
        ('campaign = "x"\nurl = "http://b.example/list.csv"', "plain http"),
        ('campaign = "x"\nurl = "https://me:pw@b.example/"', "user name"),
        ('campaign = "x"\nurl = "file:///etc/passwd"', "whole address"),
        ('path = "/a"', "campaign: is missing"),
    ],
)
def test_a_section_that_means_nothing_is_refused_at_the_start(tmp_path: Path, section: str, told: str) -> None:
    file = tmp_path / "dialer.toml"
    file.write_text(f"[import.crm]\n{section}\n")
    with pytest.raises(SettingsError) as caught:
        load_settings(file, {})
    assert told in str(caught.value)
    assert "pw@" not in str(caught.value)


def test_a_section_is_read_with_its_defaults(tmp_path: Path) -> None:
    file = tmp_path / "dialer.toml"
    file.write_text('[import.crm]\ncampaign = "spring"\npath = "/srv/in"\nevery = 60\n')
    pull = load_settings(file, {}).pulls["crm"]
    assert (pull.campaign, pull.path, pull.every, pull.pattern, pull.kind) == (
        "spring",
        "/srv/in",
        60,
        "*.csv",
        "contacts",
    )
