"""`dialer callbacks lists | pull | send`, and an agent's word that XiVO objects to: through the front door."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from campaigns.application import Application
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests import factories
from tests.cli.conftest import Dialer, OpenedContext
from tests.fakes import FakePbx
from tests.pbx.xuc_lists import CONFIG_TOKEN, LIST
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer

DATA = Path(__file__).parents[1] / "data"
EXTRA = {
    "agents": "1015=agent15, 1016=agent16", "callback_lists": "Liste de test=spring", "config_token_env": "CONFIG",
    "confirm_within": "1",
}  # fmt: skip


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    yield peer
    peer.close()


@pytest.fixture
def dialer(app: Application, session: Session, peer: XucPeer) -> Iterator[Dialer]:
    settings = PbxSettings(
        kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=3, extra={**EXTRA, "config_url": peer.url}
    )
    pbx = XivoPbx("main", settings, environ={"KEY": PASSWORD, "CONFIG": CONFIG_TOKEN})
    made = factories.campaign(session, name="spring", country="FR", time_zone="Europe/Paris")
    factories.agent(session, made, user_id="1015", extension="2015", name="Ann", said_by="person")
    session.commit()
    yield Dialer(OpenedContext(replace(app, pbxes={"main": pbx, "other": FakePbx()})))
    pbx.close()


def test_a_list_is_pulled_and_shown_with_what_is_in_the_way(dialer: Dialer, peer: XucPeer) -> None:
    assert "it was not read yet" in dialer.json("callbacks", "lists")["lists"][0]["trouble"]
    peer.lists.add()
    peer.lists.add("bad", phone="12", mobilePhoneNumber=None)
    (told,) = dialer.json("callbacks", "pull", "main")["lists"]
    assert (told["new"], told["refused"], told["requests"]) == (1, 1, 2)
    (shown,) = dialer.json("callbacks", "lists")["lists"]
    assert (shown["list"], shown["campaign"], shown["open"], shown["refused"]) == ("Liste de test", "spring", 2, 1)
    assert shown["troubles"][0]["request"] == "bad"
    row = dialer.json("callbacks", "list", "spring")["callbacks"][0]
    assert (row["phone"], row["list"]) == ("+33230210082", "Liste de test")
    peer.lists.hides = True
    refused = dialer("callbacks", "pull", "main")
    assert refused.exit_code == 1
    assert "shows no callback list" in refused.output


def test_the_manuals_own_file_is_given_to_xivo_as_it_is(dialer: Dialer, peer: XucPeer) -> None:
    file = DATA / "xivo_callbacks.csv"
    told = dialer.json("callbacks", "send", str(file), "--pbx", "main", "--list", "Liste de test")
    assert told["rows"] == 2
    assert peer.lists.imported == [(LIST, file.read_text("utf-8"))]


@pytest.mark.parametrize("text", ["", "phone;name\n1;x\n", "phoneNumber|nickname\n1|x\n"])
def test_another_form_is_refused_before_xivo_sees_it(dialer: Dialer, peer: XucPeer, tmp_path: Path, text: str) -> None:
    file = tmp_path / "other.csv"
    file.write_text(text, "utf-8")
    refused = dialer("callbacks", "send", str(file), "--pbx", "main", "--list", "Liste de test")
    assert refused.exit_code == 2
    assert "phoneNumber|mobilePhoneNumber|firstName" in refused.output
    assert peer.lists.imported == []


def test_a_pbx_without_lists_says_where_they_are(dialer: Dialer) -> None:
    for words in (("pull", "other"), ("send", str(DATA / "xivo_callbacks.csv"), "--pbx", "other", "--list", "x")):
        refused = dialer("callbacks", *words)
        assert refused.exit_code == 2
        assert "keeps no callback lists" in refused.output


def test_a_pause_is_seen_on_the_phone_and_another_phone_is_said(dialer: Dialer, peer: XucPeer) -> None:
    assert dialer.json("agent", "pause", "1015", "--reason", "lunch")["pbx_objects"] == ""
    assert peer.desks["1015"].state == "AgentOnPause"
    assert dialer.json("agent", "logout", "1015")["state"] == "out"
    peer.wrong_phone = "1002"
    told = dialer("agent", "login", "1015")
    assert told.exit_code == 0
    assert "logged in on phone 1002, and wanted 2015" in told.output
