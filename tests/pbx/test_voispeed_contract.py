"""VOIspeed keeps the promises of every PBX, against a server on a real socket."""

import itertools
from collections.abc import Iterator

import pytest

from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Payload, WaitingLeg
from dialer.pbx.voispeed import VoispeedPbx
from dialer.settings import PbxSettings
from tests.pbx import scripted
from tests.pbx.contract import Fault, PbxContract
from tests.pbx.scripted import Line, Received, ScriptedServer, Step, reply, sample

BOMB = (
    b'<?xml version="1.0"?><!DOCTYPE result [<!ENTITY a "aaaaaaaaaa">'
    + b"".join(b'<!ENTITY %c "&%c;&%c;&%c;&%c;">' % ((98 + i,) + (97 + i,) * 4) for i in range(20))
    + b"]><result><outcome>0</outcome><request_id>&u;</request_id></result>"
)
STEPS: dict[Fault, Step] = {
    Fault.REFUSES: reply(sample("refused.xml")),
    Fault.CUT: scripted.cut,
    Fault.CUT_IN_THE_MIDDLE: scripted.cut_in_the_middle,
    Fault.SILENCE: scripted.silence,
    Fault.DRIP: scripted.drip,
    Fault.FLOOD: scripted.flood,
    Fault.SERVER_ERROR: reply("Internal Server Error", 500, "text/html"),
    Fault.NOT_FOUND: reply("<html>The requested URL was not found</html>", 404, "text/html"),
    Fault.HTML: reply("<!DOCTYPE html><html><body>Log in</body></html>", 200, "text/html"),
    Fault.TRUNCATED: reply(sample("accepted.xml")[:80]),
    Fault.BOMB: reply(BOMB),
    Fault.EMPTY: reply(b""),
    Fault.REDIRECT: scripted.redirect,
    Fault.SLOW_DOWN: reply("slowly", 429, "text/plain"),
}


class ScriptedRig:
    """The adapter and the server it talks to."""

    faults = frozenset(Fault)

    def __init__(self, server: ScriptedServer, settings: PbxSettings) -> None:
        self.patience = settings.timeout
        self._environ = {"TOKEN": "secret"}
        self.pbx = VoispeedPbx("main", settings, environ=self._environ)
        self._server = server
        self._refs = itertools.count(1)

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        if fault is Fault.NOT_LISTENING:
            self._server.stop_listening()
        elif times is None:
            self._server.now = STEPS[fault]
        else:
            self._server.in_turn(*[STEPS[fault]] * times, scripted.usual)

    def expire(self) -> None:
        def strict(line: Line, request: Received) -> None:
            known = request.params.get("token") == "another"
            (scripted.usual if known else STEPS[Fault.REFUSES])(line, request)

        self._server.now = strict

    def renew(self) -> None:
        self._environ["TOKEN"] = "another"

    def drop(self) -> None:
        self._server.drop()

    def told(self) -> list[Payload]:
        return [Payload("GET", query) for query in scripted.events("answered_and_joined.txt")]

    def received(self) -> int:
        return len(self._server.requests)

    def customer(self) -> CustomerOrder:
        return CustomerOrder(f"c{next(self._refs)}", "+390612345678", "4", "+390210001000")

    def agent(self) -> AgentOrder:
        return AgentOrder(f"a{next(self._refs)}", "33", "233")

    def for_agent(self) -> AgentFirstOrder:
        return AgentFirstOrder(f"f{next(self._refs)}", "33", "233", "+390612345678", "+390210001000")

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        return WaitingLeg("9001", "502"), WaitingLeg("9002", "503"), "33"


class TestVoispeedKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, server: ScriptedServer, pbx_settings: PbxSettings, patience: float) -> Iterator[ScriptedRig]:
        rig = ScriptedRig(server, pbx_settings.model_copy(update={"timeout": patience}))
        yield rig
        rig.pbx.close()
