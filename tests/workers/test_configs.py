"""The configurations we ship are read, complete and true."""

import re
from pathlib import Path

import pytest

from dialer.errors import SettingsError
from dialer.settings import DirectorySettings, PbxSettings, PullSettings, Settings, TimingSettings
from dialer.settings_reading import load_settings
from workers.up import processes

CONFIGS = Path(__file__).parents[2] / "configs"
REMARK = re.compile(r"^# (?=[a-z_]+ = |\[pbx|\[directory|\[import)", re.MULTILINE)


@pytest.mark.parametrize("name", ["development.toml", "production.example.toml", "asterisk.example.toml"])
def test_a_shipped_configuration_is_accepted(name: str) -> None:
    settings = load_settings(CONFIGS / name, {})
    assert (
        settings.pbx["main"].kind == "asterisk"
        or settings.pbx["main"].webhook_secret_env
        or settings.pbx["main"].webhook_secret_file
    )


def test_the_example_shows_every_setting_of_a_pbx_and_every_time() -> None:
    text = (CONFIGS / "production.example.toml").read_text()
    sections = (TimingSettings, PbxSettings, DirectorySettings, PullSettings, Settings)
    named = {name for section in sections for name in section.model_fields} - {"extra", "pbx", "directory", "pulls"}
    assert not [name for name in named if not re.search(rf"^(# )?\[?(pbx\.main\.)?{name}\b", text, re.MULTILINE)]


def test_what_the_example_shows_behind_a_mark_are_the_defaults(tmp_path: Path) -> None:
    text = (CONFIGS / "production.example.toml").read_text()
    text = re.sub(r'^# \w+_env = "\w+".*$', "", text, flags=re.MULTILINE)  # another way to name a secret
    text = re.sub(r"^# url = .*instead of path.*$", "", text, flags=re.MULTILINE)  # another place to read from
    (tmp_path / "all.toml").write_text(REMARK.sub("", text))
    settings = load_settings(tmp_path / "all.toml", {})
    assert settings.timing == TimingSettings()
    shown = settings.pbx["main"].model_dump()
    changed = {name for name, value in PbxSettings(url="http://x").model_dump().items() if shown[name] != value}
    pull = settings.pulls["crm"]
    assert pull == PullSettings(campaign=pull.campaign, path=pull.path, template=pull.template)
    office = settings.directory["office"]
    named = {"url": office.url, "account": office.account, "user": office.user, "password_file": office.password_file}
    assert office == DirectorySettings(**named, pbx="main")
    assert changed == {
        *("url", "token_file", "webhook_secret_file", "webhook_allow"),
        *("reception_ivr", "waiting_ivr", "abandon_ivr", "gateways"),
    }


def test_the_units_run_commands_that_exist_and_give_them_time_to_stop() -> None:
    units = {path.name: path.read_text() for path in (CONFIGS / "systemd").glob("*.service")}
    commands = {re.search(r"^ExecStart=\S+/dialer (.*)$", text, re.MULTILINE)[1] for text in units.values()}  # type: ignore[index]
    assert commands == {"web", "worker", "scheduler", "listener", "db upgrade"}
    assert all("NoNewPrivileges=yes" in text and "User=dialer" in text for text in units.values())


def test_up_starts_a_listener_only_where_a_pbx_needs_one() -> None:
    asterisk = load_settings(CONFIGS / "asterisk.example.toml", {})
    assert processes(asterisk, 2, 1) == ["web", "worker-1", "worker-2", "scheduler", "listener"]
    voispeed = load_settings(CONFIGS / "development.toml", {})
    assert processes(voispeed, 1, 1) == ["web", "worker", "scheduler"]


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "settings (FILE): one value is wrong\n  web.port: Input"),
        ({"DIALER_WEB": ""}, "settings (FILE): one value is wrong\n  web.port: Input"),
        ({"DIALER_TIMING_TICK": "x"}, "settings (FILE): 2 values are wrong\n  web.port: Input"),
        (
            {"DIALER_WEB_PORT": "-4"},
            "settings (environment): one value is wrong\n  web.port (environment DIALER_WEB_PORT): ",
        ),
        (
            {"DIALER_WEB_PORT": "1", "DIALER_PBX_MAIN_TIMEOUT": "x"},
            "  pbx.main.timeout (environment DIALER_PBX_MAIN_TIMEOUT): ",
        ),
    ],
)
def test_a_wrong_value_is_looked_for_where_it_was_given(tmp_path: Path, environ: dict[str, str], told: str) -> None:
    path = tmp_path / "dialer.toml"
    path.write_text('[web]\nport = -1\n[pbx.main]\nurl = "http://127.0.0.1:9"\n')
    with pytest.raises(SettingsError) as caught:
        load_settings(path, environ)
    assert told.replace("FILE", str(path)) in str(caught.value)
