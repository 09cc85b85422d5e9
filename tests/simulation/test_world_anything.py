"""Whatever is asked of the simulated PBX, in whatever order: it answers, keeps its counts, and comes to rest."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from dialer.pbx.simulator.config import (
    AgentConfig,
    Behaviour,
    CustomerConfig,
    Ending,
    GatewayConfig,
    GroupConfig,
    WorldConfig,
)
from dialer.pbx.simulator.tables import Presence, RingMode
from dialer.pbx.simulator.world import World
from tests.simulation.pbx_kit import ask, call, park, run, run_out

Chooser = Callable[[int], int]

QUICK = Behaviour(Ending.ANSWERS, ring=1.0, talk=20.0)
CONFIG = WorldConfig(
    customers=CustomerConfig(by_number={f"39060000000{i}": QUICK for i in range(8)}, ring_out=5.0),
    agents=AgentConfig(count=4, work_mean=100.0, slips_per_hour=30.0),
    gateways=(GatewayConfig(lines=6),),
    groups=(GroupConfig(5, "Sales"), GroupConfig(6, "Queue", ring_mode=RingMode.QUEUE, queue_limit=10.0)),
    user_events=True,
)


class Meddler:
    """Does one thing to the world, chosen by small numbers."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.count = 0

    def act(self, what: int, pick: Chooser) -> None:
        deeds = (
            self._call,
            self._call,
            self._park,
            self._park,
            self._transfer,
            self._transfer,
            self._divert,
            self._terminate,
            self._user_call,
            self._action,
            self._mode,
            self._record,
            self._incoming,
            self._outage,
        )
        deeds[what % len(deeds)](pick)

    def _ref(self) -> str:
        self.count += 1
        return f"r{self.count}"

    def _call(self, pick: Chooser) -> None:
        called = [(3, 17), (3, 18), (3, 19), (1, 5), (1, 6), (0, 102), (2, 4)][pick(7)]
        call(
            self.world,
            f"39060000000{pick(10)}",
            self._ref(),
            called_type=called[0],
            called_id=called[1],
            called_number=f"39060000000{pick(10)}",
        )

    def _park(self, pick: Chooser) -> None:
        park(self.world, 101 + pick(4), self._ref(), auto_answer=pick(2))

    def _leg(self, pick: Chooser) -> tuple[int, int, int, int] | None:
        legs = [leg for com in self.world.exchange.live.values() for leg in com.live_legs]
        if not legs:
            return None
        leg = legs[pick(len(legs))]
        return leg.com.id, int(leg.type), leg.entity, leg.id

    def _transfer(self, pick: Chooser) -> None:
        one, other = self._leg(pick), self._leg(pick)
        if one and other:
            names = ("replace_com_id", "replace_type", "replace_id", "replace_local_id")
            more = ("recipient_com_id", "recipient_type", "recipient_id", "recipient_call_id")
            ask(self.world, "call_transfer_ext", **dict(zip(names, one)), **dict(zip(more, other)))  # noqa: B905

    def _divert(self, pick: Chooser) -> None:
        if leg := self._leg(pick):
            kind, id = [(3, 19), (3, 18), (0, 103), (1, 5), (1, 6), (2, 4)][pick(6)]
            ask(
                self.world,
                "call_divert_ext",
                call_id=leg[0],
                sender_call_id=leg[3],
                recipient_type=kind,
                recipient_id=id,
                recipient_number=f"39060000000{pick(10)}",
            )

    def _terminate(self, pick: Chooser) -> None:
        if leg := self._leg(pick):
            ask(self.world, "call_terminate", call_id=leg[0])

    def _user_call(self, pick: Chooser) -> None:
        number = [f"39060000000{pick(10)}", "202"][pick(2)]
        ask(self.world, "call_request", ext=str(201 + pick(4)), number=number, extid=self._ref())

    def _action(self, pick: Chooser) -> None:
        if leg := self._leg(pick):
            action = ["disconnect", "divert", "hold", "retrieve"][pick(4)]
            for extension in ("201", "202", "203", "204"):
                ask(self.world, "call_action", ext=extension, call_id=leg[0], action=action, number="203")

    def _mode(self, pick: Chooser) -> None:
        ask(self.world, "set_user_mode", ext=str(201 + pick(4)), mode=pick(4), number="202")

    def _record(self, pick: Chooser) -> None:
        if leg := self._leg(pick):
            ask(self.world, "call_recording_ext", call_id=leg[0], enable=pick(2))

    def _incoming(self, pick: Chooser) -> None:
        self.world.incoming(f"39060000000{pick(10)}", *[(1, 5), (1, 6), (3, 17), (0, 101)][pick(4)])

    def _outage(self, pick: Chooser) -> None:
        world, gateway = self.world, self.world.entities.gateways[4]
        deeds: list[Callable[[], object]] = [
            lambda: world.outages.restart(0.5),
            lambda: world.outages.gateway_down(gateway, drop=bool(pick(2))),
            lambda: world.outages.gateway_up(gateway),
            lambda: world.outages.gateway_up(gateway),
            world.quiet,
            world.reopen,
            lambda: world.agents.leave(world.entities.users[101], Presence.DO_NOT_DISTURB),
        ]
        deeds[pick(len(deeds))]()


def holds(world: World) -> None:
    """What is true at every moment."""
    live = [leg for com in world.exchange.live.values() for leg in com.live_legs]
    assert all(leg.com is com for com in world.exchange.live.values() for leg in com.live_legs)
    assert world.entities.gateways[4].busy == sum(leg.holds_line for leg in live) <= 6
    for user in world.entities.users.values():
        assert set(user.legs) == {leg for leg in live if leg.user is user and leg in user.legs}
        assert len(user.legs) <= 1
    assert sum(c.ended_at is None for c in world.book.calls) == sum(leg.in_book for leg in live)
    for com in world.exchange.live.values():
        assert 1 <= len(com.live_legs) <= 2
        assert com.calling is not None


@given(
    st.integers(0, 2**32),
    st.lists(st.tuples(st.integers(0, 13), st.integers(0, 2**20), st.floats(0.0, 4.0)), max_size=60),
)
@settings(max_examples=120, deadline=None)
def test_any_requests_in_any_order_keep_the_counts_and_come_to_rest(seed, deeds):
    world = World(CONFIG, seed)
    meddler = Meddler(world)
    for what, choice, gap in deeds:
        rest = [choice]

        def pick(below: int, rest: list[int] = rest) -> int:
            chosen, rest[0] = rest[0] % below, rest[0] // below + 7
            return chosen

        meddler.act(what, pick)
        run(world, world.now + gap)
        holds(world)
    run_out(world)
    holds(world)
    assert world.exchange.live == {}
    assert all(agent.talking_to == [] for agent in world.book.agents.values())
    assert world.judgement()["two_on_one"] == 0
