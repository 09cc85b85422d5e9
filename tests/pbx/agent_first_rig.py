"""What the contract's rigs of PBXs that ring the agent first have in common: a peer on a socket, and its faults."""

import itertools
from datetime import UTC, datetime

from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Payload, Pbx, WaitingLeg
from tests.pbx import scripted
from tests.pbx.agent_first_peer import AgentFirstPeer, Call
from tests.pbx.contract import Fault
from tests.pbx.scripted import Step, reply

# What any JSON interface over HTTP can be made to show; its own words for a refusal are each maker's.
JSON_STEPS: dict[Fault, Step] = {
    Fault.CUT: scripted.cut,
    Fault.CUT_IN_THE_MIDDLE: scripted.cut_in_the_middle,
    Fault.SILENCE: scripted.silence,
    Fault.DRIP: scripted.drip,
    Fault.FLOOD: scripted.flood,
    Fault.SERVER_ERROR: reply("Internal Server Error", 500, "text/html"),
    Fault.NOT_FOUND: reply("<html>Not found</html>", 404, "text/html"),
    Fault.HTML: reply("<!DOCTYPE html><html><body>Log in</body></html>", 200, "text/html"),
    Fault.BOMB: reply("[" * 200_000, 200, "application/json"),
    Fault.EMPTY: reply(b""),
    Fault.REDIRECT: scripted.redirect,
    Fault.SLOW_DOWN: reply("slowly", 429, "text/plain"),
}


class AgentFirstRig:
    """An adapter and its peer. `extension` has somebody at it; `calls` are ids as this maker writes them."""

    faults = frozenset(Fault)

    def __init__(
        self,
        pbx: Pbx,
        peer: AgentFirstPeer,
        patience: float,
        *,
        steps: dict[Fault, Step],
        extension: str,
        calls: tuple[str, str],
        environ: dict[str, str],
    ) -> None:
        """`environ` is where the adapter finds its KEY."""
        self.pbx, self.patience = pbx, patience
        self._peer, self._steps, self._extension, self._calls = peer, steps, extension, calls
        self._environ = environ
        self.later = 0.0  # seconds that have passed, for accounts that are closed for a while
        self._refs = itertools.count(1)

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        server = self._peer.server
        if fault is Fault.NOT_LISTENING:
            server.stop_listening()
        elif times is None:
            server.now = self._steps[fault]
        else:
            server.in_turn(*[self._steps[fault]] * times, self._peer.usual)

    def received(self) -> int:
        return len(self._peer.server.requests)

    def customer(self) -> CustomerOrder:
        return CustomerOrder(f"c{next(self._refs)}", "+390612345678", "1", "+390210001000")

    def agent(self) -> AgentOrder:
        return AgentOrder(f"a{next(self._refs)}", self._extension, self._extension)

    def for_agent(self) -> AgentFirstOrder:
        ref = f"f{next(self._refs)}"
        return AgentFirstOrder(ref, self._extension, self._extension, "+390612345678", "+390210001000")

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        customer, agent = self._calls
        return WaitingLeg(customer, "1"), WaitingLeg(agent, "2"), self._extension

    def expire(self) -> None:
        self._peer.keys = ()

    def renew(self) -> None:
        self._peer.keys, self._environ["KEY"], self.later = ("key-9",), "key-9", 400.0

    def drop(self) -> None:
        self._peer.server.drop()

    def told(self) -> list[Payload]:
        now = datetime.now(UTC)
        self._peer.webhook = "http://127.0.0.1:9/hook"
        call = Call("17-ab", self._extension, "390612345678", now, pickup=now, ended=now, customer_rang=True)
        steps = (self._peer.event(step, call) for step in ("agent rings", "customer rings", "answered", "ended"))
        return [
            Payload(one.method, one.url.query.decode(), one.content, one.headers.get("content-type", ""))
            for one in steps
            if one is not None
        ]

    def close(self) -> None:
        self.pbx.close()
        self._peer.close()
