"""A campaign on XiVO from its list to its dispositions: real websockets both ways, judged by the peer's book."""

import threading
from collections.abc import Iterator

import pytest

from campaigns.application import Application
from dialer.pbx.registry import open_pbx
from dialer.settings import PbxSettings
from tests.pbx.agent_first_peer import Person
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer
from tests.rig import agent_first_kit as kit
from tests.waiting import until
from tests.workers.test_listener import Listener

NUMBERS = [f"+39063120{n:04}" for n in range(9)]


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer(wrap_up=0.3)
    for n, number in enumerate(NUMBERS):
        if n % 3 == 0:
            peer.customers[number.removeprefix("+")] = Person(answers_after=None)
    yield peer
    peer.close()


def dialled(application: Application, peer: XucPeer, numbers: list[str], seconds: float, **extra: str) -> kit.Result:
    """Run a campaign with a listener beside it."""
    settings = PbxSettings(
        kind="xivo", url=peer.url, user=BOSS, token_env="KEY", extra={"agents": "1015=agent15, 1016=agent16", **extra}
    )
    pbx = open_pbx("main", settings, environ={"KEY": PASSWORD})
    with kit.running(application, peer, pbx, settings) as (app, scheduler), Listener(app):
        until(lambda: len(peer.sockets) >= 2)
        result = kit.run(app, scheduler, peer, numbers, seconds=seconds)
    pbx.close()
    return result


@pytest.mark.parametrize(
    "how",
    [
        "as it should be",
        "swapped, dials at once",
        "only the first event has our reference",
        "nothing is heard until the phone is taken, and that is late",
    ],
)
def test_a_list_is_called_and_disposed_of_and_nobody_is_rung_twice(
    application: Application, peer: XucPeer, how: str
) -> None:
    peer.swap, peer.strips = "swapped" in how, "only the first" in how
    peer.dials_at_once = "at once" in how
    means = "agent" if peer.dials_at_once else "customer"
    more = {}
    if "late" in how:
        peer.agents, more = {"1015": 0.5, "1016": 0.5}, {"confirm_within": "0.1"}
    result = dialled(application, peer, NUMBERS, 40, dialing_means=means, **more)
    assert result.rang == {number.removeprefix("+"): 1 for number in NUMBERS}
    assert result.states == {"completed": 6, "no_answer": 3}
    assert result.said == {"done": 6}
    assert (result.two_on_one, result.unhandled, result.troubles) == (0, 0, [])


def test_a_customer_whose_agent_was_away_is_called_for_another_and_has_lost_nothing(
    application: Application, peer: XucPeer
) -> None:
    peer.agents["1016"] = None
    result = dialled(application, peer, NUMBERS[1:3], 25, dialing_means="customer")
    assert result.rang == {number.removeprefix("+"): 1 for number in NUMBERS[1:3]}
    assert result.states == {"completed": 2, "no_agent": 1}, "the cap is one attempt, and it was not used up"
    assert result.agents["1015"] == "ready"


def test_connections_that_break_and_tokens_that_end_ring_nobody_twice(application: Application, peer: XucPeer) -> None:
    for number in NUMBERS:
        peer.customers[number.removeprefix("+")] = Person(talks=0.8)
    over = threading.Event()

    def breaking() -> None:
        while not over.wait(0.7):
            peer.forget_tokens()
            peer.cut()

    breaker = threading.Thread(target=breaking)
    breaker.start()
    try:
        result = dialled(application, peer, NUMBERS, 60, dialing_means="customer")
    finally:
        over.set()
        breaker.join()
    assert peer.logins > 10, "connections broke, and were opened anew"
    assert all(times == 1 for times in result.rang.values())
    assert (result.two_on_one, result.unhandled) == (0, 0)
    assert sum(result.states.values()) == len(NUMBERS)
    assert set(result.states) <= {"completed", "no_answer", "no_agent", "lost", "expired"}
