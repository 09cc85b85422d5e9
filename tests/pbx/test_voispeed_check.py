"""The check of a set-up: each wrong thing is found, said in plain words, and given a remedy."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from dialer.pbx.base import Finding
from dialer.pbx.voispeed import VoispeedPbx
from dialer.pbx.voispeed_armed import left_alone, waits_for_ever
from dialer.pbx.voispeed_entities import Ivr, IvrNode
from dialer.settings import PbxSettings
from tests.pbx import scripted
from tests.pbx.scripted import ScriptedServer, reply, sample

Open = Callable[..., VoispeedPbx]
BARE = IvrNode("0", None, "", "", "", None, "", None, None, None, "", None, None, None, None, None, "", "")


def faults(findings: Sequence[Finding]) -> list[str]:
    return [finding.what for finding in findings if not finding.ok and finding.fatal]


def check(pbx: VoispeedPbx, secret: str = "w" * 32) -> Sequence[Finding]:
    pbx._environ = {"TOKEN": "t0ken", "HOOK": secret}
    return pbx.check()


@pytest.fixture
def good(open_voispeed: Open) -> VoispeedPbx:
    return open_voispeed(webhook_secret_env="HOOK")


def with_ivrs(server: ScriptedServer, ivrs: bytes) -> None:
    server.now = lambda line, request: (reply(ivrs) if request.params.get("entity_type") == "3" else scripted.usual)(
        line, request
    )


# the whole set-up -----------------------------------------------------------------------------------------


def test_a_good_set_up_has_no_fault_and_one_thing_that_cannot_be_tested(good: VoispeedPbx) -> None:
    findings = check(good)
    assert faults(findings) == []
    assert [finding.what for finding in findings if not finding.ok] == [
        "whether the PBX's events arrive cannot be tested from here"
    ]
    told = "\n".join(finding.what for finding in findings)
    for words in (
        "the PBX answers and takes the token",
        "gateway 4 (trunk-a) 30 lines, 11 busy",
        "3 users can be read, 1 of them available now",
        "IVR 17 (Reception) is the reception_ivr",
        "plays 'comfort.wav' in a loop, then waits 2 s, then plays 'nobody-free.wav' once, then ends",
        "the waiting IVR keeps agents until they are joined",
        "current calls can be read",
    ):
        assert words in told


def test_a_pbx_that_is_down_is_one_fault_not_five(server: ScriptedServer, good: VoispeedPbx) -> None:
    server.stop_listening()
    assert len(faults(check(good))) == 1
    assert "does not answer" in faults(check(good))[0]


@pytest.mark.parametrize(
    ("step", "words", "remedy"),
    [
        (reply(sample("refused.xml")), "connection not found", "check the token"),
        (reply("<html>Forbidden</html>", 403, "text/html"), "does not let us in", "check the token"),
        (reply("<html>Not Found</html>", 404, "text/html"), "has nothing at this address", "check the token"),
        (reply("<!DOCTYPE html><html>Log in</html>", 200, "text/html"), "HTML page", "exact URL"),
        (reply("Internal error", 500, "text/html"), "HTTP 500", "check pbx.main.url"),
    ],
)
def test_what_is_wrong_with_the_interface_is_said_with_a_remedy(
    server: ScriptedServer, good: VoispeedPbx, step: scripted.Step, words: str, remedy: str
) -> None:
    server.now = step
    (fault,) = [finding for finding in check(good) if not finding.ok and finding.fatal]
    assert words in fault.what
    assert remedy in fault.remedy


def test_a_missing_token_names_its_variable(good: VoispeedPbx) -> None:
    good._http._environ = {}
    (fault,) = faults(check(good))
    assert "environment variable TOKEN" in fault


@pytest.mark.parametrize(
    ("env", "value", "words"),
    [("", "", "no secret is set"), ("HOOK", "", "environment variable HOOK")],
)
def test_a_missing_webhook_secret_is_a_fault(open_voispeed: Open, env: str, value: str, words: str) -> None:
    pbx = open_voispeed(webhook_secret_env=env)
    assert [fault for fault in faults(check(pbx, value)) if words in fault]


def test_gateways_that_cannot_carry_a_call_are_named_with_the_reason(open_voispeed: Open) -> None:
    pbx = open_voispeed(gateways=(5, 6, 9), webhook_secret_env="HOOK")
    assert faults(check(pbx)) == [
        "gateway 5 (trunk-b) is trying to register",
        "gateway 6 (old gsm) is not enabled",
        "gateway 9 does not exist",
        "no gateway can carry a call",
    ]
    missing = next(finding for finding in check(pbx) if "gateway 9" in finding.what)
    assert "4 (trunk-a), 5 (trunk-b), 6 (old gsm)" in missing.remedy


def test_a_gateway_without_lines_is_a_fault(server: ScriptedServer, good: VoispeedPbx) -> None:
    server.now = reply(
        "<result><outcome>0</outcome><gateways><gateway><id>4</id><name>x</name><enabled>1</enabled>"
        "<link_status>2</link_status></gateway></gateways></result>"
    )
    assert "gateway 4 (x) has no lines" in faults(check(good))


def test_of_gateways_nobody_named_one_that_works_is_enough(open_voispeed: Open) -> None:
    assert faults(check(open_voispeed(gateways=(), webhook_secret_env="HOOK"))) == []


def test_an_unknown_ivr_names_those_that_exist(open_voispeed: Open) -> None:
    pbx = open_voispeed(reception_ivr=71, waiting_ivr=None, webhook_secret_env="HOOK")
    assert faults(check(pbx)) == [
        "IVR 71 (reception_ivr) does not exist",
        "no waiting_ivr is named (parked agents wait there)",
    ]
    assert all("17 (Reception), 18 (Waiting)" in f.remedy for f in check(pbx) if not f.ok and f.fatal)


def test_a_module_that_may_not_list_something_is_told_apart(server: ScriptedServer, good: VoispeedPbx) -> None:
    server.now = lambda line, request: (
        reply(sample("refused.xml")) if request.service == "get_current_calls" else scripted.usual
    )(line, request)
    (fault,) = [finding for finding in check(good) if not finding.ok and finding.fatal]
    assert (fault.what.startswith("current calls cannot be read"), fault.remedy) == (
        True,
        "allow the integration module to list current calls",
    )


def test_a_report_too_long_to_read_is_a_fault(server: ScriptedServer, good: VoispeedPbx) -> None:
    server.now = lambda line, request: (scripted.flood if request.service == "get_call_report" else scripted.usual)(
        line, request
    )
    (fault,) = faults(check(good))
    assert "extra.report_from_field" in fault


def test_a_reception_that_does_not_look_after_customers_is_a_fault(server: ScriptedServer, good: VoispeedPbx) -> None:
    unarmed = sample("ivrs.xml").replace(b"<waiting_input_time>2</waiting_input_time>", b"")
    with_ivrs(server, unarmed)
    assert faults(check(good)) == [
        "the reception is not armed: node 0 plays its message for ever (loop, and no time to wait for input)"
    ]


def test_a_message_that_comes_late_is_a_warning(server: ScriptedServer, good: VoispeedPbx) -> None:
    with_ivrs(server, sample("ivrs.xml").replace(b"<waiting_input_time>2<", b"<waiting_input_time>8<"))
    findings = check(good)
    assert faults(findings) == []
    assert "left alone, a customer hears the message only after 8 s" in [f.what for f in findings if not f.ok]


def test_a_customer_left_waiting_for_minutes_is_a_fault(server: ScriptedServer, good: VoispeedPbx) -> None:
    with_ivrs(server, sample("ivrs.xml").replace(b"<waiting_input_time>2<", b"<waiting_input_time>300<"))
    assert "waits 300 s" in faults(check(good))[0]


def test_a_waiting_ivr_that_ends_is_a_fault(server: ScriptedServer, good: VoispeedPbx) -> None:
    with_ivrs(
        server,
        sample("ivrs.xml").replace(
            b"music.wav</audio_message>\n        <audio_loop>1", b"m</audio_message><audio_loop>0"
        ),
    )
    assert "the waiting IVR does not keep agents" in faults(check(good))[0]


# an IVR left alone ----------------------------------------------------------------------------------------


def node(id: str, parent: str | None = None, **fields: object) -> IvrNode:
    return replace(BARE, id=id, parent=parent, **fields)  # type: ignore[arg-type]


def ivr(*nodes: IvrNode, id: str = "17") -> Ivr:
    return Ivr(id, f"ivr {id}", "", nodes)


SORRY = {"audio_message": "sorry.wav", "audio_loop": 0}
MUSIC = {"audio_message": "music.wav", "audio_loop": 1}
ABANDON = ivr(node("0", "-1", **SORRY), id="19")


@pytest.mark.parametrize(
    ("reception", "ends", "plays", "wait"),
    [
        # a loop with a limit, then a child
        (ivr(node("0", "-1", **MUSIC, waiting_input_time=2.0, action=1), node("1", "0", **SORRY)), True, True, 2),
        # silence with a limit, then a call to the message's IVR
        (ivr(node("0", None, waiting_input_time=2.0, action=2, called_type=3, called_id="19")), True, True, 2),
        # the message at once
        (ivr(node("0", "0", **SORRY, action=0)), True, True, 0),
        # ends, but nobody hears anything
        (ivr(node("0", "-1", waiting_input_time=2.0)), True, False, 2),
        (ivr(node("0", "-1", **MUSIC, waiting_input_time=2.0)), True, False, 2),
        # a script that does not answer, as after our death, ends the call
        (ivr(node("0", "-1", **SORRY, action=3, script="http://dialer")), True, True, 0),
        (ivr(node("0", "-1", waiting_input_time=2.0, action=3)), True, False, 2),
        # never ends
        (ivr(node("0", "-1", **MUSIC)), False, False, 0),
        (ivr(node("0", "-1", **SORRY, action=1), node("1", "0", **MUSIC)), False, True, 0),
        (ivr(node("0", "-1", action=1)), False, False, 0),
        (ivr(node("0", "-1", action=2, called_type=3, called_id="17")), False, False, 0),
        (ivr(node("0", "-1", action=2, called_type=3, called_id="99")), False, False, 0),
        # leads to people
        (ivr(node("0", "-1", action=2, called_type=1, called_id="5")), False, False, 0),
        (ivr(node("0", "-1", action=2, called_external_number="0612345678")), False, False, 0),
        # which child?
        (ivr(node("0", "-1", action=1), node("1", "0", select_key="1", **SORRY)), True, True, 0),
        (ivr(node("0", "-1", action=1), node("1", "0", select_key="1"), node("2", "0", **SORRY)), True, True, 0),
        (
            ivr(node("0", "-1", action=1), node("1", "0", select_key="1"), node("2", "0", select_key="2")),
            False,
            False,
            0,
        ),
        # no tree at all
        (ivr(), False, False, 0),
        (ivr(node("0", "1"), node("1", "0")), False, False, 0),
    ],
)
def test_what_a_caller_left_alone_goes_through(reception: Ivr, ends: bool, plays: bool, wait: float) -> None:
    course = left_alone(reception, {"17": reception, "19": ABANDON})
    assert (course.ends, course.plays_message, course.wait) == (ends, plays, wait)
    assert bool(course.why) is not ends


def test_a_tree_that_goes_round_is_left_after_some_steps() -> None:
    chain = [node(str(i), str(i - 1), action=1) for i in range(200)]
    assert not left_alone(ivr(*chain), {}).ends


@pytest.mark.parametrize(
    ("waiting", "fine"),
    [
        (ivr(node("0", "-1", **MUSIC)), True),
        (ivr(node("0", "-1", **MUSIC, waiting_input_time=0.0)), True),
        (ivr(node("0", "-1", **MUSIC, waiting_input_time=600.0)), False),
        (ivr(node("0", "-1", **SORRY)), False),
        (ivr(), False),
    ],
)
def test_agents_wait_where_the_music_loops_and_nothing_is_waited_for(waiting: Ivr, fine: bool) -> None:
    assert (waits_for_ever(waiting) == "") is fine


def test_settings_without_ids_are_all_reported_at_once(server: ScriptedServer, pbx_settings: PbxSettings) -> None:
    bare = PbxSettings(url=server.url, token_env="TOKEN")
    findings = VoispeedPbx("main", bare, environ={"TOKEN": "t0ken"}).check()
    assert len(faults(findings)) == 4
