"""What is XiVO's own: tokens, agents' states, references that come back, and commands that nobody answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dialer.errors import EventTrouble, OutcomeUnknown, PbxBusy, PbxRefused, PbxUnavailable, SettingsError
from dialer.pbx import xivo
from dialer.pbx.base import AgentFirstOrder, CallOutcome, Heard, Payload, Presence, Role
from dialer.pbx.xivo import XivoPbx
from dialer.pbx.xivo_events import gone, logged
from dialer.pbx.xivo_frames import NotXuc, agents_of, calls_of
from dialer.settings import PbxSettings
from tests.pbx import xuc_peer
from tests.pbx.agent_first_peer import Person
from tests.pbx.scripted import reply
from tests.pbx.xuc_peer import BOSS, PASSWORD, XucPeer

ORDER = AgentFirstOrder("d-c7", "1015", "2015", "+390612345678", "+390210001000")
TOLD: dict[str, Any] = {
    "eventType": "EventEstablished", "DN": "2015", "otherDN": "390612345678", "linkedId": "1770091506.11",
    "uniqueId": "1770091506.12", "userData": {"XIVO_USERID": "9", "USR_dref": "d-c7"},
}  # fmt: skip


@pytest.fixture
def peer() -> Iterator[XucPeer]:
    peer = XucPeer()
    yield peer
    peer.close()


Open = Callable[..., XivoPbx]


@pytest.fixture
def opened(peer: XucPeer) -> Iterator[Open]:
    made: list[XivoPbx] = []

    def opened(
        secret: str = PASSWORD,
        options: dict[str, str] | None = None,
        monotonic: Callable[[], float] | None = None,
        **more: Any,
    ) -> XivoPbx:
        extra = {"agents": "1015=agent15, 1016=agent16", **(options or {})}
        settings = PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", extra=extra, **more)
        clock = {"monotonic": monotonic} if monotonic else {}
        made.append(XivoPbx("main", settings, environ={"KEY": secret}, **clock))  # type: ignore[arg-type]
        return made[-1]

    yield opened
    for one in made:
        one.close()


def event(**changes: object) -> Payload:
    told = {name: value for name, value in {**TOLD, **changes}.items() if value is not None}
    return logged("1015", json.dumps({"msgType": "PhoneEvent", "ctiMessage": told}))


@pytest.mark.parametrize(
    ("changes", "means", "heard", "role", "outcome"),
    [
        ({"eventType": "EventDialing"}, "unknown", Heard.CALLING, Role.AGENT, None),
        ({"eventType": "EventDialing"}, "agent", Heard.CALLING, Role.AGENT, None),
        ({"eventType": "EventDialing"}, "customer", Heard.RINGING, Role.CUSTOMER, None),
        ({"eventType": "EventRinging"}, "unknown", Heard.RINGING, Role.AGENT, None),
        ({}, "unknown", Heard.ANSWERED, Role.CUSTOMER, None),
        ({"otherDN": ""}, "unknown", Heard.ANSWERED, Role.AGENT, None),
        ({"otherDN": "2015"}, "unknown", Heard.ANSWERED, Role.AGENT, None),
        ({"eventType": "EventReleased"}, "unknown", Heard.ENDED, Role.CUSTOMER, CallOutcome.NO_ANSWER),
        ({"eventType": "EventReleased"}, "customer", Heard.ENDED, Role.CUSTOMER, CallOutcome.UNKNOWN),
        ({"eventType": "EventFailure"}, "unknown", Heard.COMMAND_FAILED, Role.OTHER, None),
        ({"eventType": "EventOnHold"}, "unknown", Heard.HELD, Role.OTHER, None),
        ({"eventType": "EventOfNextYear"}, "unknown", Heard.OTHER, Role.OTHER, None),
        ({"eventType": "EventRinging", "userData": {}}, "unknown", Heard.ARRIVED, Role.OTHER, None),
        ({"callDirection": "Incoming", "userData": {}}, "unknown", Heard.ARRIVED, Role.OTHER, None),
    ],
)
def test_a_phone_event_in_our_words(
    opened: Open, changes: dict[str, object], means: str, heard: Heard, role: Role, outcome: CallOutcome | None
) -> None:
    told = opened(options={"dialing_means": means}).read(event(**changes))
    assert (told.heard, told.role, told.outcome) == (heard, role, outcome)
    assert (told.call_id, told.user_id) == ("1770091506.11@1015", "1015")


def test_the_reference_comes_back_and_a_call_has_one_id_whatever_its_legs(opened: Open) -> None:
    pbx = opened()
    told = pbx.read(event(uniqueId="1770091599.1"))
    assert (told.ref, told.number, told.call_id) == ("d-c7", "+390612345678", "1770091506.11@1015")
    assert pbx.keys(event()).ref == "d-c7"
    assert pbx.keys(event(eventType="EventDialing")).can_wait
    assert not pbx.keys(event()).can_wait
    assert pbx.read(event(userData={"usr_DREF": "d-c8"})).ref == "d-c8", "whatever letters it comes back in"
    assert opened(options={"variable": "other"}).read(event()).ref is None
    bare = pbx.read(event(userData=None))
    assert (bare.ref, bare.call_id, bare.user_id, bare.number) == (None, told.call_id, "1015", "+390612345678")


@pytest.mark.parametrize("value", ["", "<x>", "a b", "x" * 65, "d-c7\n"])
def test_a_reference_that_is_none_of_ours_is_no_reference(opened: Open, value: str) -> None:
    assert opened().read(event(userData={"USR_dref": value})).ref is None


def test_a_call_that_is_gone_is_an_event_of_its_own(opened: Open) -> None:
    pbx = opened()
    told = pbx.read(gone("d-c7"))
    assert (told.heard, told.ref, told.outcome) == (Heard.ENDED, "d-c7", CallOutcome.NO_ANSWER)
    assert pbx.keys(gone("d-c7")).ref == "d-c7"


@pytest.mark.parametrize(
    "payload",
    [
        Payload("WS", "", b"<html>"),
        Payload("WS", "", b'{"msgType":"QueueList","ctiMessage":[]}'),
        Payload("WS", "", b'{"msgType":"PhoneEvent","ctiMessage":[]}'),
        event(linkedId=None, uniqueId=None, userData=None),
        event(linkedId="<x>", userData=None),
    ],
)
def test_what_cannot_be_used_is_trouble_with_a_sentence(opened: Open, payload: Payload) -> None:
    with pytest.raises(EventTrouble):
        opened().read(payload)


# agents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "presence"),
    [
        ("AgentReady", Presence.AVAILABLE),
        ("AgentLogin", Presence.RESERVED),
        ("AgentOnPause", Presence.ABSENT),
        ("AgentOnWrapup", Presence.RESERVED),
        ("AgentRinging", Presence.RINGING),
        ("AgentDialing", Presence.BUSY),
        ("AgentOnCall", Presence.BUSY),
        ("AgentLoggedOut", Presence.UNAVAILABLE),
        ("AgentOfNextYear", Presence.UNKNOWN),
    ],
)
def test_an_agents_state_is_presence_and_an_unknown_one_gets_no_call(
    peer: XucPeer, opened: Open, state: str, presence: Presence
) -> None:
    peer.desks["1016"].state = state
    first, second = opened().users()
    assert (first.id, first.name, first.extension, first.presence) == (
        "1015",
        "Ann agent15",
        "2015",
        Presence.AVAILABLE,
    )
    assert (second.id, second.presence) == ("1016", presence)


def test_a_directory_is_read_with_and_without_a_name_around_it_or_not_at_all() -> None:
    pair = {"agent": {"number": "1015", "firstName": "Ann"}, "agentState": {"name": "AgentReady", "phoneNb": "2015"}}
    for message in ([pair], {"directory": [pair]}, {"agents": [pair, "x", {}]}):
        (user,) = agents_of(message, {"1015": "agent15"})
        assert (user.name, user.extension, user.presence) == ("Ann", "2015", Presence.AVAILABLE)
    (absent,) = agents_of([], {"1015": "agent15"})
    assert (absent.extension, absent.presence) == ("1015", Presence.UNKNOWN)
    for message in (None, "x", {}, {"directory": "x"}):
        with pytest.raises(NotXuc):
            agents_of(message, {"1015": "agent15"})
        with pytest.raises(NotXuc):
            calls_of(message)


@pytest.mark.parametrize(
    ("extra", "why"),
    [
        ({"agents": "1015=agent15, 1016=agent15"}, "1015 and 1016 have the same XiVO user"),
        ({"agents": "x=agent15"}, "is no extension"),
        ({"variable": "a b"}, "variable"),
        ({"dialing_means": "perhaps"}, "dialing_means"),
        ({"agent": "1"}, "there is no such option"),
    ],
)
def test_options_that_cannot_be_are_named(peer: XucPeer, extra: dict[str, str], why: str) -> None:
    with pytest.raises(SettingsError, match=why):
        XivoPbx("main", PbxSettings(kind="xivo", url=peer.url, user=BOSS, token_env="KEY", extra=extra))
    with pytest.raises(SettingsError, match=r"pbx\.main\.user"):
        XivoPbx("main", PbxSettings(kind="xivo", url=peer.url, token_env="KEY"))


# tokens -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("ttl", "life"), [(3600, 3600), (None, 86_400), (0, 86_400)])
def test_a_token_is_used_for_half_of_its_life(peer: XucPeer, opened: Open, ttl: int | None, life: int) -> None:
    now = [0.0]
    peer.ttl = ttl
    pbx = opened(monotonic=lambda: now[0])
    pbx.users()
    now[0] = life / 2 - 1
    pbx.users()
    assert peer.logins == 1
    now[0] = life / 2
    pbx.users()
    assert peer.logins == 2


def test_a_token_that_ended_before_its_time_is_replaced_and_the_call_is_ordered_once(
    peer: XucPeer, opened: Open
) -> None:
    pbx = opened()
    pbx.call_for_agent(ORDER)
    peer.quiet()
    peer.forget_tokens()
    pbx.call_for_agent(AgentFirstOrder("d-c8", "1015", "2015", "+390612345679", ""))
    peer.quiet()
    assert (peer.logins, peer.rang()) == (2, {"390612345678": 1, "390612345679": 1})


def test_a_user_who_is_not_let_in_is_named_and_asked_for_once(peer: XucPeer, opened: Open) -> None:
    pbx = opened(secret=f"{BOSS}={PASSWORD}\nagent15=wrong-word\n")
    assert [user.id for user in pbx.users()] == ["1015", "1016"]
    with pytest.raises(PbxRefused, match="XiVO user agent15: HTTP 403") as caught:
        pbx.call_for_agent(ORDER)
    assert "wrong-word" not in str(caught.value)
    with pytest.raises(PbxRefused, match="there is no password of XiVO user agent16"):
        pbx.call_for_agent(AgentFirstOrder("d-c8", "1016", "2016", "+390612345679", ""))
    assert (peer.logins, peer.rang()) == (2, {})


def test_each_user_has_a_password_of_their_own_and_a_changed_one_needs_no_restart(
    peer: XucPeer, tmp_path: Path
) -> None:
    peer.passwords = {"agent15": "with=sign", "agent16": "other"}
    file = tmp_path / "passwords"
    lines = f"{BOSS}={PASSWORD}\nagent15 = with=sign\n"
    file.write_text(lines)
    settings = PbxSettings(
        kind="xivo", url=peer.url, user=BOSS, token_file=str(file), extra={"agents": "1015=agent15, 1016=agent16"}
    )
    pbx = XivoPbx("main", settings)
    assert pbx.call_for_agent(ORDER)
    file.write_text(lines + "agent16=other\n")
    assert pbx.call_for_agent(AgentFirstOrder("d-c8", "1016", "2016", "+390612345679", ""))
    pbx.close()


def test_a_xuc_without_token_log_in_says_so(peer: XucPeer, opened: Open) -> None:
    peer.server.now = reply("<html>Not found</html>", 404, "text/html")
    with pytest.raises(PbxRefused, match=r"from 2017\.03 on"):
        opened().call_for_agent(ORDER)


# commands ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "prefix", "sent"),
    [("digits", "", "390612345678"), ("international", "0", "000390612345678"), ("plus", "", "+390612345678")],
)
def test_a_call_is_dialled_as_the_plan_wants_with_our_reference_attached(
    peer: XucPeer, opened: Open, form: str, prefix: str, sent: str
) -> None:
    pbx = opened(number_format=form, dial_prefix=prefix)
    assert pbx.call_for_agent(ORDER) == "1770091506.1@1015"
    assert peer.commands[-1] == ("dial", {"destination": sent, "variables": {"dref": "d-c7"}})
    assert peer.counted == 1


def test_an_error_is_no_refusal_because_nobody_says_of_what(peer: XucPeer, opened: Open) -> None:
    pbx = opened(options={"confirm_within": "0.3"})
    peer.fault = xuc_peer.says('{"msgType":"Error","ctiMessage":{"Error":"PhoneNumberUnknown"}}')
    with pytest.raises(OutcomeUnknown, match="PhoneNumberUnknown"):
        pbx.call_for_agent(ORDER)
    assert peer.counted == 1


def test_another_call_of_the_agent_is_no_reply(peer: XucPeer, opened: Open) -> None:
    pbx = opened(options={"confirm_within": "0.3"})
    told = {**TOLD, "userData": {"USR_dref": "d-c6"}}
    peer.fault = xuc_peer.says(json.dumps({"msgType": "PhoneEvent", "ctiMessage": told}))
    with pytest.raises(OutcomeUnknown):
        pbx.call_for_agent(ORDER)


def test_a_phone_that_is_in_use_is_not_asked_to_dial(peer: XucPeer, opened: Open) -> None:
    pbx = opened()
    peer.customers["33144556677"] = Person(answers_after=0.0, talks=30.0)
    own = peer.start("2015", "33144556677", private=True)
    with pytest.raises(PbxBusy, match="the phone of agent 1015 is in use; nothing was sent"):
        pbx.call_for_agent(ORDER)
    assert peer.counted == 0
    peer.hung_up[own.id].set()
    peer.quiet()
    assert pbx.call_for_agent(ORDER)


def test_where_calls_are_not_told_an_order_is_sent_all_the_same(
    peer: XucPeer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(xivo, "PHONE_CHECK", 0.1)
    peer.tells_calls = False
    assert opened().call_for_agent(ORDER)


def test_only_the_call_that_is_meant_is_ended(peer: XucPeer, opened: Open) -> None:
    peer.customers["390612345678"] = Person(answers_after=0.0, talks=30.0)
    pbx = opened()
    call_id = pbx.call_for_agent(ORDER)
    for wrong in ("1770091506.9@1015", "1770091506.1@1016"):
        with pytest.raises(PbxRefused, match="cannot be ended"):
            pbx.hang_up(wrong)
    with pytest.raises(PbxRefused, match="in the settings"):
        pbx.hang_up("1770091506.1@1099")
    peer.tells_calls = False
    with pytest.raises(PbxUnavailable):
        opened(timeout=0.3).hang_up(call_id)
    peer.tells_calls = True
    assert [name for name, _ in peer.commands if name == "hangup"] == []
    assert peer.book[0].ended is None
    assert pbx.hang_up(call_id) == call_id
    peer.quiet()
    assert peer.book[0].ended is not None


def test_a_phone_with_two_calls_is_left_alone(peer: XucPeer, opened: Open) -> None:
    peer.customers["390612345678"] = peer.customers["390612345679"] = Person(answers_after=0.0, talks=30.0)
    pbx = opened()
    call_id = pbx.call_for_agent(ORDER)
    peer.start("2015", "390612345679", private=True)
    with pytest.raises(PbxRefused, match="another call"):
        pbx.hang_up(call_id)
    assert [name for name, _ in peer.commands if name == "hangup"] == []


# the check --------------------------------------------------------------------------------------------


def test_the_check_says_who_is_let_in_who_is_an_agent_and_what_is_not_known(peer: XucPeer, opened: Open) -> None:
    findings = opened().check()
    assert all(finding.ok or not finding.fatal for finding in findings)
    assert any("dialing_means" in finding.remedy for finding in findings)
    peer.desks["1016"].state = "AgentLoggedOut"
    peer.passwords["agent15"] = "other"
    told = opened(options={"agents": "1015=agent15, 1016=agent16, 1017=agent17", "dialing_means": "agent"}).check()
    said = [finding.what for finding in told if not finding.ok]
    assert any("no state that we know, of 1017" in one for one in said)
    assert any("not logged in at XiVO: 1016" in one for one in said)
    assert any("not let in: 1015 (agent15), 1017 (agent17)" in one for one in said)
    assert not any("dialing_means" in finding.remedy for finding in told)
    assert PASSWORD not in repr(told)
