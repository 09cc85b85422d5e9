"""EasyConnect keeps the promises of every PBX, against a peer on a real socket."""

from collections.abc import Iterator

import pytest

from dialer.pbx.base import Feature
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx.agent_first_rig import JSON_STEPS, AgentFirstRig
from tests.pbx.contract import Fault, PbxContract
from tests.pbx.easyconnect_peer import EasyConnectPeer
from tests.pbx.scripted import Step, reply

STEPS: dict[Fault, Step] = {
    **JSON_STEPS,
    Fault.REFUSES: reply('{"success": false, "message": "licence expired"}', 403, "application/json"),
    Fault.TRUNCATED: reply('{"callId": "5f0c', 200, "application/json"),
}


def opened(patience: float) -> AgentFirstRig:
    peer = EasyConnectPeer()
    settings = PbxSettings(
        kind="easyconnect",
        url=peer.url,
        token_env="KEY",
        timeout=patience,
        extra={"agents": "215=Anna, 216=Bert", "hang_up_path": "rcc/disconnectcall"},
    )
    environ = {"KEY": "key-1"}
    pbx = open_pbx("main", settings, environ=environ)
    calls = ("5f0c6a52-2f3c", "5f0c6a52-2f3d")
    return AgentFirstRig(pbx, peer, patience, steps=STEPS, extension="215", calls=calls, environ=environ)


class TestEasyConnectKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, patience: float) -> Iterator[AgentFirstRig]:
        rig = opened(patience)
        yield rig
        rig.close()

    def test_it_rings_agents_first_and_can_end_calls_where_it_is_told_how(self, rig: AgentFirstRig) -> None:
        assert rig.pbx.features == {Feature.AGENT_FIRST, Feature.HANG_UP}
