from dataclasses import replace

import pytest
from sqlalchemy.orm import Session

from campaigns.application import Application
from campaigns.models import PbxStatus
from dialer.errors import PbxUnavailable
from dialer.pbx import registry
from dialer.pbx.base import Finding
from dialer.settings import PbxSettings
from tests import factories
from tests.cli.conftest import Dialer, ListedPbx, OpenedContext

STRONG = "kq3v9ZC1xT7pWm5RaB2dYh8sNf4gLj6E"


@pytest.fixture
def checked(app: Application, pbx: ListedPbx, monkeypatch: pytest.MonkeyPatch) -> Dialer:
    """The command line with a PBX section that is in order, leading to the test's PBX."""
    section = PbxSettings(url="http://127.0.0.1:9/x", token_env="T", webhook_secret_env="W")
    monkeypatch.setenv("T", "token")
    monkeypatch.setenv("W", STRONG)
    monkeypatch.setattr(registry, "open_pbx", lambda *_, **__: pbx)
    pbx.findings = [Finding(True, "the PBX answers and takes the token")]
    return Dialer(OpenedContext(replace(app, settings=app.settings.model_copy(update={"pbx": {"main": section}}))))


def test_the_list_shows_address_lines_and_trouble_and_no_secret(
    dialer: Dialer, app: Application, session: Session
) -> None:
    gateway = {"id": "4", "name": "a", "enabled": True, "registered": True, "lines": 10, "busy_lines": 3}
    session.add(PbxStatus(pbx="main", read_at=factories.NOW, gateways=[gateway], trouble="slow"))
    session.commit()
    section = PbxSettings(url="https://user:hunter2@pbx.example/x?token=hunter2&a=1")
    app.settings.pbx["main"] = section
    told = dialer.ok("pbx", "list")
    assert "3/10" in told
    assert "slow" in told
    assert "hunter2" not in told + str(dialer.json("pbx", "list"))


def test_no_pbx_says_how_to_get_one(dialer: Dialer, app: Application) -> None:
    app.settings.pbx.clear()
    assert "[pbx.NAME]" in dialer("pbx", "list").stderr


def test_a_sound_pbx_is_fit_for_calling(checked: Dialer) -> None:
    result = checked("pbx", "check", "main")
    assert result.exit_code == 0
    assert "✓ the PBX answers and takes the token" in result.stdout
    assert "! no event has ever come from PBX main" in result.stdout
    assert "PBX main is fit for calling" in result.stdout
    told = checked.json("pbx", "check", "main")
    assert (told["ok"], told["error"]) == (True, None)


def test_a_fault_is_told_with_its_remedy_and_ends_with_1(checked: Dialer, pbx: ListedPbx) -> None:
    pbx.findings = [Finding(False, "gateway 4 is not registered", "check its account"), Finding(True, "users")]
    result = checked("pbx", "check", "main")
    assert result.exit_code == 1
    assert "✗ gateway 4 is not registered\n  → check its account" in result.stdout
    assert "not fit for calling: 1 fault" in result.stdout


def test_a_pbx_that_is_away_ends_with_6_and_what_the_settings_say(checked: Dialer, pbx: ListedPbx) -> None:
    pbx.trouble = PbxUnavailable("main", "connection refused")
    result = checked("pbx", "check", "main")
    assert result.exit_code == 6
    assert "✓ the webhook secret is strong" in result.stdout
    assert "error: PBX main: connection refused" in result.stderr
    assert checked.json("pbx", "check", "main", code=6)["ok"] is False


def test_a_missing_token_is_a_fault_of_the_settings(checked: Dialer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("T")
    result = checked("pbx", "check", "main")
    assert result.exit_code == 1
    assert "export T=" in result.stdout


def test_a_pbx_nobody_has_is_not_found_and_those_there_are_named(checked: Dialer) -> None:
    result = checked("pbx", "check", "branch")
    assert (result.exit_code, "there are: main" in result.stderr) == (4, True)
