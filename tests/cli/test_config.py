from dataclasses import dataclass
from pathlib import Path

import pytest

from campaigns.effective import without_password
from dialer.settings import Settings
from dialer.settings_reading import load_settings
from tests.cli.conftest import Dialer

FILE = """
[web]
port = 9000
[database]
url = "postgresql://dialer:hunter2@db.example/dialer"
[pbx.main]
url = "https://pbx.example/PBX/seri_endpoint.php?token=hunter2"
token_env = "THE_TOKEN"
webhook_secret_file = "/no/such/file"
extra = { api_key = "hunter2", mode = "x" }
"""


@dataclass
class Loaded:
    """A context with settings and nothing else."""

    settings: Settings


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Dialer:
    path = tmp_path / "dialer.toml"
    path.write_text(FILE)
    monkeypatch.setenv("DIALER_CONFIG", str(path))
    monkeypatch.setenv("DIALER_WEB_HOST", "0.0.0.0")
    monkeypatch.setenv("DIALER_PBX_MAIN_TIMEOUT", "7")
    monkeypatch.setenv("THE_TOKEN", "hunter2")
    return Dialer(Loaded(load_settings()))


def test_each_value_is_told_with_its_origin(told: Dialer) -> None:
    settings = told.json("config", "show")["settings"]
    assert settings["web.port"] == {"value": 9000, "from": "file"}
    assert settings["web.host"] == {"value": "0.0.0.0", "from": "environment DIALER_WEB_HOST"}
    assert settings["pbx.main.timeout"] == {"value": 7.0, "from": "environment DIALER_PBX_MAIN_TIMEOUT"}
    assert settings["timing.tick"]["from"] == "default"


def test_only_what_was_changed(told: Dialer) -> None:
    settings = told.json("config", "show", "--changed")["settings"]
    assert "timing.tick" not in settings
    assert set(settings) == {
        "web.host", "web.port", "database.url", "pbx.main.url", "pbx.main.token_env", "pbx.main.webhook_secret_file",
        "pbx.main.timeout", "pbx.main.extra",
    }  # fmt: skip


def test_no_secret_is_shown_only_whether_it_is_there(told: Dialer) -> None:
    for text in (told.ok("config", "show"), str(told.json("config", "show"))):
        assert "hunter2" not in text
    settings = told.json("config", "show")["settings"]
    assert settings["pbx.main.token_env"]["value"] == "THE_TOKEN (set)"
    assert settings["pbx.main.webhook_secret_file"]["value"] == "/no/such/file (not there)"
    assert settings["pbx.main.extra"]["value"] == {"api_key": "***", "mode": "x"}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://a:b@c/d", "postgresql://a:***@c/d"),
        ("redis://:b@c:1/0", "redis://:***@c:1/0"),
        ("https://a:p@ss@c/d", "https://a:***@c/d"),
        ("https://c/d?Token=b&x=1#frag", "https://c/d?Token=***&x=1"),
        ("postgresql://c/d?password=b", "postgresql://c/d?password=***"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("http://[::1", "***"),
        ("", ""),
    ],
)
def test_an_address_is_shown_without_its_secrets(url: str, shown: str) -> None:
    assert without_password(url) == shown
