"""The listener's side of XiVO: a connection for each agent, read as one stream, against real websockets."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest

from dialer.errors import PbxRefused, PbxUnavailable
from dialer.pbx import xivo_stream
from dialer.pbx.base import AgentFirstOrder, EventStream, Heard, StreamEnded, Streaming, Told
from dialer.pbx.xivo import XivoPbx
from dialer.settings import PbxSettings
from tests.pbx.agent_first_peer import Person
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer
from tests.waiting import until

ORDER = AgentFirstOrder("d-c7", "1015", "2015", "+390612345678", "")


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    peer.customers["390612345678"] = Person(answers_after=0.0, talks=30.0)
    yield peer
    peer.close()


@pytest.fixture
def pbx(peer: XucPeer) -> Iterator[XivoPbx]:
    extra = {"agents": "1015=agent15, 1016=agent16"}
    settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=5, extra=extra)
    made = XivoPbx("main", settings, environ={"KEY": PASSWORD})
    yield made
    made.close()


def listening(pbx: XivoPbx, about: Callable[[EventStream], Awaitable[Any]]) -> Any:
    """Open the stream, do something with it, and close it."""

    async def whole() -> Any:
        stream = await pbx.open_stream()
        try:
            return await asyncio.wait_for(about(stream), 15)
        finally:
            await stream.close()

    return asyncio.run(whole())


async def heard(pbx: XivoPbx, stream: EventStream, last: str) -> list[Told]:
    """What the listener would log, up to the first event of ours named `last`."""
    found: list[Told] = []
    while True:
        told = pbx.told(await stream.receive())
        if told.payload is not None:
            found.append(told)
            if told.ref is not None and pbx.read(told.payload).name == last:
                return found


def test_it_is_what_the_listener_listens_to(pbx: XivoPbx) -> None:
    assert isinstance(pbx, Streaming)


@pytest.mark.parametrize("strips", [False, True])
def test_all_events_of_a_call_of_ours_name_it_and_other_calls_are_nobodys_business(
    peer: XucPeer, pbx: XivoPbx, strips: bool
) -> None:
    peer.strips = strips
    peer.customers["390612345678"] = Person(talks=0.05)
    peer.customers["33144556677"] = Person(talks=0.0)

    async def calls(stream: EventStream) -> list[Told]:
        await asyncio.to_thread(lambda: (peer.start("2016", "33144556677", private=True), peer.quiet()))
        await asyncio.to_thread(pbx.call_for_agent, ORDER)
        return await heard(pbx, stream, "EventReleased")

    told = [one for one in listening(pbx, calls) if one.ref is not None or not strips]
    assert [one.ref for one in told] == ["d-c7"] * 3
    events = [pbx.read(one.payload) for one in told]
    assert [event.heard for event in events] == [Heard.CALLING, Heard.ANSWERED, Heard.ENDED]
    assert {event.call_id for event in events} == {"1770091506.2@1015"}


@pytest.mark.parametrize(
    ("changes", "kept"),
    [
        ({}, True),  # nothing is attached at all: by agent and number it may be ours
        ({"userData": {"XIVO_USERID": "9"}}, False),  # what is attached is not ours
        ({"callDirection": "Incoming"}, False),
        ({"eventType": "EventRinging"}, False),
    ],
)
def test_an_event_without_a_reference_is_kept_only_when_it_may_be_ours(
    pbx: XivoPbx, changes: dict[str, object], kept: bool
) -> None:
    event = {"eventType": "EventEstablished", "DN": "2015", "otherDN": "390612345678", "linkedId": "1.2", **changes}
    told = pbx.told(f"1015 {json.dumps({'msgType': 'PhoneEvent', 'ctiMessage': event})}")
    assert (told.payload is not None, told.ref) == (kept, None)


@pytest.mark.parametrize(
    "message", ["", "1015", "1015 <html>", "1015 []", "1015 " + "[" * 100_000, '1015 {"msgType":1}']
)
def test_nonsense_is_passed_over(pbx: XivoPbx, message: str) -> None:
    assert pbx.told(message) == Told()


def test_an_agent_on_another_phone_is_said_and_nothing_is_forced(
    pbx: XivoPbx, caplog: pytest.LogCaptureFixture
) -> None:
    told = {"Error": "LoggedInOnAnotherPhone", "phoneNb": "1002", "RequestedNb": "2015"}
    assert pbx.told(f"1015 {json.dumps({'msgType': 'AgentError', 'ctiMessage': told})}") == Told()
    assert "agent 1015 is logged in on phone 1002, and wanted 2015" in caplog.text


def test_one_connection_that_breaks_ends_the_stream(peer: XucPeer, pbx: XivoPbx) -> None:
    async def cut(stream: EventStream) -> None:
        peer.cut("agent16")
        await stream.receive()

    with pytest.raises(StreamEnded, match="agent 1016"):
        listening(pbx, cut)


@pytest.mark.parametrize("answers", [True, False])
def test_a_heartbeat_that_nothing_follows_ends_the_stream(
    peer: XucPeer, pbx: XivoPbx, monkeypatch: pytest.MonkeyPatch, answers: bool
) -> None:
    peer.answers_heartbeat = answers

    async def wait(stream: EventStream) -> str:
        received = asyncio.ensure_future(stream.receive())
        async with asyncio.timeout(30):
            while not received.done() and (peer.pings <= 3 or not answers):
                await asyncio.sleep(0.01)
        if received.done():
            return received.result()
        received.cancel()
        return "still there"

    async def opened() -> EventStream:
        stream = xivo_stream.XucStream(pbx._wire, {"1015": "agent15"}, beat=0.3 if answers else 0.05)
        await stream.start()
        return stream

    monkeypatch.setattr(pbx, "open_stream", opened)
    if answers:
        assert listening(pbx, wait) == "still there"
    else:
        with pytest.raises(StreamEnded, match="no heartbeat is answered"):
            listening(pbx, wait)
        assert peer.pings == 3


def test_an_agent_who_is_not_let_in_is_left_out_said_and_tried_again(
    peer: XucPeer, pbx: XivoPbx, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    peer.passwords["agent16"] = "another"

    async def later(_stream: EventStream) -> tuple[int, int, int]:
        first = len(peer.sockets)
        asked = peer.logins
        await asyncio.to_thread(pbx.look_around)
        assert peer.logins == asked, "a wrong password is not tried again at once"
        monkeypatch.setattr(xivo_stream, "AGAIN", 0.0)
        await asyncio.to_thread(pbx.look_around)
        second = len(peer.sockets)
        del peer.passwords["agent16"]
        await asyncio.to_thread(pbx.look_around)
        return first, second, len(peer.sockets)

    assert listening(pbx, later) == (1, 1, 2)
    assert "the phone of agent 1016 is not heard" in caplog.text
    assert PASSWORD not in caplog.text


def test_when_nobody_is_let_in_or_nobody_answers_the_stream_cannot_be_had(peer: XucPeer, pbx: XivoPbx) -> None:
    peer.passwords = {"agent15": "x", "agent16": "y"}
    with pytest.raises(PbxRefused):
        listening(pbx, lambda stream: stream.receive())
    peer.passwords = {}
    peer.server.stop_listening()
    with pytest.raises(PbxUnavailable):
        listening(pbx, lambda stream: stream.receive())


# after a lost connection ------------------------------------------------------------------------------


def settled(pbx: XivoPbx) -> Any:
    return listening(pbx, lambda _stream: asyncio.to_thread(pbx.settle))


def _talking(peer: XucPeer) -> None:
    until(lambda: any(call.pickup for call in peer.book))


def test_the_calls_there_are_are_told_and_named(peer: XucPeer, pbx: XivoPbx) -> None:
    pbx.call_for_agent(ORDER)
    _talking(peer)
    found = settled(pbx)
    assert (found.present, found.unsure) == ({"d-c7"}, False)
    assert [pbx.read(one.payload).heard for one in found.waiting] == [Heard.ANSWERED]


@pytest.mark.parametrize("why", ["not told", "not let in", "a call without a reference"])
def test_where_not_all_can_be_seen_nobody_is_gone(
    peer: XucPeer, pbx: XivoPbx, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    if why == "not told":
        peer.tells_calls = False
        pbx._house._timeout = 0.2
    elif why == "not let in":
        peer.passwords["agent16"] = "another"
    else:
        peer.start("2016", "390612345678", private=True)
        _talking(peer)
    assert settled(pbx).unsure


def test_a_call_that_comes_in_makes_nothing_unsure(
    peer: XucPeer, pbx: XivoPbx, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = peer._event
    monkeypatch.setattr(peer, "_event", lambda *given: {**usual(*given), "callDirection": "Incoming", "userData": {}})
    peer.start("2016", "390612345678", private=True)
    _talking(peer)
    assert not settled(pbx).unsure


def test_a_call_that_xivo_starts_for_us_is_heard_and_settled_anew_when_its_phone_is_free(peer: XucPeer) -> None:
    extra = {"agents": "1015=agent15, 1016=agent16", "callback_lists": "Liste de test=spring"}
    settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", timeout=5, extra=extra)
    pbx = XivoPbx("main", settings, environ={"KEY": PASSWORD})
    peer.customers["33144556677"] = Person(answers_after=0.0, talks=0.5)

    async def about(stream: EventStream) -> tuple[Told, list[Told], str]:
        peer.start("2015", "33144556677")
        while (first := pbx.told(await stream.receive())).payload is None:
            pass
        settled = await asyncio.to_thread(pbx.settle)
        assert settled.unsure
        await asyncio.to_thread(peer.quiet)
        await asyncio.to_thread(pbx.look_around)
        while True:
            try:
                await stream.receive()
            except StreamEnded as exc:
                return first, list(settled.waiting), str(exc)

    first, waiting, ended = listening(pbx, about)
    assert first.ref is None
    assert first.payload is not None
    assert pbx.read(first.payload).number == "+33144556677"
    assert [one.ref for one in waiting] == [None], "what is going on is told again, for who has missed it"
    assert "settled" in ended
    assert not asyncio.run(_ends_again(pbx)), "and once is enough"
    pbx.close()


async def _ends_again(pbx: XivoPbx) -> bool:
    stream = await pbx.open_stream()
    try:
        await asyncio.to_thread(pbx.settle)
        await asyncio.to_thread(pbx.look_around)
        await asyncio.wait_for(stream.receive(), 0.5)
    except TimeoutError:
        return False
    except StreamEnded:
        return True
    finally:
        await stream.close()
    return False
