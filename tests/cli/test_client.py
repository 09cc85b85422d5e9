from dataclasses import replace
from pathlib import Path

import pytest

from campaigns.application import Application
from dialer.settings import WebSettings
from tests.cli.conftest import Dialer, OpenedContext


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "etc" / "clients"


@pytest.fixture
def dialer(app: Application, file: Path) -> Dialer:
    settings = app.settings.model_copy(update={"web": WebSettings(clients_file=str(file))})
    return Dialer(OpenedContext(replace(app, settings=settings)))


def test_a_token_is_shown_once_and_its_digest_kept(dialer: Dialer, file: Path) -> None:
    made = dialer("client", "new", "crm", "--until", "2027-01-01")
    assert made.exit_code == 0
    token = made.stdout.strip()
    assert len(token) == 43
    assert "shown this once" in made.stderr
    assert token not in file.read_text()
    assert dialer.json("client", "list") == {"clients": [{"client": "crm", "until": "2027-01-01"}]}
    assert dialer("client", "new", "crm").exit_code == 2
    assert "no longer good" in dialer.ok("client", "remove", "crm")
    assert dialer("client", "remove", "crm").exit_code == 4
    assert "dialer client new NAME" in dialer("client", "list").stderr


def test_without_a_file_the_setting_is_named(app: Application) -> None:
    told = Dialer(OpenedContext(app))("client", "new", "crm")
    assert told.exit_code == 2
    assert "DIALER_WEB_CLIENTS_FILE" in told.output


def test_a_time_is_no_day(dialer: Dialer) -> None:
    assert dialer("client", "new", "crm", "--until", "2027-01-01 10:00").exit_code == 2
