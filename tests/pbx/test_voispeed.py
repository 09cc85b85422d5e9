"""VOIspeed's services: what is asked, word for word, and what is made of the answers."""

from collections.abc import Callable

import pytest

from dialer.errors import OutcomeUnknown, PbxRefused, SettingsError
from dialer.pbx.base import (
    AgentOrder,
    CallOutcome,
    CustomerOrder,
    Feature,
    WaitingLeg,
)
from dialer.pbx.voispeed import VoispeedPbx
from dialer.pbx.voispeed_codes import EntityType
from dialer.pbx.voispeed_services import Entity
from tests.pbx import scripted
from tests.pbx.conftest import last_asked
from tests.pbx.scripted import ScriptedServer, reply, sample

Open = Callable[..., VoispeedPbx]
CUSTOMER = CustomerOrder("4711", "+390612345678", "4", "+390210001000")
REFUSED = reply(sample("refused.xml"))


# placing --------------------------------------------------------------------------------------------------


def test_a_customer_is_called_through_a_gateway_and_waits_at_the_reception(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    assert voispeed.call_customer(CUSTOMER) == "15652770917203"
    assert server.requests[-1].method == "GET"
    assert last_asked(server) == {
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
    assert last_asked(server)["calling_number"] == dialled


def test_an_agent_is_called_at_their_phone_which_answers_by_itself(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    voispeed.call_agent(AgentOrder("L7", "33", "233"))
    assert last_asked(server) == {
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
    assert (last_asked(server)["calling_number"], last_asked(server)["called_number"]) == shown


@pytest.mark.parametrize("template", ["", "{name}", "{extension!r}", "{0}", "abc", "1&x=2", "{extension.real}"])
def test_a_template_that_could_become_anything_else_is_refused_at_once(open_voispeed: Open, template: str) -> None:
    with pytest.raises(SettingsError, match=r"pbx\.main\.agent_called_number"):
        open_voispeed(agent_called_number=template)


def test_the_tenant_is_sent_when_there_is_one(server: ScriptedServer, open_voispeed: Open) -> None:
    open_voispeed(domain="almach1.it").call_customer(CUSTOMER)
    assert last_asked(server)["domain"] == "almach1.it"


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
    assert last_asked(server) == {
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
    assert last_asked(server) == {
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
    asked = last_asked(server)
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
    assert (len(server.requests), last_asked(server)["com_id"]) == (3, "9002")


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
    assert last_asked(server) == {"service": "call_recording_ext", "call_id": "9001", "recording": str(int(on))}


# user services --------------------------------------------------------------------------------------------


def test_an_extension_calls_a_number(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    voispeed.services.call_request("35", "+39187", device="mobile", extid="X1")
    assert last_asked(server) == {
        "service": "call_request",
        "ext": "35",
        "number": "39187",
        "device": "mobile",
        "extid": "X1",
    }


def test_actions_are_the_two_of_the_guide_and_those_configured(server: ScriptedServer, open_voispeed: Open) -> None:
    pbx = open_voispeed(call_action_words={"hold": "onhold"})
    pbx.services.call_action("35", "3250", "divert", number="39", note="mia nota")
    assert last_asked(server) == {
        "service": "call_action",
        "ext": "35",
        "call_id": "3250",
        "action": "divert",
        "number": "39",
        "note": "mia nota",
    }
    pbx.services.call_action("35", "3250", "disconnect")
    assert last_asked(server)["action"] == "disconnect"
    pbx.services.call_action("35", "3250", "hold")
    assert last_asked(server)["action"] == "onhold"
    with pytest.raises(SettingsError, match="call_action_words"):
        pbx.services.call_action("35", "3250", "resume")
    with pytest.raises(PbxRefused, match="number to divert to"):
        pbx.services.call_action("35", "3250", "divert")
    assert len(server.requests) == 3


def test_a_user_s_mode_is_set_by_a_word(server: ScriptedServer, open_voispeed: Open) -> None:
    open_voispeed().services.set_user_mode("35", "do_not_disturb")
    assert last_asked(server) == {"service": "set_user_mode", "ext": "35", "mode": "2"}
    as_printed = open_voispeed(extra={"set_user_mode_service": "call_action"}, user_modes={"diverted": 3})
    as_printed.services.set_user_mode("35", "diverted", number="39")
    assert last_asked(server) == {"service": "call_action", "ext": "35", "mode": "3", "number": "39"}
    with pytest.raises(SettingsError, match=r"known: diverted"):
        as_printed.services.set_user_mode("35", "normal")


def test_a_user_s_past_calls_are_listed(server: ScriptedServer, voispeed: VoispeedPbx) -> None:
    (call,) = voispeed.services.get_user_call_report("233", limit=1)
    assert last_asked(server) == {"service": "get_user_call_report", "ext": "233", "limit": "1"}
    assert (call.call_id, call.duration, call.outcome, call.leg_id) == ("8999", 28.0, CallOutcome.OK, "503")
    assert (call.name, call.remote_surname, call.group) == ("Ada", "Bianchi", "Sales")


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
