"""VOIspeed's services: what is asked, word for word, and what is made of the answers."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dialer.errors import OutcomeUnknown, PbxNonsense, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx.base import (
    AgentOrder,
    CallOutcome,
    CustomerOrder,
    Feature,
    PbxUser,
    Presence,
    Role,
    WaitingLeg,
)
from dialer.pbx.voispeed import VoispeedPbx
from dialer.pbx.voispeed_calls import printed_time
from dialer.pbx.voispeed_codes import EntityType
from dialer.pbx.voispeed_phonebook import Contact
from dialer.pbx.voispeed_services import Entity
from tests.pbx import scripted
from tests.pbx.conftest import TOKEN
from tests.pbx.scripted import ScriptedServer, reply, sample

Open = Callable[..., VoispeedPbx]
CUSTOMER = CustomerOrder("4711", "+390612345678", "4", "+39 0210001000".replace(" ", ""))
REFUSED = reply(sample("refused.xml"))


def last(server: ScriptedServer) -> dict[str, str]:
    """The arguments of the newest request, without the token, which is always there."""
    params = dict(server.requests[-1].params)
    assert params.pop("token") == TOKEN
    return params


# placing --------------------------------------------------------------------------------------------------


def test_a_customer_is_called_through_a_gateway_and_waits_at_the_reception(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    assert voispeed.call_customer(CUSTOMER) == "15652770917203"
    assert server.requests[-1].method == "GET"
    assert last(server) == {
        "service": "call_request_ext",
        "calling_type": "2",
        "calling_id": "4",
        "calling_number": "390612345678",
        "called_type": "3",
        "called_id": "17",
        "called_number": "390210001000",
        "extid": "4711",
    }


@pytest.mark.parametrize(
    ("form", "prefix", "dialled"),
    [
        ("digits", "", "390612345678"),
        ("plus", "", "+390612345678"),
        ("international", "", "00390612345678"),
        ("international", "0", "000390612345678"),
        ("digits", "9*", "9*390612345678"),
    ],
)
def test_numbers_are_written_as_the_pbx_wants_them(
    server: ScriptedServer, open_voispeed: Open, form: str, prefix: str, dialled: str
) -> None:
    open_voispeed(number_format=form, dial_prefix=prefix).call_customer(CUSTOMER)
    assert last(server)["calling_number"] == dialled


def test_an_agent_is_called_at_their_phone_which_answers_by_itself(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    voispeed.call_agent(AgentOrder("L7", "33", "233"))
    assert last(server) == {
        "service": "call_request_ext",
        "calling_type": "0",
        "calling_id": "33",
        "calling_number": "233",
        "called_type": "3",
        "called_id": "18",
        "called_number": "233",
        "extid": "L7",
        "auto_answer": "1",
    }


@pytest.mark.parametrize(
    ("calling", "called", "display", "shown"),
    [
        ("{extension}", "{display}", "+390612345678", ("233", "390612345678")),
        ("{display}", "{extension}", "", ("233", "233")),
        ("{display}", "{extension}", "Mario", ("233", "233")),
        ("9{user_id}", "800", "", ("933", "800")),
    ],
)
def test_what_an_agent_s_phone_shows_is_configuration(
    server: ScriptedServer, open_voispeed: Open, calling: str, called: str, display: str, shown: tuple[str, str]
) -> None:
    pbx = open_voispeed(agent_calling_number=calling, agent_called_number=called)
    pbx.call_agent(AgentOrder("L7", "33", "233", display))
    assert (last(server)["calling_number"], last(server)["called_number"]) == shown


@pytest.mark.parametrize("template", ["", "{name}", "{extension!r}", "{0}", "abc", "1&x=2", "{extension.real}"])
def test_a_template_that_could_become_anything_else_is_refused_at_once(open_voispeed: Open, template: str) -> None:
    with pytest.raises(SettingsError, match=r"pbx\.main\.agent_called_number"):
        open_voispeed(agent_called_number=template)


def test_the_tenant_is_sent_when_there_is_one(server: ScriptedServer, open_voispeed: Open) -> None:
    open_voispeed(domain="almach1.it").call_customer(CUSTOMER)
    assert last(server)["domain"] == "almach1.it"


def test_a_refusal_gives_the_pbx_s_reason(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = REFUSED
    with pytest.raises(PbxRefused) as caught:
        voispeed.call_customer(CUSTOMER)
    assert str(caught.value) == "PBX main: refuses call_request_ext: connection not found"


@pytest.mark.parametrize("status", [200, 401, 404, 500])
@pytest.mark.parametrize("body", ["accepted.xml", "refused.xml"])
def test_the_result_is_believed_whatever_the_http_status(
    server: ScriptedServer, voispeed: VoispeedPbx, status: int, body: str
) -> None:
    server.now = reply(sample(body), status)
    if body == "accepted.xml":
        assert voispeed.call_customer(CUSTOMER) == "15652770917203"
    else:
        with pytest.raises(PbxRefused, match="connection not found"):
            voispeed.call_customer(CUSTOMER)


@pytest.mark.parametrize("outcome", ["", "2", "-1", "ok", "00x", "１"])
def test_an_outcome_that_is_neither_yes_nor_no_leaves_it_unknown(
    server: ScriptedServer, voispeed: VoispeedPbx, outcome: str
) -> None:
    server.now = reply(f"<result><outcome>{outcome}</outcome><request_id>7</request_id></result>")
    with pytest.raises(OutcomeUnknown, match="outcome"):
        voispeed.call_customer(CUSTOMER)


def test_a_request_id_longer_than_any_integer_stays_text(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = reply("<result><outcome>0</outcome><request_id> 00099999999999999999999 </request_id></result>")
    assert voispeed.call_customer(CUSTOMER) == "00099999999999999999999"


def test_accepted_without_a_request_id_is_accepted(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = reply("<result><outcome>0</outcome></result>")
    assert voispeed.call_customer(CUSTOMER) == ""


def test_a_sloppy_but_whole_reply_is_understood(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = reply("<result>\n<outcome>0</outcome\n<request_id>7</request id>\n</result>")
    assert voispeed.call_customer(CUSTOMER) == "7"


def test_an_ivr_nobody_named_is_a_refusal_before_anything_is_sent(server: ScriptedServer, open_voispeed: Open) -> None:
    pbx = open_voispeed(reception_ivr=None, waiting_ivr=None, abandon_ivr=None)
    for send, setting in (
        (lambda: pbx.call_customer(CUSTOMER), "reception_ivr"),
        (lambda: pbx.call_agent(AgentOrder("L7", "33", "233")), "waiting_ivr"),
        (lambda: pbx.join(WaitingLeg("1", "2"), WaitingLeg("3", "4"), "33"), "reception_ivr"),
    ):
        with pytest.raises(PbxRefused, match=rf"pbx\.main\.{setting}"):
            send()
    assert server.requests == []


def test_what_can_be_done_follows_from_the_ivrs_that_are_named(open_voispeed: Open) -> None:
    predictive = {Feature.CUSTOMER_FIRST, Feature.JOIN, Feature.DIVERT}
    assert predictive <= open_voispeed().features
    assert not predictive & open_voispeed(reception_ivr=None).features
    assert Feature.JOIN not in open_voispeed(waiting_ivr=None).features
    assert Feature.DIVERT not in open_voispeed(abandon_ivr=None).features


# commands on a call ---------------------------------------------------------------------------------------


def test_a_join_puts_the_agent_in_the_reception_s_place(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    voispeed.join(WaitingLeg("9001", "502"), WaitingLeg("9002", "503"), "33")
    assert last(server) == {
        "service": "call_transfer_ext",
        "replace_com_id": "9001",
        "replace_type": "3",
        "replace_id": "17",
        "replace_local_id": "502",
        "recipient_com_id": "9002",
        "recipient_type": "0",
        "recipient_id": "33",
        "recipient_call_id": "503",
    }


def test_a_join_without_the_leg_says_which_event_is_missing(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    with pytest.raises(PbxRefused, match=r"replace_local_id is not known.*event"):
        voispeed.join(WaitingLeg("9001", ""), WaitingLeg("9002", "503"), "33")
    assert server.requests == []


def test_the_message_is_a_diversion_to_its_ivr(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    voispeed.play_message(WaitingLeg("9001", "502"))
    assert last(server) == {
        "service": "call_divert_ext",
        "call_id": "9001",
        "sender_type": "3",
        "sender_id": "17",
        "sender_local_id": "502",
        "recipient_type": "3",
        "recipient_id": "19",
    }


def test_the_lost_names_of_a_diversion_are_configuration(server: ScriptedServer, open_voispeed: Open) -> None:
    names = {"call_id": "com_id", "sender_local_id": "", "recipient_number": "number"}
    open_voispeed(divert_fields=names, extra={"divert_number": "800"}).play_message(WaitingLeg("9001", "502"))
    asked = last(server)
    assert (asked["com_id"], asked["number"], asked["sender_id"]) == ("9001", "800", "17")
    assert not {"call_id", "sender_local_id", "recipient_number"} & set(asked)


def test_hanging_up_tries_each_name_of_the_argument_and_remembers_the_right_one(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    def knows_com_id(line: scripted.Line, request: scripted.Received) -> None:
        (scripted.usual if "com_id" in request.params else REFUSED)(line, request)

    server.now = knows_com_id
    assert voispeed.hang_up("9001") == "15652770917203"
    assert [sorted(set(request.params) - {"service", "token"}) for request in server.requests] == [
        ["call_id"],
        ["com_id"],
    ]
    voispeed.hang_up("9002")
    assert (len(server.requests), last(server)["com_id"]) == (3, "9002")


def test_a_hang_up_refused_under_every_name_tells_each_refusal(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = REFUSED
    with pytest.raises(PbxRefused, match=r"with call_id: .*with com_id: "):
        voispeed.hang_up("9001")


def test_a_hang_up_of_unknown_end_is_not_tried_under_another_name(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    server.now = scripted.cut
    with pytest.raises(OutcomeUnknown):
        voispeed.hang_up("9001")
    assert len(server.requests) == 1


@pytest.mark.parametrize("on", [True, False])
def test_recording_is_switched_by_a_field_of_configurable_name(
    server: ScriptedServer, open_voispeed: Open, on: bool
) -> None:
    open_voispeed(recording_field="recording").record("9001", on=on)
    assert last(server) == {"service": "call_recording_ext", "call_id": "9001", "recording": str(int(on))}


# user services --------------------------------------------------------------------------------------------


def test_an_extension_calls_a_number(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    voispeed.services.call_request("35", "+39187", device="mobile", extid="X1")
    assert last(server) == {
        "service": "call_request",
        "ext": "35",
        "number": "39187",
        "device": "mobile",
        "extid": "X1",
    }


def test_actions_are_the_two_of_the_guide_and_those_configured(server: ScriptedServer, open_voispeed: Open) -> None:
    pbx = open_voispeed(call_action_words={"hold": "onhold"})
    pbx.services.call_action("35", "3250", "divert", number="39", note="mia nota")
    assert last(server) == {
        "service": "call_action",
        "ext": "35",
        "call_id": "3250",
        "action": "divert",
        "number": "39",
        "note": "mia nota",
    }
    pbx.services.call_action("35", "3250", "disconnect")
    assert last(server)["action"] == "disconnect"
    pbx.services.call_action("35", "3250", "hold")
    assert last(server)["action"] == "onhold"
    with pytest.raises(SettingsError, match="call_action_words"):
        pbx.services.call_action("35", "3250", "resume")
    with pytest.raises(PbxRefused, match="number to divert to"):
        pbx.services.call_action("35", "3250", "divert")
    assert len(server.requests) == 3


def test_a_user_s_mode_is_set_by_a_word(server: ScriptedServer, open_voispeed: Open) -> None:
    open_voispeed().services.set_user_mode("35", "do_not_disturb")
    assert last(server) == {"service": "set_user_mode", "ext": "35", "mode": "2"}
    as_printed = open_voispeed(extra={"set_user_mode_service": "call_action"}, user_modes={"diverted": 3})
    as_printed.services.set_user_mode("35", "diverted", number="39")
    assert last(server) == {"service": "call_action", "ext": "35", "mode": "3", "number": "39"}
    with pytest.raises(SettingsError, match=r"known: diverted"):
        as_printed.services.set_user_mode("35", "normal")


def test_a_user_s_past_calls_are_listed(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    (call,) = voispeed.services.get_user_call_report("233", limit=1)
    assert last(server) == {"service": "get_user_call_report", "ext": "233", "limit": "1"}
    assert (call.call_id, call.duration, call.outcome, call.leg_id) == ("8999", 28.0, CallOutcome.OK, "503")
    assert (call.name, call.remote_surname, call.group) == ("Ada", "Bianchi", "Sales")


# entities -------------------------------------------------------------------------------------------------


def test_gateways_of_the_settings_are_listed_with_their_free_lines(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    (gateway,) = voispeed.gateways()
    assert last(server) == {"service": "get_entities", "entity_type": "2"}
    assert (gateway.id, gateway.name, gateway.usable, gateway.free_lines) == ("4", "trunk-a", True, 19)
    assert gateway.status == "registered"


def test_with_no_gateway_named_all_are_listed_and_the_unusable_have_no_free_line(open_voispeed: Open) -> None:
    found = open_voispeed(gateways=()).gateways()
    assert [(gateway.id, gateway.usable, gateway.free_lines, gateway.status) for gateway in found] == [
        ("4", True, 19, "registered"),
        ("5", False, 0, "trying to register"),
        ("6", False, 0, "not registered"),
    ]


def test_users_come_with_presence_and_ring_groups(voispeed: VoispeedPbx) -> None:
    assert voispeed.users() == [
        PbxUser("33", "Ada Rossi", "233", Presence.AVAILABLE, ("Sales", "Support")),
        PbxUser("34", "Niccolò Conti", "234", Presence.BUSY, ("Sales",)),
        PbxUser("35", "Elena", "235", Presence.UNKNOWN, ()),
    ]


@pytest.mark.parametrize(
    ("code", "presence"),
    [(str(code), presence) for code, presence in enumerate(list(Presence))]
    + [("", Presence.UNKNOWN), ("9", Presence.UNKNOWN)],
)
def test_every_status_of_the_table_is_a_presence(
    server: ScriptedServer, voispeed: VoispeedPbx, code: str, presence: Presence
) -> None:
    user = f"<user><id>1</id><extension>2</extension><av_status>{code}</av_status></user>"
    server.now = reply(f"<result><outcome>0</outcome><users>{user}</users></result>")
    assert voispeed.entities.users()[0].av_status is presence


def test_groups_are_read_once_a_minute_and_remembered_when_they_cannot_be(
    server: ScriptedServer, open_voispeed: Open
) -> None:
    now = [0.0]
    pbx = open_voispeed()
    pbx._monotonic = lambda: now[0]
    asked = lambda: [request.params["entity_type"] for request in server.requests]  # noqa: E731
    pbx.users()
    pbx.users()
    assert asked() == ["0", "1", "0"]
    now[0] = 61.0

    def no_groups(line: scripted.Line, request: scripted.Received) -> None:
        (scripted.cut if request.params["entity_type"] == "1" else scripted.usual)(line, request)

    server.now = no_groups
    assert pbx.users()[0].groups == ("Sales", "Support")


def test_groups_never_read_are_not_taken_for_empty(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = lambda line, request: (scripted.cut if request.params["entity_type"] == "1" else scripted.usual)(
        line, request
    )
    with pytest.raises(PbxUnavailable):
        voispeed.users()


def test_a_module_that_may_not_list_groups_still_lists_users(
    server: ScriptedServer, voispeed: VoispeedPbx, caplog: pytest.LogCaptureFixture
) -> None:
    server.now = lambda line, request: (REFUSED if request.params["entity_type"] == "1" else scripted.usual)(
        line, request
    )
    assert [user.groups for user in voispeed.users()] == [(), (), ()]
    assert "ring groups cannot be read" in caplog.text


def test_ring_groups_have_members(voispeed: VoispeedPbx) -> None:
    sales, support = voispeed.entities.ring_groups()
    assert (sales.name, sales.ring_mode, sales.member_login, sales.is_broadcast) == ("Sales", 7, True, False)
    assert [(member.id, member.identity) for member in sales.members] == [("33", "Ada Rossi"), ("34", "Niccolò Conti")]
    assert support.is_broadcast


def test_ivrs_have_nodes(voispeed: VoispeedPbx) -> None:
    reception, waiting, _ = voispeed.entities.ivrs()
    assert [(node.id, node.parent, node.action) for node in reception.nodes] == [("0", "-1", 1), ("1", "0", 0)]
    assert (reception.nodes[0].audio_loop, reception.nodes[0].waiting_input_time) == (1, 2.0)
    assert waiting.name == "Waiting"


def test_terminals_are_asked_for_one_user(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    desk, mobile = voispeed.entities.terminals("33")
    assert last(server) == {"service": "get_entities", "entity_type": "7", "owner_id": "33"}
    assert (desk.user_agent, desk.registered, mobile.device_type, mobile.registered) == ("Snom 715/8.9", True, 5, False)


def test_mailboxes_and_parking_lines_come_without_an_outcome(voispeed: VoispeedPbx) -> None:
    (mailbox,) = voispeed.entities.voicemails()
    assert (mailbox.mailbox, mailbox.code, mailbox.new_messages, mailbox.new_recordings) == ("100", "9100", True, False)
    (line,) = voispeed.entities.park_lines()
    assert (line.id, line.number, line.parked_at, line.user_id) == ("3", "0612345678", "2026-03-02 09:15:00", "33")


@pytest.mark.parametrize("read", ["gateways", "users", "current_calls"])
def test_an_empty_envelope_is_not_an_empty_list(server: ScriptedServer, voispeed: VoispeedPbx, read: str) -> None:
    server.now = reply("<result></result>")
    with pytest.raises(PbxNonsense):
        getattr(voispeed, read)()
    with pytest.raises(PbxNonsense):
        voispeed.entities.voicemails()


# lists of calls -------------------------------------------------------------------------------------------


def test_current_calls_tell_who_is_connected(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    calls = voispeed.current_calls()
    assert last(server) == {"service": "get_current_calls"}
    assert [(call.call_id, call.ref, call.connected_role, call.connected_id) for call in calls] == [
        ("9001", "4711", Role.RECEPTION, "17"),
        ("9002", "4712", None, None),
        ("9003", None, Role.AGENT, "33"),
    ]


def test_current_calls_typed_as_in_the_guide_are_all_there(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = reply(sample("current_calls_as_printed.xml"))
    calls = voispeed.current_calls()
    assert [(call.call_id, call.ref, call.connected_role) for call in calls] == [
        ("9001", "4711", Role.RECEPTION),
        ("9002", "4712", None),
    ]


@pytest.mark.parametrize("filler", ["0", "", "-1"])
def test_nobody_is_connected_when_the_id_is_a_filler(
    server: ScriptedServer, voispeed: VoispeedPbx, filler: str
) -> None:
    connected = f"<connected_type>0</connected_type><connected_id>{filler}</connected_id>"
    server.now = reply(f"<result><outcome>0</outcome><call><id>1</id>{connected}</call></result>")
    assert [(call.connected_role, call.connected_id) for call in voispeed.current_calls()] == [(None, None)]


@pytest.mark.parametrize("bad", ["", "<id/>", "<id>a b</id>"])
def test_a_list_with_a_call_that_cannot_be_named_is_not_used(
    server: ScriptedServer, voispeed: VoispeedPbx, bad: str
) -> None:
    good = "<call><id>1</id></call>"
    server.now = reply(f"<result><outcome>0</outcome>{good}<call>{bad}<codec>8</codec></call></result>")
    with pytest.raises(PbxNonsense, match="without a readable id"):
        voispeed.current_calls()


def test_no_calls_is_an_empty_list(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = reply("<result><outcome>0</outcome></result>")
    assert voispeed.current_calls() == []


def test_the_report_sends_no_filter_and_drops_only_what_is_surely_older(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    past = voispeed.call_report(datetime(2026, 3, 2, 20, 0, tzinfo=UTC))
    assert last(server) == {"service": "get_call_report"}
    # 09:40 printed may be 21:40 in UTC; a call of January cannot be of March.
    assert [(call.ref, call.outcome, call.talk_time, call.connected_role) for call in past] == [
        ("4709", CallOutcome.OK, 28.0, Role.AGENT),
        ("4710", CallOutcome.NO_ANSWER, 0.0, None),
    ]
    assert voispeed.call_report(datetime(2026, 3, 3, 0, 0, tzinfo=UTC)) == []


def test_a_report_filter_is_sent_when_its_name_is_known(server: ScriptedServer, open_voispeed: Open) -> None:
    pbx = open_voispeed(extra={"report_from_field": "date_from", "report_time_format": "%d/%m/%Y %H:%M"})
    pbx.call_report(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    assert last(server) == {"service": "get_call_report", "date_from": "01/03/2026 20:00"}


def test_a_report_that_is_too_long_says_which_setting_makes_it_shorter(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    server.now = scripted.flood
    with pytest.raises(PbxNonsense, match=r"1024 KiB.*extra\.report_from_field"):
        voispeed.call_report(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


def test_the_simulator_is_asked_for_what_is_recent(server: ScriptedServer, open_voispeed: Open) -> None:
    open_voispeed(kind="simulator").call_report(datetime(2026, 3, 2, 20, 0, tzinfo=UTC))
    assert last(server)["from"] == "2026-03-02 07:00:00"


def test_a_report_typed_as_in_the_guide_is_read(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = reply(sample("call_report_as_printed.xml"))
    (call,) = voispeed.services.get_call_report()
    assert (call.id, call.ref, call.talk_time, call.transferred_from) == ("8999", "4709", 28.0, "8990")
    assert (call.connected.type, call.connected.id, call.connected.number) == (0, "33", "233")


def test_a_row_whose_time_cannot_be_read_is_kept(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    server.now = reply(
        "<result><outcome>0</outcome><call><id>1</id><start_time>yesterday</start_time><outcome>x</outcome>"
        "<duration>long</duration><external_id>4711</external_id></call></result>"
    )
    (call,) = voispeed.call_report(datetime(2026, 3, 2, tzinfo=UTC))
    assert (call.ref, call.outcome, call.duration, call.started) == ("4711", CallOutcome.UNKNOWN, None, "yesterday")


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("2026-03-02 10:00:01", datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC)),
        ("2026-03-02T10:00:01", datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC)),
        ("02/03/2026 10:00:01", datetime(2026, 3, 2, 10, 0, 1, tzinfo=UTC)),
        ("2026-02-30 10:00:01", None),
        ("", None),
    ],
)
def test_printed_times_are_read_in_the_usual_forms(text: str, read: datetime | None) -> None:
    assert printed_time(text) == read


def test_a_report_of_a_thousand_calls_is_read_quickly(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    row = sample("call_report.xml").split(b"<call>")[1]
    server.now = reply(b"<result><outcome>0</outcome>" + (b"<call>" + row) * 1000 + b"</result>")
    began = time.thread_time()
    assert len(voispeed.services.get_call_report()) == 1000
    assert time.thread_time() - began < 3


# the directory --------------------------------------------------------------------------------------------


def test_contacts_are_added_changed_deleted_and_found(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    book = voispeed.phonebook
    server.now = reply("<result><outcome>0</outcome><contact_id>77</contact_id></result>")
    assert book.add_phonebook(Contact(name="Ada", numoffice="+39 06/123-456", email="ada@x.test")) == "77"
    assert last(server) == {
        "service": "add_phonebook",
        "name": "Ada",
        "numoffice": "+3906123456",
        "email": "ada@x.test",
    }
    server.now = reply("<result><outcome>0</outcome></result>")
    book.update_phonebook("77", Contact(surname="Rossi"))
    assert last(server) == {"service": "update_phonebook", "contact_id": "77", "surname": "Rossi"}
    book.delete_phonebook("77")
    assert last(server) == {"service": "delete_phonebook", "contact_id": "77"}
    book.delete_phonebook(app_name="HBO", external_contact_id="contact-1")
    assert last(server) == {"service": "delete_phonebook", "app_name": "HBO", "external_contact_id": "contact-1"}
    for wrong in (lambda: book.delete_phonebook(), lambda: book.delete_phonebook("7 or 1=1")):
        with pytest.raises(PbxRefused):
            wrong()
    server.now = scripted.usual
    found = book.get_phonebook("Fring & Co")
    assert last(server) == {"service": "get_phonebook", "search": "Fring & Co"}
    assert [(entry.name, entry.mobile, entry.is_favourite) for entry in found] == [
        ("Gustavo", "3339876543", True),
        ("Walter", "", False),
    ]


def test_field_names_of_the_directory_are_configuration(server: ScriptedServer, open_voispeed: Open) -> None:
    server.now = reply("<result><outcome>0</outcome><contact_id>77</contact_id></result>")
    open_voispeed(extra={"phonebook_numoffice": "office"}).phonebook.add_phonebook(Contact(numoffice="0733123123"))
    assert last(server) == {"service": "add_phonebook", "office": "0733123123"}


def test_a_contact_taken_without_an_id_is_an_unknown_outcome(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    with pytest.raises(OutcomeUnknown):
        voispeed.phonebook.add_phonebook(Contact(name="Ada"))


def test_an_import_is_a_post_with_one_part_of_json(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    contacts = [
        Contact(name="Gustavo", nummobile="333 9876543", uc_app_name="HBO", uc_external_id="contact-1"),
        Contact(name="Niccolò", ext_info=(("Sale", "1000 EUR"),), uc_app_name="HBO", uc_external_id="contact-2"),
    ]
    result = voispeed.phonebook.phonebook_import_sync(contacts, verbose=True)
    request = server.requests[-1]
    assert last(server) == {"service": "phonebook_import_sync", "verbose_output": "1"}
    assert request.method == "POST"
    assert request.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert request.body.count(b"Content-Disposition: form-data") == 1
    head, _, rest = request.body.partition(b"\r\n\r\n")
    assert b'name="contacts"' in head
    assert json.loads(rest.rsplit(b"\r\n--", 1)[0]) == [
        {"name": "Gustavo", "nummobile": "3339876543", "uc_app_name": "HBO", "uc_external_id": "contact-1"},
        {
            "name": "Niccolò",
            "uc_app_name": "HBO",
            "uc_external_id": "contact-2",
            "ext_info": [{"caption": "Sale", "value": "1000 EUR"}],
        },
    ]
    assert (result.processed, result.skipped) == (2, 1)
    assert [(done.external_id, done.contact_id, done.act, done.info) for done in result.contacts] == [
        ("contact-1", "501", "insert", ""),
        ("contact-2", "502", "update", "number cleaned"),
    ]


# arguments that are not ---------------------------------------------------------------------------------------


def test_nothing_but_digits_reaches_the_pbx_as_a_number_or_an_id(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    services = voispeed.services
    user = Entity(EntityType.USER, "33", "233")
    for send in (
        lambda: services.call_request("35x", "187"),
        lambda: services.call_request("35", "18 7"),
        lambda: services.call_request("35", "187", device="../x"),
        lambda: services.call_request("35", "187", extid="a b"),
        lambda: services.call_request_ext(Entity(EntityType.USER, "33", "2;3"), user, extid="1"),
        lambda: services.call_divert_ext("9001", user, Entity(EntityType.USER, "34", "abc")),
        lambda: services.get_user_call_report("35 or 1"),
    ):
        with pytest.raises(PbxRefused, match="nothing was sent"):
            send()
    assert server.requests == []
