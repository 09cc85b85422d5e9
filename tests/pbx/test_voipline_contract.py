"""VoIPLine keeps the promises of every PBX, against a peer on a real socket."""

import time
from collections.abc import Iterator

import pytest

from dialer.pbx.base import Feature, Metered
from dialer.pbx.registry import open_pbx
from dialer.pbx.request_book import LocalBook
from dialer.settings import PbxSettings
from tests.pbx.agent_first_rig import JSON_STEPS, AgentFirstRig
from tests.pbx.contract import Fault, PbxContract
from tests.pbx.scripted import Step, reply
from tests.pbx.voipline_peer import VoiplinePeer

STEPS: dict[Fault, Step] = {
    **JSON_STEPS,
    Fault.REFUSES: reply('{"status":"error","code":401,"message":"Not authorised"}', 401, "application/json"),
    Fault.TRUNCATED: reply('{"status":"success","data":[{"unique', 200, "application/json"),
}


def opened(patience: float) -> AgentFirstRig:
    peer = VoiplinePeer()
    settings = PbxSettings(
        kind="voipline", url=peer.url, token_env="KEY", timeout=patience, extra={"agents": "1010=Ten, 1011=Bert"}
    )
    environ = {"KEY": "key-1"}
    book = LocalBook(lambda: time.monotonic() + rig.later)
    pbx = open_pbx("main", settings, environ=environ, requests=book)
    calls = ("17", "18")
    rig = AgentFirstRig(pbx, peer, patience, steps=STEPS, extension="1010", calls=calls, environ=environ)
    return rig


class TestVoiplineKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, patience: float) -> Iterator[AgentFirstRig]:
        rig = opened(patience)
        yield rig
        rig.close()

    def test_it_rings_agents_first_and_its_account_is_metered(self, rig: AgentFirstRig) -> None:
        assert rig.pbx.features == {Feature.AGENT_FIRST, Feature.CALL_REPORT}
        assert isinstance(rig.pbx, Metered)
