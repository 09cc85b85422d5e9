"""VoIPLine keeps the promises of every PBX, against a peer on a real socket."""

import itertools
from collections.abc import Iterator

import pytest

from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Feature, Metered, WaitingLeg
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx.contract import Fault, PbxContract
from tests.pbx.scripted import Step, reply
from tests.pbx.test_easyconnect_contract import STEPS as EASYCONNECT_STEPS
from tests.pbx.voipline_peer import VoiplinePeer

STEPS: dict[Fault, Step] = {
    **EASYCONNECT_STEPS,
    Fault.REFUSES: reply('{"status":"error","code":401,"message":"Not authorised"}', 401, "application/json"),
    Fault.TRUNCATED: reply('{"status":"success","data":[{"unique', 200, "application/json"),
}


class VoiplineRig:
    """The adapter and its peer."""

    faults = frozenset(Fault)

    def __init__(self, patience: float) -> None:
        self.peer, self.patience = VoiplinePeer(), patience
        settings = PbxSettings(
            kind="voipline",
            url=self.peer.url,
            token_env="KEY",
            timeout=patience,
            extra={"agents": "1010=Ten, 1011=Bert"},
        )
        self.pbx = open_pbx("main", settings, environ={"KEY": "key-1"})
        self._refs = itertools.count(1)

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        server = self.peer.server
        if fault is Fault.NOT_LISTENING:
            server.stop_listening()
        elif times is None:
            server.now = STEPS[fault]
        else:
            server.in_turn(*[STEPS[fault]] * times, self.peer.usual)

    def received(self) -> int:
        return len(self.peer.server.requests)

    def customer(self) -> CustomerOrder:
        return CustomerOrder(f"c{next(self._refs)}", "+390612345678", "1", "+390210001000")

    def agent(self) -> AgentOrder:
        return AgentOrder(f"a{next(self._refs)}", "1010", "1010")

    def for_agent(self) -> AgentFirstOrder:
        return AgentFirstOrder(f"f{next(self._refs)}", "1010", "1010", "+390612345678", "+390210001000")

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        return WaitingLeg("17", "1"), WaitingLeg("18", "2"), "1010"

    def close(self) -> None:
        self.pbx.close()
        self.peer.close()


class TestVoiplineKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, patience: float) -> Iterator[VoiplineRig]:
        rig = VoiplineRig(patience)
        yield rig
        rig.close()

    def test_it_rings_agents_first_and_its_account_is_metered(self, rig: VoiplineRig) -> None:
        assert rig.pbx.features == {Feature.AGENT_FIRST, Feature.CALL_REPORT}
        assert isinstance(rig.pbx, Metered)
