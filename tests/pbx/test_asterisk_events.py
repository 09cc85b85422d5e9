"""What Asterisk tells, read one event at a time: shapes as a real one sent them."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from dialer.errors import EventTrouble
from dialer.pbx.asterisk_causes import ended_unanswered, refused_by_far_end
from dialer.pbx.asterisk_events import GONE, AsteriskEvents, agent_of, made, met, one_too_many, talk_bridge
from dialer.pbx.base import CallEvent, CallOutcome, Heard, Payload, Role

READER = AsteriskEvents()
C, A = "d5e1f00aa-c12", "d5e1f00aa-a7"


def payload(kind: str, channel: str = C, state: str = "Down", **more: Any) -> Payload:
    told = {"id": channel, "name": "PJSIP/trunk-00000001", "state": state}
    body = {"type": kind, "timestamp": "2026-11-27T16:13:40.554+0000", "application": "dialer"}
    return Payload("WS", "", json.dumps(body | {"peer" if kind == "Dial" else "channel": told} | more).encode())


def read(kind: str, channel: str = C, state: str = "Down", **more: Any) -> CallEvent:
    return READER.read(payload(kind, channel, state, **more))


def bridge(name: str, *inside: str) -> Mapping[str, Any]:
    return {"id": name, "bridge_type": "mixing", "channels": list(inside)}


@pytest.mark.parametrize(
    ("event", "heard", "role"),
    [
        (read("Dial", dialstatus=""), Heard.CALLING, Role.CUSTOMER),
        (read("Dial", A, dialstatus=""), Heard.CALLING, Role.AGENT),
        (read("Dial", state="Ringing", dialstatus="RINGING"), Heard.RINGING, Role.CUSTOMER),
        (read("Dial", dialstatus="PROGRESS"), Heard.RINGING, Role.CUSTOMER),
        (read("Dial", state="Up", dialstatus="ANSWER"), Heard.OTHER, Role.CUSTOMER),
        (read("ChannelStateChange", state="Ringing"), Heard.OTHER, Role.CUSTOMER),
        (read("ChannelStateChange", state="Up"), Heard.ANSWERED, Role.CUSTOMER),
        (read("StasisStart", state="Up", args=["customer"]), Heard.ANSWERED, Role.RECEPTION),
        (read("StasisStart", A, "Up", args=["agent"]), Heard.OTHER, Role.AGENT),
        (read("ChannelEnteredBridge", A, "Up", bridge=bridge("dialer-waiting", A)), Heard.ANSWERED, Role.WAITING),
        (read("ChannelUserevent", state="Up", eventname="dialer-message"), Heard.ANSWERED, Role.MESSAGE),
        (read("ChannelUserevent", state="Up", eventname="dialer-machine"), Heard.NOT_REACHED, Role.CUSTOMER),
        (read("ChannelUserevent", state="Up", eventname="something"), Heard.OTHER, Role.CUSTOMER),
        (read("ChannelHangupRequest", state="Up"), Heard.LEFT, Role.CUSTOMER),
        (read("ChannelHangupRequest", state="Up", cause=32, soft=True), Heard.OTHER, Role.CUSTOMER),
        (read("ChannelHangupRequest", cause=17, tech_cause=486), Heard.NOT_REACHED, Role.CUSTOMER),
        (read("ChannelDestroyed", state="Up", cause=16), Heard.ENDED, Role.CUSTOMER),
        (read("StasisEnd", state="Up"), Heard.OTHER, Role.CUSTOMER),
        (read("ChannelLeftBridge", state="Up", bridge=bridge(talk_bridge(A), A)), Heard.OTHER, Role.CUSTOMER),
        (READER.read(made(GONE, C)), Heard.ENDED, Role.CUSTOMER),
    ],
)
def test_an_event_in_our_words(event: CallEvent, heard: Heard, role: Role) -> None:
    assert (event.heard, event.role) == (heard, role)
    assert event.ref == event.call_id == event.leg_id


def test_a_channel_that_is_not_ours_is_nothing_to_us() -> None:
    told = read("ChannelDestroyed", "1795796662.44", "Up", cause=16)
    assert (told.heard, told.ref) == (Heard.OTHER, None)


@pytest.mark.parametrize("order", [(A, C), (C, A)])
@pytest.mark.parametrize("who", [A, C])
def test_whoever_of_the_two_enters_last_tells_of_the_join_and_the_customer_s_call_is_the_one(
    who: str, order: tuple[str, str]
) -> None:
    came = payload("ChannelEnteredBridge", who, "Up", bridge=bridge(talk_bridge(A), *order))
    told = READER.read(came)
    assert (told.heard, told.ref, told.call_id, told.other_call_id) == (Heard.BRIDGED, C, C, A)
    assert READER.keys(came).ref == C


def test_a_customer_with_an_agent_who_talks_is_one_too_many_and_is_not_joined() -> None:
    third = "d5e1f00aa-c13"
    crowd = json.loads(payload("ChannelEnteredBridge", third, "Up", bridge=bridge(talk_bridge(A), A, C, third)).body)
    assert one_too_many(crowd) == third
    assert met(crowd) is None
    assert read("ChannelEnteredBridge", third, "Up", bridge=bridge(talk_bridge(A), A, C, third)).heard is Heard.OTHER


def test_a_bridge_is_an_agent_s_only_by_its_whole_name() -> None:
    assert agent_of(talk_bridge(A)) == A
    assert agent_of(A) is None
    assert agent_of("dialer-waiting") is None
    assert agent_of(talk_bridge("somebody")) is None


# What SIPp was told to do, as a real Asterisk 22 reported it: (cause, SIP status, did it ring) -> what it was.
@pytest.mark.parametrize(
    ("cause", "status", "rang", "outcome"),
    [
        (17, 486, False, CallOutcome.BUSY),
        (17, 600, True, CallOutcome.BUSY),
        (21, 603, True, CallOutcome.REJECTED),
        (21, 403, False, CallOutcome.REJECTED),
        (127, 607, False, CallOutcome.REJECTED),
        (19, 480, False, CallOutcome.UNAVAILABLE),
        (19, 480, True, CallOutcome.NO_ANSWER),
        (18, 408, False, CallOutcome.NO_ANSWER),
        (1, 404, False, CallOutcome.INVALID),
        (22, 410, False, CallOutcome.INVALID),
        (28, 484, False, CallOutcome.INVALID),
        (34, 503, False, CallOutcome.NO_LINES),
        (38, 500, False, CallOutcome.NO_LINES),
        (102, 504, False, CallOutcome.NO_LINES),
        (58, 488, False, CallOutcome.UNKNOWN),
        (127, 487, False, CallOutcome.UNKNOWN),
        # A `Reason` header decides the cause; the status goes first all the same.
        (16, 486, False, CallOutcome.BUSY),
        # Releases that do not tell the status.
        (17, None, False, CallOutcome.BUSY),
        (19, None, True, CallOutcome.NO_ANSWER),
        (19, None, False, CallOutcome.UNAVAILABLE),
        (20, None, False, CallOutcome.UNAVAILABLE),
        (34, None, False, CallOutcome.NO_LINES),
    ],
)
def test_why_the_far_end_did_not_take_a_call(cause: int, status: int | None, rang: bool, outcome: CallOutcome) -> None:
    rung, unrung = refused_by_far_end(cause, status)
    assert (rung if rang else unrung or rung) is outcome


@pytest.mark.parametrize(
    ("cause", "status", "rang", "outcome"),
    [
        (19, 480, True, CallOutcome.NO_ANSWER),  # our own time-out: Asterisk says 480, though nobody sent it
        (19, 480, False, CallOutcome.NO_LINES),  # the trunk said nothing at all
        (17, 486, False, CallOutcome.BUSY),  # the request that told who refused was lost
        (0, None, False, CallOutcome.UNKNOWN),  # Asterisk stopped
    ],
)
def test_why_a_call_that_nobody_refused_ended(cause: int, status: int | None, rang: bool, outcome: CallOutcome) -> None:
    rung, unrung = ended_unanswered(cause, status)
    assert (rung if rang else unrung or rung) is outcome


def test_a_channel_that_ended_while_ringing_has_rung_whatever_else_was_lost() -> None:
    told = read("ChannelDestroyed", state="Ringing", cause=19, tech_cause=480)
    assert (told.outcome, told.unrung) == (CallOutcome.NO_ANSWER, None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"type": 4}', b"{" * 70_000, b"\xff\xfe", b'"text"', b"null"])
def test_what_is_no_event_is_refused_with_a_sentence(body: bytes) -> None:
    assert READER.keys(Payload("WS", "", body)).ref is None
    with pytest.raises(EventTrouble, match="no event of Asterisk's"):
        READER.read(Payload("WS", "", body))


def test_an_answer_is_news_by_itself_only_where_something_listens_before_us() -> None:
    up = payload("ChannelStateChange", state="Up")
    assert READER.keys(up).can_wait  # StasisStart follows at once
    assert not AsteriskEvents(waits_on_answer=True).keys(up).can_wait
    assert not READER.keys(payload("ChannelDestroyed", cause=16)).can_wait
