"""`dialer pbx conformance` against each maker's peer, everything as it should be: nothing says "does not"."""

import pytest

from dialer.pbx.simulator.server import RunningPbx
from tests.conformance.stage import HOOK, OWN, Live, Told
from tests.pbx.ari_peer import AriPeer
from tests.pbx.easyconnect_peer import EasyConnectPeer
from tests.pbx.voipline_peer import VoiplinePeer
from tests.pbx.xuc_peer import XucPeer

pytestmark = pytest.mark.timeout(180)


def clean(told: Told) -> None:
    """Nothing is bad, and neither the output nor the report shows a number or the webhook's secret."""
    assert told.bad() == [], told.found["lines"]
    shown = str(told.found) + told.report
    assert OWN.removeprefix("+") not in shown
    assert HOOK not in shown
    assert "+39 06 ••• 5678" in told.report


def test_a_voispeed_can_do_every_mode(voispeed: tuple[Live, RunningPbx]) -> None:
    live, running = voispeed
    told = live.run()
    clean(told)
    assert told.found["calls"] == 6
    assert told.found["modes"]["seen"] == ["predictive", "progressive", "power", "preview", "manual", "agentless"]
    for check in ("our reference", "ringing", "reception", "found again", "hang up", "report", "park", "join"):
        assert set(told.verdicts(check)) == {"works"}, check
    assert running.station.world.exchange.live == {}


def test_an_asterisk_can_do_every_mode_and_takes_one_order_once(asterisk: tuple[Live, AriPeer]) -> None:
    live, peer = asterisk
    told = live.run()
    clean(told)
    assert told.found["modes"]["seen"] == ["predictive", "progressive", "power", "preview", "manual", "agentless"]
    for check in ("repeated order", "agent stays", "join", "message", "wrong number", "ring-out", "way of events"):
        assert "works" in told.verdicts(check), check
    assert (peer.channels, peer.bridges, peer.listeners) == ({}, {}, 0)


def test_a_xivo_rings_agents_first_and_the_run_decides_what_its_word_means(xivo: tuple[Live, XucPeer]) -> None:
    live, peer = xivo
    told = live.run()
    clean(told)
    assert told.found["modes"]["seen"] == ["progressive", "preview", "manual"]
    assert [(one["setting"], one["now"], one["value"]) for one in told.found["settings"]] == [
        ("pbx.main.extra.dialing_means", "unknown", "customer")
    ]
    assert "known by our reference" in told.line("found again", "works")["what"]
    assert all(call.ended for call in peer.book)


def test_a_xivo_that_dials_at_once_is_told_apart(xivo: tuple[Live, XucPeer]) -> None:
    live, peer = xivo
    peer.dials_at_once = True
    assert [one["value"] for one in live.run().found["settings"]] == ["agent"]


def test_an_easyconnect_knows_its_calls_by_their_id(easyconnect: tuple[Live, EasyConnectPeer]) -> None:
    live, peer = easyconnect
    told = live.run()
    clean(told)
    assert told.found["modes"]["seen"] == ["progressive", "preview", "manual"]
    assert [one["value"] for one in told.found["settings"]] == ["customer"]
    assert "the PBX's id of the call" in told.line("found again", "works")["what"]
    assert told.verdicts("clock") == ["works"]
    assert all(call.ended for call in peer.book)
    assert [call.customer_rang for call in peer.book] == [True, False, True]


@pytest.mark.usefixtures("hurried")
def test_an_easyconnect_that_rings_at_once_and_names_calls_anew(easyconnect: tuple[Live, EasyConnectPeer]) -> None:
    live, peer = easyconnect
    peer.rings_at_once, peer.by_get = True, True
    peer.other_ids = True
    told = live.run(code=1)
    assert [one["value"] for one in told.found["settings"]] == ["agent"]
    assert "agent and number" in told.line("found again", "works")["what"]
    assert told.bad() == ["hang up"]
    assert all(call.ended for call in peer.book)


def test_a_voipline_is_ended_by_the_people_on_it(voipline: tuple[Live, VoiplinePeer]) -> None:
    live, peer = voipline
    told = live.run()
    clean(told)
    assert told.found["modes"]["seen"] == ["progressive", "preview", "manual"]
    assert told.found["features"]["hang_up"] == "not offered"
    assert told.verdicts("end of the call") == ["works"]
    assert all(call.ended for call in peer.book)
