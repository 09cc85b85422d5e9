"""Asterisk keeps the promises of every PBX, against a small one on a real socket."""

import itertools
import json
from collections.abc import Iterator

import pytest

from dialer.pbx.asterisk import AsteriskPbx
from dialer.pbx.asterisk_events import talk_bridge
from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Payload, WaitingLeg
from dialer.settings import PbxSettings
from tests.pbx import scripted
from tests.pbx.ari_peer import PASSWORD, AriPeer
from tests.pbx.contract import Fault, PbxContract
from tests.pbx.scripted import Line, Received, Step, reply

GOOD = json.dumps([{"id": "d1-c1", "resource": "trunk"}] * 40)


def half(line: Line, _request: Received) -> None:
    """Promise a whole answer and hang up half-way."""
    line.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(GOOD)}\r\n\r\n{GOOD[:50]}".encode())
    line.keep = False


def drip(line: Line, _request: Received) -> None:
    """Send a good answer one byte at a time."""
    answer = f"HTTP/1.1 200 OK\r\nContent-Length: {len(GOOD)}\r\n\r\n{GOOD}".encode()
    for at in range(len(answer)):
        if line.closing.wait(0.05):
            break
        line.send(answer[at : at + 1])
    line.keep = False


STEPS: dict[Fault, Step] = {
    Fault.REFUSES: reply('{"message": "Invalid parameter"}', 400, "application/json"),
    Fault.CUT: scripted.cut,
    Fault.CUT_IN_THE_MIDDLE: half,
    Fault.SILENCE: scripted.silence,
    Fault.DRIP: drip,
    Fault.FLOOD: scripted.flood,
    Fault.SERVER_ERROR: reply("Internal Server Error", 500, "text/html"),
    Fault.NOT_FOUND: reply("<html>The requested URL was not found</html>", 404, "text/html"),
    Fault.HTML: reply("<!DOCTYPE html><html><body>Log in</body></html>", 200, "text/html"),
    Fault.TRUNCATED: reply(GOOD[:80], 200, "application/json"),
    Fault.BOMB: reply("[" * 500_000, 200, "application/json"),
    Fault.EMPTY: reply(b"", 200, "application/json"),
    Fault.REDIRECT: scripted.redirect,
    Fault.SLOW_DOWN: reply("slowly", 429, "text/plain"),
}


class AriRig:
    """The adapter and the peer it talks to."""

    faults = frozenset(Fault)

    def __init__(self, peer: AriPeer, patience: float) -> None:
        self.patience = patience
        self.peer = peer
        self._refs = itertools.count(1)
        self._environ = {"TOKEN": PASSWORD}
        self.pbx = self._open(patience)
        self._prepares = self._open(10.0)

    def _open(self, timeout: float) -> AsteriskPbx:
        settings = PbxSettings(
            kind="asterisk",
            url=self.peer.url,
            user="dialer",
            token_env="TOKEN",
            trunks={"trunk": 30},
            agent_endpoints=("agent*",),
            timeout=timeout,
        )
        return AsteriskPbx("main", settings, environ=self._environ)

    def close(self) -> None:
        self.pbx.close()
        self._prepares.close()

    def expire(self) -> None:
        self.peer.password = "another"

    def renew(self) -> None:
        self._environ["TOKEN"] = "another"

    def drop(self) -> None:
        self.peer.server.drop()

    def told(self) -> list[Payload]:
        channel = {"id": "d1-c9", "state": "Ringing"}
        up = {**channel, "state": "Up"}
        events: list[dict[str, object]] = [
            {"type": "Dial", "dialstatus": "RINGING", "peer": channel},
            {"type": "ChannelStateChange", "channel": up},
            {"type": "StasisStart", "channel": up, "args": []},
            {"type": "ChannelDestroyed", "channel": up, "cause": 16},
        ]
        return [Payload("WS", "", json.dumps(one).encode(), "application/json") for one in events]

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        if fault is Fault.NOT_LISTENING:
            self.peer.server.stop_listening()
        elif times is None:
            self.peer.server.now = STEPS[fault]
        else:
            self.peer.server.in_turn(*[STEPS[fault]] * times, self.peer.answer)

    def received(self) -> int:
        return len(self.peer.server.requests)

    def customer(self) -> CustomerOrder:
        return CustomerOrder(f"d1-c{next(self._refs)}", "+390612345699", "trunk", "+390210001000")

    def agent(self) -> AgentOrder:
        return AgentOrder(f"d1-a{next(self._refs)}", "agent1001", "1001")

    def for_agent(self) -> AgentFirstOrder:
        return AgentFirstOrder(f"d1-c{next(self._refs)}", "agent1001", "1001", "+390612345699", "+390210001000")

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        customer, agent = self.customer(), self.agent()
        self._prepares.call_customer(customer)
        self._prepares.call_agent(agent)
        self._prepares.see_to(f"park {agent.ref}")
        assert talk_bridge(agent.ref) in self.peer.bridges
        return WaitingLeg(customer.ref, customer.ref), WaitingLeg(agent.ref, agent.ref), agent.user_id


class TestAsteriskKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, patience: float) -> Iterator[AriRig]:
        peer = AriPeer()
        rig = AriRig(peer, patience)
        yield rig
        rig.close()
        peer.close()
