"""What the adapter counts on, asked of a real Asterisk: the small one of the other tests is only as right as this."""

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dialer.errors import PbxRefused
from dialer.pbx.asterisk import AsteriskPbx
from dialer.pbx.base import AgentOrder, CustomerOrder, Role, WaitingLeg
from tests.asterisk.real_pbx import RealPbx

pytestmark = [pytest.mark.asterisk, pytest.mark.timeout(120)]

Event = dict[str, Any]
LONG_ENOUGH = 60.0  # seconds, for what takes one: the machine may have a dozen other things to do
RUN = f"real{time.time_ns() % 10**9}"  # recordings of an earlier run are still there


@pytest.fixture
def pbx(real_pbx: RealPbx) -> Iterator[AsteriskPbx]:
    opened = real_pbx.open()
    yield opened
    end = time.monotonic() + LONG_ENOUGH
    while calls := opened.current_calls():
        assert time.monotonic() < end, calls
        for call in calls:
            opened.hang_up(call.call_id)
            opened.see_to(f"tidy {call.call_id}")
    opened.close()


def customer(ref: str, ending: str) -> CustomerOrder:
    return CustomerOrder(ref, f"+49302{abs(hash(ref)) % 100_000:05}{ending}", "trunk", "+4930555000")


def listening(pbx: AsteriskPbx, act: Callable[[], object], enough: Callable[[list[Event]], bool]) -> list[Event]:
    """Listen, act, see to the house, and return the events until there are enough of them."""

    async def listen() -> list[Event]:
        stream = await pbx.open_stream()
        await asyncio.to_thread(pbx.settle)
        await asyncio.to_thread(act)
        heard: list[Event] = []
        end = time.monotonic() + LONG_ENOUGH
        while not enough(heard):
            assert time.monotonic() < end, [
                (one["type"], one.get("eventname"), one.get("channel", {}).get("id")) for one in heard
            ]
            try:
                message = await asyncio.wait_for(stream.receive(), 1)
            except TimeoutError:
                continue
            told = pbx.told(message)
            heard.append(json.loads(message))
            if told.chore:
                await asyncio.to_thread(pbx.see_to, told.chore)
        await stream.close()
        return heard

    return asyncio.run(listen())


def of(heard: list[Event], kind: str, channel: str = "") -> list[Event]:
    return [one for one in heard if one["type"] == kind and channel in ("", one.get("channel", {}).get("id"))]


def ms(event: Event) -> float:
    clock = event["timestamp"][11:23].split(":")
    return 1000 * (int(clock[0]) * 3600 + int(clock[1]) * 60 + float(clock[2]))


def test_who_answers_while_nobody_listens_hears_the_message(pbx: AsteriskPbx) -> None:
    pbx.call_customer(customer(f"{RUN}x1-c1", "99"))
    end = time.monotonic() + LONG_ENOUGH
    while not (calls := [call for call in pbx.current_calls() if call.connected_role is Role.MESSAGE]):
        assert time.monotonic() < end, pbx.current_calls()
        time.sleep(0.05)
    assert calls[0].ref == f"{RUN}x1-c1"


def test_who_is_left_alone_by_a_dialer_that_dies_hears_the_message(pbx: AsteriskPbx) -> None:
    """Somebody waits in our hands, and nobody of us is there any more."""
    ref = f"{RUN}x5-c1"
    heard = listening(
        pbx, lambda: pbx.call_customer(customer(ref, "99")), lambda seen: bool(of(seen, "StasisStart", ref))
    )
    began = asked = time.monotonic()
    while not [call for call in pbx.current_calls() if call.connected_role is Role.MESSAGE]:
        # When they were last known to wait in silence: how long we are kept from looking is not their time.
        assert asked - began < 4, heard
        time.sleep(0.05)
        asked = time.monotonic()


def test_a_second_order_for_a_call_changes_nothing(pbx: AsteriskPbx) -> None:
    order = customer(f"{RUN}x2-c1", "92")
    assert pbx.call_customer(order) == pbx.call_customer(order)
    assert [call.ref for call in pbx.current_calls()] == [f"{RUN}x2-c1"]
    assert pbx.gateways()[0].busy_lines == 1
    # The word Asterisk now has ready for everything that it cannot allocate is not believed.
    with pytest.raises(PbxRefused, match="not registered"):
        pbx.call_agent(AgentOrder(f"{RUN}x2-a1", "agent9999", "9999"))


@pytest.mark.skipif(os.environ.get("DIALER_ASTERISK", "") != "long", reason="the long form: make test-asterisk")
def test_an_agent_waits_talks_and_waits_again_on_one_call_which_is_recorded(
    real_pbx: RealPbx,
) -> None:
    pbx = real_pbx.open(record=True)
    agent, first, second = f"{RUN}x3-a1", f"{RUN}x3-c1", f"{RUN}x3-c2"
    waiting = WaitingLeg(agent, agent)
    pbx_calls = {
        "agent": lambda: pbx.call_agent(AgentOrder(agent, "agent1001", "1001")),
        "first": lambda: pbx.call_customer(customer(first, "99")),
        "second": lambda: pbx.call_customer(customer(second, "99")),
    }
    parked = listening(pbx, pbx_calls["agent"], lambda heard: bool(of(heard, "ChannelEnteredBridge", agent)))
    assert of(parked, "ChannelEnteredBridge", agent)[0]["bridge"]["id"] == "dialer-waiting"
    for ref, name in ((first, "first"), (second, "second")):
        listening(pbx, pbx_calls[name], lambda heard, ref=ref: bool(of(heard, "StasisStart", ref)))
        joined = listening(
            pbx,
            lambda ref=ref: pbx.join(WaitingLeg(ref, ref), waiting, "agent1001"),
            lambda heard, ref=ref: bool(of(heard, "ChannelEnteredBridge", ref)) and bool(of(heard, "RecordingStarted")),
        )
        assert set(of(joined, "ChannelEnteredBridge", ref)[0]["bridge"]["channels"]) == {agent, ref}
        if ref == first:
            time.sleep(4)  # longer than somebody may be left alone: they talk on
            assert {call.ref: call.connected_role for call in pbx.current_calls()}[ref] is Role.AGENT
        back = listening(
            pbx,
            lambda ref=ref: pbx.hang_up(ref),
            lambda heard: any(
                one["bridge"]["id"] == "dialer-waiting" for one in of(heard, "ChannelEnteredBridge", agent)
            ),
        )
        assert of(back, "ChannelDestroyed", ref)
        stored = pbx._wire.read(f"/recordings/stored/{ref}")
        assert stored["format"] == "wav"
    listening(pbx, lambda: pbx.hang_up(agent), lambda heard: bool(of(heard, "ChannelDestroyed", agent)))
    pbx.see_to(f"tidy {agent}")
    assert real_pbx.left_over() == {}
    pbx.close()


@pytest.mark.skipif(os.environ.get("DIALER_ASTERISK", "") != "long", reason="the long form: make test-asterisk")
def test_a_machine_is_told_apart_from_a_person_in_time(real_pbx: RealPbx) -> None:
    pbx = real_pbx.open(machine_context="dialer-amd")
    machine, person = f"{RUN}x4-c1", f"{RUN}x4-c2"

    def both() -> None:
        pbx.call_customer(customer(machine, "97"))
        pbx.call_customer(customer(person, "99"))

    heard = listening(
        pbx,
        both,
        lambda seen: bool(of(seen, "ChannelDestroyed", machine)) and bool(of(seen, "StasisStart", person)),
    )
    up = {one["channel"]["id"]: ms(one) for one in of(heard, "ChannelStateChange") if one["channel"]["state"] == "Up"}
    (word,) = {one["eventname"] for one in of(heard, "ChannelUserevent", machine)}
    (start,) = of(heard, "StasisStart", person)[:1]
    print(
        f"\nmachine detection: a person after {ms(start) - up[person]:.0f} ms ({start['args'][1]}), a machine after "
        f"{ms(of(heard, 'ChannelUserevent', machine)[0]) - up[machine]:.0f} ms"
    )
    assert word == "dialer-machine"
    assert not of(heard, "StasisStart", machine)
    assert start["args"][1] in ("HUMAN", "NOTSURE")  # in doubt for a person
    pbx.hang_up(person)
    pbx.close()
