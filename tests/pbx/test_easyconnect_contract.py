"""EasyConnect keeps the promises of every PBX, against a peer on a real socket."""

import itertools
from collections.abc import Iterator

import pytest

from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Feature, WaitingLeg
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx import scripted
from tests.pbx.agent_first_peer import answer
from tests.pbx.contract import Fault, PbxContract
from tests.pbx.easyconnect_peer import EasyConnectPeer
from tests.pbx.scripted import Line, Received, Step, reply


def refuses(line: Line, _request: Received) -> None:
    answer(line, 403, '{"success": false, "message": "licence expired"}')


DEEP = "[" * 200_000
STEPS: dict[Fault, Step] = {
    Fault.REFUSES: refuses,
    Fault.CUT: scripted.cut,
    Fault.CUT_IN_THE_MIDDLE: scripted.cut_in_the_middle,
    Fault.SILENCE: scripted.silence,
    Fault.DRIP: scripted.drip,
    Fault.FLOOD: scripted.flood,
    Fault.SERVER_ERROR: reply("Internal Server Error", 500, "text/html"),
    Fault.NOT_FOUND: reply("<html>Not found</html>", 404, "text/html"),
    Fault.HTML: reply("<!DOCTYPE html><html><body>Log in</body></html>", 200, "text/html"),
    Fault.TRUNCATED: reply('{"callId": "5f0c', 200, "application/json"),
    Fault.BOMB: reply(DEEP, 200, "application/json"),
    Fault.EMPTY: reply(b""),
    Fault.REDIRECT: scripted.redirect,
}


class EasyConnectRig:
    """The adapter and its peer."""

    faults = frozenset(Fault)

    def __init__(self, patience: float, **extra: str) -> None:
        self.peer, self.patience = EasyConnectPeer(), patience
        settings = PbxSettings(
            kind="easyconnect",
            url=self.peer.url,
            token_env="KEY",
            timeout=patience,
            extra={"agents": "215=Anna, 216=Bert", "hang_up_path": "rcc/disconnectcall", **extra},
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
        return AgentOrder(f"a{next(self._refs)}", "215", "215")

    def for_agent(self) -> AgentFirstOrder:
        return AgentFirstOrder(f"f{next(self._refs)}", "215", "215", "+390612345678", "+390210001000")

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        return WaitingLeg("5f0c6a52-2f3c", "1"), WaitingLeg("5f0c6a52-2f3d", "2"), "215"

    def close(self) -> None:
        self.pbx.close()
        self.peer.close()


class TestEasyConnectKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, patience: float) -> Iterator[EasyConnectRig]:
        rig = EasyConnectRig(patience)
        yield rig
        rig.close()

    def test_it_rings_agents_first_and_can_end_calls_where_it_is_told_how(self, rig: EasyConnectRig) -> None:
        assert rig.pbx.features == {Feature.AGENT_FIRST, Feature.HANG_UP}
