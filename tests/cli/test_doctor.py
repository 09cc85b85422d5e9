from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns.application import Application
from dialer.clock import SystemClock
from dialer.errors import ServiceUnreachable, SettingsError
from dialer.pbx import registry
from dialer.settings import Settings
from tests.cli.conftest import Dialer, ListedPbx


@dataclass
class Broken:
    """A context whose settings or database do not come."""

    known: Settings | None = None

    @property
    def settings(self) -> Settings:
        if self.known is None:
            raise SettingsError("settings (dialer.toml): one value is wrong\n  web.port: must be a number")
        return self.known

    def application(self) -> AbstractContextManager[Application]:
        raise ServiceUnreachable("PostgreSQL cannot be reached: connection refused; check database.url")


def test_everything_is_looked_at_and_told_by_area(
    dialer: Dialer, app: Application, pbx: ListedPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "open_pbx", lambda *_, **__: pbx)
    app.clock = SystemClock()
    told = dialer("doctor").stdout
    for area in ("Settings\n", "Machine\n", "Redis\n", "PBX main\n", "Database\n", "Processes\n", "Events\n"):
        assert area in told, area
    checks = dialer("doctor", "--json").stdout
    assert '"checks"' in checks


def test_wrong_settings_are_told_and_end_with_1() -> None:
    result = Dialer(Broken())("doctor")
    assert result.exit_code == 1
    assert "✗ the settings are wrong" in result.stdout
    assert "web.port: must be a number" in result.stdout
    assert "1 fault, 0 warnings" in result.stdout


def test_a_service_that_is_away_ends_with_6(tmp_path: Path) -> None:
    context = Broken(Settings(data_dir=tmp_path))
    told = Dialer(context).json("doctor", code=6)
    assert [check["area"] for check in told["checks"] if check["unreachable"]] == ["database"]
    assert told["ok"] is False
