"""VOIspeed's events in our words: by name before code, ids under any of their names, and never a false answer."""

import json
import logging
from collections.abc import Callable
from urllib.parse import quote, urlencode

import pytest

from dialer.errors import EventTrouble
from dialer.pbx.base import CallEvent, CallOutcome, EventKeys, Heard, Payload, Role
from dialer.pbx.voispeed_events import VoispeedEvents
from dialer.settings import PbxSettings
from tests.pbx.scripted import events

Read = Callable[..., CallEvent]


def reader(**changes: object) -> VoispeedEvents:
    values: dict[str, object] = {"reception_ivr": 17, "waiting_ivr": 18, "abandon_ivr": 19, **changes}
    return VoispeedEvents(PbxSettings(url="http://127.0.0.1/x", **values))  # type: ignore[arg-type]


def read(query: str = "", /, **fields: object) -> CallEvent:
    return reader().read(Payload("GET", query or urlencode(fields)))


# the life of a call, as it is sent ------------------------------------------------------------------------


def test_an_answered_and_joined_call_is_told_step_by_step() -> None:
    told = [read(line) for line in events("answered_and_joined.txt")]
    assert {event.ref for event in told} == {"4711"}
    assert {event.call_id for event in told} == {"9001"}
    assert [(event.heard, event.role, event.party_id, event.leg_id) for event in told] == [
        (Heard.CALLING, Role.CUSTOMER, "4", "501"),
        (Heard.RINGING, Role.CUSTOMER, "4", "501"),
        (Heard.ANSWERED, Role.CUSTOMER, "4", "501"),
        (Heard.CALLING, Role.RECEPTION, "17", "502"),
        (Heard.ANSWERED, Role.RECEPTION, "17", "502"),
        (Heard.DROPPED, Role.RECEPTION, "17", "502"),
        (Heard.TRANSFERRED, Role.AGENT, "33", "503"),
        (Heard.HELD, Role.AGENT, "33", None),
        (Heard.RETRIEVED, Role.AGENT, "33", None),
        (Heard.LEFT, Role.CUSTOMER, "4", "501"),
        (Heard.ENDED, Role.OTHER, None, None),
    ]
    assert told[0].number == "0612345678"
    assert told[1].note == "ringing"
    assert told[2].outcome is CallOutcome.OK
    assert told[6].other_call_id == "9002"
    assert told[10].outcome is CallOutcome.OK


def test_a_busy_customer_is_the_calling_side_and_busy_all_the_same() -> None:
    told = [read(line) for line in events("busy.txt")]
    assert [(event.heard, event.outcome) for event in told[1:]] == [
        (Heard.NOT_REACHED, CallOutcome.BUSY),
        (Heard.ENDED, CallOutcome.BUSY),
    ]
    assert told[1].role is Role.CUSTOMER


def test_a_parked_agent_waits_with_a_leg_to_join() -> None:
    told = [read(line) for line in events("parked_agent.txt")]
    assert [(event.heard, event.role, event.leg_id) for event in told] == [
        (Heard.CALLING, Role.AGENT, "503"),
        (Heard.ANSWERED, Role.AGENT, "503"),
        (Heard.ANSWERED, Role.WAITING, "504"),
        (Heard.ENDED, Role.OTHER, None),
    ]


def test_user_events_are_noted_and_move_no_call() -> None:
    told = [read(line) for line in events("user.txt")]
    assert [event.heard for event in told] == [Heard.COMMAND_FAILED] + [Heard.OTHER] * 9
    assert (told[0].request_id, told[0].note) == ("15652770917203", "no line (code 7)")
    assert (told[1].call_id, told[1].number, told[1].note) == ("77", "0612345678", "extension 233")
    assert told[2].ref == "X1"
    assert [event.name for event in told] == [line.split("event_name=")[1].split("&")[0] for line in events("user.txt")]


@pytest.mark.parametrize(
    ("name", "code", "heard", "role", "more"),
    [
        ("call_in", 1, Heard.ARRIVED, Role.CUSTOMER, {"calling": "0612", "calling_id": 4, "calling_type": 2}),
        ("call_progress", 2, Heard.RINGING, Role.CUSTOMER, {"sender_id": 4, "sender_type": 2, "code": 183}),
        ("call_out", 3, Heard.CALLING, Role.WAITING, {"called_id": 18, "called_type": 3}),
        ("call_response", 4, Heard.ANSWERED, Role.MESSAGE, {"sender_id": 19, "sender_type": 3, "outcome": 1}),
        ("disconnect_in", 5, Heard.LEFT, Role.AGENT, {"sender_id": 33, "sender_type": 0}),
        ("disconnect_out", 6, Heard.DROPPED, Role.AGENT, {"recipient_id": 33, "recipient_type": 0}),
        ("call_transfer", 7, Heard.TRANSFERRED, Role.AGENT, {"recipient_id": 33, "recipient_type": 0, "refer_id": 2}),
        ("dtmf_out", 8, Heard.OTHER, Role.OTHER, {}),
        ("call_divert", 9, Heard.DIVERTED, Role.MESSAGE, {"recipient_id": 19, "recipient_type": 3}),
        ("call_terminated", 10, Heard.ENDED, Role.OTHER, {"outcome": 9}),
        ("call_held", 11, Heard.HELD, Role.AGENT, {"user_id": 33}),
        ("call_retrieved", 12, Heard.RETRIEVED, Role.AGENT, {"user_id": 33}),
    ],
)
def test_every_extended_event_is_read_by_name_alone_by_code_alone_and_by_both(
    name: str, code: int, heard: Heard, role: Role, more: dict[str, object]
) -> None:
    for told in (
        {"event_type": 1, "event_name": name},
        {"event_type": 1, "event": code},
        {"event_type": 7, "event_name": name, "event": code},
        {"event_type": 1, "event_name": name.upper(), "event": 99},
        {"event_name": name, "event": code},
    ):
        event = read(**told, call_id=9001, extid=4711, **more)
        assert (event.heard, event.role, event.ref, event.call_id) == (heard, role, "4711", "9001")


@pytest.mark.parametrize("code", [8, 9, 10, 12, 14, 15, 16, 17, 18])
def test_every_user_event_is_read_by_its_code_alone(code: int) -> None:
    assert read(event_type=2, event=code, ext=35).heard is Heard.OTHER


# roles ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "of", "role"),
    [
        (2, 4, Role.CUSTOMER),
        (0, 33, Role.AGENT),
        (3, 17, Role.RECEPTION),
        (3, 18, Role.WAITING),
        (3, 19, Role.MESSAGE),
        (3, 20, Role.OTHER),
        (3, "", Role.OTHER),
        (1, 5, Role.OTHER),
        (7, 71, Role.OTHER),
        (10, 1, Role.OTHER),
        ("", 33, Role.OTHER),
        ("x", 33, Role.OTHER),
        ("²", 4, Role.OTHER),
    ],
)
def test_an_entity_s_part_follows_from_its_type_and_for_an_ivr_from_the_settings(
    kind: object, of: object, role: Role
) -> None:
    assert read(event_type=1, event_name="call_out", call_id=1, called_type=kind, called_id=of).role is role


# answers --------------------------------------------------------------------------------------------------

FAMILIES = {
    CallOutcome.BUSY: (2, 10),
    CallOutcome.REJECTED: (3, 11),
    CallOutcome.UNAVAILABLE: (4, 7, 8, 12),
    CallOutcome.NO_ANSWER: (5, 9),
    CallOutcome.NO_LINES: (6, 13),
    CallOutcome.UNKNOWN: (0, 14, 99, -1, "ok", "1.0", "0x1", "١"),
}


@pytest.mark.parametrize(
    ("outcome", "code"), [(outcome, code) for outcome, codes in FAMILIES.items() for code in codes]
)
def test_both_families_of_outcomes_mean_the_same_and_none_of_them_an_answer(outcome: CallOutcome, code: object) -> None:
    base = {"event_type": 1, "call_id": 1, "sender_type": 2, "sender_id": 4, "outcome": code}
    response = read(**base, event_name="call_response")
    assert (response.heard, response.outcome) == (Heard.NOT_REACHED, outcome)
    assert read(**base, event_name="call_terminated").outcome is outcome


def test_only_one_is_an_answer_or_somebody_being_connected() -> None:
    base = {"event_type": 1, "event_name": "call_response", "call_id": 1, "sender_type": 2, "sender_id": 4}
    assert read(**base, outcome=1).heard is Heard.ANSWERED
    assert read(**base, outcome=0, connected_id=17).heard is Heard.ANSWERED
    assert read(**base, connected_id=17).heard is Heard.ANSWERED
    assert read(**base, outcome=5, connected_id=17).heard is Heard.ANSWERED
    assert read(**base, outcome=0).heard is Heard.NOT_REACHED


@pytest.mark.parametrize("filler", ["", "0", "-1"])
def test_a_field_filled_with_nothing_connects_nobody(filler: str) -> None:
    base = {"event_type": 1, "event_name": "call_response", "call_id": 1, "sender_type": 2, "sender_id": 4}
    assert read(**base, outcome=10, connected_id=filler).heard is Heard.NOT_REACHED


def test_a_response_that_says_neither_yes_nor_no_is_trouble() -> None:
    with pytest.raises(EventTrouble, match="answered or not"):
        read(event_type=1, event_name="call_response", call_id=1, sender_type=2, sender_id=4)


def test_the_end_without_an_outcome_is_an_end() -> None:
    event = read(event_type=1, event_name="call_terminated", call_id=1)
    assert (event.heard, event.outcome) == (Heard.ENDED, CallOutcome.UNKNOWN)


# who hung up ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [
        {"event": 5, "event_name": "disconnect_out"},  # the detailed section prints 5
        {"event": 6, "event_name": "disconnect_in"},  # the summary table prints them swapped
        {"event": 5},
        {"event": 6},
    ],
)
def test_who_was_sent_away_is_told_by_the_party_not_by_the_code(told: dict[str, object]) -> None:
    out = read(event_type=1, call_id=1, recipient_type=0, recipient_id=33, **told)
    assert (out.heard, out.role, out.party_id) == (Heard.DROPPED, Role.AGENT, "33")
    left = read(event_type=1, call_id=1, sender_type=2, sender_id=4, **told)
    assert (left.heard, left.role, left.party_id) == (Heard.LEFT, Role.CUSTOMER, "4")


def test_without_a_single_party_the_name_and_then_the_code_decide() -> None:
    both = {"event_type": 1, "call_id": 1, "sender_id": 4, "sender_type": 2, "recipient_id": 33, "recipient_type": 0}
    assert read(**both, event_name="disconnect_out", event=5).heard is Heard.DROPPED
    assert read(**both, event=5).heard is Heard.LEFT
    assert read(event_type=1, call_id=1, event=6).heard is Heard.DROPPED


# user or extended -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "heard"),
    [
        ({"event_type": 2, "event": 18, "event_name": "call_transfer"}, Heard.OTHER),
        ({"event_name": "call_transfer", "ext": 35}, Heard.OTHER),
        ({"event_name": "call_transfer", "refer_id": 9002}, Heard.TRANSFERRED),
        ({"event_name": "call_transfer", "recipient_id": 33}, Heard.TRANSFERRED),
        ({"event_name": "call_transfer", "event": 7}, Heard.TRANSFERRED),
        ({"event_type": 1, "event_name": "call_transfer"}, Heard.TRANSFERRED),
        ({"event": 10, "ext": 233}, Heard.OTHER),  # new_voicemail
        ({"event": 10}, Heard.ENDED),
        ({"event": 14}, Heard.OTHER),  # call_answered exists for users only
        ({"event": 3}, Heard.CALLING),
        ({"event_type": 1, "event_name": "call_answered", "event": 14}, Heard.OTHER),
        ({"event_type": 1, "event_name": "call_disconnect_in"}, Heard.OTHER),
        ({"event_type": 2, "event": 14}, Heard.OTHER),
        ({"event_type": "", "event_name": "call_terminated"}, Heard.ENDED),
    ],
)
def test_user_and_extended_events_are_told_apart(fields: dict[str, object], heard: Heard) -> None:
    assert read(call_id=9001, extid=1, **fields).heard is heard


@pytest.mark.parametrize(
    "fields",
    [
        {"event_type": 2, "event_name": "call_response", "event": 4},
        {"event_type": 2, "event_name": "call_terminated", "event": 10},
        {"event_type": 2, "event": 3},
        {"event_type": 1, "event": 13},
        {"event_type": 1, "event": "4x"},
        {"event_type": 1, "event_name": "call_exploded"},
        {"event_type": 1},
        {"hello": "world"},
    ],
)
def test_an_event_the_guide_does_not_have_is_trouble_with_a_sentence(fields: dict[str, object]) -> None:
    with pytest.raises(EventTrouble, match="guide does not have"):
        read(call_id=9001, **fields)


def test_a_failed_command_is_found_by_its_request_whatever_the_type_says() -> None:
    for kind in ({"event_type": 2}, {"event_type": 1}, {}):
        event = read(event_name="cmd_failed", event=1, request_id="17012345678901", **kind)
        assert (event.heard, event.request_id, event.note) == (
            Heard.COMMAND_FAILED,
            "17012345678901",
            "no reason given",
        )
    assert read(event_type=2, event=1, ext=35, request_id=7).heard is Heard.COMMAND_FAILED
    with pytest.raises(EventTrouble, match="names no command"):
        read(event_name="cmd_failed")


# ids under any of their names -----------------------------------------------------------------------------


@pytest.mark.parametrize("call_name", ["call_id", "com_id", "callid", "CALL_ID"])
@pytest.mark.parametrize(
    "leg_name", ["entity_call_id", "local_id", "call_local_id", "sender_call_id", "usercallid", "sender_local_id"]
)
def test_call_and_leg_are_found_under_each_name_they_may_have(call_name: str, leg_name: str) -> None:
    fields = {"event_type": 1, "event_name": "call_response", "sender_type": 2, "sender_id": 4, "outcome": 1}
    event = read(**fields, **{call_name: 9001, leg_name: 501})
    assert (event.call_id, event.leg_id) == ("9001", "501")


def test_names_of_ids_are_configuration() -> None:
    strange = reader(call_id_fields=("conv",), leg_id_fields=("Gamba",))
    query = "event_type=1&event_name=call_response&sender_type=2&sender_id=4&outcome=1&conv=9001&gamba=501&call_id=1"
    event = strange.read(Payload("GET", query))
    assert (event.call_id, event.leg_id) == ("9001", "501")
    assert strange.keys(Payload("GET", query)).call_id == "9001"


def test_an_empty_or_placeholder_id_is_no_id() -> None:
    event = read(event_type=1, event_name="call_terminated", call_id="", com_id="9001", extid="-1")
    assert (event.call_id, event.ref) == ("9001", None)


def test_an_extended_event_that_names_no_call_says_which_setting_would_help() -> None:
    with pytest.raises(EventTrouble, match="call_id_fields"):
        read(event_type=1, event_name="call_terminated", conversation=9001)


def test_a_number_in_an_unknown_field_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    told = reader()
    for number in (1, 2, 3):
        told.read(Payload("GET", f"event_type=1&event_name=call_terminated&call_id={number}&leg_number={number}5"))
    assert [record.getMessage() for record in caplog.records].count(
        "VOIspeed event call_terminated carries a number in an unknown field: leg_number"
    ) == 1


def test_a_flood_of_unknown_fields_fills_no_memory() -> None:
    told = reader()
    for number in range(1000):
        told.read(Payload("GET", f"event_type=1&event_name=call_terminated&call_id=1&x{number}=1"))
    assert len(told._unknown) == 200


# how it comes ---------------------------------------------------------------------------------------------

FIELDS = {"event_type": "1", "event_name": "call_terminated", "call_id": "9001", "extid": "4711", "outcome": "1"}


@pytest.mark.parametrize(
    "payload",
    [
        Payload("GET", urlencode(FIELDS)),
        Payload("GET", "?" + urlencode(FIELDS)),
        Payload("POST", "", urlencode(FIELDS).encode(), "application/x-www-form-urlencoded"),
        Payload("POST", "", json.dumps(FIELDS).encode(), "application/json; charset=utf-8"),
        Payload("POST", "", json.dumps({**FIELDS, "call_id": 9001, "outcome": 1}).encode(), ""),
        Payload("POST", "extid=4711", json.dumps({**FIELDS, "extid": "9999"}).encode(), "application/json"),
    ],
)
def test_fields_are_found_in_the_query_a_form_or_json(payload: Payload) -> None:
    told = reader()
    event = told.read(payload)
    assert (event.heard, event.ref, event.call_id, event.outcome) == (Heard.ENDED, "4711", "9001", CallOutcome.OK)
    assert told.keys(payload) == EventKeys("4711", "9001", None)


def test_letters_outside_ascii_come_in_utf_8_or_latin_1() -> None:
    for raw in ("è", quote("è".encode("latin-1"))):
        query = f"event_name=cmd_failed&request_id=7&error_msg=non+{raw if raw.startswith('%') else quote(raw)}+libero"
        assert read(query).note == "non è libero"


def test_text_from_outside_is_inert_in_an_event() -> None:
    query = "event_name=cmd_failed&request_id=7&error_msg=" + quote("no\r\n\x1b[31mline\u202e" + "x" * 2000)
    note = read(query).note or ""
    assert note.startswith("no [31mline x")
    assert note.isprintable()
    assert len(note) <= 200


@pytest.mark.parametrize("bad", ["a b", "1'--", "x" * 65, "<b>", "1\u202e2"])
def test_what_cannot_be_an_id_is_not_taken_for_one(bad: str) -> None:
    keys = reader().keys(Payload("GET", urlencode({"extid": bad, "call_id": bad, "request_id": bad})))
    assert keys == EventKeys()


def test_the_call_of_a_user_event_is_found_under_its_own_name() -> None:
    keys = reader().keys(Payload("GET", "event_type=2&event=14&usercallid=78&call_id=9&extid=X1&request_id=5"))
    assert keys == EventKeys("X1", "78", "5", can_wait=True)


def test_the_printed_time_is_kept_as_it_is() -> None:
    event = read(event_type=1, event_name="call_terminated", call_id=1, datetime="2026-03-02 10:00:01")
    assert event.vendor_time == "2026-03-02 10:00:01"


def test_an_event_without_fields_is_trouble() -> None:
    for payload in (
        Payload("GET", ""),
        Payload("POST", "", b"[1,2]", "application/json"),
        Payload("POST", "", b"[" * 60_000, "application/json"),
    ):
        assert reader().keys(payload) == EventKeys()
        with pytest.raises(EventTrouble, match="no fields"):
            reader().read(payload)
