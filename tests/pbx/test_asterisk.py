"""Asterisk's adapter: what it asks, what it makes of the answers, and how it keeps house."""

import asyncio
import base64
import io
import json
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from dialer.errors import DialerError, OutcomeUnknown, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.asterisk import AsteriskPbx
from dialer.pbx.asterisk_events import talk_bridge
from dialer.pbx.base import (
    AgentOrder,
    CustomerOrder,
    EventStream,
    Feature,
    Presence,
    Role,
    StreamEnded,
    Streaming,
    WaitingLeg,
)
from dialer.settings import PbxSettings
from tests.pbx.ari_peer import PASSWORD, USER, AriPeer
from tests.pbx.contract import Fault
from tests.pbx.scripted import reply
from tests.pbx.test_asterisk_contract import STEPS
from tests.pbx.test_secrets import everything_logged, told_by

__all__ = ["everything_logged"]

C, A = "d5e1f00aa-c12", "d5e1f00aa-a7"
CUSTOMER = CustomerOrder(C, "+390612345699", "trunk", "+390210001000")
AGENT = AgentOrder(A, "agent1001", "1001")
Open = Callable[..., AsteriskPbx]


@pytest.fixture
def peer() -> Iterator[AriPeer]:
    running = AriPeer()
    yield running
    running.close()


@pytest.fixture
def opened(peer: AriPeer) -> Iterator[Open]:
    made: list[AsteriskPbx] = []

    def open_it(**more: Any) -> AsteriskPbx:
        told = {"kind": "asterisk", "url": peer.url, "user": USER, "token_env": "T", "trunks": {"trunk": 30}, **more}
        settings = PbxSettings.model_validate({"agent_endpoints": ["agent*"], "timeout": 5.0, **told})
        made.append(AsteriskPbx("main", settings, environ={"T": PASSWORD}))
        return made[-1]

    yield open_it
    for one in made:
        one.close()


@pytest.fixture
def pbx(opened: Open) -> AsteriskPbx:
    return opened()


def parked(pbx: AsteriskPbx, order: AgentOrder = AGENT) -> WaitingLeg:
    pbx.call_agent(order)
    pbx.see_to(f"park {order.ref}")
    return WaitingLeg(order.ref, order.ref)


def answered(pbx: AsteriskPbx, order: CustomerOrder = CUSTOMER) -> WaitingLeg:
    pbx.call_customer(order)
    return WaitingLeg(order.ref, order.ref)


# connections ------------------------------------------------------------------------------------------


def test_threads_take_turns_on_the_connection_that_was_used_last(peer: AriPeer, pbx: AsteriskPbx) -> None:
    """One that is used now and then by each of many threads would be closed by Asterisk between two joins."""
    for _ in range(4):
        thread = threading.Thread(target=pbx.gateways)
        thread.start()
        thread.join()
    assert peer.server.connections == 1


def test_requests_at_one_time_have_a_connection_each_and_leave_none_behind(peer: AriPeer, opened: Open) -> None:
    pbx = opened()
    together = threading.Barrier(3)
    usual = peer.server.now

    def meet(line: Any, request: Any) -> None:
        together.wait(30)
        usual(line, request)

    peer.server.now = meet
    threads = [threading.Thread(target=pbx.gateways) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert peer.server.connections == 3
    peer.server.now = usual
    for line in pbx._wire._lines:
        line._used -= 60  # older than Asterisk keeps one
    pbx.gateways()
    assert len(pbx._wire._lines) == 1


def test_an_order_that_is_held_back_gives_its_connection_back(peer: AriPeer, pbx: AsteriskPbx) -> None:
    def no() -> None:
        raise RuntimeError("too late")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            pbx.call_customer(CUSTOMER, before_send=no)
    pbx.gateways()
    assert peer.server.connections == 1


# orders -----------------------------------------------------------------------------------------------


def test_a_customer_enters_the_dialplan_and_the_number_stands_in_the_body(peer: AriPeer, opened: Open) -> None:
    opened(number_format="international", dial_prefix="0", ring_limit=25).call_customer(CUSTOMER)
    _, path, query, body = peer.asked[-1]
    assert (path, query) == ("/channels", {})  # what is in a query is written into request logs
    assert body == {
        "endpoint": "PJSIP/000390612345699@trunk",
        "context": "dialer-customer",
        "extension": "s",
        "priority": 1,
        "callerId": "<390210001000>",
        "timeout": 25,
        "channelId": C,
        "variables": {"DIALER_CALL_ID": C, "TIMEOUT(absolute)": "14400"},
    }


def test_where_machines_are_told_apart_the_customer_goes_through_that(peer: AriPeer, opened: Open) -> None:
    opened(machine_context="dialer-amd").call_customer(CUSTOMER)
    assert peer.asked[-1][3]["context"] == "dialer-amd"


def test_an_agent_s_telephone_is_told_to_answer_by_itself(peer: AriPeer, opened: Open) -> None:
    opened().call_agent(AGENT)
    body = peer.asked[-1][3]
    assert (body["endpoint"], body["app"], body["appArgs"]) == ("PJSIP/agent1001", "dialer", "agent")
    assert body["variables"]["PJSIP_HEADER(add,Call-Info)"] == "<sip:dialer>;answer-after=0"
    opened(auto_answer="").call_agent(AgentOrder("d5e1f00aa-a8", "agent1002", "1002"))
    assert set(peer.asked[-1][3]["variables"]) == {"DIALER_CALL_ID", "TIMEOUT(absolute)"}


def test_a_call_that_is_there_already_is_not_placed_again(peer: AriPeer, pbx: AsteriskPbx) -> None:
    assert pbx.call_customer(CUSTOMER) == pbx.call_customer(CUSTOMER) == C
    assert list(peer.channels) == [C]


def test_asterisk_s_stale_word_for_a_missing_contact_is_looked_into(peer: AriPeer, pbx: AsteriskPbx) -> None:
    """Once it has refused a real duplicate, it says 409 of a trunk that is offline, too."""
    stale = reply('{"message": "Channel with given unique ID already exists"}', 409, "application/json")
    peer.server.in_turn(stale, peer.answer)
    with pytest.raises(PbxUnavailable, match="trunk trunk is offline"):
        pbx.call_customer(CUSTOMER)


def test_an_offline_trunk_is_no_try_and_an_unregistered_telephone_is_refused(peer: AriPeer, pbx: AsteriskPbx) -> None:
    peer.trunk = "offline"
    with pytest.raises(PbxUnavailable, match="offline"):
        pbx.call_customer(CUSTOMER)
    peer.server.now = reply('{"error": "Allocation failed"}', 500, "application/json")
    with pytest.raises(PbxRefused, match="not registered"):
        pbx.call_agent(AGENT)


def test_another_500_leaves_the_order_s_fate_unknown(peer: AriPeer, pbx: AsteriskPbx) -> None:
    peer.server.now = reply('{"error": "Something else"}', 500, "application/json")
    with pytest.raises(OutcomeUnknown):
        pbx.call_customer(CUSTOMER)


def test_a_trunk_that_the_settings_do_not_name_is_not_called_through(peer: AriPeer, pbx: AsteriskPbx) -> None:
    with pytest.raises(PbxRefused, match="trunks has no 'other'"):
        pbx.call_customer(CustomerOrder(C, "+390612345699", "other", "+390210001000"))
    assert peer.asked == []


# joining, message, end --------------------------------------------------------------------------------


def test_a_join_is_one_request_that_moves_both(peer: AriPeer, pbx: AsteriskPbx) -> None:
    agent, customer = parked(pbx), answered(pbx)
    assert peer.bridges["dialer-waiting"]["channels"] == [A]
    before = len(peer.asked)
    pbx.join(customer, agent, "agent1001")
    assert [ask[:3] for ask in peer.asked[before:]] == [
        ("POST", f"/bridges/{talk_bridge(A)}/addChannel", {"channel": f"{A},{C}"})
    ]
    assert peer.bridges["dialer-waiting"]["channels"] == []
    assert peer.bridges[talk_bridge(A)]["channels"] == [A, C]


def test_nobody_is_joined_to_whoever_has_gone(peer: AriPeer, pbx: AsteriskPbx) -> None:
    agent, customer = parked(pbx), answered(pbx)
    peer.hang_up(C)
    with pytest.raises(PbxRefused, match="Channel not found"):
        pbx.join(customer, agent, "agent1001")
    assert peer.bridges["dialer-waiting"]["channels"] == [A]  # and the agent still hears music


def test_the_message_is_the_dialplan_s_and_plays_without_us(peer: AriPeer, pbx: AsteriskPbx) -> None:
    pbx.play_message(answered(pbx))
    assert peer.channels[C]["dialplan"]["context"] == "dialer-message"
    assert next(call for call in pbx.current_calls() if call.ref == C).connected_role is Role.MESSAGE


def test_ending_what_has_ended_does_nothing(peer: AriPeer, pbx: AsteriskPbx) -> None:
    answered(pbx)
    assert pbx.hang_up(C) == pbx.hang_up(C) == C
    peer.server.now = reply('{"message": "Resource not found"}', 404, "application/json")
    with pytest.raises(PbxRefused):  # the address is wrong: nothing was ended
        pbx.hang_up(C)


# lists ------------------------------------------------------------------------------------------------


def test_lines_are_the_limit_of_the_settings_less_the_calls_on_the_trunk(peer: AriPeer, opened: Open) -> None:
    pbx = opened(trunks={"trunk": 2, "spare": 5})
    answered(pbx)
    trunk, spare = pbx.gateways()
    assert (trunk.lines, trunk.busy_lines, trunk.free_lines, trunk.usable) == (2, 1, 1, True)
    assert (spare.usable, spare.status) == (False, "no such endpoint")
    peer.trunk = "offline"
    assert not pbx.gateways()[0].usable


def test_an_agent_on_calls_of_ours_alone_is_available(peer: AriPeer, pbx: AsteriskPbx) -> None:
    parked(pbx)
    assert {user.id: (user.extension, user.presence) for user in pbx.users()} == {
        "agent1001": ("1001", Presence.AVAILABLE),
        "agent1002": ("1002", Presence.AVAILABLE),
    }
    peer.channels["1795.7"] = {**peer.channels[A], "id": "1795.7"}  # somebody else calls them
    assert pbx.users()[0].presence is Presence.BUSY


def test_the_list_of_calls_tells_who_is_with_whom(peer: AriPeer, pbx: AsteriskPbx) -> None:
    agent, customer = parked(pbx), answered(pbx)
    ringing = CustomerOrder("d5e1f00aa-c13", "+390612345692", "trunk", "+390210001000")
    pbx.call_customer(ringing)
    assert {call.ref: call.connected_role for call in pbx.current_calls()} == {
        A: Role.WAITING,
        C: Role.RECEPTION,
        ringing.ref: None,
    }
    pbx.join(customer, agent, "agent1001")
    assert {call.ref: call.connected_role for call in pbx.current_calls()} == {
        A: Role.WAITING,
        C: Role.AGENT,
        ringing.ref: None,
    }


def test_what_it_can_do_follows_from_the_settings(opened: Open) -> None:
    assert isinstance(opened(), Streaming)
    assert {Feature.CUSTOMER_FIRST, Feature.JOIN, Feature.DIVERT, Feature.NAILED_UP} <= opened().features
    assert Feature.CALL_REPORT not in opened().features
    assert Feature.CUSTOMER_FIRST not in opened(trunks={}).features
    assert Feature.DIVERT not in opened(message_context="").features
    with pytest.raises(SettingsError, match=r"pbx\.main\.user"):
        opened(user="")


# the check --------------------------------------------------------------------------------------------


def test_a_good_set_up_passes_and_the_channel_that_asked_is_gone(peer: AriPeer, pbx: AsteriskPbx) -> None:
    assert [finding.what for finding in pbx.check() if not finding.ok] == []
    assert peer.channels == {}


@pytest.mark.parametrize(
    ("method", "path", "answer", "expected"),
    [
        ("GET", "/channels/dialer-check/variable", (200, {"value": "0"}), "no extension s in [dialer-customer]"),
        ("GET", "/channels/dialer-check/variable", (200, {"value": "0"}), "no extension T: who waits"),
        ("POST", "/channels/create", (409, {"message": "App is not running"}), "nobody listens"),
        ("GET", "/sounds/im-sorry", (404, {"message": "Sound not found"}), "sound is not there: im-sorry"),
        ("GET", "/asterisk/variable", (200, {"value": ""}), "does not say which sounds"),
        ("GET", "/endpoints/PJSIP", (200, [{"resource": "trunk", "state": "offline"}]), "trunk trunk: offline"),
    ],
)
def test_what_is_missing_is_named_with_its_remedy(
    peer: AriPeer, pbx: AsteriskPbx, method: str, path: str, answer: tuple[int, Any], expected: str
) -> None:
    healthy = peer._answer

    def one_thing_wrong(asked: str, parts: Any, query: Any, body: Any) -> tuple[int, Any]:
        return answer if (asked, f"/{'/'.join(parts)}") == (method, path) else healthy(asked, parts, query, body)

    peer._answer = one_thing_wrong  # type: ignore[method-assign]
    bad = [finding for finding in pbx.check() if not finding.ok]
    assert any(expected in finding.what for finding in bad)
    assert all(finding.remedy for finding in bad)


# the stream and the house -----------------------------------------------------------------------------


def heard(pbx: AsteriskPbx, act: Callable[[EventStream], None], count: int) -> list[str]:
    """Open the stream, act, and return the next `count` messages."""

    async def listen() -> list[str]:
        stream = await pbx.open_stream()
        await asyncio.to_thread(act, stream)
        found = [await asyncio.wait_for(stream.receive(), 30) for _ in range(count)]
        await stream.close()
        return found

    return asyncio.run(listen())


def test_events_come_by_a_websocket_whose_address_holds_no_secret(peer: AriPeer, pbx: AsteriskPbx) -> None:
    messages = heard(pbx, lambda _: answered(pbx) and None, 5)  # type: ignore[func-returns-value]
    kinds = [json.loads(message)["type"] for message in messages]
    assert kinds == ["ChannelCreated", "Dial", "Dial", "ChannelStateChange", "StasisStart"]
    opened = next(request for request in peer.server.requests if request.path == "/ari/events")
    assert opened.params == {"app": "dialer"}


def test_a_stream_that_is_cut_says_so(peer: AriPeer, pbx: AsteriskPbx) -> None:
    with pytest.raises(StreamEnded):
        heard(pbx, lambda _: peer.cut(), 1)


def test_a_stream_that_cannot_be_had_is_refused_or_unavailable(peer: AriPeer, opened: Open) -> None:
    with pytest.raises(PbxRefused, match="HTTP 401"):
        heard(opened(user="somebody"), lambda _: None, 0)
    peer.server.stop_listening()
    with pytest.raises(PbxUnavailable):
        heard(opened(), lambda _: None, 0)


def told_of(pbx: AsteriskPbx, kind: str, channel: str, at: int = 1, **more: Any) -> Any:
    state = more.pop("state", "Up")
    event = {"type": kind, "timestamp": f"t{at}", "channel": {"id": channel, "state": state}} | more
    return pbx.told(json.dumps(event))


def test_what_two_subscriptions_tell_is_news_once(pbx: AsteriskPbx) -> None:
    assert told_of(pbx, "StasisStart", C).payload is not None
    assert told_of(pbx, "StasisStart", C).payload is None
    assert told_of(pbx, "StasisStart", C, at=2).payload is not None
    # Ringing and up within one millisecond are two things.
    assert told_of(pbx, "ChannelStateChange", C, state="Ringing").payload is None  # no news: Dial tells it
    assert told_of(pbx, "ChannelStateChange", C).payload is not None


def test_chores_follow_from_events(pbx: AsteriskPbx) -> None:
    talk = {"id": talk_bridge(A), "channels": [A]}
    assert told_of(pbx, "StasisStart", A).chore == f"park {A}"
    assert told_of(pbx, "ChannelDestroyed", A).chore == f"tidy {A}"
    assert told_of(pbx, "ChannelLeftBridge", C, bridge=talk).chore == f"back {A} {C}"
    recorded = {"id": talk_bridge(A), "channels": [A, "pbx-1795.4"]}  # Asterisk's own channel, while it records
    assert told_of(pbx, "ChannelLeftBridge", C, at=2, bridge=recorded).chore == f"back {A} {C}"
    assert told_of(pbx, "ChannelLeftBridge", A, bridge={"id": talk_bridge(A), "channels": [C]}).chore == f"mend {A}"
    second = {"id": talk_bridge(A), "channels": [A, C, "d5e1f00aa-c13"]}
    assert told_of(pbx, "ChannelEnteredBridge", "d5e1f00aa-c13", bridge=second).chore == "part d5e1f00aa-c13"
    assert (
        told_of(pbx, "ChannelEnteredBridge", C, bridge={"id": talk_bridge(A), "channels": [A, C]}).chore
        == f"keep {C} {A}"
    )
    assert told_of(pbx, "StasisStart", "1795.8").chore == "through 1795.8"
    assert told_of(pbx, "StasisStart", "probe", state="Down").chore == ""
    assert pbx.told('{"type": "ApplicationReplaced", "application": "dialer"}').replaced
    assert not pbx.told('{"type": "ApplicationReplaced", "application": "other"}').replaced
    assert pbx.told("no json") == pbx.told("[]") == pbx.told('{"type": 1}')


def test_an_agent_goes_back_to_the_music_unless_the_next_customer_is_there(peer: AriPeer, pbx: AsteriskPbx) -> None:
    agent, customer = parked(pbx), answered(pbx)
    pbx.join(customer, agent, "agent1001")
    pbx.see_to(f"back {A}")  # told late: they talk again
    assert peer.bridges[talk_bridge(A)]["channels"] == [A, C]
    peer.hang_up(C)
    pbx.see_to(f"back {A}")
    assert peer.bridges["dialer-waiting"]["channels"] == [A]


def test_who_talks_is_kept_past_the_limit_for_those_left_alone(peer: AriPeer, pbx: AsteriskPbx) -> None:
    """The dialplan takes whoever is with nobody after three seconds to the message; a busy Asterisk is asked again."""
    answered(pbx)
    peer.server.in_turn(STEPS[Fault.CUT], STEPS[Fault.SERVER_ERROR], peer.answer)
    pbx.see_to(f"keep {C} {A}")
    longer = {"variable": "TIMEOUT(absolute)", "value": "14400"}
    assert peer.asked[-1][:3] == ("POST", f"/channels/{C}/variable", longer)
    peer.hang_up(C)
    pbx.see_to(f"keep {C} {A}")  # too late is harmless


def test_those_who_talk_are_kept_when_the_stream_was_cut_as_they_met(peer: AriPeer, pbx: AsteriskPbx) -> None:
    agent, customer = parked(pbx), answered(pbx)
    pbx.join(customer, agent, "agent1001")
    assert pbx.settle().chores == (f"keep {C} {A}",)
    assert pbx.look_around().chores == ()


def test_a_conversation_whose_agent_was_taken_out_is_mended(peer: AriPeer, pbx: AsteriskPbx) -> None:
    agent, customer = parked(pbx), answered(pbx)
    pbx.join(customer, agent, "agent1001")
    peer._add("dialer-waiting", [A])
    pbx.see_to(f"mend {A}")
    assert sorted(peer.bridges[talk_bridge(A)]["channels"]) == [A, C]


def test_a_second_customer_is_sent_to_the_message(peer: AriPeer, pbx: AsteriskPbx) -> None:
    second = CustomerOrder("d5e1f00aa-c13", "+390612345699", "trunk", "+390210001000")
    answered(pbx, second)
    pbx.see_to(f"part {second.ref}")
    assert peer.channels[second.ref]["dialplan"]["context"] == "dialer-message"


def test_without_music_an_agent_waits_where_they_talk(peer: AriPeer, opened: Open) -> None:
    pbx = opened(hold_music=False)
    parked(pbx)
    assert {name: bridge["channels"] for name, bridge in peer.bridges.items()} == {talk_bridge(A): [A]}
    alone = {"id": talk_bridge(A), "channels": [A]}
    assert told_of(pbx, "ChannelEnteredBridge", A, bridge=alone).payload is not None
    assert (
        told_of(opened(), "ChannelEnteredBridge", A, bridge=alone).payload is None
    )  # with music: on the way to a join


def test_the_last_agent_takes_the_bridges_along(peer: AriPeer, pbx: AsteriskPbx) -> None:
    other = AgentOrder("d5e1f00aa-a8", "agent1002", "1002")
    parked(pbx)
    parked(pbx, other)
    for agent in (A, other.ref):
        assert "dialer-waiting" in peer.bridges
        peer.hang_up(agent)
        pbx.see_to(f"tidy {agent}")
        pbx.see_to(f"tidy {agent}")  # twice is harmless
    assert peer.bridges == {}


def test_a_bridge_that_the_last_agent_seemed_to_wait_in_is_closed_later(peer: AriPeer, pbx: AsteriskPbx) -> None:
    """A busy Asterisk lists who has just left a bridge for a moment longer."""
    parked(pbx)
    peer.hang_up(A)
    peer.bridges["dialer-waiting"]["channels"] = [A]
    pbx.see_to(f"tidy {A}")
    assert "dialer-waiting" in peer.bridges
    peer.bridges["dialer-waiting"]["channels"] = []
    (chore,) = pbx.look_around().chores
    pbx.see_to(chore)
    assert peer.bridges == {}
    parked(pbx)
    assert pbx.look_around().chores == ()


def test_settling_finds_who_waits_who_must_be_parked_and_what_is_left_over(peer: AriPeer, pbx: AsteriskPbx) -> None:
    agent, customer = parked(pbx), answered(pbx)
    pbx.join(customer, agent, "agent1001")
    first = CustomerOrder("d5e1f00aa-c20", "+390612345699", "trunk", "+390210001000")
    second = CustomerOrder("d5e1f00aa-c19", "+390612345699", "trunk", "+390210001000")
    answered(pbx, first)
    answered(pbx, second)
    lost = AgentOrder("d5e1f00aa-a8", "agent1002", "1002")
    pbx.call_agent(lost)
    peer.bridges[talk_bridge("d5e1f00aa-a3")] = {"id": talk_bridge("d5e1f00aa-a3"), "channels": []}
    settled = pbx.settle()
    # Customers first, and of them who waits longest.
    assert [told.ref for told in settled.waiting] == [first.ref, second.ref, lost.ref]
    assert settled.present == {A, C, first.ref, second.ref, lost.ref}
    assert set(settled.chores) == {f"park {lost.ref}", f"keep {C} {A}", "tidy d5e1f00aa-a3"}
    assert not settled.restarted
    assert peer.subscribed == ["endpoint:PJSIP/trunk"]
    assert "ChannelVarset" in peer.filtered
    peer.restart()
    assert pbx.settle().restarted


def test_a_conversation_is_recorded_under_the_call_s_own_reference(peer: AriPeer, opened: Open) -> None:
    pbx = opened(record=True)
    both = {"id": talk_bridge(A), "channels": [A, C]}
    chore = told_of(pbx, "ChannelEnteredBridge", C, bridge=both).chore
    answered(pbx)
    pbx.see_to(chore)
    assert peer.asked[-1][1:3] == (
        f"/bridges/{talk_bridge(A)}/record",
        {"name": C, "format": "wav", "ifExists": "fail", "maxDurationSeconds": "14400"},
    )
    pbx.see_to(f"back {A} {C}")
    assert ("POST", f"/recordings/live/{C}/stop") in [ask[:2] for ask in peer.asked]


# secrets (I26) ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [*STEPS, None])
def test_the_password_is_in_no_log_error_or_frame(
    peer: AriPeer, opened: Open, everything_logged: io.StringIO, fault: Any
) -> None:
    pbx = opened(timeout=0.3)
    if fault is not None:
        peer.server.now = STEPS[fault]
    else:
        peer.server.now = reply(json.dumps({"message": f"bad request {PASSWORD}"}), 400, "application/json")

    class TooLate(DialerError):
        pass

    def too_late() -> None:
        raise TooLate("the order is too old")

    acts: list[Callable[[], object]] = [
        lambda: pbx.call_customer(CUSTOMER),
        lambda: pbx.call_customer(CUSTOMER, before_send=too_late),
        lambda: pbx.gateways(),
        lambda: pbx.check(),
        lambda: heard(pbx, lambda _: None, 1),
    ]
    everything: list[str] = []
    for act in acts:
        try:
            everything.append(repr(act()))
        except Exception as exc:
            everything += told_by(exc, set())
    everything.append(everything_logged.getvalue())
    header = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    assert [text for text in everything if PASSWORD in text or header in text] == []
