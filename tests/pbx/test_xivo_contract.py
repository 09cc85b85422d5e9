"""XiVO keeps the promises of every PBX, against a Xuc on real HTTP and real websockets."""

import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Feature, Payload, WaitingLeg
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx import scripted, xuc_peer
from tests.pbx.agent_first_peer import Call, Person, answer
from tests.pbx.contract import Fault, PbxContract
from tests.pbx.scripted import Line, Received, Step, reply
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer
from tests.waiting import until


def refuses(line: Line, _request: Received) -> None:
    answer(line, 403, '{"error":"InvalidCredentials","message":"who are you"}')


# Before anything was asked of it: the log-in and the address of the websocket.
BEFORE: dict[Fault, Step] = {
    Fault.REFUSES: refuses,
    Fault.NOT_FOUND: reply("<html>Not found</html>", 404, "text/html"),
    Fault.REDIRECT: scripted.redirect,
    Fault.SLOW_DOWN: reply("slowly", 429, "text/plain"),
}
# When a command has come.
AFTER: dict[Fault, xuc_peer.Fault] = {
    Fault.CUT: xuc_peer.cut,
    Fault.CUT_IN_THE_MIDDLE: xuc_peer.cut_in_the_middle,
    Fault.SILENCE: xuc_peer.silence,
    Fault.DRIP: xuc_peer.drip,
    Fault.FLOOD: xuc_peer.flood,
    Fault.SERVER_ERROR: xuc_peer.trouble,
    Fault.HTML: xuc_peer.says("<!DOCTYPE html><html><body>Log in</body></html>"),
    Fault.TRUNCATED: xuc_peer.says('{"msgType":"PhoneEvent","ctiMess'),
    Fault.BOMB: xuc_peer.says("[" * 200_000),
    Fault.EMPTY: xuc_peer.says(""),
}


class XivoRig:
    """The adapter and its peer."""

    faults = frozenset(Fault)

    def __init__(self, patience: float) -> None:
        self.peer, self.patience = XucPeer(), patience
        self.peer.customers["390612345600"] = Person(answers_after=0.0, talks=60.0)
        settings = PbxSettings(
            kind="xivo",
            url=self.peer.url,
            user=BOSS,
            token_env="KEY",
            timeout=patience,
            extra={"agents": "1015=agent15, 1016=agent16", "confirm_within": str(patience)},
        )
        self._environ = {"KEY": PASSWORD}
        self.pbx = open_pbx("main", settings, environ=self._environ)
        self._refs = itertools.count(1)

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        if fault is Fault.NOT_LISTENING:
            self.peer.server.stop_listening()
        elif fault in BEFORE:
            self.peer.server.now = BEFORE[fault]
        else:
            self.peer.fault, self.peer.fault_times = AFTER[fault], times

    def received(self) -> int:
        return self.peer.counted

    def customer(self) -> CustomerOrder:
        return CustomerOrder(f"c{next(self._refs)}", "+390612345678", "1", "+390210001000")

    def agent(self) -> AgentOrder:
        return AgentOrder(f"a{next(self._refs)}", "1015", "2015")

    def for_agent(self) -> AgentFirstOrder:
        return AgentFirstOrder(f"f{next(self._refs)}", "1015", "2015", "+390612345678", "+390210001000")

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        call = self.peer.start("2016", "390612345600")
        until(lambda: call.pickup is not None)
        return WaitingLeg(f"{call.id}@1016", "1"), WaitingLeg("5f0c@1015", "2"), "1015"

    def expire(self) -> None:
        """The token ends, and the password it came for is another by now."""
        self.peer.forget_tokens()
        self._password("another")

    def renew(self) -> None:
        self._environ["KEY"] = "another"

    def _password(self, password: str) -> None:
        self.peer.passwords = dict.fromkeys([BOSS, *(desk.login for desk in self.peer.desks.values())], password)

    def drop(self) -> None:
        self.peer.quiet()
        self.peer.server.drop()

    def told(self) -> list[Payload]:
        call = Call("1770091506.9", "2015", "390612345678", datetime.now(UTC))
        self.peer.attached[call.id] = {"dref": "d1-c9"}
        kinds = ("EventDialing", "EventEstablished", "EventReleased")
        frames = ({"msgType": "PhoneEvent", "ctiMessage": self.peer._event(call, kind)} for kind in kinds)
        return [Payload("WS", "agent=1015", json.dumps(frame).encode(), "application/json") for frame in frames]

    def close(self) -> None:
        self.pbx.close()
        self.peer.close()


class TestXivoKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, patience: float) -> Iterator[XivoRig]:
        rig = XivoRig(patience)
        yield rig
        rig.close()

    def test_it_rings_agents_first_sees_who_is_ready_and_can_end_a_call(self, rig: XivoRig) -> None:
        assert rig.pbx.features == {Feature.AGENT_FIRST, Feature.PRESENCE, Feature.HANG_UP}
