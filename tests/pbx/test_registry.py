"""From a name in the settings to an adapter."""

import subprocess
import sys
import tomllib
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from dialer.errors import SettingsError
from dialer.pbx.base import CustomerOrder, Feature
from dialer.pbx.registry import open_pbx
from dialer.pbx_kinds import KINDS
from dialer.settings import PbxSettings, Settings

URL = "http://127.0.0.1:9100/PBX/seri_endpoint.php"


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_we_speak_to_opens_with_no_request_and_no_secret(kind: str) -> None:
    settings = PbxSettings.model_validate(
        {"kind": kind, "url": URL, "token_env": "NOT_SET", "reception_ivr": 17, "user": "dialer", "trunks": {"t": 9}}
    )
    pbx = open_pbx("main", settings, environ={})
    assert pbx.name == "main"
    assert pbx.features & {Feature.CUSTOMER_FIRST, Feature.AGENT_FIRST}
    pbx.close()


def test_a_kind_of_a_later_release_says_so() -> None:
    later = PbxSettings(url=URL).model_copy(update={"kind": "tins_on_a_string"})
    with pytest.raises(SettingsError, match=r"pbx\.main\.kind: tins_on_a_string is not in this release"):
        open_pbx("main", later)


def test_a_world_in_this_process_takes_the_network_s_place() -> None:
    def world(request: httpx.Request) -> httpx.Response:
        assert request.url.params["service"] == "call_request_ext"
        return httpx.Response(200, text="<result><outcome>0</outcome><request_id>7</request_id></result>")

    settings = PbxSettings(kind="simulator", url=URL, token_env="TOKEN", reception_ivr=17)
    pbx = open_pbx("sim", settings, environ={"TOKEN": "simulator"}, transport=httpx.MockTransport(world))
    assert pbx.call_customer(CustomerOrder("1", "+390612345678", "4", "0210001000")) == "7"


def test_naming_the_registry_loads_no_http_library() -> None:
    loaded = "import sys, dialer.pbx.registry; print(sorted({'httpx', 'stamina', 'defusedxml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_a_kind_nobody_speaks_is_refused_with_those_there_are_and_the_others_are_named_as_well() -> None:
    told = {"pbx": {"a": {"kind": "tins_on_a_string", "url": URL}, "b": {"kind": "xc5", "url": URL}}}
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate(told)
    assert f"use {', '.join(KINDS)}" in str(caught.value)
    assert "[directory.NAME]" in str(caught.value)


def test_every_kind_has_a_page_of_docs() -> None:
    for kind in KINDS.values():
        assert (Path(__file__).parents[2] / kind.page).is_file()


def test_every_adapter_of_the_table_is_kept_apart_from_the_others() -> None:
    linted = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["tool"]["importlinter"]
    lists = [one.get("protected_modules") or one.get("modules") or [] for one in linted["contracts"]]
    holding = [names for names in lists if "dialer.pbx.voispeed" in names]
    assert len(holding) == 2
    for kind in KINDS.values():
        assert all(kind.adapter.partition(":")[0] in names for names in holding)
