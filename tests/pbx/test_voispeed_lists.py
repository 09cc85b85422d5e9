"""VOIspeed's lists: gateways, users and the rest, calls in progress and past."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from dialer.errors import PbxNonsense, PbxUnavailable
from dialer.pbx.base import (
    CallOutcome,
    PbxUser,
    Presence,
    Role,
)
from dialer.pbx.voispeed import VoispeedPbx
from dialer.pbx.voispeed_calls import printed_time
from tests.pbx import scripted
from tests.pbx.conftest import last_asked
from tests.pbx.scripted import ScriptedServer, reply, sample

Open = Callable[..., VoispeedPbx]
REFUSED = reply(sample("refused.xml"))


# entities -------------------------------------------------------------------------------------------------


def test_gateways_of_the_settings_are_listed_with_their_free_lines(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    (gateway,) = voispeed.gateways()
    assert last_asked(server) == {"service": "get_entities", "entity_type": "2"}
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
    assert last_asked(server) == {"service": "get_entities", "entity_type": "7", "owner_id": "33"}
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
    assert last_asked(server) == {"service": "get_current_calls"}
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
    assert last_asked(server) == {"service": "get_call_report"}
    # 09:40 printed may be 21:40 in UTC; a call of January cannot be of March.
    assert [(call.ref, call.outcome, call.talk_time, call.connected_role) for call in past] == [
        ("4709", CallOutcome.OK, 28.0, Role.AGENT),
        ("4710", CallOutcome.NO_ANSWER, 0.0, None),
    ]
    assert voispeed.call_report(datetime(2026, 3, 3, 0, 0, tzinfo=UTC)) == []


def test_a_report_filter_is_sent_when_its_name_is_known(server: ScriptedServer, open_voispeed: Open) -> None:
    pbx = open_voispeed(extra={"report_from_field": "date_from", "report_time_format": "%d/%m/%Y %H:%M"})
    pbx.call_report(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))
    assert last_asked(server) == {"service": "get_call_report", "date_from": "01/03/2026 20:00"}


def test_a_report_that_is_too_long_says_which_setting_makes_it_shorter(
    server: ScriptedServer, voispeed: VoispeedPbx
) -> None:
    server.now = scripted.flood
    with pytest.raises(PbxNonsense, match=r"1024 KiB.*extra\.report_from_field"):
        voispeed.call_report(datetime(2026, 3, 2, 9, 0, tzinfo=UTC))


def test_the_simulator_is_asked_for_what_is_recent(server: ScriptedServer, open_voispeed: Open) -> None:
    open_voispeed(kind="simulator").call_report(datetime(2026, 3, 2, 20, 0, tzinfo=UTC))
    assert last_asked(server)["from"] == "2026-03-02 07:00:00"


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
