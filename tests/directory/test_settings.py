"""[directory.NAME]: what is refused, what the environment changes, and what is shown of it."""

import subprocess
import sys
from pathlib import Path

import pytest

from campaigns.effective import effective
from dialer.errors import SettingsError
from dialer.settings import DirectorySettings, Settings
from dialer.settings_reading import load_settings
from workers import redaction
from workers.wiring import _keep_out_of_logs

SECTION = """
[directory.office]
url = "https://xc5.example/api-sys"
account = "sales.example.net"
user = "dialer@sales.example.net"
password_env = "XC5_PASSWORD"
"""


def load(tmp_path: Path, more: str = "", environ: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "dialer.toml"
    file.write_text(SECTION + more)
    return load_settings(file, environ or {})


def test_a_section_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    environ = {"DIALER_DIRECTORY_OFFICE_TIMEOUT": "3", "DIALER_DIRECTORY_OFFICE_REGISTERED_WORDS": "online, up"}
    office = load(tmp_path, "", environ).directory["office"]
    assert (office.url, office.timeout) == ("https://xc5.example/api-sys/", 3.0)
    assert office.registered_words == ("online", "up")
    assert office.requests_per_second == 2.0


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ('password = "hunter2"\n', "directory.office.password: there is no such setting"),
        ("timeuot = 3\n", "did you mean timeout?"),
        ("member_order = 300\n", "member_order must be below last_order"),
        ('[directory."a b"]\nurl = "https://x/"\naccount = "t"\n', "cannot be a directory's name"),
        (
            '[directory.x]\nurl = "https://x/?key=hunter2"\naccount = "t"\n',
            "x.url: must be the whole address",
        ),
        ('[pbx.x]\nkind = "xc5"\nurl = "https://x/"\n', "xc5 places no calls: write the section as [directory.NAME]"),
        ('[directory.x]\nkind = "ldap"\nurl = "https://x/"\naccount = "t"\n', "directory.x.kind"),
    ],
)
def test_wrong_values_are_named_and_no_secret_with_them(tmp_path: Path, more: str, said: str) -> None:
    with pytest.raises(SettingsError) as caught:
        load(tmp_path, more)
    assert said in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_config_show_tells_where_the_password_is_and_not_what_it_is(tmp_path: Path) -> None:
    environ = {"XC5_PASSWORD": "hunter2"}
    shown = {one.name: one for one in effective(load(tmp_path), tmp_path / "dialer.toml", environ)}
    assert shown["directory.office.password_env"].value == "XC5_PASSWORD (set)"
    assert shown["directory.office.account"].origin == "file"
    assert "hunter2" not in str(shown)


def test_the_password_is_kept_out_of_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XC5_PASSWORD", "a-long-canary-of-this-test")
    section = DirectorySettings(url="https://x/", account="t", password_env="XC5_PASSWORD")
    _keep_out_of_logs("office", section)
    assert "a-long-canary-of-this-test" not in redaction.redact("told a-long-canary-of-this-test")


def test_naming_the_registry_loads_no_http_library() -> None:
    loaded = "import sys, dialer.directory.registry; print(sorted({'httpx', 'stamina'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
