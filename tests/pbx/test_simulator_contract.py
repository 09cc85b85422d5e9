"""The simulated PBX, reached by the real adapter over HTTP, keeps the promises of every PBX."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from dialer.pbx.base import AgentFirstOrder, AgentOrder, CustomerOrder, Finding, Heard, Payload, Role, WaitingLeg
from dialer.pbx.registry import open_pbx
from dialer.pbx.simulator.config import AgentConfig, Behaviour, CustomerConfig, Ending, WorldConfig
from dialer.pbx.simulator.server import RunningPbx, ServerConfig
from dialer.pbx.simulator.webhooks import Webhook
from dialer.settings import PbxSettings
from tests.pbx import scripted
from tests.pbx.contract import Fault, PbxContract
from tests.waiting import until

NAMES = {
    Fault.CUT: "cut_connections=1",
    Fault.SERVER_ERROR: "http_500=1",
    Fault.HTML: "html=1",
    Fault.TRUNCATED: "truncated_xml=1",
    Fault.SILENCE: "timeouts=1",
}
WAITS = Behaviour(Ending.ANSWERS, ring=0.05, patience=60.0, talk=60.0)
WORLD = WorldConfig(
    customers=CustomerConfig(by_last_digits={"77": WAITS}, signal=(0.0, 0.0)),
    agents=AgentConfig(ignores_auto_answer=0.0, never_picks_up=0.0, work_mean=None, slips_per_hour=0.0),
)


class SimulatorRig:
    """The adapter, and a simulated PBX in a thread of its own."""

    faults = frozenset({*NAMES, Fault.NOT_LISTENING, Fault.REFUSES})

    def __init__(self, running: RunningPbx, patience: float) -> None:
        self.patience = patience
        settings = PbxSettings(
            kind="simulator",
            url=running.url,
            token_env="TOKEN",
            webhook_secret_env="HOOK",
            reception_ivr=17,
            waiting_ivr=18,
            abandon_ivr=19,
            timeout=10.0,
        )
        self._environ = {"TOKEN": "simulator", "HOOK": "w" * 32}
        hurried = settings.model_copy(update={"timeout": patience})
        self.pbx = open_pbx("sim", hurried, environ=self._environ)
        self._prepares = open_pbx("sim", settings, environ=dict(self._environ))  # what a test needs before its fault
        self._running = running
        self._refs = itertools.count(1)
        self._received = 0
        self._left: int | None = None
        self._answer = running.station.request
        running.station.request = self._counted  # type: ignore[method-assign]

    def _counted(self, *asked: object, **more: object) -> object:
        self._received += 1
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                self._running.station.world.set_faults("")
        return self._answer(*asked, **more)  # type: ignore[arg-type]

    def misbehave(self, fault: Fault, times: int | None = None) -> None:
        self._left = times
        if fault is Fault.NOT_LISTENING:
            self._running.stop()
        elif fault is Fault.REFUSES:
            self._environ["TOKEN"] = "of somebody else"
        else:
            self._running.station.world.set_faults(NAMES[fault])

    def close(self) -> None:
        self.pbx.close()
        self._prepares.close()

    def expire(self) -> None:
        self._environ["TOKEN"] = "of last year"

    def renew(self) -> None:
        self._environ["TOKEN"] = "simulator"

    def drop(self) -> None:
        standing = self._running._server.server_state.connections
        for one in list(standing):
            one.loop.call_soon_threadsafe(one.transport.close)  # type: ignore[union-attr]
            until(lambda one=one: one not in standing)
            closed = threading.Event()  # the socket itself is closed in the turn of the loop that forgets it
            one.loop.call_soon_threadsafe(closed.set)
            assert closed.wait(30)

    def told(self) -> list[Payload]:
        return [Payload("GET", query) for query in scripted.events("answered_and_joined.txt")]

    def received(self) -> int:
        return self._received

    def customer(self) -> CustomerOrder:
        return CustomerOrder(f"c{next(self._refs)}", "+390612345677", "4", "+390210001000")

    def agent(self) -> AgentOrder:
        user = self._prepares.users()[0]
        return AgentOrder(f"a{next(self._refs)}", user.id, user.extension)

    def for_agent(self) -> AgentFirstOrder:
        return AgentFirstOrder(f"f{next(self._refs)}", "33", "233", "+390612345678", "+390210001000")

    def legs(self) -> tuple[WaitingLeg, WaitingLeg, str]:
        customer, agent = self.customer(), self.agent()
        self._prepares.call_customer(customer)
        self._prepares.call_agent(agent)
        return self._waiting(customer.ref, Role.RECEPTION), self._waiting(agent.ref, Role.WAITING), agent.user_id

    def _waiting(self, ref: str, at: Role) -> WaitingLeg:
        def found() -> str | None:
            calls = [call for call in self._prepares.current_calls() if call.ref == ref and call.connected_role is at]
            return calls[0].call_id if calls else None

        call_id = wait_for(found)
        communication = self._running.station.world.exchange.live[int(call_id)]
        # The customer's leg to replace is the reception's; the agent's is their own.
        leg = communication.called if at is Role.RECEPTION else communication.calling
        assert leg is not None
        return WaitingLeg(call_id, str(leg.id))


def wait_for(look: Callable[[], str | None]) -> str:
    """Return what `look` finds within twenty seconds."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        found = look()
        if found is not None:
            return found
        time.sleep(0.01)
    raise AssertionError("it did not happen within twenty seconds")


@pytest.fixture
def running() -> Iterator[RunningPbx]:
    with RunningPbx(ServerConfig(port=0, world=WORLD)) as running:
        yield running


@pytest.fixture
def rig(running: RunningPbx) -> Iterator[SimulatorRig]:
    rig = SimulatorRig(running, 10.0)
    yield rig
    rig.close()


class TestTheSimulatorKeepsTheContract(PbxContract):
    @pytest.fixture
    def rig(self, running: RunningPbx, patience: float) -> Iterator[SimulatorRig]:
        rig = SimulatorRig(running, patience)
        yield rig
        rig.close()


def test_the_simulator_s_own_set_up_passes_the_check(rig: SimulatorRig) -> None:
    bad: list[Finding] = [finding for finding in rig.pbx.check() if not finding.ok and finding.fatal]
    assert bad == []


def test_what_the_simulator_sends_is_read_without_trouble_from_call_to_join(
    running: RunningPbx, rig: SimulatorRig
) -> None:
    """Its author read the guide separately: an event one side writes and the other cannot read would show."""
    sent: list[str] = []
    world = running.station.world
    take = world.take_webhooks

    def overheard() -> list[Webhook]:
        taken = take()
        sent.extend(webhook.query for webhook in taken)
        return taken

    world.take_webhooks = overheard  # type: ignore[method-assign]
    customer, agent, user = rig.legs()
    rig.pbx.join(customer, agent, user)
    wait_for(lambda: "joined" if any("call_transfer" in query for query in sent) else None)
    told = [rig.pbx.read(Payload("GET", query)) for query in sent]
    first = {(event.heard, event.role): event for event in reversed(told)}
    assert first[Heard.ANSWERED, Role.RECEPTION].leg_id == customer.leg_id
    assert first[Heard.ANSWERED, Role.AGENT].leg_id == agent.leg_id
    joined = first[Heard.TRANSFERRED, Role.AGENT]
    assert (joined.call_id, joined.other_call_id, joined.party_id) == (customer.call_id, agent.call_id, user)
