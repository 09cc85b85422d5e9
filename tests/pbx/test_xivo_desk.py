"""What an agent says to the dialer told XiVO, and XiVO's own figures, over real websockets."""

from collections.abc import Callable, Iterator

import pytest

from dialer.errors import PbxRefused, PbxUnavailable
from dialer.pbx.callback_lists import HearsAgents, TellsFigures
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    yield peer
    peer.close()


@pytest.fixture
def opened(peer: XucPeer) -> Iterator[Callable[..., XivoPbx]]:
    made: list[XivoPbx] = []

    def opened(**options: str) -> XivoPbx:
        extra = {"agents": "1015=agent15, 1016=agent16, 1017=nobody", **options}
        settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=2, extra=extra)
        made.append(XivoPbx("main", settings, environ={"KEY": PASSWORD}))
        return made[-1]

    yield opened
    for one in made:
        one.close()


def sent(peer: XucPeer) -> list[tuple[str, dict[str, object]]]:
    return [one for one in peer.commands if "gent" in one[0] and not one[0].startswith("get")]


def test_each_word_is_the_command_of_xivos_own_client(peer: XucPeer, opened: Callable[..., XivoPbx]) -> None:
    pbx = opened()
    assert isinstance(pbx, HearsAgents)
    assert pbx.hears_agents
    for verb, reason in (("pause", "lunch"), ("ready", ""), ("logout", ""), ("login", "")):
        pbx.tell_agent("1015", verb, phone="2015", reason=reason)
    assert sent(peer) == [
        ("pauseAgent", {"agentid": 42, "reason": "lunch"}),
        ("unpauseAgent", {"agentid": 42}),
        ("agentLogout", {"agentid": 42}),
        ("agentLogin", {"agentphonenumber": "2015", "agentid": 42}),
    ]
    assert peer.desks["1015"].state == "AgentReady"


def test_what_is_so_already_is_not_said_again(peer: XucPeer, opened: Callable[..., XivoPbx]) -> None:
    pbx = opened()
    pbx.tell_agent("1015", "ready", phone="2015")
    pbx.tell_agent("1015", "login", phone="2015")
    peer.move(42, "AgentOnPause")
    pbx.tell_agent("1015", "pause", phone="2015", reason="lunch")
    peer.move(42, "AgentLoggedOut")
    pbx.tell_agent("1015", "logout", phone="2015")
    assert sent(peer) == []
    peer.move(42, "AgentOnWrapup")
    pbx.tell_agent("1015", "ready", phone="2015")
    assert [name for name, _ in sent(peer)] == ["unpauseAgent"], "a wrap-up is ended"


def test_another_phone_and_an_agent_who_is_out_are_said(peer: XucPeer, opened: Callable[..., XivoPbx]) -> None:
    pbx = opened()
    peer.desks["1015"].state, peer.wrong_phone = "AgentLoggedOut", "1002"
    with pytest.raises(PbxRefused, match="agent 1015 is logged in on phone 1002, and wanted 2015"):
        pbx.tell_agent("1015", "login", phone="2015")
    with pytest.raises(PbxRefused, match="not logged in at XiVO"):
        pbx.tell_agent("1015", "pause", phone="2015", reason="lunch")
    with pytest.raises(PbxRefused, match="XiVO lists no agent 1017"):
        pbx.tell_agent("1017", "login", phone="2017")


def test_a_word_that_nobody_carries_out_is_not_believed(peer: XucPeer, opened: Callable[..., XivoPbx]) -> None:
    pbx = opened(confirm_within="0.3")
    peer.deaf_to_agents = True
    with pytest.raises(PbxUnavailable):
        pbx.tell_agent("1015", "pause", phone="2015", reason="lunch")
    peer.move(42, "AgentOnCall")
    pbx.tell_agent("1015", "pause", phone="2015", reason="lunch")  # shown when the call is over


def test_words_may_be_kept_to_ourselves(opened: Callable[..., XivoPbx]) -> None:
    assert not opened(agent_words="kept").hears_agents


def test_figures_are_read_in_xivos_names_and_in_ours(opened: Callable[..., XivoPbx]) -> None:
    pbx = opened()
    assert isinstance(pbx, TellsFigures)
    told = {(one.kind, one.key): one for one in pbx.read_figures()}
    assert set(told) == {("agent", "1015"), ("agent", "1016"), ("queue", "travels")}
    assert told["agent", "1015"].known == {"ready": 434.0, "paused": 60.0, "wrap_up": 30.0, "calls_out": 7.0}
    assert told["agent", "1015"].figures["LoginDateTime"] == "2026-04-27T08:15:01.081+02:00"
    queue = told["queue", "travels"]
    assert queue.name == "Travels"
    assert queue.known == {"entered": 20.0, "abandoned": 19.0, "waiting": 1.0}, "by its id and by its name: one queue"
