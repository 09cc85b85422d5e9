"""Every service of the interface answers in the shape of the maker's replies."""

import json

import pytest

from dialer.pbx.simulator.config import Behaviour, CustomerConfig, Ending, WorldConfig
from dialer.pbx.simulator.world import World
from tests.simulation.pbx_kit import CUSTOMER, accepted, ask, call, run, send

ENTITY_FIELDS = {
    0: (
        "users/user",
        "id name surname extension email chat_status av_status numoffice numhome nummobile numfax phrase",
    ),
    1: ("groups/group", "id name is_broadcast visible member_login pick_disabled ring_mode users"),
    2: ("gateways/gateway", "id name type enabled link_status lines busy_lines host_port"),
    3: ("ivrs/ivr", "id name description nodes"),
    8: ("voicemails/voicemail", "id vmid vmname vmcode vmtobelisten rectobelisten"),
    11: ("lines/park_line", "id linecode number name parktime status note user_id"),
}
NODE = (
    "node_id parent_id description select_key go_back_key audio_type audio_message audio_loop input_type "
    "input_length term_char timeout_last_digit waiting_input_time action called_type called_id "
    "called_external_number script"
)
REPORT = (
    "id start_time duration outcome calling_id calling_type calling_number called_id called_type called_number "
    "connected_id connected_type connected_number ring_time hold_time ivr_time talk_time queue_time call_ref_id "
    "external_id gateway_in gateway_out internal"
)
CURRENT = (
    "id start_time calling_id calling_type calling_number calling_desc called_id called_type called_number "
    "called_desc connected_id connected_type connected_desc recording external_id p2p codec"
)
USER_REPORT = (
    "id callid start_time answer_time duration outcome direction my_number remote_number local_id group_name "
    "company surname name remote_company remote_surname remote_name"
)


def fields(element) -> str:
    return " ".join(child.tag for child in element)


@pytest.fixture
def pbx() -> World:
    answers = Behaviour(Ending.ANSWERS, ring=5.0, patience=600.0)
    return World(WorldConfig(customers=CustomerConfig(by_number={"390600000001": answers})), seed=3)


@pytest.mark.parametrize("kind", ENTITY_FIELDS)
def test_get_entities_lists_every_field_of_the_type(pbx, kind):
    path, names = ENTITY_FIELDS[kind]
    reply = ask(pbx, "get_entities", entity_type=kind)
    items = reply.findall(path)
    assert items
    assert {fields(item) for item in items} == {names}
    # The maker's samples of voicemails and parking lines carry no outcome.
    assert reply.findtext("outcome") == (None if kind in (8, 11) else "0")
    first = items[0].findtext("id")
    assert [i.findtext("id") for i in ask(pbx, "get_entities", entity_type=kind, entity_id=first).findall(path)] == [
        first
    ]


def test_the_receptions_nodes_show_that_it_is_armed(pbx):
    nodes = ask(pbx, "get_entities", entity_type=3, entity_id=17).findall("ivrs/ivr/nodes/node")
    assert [fields(node) for node in nodes] == [NODE, NODE]
    wait, message = nodes
    assert (wait.findtext("audio_loop"), wait.findtext("waiting_input_time"), wait.findtext("action")) == (
        "1",
        "2",
        "1",
    )
    assert (message.findtext("parent_id"), message.findtext("audio_loop"), message.findtext("action")) == (
        wait.findtext("node_id"),
        "0",
        "0",
    )
    (loop,) = ask(pbx, "get_entities", entity_type=3, entity_id=18).findall("ivrs/ivr/nodes/node")
    assert (loop.findtext("audio_loop"), loop.findtext("waiting_input_time"), loop.findtext("action")) == (
        "1",
        "0",
        "0",
    )


def test_a_group_lists_its_members(pbx):
    group = ask(pbx, "get_entities", entity_type=1).find("groups/group")
    assert group.findtext("name") == "Sales"
    members = group.findall("users/user")
    assert len(members) == 20
    assert {fields(m) for m in members} == {"id identity extension"}


def test_terminals_are_listed_for_an_owner_only(pbx):
    assert ask(pbx, "get_entities", entity_type=7).findall("devices/device") == []
    devices = ask(pbx, "get_entities", entity_type=7, owner_id=101).findall("devices/device")
    assert {fields(d) for d in devices} == {"id user_agent device_type host_port registered"}


def test_calls_in_progress_show_connected_only_when_somebody_is(pbx):
    call(pbx, "390600000001")
    run(pbx, 2)
    (ringing,) = ask(pbx, "get_current_calls").findall("call")
    assert fields(ringing) == CURRENT
    assert ringing.findtext("connected_id") == ""
    assert ringing.findtext("external_id") == "c1"
    run(pbx, 5.5)
    (held,) = ask(pbx, "get_current_calls").findall("call")
    assert (held.findtext("connected_type"), held.findtext("connected_id")) == ("3", "17")


def test_reports_tell_finished_calls_with_times_and_our_reference(pbx):
    call(pbx, "390600000001", "c1")
    run(pbx, 60)
    call(pbx, "390600000002", "c2")
    run(pbx, 120)
    first, second = ask(pbx, "get_call_report").findall("call")
    assert (fields(first), fields(second)) == (REPORT, REPORT)
    assert (first.findtext("external_id"), first.findtext("outcome")) == ("c1", "1")
    assert (first.findtext("ring_time"), first.findtext("ivr_time"), first.findtext("talk_time")) == ("5", "8", "0")
    assert first.findtext("start_time") == "2026-03-02 09:00:00"
    assert [c.findtext("external_id") for c in ask(pbx, "get_call_report", limit=1).findall("call")] == ["c2"]
    later = ask(pbx, "get_call_report", date_from="2026-03-02 09:00:30").findall("call")
    assert [c.findtext("external_id") for c in later] == ["c2"]
    assert ask(pbx, "get_call_report", external_id="nobody").findall("call") == []
    ask(pbx, "call_request", ext="201", number="390600000001")
    run(pbx, 1000)
    mine = ask(pbx, "get_user_call_report", ext="201").findall("call")
    assert [fields(c) for c in mine] == [USER_REPORT]


def test_a_report_is_bounded_to_the_newest():
    pbx = World(WorldConfig(report_size=3), seed=3)
    for i in range(6):
        call(pbx, f"39060000000{i}", f"c{i}")
    run(pbx, 1000)
    assert len(ask(pbx, "get_call_report").findall("call")) == 3
    assert len(ask(pbx, "get_call_report", limit=50).findall("call")) == 3


def test_recording_is_switched_and_shown(pbx):
    call(pbx, "390600000001")
    (com,) = {h.fields["call_id"] for h in run(pbx, 5.5)}
    assert accepted(ask(pbx, "call_recording_ext", call_id=com, enable=1))
    run(pbx, 6)
    assert ask(pbx, "get_current_calls").findtext("call/recording") == "1"
    ask(pbx, "call_recording_ext", call_id=com, enable=0)
    run(pbx, 6.1)
    assert ask(pbx, "get_current_calls").findtext("call/recording") == "0"


@pytest.mark.parametrize(
    ("service", "params", "error"),
    [
        ("call_request_ext", {"calling_id": 99}, "unknown gateway"),
        ("call_request_ext", {"calling_id": ""}, "missing parameter calling_id"),
        ("call_request_ext", {"calling_number": ""}, "missing parameter calling_number"),
        ("call_request_ext", {"calling_number": " 390600"}, "invalid parameter calling_number"),
        ("call_request_ext", {"calling_number": "+390600"}, "invalid parameter calling_number"),
        ("call_request_ext", {"called_id": 99}, "unknown ivr"),
        ("call_request_ext", {"called_type": 13}, "entity type 13 cannot be called"),
        ("call_request_ext", {"called_type": "x"}, "invalid parameter called_type"),
        ("call_request_ext", {"auto_answer": 3}, "invalid parameter auto_answer"),
        ("call_request_ext", {"extid": "a\nb"}, "invalid parameter extid"),
        ("call_terminate", {"call_id": 1}, "connection not found"),
        ("call_terminate", {"com_id": 1}, "missing parameter call_id"),
        ("call_divert_ext", {"call_id": 1}, "connection not found"),
        ("call_recording_ext", {"call_id": 1, "enable": 1}, "connection not found"),
        ("call_request", {"ext": "999", "number": "1"}, "unknown extension"),
        ("call_request", {"ext": "201", "number": "12a"}, "invalid parameter number"),
        ("call_action", {"ext": "201", "call_id": 1, "action": "disconnect"}, "connection not found"),
        ("set_user_mode", {"ext": "201", "mode": 9}, "invalid parameter mode"),
        ("set_user_mode", {"ext": "201", "mode": 3}, "missing parameter number"),
        ("get_user_call_report", {"ext": "999"}, "unknown extension"),
        ("get_entities", {"entity_type": 12}, "unknown entity type"),
        ("delete_phonebook", {"contact_id": 5}, "contact not found"),
        ("update_phonebook", {"contact_id": 5}, "contact not found"),
        ("phonebook_import_sync", {}, "this service must be called by POST"),
        ("no_such_service", {}, "unknown service"),
        ("", {}, "missing parameter service"),
    ],
)
def test_a_wrong_request_is_refused_with_its_reason(pbx, service, params, error):
    base = {**CUSTOMER, "calling_number": "390600000001"} if service == "call_request_ext" else {}
    reply = ask(pbx, service, **{**base, **params})
    assert (reply.findtext("outcome"), reply.findtext("error")) == ("1", error)
    assert pbx.calls() == []


def test_a_wrong_token_is_refused_whatever_is_asked(pbx):
    reply = ask(pbx, "get_entities", entity_type=2, token="guess")
    assert (reply.findtext("outcome"), reply.findtext("error")) == ("1", "authentication failed")
    assert reply.find("gateways") is None


def test_replies_are_the_makers_xml(pbx):
    reply = send(pbx, "get_entities", entity_type=2)
    assert reply.body.startswith(b'<?xml version="1.0" encoding="UTF-8" ?>\n<result><outcome>0</outcome><gateways>')
    assert reply.content_type.startswith("text/xml")


def test_a_reference_with_xml_in_it_stays_text(pbx):
    call(pbx, "390600000001", "<b>&amp;")
    run(pbx, 2)
    assert ask(pbx, "get_current_calls").findtext("call/external_id") == "<b>&amp;"


def test_the_phone_book_keeps_finds_changes_and_forgets_contacts(pbx):
    added = ask(pbx, "add_phonebook", name="Walter", surname="White", numoffice="+1 555-123 123")
    id = added.findtext("contact_id")
    ask(pbx, "add_phonebook", name="Gus", company="Los Pollos")
    (found,) = ask(pbx, "get_phonebook", search="whi").findall("contact")
    assert fields(found) == "name surname company office home mobile fax other email is_favourite"
    assert found.findtext("office") == "+1555123123"
    assert ask(pbx, "update_phonebook", contact_id=id, mobile="555999").findtext("outcome") == "0"
    (found,) = ask(pbx, "get_phonebook", search="555999").findall("contact")
    assert (found.findtext("name"), found.findtext("office")) == ("Walter", "+1555123123")
    assert ask(pbx, "delete_phonebook", contact_id=id).findtext("outcome") == "0"
    assert ask(pbx, "get_phonebook", search="walter").findall("contact") == []
    assert len(ask(pbx, "get_phonebook", search="").findall("contact")) == 1


def test_a_synchronisation_inserts_then_updates_and_never_doubles(pbx):
    rows = [
        {"name": "Gus", "nummobile": "333 98", "uc_app_name": "HBO", "uc_external_id": "1", "ext_info": [{}]},
        {"name": "Saul", "numhome": "06", "uc_app_name": "HBO", "uc_external_id": "2"},
        {"surname": "Nobody"},
    ]
    reply = ask(pbx, "phonebook_import_sync", "POST", contacts=json.dumps(rows), verbose_output=1)
    assert [reply.findtext(n) for n in ("outcome", "processed", "skipped", "warnings", "errors")] == [
        "0",
        "3",
        "1",
        "1",
        "0",
    ]
    assert [c.findtext("act") for c in reply.findall("contacts/contact")] == ["insert", "insert", ""]
    rows[0]["name"] = "Gustavo"
    again = ask(pbx, "phonebook_import_sync", "POST", contacts=json.dumps(rows[:2]), verbose_output=1)
    assert [c.findtext("act") for c in again.findall("contacts/contact")] == ["update", "update"]
    assert len(ask(pbx, "get_phonebook", search="").findall("contact")) == 2
    assert ask(pbx, "get_phonebook", search="gustavo").findtext("contact/mobile") == "33398"
    gone = ask(pbx, "delete_phonebook", app_name="HBO", external_contact_id="2")
    assert gone.findtext("outcome") == "0"
    plain = ask(pbx, "phonebook_import_sync", "POST", contacts="[]")
    assert plain.find("contacts") is None
    assert ask(pbx, "phonebook_import_sync", "POST", contacts="{").findtext("error") == "contacts is not valid JSON"
